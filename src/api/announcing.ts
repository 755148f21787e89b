/**
 * What a node and `meridian announce`, which judges it from outside, tell each other at POST /api/announce on the control
 * socket; and what of that GET /announce, the status and the metrics show. Times are of the same host.
 */
import { z } from 'zod'
import { text } from './bodies.ts'

/**
 * `announced`, or `withdrawn`; `kept`: announced, although the node would withdraw: too few others are, or it is not known
 * whether they are.
 */
export const ANNOUNCE_STATES = ['announced', 'kept', 'withdrawn'] as const

/** The body of POST /api/announce. */
export const REPORT = z.strictObject({
  state: z.enum(ANNOUNCE_STATES),
  sinceMs: z.number().nonnegative().describe('since when it is so, Unix time in ms'),
  why: text(0, 500).describe('in words; empty while nothing is wrong'),
  isPlanned: z.boolean().describe('it is so because somebody ends the node'),
  others: z.int().nonnegative().nullable().describe('how many others are announced, and answer; null: not known'),
})

/** What is announced now, and why. */
export type AnnounceReport = z.infer<typeof REPORT>

/** The response to POST /api/announce: what the node says of itself. */
export interface NodeWord {
  /** It serves, and knows the health of what it serves. */
  readonly ready: boolean
  /** It ends. */
  readonly stopping: boolean
  /** A zone that it serves, which the canary asks for. */
  readonly zone: string
}

/** The key `announce` of the status. */
export interface AnnounceStatus {
  /** What is announced: prefixes. */
  readonly addresses: readonly string[]
  /** The last report; null: none so far. */
  readonly report: AnnounceReport | null
  /** Whether reports come. */
  readonly heard: boolean
}

/** The body of GET /announce. */
export interface Announcement {
  readonly announced: boolean
  /** Empty: nothing is wrong. */
  readonly why: string
}
