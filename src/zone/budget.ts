/**
 * The failover budget: how long, at worst, a client goes on to a site that has died. Read by the loader (`budget`), the
 * linter and `explain`, so that all say the same.
 *
 *   site dies ──detect──▶ last deciding vote ──spread──▶ every node's answers ──TTL──▶ last cached answer is gone
 */
import type { CheckModel, ServiceModel } from './model.ts'

export interface FailoverBudget {
  /** Until the probers have voted; null: nothing is checked, so nobody ever notices. */
  readonly detectMs: number | null
  /** Until every node answers by it. */
  readonly spreadMs: number
  /** Until the last answer that was given before is forgotten: the longest TTL of the name. */
  readonly ttlMs: number
  /** All of that; null as `detectMs`. */
  readonly totalMs: number | null
}

/** DESIGN §10: what a check that begins late and a vote on its way add. */
const SLACK_MS = 100
/** 10 ms where Redis is near (docs/performance.md); this allows for one across an ocean, and a packet lost on the way. */
const SPREAD_MS = 500

/** The bound of DESIGN §10 on what a silent site takes from its death to its last vote DOWN. */
export const detectionMs = ({ intervalMs, fall, fastMs, timeoutMs }: CheckModel): number =>
  intervalMs + (fall - 1) * Math.max(fastMs, timeoutMs) + timeoutMs + SLACK_MS

/** Of a name that the service steers; `capSeconds`: the name's own TTL, 0 = none. Of several checks the slowest counts. */
export function failoverBudget(
  { checks, ttl }: Pick<ServiceModel, 'checks' | 'ttl'>,
  capSeconds: number,
): FailoverBudget {
  const detectMs = checks.length === 0 ? null : Math.max(...checks.map(detectionMs))
  const ttlMs = 1000 * (capSeconds > 0 ? Math.min(capSeconds, ttl.maxSeconds) : ttl.maxSeconds)
  return { detectMs, spreadMs: SPREAD_MS, ttlMs, totalMs: detectMs === null ? null : detectMs + SPREAD_MS + ttlMs }
}
