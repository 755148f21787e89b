/**
 * What a process shows of its own prober, in a node and in a process that only probes: as JSON, and as samples of
 * /metrics. Called by status.ts, samples.ts and prober-status.ts.
 */
import type { ProberReport, ProberThread, TargetReport } from '../probe/thread.ts'
import { formatEndpoint } from '../units.ts'
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
  /** Certificates that end sooner than their checks want, the soonest first. */
  readonly endingCertificates: readonly SiteCertificate[]
}

/** A certificate that a site showed. */
export interface SiteCertificate {
  readonly address: string
  readonly port: number
  /** The name that it is checked for. */
  readonly name: string
  /** Unix time in ms. */
  readonly endMs: number
  readonly isEnding: boolean
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
    endingCertificates: endingCertificates(targets),
  }
}

/** The certificates that end sooner than their checks want, the soonest first. */
export const endingCertificates = (
  targets: readonly Pick<TargetReport, 'target' | 'certificate'>[],
): readonly SiteCertificate[] => certificatesOf(targets).filter(({ isEnding }) => isEnding)

/** The certificates of targets, the soonest to end first: one for each address, port and name. */
function certificatesOf(targets: readonly Pick<TargetReport, 'target' | 'certificate'>[]): readonly SiteCertificate[] {
  const nowMs = Date.now()
  const found = new Map<string, SiteCertificate>()
  for (const { target, certificate } of targets) {
    if (certificate === undefined) continue
    const { address, port, check } = target
    const name = ('host' in check ? check.host : undefined) ?? address
    const { endMs, warnMs } = certificate
    const key = `${address} ${port} ${name}`
    const known = found.get(key)
    if (known === undefined || endMs < known.endMs)
      found.set(key, { address, port, name, endMs, isEnding: nowMs >= warnMs })
  }
  return [...found.values()].toSorted((a, b) => a.endMs - b.endMs)
}

/** A line of trouble for each name whose certificate ends soon, at most MOST_CERTIFICATES. */
export function certificateTroubles(
  targets: readonly Pick<TargetReport, 'target' | 'certificate'>[],
): readonly string[] {
  const ending = endingCertificates(targets)
  const names = [...Map.groupBy(ending, ({ name, endMs }) => `${name} ${endMs}`).values()]
  const lines = names.slice(0, MOST_CERTIFICATES).map((those) => {
    const { name, address, port, endMs } = those[0]!
    const others = those.length === 1 ? '' : ` and ${those.length - 1} more`
    return `the certificate of ${name}, at ${formatEndpoint({ address, port })}${others}, ends ${new Date(endMs).toISOString().slice(0, 16)}Z: renew it`
  })
  const rest = names.length - lines.length
  return rest > 0 ? [...lines, `${rest} more certificates end soon`] : lines
}

const MOST_CERTIFICATES = 5

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
    meridian_probe_certificate_end_time_seconds: certificatesOf(probing.report.targets).map(
      ({ endMs, address, port, name }) => [endMs / 1000, address, String(port), name] as const,
    ),
    meridian_probe_certificates_ending: [[status.endingCertificates.length]],
  }
}
