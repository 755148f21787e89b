/**
 * The Store contract: how probers' votes reach nodes, and how nodes tell each other what they serve and what operators
 * overrode. Two forms behind one test suite: memory (one process) and Redis. It is a bulletin board, not the truth: whoever
 * wrote something can write it again at any time, and a key that is missing never means down.
 *
 *   prober ─ Board ─────▶ ┌───────┐ ─▶ Audience ─▶ node, and other probers (who share the targets between them)
 *   node ─── NodeBoard ─▶ │ Store │ ─▶ Audience ─▶ other nodes
 *                         └───────┘
 */
import type { Override } from './override.ts'
import type { Refusals } from './refusals.ts'
import type { Verdict, Vote } from './vote.ts'

/** A prober, and a node, says something at least this often; after LEASE_MS of silence it is gone. */
export const HEARTBEAT_MS = 1000
export const LEASE_MS = 3 * HEARTBEAT_MS

/**
 * Of one fleet. Who is known and heard keeps its place; beyond that a newcomer takes the place of the one that was silent for
 * longest, or is refused: whoever can write to the Store may make up any number of names.
 */
export const MOST_PROBERS = 1000
export const MOST_NODES = 1000
export interface ProberIdentity {
  readonly name: string
  readonly region: string
  /** New at every start: (bootId, sequence) orders all that a prober ever says. */
  readonly bootId: string
}

export interface Heartbeat {
  readonly prober: ProberIdentity
  readonly sequence: number
  /** Hash of the targets it probes. */
  readonly configHash: string
  /** Targets whose check is late, and by how much the latest one. */
  readonly overdue: number
  readonly overdueAgeMs: number
}

export interface NodeIdentity {
  readonly name: string
  readonly bootId: string
}

/** What a node says of itself every HEARTBEAT_MS. Nodes that serve alike have equal hashes. */
export interface NodeHeartbeat {
  readonly node: NodeIdentity
  readonly sequence: number
  /** Of the program. */
  readonly version: string
  /** Hash of what is served: WorldBuild.view. */
  readonly view: string
  /** What git says of the zones that are served, `1a2b3c4-dirty`; absent outside of git, and of older versions. */
  readonly revision?: string
  /** HealthSpec.hash: which checks of which addresses it wants votes on. */
  readonly plan: string
  /** Hash of all members' states. */
  readonly verdicts: string
}

/** What a node knows of a member, for nodes that have no memory of their own. */
export interface KnownMember {
  readonly verdict: Verdict
  /** Targets that were seen up. */
  readonly proven: readonly string[]
}

/**
 * A prober's side. Calls are heard in the order in which they were made, but for those of one tick, of which the last on a
 * target counts. They resolve when they were told, or when the Store is in trouble: then they are remembered, and told later.
 */
export interface ProberWriter {
  /** All votes at once; a prober that starts says so with what it has, if only nothing. */
  replace(votes: readonly Vote[]): Promise<void>
  /** One changed vote: ahead of the next heartbeat. */
  change(vote: Vote): Promise<void>
  /** Targets that this prober no longer probes. */
  retire(targets: readonly string[]): Promise<void>
  /** Renews the lease. If it had run out, or the Store lost the votes, the Board brings them all back by itself. */
  heartbeat(beat: Heartbeat): Promise<void>
}

/** A node's side, in the same way. */
export interface NodeWriter {
  /** Renews the lease. If it had run out, or the Store lost what this node said, all of it is brought back by itself. */
  heartbeat(beat: NodeHeartbeat): Promise<void>
  /** Members whose verdict or proof has changed; undefined = not known any more. */
  writeMembers(changes: ReadonlyMap<string, KnownMember | undefined>): Promise<void>
  /**
   * Puts overrides up; of each pattern the newest (see override.ts) stands, whoever puts it. Resolves to what stands for their
   * patterns then; rejects, saying why, when the Store has not taken them: then they are remembered, and put up later.
   */
  override(entries: readonly Override[]): Promise<readonly Override[]>
  /** A prober that is gone for good: leaves the rosters of all who listen. Rejects, and is told later, in the same way. */
  forget(prober: string): Promise<void>
}

/** What is heard, in order for each prober. A new bootId ends all that the name said before. */
export interface StoreSubscriber {
  /** `whole`: what isn't among them is no longer said. */
  votes(prober: ProberIdentity, votes: readonly Vote[], whole: boolean): void
  retired(prober: ProberIdentity, targets: readonly string[]): void
  heartbeat(beat: Heartbeat): void
  /** The lease ran out: not a vote, only silence. Its votes come again, whole, if it does. */
  gone(prober: ProberIdentity): void
  /** On connecting: a prober that isn't there, but was so long ago, by the Store's memory; its region is not known. */
  absent?(prober: string, ageMs: number): void
  /** A node's beat; its own too: who hears itself hears the others. */
  node?(beat: NodeHeartbeat): void
  nodeGone?(node: NodeIdentity): void
  /** Overrides that were put up; on connecting, all that there are, if only none. Tombstones are among them. */
  overrides?(entries: readonly Override[], whole: boolean): void
  forgotten?(prober: string): void
}

export interface Store {
  /** False: only probers of this process can post here, so a saved roster says nothing. */
  readonly shared: boolean
  /**
   * What is wrong with the way to the Store now, in words and with its age; undefined: all is well. Silence in trouble is
   * nobody's fault: what was heard last stands.
   */
  readonly trouble: string | undefined
  /** What was read and not taken, by whoever listens here. */
  readonly refusals: Refusals
  /** A prober's own side of the board. */
  proberWriter(prober: ProberIdentity): ProberWriter
  /** A node's own side. */
  nodeWriter(node: NodeIdentity): NodeWriter
  /** What each other live node knows of members; empty where there is none or the Store can't be reached. */
  readMembers(): Promise<readonly ReadonlyMap<string, KnownMember>[]>
  /**
   * Hears everything that is there before this resolves, then every change, until the signal aborts. Resolves in time
   * (2 s) also when the Store can't be reached: then everything comes later, in the same way.
   */
  listen(subscriber: StoreSubscriber, signal: AbortSignal): Promise<void>
  /** Whoever listens here hears all votes of that prober once more, with its next heartbeat at the latest. */
  repeat(prober: string): void
  close(): Promise<void>
}
