/** What one prober says of one target, and what a quorum of probers makes of it. */
export type Verdict = 'up' | 'down'

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
  /** How much of its traffic the target asks for, 0–1000; 1000 unless its agent says otherwise. */
  readonly share: number
}
