/** What is announced of a node, in words: lines for `meridian status` of at most 100 columns. */
import type { AnnounceStatus } from '../../api/announcing.ts'
import { count, someOf } from '../../units.ts'
import { sinceInWords, wrap } from '../output.ts'

/** One line or two; none where nothing is to be announced. `announce`: an older node's status has none. */
export function announceInWords(announce: AnnounceStatus | null | undefined, nowMs = Date.now()): string[] {
  if (announce === null || announce === undefined) return []
  const { addresses, report, heard } = announce
  const silent = heard
    ? []
    : [wrap('meridian announce is SILENT: nothing withdraws this node when it does not answer', '! ')]
  if (report === null) return silent
  const { state, sinceMs, why, others } = report
  const since = `since ${sinceInWords(Math.max(0, nowMs - sinceMs), nowMs)}`
  if (state === 'announced') {
    const whom = others === null ? '' : `; ${others === 0 ? 'no other node is' : `${count(others, 'other node')} too`}`
    return [...silent, wrap(`announced ${since}${what(addresses)}${whom}`)]
  }
  const word = state === 'withdrawn' ? 'WITHDRAWN' : 'STAYS ANNOUNCED'
  return [...silent, wrap(`${word} ${since}${what(addresses)}: ${why}`, '! ')]
}

const what = (addresses: readonly string[]): string => (addresses.length === 0 ? '' : `, ${someOf(addresses, 4)}`)
