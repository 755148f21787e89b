/** What the operator fills in to act: the actions, what each of them needs, how the API is asked for it, and its result. */
import type { FreezeResult, ReturnResult } from '../src/api/controls.ts'
import type { OverrideResult } from '../src/api/override.ts'
import type { OverrideStatus } from '../src/health/node-health.ts'
import type { RequestedAction } from '../src/api/bodies.ts'
import { percent, some } from './words.ts'

/** What POST /api/overrides, /api/return, /api/freeze and /api/drills do. */
export type Action = RequestedAction | 'return' | 'freeze' | 'unfreeze' | 'drill'

export const ACTIONS: readonly (readonly [action: Action, words: string])[] = [
  ['drain', 'Drain'],
  ['undrain', 'Undrain'],
  ['drill', 'Drill'],
  ['down', 'Force down'],
  ['up', 'Force up'],
  ['off', 'End the force'],
  ['return', 'Return'],
  ['freeze', 'Freeze'],
  ['unfreeze', 'Unfreeze'],
]
export const ACTION_WORDS: Readonly<Record<string, string>> = Object.fromEntries(ACTIONS)

type Choices = readonly (readonly [value: string, words: string])[]

const DURATIONS: Choices = [
  ['30m', '30 minutes'],
  ['2h', '2 hours'],
  ['8h', '8 hours'],
  ['1d', '1 day'],
  ['7d', '7 days'],
  ['', 'until it is undone'],
]

/** The share of its clients that a drain leaves a site. */
export const SHARES: Choices = [
  ['', 'nothing'],
  ['10%', '10 %'],
  ['30%', '30 %'],
  ['50%', '50 %'],
  ['70%', '70 %'],
  ['90%', '90 %'],
]

/** The time in which a drain, or the way back, is made in steps. */
export const TIMES: Choices = [
  ['', 'at once'],
  ['5m', '5 minutes'],
  ['15m', '15 minutes'],
  ['30m', '30 minutes'],
  ['1h', '1 hour'],
]

/** How long the action may last: a freeze and a drill have an end, and last a day at most. */
export const durationsOf = (action: Action): Choices =>
  action === 'freeze' || action === 'drill'
    ? DURATIONS.filter(([duration]) => duration !== '' && duration !== '7d')
    : DURATIONS

export const isUndoing = (action: Action): boolean => action === 'undrain' || action === 'off'
export const isDraining = (action: Action): boolean => action === 'drain' || action === 'undrain'
/** Of all nodes, and of no site. */
export const isFreezing = (action: Action): boolean => action === 'freeze' || action === 'unfreeze'
export const lasts = (action: Action): boolean => ['drain', 'drill', 'up', 'down', 'freeze'].includes(action)
/** Those that need a reason. */
export const isGrave = lasts

/** What the operator has filled in. */
export interface Draft {
  readonly pattern: string
  readonly action: Action
  /** One of SHARES, of a drain. */
  readonly to: string
  /** One of TIMES, of a drain or its end. */
  readonly over: string
  readonly for: string
  /** What ends a drill, as it is written, between commas. */
  readonly abortIf: string
  readonly who: string
  readonly why: string
  /** Do it even if too little would be left. */
  readonly yes: boolean
}

/** Nothing is filled in. */
export const emptyDraft = (who: string): Draft => ({
  pattern: '',
  action: 'drain',
  to: '',
  over: '',
  for: '2h',
  abortIf: 'left<60%, last-resort',
  who,
  why: '',
  yes: false,
})

export const actionOf = (value: string): Action => ACTIONS.find(([action]) => action === value)![0]

export type InForce = OverrideStatus['override']

/** `drained`, `drained to 30 %, at 62 % now`, `forced up`. */
export function forceInWords({ action, shift }: Pick<InForce, 'action' | 'shift'>): string {
  if (action === 'up' || action === 'down') return `forced ${action}`
  if (action === 'undone') return 'undone'
  if (shift === undefined) return 'drained'
  const way = shift.to === 1000 ? 'on the way back' : `drained to ${percent(shift.to / 10)}`
  return shift.now === shift.to ? way : `${way}, at ${percent(shift.now / 10)} now`
}

/** What the page reads of the response to a drill. */
interface DrillResult extends Pick<OverrideResult, 'reached' | 'unreached' | 'notKept'> {
  readonly drill: { readonly pattern: string }
}

export type Result = OverrideResult | ReturnResult | FreezeResult | DrillResult

/** The route of an action, and its body. */
export function orderOf(draft: Draft): [path: string, body: object] {
  const { pattern, action, to, over, for: duration, who, why, yes, abortIf } = draft
  const lasting = duration !== '' && lasts(action) && { for: duration }
  if (action === 'freeze' || action === 'unfreeze') return ['api/freeze', { action, who, why, ...lasting }]
  if (action === 'return') return ['api/return', { pattern, who, why, yes }]
  if (action === 'drill') {
    const written = abortIf.split(',').map((rule) => rule.trim())
    const rules = written.filter((rule) => rule !== '')
    return ['api/drills', { pattern, who, why, ...lasting, ...(rules.length > 0 && { abortIf: rules }) }]
  }
  const sharing = to !== '' && action === 'drain' && { to }
  const moving = over !== '' && isDraining(action) && { over }
  return ['api/overrides', { pattern, action, who, why, yes, ...lasting, ...sharing, ...moving }]
}

/** What came of it, and where. */
export function resultInWords(result: Result, action: Action): string {
  const { reached, unreached, notKept } = result
  const lacks = [
    ...unreached.map(({ node, why }) => `not at ${node} yet: ${why}`),
    ...notKept.map(({ where, why }) => `not stored ${where === 'disk' ? 'on disk' : 'in Redis'}: ${why}`),
  ]
  return [`${doneInWords(result, action)} at ${some(reached, 6)}`, ...lacks].join('; ')
}

function doneInWords(result: Result, action: Action): string {
  if ('done' in result) return `${result.done.pattern} is ${forceInWords(result.done)}`
  if ('returned' in result) return `returned: ${some(result.returned, 5)}`
  if ('drill' in result) return `the drill of ${result.drill.pattern} has begun`
  return action === 'freeze' ? 'frozen' : 'no longer frozen'
}
