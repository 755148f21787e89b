/**
 * A fleet under random faults, in virtual time: sites die, flap and slow down; probers are cut off, restarted and blind;
 * nodes are cut off and restarted with and without their state; the Store goes away and forgets; zones change under way;
 * operators set and undo overrides. All along:
 *
 *   - no answer is empty by accident;
 *   - no member goes down without a quorum of DOWN votes that the node was told;
 *   - nodes with equal input agree;
 *   - an outage that enough well probers see is applied, or held with the reason visible, within its bound; and so is its end;
 *   - overrides are the same on all nodes that hear each other, and so are freezes, and which sites have failed over;
 *   - a site that has failed over stays passed over when it is well, where failback is manual;
 *   - while a freeze is in force no state changes but by an operator, new zones, or a service that yields;
 *   - a fourth prober that lies in every way it can moves verdicts by its one vote and no more, which is to say by what the
 *     rules above make of one vote for each prober's name; and once it is removed and forgotten no node knows of it.
 *
 * `MERIDIAN_WEEK_HOURS=168 vitest run test/health/week.test.ts` simulates the whole week; MERIDIAN_WEEK_SEED another one.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import type { Change, HealthSnapshot, MemberStatus } from '../../src/health/node-health.ts'
import { DOWN, FORCED_DOWN, stateOf } from '../../src/health/table.ts'
import { makeSelection, select } from '../../src/policy/select.ts'
import type { SteeredService } from '../../src/policy/service.ts'
import { STEERS_A, STEERS_AAAA } from '../../src/zone/pack.ts'
import { mapOf } from '../policy/fixture.ts'
import { Bus } from './bus.ts'
import { generation, GENERATIONS, Liar, Node, Prober, REGIONS, seeded, Shadow, SITES, World } from './week.ts'

const HOURS = Number(process.env['MERIDIAN_WEEK_HOURS'] ?? 2)
const SEED = Number(process.env['MERIDIAN_WEEK_SEED'] ?? 20_261_125)
/** Seconds after which a whole outage, or its end, must have been applied: checks every 5 s, 3 failures, leases of 3 s. */
const BOUND = 25
/** In which a node without state takes what the others know, once it reaches the Store. */
const LEARNING_SECONDS = 20
const realImmediate = setImmediate

const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'meridian-week-'))
afterAll(() => rmSync(folder, { recursive: true }))

class Week {
  readonly chance = seeded(SEED)
  readonly bus = new Bus()
  readonly world = new World(this.chance)
  readonly probers = REGIONS.map((region) => new Prober(`${region}-1`, region))
  readonly liar = new Liar(seeded(SEED + 1))
  readonly nodes: Node[]
  readonly violations: string[] = []
  readonly counts: Record<string, number> = {}
  now = 0
  #storeBackAt = 0
  #overriddenAt = 0
  #removeAt = Infinity
  #forgottenAt = Infinity
  #storeSince = 0
  readonly #ends: { at: number; end: () => void }[] = []
  readonly #out = makeSelection()

  constructor() {
    this.nodes = ['a', 'b', 'c'].map(
      (name) => new Node(name, folder, this.#shadow(), (node, change) => this.#changed(node, change)),
    )
  }

  async run(seconds: number): Promise<void> {
    for (const node of this.nodes) await node.start(this.bus, 0, 0)
    for (const prober of this.probers) prober.adoptAt = 0
    this.#removeAt = Math.floor(seconds * 0.7)
    for (this.now = 1; this.now <= seconds && this.violations.length === 0; this.now++) {
      await this.#second()
      // the disk is real
      if (this.now % 30 === 0) await new Promise((resolve) => realImmediate(resolve))
    }
    for (const node of this.nodes) await node.stop()
  }

  async #second(): Promise<void> {
    const { now } = this
    for (const due of this.#ends.filter(({ at }) => at <= now)) due.end()
    this.#ends.splice(0, Infinity, ...this.#ends.filter(({ at }) => at > now))
    if (this.chance() < 1 / 25) this.#fault()
    if (this.bus.away && now >= this.#storeBackAt) this.bus.away = false
    if (this.bus.away) this.#storeSince = now
    for (const node of this.nodes) await this.#tend(node)
    for (const prober of this.probers) prober.second(now, this.world, this.bus)
    this.liar.removed = now >= this.#removeAt
    this.liar.second(now, this.world, this.bus)
    if (this.liar.removed && this.#forgottenAt === Infinity) this.#forget()
    vi.advanceTimersByTime(1000)
    this.#judge()
  }

  async #tend(node: Node): Promise<void> {
    const { now } = this
    if (now < node.deadUntil) {
      if (node.health !== undefined) await node.stop()
      node.wellSince = now
      return
    }
    if (node.health === undefined) {
      if (node.lost) node.shadow = this.#shadow()
      node.learns = node.lost
      if (node.lost) node.learnt.clear()
      await node.start(this.bus, now, this.world.newest)
      this.#started(node)
      node.lost = false
    }
    if (node.adoptAt <= now) node.adopt(this.world.newest, now)
    const cut = now < node.cutUntil
    if (cut === node.link!.isUp && !this.bus.away) node.link!.cut = cut
    if (!node.link!.isUp) node.wellSince = now
    if (now - node.wellSince > LEARNING_SECONDS) node.learns = false
    if (node.learns) for (const one of this.nodes) for (const member of one.down) node.learnt.add(member)
  }

  #fault(): void {
    const { now, chance } = this
    const pick = <T>(all: readonly T[]): T => all[Math.floor(chance() * all.length)]!
    const lasting = (least: number, most: number): number => now + Math.floor(least + chance() * (most - least))
    const site = pick(SITES)
    const prober = pick(this.probers)
    const node = pick(this.nodes)
    const condition = (which: string, what: 'down' | 'flap' | 'slow', until: number): void => {
      this.world.set(which, what, now)
      this.#ends.push({ at: until, end: () => this.world.set(which, 'up', this.now) })
    }
    const faults: Readonly<Record<string, () => void>> = {
      'site down': () => condition(site, 'down', lasting(20, 400)),
      'two sites down': () => [site, pick(SITES)].forEach((one) => condition(one, 'down', lasting(60, 400))),
      'site flaps': () => condition(site, 'flap', lasting(60, 300)),
      'site slow': () => condition(site, 'slow', lasting(60, 300)),
      'all sites down': () => chance() < 0.3 && SITES.forEach((one) => condition(one, 'down', lasting(30, 120))),
      'path cut': () => prober.cuts.set(site, lasting(30, 300)),
      'prober blind': () => (prober.netCutUntil = lasting(10, 200)),
      'all probers blind': () => this.probers.forEach((one) => (one.netCutUntil = lasting(10, 60))),
      'prober cut from the Store': () => (prober.storeCutUntil = lasting(2, 120)),
      'prober restarted': () => prober.die(lasting(1, 60)),
      'node cut off': () => (node.cutUntil = lasting(2, 200)),
      'node restarted': () => (node.deadUntil = lasting(1, 30)),
      'node restarted without state': () => {
        node.deadUntil = lasting(1, 30)
        node.lost = true
      },
      'Store away': () => {
        this.bus.away = true
        this.#storeBackAt = lasting(2, 120)
      },
      'Store flushed': () => this.bus.away || this.bus.flush(),
      'zones changed': () => {
        this.world.newest++
        for (const one of [...this.nodes, ...this.probers]) one.adoptAt = lasting(1, 60)
      },
      'override set': () => this.#override(node, `${site}${pick(['', '/web', '/news', '/mail'])}`, false),
      'override undone': () => this.#override(node, '', true),
      'override undone too': () => this.#override(node, '', true),
      return: () => this.#return(node),
      'return too': () => this.#return(node),
      freeze: () => this.#freeze(node, 10 + Math.floor(chance() * 200)),
      unfreeze: () => this.#freeze(node, 0),
    }
    const name = pick(Object.keys(faults))
    this.counts[name] = (this.counts[name] ?? 0) + 1
    faults[name]!()
  }

  #override(node: Node, pattern: string, undo: boolean): void {
    if (node.health === undefined) return
    const inForce = node.health.snapshot().overrides.map(({ override }) => override.pattern)
    const which = undo ? inForce[Math.floor(this.chance() * inForce.length)] : pattern
    if (which === undefined) return
    const set = (['drain', 'drain', 'up', 'down'] as const)[Math.floor(this.chance() * 4)]!
    const forMs = this.chance() < 0.5 ? 1000 * Math.ceil(this.chance() * 600) : undefined
    const action = undo ? 'undone' : set
    const done = node.health.override({ pattern: which, action, forMs, who: 'ann', why: '', yes: this.chance() < 0.5 })
    this.counts['refused' in done ? 'refused' : 'overrides'] =
      (this.counts['refused' in done ? 'refused' : 'overrides'] ?? 0) + 1
    this.#overriddenAt = this.now
  }

  #return({ health }: Node): void {
    const services = health?.snapshot().services ?? []
    const away = services.flatMap(({ service, failedOver }) => failedOver.map(({ site }) => `${site}/${service}`))
    const pattern = away[Math.floor(this.chance() * away.length)]
    if (health === undefined || pattern === undefined) return
    const done = health.controls.return({ pattern, who: 'ann', why: '', yes: this.chance() < 0.3 })
    const what = 'refused' in done ? 'not returned' : 'returned'
    this.counts[what] = (this.counts[what] ?? 0) + 1
    this.#overriddenAt = this.now
  }

  #freeze({ health }: Node, seconds: number): void {
    const author = { who: 'ann', why: 'w' }
    const done =
      seconds === 0 ? health?.controls.unfreeze(author) : health?.controls.freeze({ forMs: 1000 * seconds, ...author })
    if (done === undefined || 'refused' in done) return
    this.#overriddenAt = this.now
  }

  /** An operator forgets the liar, at a node that is there and has seen it fall silent. */
  #forget(): void {
    const node = this.nodes.find((one) => one.health !== undefined && one.link!.isUp)
    const known = node?.health!.snapshot().probers.find(({ prober }) => prober === this.liar.name)
    const liar = { kind: 'prober', name: this.liar.name } as const
    if (known?.live !== false || typeof node!.health!.forget(liar) === 'string') return
    this.#forgottenAt = this.now
  }

  #shadow(): Shadow {
    const { members } = generation(0).plan
    return new Shadow(new Set(members.filter(({ regions }) => regions === 2).flatMap(({ targets }) => targets)))
  }

  /** Every target that a member ever had. */
  #targetsOf(member: string): string[] {
    const all = Array.from({ length: GENERATIONS }, (_, number) => generation(number).plan.members)
    return [...new Set(all.flatMap((members) => members.find(({ name }) => name === member)?.targets ?? []))]
  }

  #violate(what: string): void {
    this.violations.push(`second ${this.now}, seed ${SEED}: ${what}`)
  }

  /** At the very moment: a quorum of real DOWN votes stands behind every DOWN. */
  #changed(node: Node, { member, before, after, braked, why }: Change): void {
    this.counts[`${before} → ${after}${braked ? ' braked' : ''}`] =
      (this.counts[`${before} → ${after}${braked ? ' braked' : ''}`] ?? 0) + 1
    // who was down before is looked at in #started and #judge: the brake took hold of it while its node started
    if ((after !== 'down' && !braked) || before === 'down') return
    if (node.health?.snapshot().freeze) return // that says what is down, and #frozen() that nothing changes
    if (before !== 'up' && this.#isLearnt(node, member)) return
    this.#legitimate(node, member, `${before} → ${after}${braked ? ', braked' : ''}: ${why}`)
  }

  /** A verdict of down stands from the moment at which a quorum said so. */
  #legitimate(node: Node, member: string, what: string): void {
    if (node.down.has(member)) return
    node.down.add(member)
    if (this.#targetsOf(member).some((target) => node.shadow.said.get(target) === 'down')) return
    this.#violate(`${member} went down at ${node.name} without a quorum (${what})`)
  }

  /** What a node that starts takes for down was known: to itself, or, when it lost its state, to others. */
  #started(node: Node): void {
    if (node.lost) node.down.clear()
    for (const { member, verdict } of node.health!.snapshot().members) {
      if (verdict !== 'down' || node.down.has(member)) continue
      if (!this.#isLearnt(node, member)) this.#legitimate(node, member, 'from its start')
    }
  }

  /** What a node that lost its state may take from the others, at its start or when the Store is back. */
  #isLearnt(node: Node, member: string): boolean {
    const learnt = node.learnt.has(member) || (node.learns && this.nodes.some((one) => one.down.has(member)))
    if (learnt) node.down.add(member)
    return learnt
  }

  #judge(): void {
    const alive = this.nodes.filter((node) => node.health !== undefined)
    const snapshots = new Map(alive.map((node) => [node, node.health!.snapshot()]))
    for (const [node, snapshot] of snapshots) {
      if (this.now - Math.max(this.#forgottenAt, node.wellSince, this.#storeSince) > 5) {
        this.counts['rid of the liar'] = (this.counts['rid of the liar'] ?? 0) + 1
        if (snapshot.probers.some(({ prober }) => prober === this.liar.name))
          this.#violate(`the liar is still known at ${node.name}`)
      }
      for (const service of node.services) this.#answers(node, service)
      for (const member of snapshot.members) {
        if (member.verdict === 'up') node.learnt.delete(member.member)
        if (member.verdict !== 'down') node.down.delete(member.member)
        else if (!this.#isLearnt(node, member.member)) this.#legitimate(node, member.member, member.why)
        this.#precedence(node, member, snapshot)
        this.#applied(node, member)
      }
      this.#frozen(node, snapshot)
      const key = awayOf(snapshot)
      if (key !== node.away.key) node.away = { key, since: this.now }
    }
    for (const [i, one] of alive.entries())
      for (const other of alive.slice(i + 1)) this.#agree(one, other, snapshots.get(one)!, snapshots.get(other)!)
  }

  #answers(node: Node, service: SteeredService): void {
    const order = service.siteNames.map((_, i) => i).toSorted(() => this.chance() - 0.5)
    const cut = Math.floor(this.chance() * order.length)
    const groups = [order.slice(0, cut), order.slice(cut)].filter((group) => group.length > 0)
    for (const type of [STEERS_A, STEERS_AAAA]) {
      if ((service.types & type) === 0) continue
      const network = Math.floor(this.chance() * 2 ** 32) | 0
      select(
        service,
        mapOf([{ groups }]),
        node.table,
        Object.assign(this.#out, { class: 0, network, chance: network, type, trace: null }),
      )
      if (this.#out.count > 0) continue
      const six = (vip: number): boolean => service.members[vip]!.includes(':')
      const dead = (vip: number): boolean => [DOWN, FORCED_DOWN].includes(stateOf(node.table[service.slot[vip]!]!))
      const vips = service.members.map((_, vip) => vip)
      const stated = vips.every((vip) => dead(vip))
        ? service.lastResort === 'nodata'
        : vips.every((vip) => dead(vip) || six(vip) === (type === STEERS_A))
      this.counts['empty as stated'] = (this.counts['empty as stated'] ?? 0) + 1
      if (!stated) this.#violate(`an empty answer for ${service.name} at ${node.name}`)
    }
  }

  /** While a freeze is in force, and nobody does anything, states stay: but who was never seen up may be. */
  #frozen(node: Node, { freeze, overrides, services, members }: HealthSnapshot): void {
    const operators = overrides.map(({ override: { pattern, version } }) => `${pattern} ${version}`).toSorted()
    const yielding = services.filter((one) => one.yields).map(({ service }) => service)
    const away = services.map(({ failedOver }) => failedOver.map(({ site }) => site).join())
    const key =
      freeze === null ? '' : JSON.stringify([freeze.madeMs, node.wellSince, node.generation, operators, yielding, away])
    const going = members.filter(({ service }) => !yielding.includes(service))
    const states = new Map(going.map(({ member, state, braked }) => [member, braked ? 'braked' : state]))
    const before = node.frozen
    node.frozen = { key, states }
    if (key === '' || key !== before.key) return
    this.counts['frozen'] = (this.counts['frozen'] ?? 0) + 1
    if (members.some(({ frozen }) => frozen)) this.counts['frozen against verdicts'] = 1
    for (const [member, state] of states) {
      const was = before.states.get(member)
      if (was !== state && was !== 'unproven')
        this.#violate(`${member} is ${state} at ${node.name}, ${was} before, in a freeze`)
    }
  }

  /** force > drain > failover > brake > verdict; a freeze decides in place of the verdict. */
  #precedence(node: Node, one: MemberStatus, { services }: HealthSnapshot): void {
    const { member, site, service, state, override, braked, frozen } = one
    const verdict = frozen ? (one.verdict === 'down' ? 'up' : 'down') : one.verdict
    const isAway = services.some((each) => each.service === service && each.failedOver.some((at) => at.site === site))
    if (isAway && verdict === 'up') this.counts['recovered'] = (this.counts['recovered'] ?? 0) + 1
    const wanted =
      override?.action === 'up'
        ? 'up'
        : override?.action === 'down'
          ? 'forced'
          : verdict === 'down'
            ? braked && override === undefined
              ? 'up'
              : 'down'
            : override?.action === 'drain'
              ? 'drained'
              : isAway && verdict === 'up'
                ? 'recovered'
                : (verdict ?? 'unproven')
    if (state !== wanted) this.#violate(`${member} is ${state} at ${node.name}, not ${wanted}`)
  }

  #applied(node: Node, { member, site, verdict, held, why, targets }: MemberStatus): void {
    const { now, world } = this
    const condition = world.condition.get(site)!
    const sees = (one: Prober): boolean =>
      now - one.wellSince > BOUND && (one.cuts.get(site) ?? 0) < now - BOUND && one.generation === node.generation
    const steady = now - world.since.get(site)! > BOUND && now - node.wellSince > BOUND
    if (targets.length === 0 || !steady || this.probers.filter(sees).length < 2) return
    if (condition !== 'down' && condition !== 'up') return
    if (this.probers.some((one) => !sees(one)) && condition === 'up') return
    this.counts[`judged ${condition}`] = (this.counts[`judged ${condition}`] ?? 0) + 1
    if (verdict === condition || verdict === undefined) return
    if (held || why.includes('former check')) {
      this.counts['held'] = (this.counts['held'] ?? 0) + 1
      return
    }
    this.#violate(`${site} is ${condition}, but ${member} is ${verdict} at ${node.name}: ${why}`)
  }

  #agree(one: Node, other: Node, mine: HealthSnapshot, theirs: HealthSnapshot): void {
    if (one.generation !== other.generation) return
    const sameOverrides = inForce(mine) === inForce(theirs)
    const connected = this.now - Math.max(one.wellSince, other.wellSince, this.#storeSince, this.#overriddenAt) > 5
    if (connected && !sameOverrides) this.#violate(`overrides differ: ${inForce(mine)} ${inForce(theirs)}`)
    const sameControls = controlsOf(mine) === controlsOf(theirs)
    const stable = this.now - Math.max(one.away.since, other.away.since) > 5
    if (connected && stable && !sameControls) this.#violate(`they differ: ${controlsOf(mine)} ${controlsOf(theirs)}`)
    const equal = new Map<string, boolean>()
    for (const [i, member] of mine.members.entries()) {
      const twin = theirs.members[i]!
      const same = this.#sameInput(one, other, member) && isDecided(member) && isDecided(twin)
      equal.set(member.service, same && (equal.get(member.service) ?? true))
      if (same && member.verdict !== twin.verdict)
        this.#violate(`${member.member}: ${one.name} ${other.name} differ: ${member.why}, ${twin.why}`)
    }
    for (const [i, member] of mine.members.entries()) {
      if (!sameOverrides || !sameControls || !equal.get(member.service)) continue
      this.counts['compared'] = (this.counts['compared'] ?? 0) + 1
      const { state, braked } = theirs.members[i]!
      if (state !== member.state || braked !== member.braked)
        this.#violate(`${member.member} is ${member.state} at ${one.name}, ${state} at ${other.name}`)
    }
  }

  #sameInput(one: Node, other: Node, { member }: MemberStatus): boolean {
    const targets = generation(one.generation).plan.members.find(({ name }) => name === member)!.targets
    const heard = ({ shadow }: Node): string =>
      JSON.stringify(
        targets.map((target) => [Math.min(3, shadow.roster.size), shadow.on(target).map(String).toSorted()]),
      )
    return heard(one) === heard(other)
  }
}

const inForce = ({ overrides }: HealthSnapshot): string =>
  overrides
    .map(({ override: { pattern, action, version, node } }) => `${pattern} ${action} ${version} ${node}`)
    .toSorted()
    .join()

/** Which sites have failed over. */
const awayOf = ({ services }: HealthSnapshot): string =>
  services.flatMap(({ service, failedOver }) => failedOver.map(({ site }) => `${site}/${service}`)).join()

/** That, and who has frozen all, and for how long. */
const controlsOf = (snapshot: HealthSnapshot): string =>
  `${awayOf(snapshot)} ${snapshot.freeze === null ? '' : `${snapshot.freeze.node} ${snapshot.freeze.untilMs}`}`

/** By votes that it has heard, not by what it remembers. */
const isDecided = ({ verdict, held, why }: MemberStatus): boolean =>
  verdict !== undefined && !held && !why.includes('former check')

test(
  `${HOURS} hours of random faults, and a prober that lies`,
  async () => {
    vi.useFakeTimers({ now: 1_700_000_000_000 })
    const week = new Week()
    try {
      await week.run(HOURS * 3600)
    } finally {
      vi.useRealTimers()
    }
    week.counts['lies'] = week.liar.lies
    if (process.env['MERIDIAN_WEEK_HOURS'] !== undefined) console.log(week.counts)
    expect(week.violations).toEqual([])
    // it would prove nothing if nothing had happened
    const happened = [
      'up → down',
      'down → up',
      'up → up braked',
      'up → drained',
      'compared',
      'judged down',
      'judged up',
      'held',
      'down → recovered',
      'recovered → up',
      'returned',
      'recovered',
      'frozen',
      'frozen against verdicts',
      'lies',
      'rid of the liar',
    ]
    for (const what of happened) expect(week.counts[what], what).toBeGreaterThan(0)
  },
  Math.max(180_000, HOURS * 60_000),
)
