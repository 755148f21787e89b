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

/**
 * The status of a prober, in words. `rows`: of the screen that it is to fit on, with the targets that are not up first;
 * without it all targets are shown.
 */
export function proberInWords(
  { node, plan, load, store, probing, troubles, targets }: ProberStatusView,
  rows?: number,
): string {
  const head = [
    ...processInWords(node),
    ...(plan === null
      ? []
      : [`plan ${plan.hash}  ${count(plan.zones, 'zone')}  revision ${plan.revision ?? 'none (not in git)'}`]),
    ...loadInWords(load),
    storeInWords(store),
    ...(probing === null ? [] : [wrap(probingInWords(probing))]),
    ...troubles.map((trouble) => wrap(trouble, '! ')),
  ].join('\n')
  if (targets.length === 0) return head
  if (rows === undefined) return [head, '', table(targets.map(targetRow))].join('\n')
  const room = Math.max(LEAST_TARGETS, rows - head.split('\n').length - 3) // an empty line, the rest, the prompt
  const worst = targets.toSorted((a, b) => rankOf(a) - rankOf(b))
  const shown = worst.length <= room + 1 ? worst : worst.slice(0, room)
  const rest = worst.length - shown.length
  const more = rest === 0 ? [] : [`… and ${count(rest, 'more target')}: meridian status --all`]
  return [head, '', table(shown.map(targetRow)), ...more].join('\n')
}

const LEAST_TARGETS = 5
const RANKS: readonly (string | undefined)[] = ['down', 'abstain', undefined, 'up']

/** DOWN first, then abstentions and what has no vote yet. */
const rankOf = ({ vote }: TargetReport): number => RANKS.indexOf(vote?.value)

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
