/**
 * What a process shows of its own prober, in a node and in a process that only probes: as JSON, and as samples of
 * /metrics. Called by status.ts, samples.ts and prober-status.ts.
 */
import type { ProberReport, ProberThread } from '../probe/thread.ts'
import type { Samples } from './metrics.ts'

/** The prober of this process: its report, and its thread. */
export interface OwnProber {
  readonly report: ProberReport
  readonly thread: Pick<ProberThread, 'lastHeartbeat' | 'restarts'>
}

/** The key `probing` of /api/status. Plain JSON. */
export interface OwnProberStatus extends Omit<ProberReport, 'targets'> {
  /** The longest time, in ms, since a target's last check ended; null = no check has ended yet. */
  readonly oldestRunMs: number | null
  /** Number of targets whose first check has not ended yet. */
  readonly neverRun: number
  /** Number of targets whose UP waits because they flapped. */
  readonly heldDown: number
  /** Number of targets whose check is late. */
  readonly overdue: number
  /** How often its thread died or stalled, and was replaced. */
  readonly restarts: number
}

/** The status of this process's prober. */
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

/** The metrics of this process's prober. */
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
