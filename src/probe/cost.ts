/**
 * What probing costs in CPU time, and whether a prober can afford it. Asked when zones are loaded (world/) and when
 * targets are assigned (own-targets.ts).
 */
import type { Target } from '../health/target.ts'
import type { CheckModel } from '../zone/model.ts'

/**
 * CPU time of one check in µs of a core: about twice what `npm run bench -- probes` measures (docs/performance.md). TLS
 * dominates, because no session is resumed.
 */
export const CHECK_US: Readonly<Record<CheckModel['type'], number>> = {
  tcp: 500,
  http: 500,
  https: 2500,
  tls: 2000,
  grpc: 1000,
  agent: 500,
  dns: 400,
  icmp: 400,
  exec: 5000, // the thread stands still while a program starts
}
/** Tolerance for sums of thousands of fractions. */
const ROUNDED = 1 + 1e-9

/** What one prober can do. */
export interface ProbeCapacity {
  /** `probe.threads`: each uses one core. */
  readonly threads: number
  /** `probe.rate`: checks a second, of all threads together. */
  readonly rate: number
}

/** What targets cost. */
export interface ProbeCost {
  readonly checksPerSecond: number
  /** Cores that the checks use. */
  readonly cores: number
}

/** Cost for one prober that checks all targets, without rechecks. */
export function costOf(targets: Iterable<Target>): ProbeCost {
  let checksPerSecond = 0
  let cores = 0
  for (const { check } of targets) {
    checksPerSecond += 1000 / check.intervalMs
    cores += costUs(check) / (1000 * check.intervalMs)
  }
  return { checksPerSecond, cores }
}

const costUs = (check: CheckModel): number => CHECK_US[check.type === 'grpc' && check.tls ? 'https' : check.type]

/** What exceeds the capacity, and what to do about it; undefined: nothing. */
export function overload(
  targets: readonly Target[],
  { threads, rate }: ProbeCapacity,
): { readonly message: string; readonly hint: string } | undefined {
  const { checksPerSecond, cores } = costOf(targets)
  const [tooMany, tooDear] = [checksPerSecond > rate * ROUNDED, cores > threads * ROUNDED]
  if (!tooMany && !tooDear) return undefined
  const asks = `${targets.length} targets ask for ${checksPerSecond.toFixed(0)} checks a second`
  const lacks = tooDear
    ? `which fill ${cores.toFixed(1)} cores, and this prober has ${threads} (probe.threads)`
    : `and this prober begins at most ${rate} (probe.rate)`
  const raise = tooDear ? 'probe.threads' : 'probe.rate'
  return { message: `${asks}, ${lacks}`, hint: `Lengthen intervals, raise ${raise}, or add probers that share Redis` }
}
