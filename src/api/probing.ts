/** What a prober shows of itself, whether it runs in a serving process or alone: as JSON, and as samples of /metrics. */
import type { ProberReport, ProberThread } from '../probe/thread.ts'
import type { Samples } from './metrics.ts'

export interface OwnProber {
  readonly report: ProberReport
  readonly thread: Pick<ProberThread, 'lastHeartbeat' | 'restarts'>
}

export interface OwnProberStatus extends Omit<ProberReport, 'targets'> {
  /** Of its targets, how long ago the check ended that ended longest ago; null = none has yet. */
  readonly oldestRunMs: number | null
  /** Targets without a check that has ended. */
  readonly neverRun: number
  /** Targets whose UP is held down for having flapped. */
  readonly heldDown: number
  readonly overdue: number
  /** How often its thread was replaced. */
  readonly restarts: number
}

export function ownProberStatus({ report, thread }: OwnProber): OwnProberStatus {
  const { targets, ...counts } = report
  const runs = targets.flatMap(({ lastRunMs }) => (lastRunMs === undefined ? [] : [lastRunMs]))
  return {
    ...counts,
    oldestRunMs: runs.length === 0 ? null : runs.reduce((a, b) => Math.max(a, b)),
    neverRun: targets.length - runs.length,
    heldDown: targets.filter(({ heldDownMs }) => heldDownMs > 0).length,
    overdue: thread.lastHeartbeat?.overdue ?? 0,
    restarts: thread.restarts,
  }
}

export function ownProberSamples(probing: OwnProber): Samples {
  const status = ownProberStatus(probing)
  return {
    meridian_probe_targets: [
      [status.planned, 'planned'],
      [status.assigned, 'assigned'],
      [status.leaving, 'leaving'],
    ],
    meridian_probe_checks_per_second: [[status.checksPerSecond]],
    meridian_probe_wanted_checks_per_second: [[status.wantedPerSecond]],
    meridian_probe_oldest_run_age_seconds: status.oldestRunMs === null ? [] : [[status.oldestRunMs / 1000]],
    meridian_probe_never_run_targets: [[status.neverRun]],
    meridian_probe_held_down_targets: [[status.heldDown]],
    meridian_prober_restarts_total: [[status.restarts]],
  }
}
