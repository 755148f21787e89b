/**
 * A node's view of health: hears the Store, keeps the roster (roster.ts), the overrides (overrides.ts), the other nodes
 * (other-nodes.ts) and what is saved, and has the members judged (members.ts). Lives in the main thread, one a process.
 *
 *   Store ─▶ Roster ────▶ Members ─▶ words of the HealthTable
 *     │  └─▶ Overrides ──▶ ┘   └──▶ Past, health.json, and what other nodes may want to know
 *     └────▶ Peers
 *
 * Missing data never changes a verdict. All times inside are this process's monotonic clock, but for an override's end.
 */
import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { messageOf } from '../problem.ts'
import { Saver } from '../state.ts'
import { AbsentMembers } from './absent.ts'
import { outlookOf, type Outlook, refusal } from './impact.ts'
import { type Change, Members, type MemberStatus, type News, type ServiceHealth } from './members.ts'
import { type NodeStatus, OtherNodes } from './other-nodes.ts'
import { canonicalPattern, matches, type Override, type OverrideRequest } from './override.ts'
import { DISK_MS, type SaveResult, Overrides, type OverrideStatus } from './overrides.ts'
import type { Refusals } from './refusals.ts'
import { type ProberStatus, Roster, type VoteStatus } from './roster.ts'
import { HEALTH_FILE, MEMORY_MS, readSaved, type SavedHealth } from './saved.ts'
import type { StoreSubscriber, NodeWriter, ProberIdentity, Store } from './store.ts'
import type { HealthTable } from './table.ts'
import type { HealthSpec } from './target.ts'
import { within } from './within.ts'

export type {
  Change,
  SaveResult,
  MemberStatus,
  NodeStatus,
  Outlook,
  OverrideStatus,
  ProberStatus,
  ServiceHealth,
  VoteStatus,
}

export type OverrideOutcome =
  | { readonly done: Override; readonly members: readonly string[]; readonly saved: Promise<SaveResult> }
  /** Why not, and what to do instead. */
  | { readonly refused: string; readonly hint?: string }

export interface HealthSnapshot {
  readonly members: readonly MemberStatus[]
  readonly services: readonly ServiceHealth[]
  readonly probers: readonly ProberStatus[]
  readonly nodes: readonly NodeStatus[]
  /** Those in force, tombstones and expired ones left out. */
  readonly overrides: readonly OverrideStatus[]
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

export interface NodeHealthSettings {
  readonly table: HealthTable
  readonly store: Store
  /** What other nodes know this one by; undefined: it says nothing of itself, and its overrides stay here. */
  readonly node?: { readonly name: string; readonly version: string }
  /** Where the last known good is kept over a restart, e.g. `state/health.json`, overrides beside it; undefined = nowhere. */
  readonly file?: string
  /** Called for every change of a member's state or brake, after its word was written. */
  readonly onChange?: (change: Change) => void
  /** What a service's brake and last resort do, and who of the probers falls silent while the Store is well. */
  readonly onNews?: News
  /** Called when trouble begins (once each time). */
  readonly onTrouble?: (trouble: string) => void
}

/** What the start waits for other nodes' memory. */
const LEARN_MS = 2000
/** Looks at a Store that is back: it may be a new one, in which the others have yet to write. */
const LEARN_TRIES = 5

export class NodeHealth {
  readonly #settings: NodeHealthSettings
  readonly #writer: NodeWriter | undefined
  readonly #roster: Roster
  readonly #absent = new AbsentMembers()
  readonly #overrides: Overrides
  readonly #members: Members
  readonly #otherNodes: OtherNodes | undefined
  readonly #troubles = new Map<string, string>()
  /** Probers whose silence was told. */
  readonly #silent = new Set<string>()
  readonly #listening = new AbortController()
  #view = ''
  #revision: string | undefined
  #specHash = ''
  #saver: Saver | undefined
  #forgetTimer: NodeJS.Timeout | undefined
  #learnTimer: NodeJS.Timeout | undefined
  #learnTries = LEARN_TRIES
  #restored = false

  constructor(settings: NodeHealthSettings) {
    this.#settings = settings
    const { node, store, file, table } = settings
    const identity = { name: node?.name ?? '', bootId: randomUUID() }
    const writer = node === undefined ? undefined : store.nodeWriter(identity)
    this.#writer = writer
    this.#roster = new Roster(store.refusals)
    this.#overrides = new Overrides({
      file: file === undefined ? undefined : join(dirname(file), 'overrides.json'),
      send: async (entries) => (await writer?.override(entries)) ?? [],
      onChange: (patterns) => this.#members.overridesChanged(patterns),
      onTrouble: (kind, trouble) => this.#trouble(`overrides ${kind}`, trouble),
    })
    this.#members = new Members({
      table,
      absent: this.#absent,
      roster: this.#roster,
      overrideOf: (member) => this.#overrides.of(member),
      onChange: (change) => settings.onChange?.(change),
      onNews: (level, news) => settings.onNews?.(level, news),
      // what the Store doesn't take now, the board brings back with a later beat
      onKnown: (changes) => void writer?.writeMembers(changes).catch(() => {}),
      onSavable: () => this.#saver?.touch(),
    })
    if (node === undefined || writer === undefined) return
    const self = () => ({
      view: this.#view,
      ...(this.#revision !== undefined && { revision: this.#revision }),
      plan: this.#specHash,
      verdicts: this.#members.hash,
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
    this.#overrides.read()
    this.#forgetTimer = setInterval(() => this.#forget(), 60_000).unref()
    const known = within(LEARN_MS, store.readMembers(), () => []).catch(() => [])
    await store.listen(this.#subscriber, this.#listening.signal)
    this.#absent.learn(await known, performance.now())
    if (store.trouble !== undefined) this.#learnTimer = setInterval(() => void this.#learnLate(), LEARN_MS).unref()
  }

  /** The Store couldn't be reached at the start: what others know counts for members that this node knows nothing of. */
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
    const missed = this.#roster.setTargets((target) => this.#members.dependsOn(target))
    for (const prober of missed) this.#settings.store.repeat(prober)
  }

  /**
   * The plan of the World that is about to be published; slots[i] is the word of spec.members[i] (SlotRegistry.assign).
   * All words are written when it returns. `view`: hash of all that is served (WorldBuild.view). `words`: by service, its own word.
   */
  adopt(spec: HealthSpec, slots: Int32Array, view = '', words: ReadonlyMap<string, number> = new Map()): void {
    this.#view = view
    this.#specHash = spec.hash
    this.#members.adopt(spec, slots, words)
    this.#hearMissed()
    this.#saver?.touch()
    // beats begin when there is something to say
    if (this.#otherNodes?.started === false) this.#otherNodes.start()
  }

  /** What other nodes are told of the zones that are served: git's revision, undefined outside of git. */
  revise(revision: string | undefined): void {
    this.#revision = revision
  }

  /** Saved state was read, or every member has a verdict: half of `ready`; the other half is time. */
  get decided(): boolean {
    return this.#restored || this.#members.decided
  }

  /** Everything as it is now, for status, metrics and API. */
  snapshot(): HealthSnapshot {
    const nowMs = performance.now()
    const { store } = this.#settings
    return {
      members: this.#members.status(nowMs),
      services: this.#members.services(),
      probers: this.#roster.status(nowMs),
      nodes: this.#otherNodes?.status(nowMs) ?? [],
      overrides: this.#overrides.status(this.#members.specs),
      store: { shared: store.shared, trouble: store.trouble, refused: store.refusals.counts },
      troubles: [...this.#troubles.values()],
    }
  }

  /** One service of the plan, as snapshot() has it. */
  service(name: string): { readonly health: ServiceHealth; readonly members: readonly MemberStatus[] } | undefined {
    return this.#members.service(name, performance.now())
  }

  /** Sets or undoes an override here, and on its way to all nodes and into the local file: `kept` tells when it is there. */
  override(request: OverrideRequest): OverrideOutcome {
    const { action } = request
    const pattern = canonicalPattern(request.pattern) ?? request.pattern
    const asked = { ...request, pattern }
    const outlook = action === 'drain' || action === 'down' ? this.#outlookOf(pattern, action) : undefined
    const { specs } = this.#members
    const refused = refusal(asked, outlook, specs, this.#overrides.all, Date.now())
    if (refused !== undefined) return refused
    const set = this.#overrides.set(asked, this.#settings.node?.name ?? '')
    return { ...set, members: specs.filter((spec) => matches(pattern, spec)).map(({ name }) => name) }
  }

  /** Takes in what a predecessor, that shares this node's folder, was told since this one read the file. */
  readOverrides(): void {
    this.#overrides.read()
  }

  /** What draining the members of a pattern would leave; a string says what is wrong with the pattern. */
  outlook(pattern: string): Outlook | string {
    const canonical = canonicalPattern(pattern)
    if (canonical === undefined) return `${pattern} is no SITE, SITE/SERVICE or SITE/SERVICE/VIP`
    const outlook = this.#outlookOf(canonical, 'drain')
    return outlook.members.length === 0 ? `${pattern} matches no member` : outlook
  }

  /** Takes a prober that is gone for good from the roster, here and on its way to all nodes; a string says why not. */
  forget(prober: string): string | { readonly saved: Promise<Omit<SaveResult, 'current'>> } {
    const live = this.#roster.isLive(prober)
    if (live === undefined) return `no prober named ${prober} was seen in the last 24 h`
    if (live) return `${prober} is alive: stop it first, and wait until it is shown as gone`
    const sent = this.#writer?.forget(prober)
    this.#forgetProbers([prober])
    return { saved: this.#savedForgotten(sent) }
  }

  async #savedForgotten(sent: Promise<void> | undefined): Promise<Omit<SaveResult, 'current'>> {
    const saved = within(
      DISK_MS,
      this.#saver?.save() ?? Promise.resolve(undefined),
      () => 'the disk did not answer so far',
    )
    const store = sent?.then(() => undefined, messageOf)
    return { disk: await saved, board: await store }
  }

  /** Stops listening and saves what is known. */
  async stop(): Promise<void> {
    this.#listening.abort()
    clearInterval(this.#forgetTimer)
    clearInterval(this.#learnTimer)
    this.#members.stop()
    this.#otherNodes?.stop()
    await this.#overrides.stop()
    await this.#saver?.stop()
  }

  readonly #subscriber: StoreSubscriber = {
    votes: (identity, votes, whole) =>
      this.#members.votesChanged(this.#roster.applyVotes(identity, votes, whole, performance.now())),
    retired: (identity, targets) =>
      this.#members.votesChanged(this.#roster.retire(identity, targets, performance.now())),
    heartbeat: (beat) => {
      const { name, region } = beat.prober
      if (this.#silent.delete(name)) this.#settings.onNews?.('info', `prober ${name} (${region}) is heard again`)
      this.#members.votesChanged(this.#roster.beat(beat, performance.now()))
    },
    gone: (identity) => {
      this.#reportSilent(identity)
      this.#members.votesChanged(this.#roster.gone(identity))
    },
    absent: (prober, ageMs) => this.#addAbsentProber(prober, ageMs),
    forgotten: (prober) => this.#forgetProbers([prober]),
    node: (beat) => this.#otherNodes?.receive(beat, performance.now()),
    nodeGone: (identity) => this.#otherNodes?.gone(identity),
    overrides: (entries, whole) => this.#overrides.receive(entries, whole),
  }

  /** While the Store is in trouble everyone is silent, and that is told already. */
  #reportSilent({ name, region }: ProberIdentity): void {
    const { store, onNews } = this.#settings
    if (store.trouble !== undefined || this.#roster.isLive(name) !== true) return
    this.#silent.add(name)
    onNews?.('warn', `prober ${name} (${region}) has fallen silent: its votes count no more`)
  }

  #outlookOf(pattern: string, action: 'drain' | 'down'): Outlook {
    return outlookOf(pattern, action, this.#members.servicesMatching(pattern), this.#overrides.all, Date.now())
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

  /** What has been silent or gone for too long leaves the roster and the memory. */
  #forget(): void {
    const oldestMs = performance.now() - MEMORY_MS
    this.#absent.forget(oldestMs)
    this.#otherNodes?.forget(oldestMs)
    this.#forgetProbers(this.#roster.silentSince(oldestMs))
  }

  #forgetProbers(names: readonly string[]): void {
    for (const name of names) {
      this.#roster.forget(name)
      this.#silent.delete(name)
    }
    this.#members.votesChanged([])
  }

  #trouble(kind: string, trouble: string | undefined): void {
    if (trouble === undefined) this.#troubles.delete(kind)
    else if (this.#troubles.get(kind) !== trouble) {
      this.#troubles.set(kind, trouble)
      this.#settings.onTrouble?.(trouble)
    }
  }
}
