/**
 * `meridian drill`: asks a node for a drill, watches it, and prints its report; without a pattern the reports of earlier
 * ones. The drill is the node's: a command that ends early leaves it running.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NotStored } from '../api/override.ts'
import type { Acknowledgement } from '../health/node-health.ts'
import { type DrillReport, OUTCOME_WORDS } from '../node/drill-report.ts'
import { formatAge, formatWholePercent, someOf } from '../units.ts'
import { ask, type ControlOptions, post } from './control.ts'
import { type Output, table, wrap } from './output.ts'
import { reachInWords, reportNotStored, reportUnreached } from './override.ts'

/** A drill to request, and how to reach the node. */
export interface DrillOptions extends ControlOptions {
  /** undefined: only show the reports. */
  readonly pattern: string | undefined
  /** As written: `30m`, `left<60%|last-resort`. */
  readonly for?: string
  readonly abortIf: string
  readonly who: string
  readonly why?: string
  readonly json: boolean
}

/** The body of a response: the drill as it begins, and who drains. */
export interface DrillBegun extends Acknowledgement {
  readonly drill: DrillReport
  readonly notKept: NotStored
}

/** How often a drill that runs is looked at. */
const EVERY_MS = 1000

/** Runs or shows drills; resolves to the exit code: 1 when the drill did not come to its end. Throws ControlError. */
export async function drill(options: DrillOptions, output: Output): Promise<number> {
  const { pattern, abortIf, for: time, who, why, json } = options
  const reports = async (): Promise<readonly DrillReport[]> =>
    (await ask<{ drills: readonly DrillReport[] }>(options, '/api/drills')).drills
  if (pattern === undefined) {
    const all = await reports()
    const words = all.length === 0 ? 'there were no drills at this node' : all.map(drillInWords).join('\n\n')
    output.out(json ? JSON.stringify({ drills: all }) : words)
    return 0
  }
  const begun = await post<DrillBegun>(options, '/api/drills', {
    pattern,
    for: time,
    abortIf: abortIf.split('|'),
    who,
    why,
  })
  const { beganMs } = begun.drill
  if (!json)
    output.out(
      wrap(
        `the drill of ${begun.drill.pattern} runs, ${reachInWords(begun)}; to end it: meridian undrain ${begun.drill.pattern}`,
      ),
    )
  const kept = reportNotStored(begun.notKept, output)
  const everywhere = reportUnreached(begun, output) || kept
  let report = begun.drill
  while (report.outcome === 'running') {
    await sleep(EVERY_MS)
    report = (await reports()).find((one) => one.beganMs === beganMs) ?? report
  }
  output.out(json ? JSON.stringify(report) : drillInWords(report))
  return report.outcome === 'complete' ? everywhere : 1
}

/** A report in words. */
export function drillInWords(report: DrillReport): string {
  const { pattern, who, why, outcome, reason, lastedMs, beganMs, services, answers, queries, nodes } = report
  const at = new Date(beganMs).toISOString().slice(0, 16).replace('T', ' ')
  const end =
    outcome === 'running'
      ? `running for ${formatAge(lastedMs)}`
      : `${OUTCOME_WORDS[outcome]} after ${formatAge(lastedMs)}: ${reason}`
  return [
    wrap(`${pattern}: drill of ${at} UTC by ${who} (${why}): ${end}`),
    table(
      [
        ['service', 'left before', 'at least'],
        ...services.map((one) => [
          one.service,
          formatWholePercent(one.beforePercent),
          formatWholePercent(one.leastPercent),
        ]),
      ],
      '  ',
    ),
    table(
      [
        ['answers/s', 'before', 'least', 'most', 'last', 'a tenth after'],
        ...answers.map(({ site, before, least, most, last, leftAfterMs }) => [
          site,
          ...[before, least, most, last].map(String),
          leftAfterMs === null ? '-' : formatAge(leftAfterMs),
        ]),
      ],
      '  ',
    ),
    `  queries/s: ${queries.before} before, ${queries.most} at most`,
    ...nodesInWords(nodes),
  ].join('\n')
}

/** Whose answers and queries these are. */
function nodesInWords({ counted, missing }: DrillReport['nodes']): readonly string[] {
  const lacking = missing.length === 0 ? '' : `; NOT COUNTED, or not to the end: ${someOf(missing, 8)}`
  const whose = counted.length < 2 ? 'of the node that watched alone' : `of ${counted.length} nodes`
  return [wrap(`answers and queries are those ${whose}${lacking}`, '  ')]
}
