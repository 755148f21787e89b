/**
 * The status of a process that only probes, in words: the process, its last load, Redis, and a row for each target.
 * Called by ../status.ts.
 */
import type { ProberStatusView } from '../../api/prober-status.ts'
import { targetInWords } from '../../health/target.ts'
import type { TargetReport } from '../../probe/thread.ts'
import { count, formatAge } from '../../units.ts'
import { table, wrap } from '../output.ts'
import { probingInWords } from './probing.ts'
import { loadInWords, processInWords } from './process.ts'
import { storeInWords } from './process.ts'

/** The status of a prober, in words. */
export function proberInWords({ node, plan, load, store, probing, troubles, targets }: ProberStatusView): string {
  return [
    ...processInWords(node),
    ...(plan === null
      ? []
      : [`plan ${plan.hash}  ${count(plan.zones, 'zone')}  revision ${plan.revision ?? 'none (not in git)'}`]),
    ...loadInWords(load),
    storeInWords(store),
    ...(probing === null ? [] : [wrap(probingInWords(probing))]),
    ...troubles.map((trouble) => wrap(trouble, '! ')),
    ...(targets.length === 0 ? [] : ['', table(targets.map(targetRow))]),
  ].join('\n')
}

function targetRow({ target, lastRunMs, vote, heldDownMs }: TargetReport): string[] {
  const marks = [
    ...(vote?.moving === true ? ['moving'] : []),
    ...(heldDownMs > 0 ? [`UP held down for ${formatAge(heldDownMs)}`] : []),
  ]
  return [
    targetInWords(target),
    vote === undefined ? 'no vote' : vote.value === 'down' ? 'DOWN' : vote.value,
    lastRunMs === undefined ? 'not run yet' : `ran ${formatAge(lastRunMs)} ago`,
    vote === undefined ? '' : `${Math.round(vote.rttMs)} ms`,
    [vote?.reason ?? '', ...marks].filter((part) => part !== '').join(', '),
  ]
}
