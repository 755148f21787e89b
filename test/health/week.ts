/**
 * A fleet in virtual time, for week.test.ts: real NodeHealth behind a bus, probers that keep real tracks, sites that fail.
 * One call of second() is one second of all of it. What a node was told is written down apart (Shadow), so that what it
 * made of that can be judged by simple rules.
 */
import { join } from 'node:path'
import { parseAddress } from '../../src/dns/address.ts'
import { type Change, NodeHealth } from '../../src/health/node-health.ts'
import type { Heartbeat, ProberIdentity } from '../../src/health/store.ts'
import { makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import { type HealthSpec, makeHealthSpec } from '../../src/health/target.ts'
import type { Vote, VoteValue } from '../../src/health/vote.ts'
import { layOutService, type SteeredService } from '../../src/policy/service.ts'
import { advance, isMoving, isUndecided, NEW_TRACK, type Track } from '../../src/probe/track.ts'
import type { Model, ServiceModel } from '../../src/zone/model.ts'
import { httpCheck, service, site, tcpCheck } from '../support/specs.ts'
import { Bus, type Link } from './bus.ts'

export const SITES = ['ams', 'fra', 'iad', 'nrt', 'sin']
export const REGIONS = ['eu', 'us', 'ap']
export const RULES = { fall: 3, rise: 2, intervalMs: 5000 }

/** A small generator with a seed (mulberry32, public domain by T. Ettinger). */
export function seeded(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A generation of the zones: check paths are edited, one service's checks go and come back. */
export interface Generation {
  readonly model: Model
  readonly plan: HealthSpec
  readonly siteOf: ReadonlyMap<string, string>
}

/** Edits come back to what was before: so many different ones there are. */
export const GENERATIONS = 12
const generations: Generation[] = Array.from({ length: GENERATIONS }, (_, number) => makeGeneration(number))

export const generation = (number: number): Generation => generations[number % GENERATIONS]!

function makeGeneration(number: number): Generation {
  const of = (name: string, sites: readonly string[], net: number, six: boolean, more: Partial<ServiceModel>) =>
    service({
      name,
      sites: sites.map((where) => {
        const host = SITES.indexOf(where) + 1
        const addresses = [`192.0.${net}.${host}`, ...(six ? [`2001:db8:${net}::${host}`] : [])]
        const vips = addresses.map((address) => ({ address, bytes: parseAddress(address)! }))
        return { site: where, vips, weight: 100, bias: 0, drained: false }
      }),
      ttl: { maxSeconds: 60, minSeconds: 15, settleMs: 120_000 },
      ...more,
    })
  const edited = Math.floor(number / 2)
  const services = [
    of('web', SITES, 1, true, {
      checks: [httpCheck({ path: `/v${edited}` })],
      keepPercent: 50,
      rampUpMs: 60_000,
      failback: 'manual',
    }),
    of('api', ['fra', 'iad', 'sin'], 2, false, { checks: [tcpCheck()], regions: 2, lastResort: { kind: 'nodata' } }),
    of('mail', ['ams', 'nrt'], 3, false, {
      checks: number % 3 === 2 ? [] : [httpCheck()],
      keepPercent: 0,
      failback: 'manual',
    }),
    of('news', ['fra', 'nrt'], 4, false, { checks: [tcpCheck(), httpCheck({ path: `/n${edited}` })] }),
  ]
  const model = {
    zones: [],
    drills: { drills: [], blocked: [] },
    sites: new Map(SITES.map((name) => [name, site(name)])),
    services,
  }
  const plan = makeHealthSpec(model)
  const siteOf = new Map(plan.members.flatMap((one) => one.targets.map((target) => [target, one.site] as const)))
  return { model, plan, siteOf }
}

export type Condition = 'up' | 'down' | 'flap' | 'slow'

/** The sites as they are, and since when. */
export class World {
  readonly condition = new Map<string, Condition>(SITES.map((name) => [name, 'up']))
  readonly since = new Map<string, number>(SITES.map((name) => [name, 0]))
  newest = 0
  readonly chance: () => number

  constructor(chance: () => number) {
    this.chance = chance
  }

  set(name: string, condition: Condition, now: number): void {
    if (this.condition.get(name) === condition) return
    this.condition.set(name, condition)
    this.since.set(name, now)
  }

  passes(name: string, now: number): boolean {
    const condition = this.condition.get(name)!
    if (condition === 'slow') return this.chance() < 0.5
    return condition === 'flap' ? Math.floor(now / 17) % 2 === 0 : condition === 'up'
  }
}

interface Probed {
  track: Track
  next: number
}

/** A prober as probe/prober.ts is one: real tracks, its own clock, and a writer that restores what was lost. */
export class Prober {
  readonly name: string
  readonly region: string
  readonly cuts = new Map<string, number>()
  /** Seconds until which it is dead, cut from the Store, or from the net. */
  deadUntil = 0
  storeCutUntil = 0
  netCutUntil = 0
  generation = 0
  adoptAt = 0
  /** Since when it sees and is heard. */
  wellSince = 0
  #identity: ProberIdentity
  #boot = 0
  #sequence = 0
  readonly #probed = new Map<string, Probed>()
  readonly #said = new Map<string, Vote>()
  #retireAt = Infinity
  #abstaining = false
  #wasCut = true

  constructor(name: string, region: string) {
    this.name = name
    this.region = region
    this.#identity = { name, region, bootId: `${name} 0` }
  }

  die(until: number): void {
    this.deadUntil = until
    this.#identity = { name: this.name, region: this.region, bootId: `${this.name} ${++this.#boot}` }
    this.#probed.clear()
    this.#said.clear()
    this.#sequence = 0
    this.#wasCut = true
  }

  second(now: number, world: World, bus: Bus): void {
    if (now < this.deadUntil) {
      this.wellSince = now
      this.#expire(now, bus)
      return
    }
    if (this.adoptAt <= now) this.#adopt(now, world)
    const heard = now >= this.storeCutUntil && !bus.away
    const whole = heard && (this.#wasCut || bus.posted.get(this.name)?.prober !== this.#identity)
    this.#wasCut = !heard
    const changed = this.#probe(now, world)
    if (!heard || now < this.netCutUntil) this.wellSince = now
    if (!heard) {
      this.#expire(now, bus)
      return
    }
    this.#heardAt = now
    if (whole) bus.say(this.#identity, this.#said.values())
    else for (const vote of changed) bus.change(this.#identity, vote)
    this.#retire(now, bus)
    const beat: Heartbeat = {
      prober: this.#identity,
      sequence: ++this.#sequence,
      configHash: '',
      overdue: 0,
      overdueAgeMs: 0,
    }
    bus.beat(beat)
  }

  #heardAt = 0

  /** What the Store does with a lease that ran out. */
  #expire(now: number, bus: Bus): void {
    if (now - this.#heardAt > 3) bus.posted.delete(this.name)
  }

  #adopt(now: number, world: World): void {
    this.adoptAt = Infinity
    this.generation = world.newest
    this.#retireAt = now + 30
    this.wellSince = now
  }

  #probe(now: number, world: World): Vote[] {
    const { siteOf } = generation(this.generation)
    const changed: Vote[] = []
    const abstains = now < this.netCutUntil
    for (const target of siteOf.keys())
      if (!this.#probed.has(target)) this.#probed.set(target, { track: NEW_TRACK, next: now })
    for (const [target, probed] of this.#probed) {
      const where = siteOf.get(target) ?? anySiteOf(target)
      if (probed.next <= now && !abstains) {
        const passed = world.passes(where, now) && !((this.cuts.get(where) ?? 0) > now)
        probed.track = advance(probed.track, passed, RULES, now * 1000)
        probed.next = now + (isUndecided(probed.track) ? 1 : 5)
      }
      const vote = voteOf(target, probed.track, abstains)
      const said = this.#said.get(target)
      if (vote === undefined || (said?.value === vote.value && said.moving === vote.moving)) continue
      this.#said.set(target, vote)
      changed.push(vote)
    }
    this.#abstaining = abstains
    return changed
  }

  /** Former targets go when their successors have had time to be decided. */
  #retire(now: number, bus: Bus): void {
    if (now < this.#retireAt || this.#abstaining) return
    this.#retireAt = Infinity
    const { siteOf } = generation(this.generation)
    const former = [...this.#probed.keys()].filter((target) => !siteOf.has(target))
    for (const target of former) {
      this.#probed.delete(target)
      this.#said.delete(target)
    }
    if (former.length > 0) bus.retire(this.#identity, former)
  }
}

const LIES = ['opposite', 'down', 'up', 'chance', 'abstain'] as const

/**
 * A prober that lies, with all that its own password lets it do to what is written in its name: votes against what is
 * true, boots and regions that change, sequences out of order, floods, silence.
 */
export class Liar {
  readonly name = 'liar'
  lies = 0
  /** Its user was deleted: it says nothing any more. */
  removed = false
  readonly #chance: () => number
  #identity: ProberIdentity = { name: this.name, region: 'nowhere', bootId: 'liar 0' }
  #lie: (typeof LIES)[number] = 'opposite'
  #boot = 0
  #sequence = 0
  #silentUntil = 0
  #saidAt = 0

  constructor(chance: () => number) {
    this.#chance = chance
  }

  second(now: number, world: World, bus: Bus): void {
    const chance = this.#chance
    const pick = <T>(all: readonly T[]): T => all[Math.floor(chance() * all.length)]!
    if (chance() < 0.02) this.#lie = pick(LIES)
    if (chance() < 0.02) this.#silentUntil = now + Math.floor(chance() * 20)
    if (this.removed || bus.away || now < this.#silentUntil) {
      if (now - this.#saidAt > 3) bus.posted.delete(this.name)
      return
    }
    if (chance() < 0.03) {
      this.#identity = {
        name: this.name,
        region: pick([...REGIONS, 'nowhere', 'liar']),
        bootId: `liar ${++this.#boot}`,
      }
      this.#sequence = 0
    }
    this.#saidAt = now
    const targets = [...generation(pick([world.newest, world.newest, now])).siteOf]
    const votes = targets.map(([target, where]) => this.#vote(target, world.passes(where, now), pick))
    if (bus.posted.get(this.name)?.prober !== this.#identity || chance() < 0.02) bus.say(this.#identity, votes)
    else for (const vote of votes.slice(0, Math.floor(chance() * 3))) bus.change(this.#identity, vote)
    if (chance() < 0.05) bus.retire(this.#identity, [pick(targets)[0]])
    this.#sequence = chance() < 0.01 ? Number.MAX_SAFE_INTEGER : chance() < 0.1 ? 1 : this.#sequence + 1
    bus.beat({ prober: this.#identity, sequence: this.#sequence, configHash: '', overdue: 0, overdueAgeMs: 0 })
  }

  #vote(target: string, passes: boolean, pick: <T>(all: readonly T[]) => T): Vote {
    const truth: VoteValue = passes ? 'up' : 'down'
    const opposite: VoteValue = passes ? 'down' : 'up'
    const said =
      this.#lie === 'opposite' ? opposite : this.#lie === 'chance' ? pick(['up', 'down'] as const) : this.#lie
    if (said !== truth) this.lies++
    return { target, value: said, moving: pick([true, false]), reason: said, rttMs: 1, share: pick([1000, 1000, 0]) }
  }
}

const anySiteOf = (target: string): string => generations.find(({ siteOf }) => siteOf.has(target))!.siteOf.get(target)!

function voteOf(target: string, track: Track, abstains: boolean): Vote | undefined {
  if (track.state === 'none' && !abstains) return undefined
  const value: VoteValue = abstains || track.state === 'none' ? 'abstain' : track.state
  return { target, value, moving: isMoving(track), reason: value, rttMs: 1, share: 1000 }
}

/** What a node was told, and what the plain words of the quorum make of it. */
export class Shadow {
  readonly roster = new Map<string, string>()
  readonly votes = new Map<string, Map<string, VoteValue>>()
  readonly live = new Set<string>()
  /** Of each target, what a quorum said last. */
  readonly said = new Map<string, 'up' | 'down'>()
  /** Targets of services that ask for two regions. */
  readonly twoRegions: ReadonlySet<string>

  constructor(twoRegions: ReadonlySet<string>) {
    this.twoRegions = twoRegions
  }

  /** Of a node that starts: what it knew of probers but for their names is gone. */
  async listen(link: Link, signal: AbortSignal): Promise<void> {
    this.live.clear()
    this.votes.clear()
    const own = ({ name, region }: ProberIdentity): Map<string, VoteValue> => {
      this.roster.set(name, region)
      this.live.add(name)
      let votes = this.votes.get(name)
      if (votes === undefined) this.votes.set(name, (votes = new Map()))
      return votes
    }
    await link.listen(
      {
        votes: (prober, votes, whole) => {
          const mine = own(prober)
          const before = whole ? [...mine.keys()] : []
          if (whole) mine.clear()
          for (const { target, value } of votes) mine.set(target, value)
          this.count(new Set([...before, ...votes.map(({ target }) => target)]))
        },
        retired: (prober, targets) => {
          for (const target of targets) own(prober).delete(target)
          this.count(targets)
        },
        heartbeat: (beat) => this.count(own(beat.prober).keys()),
        gone: ({ name }) => {
          this.live.delete(name)
          this.count(this.votes.get(name)?.keys() ?? [])
        },
        forgotten: (news) => {
          for (const { name } of news) {
            if (this.live.has(name)) continue
            this.roster.delete(name)
            this.votes.delete(name)
          }
        },
      },
      signal,
    )
  }

  /** Votes that count on a target. */
  on(target: string): [prober: string, value: VoteValue][] {
    return [...this.live].flatMap((name) => {
      const value = this.votes.get(name)?.get(target)
      return value === undefined ? [] : [[name, value] as [string, VoteValue]]
    })
  }

  count(targets: Iterable<string>): void {
    const asked = Math.min(3, this.roster.size)
    for (const target of targets) {
      const votes = this.on(target)
      const downs = votes.filter(([, value]) => value === 'down')
      const ups = votes.filter(([, value]) => value === 'up')
      const regions = new Set(downs.map(([name]) => this.roster.get(name))).size
      const most = this.twoRegions.has(target) ? Math.min(2, new Set(this.roster.values()).size) : 1
      if (downs.length > Math.max(asked, downs.length + ups.length) / 2 && regions >= most)
        this.said.set(target, 'down')
      else if (ups.length > downs.length && ups.length >= Math.min(2, asked)) this.said.set(target, 'up')
    }
  }
}

/** A serving node over restarts. */
export class Node {
  readonly name: string
  readonly table = makeHealthTable()
  readonly slots = new SlotRegistry()
  readonly #folder: string
  readonly #onChange: (node: Node, change: Change) => void
  shadow: Shadow
  link: Link | undefined
  health: NodeHealth | undefined
  services: SteeredService[] = []
  generation = 0
  adoptAt = Infinity
  deadUntil = 0
  cutUntil = 0
  /** Since when it lives, hears all, and has these zones. */
  wellSince = 0
  lost = false
  /** Its states when it was looked at last, and what they go by under a freeze. */
  frozen = { key: '', states: new Map<string, string>() }
  /** Which sites have failed over, and since when it has been so. */
  away = { key: '', since: 0 }
  /** It was started so. */
  learns = false
  /** What others took for down while it learnt from them; also of members that its zones had not then. */
  readonly learnt = new Set<string>()
  /** Members whose verdict is down here, and was once voted so. */
  readonly down = new Set<string>()
  #worlds = 0
  #life = 0
  #listening = new AbortController()

  constructor(name: string, folder: string, shadow: Shadow, onChange: (node: Node, change: Change) => void) {
    this.name = name
    this.#folder = folder
    this.shadow = shadow
    this.#onChange = onChange
  }

  async start(bus: Bus, now: number, newest: number): Promise<void> {
    if (this.lost) this.#life++
    this.#listening = new AbortController()
    this.link = bus.link()
    this.link.cut = now < this.cutUntil
    await this.shadow.listen(this.link, this.#listening.signal)
    this.health = new NodeHealth({
      table: this.table,
      store: this.link,
      node: { name: this.name, version: '1' },
      file: join(this.#folder, `${this.name}-${this.#life}`, 'health.json'),
      onChange: (change) => this.#onChange(this, change),
    })
    await this.health.start()
    this.adopt(newest, now)
  }

  adopt(number: number, now: number): void {
    const { model, plan } = generation(number)
    const slots = this.slots.assign(
      plan.members.map((member) => member.name),
      ++this.#worlds,
    )!
    this.generation = number
    this.adoptAt = Infinity
    this.wellSince = now
    this.services = model.services.map((one) => layOutService(one, model.sites, 0))
    for (const one of this.services) one.members.forEach((name, vip) => (one.slot[vip] = this.slots.slotOf(name)!))
    this.health!.adopt(plan, slots, `v${number}`)
  }

  async stop(): Promise<void> {
    this.#listening.abort()
    const { health, link } = this
    this.health = undefined
    this.link = undefined
    await health?.stop()
    await link?.close()
  }
}
