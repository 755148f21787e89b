/**
 * The failover budget: how long clients, at worst, still go to a site that has died. Used by the loader (for the key
 * `budget`), the linter, `explain` and `plan`, so that all of them say the same.
 *
 *   site dies ──detect──▶ last deciding vote ──spread──▶ every node's answers ──TTL──▶ last cached answer is gone
 */
import { formatName } from '../dns/name.ts'
import type { Position, Report } from '../problem.ts'
import { formatSeconds, someOf } from '../units.ts'
import type { CheckModel, ServiceModel } from './model.ts'
import { isHints, positionOf, Z_AT, Z_INTS, Z_OWNER, Z_SIZE, Z_TYPE, type ZoneModel } from './pack.ts'

/** The parts of a failover's worst-case duration, in milliseconds. */
export interface FailoverBudget {
  /**
   * From the site's death to the probers' votes DOWN; null: the service has no check, so its death is never detected.
   */
  readonly detectMs: number | null
  /** From the votes to every node's answers. */
  readonly spreadMs: number
  /** From there until the last cached answer expires: the longest TTL of the name. */
  readonly ttlMs: number
  /** The sum; null if `detectMs` is. */
  readonly totalMs: number | null
}

/** For a check that starts late, and for a vote on its way. */
const SLACK_MS = 100
/** 10 ms with Redis nearby (docs/performance.md); this allows for a Redis across an ocean and one lost packet. */
export const SPREAD_MS = 500

type Timing = Pick<CheckModel, 'intervalMs' | 'timeoutMs' | 'fastMs' | 'fall' | 'rise'>

/** The upper bound, in ms, from the death of a site that no longer answers to the last vote DOWN. */
export const detectionMs = ({ intervalMs, fall, fastMs, timeoutMs }: Omit<Timing, 'rise'>): number =>
  intervalMs + (fall - 1) * Math.max(fastMs, timeoutMs) + timeoutMs + SLACK_MS

/** The upper bound, in ms, from the moment when a site is well to the last vote UP at every node; without a hold-down. */
export const recoveryMs = ({ intervalMs, rise, fastMs, timeoutMs }: Omit<Timing, 'fall'>): number =>
  intervalMs + (rise - 1) * Math.max(fastMs, timeoutMs) + timeoutMs + SLACK_MS + SPREAD_MS

/**
 * The budget of a steered name. `capSeconds`: the name's own TTL, 0 = none. Of several checks the slowest one counts.
 */
export function failoverBudget(
  { checks, ttl }: Pick<ServiceModel, 'checks' | 'ttl'>,
  capSeconds: number,
): FailoverBudget {
  const detectMs = checks.length === 0 ? null : Math.max(...checks.map(detectionMs))
  const ttlMs = 1000 * (capSeconds > 0 ? Math.min(capSeconds, ttl.maxSeconds) : ttl.maxSeconds)
  return { detectMs, spreadMs: SPREAD_MS, ttlMs, totalMs: detectMs === null ? null : detectMs + SPREAD_MS + ttlMs }
}

/** The steered names of one service that have the same longest TTL, and so the same budget. */
export interface SteeredNames {
  readonly service: ServiceModel
  readonly budget: FailoverBudget
  /** How many names there are. */
  readonly names: number
  /** The first name, as text, and where it is written. */
  readonly first: string
  readonly at: Position
}

type Zone = Pick<ZoneModel, 'sets' | 'bytes' | 'services' | 'files'>

/** All steered names, grouped by service and longest TTL, in the order of the zones. Unknown services are left out. */
export function steeredNames(zones: readonly Zone[], services: Iterable<ServiceModel>): readonly SteeredNames[] {
  const groups = new Map<string, SteeredNames & { names: number }>()
  const byName = new Map([...services].map((service) => [service.name, service]))
  for (const zone of zones) {
    for (const { service: name, capSeconds, set } of steeredOf(zone)) {
      const service = byName.get(name)
      if (service === undefined) continue
      const budget = failoverBudget(service, capSeconds)
      const key = `${name} ${budget.ttlMs}`
      const group = groups.get(key)
      if (group !== undefined) group.names++
      else {
        const first = formatName(zone.bytes, zone.sets[set + Z_OWNER])
        groups.set(key, { service, budget, names: 1, first, at: positionOf(zone, set) })
      }
    }
  }
  return [...groups.values()]
}

/** The steered entries of a zone, without those for hints. `set`: index of the entry's first int in the zone's sets. */
export function* steeredOf({ sets, services }: Pick<Zone, 'sets' | 'services'>): Generator<{
  readonly service: string
  readonly capSeconds: number
  readonly set: number
}> {
  if (services.length === 0) return
  for (let set = 0; set < sets.length; set += Z_INTS) {
    if (sets[set + Z_TYPE] !== 0 || isHints(sets, set)) continue
    yield { service: services[sets[set + Z_AT]!]!, capSeconds: sets[set + Z_SIZE]!, set }
  }
}

/** Reports an error for each service and longest TTL whose failover can take longer than the service's `budget`. */
export function checkBudgets(zones: readonly Zone[], services: readonly ServiceModel[], report: Report): void {
  const limited = services.filter(({ budgetMs }) => budgetMs !== undefined)
  if (limited.length === 0) return
  for (const { service, budget, names, first, at } of steeredNames(zones, limited)) {
    const limitMs = service.budgetMs!
    const whose = someOf([first], 1, names)
    const { totalMs, ttlMs } = budget
    if (totalMs !== null && totalMs <= limitMs) continue
    const message =
      totalMs === null
        ? `service ${service.name} has a budget of ${formatSeconds(limitMs)} and no check: nobody notices when a site of ${whose} dies`
        : `the failover of ${whose} can take longer than the budget of service ${service.name}: ${budgetInWords(budget)} > ${formatSeconds(limitMs)}`
    const hint =
      totalMs === null ? 'Give the service a check, or leave `budget` out' : knob(limitMs - (totalMs - ttlMs), budget)
    report({ code: 'budget-exceeded', severity: 'error', ...at, message, hint })
  }
}

/** The hint: which setting to change. `leftMs`: what detection and spread leave for the TTL. */
function knob(leftMs: number, { detectMs, spreadMs }: FailoverBudget): string {
  const seconds = Math.floor(leftMs / 1000)
  if (seconds >= 1) return `A \`ttl\` of at most ${seconds} fits, or a check with a shorter interval or timeout`
  const alone = `detection and spread alone take ${formatSeconds(detectMs! + spreadMs)}`
  return `No TTL fits: ${alone}. Its check needs a shorter interval, a shorter timeout, or a lower \`fall\``
}

/** A budget in words: `detection 11.1 s + spread 0.5 s + TTL 60 s = 71.6 s`. */
export function budgetInWords({ detectMs, spreadMs, ttlMs, totalMs }: FailoverBudget): string {
  if (detectMs === null || totalMs === null) return 'never: nothing is checked'
  return `detection ${formatSeconds(detectMs)} + spread ${formatSeconds(spreadMs)} + TTL ${formatSeconds(ttlMs)} = ${formatSeconds(totalMs)}`
}
