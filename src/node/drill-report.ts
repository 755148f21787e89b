/**
 * The report of a drill: what was left of services, and how answers moved, from the counts of all nodes that told theirs
 * (NodeHeartbeat.rates). A value that drill.ts replaces as the drill goes on, and keeps.
 */
import type { Rates } from '../api/rates.ts'
import type { NodeStatus, ServiceHealth } from '../health/node-health.ts'
import { isRecord } from '../state.ts'
import { formatAbortRule, type AbortRule } from '../zone/drills.ts'

/** A drill as it is requested. */
export interface DrillRequest {
  readonly pattern: string
  readonly forMs: number
  readonly abortIf: readonly AbortRule[]
  readonly who: string
  readonly why: string
}

/** What became of a drill. `lost`: its node ended meanwhile; the drain ended in its time. */
export type DrillOutcome = 'running' | 'complete' | 'aborted' | 'undone' | 'lost'

/** A drill, running or over. Plain JSON. */
export interface DrillReport {
  readonly pattern: string
  readonly who: string
  readonly why: string
  /** As written: `left<60%`. */
  readonly abortIf: readonly string[]
  /** Unix time in ms by the clock of the node. */
  readonly beganMs: number
  readonly forMs: number
  /** How long it has been going, or went. */
  readonly lastedMs: number
  readonly outcome: DrillOutcome
  /** Why it ended, in words; empty while it runs. */
  readonly reason: string
  /** The capacity of each service that it drains of: before, and the least meanwhile. */
  readonly services: readonly {
    readonly service: string
    readonly beforePercent: number
    readonly leastPercent: number
  }[]
  /** Steered answers a second, by site, over the last 5 to 10 s each: before, the least, the most, the last. */
  readonly answers: readonly SiteAnswers[]
  /** Queries a second: before, and the most meanwhile. */
  readonly queries: { readonly before: number; readonly most: number }
  /** Nodes whose answers and queries are counted, the one that watches first; and those that did not tell theirs, or not to the end. */
  readonly nodes: { readonly counted: readonly string[]; readonly missing: readonly string[] }
}

interface SiteAnswers {
  readonly site: string
  readonly before: number
  readonly least: number
  readonly most: number
  readonly last: number
  /** When the site first had a tenth of its answers or less; null: never, or it had none before. */
  readonly leftAfterMs: number | null
}

/** What a node answers. */
export type OwnRates = Pick<Rates, 'queriesPerSecond' | 'sites'>

/** What a report is made from at one moment. `nodes`: of the fleet, as health tells them. */
export interface Measured {
  readonly self: string
  readonly rates: OwnRates
  readonly nodes: readonly NodeStatus[]
  readonly services: readonly ServiceHealth[]
}

/** The report of a drill that begins. `drained`: the services that it drains of. */
export function beginReport(request: DrillRequest, drained: ReadonlySet<string>, measured: Measured): DrillReport {
  const { pattern, who, why, abortIf, forMs } = request
  const begun: DrillReport = {
    pattern,
    who,
    why,
    abortIf: abortIf.map(formatAbortRule),
    beganMs: Date.now(),
    forMs,
    lastedMs: 0,
    outcome: 'running',
    reason: '',
    services: measured.services
      .filter(({ service }) => drained.has(service))
      .map(({ service, leftPercent }) => ({ service, beforePercent: leftPercent, leastPercent: leftPercent })),
    answers: [],
    queries: { before: 0, most: 0 },
    nodes: { counted: [], missing: [] },
  }
  return measure(begun, measured, 0)
}

/** The report with what there is now. */
export function measure(report: DrillReport, measured: Measured, lastedMs: number): DrillReport {
  const { self, rates, nodes, services } = measured
  const others = nodes.filter((node) => !node.self && node.beat.node.name !== self)
  const telling = new Map<string, OwnRates>([
    [self, rates],
    ...others.flatMap(({ live, beat }) =>
      live && beat.rates !== undefined ? [[beat.node.name, beat.rates] as const] : [],
    ),
  ])
  const counted = [...new Set([...report.nodes.counted, ...telling.keys()])]
  const known = new Set([...counted, ...others.map(({ beat }) => beat.node.name)])
  // a node that tells its answers first tells those from before the drain reached it, or hardly later
  const fresh = [...telling].flatMap(([name, own]) => (report.nodes.counted.includes(name) ? [] : [own]))
  const [now, added] = [sumOf([...telling.values()]), sumOf(fresh)]
  const left = new Map(services.map(({ service, leftPercent }) => [service, leftPercent]))
  const before = new Map(report.answers.map((one) => [one.site, one]))
  const queriesBefore = report.queries.before + added.queries
  return {
    ...report,
    lastedMs,
    services: report.services.map(({ service, beforePercent, leastPercent }) => {
      return { service, beforePercent, leastPercent: Math.min(leastPercent, left.get(service) ?? leastPercent) }
    }),
    answers: [...new Set([...before.keys(), ...now.sites.keys()])].map((site) =>
      answersOf(site, before.get(site), added.sites.get(site) ?? 0, now.sites.get(site) ?? 0, lastedMs),
    ),
    queries: { before: queriesBefore, most: Math.max(report.queries.most + added.queries, now.queries) },
    nodes: { counted, missing: [...known].filter((name) => !telling.has(name)).toSorted() },
  }
}

/** `added`: what nodes that tell for the first time answer at the site. */
function answersOf(
  site: string,
  known: SiteAnswers | undefined,
  added: number,
  last: number,
  lastedMs: number,
): SiteAnswers {
  const was = known ?? { before: 0, least: 0, most: 0, leftAfterMs: null }
  const before = tenths(was.before + added)
  const isLeft = before > 0 && last <= before / 10
  return {
    site,
    before,
    least: Math.min(tenths(was.least + added), last),
    most: Math.max(tenths(was.most + added), last),
    last,
    leftAfterMs: was.leftAfterMs ?? (isLeft ? lastedMs : null),
  }
}

function sumOf(all: readonly OwnRates[]): { readonly queries: number; readonly sites: ReadonlyMap<string, number> } {
  const sites = new Map<string, number>()
  for (const { site, answersPerSecond } of all.flatMap((one) => one.sites))
    sites.set(site, tenths((sites.get(site) ?? 0) + answersPerSecond))
  return { queries: tenths(all.reduce((sum, { queriesPerSecond }) => sum + queriesPerSecond, 0)), sites }
}

/** Sums of tenths are tenths. */
const tenths = (value: number): number => Math.round(10 * value) / 10

/** The outcome of a drill in words. */
export const OUTCOME_WORDS: Readonly<Record<DrillOutcome, string>> = {
  running: 'running',
  complete: 'complete',
  aborted: 'ABORTED',
  undone: 'over early',
  lost: 'lost',
}

/** A report of the file; undefined: it is none of this version. Versions before had the answers of one node alone. */
export function readReport(value: unknown): DrillReport | undefined {
  if (!isReport(value)) return undefined
  return isRecord(value.nodes) ? value : { ...value, nodes: { counted: [], missing: [] } }
}

const isReport = (value: unknown): value is DrillReport =>
  isRecord(value) &&
  ['pattern', 'who', 'why', 'outcome', 'reason'].every((key) => typeof value[key] === 'string') &&
  ['beganMs', 'forMs', 'lastedMs'].every((key) => typeof value[key] === 'number') &&
  ['abortIf', 'services', 'answers'].every((key) => Array.isArray(value[key])) &&
  isRecord(value['queries'])
