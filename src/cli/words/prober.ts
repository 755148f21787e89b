/** What a process that only probes shows, in words. */
import type { ProberStatusView } from '../../api/prober-status.ts'
import type { TargetReport } from '../../probe/thread.ts'
import { count, formatAge } from '../../units.ts'
import { table, wrap } from '../output.ts'
import { probingInWords } from './probing.ts'
import { loadInWords, processInWords } from './process.ts'
import { storeInWords } from './process.ts'
import { checkInWords } from './services.ts'

export function proberInWords({ node, plan, load, store, probing, troubles, targets }: ProberStatusView): string {
  return [
    ...processInWords(node),
    ...(plan === null
      ? []
      : [`plan ${plan.hash}  ${count(plan.zones, 'zone')}  revision ${plan.revision ?? 'unknown to git'}`]),
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
    checkInWords(target),
    vote === undefined ? 'no vote' : vote.value === 'down' ? 'DOWN' : vote.value,
    lastRunMs === undefined ? 'never run' : `ran ${formatAge(lastRunMs)} ago`,
    vote === undefined ? '' : `${Math.round(vote.rttMs)} ms`,
    [vote?.reason ?? '', ...marks].filter((part) => part !== '').join(', '),
  ]
}
