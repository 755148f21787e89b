/**
 * Windows of local time, and dates without any: when scheduled drills may be. Pure: the time is an argument. Local times
 * are those of the IANA zones that Node knows. Read by load/drills.ts, gone through by node/schedule.ts and the linter.
 *
 * A time that a day does not have, or has twice, because clocks change, is what RFC 5545 §3.3.5 makes of it: one that is
 * missing is counted by the offset before the gap, of one that comes twice the first is meant.
 */
import { DAY_MS } from '../units.ts'

/** A day of the calendar: days since 1970-01-01, in no time zone. */
export type Day = number

/** On which days a window is: on each of a weekday (0 = Sunday), on the `nth` of a month (−1: the last), or once. */
export type DayRule =
  | { readonly kind: 'weekday'; readonly weekday: number; readonly nth?: number }
  | { readonly kind: 'date'; readonly day: Day }

/** Some hours of some days. One that ends no later than it begins ends on the next day. */
export interface Window {
  readonly days: readonly DayRule[]
  /** Minutes of the local day, 0–1440. */
  readonly fromMinutes: number
  readonly toMinutes: number
  /** IANA name of the time zone. */
  readonly zone: string
}

/** The first and the last day of a range. */
export interface DayRange {
  readonly first: Day
  readonly last: Day
}

/** A window at one time: Unix time in ms. */
export interface Occurrence {
  readonly fromMs: number
  readonly toMs: number
  /** The range of dates without drills that it touches; undefined: none. */
  readonly blocked: DayRange | undefined
}

const DAY_MINUTES = 1440
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const NTH: Readonly<Record<string, number>> = { first: 1, second: 2, third: 3, fourth: 4, last: -1 }

/** `2026-12-01` → a Day; undefined: it is no date. */
export function parseDay(text: string): Day | undefined {
  const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  const day = ms / DAY_MS
  return Number.isNaN(day) || formatDay(day) !== text ? undefined : day
}

/** A Day as `2026-12-01`. */
export const formatDay = (day: Day): string => new Date(day * DAY_MS).toISOString().slice(0, 10)

/** `2026-12-20..2027-01-06`, or one day; undefined: it is neither. The last may be before the first. */
export function parseDayRange(text: string): DayRange | undefined {
  const [first = '', last = first, ...rest] = text.split('..').map((part) => part.trim())
  const [from, to] = [parseDay(first), parseDay(last)]
  return from === undefined || to === undefined || rest.length > 0 ? undefined : { first: from, last: to }
}

/** A range as parseDayRange() reads it. */
export const formatDayRange = ({ first, last }: DayRange): string =>
  first === last ? formatDay(first) : `${formatDay(first)}..${formatDay(last)}`

/** What parseDayRule() reads, but for dates. */
export const DAY_WORDS: readonly string[] = ['', 'first-', 'second-', 'third-', 'fourth-', 'last-'].flatMap((nth) =>
  WEEKDAYS.map((weekday) => nth + weekday),
)

/** `tue`, `first-tue`, `last-fri`, `2026-12-01`; undefined: it is none of them. */
export function parseDayRule(text: string): DayRule | undefined {
  const day = parseDay(text)
  if (day !== undefined) return { kind: 'date', day }
  const [word = '', order] = text.split('-').toReversed()
  const weekday = WEEKDAYS.findIndex((one) => one === word)
  if (weekday < 0 || !DAY_WORDS.includes(text)) return undefined
  return { kind: 'weekday', weekday, ...(order !== undefined && { nth: NTH[order]! }) }
}

/** `09:30`, or `24:00` for the end of a day → minutes; undefined: it is no time of a day. */
export function parseMinutes(text: string): number | undefined {
  const [, hours, minutes] = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(text) ?? []
  const all = 60 * Number(hours) + Number(minutes)
  return hours === undefined || all > DAY_MINUTES ? undefined : all
}

/** Minutes of a day as `09:30`. */
export const formatMinutes = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`

const formats = new Map<string, Intl.DateTimeFormat>()

/** Throws RangeError if Node does not know the zone. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const part = 'numeric'
  const parts = { year: part, month: part, day: part, hour: part, minute: part, second: part } as const
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', ...parts })
  formats.set(zone, format)
  return format
}

/** Whether it is the name of a time zone: `UTC`, `Europe/Berlin`. Offsets like `+02:00` are none: clocks change. */
export function isZone(zone: string): boolean {
  if (!/^[A-Za-z]/.test(zone)) return false
  try {
    formatOf(zone)
    return true
  } catch {
    return false
  }
}

/** How far local time is ahead of UTC, in ms. */
function offsetMs(zone: string, atMs: number): number {
  const wholeMs = Math.floor(atMs / 1000) * 1000
  const parts = new Map(
    formatOf(zone)
      .formatToParts(wholeMs)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type)!
  const localMs = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'))
  return localMs - wholeMs
}

/** The Unix time in ms of a local time. */
export function unixMsOf(zone: string, day: Day, minutes: number): number {
  const localMs = day * DAY_MS + minutes * 60_000
  const before = localMs - offsetMs(zone, localMs - DAY_MS)
  const after = localMs - offsetMs(zone, localMs + DAY_MS)
  const isThere = (atMs: number): boolean => atMs + offsetMs(zone, atMs) === localMs
  // a gap: by the offset before it
  return isThere(before) || !isThere(after) ? before : after
}

/** Whether a rule names a day. */
function isOn(rule: DayRule, day: Day): boolean {
  if (rule.kind === 'date') return rule.day === day
  const date = new Date(day * DAY_MS)
  if (date.getUTCDay() !== rule.weekday) return false
  if (rule.nth === undefined) return true
  if (rule.nth > 0) return Math.ceil(date.getUTCDate() / 7) === rule.nth
  return new Date((day + 7) * DAY_MS).getUTCMonth() !== date.getUTCMonth()
}

/** How long a window is by the clock on the wall, in ms. */
export const lengthMs = ({ fromMinutes, toMinutes }: Pick<Window, 'fromMinutes' | 'toMinutes'>): number =>
  60_000 * (toMinutes > fromMinutes ? toMinutes - fromMinutes : toMinutes + DAY_MINUTES - fromMinutes)

/** The occurrence that begins on a day; undefined: none does. */
function occurrenceOn(window: Window, blocked: readonly DayRange[], day: Day): Occurrence | undefined {
  const { days, fromMinutes, toMinutes, zone } = window
  if (!days.some((rule) => isOn(rule, day))) return undefined
  const end = toMinutes > fromMinutes ? toMinutes : toMinutes + DAY_MINUTES
  const lastDay = day + Math.floor((end - 1) / DAY_MINUTES)
  return {
    fromMs: unixMsOf(zone, day, fromMinutes),
    toMs: unixMsOf(zone, day, end),
    blocked: blocked.find(({ first, last }) => first <= lastDay && last >= day),
  }
}

/** The local day is this one, the one before or the one after. */
const dayOf = (atMs: number): Day => Math.floor(atMs / DAY_MS)

/** How far back an occurrence is looked for, and how far ahead, in days: over a year, so that what comes once a year is found. */
const DAYS_BACK = 8
const DAYS_AHEAD = 400

/** The last occurrence that has begun at `nowMs`, within a week; undefined: none has. */
export function lastOccurrence(window: Window, blocked: readonly DayRange[], nowMs: number): Occurrence | undefined {
  for (let day = dayOf(nowMs) + 1; day >= dayOf(nowMs) - DAYS_BACK; day--) {
    const found = occurrenceOn(window, blocked, day)
    if (found !== undefined && found.fromMs <= nowMs) return found
  }
  return undefined
}

/** The first occurrence that begins after `afterMs` and that `isWanted`; undefined: none within a year. */
export function nextOccurrence(
  window: Window,
  blocked: readonly DayRange[],
  afterMs: number,
  isWanted: (occurrence: Occurrence) => boolean = () => true,
): Occurrence | undefined {
  for (let day = dayOf(afterMs) - 1; day <= dayOf(afterMs) + DAYS_AHEAD; day++) {
    const found = occurrenceOn(window, blocked, day)
    if (found !== undefined && found.fromMs > afterMs && isWanted(found)) return found
  }
  return undefined
}
