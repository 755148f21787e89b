/** A process in words, for `meridian status`: what it is, how its last load went, whether it reaches the Store. */
import type { LoadStatus, ProcessStatus, StoreStatus } from '../../api/status.ts'
import { formatProblem } from '../../problem.ts'
import { formatAge } from '../../units.ts'
import { wrap } from '../output.ts'

export function processInWords(node: ProcessStatus): string[] {
  const { name, ready, reasons, warnings, upSeconds, pid, version, region, fault } = node
  const state = ready ? 'ready' : `NOT READY: ${reasons.join('; ')}`
  return [
    `${name}  ${state}  up ${formatAge(1000 * upSeconds)}  pid ${pid}  version ${version}  region ${region}`,
    ...warnings.map((warning) => wrap(warning, '! ')),
    ...(fault === null ? [] : [wrap(`FAULT: ${fault}`)]),
  ]
}

export function loadInWords(load: LoadStatus | null): string[] {
  if (load === null) return []
  const why = load.failure === null ? 'was REFUSED' : `FAILED: ${load.failure}`
  const what = load.ok ? 'took' : `${why}; what was loaded before goes on`
  const of = load.revision === null ? '' : ` of ${load.revision}`
  return [
    wrap(`the last load${of}, ${formatAge(1000 * load.agoSeconds)} ago (${load.why}), ${what}`),
    ...load.problems.flatMap((problem) =>
      formatProblem(problem)
        .split('\n')
        .map((line) => wrap(line.trim(), '  ')),
    ),
  ]
}

export function storeInWords({ kind, trouble }: StoreStatus): string {
  if (trouble !== null) return wrap(`TROUBLE: ${trouble}; what was heard last stands`)
  return kind === 'memory' ? 'no Redis: health is what this process probes itself' : 'Redis is reached'
}
