/**
 * A node's view of health. It subscribes to the Store, keeps the roster, the overrides, the other nodes and the saved
 * state, and has the members judged (members.ts). Lives in the main thread, one per process.
 *
 *   Store ─▶ Roster ────▶ Members ─▶ words of the HealthTable
 *     │  └─▶ Overrides ──▶ ┘   └──▶ AbsentMembers, health.json, and what is published to other nodes
 *     └────▶ OtherNodes
 *
 * Missing data never changes a verdict. Times are this process's monotonic clock.
 */
import { hash, randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { messageOf } from '../problem.ts'
import { recoveryMs } from '../zone/budget.ts'
import { Saver } from '../state.ts'
import { AbsentMembers } from './absent.ts'
import { Controls, type FreezeStatus } from './controls.ts'
import { Failback } from './failback.ts'
import { outlookOf, type Outlook, type OutlookRequest, refusal } from './impact.ts'
import type { Change, MemberStanding, MemberStatus, ReasonChange, ServiceHealth } from './member.ts'
import { Members } from './members.ts'
import type { News, Topic } from './news.ts'
import { type Acknowledged, type Acknowledgement, type NodeStatus, OtherNodes } from './other-nodes.ts'
import { canonicalPattern, matches, type Override, type OverrideRequest } from './override.ts'
import { type OverrideChange, OverrideChanges } from './override-changes.ts'
import { DISK_MS, type SaveResult, Overrides, type OverrideStatus } from './overrides.ts'
import type { Outage } from './outages.ts'
import type { Refusals } from './refusals.ts'
import { type ProberStatus, Roster, type VoteStatus, type VoteTable } from './roster.ts'
import { HEALTH_FILE, MEMORY_MS, readSaved, type SavedHealth } from './saved.ts'
import type {
  FleetRates,
  Forgotten,
  NodeIdentity,
  NodeWriter,
  ProberIdentity,
  ProcessName,
  Store,
  StoreSubscriber,
} from './store.ts'
import type { HealthTable } from './table.ts'
import type { HealthSpec } from './target.ts'
import { within } from './within.ts'

export type {
  Acknowledgement,
  Change,
  FreezeStatus,
  SaveResult,
  MemberStanding,
  MemberStatus,
  NodeStatus,
  Outage,
  Outlook,
  OverrideChange,
  OverrideStatus,
  ProberStatus,
  ReasonChange,
  ServiceHealth,
  Topic,
  VoteStatus,
  VoteTable,
}

/** What became of an override request: set, or refused with the reason and a hint. */
export type OverrideOutcome =
  | {
      /** Those that were asked for, in their order, and the members that each matches. */
      readonly done: readonly Override[]
      readonly members: readonly (readonly string[])[]
      readonly saved: Promise<SaveResult & Acknowledgement>
    }
  /** Why not, and what to do instead. */
  | { readonly refused: string; readonly hint?: string }

/** Where a forgotten process is stored, and which nodes have it. */
export type ForgetSaved = Omit<SaveResult, 'current'> & Acknowledgement

/** Everything that status, metrics and API show of health. */
export interface HealthSnapshot {
  readonly members: readonly MemberStatus[]
  readonly services: readonly ServiceHealth[]
  readonly probers: readonly ProberStatus[]
  readonly nodes: readonly NodeStatus[]
  /** Overrides in force; tombstones and expired ones are left out. */
  readonly overrides: readonly OverrideStatus[]
  /** null: there is none. */
  readonly freeze: FreezeStatus | null
  /** Of this node's view: `trouble` in words while what it hears may be old. */
  readonly store: {
    readonly shared: boolean
    readonly trouble: string | undefined
    /** What was read and not taken. */
    readonly refused: Refusals['counts']
  }
  /** Operational trouble as it is now: saved state unreadable or unwritable. Empty when all is well. */
  readonly troubles: readonly string[]
}

/** The same without votes, which are most of it. */
export interface HealthOverview extends Omit<HealthSnapshot, 'members'> {
  readonly members: readonly MemberStanding[]
}

/** What NodeHealth needs of its process. */
export interface NodeHealthSettings {
  readonly table: HealthTable
  readonly store: Store
  /** The node's identity; undefined: it publishes nothing, and its overrides stay local. */
  readonly node?: { readonly name: string; readonly version: string }
  /** State file, e.g. `state/health.json`; overrides.json is stored beside it. undefined: nothing is saved. */
  readonly file?: string
  /** The longest that an override may last, set here; undefined: for ever. */
  readonly maxForMs?: number
  /** What this node answers; other nodes are told while a drill is in force. */
  readonly rates?: () => FleetRates
  /** Called for each change of a member's state or brake, after its word was written. */
  readonly onChange?: (change: Change) => void
  /** Called when the reason for a member's state has changed, and nothing else of it. */
  readonly onReason?: (change: ReasonChange) => void
  /** Called when an override has begun, changed, ended or arrived; not for those that the saved state had. */
  readonly onOverride?: (change: OverrideChange) => void
  /** Called for changes of brake and last resort, and when a prober falls silent while the Store works. */
  readonly onNews?: News
  /** Called when trouble begins (once each time). */
  readonly onTrouble?: (trouble: string) => void
}

/** Of a slow check, the longest that a DOWN told behind a silence is doubted: a site may really have died meanwhile. */
const DOUBT_MS = 15_000
/** How long the start waits for what other nodes know, in ms. */
const LEARN_MS = 2000
/** Reads of a Store that is back: it may be a new one that other nodes have yet to fill. */
const LEARN_TRIES = 5

/** Health as one node sees it. */
export class NodeHealth {
  /** This node in this run of its process. */
  readonly identity: NodeIdentity
  readonly #settings: NodeHealthSettings
  readonly #writer: NodeWriter | undefined
  readonly #roster: Roster
  readonly #absent = new AbsentMembers()
  readonly #overrides: Overrides
  readonly #failback: Failback
  readonly #members: Members
  /** Freezes, and returns of sites that have failed over. */
  readonly controls: Controls
  readonly #otherNodes: OtherNodes | undefined
  readonly #troubles = new Map<string, string>()
  readonly #overrideChanges = new OverrideChanges()
  #isRestoring = false
  /** Probers and (#silentNodes) nodes whose silence was reported. */
  readonly #silent = new Set<string>()
  readonly #silentNodes = new Set<string>()
  /** Processes that are gone for good, as the Store lists them. */
  #forgotten: readonly Forgotten[] = []
  readonly #listening = new AbortController()
  #view = ''
  #revision: string | undefined
  #specHash = ''
  #saver: Saver | undefined
  #forgetTimer: NodeJS.Timeout | undefined
  #learnTimer: NodeJS.Timeout | undefined
  #doubtTimer: NodeJS.Timeout | undefined
  /** By target: how long probers take to find it well again. */
  #recoveries: ReadonlyMap<string, number> = new Map()
  #learnTries = LEARN_TRIES
  #restored = false
  #changes = 0

  constructor(settings: NodeHealthSettings) {
    this.#settings = settings
    const { node, store, file, maxForMs, table } = settings
    const identity = { name: node?.name ?? '', bootId: randomUUID() }
    this.identity = identity
    const writer = node === undefined ? undefined : store.nodeWriter(identity)
    this.#writer = writer
    this.#roster = new Roster(store.refusals)
    this.#overrides = new Overrides({
      file: file === undefined ? undefined : join(dirname(file), 'overrides.json'),
      ...(maxForMs !== undefined && { maxForMs }),
      send: async (entries) => (await writer?.override(entries)) ?? [],
      onChange: (patterns) => {
        this.#changes++
        this.#failback.heard(patterns)
        this.#members.overridesChanged(patterns)
        this.#tellOverrides(patterns)
        if (this.#otherNodes?.started === true) this.#otherNodes.beat() // it acknowledges them
      },
      onTrouble: (kind, trouble) => this.#trouble(`overrides ${kind}`, trouble),
    })
    this.#failback = new Failback({
      failoverOf: (site, service) => this.#overrides.failoverOf(site, service),
      failovers: () => this.#overrides.failovers,
      entryOf: (pattern) => this.#overrides.entryOf(pattern),
      onDropped: (patterns) => this.#members.overridesChanged(patterns),
      record: (seen) => this.#overrides.record(seen, identity.name),
      rank: () => this.#otherNodes?.rank ?? 0,
    })
    this.#members = new Members({
      table,
      absent: this.#absent,
      roster: this.#roster,
      overrideOf: (member) => this.#overrides.of(member),
      failback: this.#failback,
      freeze: () => this.#overrides.freeze,
      isCutOff: () => store.trouble !== undefined,
      onChange: (change) => {
        this.#changes++
        settings.onChange?.(change)
      },
      onReason: (change) => settings.onReason?.(change),
      onNews: (level, news, topic) => settings.onNews?.(level, news, topic),
      // what the Store does not accept now, the writer sends with a later heartbeat
      onKnown: (changes) => void writer?.writeMembers(changes).catch(() => {}),
      onSavable: () => this.#saver?.touch(),
    })
    this.controls = new Controls({
      node: identity.name,
      overrides: this.#overrides,
      members: this.#members,
      acknowledged: (saving) => this.#savedAndReached(saving, 'controls'),
    })
    if (node === undefined || writer === undefined) return
    const self = () => ({
      view: this.#view,
      ...(this.#revision !== undefined && { revision: this.#revision }),
      ...(this.#forgottenHash !== undefined && { forgotten: this.#forgottenHash }),
      plan: this.#specHash,
      verdicts: this.#members.hash,
      overrides: this.#overrides.hash,
      controls: this.#overrides.controlsHash,
      ...(this.#overrides.isDrilled && settings.rates !== undefined && { rates: settings.rates() }),
    })
    this.#otherNodes = new OtherNodes({ node: identity, version: node.version, writer, self, refusals: store.refusals })
  }

  /**
   * Reads the saved state, learns what other nodes know, and begins to listen; 2 s at most where the Store can't be
   * reached. Call adopt() after it: then a restart's first World has its verdicts.
   */
  async start(): Promise<void> {
    const { file, store } = this.#settings
    if (file !== undefined) {
      this.#restore(file)
      this.#saver = new Saver({
        file,
        kind: HEALTH_FILE,
        collect: () => this.#collect(),
        onTrouble: (trouble) => this.#trouble('health save', trouble),
      })
      this.#saver.start()
    }
    this.readOverrides()
    this.#forgetTimer = setInterval(() => this.#forget(), 60_000).unref()
    const known = within(LEARN_MS, store.readMembers(), () => []).catch(() => [])
    await store.listen(this.#subscriber, this.#listening.signal)
    this.#absent.learn(await known, performance.now())
    if (store.trouble !== undefined) this.#learnTimer = setInterval(() => void this.#learnLate(), LEARN_MS).unref()
  }

  /** The Store was unreachable at the start: takes what other nodes know for members unknown here. */
  async #learnLate(): Promise<void> {
    const { store } = this.#settings
    if (store.trouble !== undefined) return
    const known = await within(LEARN_MS, store.readMembers(), () => []).catch(() => [])
    if (this.#listening.signal.aborted) return
    if (known.length > 0 || --this.#learnTries === 0) clearInterval(this.#learnTimer)
    this.#absent.learn(known, performance.now())
    this.#members.learn()
    this.#hearMissed()
  }

  /** Which targets decide something has changed. */
  #hearMissed(): void {
    const missed = this.#roster.setTargets(
      (target) => this.#members.dependsOn(target),
      (target) => this.#recoveries.get(target) ?? 0,
    )
    for (const prober of missed) this.#settings.store.repeat(prober)
  }

  /**
   * Adopts the health spec of the World that is about to be published; slots[i] is the slot of spec.members[i]
   * (SlotRegistry.assign). All words are written when it returns. `view`: hash of all that is served
   * (WorldBuild.view). `words`: slots of the services' own words.
   */
  adopt(spec: HealthSpec, slots: Int32Array, view = '', words: ReadonlyMap<string, number> = new Map()): void {
    this.#view = view
    this.#specHash = spec.hash
    this.#recoveries = new Map(spec.targets.map(({ id, check }) => [id, Math.min(recoveryMs(check), DOUBT_MS)]))
    this.#changes++
    this.#members.adopt(spec, slots, words)
    this.#failback.adopted(spec.members)
    this.#hearMissed()
    this.#saver?.touch()
    // heartbeats begin when there is something to report
    if (this.#otherNodes?.started === false) this.#otherNodes.start()
  }

  /** Sets the git revision of the served zones, which heartbeats carry; undefined outside of git. */
  revise(revision: string | undefined): void {
    this.#revision = revision
  }

  /** Saved state was read, or every member has a verdict: one of the two conditions of `ready`; the other is time. */
  get decided(): boolean {
    return this.#restored || this.#members.decided
  }

  /** No prober is heard: what was known before stands. */
  get isStale(): boolean {
    return !this.#roster.hasLive
  }

  /** Rises when something that snapshot() or votes() has changes, other than times. */
  get changes(): number {
    return this.#changes
  }

  /** How the probers vote on the sites' targets. */
  votes(): VoteTable {
    return this.#members.votes()
  }

  /** Nodes that are heard; this one when it hears itself. */
  liveNodes(): readonly NodeIdentity[] {
    return this.#otherNodes?.live() ?? []
  }

  /** The current state, for status, metrics and API. `wanted`: of which members. */
  snapshot(wanted?: (standing: MemberStanding) => boolean): HealthSnapshot {
    return { ...this.#shared(), members: this.#members.status(performance.now(), wanted) }
  }

  /** The current state at a glance: made in milliseconds for 10,000 members. */
  overview(): HealthOverview {
    return { ...this.#shared(), members: this.#members.standings(performance.now()) }
  }

  /** Probers and nodes alone. */
  get fleet(): Pick<HealthSnapshot, 'probers' | 'nodes'> {
    const nowMs = performance.now()
    return { probers: this.#roster.status(nowMs), nodes: this.#otherNodes?.status(nowMs) ?? [] }
  }

  /** The last outage of each service at each site since the start. */
  get outages(): Iterable<Outage> {
    return this.#members.outages
  }

  /** Live probers that are alone with what they say, and in which way. */
  get doubts(): ReadonlyMap<string, 'disagrees' | 'abstains'> {
    return this.#roster.doubts()
  }

  #shared(): Omit<HealthSnapshot, 'members'> {
    const { store } = this.#settings
    return {
      services: this.#members.services(),
      ...this.fleet,
      overrides: this.#overrides.status(this.#members.specs),
      freeze: this.controls.status,
      store: { shared: store.shared, trouble: store.trouble, refused: store.refusals.counts },
      troubles: [...this.#troubles.values()],
    }
  }

  /** One service as snapshot() shows it. */
  service(name: string): { readonly health: ServiceHealth; readonly members: readonly MemberStatus[] } | undefined {
    return this.#members.service(name, performance.now())
  }

  /**
   * Sets or undoes overrides here at once: all of them, or none. `saved` resolves when they are in the local file and in
   * the Store.
   */
  override(...requests: readonly OverrideRequest[]): OverrideOutcome {
    const asked = requests.map((request) => {
      return { ...request, pattern: canonicalPattern(request.pattern) ?? request.pattern }
    })
    const takes = asked.some(
      ({ action, shift }) => action === 'drain' || action === 'down' || (shift?.to ?? 1000) < 1000,
    )
    const outlook = takes ? this.#outlookOf(asked) : undefined
    const { specs } = this.#members
    const { maxForMs } = this.#settings
    const refused = refusal(asked, outlook, specs, this.#overrides.all, performance.now(), maxForMs)
    if (refused !== undefined) return refused
    const { done, saved } = this.#overrides.set(asked, this.#settings.node?.name ?? '')
    const members = asked.map(({ pattern }) => specs.filter((spec) => matches(pattern, spec)).map(({ name }) => name))
    return { done, members, saved: this.#savedAndReached(saved) }
  }

  /** Adds to a result which nodes acknowledge it. */
  async #savedAndReached(
    saving: Promise<SaveResult>,
    what: Acknowledged = 'overrides',
  ): Promise<SaveResult & Acknowledgement> {
    const saved = await saving
    return { ...saved, ...(await this.#acknowledgement(what, saved.store === undefined)) }
  }

  /** `waits`, `isHere`: as OtherNodes takes them. */
  async #acknowledgement(what: Acknowledged, waits: boolean, isHere?: () => boolean): Promise<Acknowledgement> {
    const nodes = await this.#otherNodes?.acknowledgement(what, waits, isHere)
    return nodes ?? { reached: [this.#settings.node?.name ?? ''], unreached: [] }
  }

  /** Reads overrides that a predecessor with the same state folder received meanwhile. */
  readOverrides(): void {
    this.#isRestoring = true
    this.#overrides.read()
    this.#isRestoring = false
  }

  #tellOverrides(patterns: readonly string[]): void {
    const changes = this.#overrideChanges.take(patterns, this.#overrides.all, this.#members.specs, performance.now())
    if (!this.#isRestoring) for (const change of changes) this.#settings.onOverride?.(change)
  }

  /**
   * What draining the members of all patterns would leave, to the share `to` in ‰; a string says what is wrong with a
   * pattern.
   */
  outlook(patterns: readonly string[], to = 0): Outlook | string {
    const { specs } = this.#members
    const requests: OutlookRequest[] = []
    for (const written of patterns) {
      const pattern = canonicalPattern(written)
      if (pattern === undefined) return `${written} is no SITE, SITE/SERVICE or SITE/SERVICE/VIP`
      if (!specs.some((spec) => matches(pattern, spec))) return `${written} matches no member`
      requests.push({ pattern, action: 'shift', shift: { to, overMs: 0 } })
    }
    return this.#outlookOf(requests)
  }

  /** Removes a decommissioned prober or node from all nodes; a string says why not. */
  forget(process: ProcessName): string | { readonly saved: Promise<ForgetSaved> } {
    const { kind, name } = process
    const live = kind === 'prober' ? this.#roster.isLive(name) : this.#otherNodes?.isLive(name)
    if (live === undefined) return `no ${kind} named ${name} was seen in the last 24 h`
    if (live) return `${name} is alive: stop it first, and wait until it is shown as gone`
    const id = randomUUID()
    const sent = this.#writer?.forget(process, id)
    this.#forgetProcesses([process])
    return { saved: this.#savedForgotten(id, sent) }
  }

  async #savedForgotten(id: string, sent: Promise<void> | undefined): Promise<ForgetSaved> {
    const saved = within(
      DISK_MS,
      this.#saver?.save() ?? Promise.resolve(undefined),
      () => 'the disk did not answer so far',
    )
    const store = await sent?.then(() => undefined, messageOf)
    const isListed = () => this.#forgotten.some((one) => one.id === id)
    const nodes = await this.#acknowledgement('forgotten', store === undefined, isListed)
    return { disk: await saved, store, ...nodes }
  }

  /** Stops listening and saves the state. */
  async stop(): Promise<void> {
    this.#listening.abort()
    clearInterval(this.#forgetTimer)
    clearInterval(this.#learnTimer)
    clearTimeout(this.#doubtTimer)
    this.#members.stop()
    this.#failback.stop()
    await this.#otherNodes?.stop()
    await this.#overrides.stop()
    await this.#saver?.stop()
  }

  readonly #subscriber: StoreSubscriber = {
    votes: (identity, votes, whole) =>
      this.#judgeAgain(this.#roster.applyVotes(identity, votes, whole, performance.now())),
    retired: (identity, targets) => this.#judgeAgain(this.#roster.retire(identity, targets, performance.now())),
    heartbeat: (beat) => {
      const { name, region } = beat.prober
      if (this.#silent.delete(name)) this.#settings.onNews?.('info', `prober ${name} (${region}) is heard again`)
      this.#judgeAgain(this.#roster.beat(beat, performance.now()))
    },
    gone: (identity) => {
      this.#reportSilent(identity)
      this.#judgeAgain(new Set(this.#roster.gone(identity)))
    },
    absent: (prober, ageMs) => this.#addAbsentProber(prober, ageMs),
    forgotten: (news, all) => {
      const known = this.#forgetProcesses(news)
      for (const { kind, name } of known) this.#settings.onNews?.('info', `${kind} ${name} is gone for good: removed`)
      const before = this.#forgottenHash
      this.#forgotten = all
      if (this.#forgottenHash !== before && this.#otherNodes?.started === true) this.#otherNodes.beat() // acknowledges it
    },
    node: (beat) => {
      const { name } = beat.node
      if (this.#silentNodes.delete(name)) this.#settings.onNews?.('info', `node ${name} is heard again`)
      this.#otherNodes?.receive(beat, performance.now())
    },
    nodeGone: (identity) => this.#reportSilentNode(identity),
    overrides: (entries, whole) => this.#overrides.receive(entries, whole),
  }

  /** `targets`: those whose votes have changed. */
  #judgeAgain(targets: ReadonlySet<string>): void {
    if (targets.size > 0) this.#changes++
    this.#members.votesChanged(targets)
    const { doubtMs } = this.#roster
    if (doubtMs === undefined || this.#doubtTimer !== undefined || this.#listening.signal.aborted) return
    this.#doubtTimer = setTimeout(
      () => {
        this.#doubtTimer = undefined
        this.#judgeAgain(this.#roster.endDoubts(performance.now()))
      },
      Math.max(0, doubtMs - performance.now()) + 1,
    ).unref()
  }

  /** While the Store is in trouble everyone is silent, and that is told already. */
  #reportSilent({ name, region }: ProberIdentity): void {
    const { store, onNews } = this.#settings
    if (store.trouble !== undefined || this.#roster.isLive(name) !== true) return
    this.#silent.add(name)
    onNews?.('warn', `prober ${name} (${region}) has fallen silent: its votes no longer count`)
  }

  #reportSilentNode(identity: NodeIdentity): void {
    const { store, onNews } = this.#settings
    const wasLive = this.#otherNodes?.gone(identity) === true
    if (!wasLive || store.trouble !== undefined) return
    this.#silentNodes.add(identity.name)
    onNews?.('warn', `node ${identity.name} has fallen silent: it has ended, stands still, or is cut off from Redis`)
  }

  #outlookOf(requests: readonly OutlookRequest[]): Outlook {
    const services = this.#members.servicesMatching(requests.map(({ pattern }) => pattern))
    return outlookOf(requests, services, this.#overrides.all, performance.now())
  }

  #restore(file: string): void {
    const wallMs = Date.now()
    const nowMs = performance.now()
    const { saved, trouble } = readSaved(file, wallMs)
    this.#trouble('health read', trouble)
    if (saved === undefined) return
    this.#restored = true
    const here = (thenMs: number) => nowMs - Math.max(0, wallMs - thenMs)
    this.#absent.restore(saved.members, here)
    const roster = this.#settings.store.shared ? Object.entries(saved.roster) : []
    for (const [name, { region, heardMs }] of roster) this.#roster.restore(name, region, here(heardMs))
    this.#forget() // the file is young, but it may tell of what was old then
  }

  #collect(): SavedHealth {
    const savedMs = Date.now()
    const nowMs = performance.now()
    const wall = (thenMs: number) => savedMs - (nowMs - thenMs)
    const members = this.#absent.collect(wall)
    members.push(...this.#members.collect(nowMs, wall))
    const roster = this.#roster
      .status(nowMs)
      .map(({ prober, region, ageMs }) => [prober, { region, heardMs: wall(nowMs - ageMs) }] as const)
    return { savedMs, roster: Object.fromEntries(roster), members: Object.fromEntries(members) }
  }

  /** Without it a node that has no saved roster would take the few probers that it hears for all there are. */
  #addAbsentProber(prober: string, ageMs: number): void {
    if (ageMs > MEMORY_MS) return
    this.#roster.restore(prober, '', performance.now() - ageMs)
    this.#members.votesChanged([])
  }

  /** Drops probers, nodes and members that have been gone for longer than MEMORY_MS. */
  #forget(): void {
    const oldestMs = performance.now() - MEMORY_MS
    this.#absent.forget(oldestMs)
    this.#forgetProcesses([
      ...this.#roster.silentSince(oldestMs).map((name) => ({ kind: 'prober', name }) as const),
      ...(this.#otherNodes?.silentSince(oldestMs) ?? []).map((name) => ({ kind: 'node', name }) as const),
    ])
  }

  /** Drops silent probers and nodes; returns those that were known. */
  #forgetProcesses(processes: readonly ProcessName[]): readonly ProcessName[] {
    const known = processes.filter(({ kind, name }) => {
      if (kind === 'node') {
        this.#silentNodes.delete(name)
        return this.#otherNodes?.forget(name)
      }
      this.#silent.delete(name)
      return this.#roster.forget(name)
    })
    if (known.some(({ kind }) => kind === 'prober')) this.#members.votesChanged([])
    return known
  }

  /** Equal at nodes that have read the same list; undefined: it is empty. */
  get #forgottenHash(): string | undefined {
    if (this.#forgotten.length === 0) return undefined
    const ids = this.#forgotten.map(({ id }) => id).toSorted()
    return hash('sha256', ids.join('\n'), 'hex').slice(0, 16)
  }

  #trouble(kind: string, trouble: string | undefined): void {
    if (trouble === undefined) this.#troubles.delete(kind)
    else if (this.#troubles.get(kind) !== trouble) {
      this.#troubles.set(kind, trouble)
      this.#settings.onTrouble?.(trouble)
    }
  }
}
