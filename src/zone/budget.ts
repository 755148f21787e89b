/**
 * The failover budget: how long, at worst, a client goes on to a site that has died. Read by the loader (`budget`), the
 * linter and `explain`, so that all say the same.
 *
 *   site dies ──detect──▶ last deciding vote ──spread──▶ every node's answers ──TTL──▶ last cached answer is gone
 */
import { formatName } from '../dns/name.ts'
import type { Position, Report } from '../problem.ts'
import { formatSeconds, someOf } from '../units.ts'
import type { CheckModel, ServiceModel } from './model.ts'
import { positionOf, Z_AT, Z_INTS, Z_OWNER, Z_SIZE, Z_TYPE, type ZoneModel } from './pack.ts'

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

/** What a check that begins late and a vote on its way add. */
const SLACK_MS = 100
/** 10 ms where Redis is near (docs/performance.md); this allows for one across an ocean, and a packet lost on the way. */
const SPREAD_MS = 500

/** The bound on what a silent site takes from its death to its last vote DOWN. */
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

/** The steered names of one service whose answers live equally long at most. */
export interface SteeredNames {
  readonly service: ServiceModel
  readonly budget: FailoverBudget
  /** How many they are. */
  readonly names: number
  /** The first of them, as text, and where it is written. */
  readonly first: string
  readonly at: Position
}

type Zone = Pick<ZoneModel, 'sets' | 'bytes' | 'services' | 'files'>

/** By service and longest TTL, in the order in which the zones name them. Services that there are not are left out. */
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

/** The steered entries of a zone; `set`: the first int of it. */
export function* steeredOf({ sets, services }: Pick<Zone, 'sets' | 'services'>): Generator<{
  readonly service: string
  readonly capSeconds: number
  readonly set: number
}> {
  if (services.length === 0) return
  for (let set = 0; set < sets.length; set += Z_INTS) {
    if (sets[set + Z_TYPE] !== 0) continue
    yield { service: services[sets[set + Z_AT]!]!, capSeconds: sets[set + Z_SIZE]!, set }
  }
}

/** An error for each service and longest TTL whose failover can take longer than the service's `budget`. */
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

/** What to turn, when so much is left for the TTL. */
function knob(leftMs: number, { detectMs, spreadMs }: FailoverBudget): string {
  const seconds = Math.floor(leftMs / 1000)
  if (seconds >= 1) return `A \`ttl\` of at most ${seconds} fits, or a check with a shorter interval or timeout`
  const alone = `detection and spread alone take ${formatSeconds(detectMs! + spreadMs)}`
  return `No TTL fits: ${alone}. Its check needs a shorter interval, a shorter timeout, or a lower \`fall\``
}

/** `detection 11.1 s + spread 0.5 s + TTL 60 s = 71.6 s` */
export function budgetInWords({ detectMs, spreadMs, ttlMs, totalMs }: FailoverBudget): string {
  if (detectMs === null || totalMs === null) return 'never: nothing is checked'
  return `detection ${formatSeconds(detectMs)} + spread ${formatSeconds(spreadMs)} + TTL ${formatSeconds(ttlMs)} = ${formatSeconds(totalMs)}`
}
