/**
 * drills.yaml → DrillsModel: scheduled drills, and dates without any. Called by load.ts. Whether the windows ever come is
 * for the linter (lint.ts), for it depends on the day.
 */
import { didYouMean } from '../problem.ts'
import { formatDuration } from '../units.ts'
import type { Reader } from '../yaml/read.ts'
import type { Entry, Node } from '../yaml/source.ts'
import {
  type AbortRule,
  type DrillModel,
  type DrillsModel,
  formatAbortRule,
  NO_DRILLS,
  readAbortRule,
} from '../zone/drills.ts'
import type { SiteModel } from '../zone/model.ts'
import { type DayRange, type DayRule, formatDayRange, lengthMs, parseDayRange, parseDayRule } from '../zone/windows.ts'
import { readKeys } from './forms.ts'
import { DRILL, DRILLS } from './keys.ts'
import type { References } from './references.ts'
import { isIdentifier } from './services.ts'

const EXAMPLE = '{fra: {site: fra, days: [tue], from: "10:00", to: "12:00", for: 30m}}'
const DAYS = 'days: [tue, last-fri, 2026-12-01]'
const BLOCKED = 'blocked: [2026-11-27, 2026-12-20..2027-01-06]'
const ABORT_IF = 'abortIf: [left<60%, last-resort, orders]'

/** What drills name in other files. */
export interface DrillContext {
  readonly sites: ReadonlyMap<string, SiteModel>
  readonly services: ReadonlyMap<string, unknown>
  readonly references: References
}

/** Reads drills.yaml. Drills with faults are left out. */
export function readDrills(read: Reader, root: Node, context: DrillContext): DrillsModel {
  const { fields, values } = readKeys(read, root, 'drills.yaml', DRILLS)
  if (fields === undefined) return NO_DRILLS
  const entries = values.drills === undefined ? [] : read.entries(values.drills.value, '“drills”', EXAMPLE)
  return {
    drills: entries.flatMap((entry) => readDrill(read, entry, context) ?? []),
    blocked: values.blocked === undefined ? [] : readBlocked(read, values.blocked),
  }
}

function readDrill(read: Reader, { key, value }: Entry, context: DrillContext): DrillModel | undefined {
  const { errors } = read
  isIdentifier(read, key, 'a drill')
  const { fields, values } = readKeys(read, value, `drill ${key.text}`, DRILL, { at: key, what: `drill ${key.text}` })
  const { site, days, from, to, zone, for: forMs, abortIf } = values
  const whole = {
    days: days === undefined ? [] : readDays(read, days),
    abortIf: abortIf === undefined ? [{ kind: 'last-resort' } as const] : readRules(read, abortIf, context),
  }
  const named = fields?.get('site')
  if (site !== undefined && named !== undefined) noteSite(read, named, site, context)
  if (from === undefined || to === undefined || site === undefined || forMs === undefined) return undefined
  const window = { days: whole.days, fromMinutes: from, toMinutes: to, zone }
  const length = lengthMs(window)
  if (from === to) {
    read.fault(
      'value-invalid',
      fields!.get('to')!.value,
      '“to” is “from”: the window is empty',
      'For a whole day: from: "00:00", to: "24:00"',
    )
  } else if (forMs > length) {
    const message = `a drill of ${formatDuration(forMs)} does not fit into a window of ${formatDuration(length)}`
    read.fault('drill-long', fields!.get('for')!.value, message, 'It has to begin and to end in its window')
  }
  if (read.errors > errors) return undefined
  return { name: key.text, site, window, forMs, abortIf: whole.abortIf, at: read.at(key) }
}

function noteSite(read: Reader, { value }: Entry, site: string, { sites, references }: DrillContext): void {
  if (sites.has(site)) return references.add('site', site)
  read.countError()
  const hint = didYouMean(site, sites.keys()) ?? 'Write it into sites.yaml'
  references.addUnknown('site', site, () => read.problem('site-unknown', value, `there is no site “${site}”`, hint))
}

function readDays(read: Reader, { value }: Entry): readonly DayRule[] {
  return read.filledItems(value, '“days”', DAYS).flatMap((node) => {
    const text = read.scalar(node, 'a day', DAYS)?.text
    const rule = text === undefined ? undefined : parseDayRule(text)
    if (text !== undefined && rule === undefined)
      read.fault(
        'value-invalid',
        node,
        `“${text}” is no day of a window`,
        `A weekday, one of a month, or a date: ${DAYS}`,
      )
    return rule ?? []
  })
}

function readRules(read: Reader, { value }: Entry, { services, references }: DrillContext): readonly AbortRule[] {
  return read.filledItems(value, '“abortIf”', ABORT_IF).flatMap((node) => {
    const text = read.scalar(node, 'a rule', ABORT_IF)?.text
    if (text === undefined) return []
    const rule = readAbortRule(text)
    if (rule === undefined) read.fault('value-invalid', node, `“${text}” is no rule to end a drill by`, ABORT_IF)
    else if (rule.kind === 'down' && services.has(rule.service)) references.add('service', rule.service)
    else if (rule.kind === 'down') {
      read.countError()
      const hint = didYouMean(rule.service, services.keys()) ?? ABORT_IF
      const problem = () =>
        read.problem('service-unknown', node, `there is no service “${formatAbortRule(rule)}”`, hint)
      references.addUnknown('service', rule.service, problem)
    }
    return rule ?? []
  })
}

function readBlocked(read: Reader, { value }: Entry): readonly DayRange[] {
  return read.items(value, '“blocked”', BLOCKED).flatMap((node) => {
    const text = read.scalar(node, 'a date', BLOCKED)?.text
    const range = text === undefined ? undefined : parseDayRange(text)
    if (text === undefined) return []
    if (range === undefined) read.fault('value-invalid', node, `“${text}” is no date and no range of dates`, BLOCKED)
    else if (range.last < range.first) {
      const turned = formatDayRange({ first: range.last, last: range.first })
      read.fault('dates-order', node, `“${text}” ends before it begins`, `Did you mean ${turned}?`)
      return []
    }
    return range ?? []
  })
}
