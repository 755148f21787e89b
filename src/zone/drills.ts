/**
 * Scheduled drills as drills.yaml has them (load/drills.ts), and the rules that end a drill early. Read by node/schedule.ts,
 * which begins them, by `plan` and by `status`.
 */
import type { Position } from '../problem.ts'
import { formatDuration, parsePercent } from '../units.ts'
import {
  type DayRange,
  type DayRule,
  formatDay,
  formatMinutes,
  nextOccurrence,
  type Occurrence,
  type Window,
} from './windows.ts'

/**
 * When a drill ends early: less than `percent` is left of a service that it drains of; nothing is; `down`: a member of the
 * service goes down that the drill does not drain.
 */
export type AbortRule =
  | { readonly kind: 'left'; readonly percent: number }
  | { readonly kind: 'last-resort' }
  | { readonly kind: 'down'; readonly service: string }

/** A drill that is to be in each of its windows. */
export interface DrillModel {
  readonly name: string
  readonly site: string
  readonly window: Window
  readonly forMs: number
  readonly abortIf: readonly AbortRule[]
  readonly at: Position
}

/** All that drills.yaml says. */
export interface DrillsModel {
  readonly drills: readonly DrillModel[]
  /** Dates on which no drill begins, or is. */
  readonly blocked: readonly DayRange[]
}

export const NO_DRILLS: DrillsModel = { drills: [], blocked: [] }

/** Reads `left<60%`, `last-resort` or the name of a service; undefined: it is none of these. */
export function readAbortRule(text: string): AbortRule | undefined {
  const left = /^left\s*<(.*)$/.exec(text)?.[1]?.trim()
  if (left !== undefined) {
    const share = parsePercent(left)
    return share === undefined ? undefined : { kind: 'left', percent: Math.round(1e6 * share) / 1e4 } // 57, not 56.99…
  }
  if (text === 'last-resort') return { kind: 'last-resort' }
  return /^[\w.-]{1,63}$/.test(text) ? { kind: 'down', service: text } : undefined
}

/** An AbortRule as it is written. */
export const formatAbortRule = (rule: AbortRule): string =>
  rule.kind === 'left' ? `left<${rule.percent}%` : rule.kind === 'last-resort' ? 'last-resort' : rule.service

/** Whether a drill fits into an occurrence of its window, which clocks that change may have shortened. */
export const fits = ({ forMs }: Pick<DrillModel, 'forMs'>, { fromMs, toMs }: Occurrence): boolean =>
  toMs - fromMs >= forMs

/** When a drill is next, on no blocked date, after `afterMs`, Unix ms; undefined: not within a year. */
export const nextDrill = (drill: DrillModel, { blocked }: DrillsModel, afterMs: number): Occurrence | undefined =>
  nextOccurrence(drill.window, blocked, afterMs, (one) => one.blocked === undefined && fits(drill, one))

const WEEKDAYS = ['Sundays', 'Mondays', 'Tuesdays', 'Wednesdays', 'Thursdays', 'Fridays', 'Saturdays']
const ORDER: Readonly<Record<string, string>> = { 1: 'first', 2: 'second', 3: 'third', 4: 'fourth', '-1': 'last' }

function dayInWords(rule: DayRule): string {
  if (rule.kind === 'date') return formatDay(rule.day)
  return rule.nth === undefined ? WEEKDAYS[rule.weekday]! : `${ORDER[rule.nth]} ${WEEKDAYS[rule.weekday]!.slice(0, -1)}`
}

/** `fra for 30m, Tuesdays 10:00–12:00 Europe/Berlin, unless left<60%` */
export function scheduleInWords({ site, window, forMs, abortIf }: DrillModel): string {
  const { days, fromMinutes, toMinutes, zone } = window
  const when = `${days.map(dayInWords).join(', ')} ${formatMinutes(fromMinutes)}–${formatMinutes(toMinutes)} ${zone}`
  return `${site} for ${formatDuration(forMs)}, ${when}, until ${abortIf.map(formatAbortRule).join(' or ')}`
}
