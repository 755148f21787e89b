/** What `meridian status` says of an announcement. */
import { expect, test } from 'vitest'
import type { AnnounceReport } from '../../src/api/announcing.ts'
import { announceInWords } from '../../src/cli/words/announce.ts'

const NOW_MS = Date.UTC(2026, 10, 30, 14, 5)
const REPORT: AnnounceReport = {
  state: 'announced',
  sinceMs: NOW_MS - 2 * 3_600_000,
  why: '',
  isPlanned: false,
  others: 2,
}
const inWords = (report: AnnounceReport | null, heard = true) =>
  announceInWords({ addresses: ['192.0.2.0/24'], report, heard }, NOW_MS)

test('one line: announced, withdrawn, or the last', () => {
  expect(announceInWords(null)).toEqual([])
  expect(announceInWords(undefined)).toEqual([])
  expect(inWords(REPORT)).toEqual(['announced since 12:05 UTC (2 h), 192.0.2.0/24; 2 other nodes too'])
  expect(inWords({ ...REPORT, others: 0 })).toEqual(['announced since 12:05 UTC (2 h), 192.0.2.0/24; no other node is'])
  expect(inWords({ ...REPORT, others: null })).toEqual(['announced since 12:05 UTC (2 h), 192.0.2.0/24'])
  expect(inWords({ ...REPORT, state: 'withdrawn', why: 'the node ends' })).toEqual([
    '! WITHDRAWN since 12:05 UTC (2 h), 192.0.2.0/24: the node ends',
  ])
  expect(inWords({ ...REPORT, state: 'kept', why: 'the node ends; no other node is announced and answers' })).toEqual([
    expect.stringMatching(/^! STAYS ANNOUNCED since 12:05 UTC \(2 h\), 192\.0\.2\.0\/24: the node ends; no other/),
  ])
})

test('that nobody watches', () => {
  const silent = '! meridian announce is SILENT: nothing withdraws this node when it does not answer'
  expect(inWords(null, false)).toEqual([silent])
  expect(inWords(REPORT, false)[0]).toBe(silent)
  expect(inWords(null)).toEqual([])
})
