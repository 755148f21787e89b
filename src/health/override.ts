/**
 * Overrides: what an operator says of members, above all votes. They spread over all nodes through the Store and live in a
 * local file too, so that they hold while Redis is away. Of each pattern the newest stands: the higher Lamport version, and of
 * equal ones the greater node name; undoing is an entry too (a tombstone), so that a node that was away learns of it.
 */

/** `undone`: the tombstone. */
export type OverrideAction = 'drain' | 'up' | 'down' | 'undone'

export interface Override {
  /** `SITE`, `SITE/SERVICE` or `SITE/SERVICE/VIP`. */
  readonly pattern: string
  readonly action: OverrideAction
  /** Lamport clock: one more than any that the node had seen. */
  readonly version: number
  /** Where it was made. */
  readonly node: string
  readonly who: string
  readonly why: string
  /** Wall clock, for display. */
  readonly madeMs: number
  /** Wall clock, compared by each node with its own; null = until undone. */
  readonly untilMs: number | null
}

/** What an operator asks of a node. */
export interface OverrideRequest {
  readonly pattern: string
  readonly action: OverrideAction
  /** undefined = until undone. */
  readonly forMs: number | undefined
  readonly who: string
  readonly why: string
  /** Also when less than `keep` of a service would be left. */
  readonly yes: boolean
}
