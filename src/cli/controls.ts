/** `meridian freeze`, `unfreeze` and `return`: requests to a node, which passes them on to all nodes. */
import type { FreezeResult, ReturnResult } from '../api/controls.ts'
import { formatWholePercent } from '../units.ts'
import { type ControlOptions, post } from './control.ts'
import { type Output, table, untilInWords, wrap } from './output.ts'
import { codeOf, reachInWords } from './override.ts'
import { freezeInWords } from './words/fleet.ts'

/** Who asks, and how the node is reached. */
interface RequestOptions extends ControlOptions {
  readonly who: string
  readonly why?: string
  readonly json: boolean
}

/**
 * Begins a freeze (`for`: as written) or ends it; resolves to the exit code, 0, NOT_EVERYWHERE or NOT_KEPT. Throws
 * ControlError, also if the node refuses.
 */
export async function freeze(
  options: RequestOptions & { readonly action: 'freeze' | 'unfreeze'; readonly for?: string },
  output: Output,
): Promise<number> {
  const { action, who, why, for: time } = options
  const done = await post<FreezeResult>(options, '/api/freeze', { action, who, why, for: time })
  output.out(options.json ? JSON.stringify(done) : wrap(frozenInWords(done)))
  return codeOf(done, output)
}

function frozenInWords({ freeze: now, before, ...nodes }: FreezeResult): string {
  if (now !== null) return `${freezeInWords(now)}, ${reachInWords(nodes)}`
  const ended = before === null ? '' : ` It was by ${before.who} ${untilInWords(before)}: ${before.why}.`
  return `The freeze is over ${reachInWords(nodes)}: verdicts change answers again.${ended}`
}

/** Returns sites; resolves to the exit code, as freeze() does; NOT_EVERYWHERE too while something stays passed over. */
export async function returnSites(
  options: RequestOptions & { readonly pattern: string; readonly yes: boolean },
  output: Output,
): Promise<number> {
  const { pattern, who, why, yes } = options
  const done = await post<ReturnResult>(options, '/api/return', { pattern, who, why, yes })
  output.out(options.json ? JSON.stringify(done) : returnInWords(done))
  for (const { subject, why: cause } of done.waiting)
    output.err(wrap(`meridian: ${subject} stays passed over, for it is still not well (${cause}); with --yes too`))
  if (done.freeze !== null) output.err(wrap(`meridian: ${freezeInWords(done.freeze)}; what is down by it stays so`))
  return codeOf(done, output) || (done.waiting.length > 0 ? 1 : 0)
}

/** The result of a return, in words. */
export function returnInWords({ returned, services, ...nodes }: ReturnResult): string {
  const rows = services.map(({ service, leftBeforePercent, leftPercent, keepPercent, lastResort, unusable }) => [
    service,
    formatWholePercent(leftBeforePercent),
    formatWholePercent(leftPercent),
    formatWholePercent(keepPercent),
    lastResort ? 'LAST RESORT' : unusable.map(({ site, state }) => `${site} is ${state}`).join(', '),
  ])
  const are = returned.length === 1 ? 'has its' : 'have their'
  return [
    wrap(`${returned.join(', ')} ${are} clients again, ${reachInWords(nodes)}`),
    table([['service', 'left before', 'left now', 'keep'], ...rows], '  '),
  ].join('\n')
}
