/** Windows of local time: days, time zones, and the days on which clocks change. */
import { describe, expect, test } from 'vitest'
import {
  formatDayRange,
  isZone,
  lastOccurrence,
  lengthMs,
  nextOccurrence,
  parseDay,
  parseDayRange,
  parseDayRule,
  parseMinutes,
  unixMsOf,
  type Window,
} from '../../src/zone/windows.ts'

const window = (days: string, from: string, to: string, zone = 'UTC'): Window => ({
  days: days.split(' ').map((day) => parseDayRule(day)!),
  fromMinutes: parseMinutes(from)!,
  toMinutes: parseMinutes(to)!,
  zone,
})
const at = (text: string): number => Date.parse(`${text}Z`)
const iso = (ms: number | undefined): string => (ms === undefined ? 'none' : new Date(ms).toISOString().slice(0, 16))
/** The occurrences of a window after a time. */
function after(one: Window, from: string, most: number): string[] {
  const found: string[] = []
  for (let ms = at(from); found.length < most;) {
    const next = nextOccurrence(one, [], ms)
    if (next === undefined) break
    found.push(`${iso(next.fromMs)} ${iso(next.toMs)}`)
    ms = next.fromMs
  }
  return found
}

test.each([
  ['tue', { kind: 'weekday', weekday: 2 }],
  ['first-sun', { kind: 'weekday', weekday: 0, nth: 1 }],
  ['last-fri', { kind: 'weekday', weekday: 5, nth: -1 }],
  ['2026-12-01', { kind: 'date', day: at('2026-12-01T00:00') / 86_400_000 }],
])('%s is a day of a window', (text, rule) => expect(parseDayRule(text)).toEqual(rule))

test.each(['', 'tuesday', 'fifth-tue', 'tue-first', '2026-02-30', '2026-2-3', '-tue', 'first'])(
  '“%s” is none',
  (text) => expect(parseDayRule(text)).toBe(undefined),
)

test.each([
  ['00:00', 0],
  ['09:30', 570],
  ['24:00', 1440],
  ['24:01', undefined],
  ['9:30', undefined],
  ['09:60', undefined],
])('%s as a time of day', (text, minutes) => expect(parseMinutes(text)).toBe(minutes))

test('ranges of dates are read and written alike, also those that end before they begin', () => {
  for (const text of ['2026-11-27', '2026-12-20..2027-01-06', '2027-01-06..2026-12-20'])
    expect(formatDayRange(parseDayRange(text)!)).toBe(text)
  expect(['2026-12-20..', '..', '2026-12-20..2026-12-21..2026-12-22', '2026-13-01'].map(parseDayRange)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test('zones are IANA’s', () => {
  expect(['UTC', 'Europe/Berlin', 'America/St_Johns'].every(isZone)).toBe(true)
  expect(['Europe/Berln', '+02:00', ''].some(isZone)).toBe(false)
})

test('weekdays, days of a month and dates', () => {
  expect(after(window('tue thu', '10:00', '12:00'), '2026-11-30T00:00', 3)).toEqual([
    '2026-12-01T10:00 2026-12-01T12:00',
    '2026-12-03T10:00 2026-12-03T12:00',
    '2026-12-08T10:00 2026-12-08T12:00',
  ])
  expect(after(window('first-tue last-tue', '10:00', '11:00'), '2026-12-01T10:00', 3)).toEqual([
    '2026-12-29T10:00 2026-12-29T11:00',
    '2027-01-05T10:00 2027-01-05T11:00',
    '2027-01-26T10:00 2027-01-26T11:00',
  ])
  expect(after(window('2026-12-02', '10:00', '11:00'), '2026-11-30T00:00', 2)).toEqual([
    '2026-12-02T10:00 2026-12-02T11:00',
  ])
  expect(after(window('2027-12-02', '10:00', '11:00'), '2026-11-30T00:00', 1), 'a year ahead').toHaveLength(1)
})

test.each([
  ['first-mon second-mon', ['2026-12-07', '2026-12-14', '2027-01-04']], // the 7th is of the first week
  ['last-sun last-mon', ['2026-12-27', '2026-12-28', '2027-01-25', '2027-01-31']], // the 24th is not the last
])('%s at the ends of weeks and months', (days, dates) => {
  const found = after(window(days, '10:00', '11:00'), '2026-12-01T00:00', dates.length)
  expect(found.map((one) => one.slice(0, 10))).toEqual(dates)
})

test('a window over midnight, and one far from UTC, belong to the local day on which they begin', () => {
  expect(after(window('tue', '22:00', '02:00', 'Pacific/Auckland'), '2026-11-28T00:00', 1)).toEqual([
    '2026-12-01T09:00 2026-12-01T13:00',
  ])
  const late = window('mon', '23:30', '24:00', 'Pacific/Honolulu')
  for (const from of ['2026-11-28T00:00', '2026-12-01T09:00'])
    expect(after(late, from, 1)).toEqual(['2026-12-01T09:30 2026-12-01T10:00'])
  const early = window('wed', '08:00', '09:00', 'Pacific/Auckland')
  expect(iso(lastOccurrence(early, [], at('2026-12-01T20:00'))?.fromMs)).toBe('2026-12-01T19:00')
})

const berlin = (from: string, to: string): Window => window('sun', from, to, 'Europe/Berlin')

describe('in Berlin', () => {
  test('the hour that is missing is counted by the offset before it', () => {
    // 2027-03-28: 02:00 CET is 03:00 CEST
    expect(after(berlin('02:30', '04:30'), '2027-03-27T00:00', 1)).toEqual(['2027-03-28T01:30 2027-03-28T02:30'])
    expect(after(berlin('01:30', '02:30'), '2027-03-27T00:00', 1)).toEqual(['2027-03-28T00:30 2027-03-28T01:30'])
    expect(after(berlin('02:00', '03:00'), '2027-03-27T00:00', 1)).toEqual(['2027-03-28T01:00 2027-03-28T01:00'])
  })

  test('of the hour that comes twice the first is meant', () => {
    // 2026-10-25: 03:00 CEST is 02:00 CET
    expect(after(berlin('02:15', '02:45'), '2026-10-24T00:00', 1)).toEqual(['2026-10-25T00:15 2026-10-25T00:45'])
    expect(after(berlin('01:30', '03:30'), '2026-10-24T00:00', 1)).toEqual(['2026-10-24T23:30 2026-10-25T02:30'])
  })

  test('each hour of both months is the same moment there and back', () => {
    const format = new Intl.DateTimeFormat('sv-SE', {
      timeZone: 'Europe/Berlin',
      dateStyle: 'short',
      timeStyle: 'short',
    })
    const hours = ['2026-03-01T00:00', '2026-10-01T00:00'].flatMap((from) =>
      Array.from({ length: 31 * 24 }, (_, i) => at(from) + i * 3_600_000),
    )
    const moved = hours.filter((ms) => {
      const [day = '', minutes = ''] = format.format(ms).split(' ')
      return unixMsOf('Europe/Berlin', parseDay(day)!, parseMinutes(minutes)!) !== ms
    })
    expect(moved.map(iso), 'the second of the two hours').toEqual(['2026-10-25T01:00'])
  })
})

test('the last occurrence is one that has begun, within a week', () => {
  const one = window('tue', '10:00', '12:00')
  const last = (now: string): string => iso(lastOccurrence(one, [], at(now))?.fromMs)
  expect(last('2026-12-01T09:59:59.999')).toBe('2026-11-24T10:00')
  expect(last('2026-12-01T10:00')).toBe('2026-12-01T10:00')
  expect(iso(lastOccurrence(window('2026-12-01', '10:00', '12:00'), [], at('2026-12-20T00:00'))?.fromMs)).toBe('none')
})

test('a blocked date blocks each window that touches it', () => {
  const one = window('tue', '22:00', '02:00', 'Europe/Berlin')
  const blocked = (text: string): boolean =>
    nextOccurrence(one, [parseDayRange(text)!], at('2026-11-30T00:00'))?.blocked !== undefined
  expect(['2026-12-01', '2026-12-02', '2026-11-30..2026-12-03'].map(blocked)).toEqual([true, true, true])
  expect(['2026-11-30', '2026-12-03'].map(blocked)).toEqual([false, false])
  const byMidnight = window('tue', '22:00', '24:00')
  expect(nextOccurrence(byMidnight, [parseDayRange('2026-12-02')!], at('2026-11-30T00:00'))?.blocked).toBe(undefined)
  expect(lengthMs(one)).toBe(4 * 3_600_000)
})
