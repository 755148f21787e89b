/**
 * The first lines of `meridian status`, for nodes and probers: the process, its warnings, its last load, and Redis.
 */
import type { LoadStatus, ProcessStatus, StoreStatus } from '../../api/status.ts'
import { formatProblem } from '../../problem.ts'
import type { WorldMoves } from '../../traffic/service-moves.ts'
import { movingInWords } from '../../traffic/words.ts'
import { count, formatAge } from '../../units.ts'
import { wrap } from '../output.ts'

/** The process in words: name, readiness, uptime, version; then warnings and the last bug. */
export function processInWords(node: ProcessStatus): string[] {
  const { name, ready, reasons, warnings, upSeconds, pid, version, region, fault } = node
  const state = ready ? 'ready' : `NOT READY: ${reasons.join('; ')}`
  return [
    `${name}  ${state}  up ${formatAge(1000 * upSeconds)}  pid ${pid}  version ${version}  region ${region}`,
    ...warnings.map((warning) => wrap(warning, '! ')),
    ...(fault === null ? [] : [wrap(`FAULT: ${fault}`)]),
  ]
}

/** The most problems that are shown; the first is the one to correct first. */
const MOST_PROBLEMS = 3

/** The last load in words, with its first problems. */
export function loadInWords(load: LoadStatus | null): string[] {
  if (load === null) return []
  const why = load.failure === null ? 'was REFUSED' : `FAILED: ${load.failure}`
  const what = load.ok ? 'succeeded' : `${why}; what was loaded before stays in use`
  const of = load.revision === null ? '' : ` of ${load.revision}`
  return [
    wrap(`the last load${of}, ${formatAge(1000 * load.agoSeconds)} ago (${load.why}), ${what}`),
    ...load.problems.slice(0, MOST_PROBLEMS).flatMap((problem) =>
      formatProblem(problem)
        .split('\n')
        .map((line) => wrap(line.trim(), '  ')),
    ),
    ...(load.problems.length > MOST_PROBLEMS
      ? [`  … and ${count(load.problems.length - MOST_PROBLEMS, 'more problem')}: meridian check shows them`]
      : []),
  ]
}

/** The clients that the last change moved, in words. */
export const lastChangeInWords = (moves: WorldMoves): string => `the last change: ${movingInWords(moves)}`

/** The Store in words. */
export function storeInWords({ kind, trouble }: StoreStatus): string {
  if (trouble !== null) return wrap(`TROUBLE: ${trouble}; the last known health stays in use`)
  return kind === 'memory' ? 'no Redis: health comes from the checks of this process only' : 'Redis is connected'
}
