/**
 * Decides which targets this prober checks. It subscribes to the Store, knows from it which probers are live and have
 * voted, and takes the targets that the assignment gives it. It gives a target up only when its successors have voted,
 * so that no target loses its votes when its prober changes. Lives in the main thread, one per prober.
 *
 *   all targets ─┐                  ┌─ assigned here: checked
 *                ├─ assignment ─────┤
 *   Store ───────┘ (live probers)   └─ otherwise: moved ── all its new probers have voted ─────────────┬─▶ given up
 *                                      dropped from the zones ── its replacements have votes, and      │
 *                                                                every node serves the same targets ───┘
 *
 * While the Store is in trouble, and for a lease afterwards, silence means nothing and no target moves.
 */
import {
  type StoreSubscriber,
  HEARTBEAT_MS,
  LEASE_MS,
  MOST_NODES,
  MOST_PROBERS,
  type ProberIdentity,
  type Store,
} from '../health/store.ts'
import { hashTargets, type Target } from '../health/target.ts'
import type { Vote } from '../health/vote.ts'
import { formatDuration } from '../units.ts'
import { makeAssignment } from './assignment.ts'
import { overload, type ProbeCapacity } from './cost.ts'

/** After trouble, every live prober is heard within a lease and this. */
const GRACE_MS = HEARTBEAT_MS
/** A moved target is kept until its new probers have voted; after so long that is reported. */
const MOVED_LATE_MS = 5 * 60_000
/** A dropped target is given up after so long, even if a node still serves it. */
const DROPPED_MOST_MS = 60 * 60_000
/** Events within this time are reviewed together. */
const TOGETHER_MS = 50
/** Largest fraction of time spent on reviews, which take longer with more probers. */
const REVIEW_SHARE = 0.2

/** Troubles that are reported once each time they begin. */
type TroubleKind = 'idle' | 'overload' | 'late'

/** What OwnTargets needs of its prober. */
export interface OwnTargetsSettings {
  readonly identity: ProberIdentity
  readonly store: Store
  readonly capacity: ProbeCapacity
  /** Called with all targets to check from now on. */
  readonly onTargets: (targets: readonly Target[]) => void
  /** Called once each time trouble begins. */
  readonly onTrouble: (trouble: string) => void
}

interface Peer {
  readonly identity: ProberIdentity
  /** Heard, and its lease has not run out. */
  live: boolean
  /** Listed targets on which it has voted UP or DOWN; few, because probers share the targets. */
  readonly voted: Set<string>
  /** It has votes on other targets, perhaps of newer zones. */
  missed: boolean
}

/** A target that is still checked here but assigned to others. */
interface Handover {
  sinceMs: number
  /** Targets that came with the change that dropped it; undefined: the zones still have it. */
  readonly successors: Set<string> | undefined
}

/** The targets of one prober. */
export class OwnTargets {
  readonly #settings: OwnTargetsSettings
  readonly #listening = new AbortController()
  readonly #peers = new Map<string, Peer>()
  /** What each live node serves: HealthSpec.hash. */
  readonly #nodeHashes = new Map<string, string>()
  /** This prober as the Store reports it. */
  readonly #self: Peer
  #wanted: ReadonlyMap<string, Target> = new Map()
  /** Empty before the first setTargets(). */
  #wantedHash = ''
  #assigned: ReadonlyMap<string, readonly string[]> = new Map()
  /** The probers for which #assigned was computed; undefined: it is outdated. */
  #assignedTo: string | undefined
  readonly #probed = new Map<string, Target>()
  readonly #leaving = new Map<string, Handover>()
  /** The Store was read once; before that the assignment is unknown. */
  #read: boolean
  #listened = false
  #troubledMs = -Infinity
  #idleSinceMs = 0
  /** Targets that any prober has seen pass: a check that never has decides nothing at the nodes. */
  readonly #passed = new Set<string>()
  readonly #told = new Set<TroubleKind>()
  #timer: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  /** Duration of the last review. */
  #reviewMs = 0

  constructor(settings: OwnTargetsSettings) {
    this.#settings = settings
    this.#read = !settings.store.shared
    this.#self = { identity: settings.identity, live: true, voted: new Set(), missed: false }
  }

  start(): void {
    this.#timer = setInterval(() => this.#review(), HEARTBEAT_MS)
    const { store, onTrouble } = this.#settings
    store.listen(this.#subscriber, this.#listening.signal).then(
      () => {
        this.#listened = true
        this.#review()
      },
      (error: unknown) => onTrouble(`the prober can't hear the store: ${String(error)}`),
    )
  }

  stop(): void {
    this.#listening.abort()
    clearInterval(this.#timer)
    clearTimeout(this.#soon)
  }

  /** Sets the targets of the zones, for all probers together. */
  setTargets(targets: readonly Target[]): void {
    const before = this.#wanted
    if (this.#wantedHash === '') this.#idleSinceMs = performance.now()
    this.#wanted = new Map(targets.map((target) => [target.id, target]))
    this.#wantedHash = hashTargets(targets.map(({ id }) => id))
    this.#assignedTo = undefined
    for (const id of this.#passed) if (!this.#wanted.has(id)) this.#passed.delete(id)
    const successors = new Set(targets.map(({ id }) => id).filter((id) => !before.has(id)))
    for (const id of this.#probed.keys()) {
      const now = this.#wanted.get(id)
      const leaving = this.#leaving.get(id)
      if (now !== undefined) {
        this.#probed.set(id, now)
        if (leaving?.successors !== undefined) this.#leaving.delete(id)
      } else if (leaving?.successors === undefined) this.#leaving.set(id, { sinceMs: performance.now(), successors })
    }
    for (const peer of [this.#self, ...this.#peers.values()]) {
      for (const id of peer.voted) if (!this.#wanted.has(id)) peer.voted.delete(id)
      if (!peer.missed) continue
      peer.missed = false
      this.#settings.store.repeat(peer.identity.name)
    }
    this.#review(true)
  }

  /**
   * The votes on these targets are gone with the thread that checked them. Those that the zones have dropped have nothing to
   * hand over any more, and the thread may have died of one of them.
   */
  lose(isLost: (id: string) => boolean): void {
    let dropped = false
    for (const [id, { successors }] of this.#leaving) {
      if (successors === undefined || !isLost(id)) continue
      this.#leaving.delete(id)
      this.#probed.delete(id)
      dropped = true
    }
    if (dropped) this.#publish()
  }

  get planned(): number {
    return this.#wanted.size
  }

  /** Number of targets assigned to this prober. */
  get assigned(): number {
    return this.#probed.size - this.#leaving.size
  }

  /** Number of targets that are checked until their successors have voted. */
  get leaving(): number {
    return this.#leaving.size
  }

  get targets(): readonly Target[] {
    return [...this.#probed.values()]
  }

  readonly #subscriber: StoreSubscriber = {
    votes: (prober, votes, whole) => {
      const peer = this.#hear(prober)
      if (peer === undefined) return
      if (whole) peer.voted.clear()
      for (const vote of votes) this.#note(peer, vote)
      this.#reviewSoon()
    },
    retired: (prober, targets) => {
      const peer = this.#hear(prober)
      for (const target of targets) peer?.voted.delete(target)
    },
    heartbeat: ({ prober }) => void this.#hear(prober),
    gone: ({ name, bootId }) => {
      const peer = this.#peers.get(name)
      if (peer?.identity.bootId !== bootId) return
      peer.live = false
      this.#reviewSoon()
    },
    node: ({ node, plan }) => {
      const known = this.#nodeHashes.get(node.name)
      if (known === plan) return
      if (known === undefined && this.#nodeHashes.size >= MOST_NODES) {
        this.#refuse('node', node.name)
        return
      }
      this.#nodeHashes.set(node.name, plan)
      this.#reviewSoon()
    },
    nodeGone: ({ name }) => void this.#nodeHashes.delete(name),
  }

  /** What a prober, now heard, says; undefined: it is of no interest, or there is no room for it. */
  #hear(identity: ProberIdentity): Peer | undefined {
    const own = this.#settings.identity
    if (identity.name === own.name) return identity.bootId === own.bootId ? this.#self : undefined
    const known = this.#peers.get(identity.name)
    if (known?.identity.bootId === identity.bootId) {
      if (!known.live) this.#reviewSoon()
      known.live = true
      return known
    }
    if (known === undefined && this.#peers.size >= MOST_PROBERS) return this.#refuse('prober', identity.name)
    const peer = { identity, live: true, voted: new Set<string>(), missed: false }
    this.#peers.set(identity.name, peer)
    this.#reviewSoon()
    return peer
  }

  #refuse(kind: 'prober' | 'node', name: string): undefined {
    return this.#settings.store.refusals.count(kind, `${kind} ${name}`)
  }

  /** Records a vote. An abstention decides nothing, so an abstaining prober replaces nobody. */
  #note(peer: Peer, { target, value }: Vote): void {
    if (!this.#wanted.has(target)) peer.missed = true
    else if (value === 'abstain') peer.voted.delete(target)
    else peer.voted.add(target)
    if (value === 'up' && this.#wanted.has(target)) this.#passed.add(target)
  }

  #reviewSoon(): void {
    this.#soon ??= setTimeout(
      () => {
        this.#soon = undefined
        this.#review()
      },
      Math.max(TOGETHER_MS, this.#reviewMs / REVIEW_SHARE),
    )
  }

  /** Takes what is assigned, gives up what others have taken over. `changed`: the targets themselves have changed. */
  #review(changed = false): void {
    const nowMs = performance.now()
    const quiet = this.#isQuiet(nowMs)
    this.#read ||= this.#listened && this.#settings.store.trouble === undefined // trouble ends when all is read
    if (this.#read) {
      const live = this.#live(quiet)
      const taken = this.#assign(live) && this.#take(nowMs)
      const gone = quiet ? this.#wait(nowMs) : this.#release(nowMs)
      if (taken || gone || changed) this.#publish()
    }
    this.#tellIdle(nowMs)
    this.#reviewMs = performance.now() - nowMs
  }

  #publish(): void {
    const { targets } = this
    const { store, capacity, onTargets } = this.#settings
    onTargets(targets)
    const found = store.shared ? overload(targets, capacity) : undefined // else it is told when zones are loaded
    this.#tell('overload', found && `this prober has more than it can check: ${found.message}. ${found.hint}`)
  }

  /** Silence means nothing now. */
  #isQuiet(nowMs: number): boolean {
    const { shared, trouble } = this.#settings.store
    if (shared && trouble !== undefined) this.#troubledMs = nowMs
    return nowMs < this.#troubledMs + LEASE_MS + GRACE_MS
  }

  /** The probers that share the targets. Silent ones are dropped, unless `quiet`. */
  #live(quiet: boolean): readonly ProberIdentity[] {
    for (const [name, { live }] of this.#peers) if (!live && !quiet) this.#peers.delete(name)
    return [this.#settings.identity, ...Array.from(this.#peers.values(), ({ identity }) => identity)]
  }

  /** Recomputes the assignment; true: something may have moved. */
  #assign(live: readonly ProberIdentity[]): boolean {
    const to = JSON.stringify(live.map(({ name, region }) => `${region} ${name}`).toSorted())
    if (to === this.#assignedTo) return false
    this.#assignedTo = to
    const assignment = makeAssignment(live)
    this.#assigned = new Map(Array.from(this.#wanted.values(), ({ id, probers }) => [id, assignment(id, probers)]))
    return true
  }

  /** Takes assigned targets; true: there are new ones to check. */
  #take(nowMs: number): boolean {
    const { name } = this.#settings.identity
    let taken = false
    for (const [id, target] of this.#wanted) {
      const mine = this.#assigned.get(id)!.includes(name)
      if (mine) this.#leaving.delete(id)
      else if (this.#probed.has(id) && !this.#leaving.has(id))
        this.#leaving.set(id, { sinceMs: nowMs, successors: undefined })
      if (!mine || this.#probed.has(id)) continue
      this.#probed.set(id, target)
      taken = true
    }
    return taken
  }

  /** Stops the clock of handovers while nobody can be heard. */
  #wait(nowMs: number): false {
    for (const leaving of this.#leaving.values()) leaving.sinceMs = nowMs
    return false
  }

  /** Gives up what others have taken over; true: there was any. */
  #release(nowMs: number): boolean {
    const agreed = [...this.#nodeHashes.values()].every((plan) => plan === this.#wantedHash)
    const missed = new Set<string>()
    let late = 0
    let released = false
    for (const [id, { sinceMs, successors }] of this.#leaving) {
      const lacking = successors === undefined ? this.#lackingOf(id) : []
      const ready =
        successors === undefined
          ? lacking.length === 0
          : nowMs >= sinceMs + DROPPED_MOST_MS || (agreed && this.#replaced(successors))
      if (ready) {
        this.#leaving.delete(id)
        this.#probed.delete(id)
        released = true
      } else if (successors === undefined && nowMs >= sinceMs + MOVED_LATE_MS) {
        late++
        for (const name of lacking) missed.add(name)
      }
    }
    this.#tell('late', late > 0 ? lateWords(late, [...missed]) : undefined)
    return released
  }

  /** Assigned probers of a target that have not voted on it. */
  #lackingOf(id: string): readonly string[] {
    const { name: own } = this.#settings.identity
    const voted = (name: string) => (name === own ? this.#self : this.#peers.get(name))?.voted.has(id) === true
    return (this.#assigned.get(id) ?? []).filter((name) => !voted(name))
  }

  /** True when all successors have passed and have votes; those that have are not checked again. */
  #replaced(successors: Set<string>): boolean {
    for (const id of successors) {
      if (!this.#passed.has(id) || this.#lackingOf(id).length > 0) return false
      successors.delete(id)
    }
    return true
  }

  /** Reports a prober without targets, most often a mistake, once that has lasted for a lease. */
  #tellIdle(nowMs: number): void {
    if (this.assigned > 0) this.#idleSinceMs = nowMs
    const isExplained = !this.#read && this.#settings.store.trouble !== undefined // the store has told its own
    const idle = this.#wantedHash !== '' && nowMs >= this.#idleSinceMs + LEASE_MS && !isExplained
    this.#tell('idle', idle ? `this prober has no targets: ${this.#whyIdle()}` : undefined)
  }

  #whyIdle(): string {
    if (!this.#read) return 'the store could not be read so far'
    if (this.#wanted.size === 0) return 'the zones ask for no checks'
    return `its zones have ${this.#wanted.size}, and ${this.#peers.size} other probers check them; \`probers\` of a service says how many check each`
  }

  /** Reports trouble once each time it begins, however its text changes. */
  #tell(kind: TroubleKind, trouble: string | undefined): void {
    if (trouble === undefined) this.#told.delete(kind)
    else if (!this.#told.has(kind)) {
      this.#told.add(kind)
      this.#settings.onTrouble(trouble)
    }
  }
}

const lateWords = (count: number, names: readonly string[]): string =>
  `${count} targets are assigned to ${names.join(', ')}, without votes on them after ${formatDuration(MOVED_LATE_MS)}; this prober keeps checking them. Check there: the same zones, a path to the sites, enough threads?`
