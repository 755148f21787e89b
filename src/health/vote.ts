/** Votes and verdicts: what one prober reports for one target, and what a quorum of probers decides. */

/** What a quorum of probers decided for a target, or a node for a member. */
export type Verdict = 'up' | 'down'

/**
 * What a prober votes: `up` and `down` are what it saw; `abstain`: it cannot tell (no route, no canary answers, check
 * overdue).
 */
export type VoteValue = 'up' | 'down' | 'abstain'

/** One prober's vote on one target. */
export interface Vote {
  readonly target: string
  readonly value: VoteValue
  /** The track has begun to turn away from this value, or has just reached it: TTLs go short. */
  readonly moving: boolean
  /** Result of the last check in words, without its duration: `200`, `connection refused`. */
  readonly reason: string
  /** Duration of the check that brought this vote. */
  readonly rttMs: number
  /** Traffic that the target's agent asks for, in ‰ (0–1000); 1000 without an agent. */
  readonly share: number
}
