/**
 * The Store contract: how probers' votes reach nodes. Two forms behind one test suite: memory (one process) and Redis.
 * It is a bulletin board, not the truth: every prober can write all it knows again at any time, and a key that is
 * missing never means down.
 */

/** UP and DOWN are what the prober saw; ABSTAIN: it can't tell (no route, canaries failing, target overdue). */
export type VoteValue = 'up' | 'down' | 'abstain'

export interface Vote {
  readonly target: string
  readonly value: VoteValue
  /** The track has begun to move away from this value, or just arrived at it: TTLs go short. */
  readonly moving: boolean
  /** What the last check saw, in words: `200 in 12 ms`, `connection refused`. */
  readonly reason: string
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

/** A prober's side. */
export interface Board {
  /** All votes at once: at start, and when the Store has lost the prober's key. */
  replace(votes: readonly Vote[]): Promise<void>
  /** One changed vote: ahead of the next heartbeat. */
  change(vote: Vote): Promise<void>
  /** Targets that this prober no longer probes. */
  retire(targets: readonly string[]): Promise<void>
  heartbeat(beat: Heartbeat): Promise<void>
}

/** What a node hears, in order for each prober. */
export interface Audience {
  votes(prober: ProberIdentity, votes: readonly Vote[], whole: boolean): void
  retired(prober: ProberIdentity, targets: readonly string[]): void
  heartbeat(beat: Heartbeat): void
  /** The lease ran out: not a vote, only silence. */
  gone(prober: ProberIdentity): void
}

export interface Store {
  /** A prober's own side of the board. */
  board(prober: ProberIdentity): Board
  /** A node's side: hears everything that is there, then every change, until the signal aborts. */
  listen(audience: Audience, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
