/**
 * The Store contract: how probers' votes reach nodes. Two forms behind one test suite: memory (one process) and Redis.
 * It is a bulletin board, not the truth: every prober can write all it knows again at any time, and a key that is
 * missing never means down.
 */

/** A prober says something at least this often; after LEASE_MS of silence it is gone. */
export const HEARTBEAT_MS = 1000
export const LEASE_MS = 3 * HEARTBEAT_MS

/** UP and DOWN are what the prober saw; ABSTAIN: it can't tell (no route, canaries failing, target overdue). */
export type VoteValue = 'up' | 'down' | 'abstain'

export interface Vote {
  readonly target: string
  readonly value: VoteValue
  /** The track has begun to move away from this value, or just arrived at it: TTLs go short. */
  readonly moving: boolean
  /** What the last check saw, in words and without its duration: `200`, `connection refused`. */
  readonly reason: string
  /** Duration of the check that brought this vote. */
  readonly rttMs: number
}

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

/** A prober's side. Calls are heard in the order in which they were made. */
export interface Board {
  /** All votes at once; a prober that starts says so with what it has, if only nothing. */
  replace(votes: readonly Vote[]): Promise<void>
  /** One changed vote: ahead of the next heartbeat. */
  change(vote: Vote): Promise<void>
  /** Targets that this prober no longer probes. */
  retire(targets: readonly string[]): Promise<void>
  /** Renews the lease. If it had run out, or the Store lost the votes, the Board brings them all back by itself. */
  heartbeat(beat: Heartbeat): Promise<void>
}

/** What a node hears, in order for each prober. A new bootId ends all that the name said before. */
export interface Audience {
  /** `whole`: what isn't among them is no longer said. */
  votes(prober: ProberIdentity, votes: readonly Vote[], whole: boolean): void
  retired(prober: ProberIdentity, targets: readonly string[]): void
  heartbeat(beat: Heartbeat): void
  /** The lease ran out: not a vote, only silence. Its votes come again, whole, if it does. */
  gone(prober: ProberIdentity): void
}

export interface Store {
  /** False: only probers of this process can post here, so a saved roster says nothing. */
  readonly shared: boolean
  /** A prober's own side of the board. */
  board(prober: ProberIdentity): Board
  /** A node's side: hears everything that is there before this resolves, then every change, until the signal aborts. */
  listen(audience: Audience, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
