/**
 * The members of the served zones: judges them, applies the brake to their services, and writes the HealthTable's
 * words. node-health.ts calls it when votes, overrides or zones have changed; a timer here handles what time alone
 * changes.
 *
 *   judge(member) ─▶ count(member) ─▶ brake(service) ─▶ assess(member) ─▶ word
 *      └ judgement.ts   └ counts.ts      └ brake.ts        └ member-state.ts
 *
 * A vote costs its own members, and their services where their availability has changed; a batch costs each of them
 * once.
 */
import { createHash } from 'node:crypto'
import { type AbsentMembers, savedMember } from './absent.ts'
import { brake } from './brake.ts'
import { Counts } from './counts.ts'
import { Dissents } from './dissent.ts'
import type { Failback } from './failback.ts'
import type { Freeze } from './freeze.ts'
import type { MemberView } from './impact.ts'
import { type LiveVote, judge, type Judgement, NO_HISTORY, type MemberHistory } from './judgement.ts'
import {
  type Change,
  dissentOn,
  healthOf,
  type Member,
  type MemberStanding,
  type MemberStatus,
  type ReasonChange,
  type Service,
  type ServiceHealth,
  standingOf,
} from './member.ts'
import { assess, STATE_BITS } from './member-state.ts'
import { type News, tellDissent, tellDissentOver, tellService } from './news.ts'
import { type Outage, Outages } from './outages.ts'
import { isSame, matches, type Override, viewOf } from './override.ts'
import { quorumOf, type RosterEntry } from './quorum.ts'
import type { Roster, VoteTable } from './roster.ts'
import type { SavedMember } from './saved.ts'
import type { KnownMember } from './store.ts'
import { type HealthTable, healthWord, UNWATCHED } from './table.ts'
import {
  type AddressType,
  addressTypeOf,
  type HealthSpec,
  type MemberSpec,
  type ServiceSpec,
  type Target,
} from './target.ts'

/** What Members needs of its node. */
export interface MembersSettings {
  readonly table: HealthTable
  readonly absent: AbsentMembers
  readonly roster: Roster
  readonly overrideOf: (member: MemberSpec) => Override | undefined
  readonly failback: Pick<Failback, 'isAway' | 'whyAway' | 'failed' | 'lapsed'>
  /** The freeze in force; a change of it comes as one of overrides. */
  readonly freeze: () => Freeze | undefined
  /** Whether the Store is in trouble, so that no votes come. */
  readonly isCutOff: () => boolean
  readonly onChange: (change: Change) => void
  readonly onReason: (change: ReasonChange) => void
  /** Called when last resort or brake of a service, or dissent at a site, begins (warn) or ends (info). */
  readonly onNews: News
  /** Verdicts or proofs to publish to other nodes; undefined: the member has left. */
  readonly onKnown: (changes: ReadonlyMap<string, KnownMember | undefined>) => void
  /** Called when something that is saved has changed. */
  readonly onSavable: () => void
}

/** Version numbers in services' words start again after this one. */
const MOST_VERSION = 0x7fffffff

/** Changes by time within this step are made together. */
const WAKE_STEP_MS = 250
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The members of the served zones. */
export class Members {
  readonly #settings: MembersSettings
  readonly #members = new Map<string, Member>()
  readonly #services = new Map<string, Service>()
  /** Members whose condition will change by time alone. */
  readonly #waiting = new Set<Member>()
  #dependents = new Map<string, Member[]>()
  #targets = new Map<string, Target>()
  /** Ids of the targets of each site; undefined: to be made. */
  #targetsBySite: ReadonlyMap<string, ReadonlySet<string>> | undefined
  #most = { probers: 1, regions: 1 }
  #rosterShape = ''
  #hash: string | undefined
  /** By name, for the hash. */
  #sorted: readonly Member[] | undefined
  readonly #dissents = new Dissents()
  readonly #counts: Counts
  readonly #outages = new Outages()
  #timer: NodeJS.Timeout | undefined
  #wakeAtMs = Infinity
  /** To report once all words are written. */
  #reasons: ReasonChange[] = []
  /** The last value written to any service's word. */
  #version = 0
  #stopped = false

  constructor(settings: MembersSettings) {
    this.#settings = settings
    this.#counts = new Counts(settings)
  }

  /** Adopts new zones; all words are written when it returns. `words`: slots of the services' own words. */
  adopt(spec: HealthSpec, slots: Int32Array, words: ReadonlyMap<string, number>): void {
    const nowMs = performance.now()
    const { absent, onKnown } = this.#settings
    const names = new Set(spec.members.map((member) => member.name))
    const left = new Map<string, undefined>()
    const before = new Map(this.#services)
    for (const [name, member] of this.#members) {
      if (names.has(name)) continue
      this.#members.delete(name)
      this.#dissents.note(member.site, name, false)
      absent.leave(name, member.judgement, member.condition, nowMs)
      left.set(name, undefined)
    }
    if (left.size > 0) onKnown(left)
    // threads read the words of the previous World until they have adopted this one
    const { table } = this.#settings
    const kept = new Set(words.values())
    for (const { word } of this.#services.values()) {
      if (word !== undefined && !kept.has(word)) Atomics.store(table, word, UNWATCHED)
    }
    this.#services.clear()
    this.#waiting.clear()
    for (const service of spec.services) {
      const word = words.get(service.name)
      if (word !== undefined && table[word] === UNWATCHED) this.#touch(word)
      const { serving, freeze } = before.get(service.name) ?? {
        serving: new Set<string>(),
        freeze: this.#counts.freeze,
      }
      const none = { braked: new Set<string>(), lastResort: false, unanswered: [], serving, freeze }
      this.#services.set(service.name, { spec: service, members: [], word, ...none })
    }
    const wasUp = spec.members.filter((member, index) => this.#place(member, slots[index]!, nowMs))
    for (const [name, those] of Map.groupBy(wasUp, ({ site, service }) => `${site}/${service}`)) {
      const [site = '', service = ''] = name.split('/')
      const { serving, spec: own } = this.#services.get(service)!
      if (those.length >= own.minVips) serving.add(site)
    }
    this.#most = {
      probers: spec.members.reduce((most, { probers }) => Math.max(most, probers), 1),
      regions: spec.members.reduce((most, { regions }) => Math.max(most, regions), 1),
    }
    this.#rosterShape = this.#shape()
    this.#hash = undefined
    this.#sorted = undefined
    this.#targetsBySite = undefined
    this.#update(this.#members.values(), this.#services.values())
    this.#outages.keep(this.#members.values())
    this.#targets = new Map([...this.#targets, ...spec.targets.map((target) => [target.id, target] as const)])
    this.#index()
  }

  /** Judges the members that depend on the targets, or all of them if a roster change affects quorums. */
  votesChanged(targets: Iterable<string>): void {
    const shape = this.#shape()
    if (shape !== this.#rosterShape) {
      this.#rosterShape = shape
      this.#settings.onSavable()
      this.#update(this.#members.values())
      return
    }
    const members = new Set<Member>()
    for (const target of targets) for (const member of this.#dependents.get(target) ?? []) members.add(member)
    if (members.size > 0) this.#update(members)
  }

  /** Judges the members that an override, a failover or a freeze begins or ceases to match. */
  overridesChanged(patterns: readonly string[]): void {
    const freeze = this.#settings.freeze()
    const before = this.#counts.freeze
    this.#counts.freeze = freeze
    const goesOn = before !== undefined && freeze !== undefined && isSame(before.entry, freeze.entry)
    if (before !== undefined && !goesOn) this.#thaw(before.entry.setMs)
    this.#update([...this.#members.values()].filter(({ spec }) => patterns.some((pattern) => matches(pattern, spec))))
  }

  /** Lets ramps go on that a freeze has stopped, from where they were. `sinceMs`: of the freeze. */
  #thaw(sinceMs: number): void {
    const nowMs = performance.now()
    for (const member of this.#members.values()) {
      const { rampSinceMs } = member.condition
      if (rampSinceMs === undefined || rampSinceMs >= sinceMs) continue
      member.condition = { ...member.condition, rampSinceMs: rampSinceMs + nowMs - sinceMs }
    }
  }

  /** Gives members without a verdict the histories that are known by now, and judges them again. */
  learn(): void {
    const learnt: Member[] = []
    for (const [name, member] of this.#members) {
      const absent = this.#settings.absent.take(name)
      if (absent === undefined || member.judgement.verdict !== undefined) continue
      const { verdict, proven, deciding } = absent.history
      member.judgement = { ...member.judgement, verdict, proven, deciding }
      learnt.push(member)
    }
    this.#index()
    this.#update(learnt)
  }

  /** Whether votes on the target decide anything. */
  dependsOn(target: string): boolean {
    return this.#dependents.has(target)
  }

  /** Whether the member counts as down now, by its verdict or a freeze. */
  readonly isDown = ({ name }: MemberSpec): boolean => this.#members.get(name)?.verdict === 'down'

  /** Outages of sites. */
  get outages(): Iterable<Outage> {
    return this.#outages.all
  }

  /** How many members count as down, and how many go against their verdicts, by the freeze; and who goes by them. */
  get frozen(): { readonly down: number; readonly kept: number; readonly yields: readonly string[] } {
    const members = [...this.#members.values()].filter(({ service }) => service.freeze !== undefined)
    return {
      down: members.filter(({ verdict }) => verdict === 'down').length,
      kept: members.filter(({ condition }) => condition.frozen).length,
      yields: [...this.#services.values()].filter(({ freeze }) => freeze === undefined).map(({ spec }) => spec.name),
    }
  }

  get specs(): MemberSpec[] {
    return Array.from(this.#members.values(), ({ spec }) => spec)
  }

  /** Every member has a verdict, or the votes say that it was never up. */
  get decided(): boolean {
    for (const { spec, judgement } of this.#members.values())
      if (judgement.verdict === undefined && judgement.decided.size < spec.targets.length) return false
    return true
  }

  /** Hash of all members' states, whatever their order: nodes that agree have equal hashes. */
  get hash(): string {
    if (this.#hash === undefined) {
      const hash = createHash('sha256')
      this.#sorted ??= [...this.#members.values()].toSorted((a, b) => (a.spec.name < b.spec.name ? -1 : 1))
      for (const { spec, condition } of this.#sorted) hash.update(`${spec.name} ${condition.state}\n`)
      this.#hash = hash.digest('hex').slice(0, 16)
    }
    return this.#hash
  }

  /** The services that have a member that matches a pattern, with all their members. */
  servicesMatching(
    patterns: readonly string[],
  ): { readonly spec: ServiceSpec; readonly members: readonly MemberView[] }[] {
    const services = [...this.#services.values()]
    return services
      .filter(({ members }) => members.some(({ spec }) => patterns.some((pattern) => matches(pattern, spec))))
      .map(({ spec, members }) => ({
        spec,
        members: members.map((member) => ({
          spec: member.spec,
          verdict: member.verdict,
          away: member.away !== undefined,
          braked: member.condition.braked,
        })),
      }))
  }

  services(): ServiceHealth[] {
    return Array.from(this.#services.values(), (service) => this.#healthOf(service))
  }

  /** `wanted`: of which members. */
  status(nowMs: number, wanted: (standing: MemberStanding) => boolean = () => true): MemberStatus[] {
    return [...this.#members.values()]
      .filter((member) => wanted(standingOf(member, nowMs)))
      .map((member) => this.#statusOf(member, nowMs))
  }

  standings(nowMs: number): MemberStanding[] {
    return Array.from(this.#members.values(), (member) => standingOf(member, nowMs))
  }

  /** How the probers vote on the sites' targets. */
  votes(): VoteTable {
    this.#targetsBySite ??= this.#collectTargets()
    return this.#settings.roster.countVotes(this.#targetsBySite)
  }

  #collectTargets(): ReadonlyMap<string, ReadonlySet<string>> {
    const bySite = new Map<string, Set<string>>()
    for (const { site, spec } of this.#members.values()) {
      const ids = bySite.get(site) ?? new Set()
      bySite.set(site, ids)
      for (const id of spec.targets) ids.add(id)
    }
    return new Map([...bySite].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** One service with its members. */
  service(name: string, nowMs: number): { health: ServiceHealth; members: readonly MemberStatus[] } | undefined {
    const service = this.#services.get(name)
    if (service === undefined) return undefined
    return { health: this.#healthOf(service), members: service.members.map((member) => this.#statusOf(member, nowMs)) }
  }

  #healthOf(service: Service): ServiceHealth {
    return healthOf(service, this.#counts.freeze !== undefined && service.freeze === undefined)
  }

  /** Members as they are saved; those never seen up are left out. */
  collect(nowMs: number, wall: (ms: number) => number): [string, SavedMember][] {
    const saved: [string, SavedMember][] = []
    for (const [name, { judgement, condition }] of this.#members) {
      const { verdict } = judgement
      if (verdict !== undefined) saved.push([name, savedMember({ ...judgement, verdict }, condition, nowMs, wall)])
    }
    return saved
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #shape(): string {
    return this.#settings.roster.shape(this.#most.probers, this.#most.regions)
  }

  /**
   * Adds or updates a member; a new one takes its history, if there is one. Returns whether that has it up: a site that
   * has died unseen meanwhile fails over now.
   */
  #place(spec: MemberSpec, slot: number, nowMs: number): boolean {
    const service = this.#services.get(spec.service)!
    let member = this.#members.get(spec.name)
    let wasUp = false
    if (member === undefined) {
      const absent = this.#settings.absent.take(spec.name)
      const judgement = this.#judge(spec, absent?.history ?? NO_HISTORY, this.#settings.roster.entries)
      const override = this.#settings.overrideOf(spec)
      const { freeze } = service
      const { verdict, away, ...counts } = this.#counts.of({ spec, service, judgement, override }, nowMs)
      const known = { spec, service, override, judgement: absent?.history ?? NO_HISTORY }
      wasUp = this.#counts.of(known, nowMs).availability === 'up'
      const alone = { spec, service: service.spec, judgement, verdict, freeze, override, away }
      const condition = assess({ ...alone, braked: false, lastResort: false }, absent?.prior, nowMs)
      member = {
        site: spec.site,
        spec,
        slot,
        service,
        judgement,
        dissentMs: undefined,
        published: undefined,
        override,
        verdict,
        away,
        ...counts,
        condition,
      }
      this.#members.set(spec.name, member)
    } else Object.assign(member, { spec, slot, service })
    service.members.push(member)
    return wasUp
  }

  /** Rebuilds which members depend on which target. */
  #index(): void {
    const targets = new Map<string, Target>()
    this.#dependents = new Map()
    for (const member of this.#members.values()) {
      for (const id of new Set([...member.spec.targets, ...member.judgement.deciding])) {
        const dependents = this.#dependents.get(id)
        if (dependents === undefined) this.#dependents.set(id, [member])
        else dependents.push(member)
        const target = this.#targets.get(id)
        if (target !== undefined) targets.set(id, target)
      }
    }
    this.#targets = targets
  }

  readonly #targetOf = (id: string): Target | undefined => this.#targets.get(id)
  readonly #votesOn = (target: string): readonly LiveVote[] => this.#settings.roster.liveVotes(target)

  #judge(spec: MemberSpec, before: MemberHistory, roster: readonly RosterEntry[]): Judgement {
    return judge(spec, before, this.#votesOn, roster)
  }

  /** The only place where anything changes: judges members, applies brakes, then writes words. */
  #update(members: Iterable<Member>, services: Iterable<Service> = []): void {
    const { roster, overrideOf, onKnown, onSavable } = this.#settings
    const nowMs = performance.now()
    const entries = roster.entries
    const touched = new Set<Member>()
    const dirty = new Set(services)
    const known = new Map<string, KnownMember>()
    for (const member of members) {
      touched.add(member)
      const { spec, published } = member
      const judgement = this.#judge(spec, member.judgement, entries)
      const { verdict, proven } = judgement
      member.judgement = judgement
      member.override = overrideOf(spec)
      this.#outages.note(member, this.#targetOf, nowMs)
      if (verdict === undefined || (published?.verdict === verdict && published.proven === proven)) continue
      member.published = judgement
      known.set(spec.name, { verdict, proven: [...proven] })
    }
    for (const member of this.#counts.applyFreeze(touched)) touched.add(member)
    for (const member of touched) if (this.#counts.update(member, nowMs)) dirty.add(member.service)
    for (const service of dirty) for (const member of this.#brake(service, nowMs)) touched.add(member)
    // write every word before reporting: what was judged together is answered together, however long logging takes
    const changes = [...touched].map((member) => this.#write(member, nowMs)).filter((change) => change !== undefined)
    this.#wake(touched, nowMs)
    const reasons = this.#reasons
    this.#reasons = []
    for (const change of changes) this.#settings.onChange(change)
    for (const change of reasons) this.#settings.onReason(change)
    this.#reportDissent(touched, nowMs)
    if (known.size > 0) {
      onSavable()
      onKnown(known)
    }
  }

  /** Recomputes a service's brake, failovers and last resort; returns the members that are affected. */
  #brake(service: Service, nowMs: number): readonly Member[] {
    const { spec, members, braked: before, lastResort, unanswered } = service
    const { onNews } = this.#settings
    const { sites, lapsed, left } = brake(members, spec)
    const moved = this.#counts.failOver(service, { sites, lapsed, left }, nowMs)
    const out = members.filter(
      ({ unbraked, site }) => unbraked === 'forced' || (unbraked === 'down' && !sites.has(site)),
    )
    service.braked = sites
    service.lastResort = out.length === members.length
    service.unanswered = service.lastResort ? [] : typesOf(members).filter((type) => isAll(type, members, out))
    tellService(spec, { braked: before, lastResort, unanswered }, service, onNews)
    if (service.lastResort !== lastResort) return members
    if (sites.size === 0 && before.size === 0) return moved
    return [...moved, ...members.filter(({ site }) => sites.has(site) !== before.has(site))]
  }

  /** Reports sites at which dissent has begun, or is over. */
  #reportDissent(touched: Iterable<Member>, nowMs: number): void {
    const { roster, isCutOff, onNews } = this.#settings
    for (const member of touched) {
      const isHeld = dissentOn(member) !== undefined
      member.dissentMs = isHeld ? (member.dissentMs ?? nowMs) : undefined
      this.#dissents.note(member.site, member.spec.name, isHeld)
    }
    const { begun, over } = this.#dissents.changes()
    for (const site of over) tellDissentOver(onNews, site)
    for (const site of begun) {
      const there = [...this.#members.values()].filter((member) => member.site === site)
      const members = there.map((member) => ({ service: member.spec.service, dissent: dissentOn(member) }))
      tellDissent(onNews, site, members, roster.silent, isCutOff())
    }
  }

  /** Writes a member's word; returns the change to report, if any. */
  #write(member: Member, nowMs: number): Change | undefined {
    const { spec, slot, judgement, verdict, away, override, service, condition: before } = member
    const { lastResort } = service
    const braked = service.braked.has(spec.site)
    const own = { spec, service: service.spec, judgement, verdict, freeze: service.freeze, override, away }
    const condition = assess({ ...own, lastResort, braked }, before, nowMs)
    const { state, share, calm, why } = condition
    const { table } = this.#settings
    const word = healthWord(STATE_BITS[state], share, calm)
    if (table[slot] !== word) {
      Atomics.store(table, slot, word)
      if (service.word !== undefined) this.#touch(service.word)
    }
    member.condition = condition
    if (condition.wakeAtMs < Infinity) this.#waiting.add(member)
    else this.#waiting.delete(member)
    if (before.rampSinceMs !== condition.rampSinceMs) this.#settings.onSavable()
    if (before.state === state && before.braked === condition.braked) {
      const reason = { member: spec.name, state, braked: condition.braked, whyBefore: before.why, why }
      if (before.why !== why) this.#reasons.push(reason)
      return undefined
    }
    this.#hash = undefined
    const named = { member: spec.name, site: spec.site, service: spec.service }
    return {
      ...named,
      before: before.state,
      after: state,
      braked: condition.braked,
      wasBraked: before.braked,
      beforeAgeMs: nowMs - before.sinceMs,
      votes: this.#targetsOf(member).flatMap((target) => this.#settings.roster.votesOn(target, nowMs)),
      why,
    }
  }

  /** Targets of the zones, then former ones that still decide. */
  #targetsOf({ spec, judgement }: Member): readonly string[] {
    return [...new Set([...spec.targets, ...judgement.deciding])]
  }

  /** Writes a new version to a service's word. */
  #touch(word: number): void {
    this.#version = (this.#version + 1) & MOST_VERSION
    Atomics.store(this.#settings.table, word, this.#version)
  }

  /** Keeps one timer for everything that time alone changes: calm, ramps, and agents' shares. */
  #wake(members: Iterable<Member>, nowMs: number): void {
    let atMs = Infinity
    for (const { condition } of members) atMs = Math.min(atMs, condition.wakeAtMs)
    const stepMs = Math.ceil(atMs / WAKE_STEP_MS) * WAKE_STEP_MS
    if (stepMs >= this.#wakeAtMs || this.#stopped) return
    clearTimeout(this.#timer)
    this.#wakeAtMs = stepMs
    this.#timer = setTimeout(
      () => {
        this.#wakeAtMs = Infinity
        const wokenMs = performance.now()
        this.#update([...this.#waiting].filter(({ condition }) => condition.wakeAtMs <= wokenMs))
        this.#wake(this.#waiting, wokenMs)
      },
      Math.min(stepMs - nowMs, LONGEST_TIMER_MS),
    ).unref()
  }

  #statusOf(member: Member, nowMs: number): MemberStatus {
    const { spec, judgement, condition, override } = member
    const { verdict } = judgement
    const { share, shareWhy, calm, unrest, calmAtMs } = condition
    const targets = this.#targetsOf(member).flatMap((id) => {
      const target = this.#targets.get(id)
      if (target === undefined) return []
      const votes = this.#settings.roster.votesOn(id, nowMs)
      const fresh = votes.filter(({ value }) => value !== 'abstain').length
      return [{ target, votes, quorum: quorumOf(this.#settings.roster.entries, spec, fresh) }]
    })
    return {
      ...standingOf(member, nowMs),
      address: spec.address,
      verdict,
      calm,
      unrest,
      calmInMs: calmAtMs === undefined ? null : Math.max(0, calmAtMs - nowMs),
      share,
      shareWhy,
      override: override && viewOf(override),
      targets,
    }
  }
}

const typeOf = ({ spec }: Member): AddressType => addressTypeOf(spec)
const typesOf = (members: readonly Member[]): AddressType[] => [...new Set(members.map(typeOf))].toSorted()

/** Whether all members of the type are among those. */
const isAll = (type: AddressType, members: readonly Member[], those: readonly Member[]): boolean =>
  members.filter((member) => typeOf(member) === type).length === those.filter((one) => typeOf(one) === type).length
