/**
 * Applies an operator's overrides at this node: checks what they would undo, applies them, waits until they are stored
 * and the other nodes acknowledge them, logs them. Called by RunningNode for POST /api/overrides. Overrides are in force
 * at once; the result says where they are not stored, and which nodes have not got them, so far.
 */
import type { Acknowledgement, SaveResult, NodeHealth, ServiceHealth } from '../health/node-health.ts'
import {
  canonicalPattern,
  type OverrideAction,
  type OverrideRequest,
  type OverrideView,
  shiftInWords,
  viewOf,
} from '../health/override.ts'
import { count, formatDuration, formatShare } from '../units.ts'
import type { OverrideBody } from './bodies.ts'
import type { Refusal } from './contract.ts'

/**
 * Where a change is not stored, and why. Empty: it is on this node's disk and in the Store, from which other nodes read
 * it.
 */
export type NotStored = readonly { readonly where: 'disk' | 'store'; readonly why: string }[]

/** What was done for one pattern. */
export interface OverrideDone {
  /** What is in force for the pattern now. */
  readonly done: OverrideView
  /** What was in force for the pattern before. */
  readonly before: OverrideView | undefined
  readonly members: readonly string[]
}

/** The result of one override. Plain JSON. */
export type OverrideResult = OverrideDone & OrderResult

/** The result of several overrides in one order. Plain JSON. */
export interface OverridesResult extends OrderResult {
  readonly overrides: readonly OverrideDone[]
}

/** At which nodes an order was applied, and how much capacity is left of each service that it matches. */
interface OrderResult extends Acknowledgement {
  readonly notKept: NotStored
  readonly services: readonly {
    readonly service: string
    readonly leftBeforePercent: number
    readonly leftPercent: number
    readonly keepPercent: number
    readonly lastResort: boolean
  }[]
}

const ACTIONS: Readonly<Record<OverrideBody['action'], OverrideAction>> = {
  drain: 'drain',
  up: 'up',
  down: 'down',
  undrain: 'undone',
  off: 'undone',
}

/** The request of a body: a drain in part or in steps, and the way back in steps, are shifts. */
function requestOf({ pattern, action, to = 0, overMs = 0, forMs, who, why, yes }: OverrideBody): OverrideRequest {
  const rest = { pattern, who, why, yes }
  if (action === 'undrain' && overMs > 0)
    return { ...rest, why: why || 'undrained', action: 'shift', shift: { to: 1000, overMs }, forMs: overMs }
  if (action === 'drain' && (to > 0 || overMs > 0)) return { ...rest, action: 'shift', shift: { to, overMs }, forMs }
  return { ...rest, action: ACTIONS[action], forMs }
}

const ACTION_WORDS: Readonly<Record<OverrideAction, string>> = {
  drain: 'drained',
  shift: 'drained in part',
  up: 'forced up',
  down: 'forced down',
  undone: 'undone',
  failover: 'failed over',
  freeze: 'frozen',
}

/** An override in words: `drained`, `drained to 30 %, at 62 % now`, `forced up`. */
export const actionInWords = ({ action, shift }: Pick<OverrideView, 'action' | 'shift'>): string =>
  shift === undefined ? ACTION_WORDS[action] : shiftInWords(shift)

/** The result of `prober forget` and `node forget`. Plain JSON. */
export interface ForgetResult extends Acknowledgement {
  readonly forgotten: string
  readonly notKept: NotStored
}

/** Where a change is not stored, from the result of NodeHealth. */
export const notStoredIn = ({ disk, store }: Pick<SaveResult, 'disk' | 'store'>): NotStored => [
  ...(disk === undefined ? [] : [{ where: 'disk' as const, why: disk }]),
  ...(store === undefined ? [] : [{ where: 'store' as const, why: store }]),
]

/** An override as it was ordered: `drained from 100 % to 30 % over 15m`; one that takes no time as actionInWords() has it. */
export function orderInWords(done: Pick<OverrideView, 'action' | 'shift'>): string {
  const { shift } = done
  if (shift === undefined || shift.overMs === 0) return actionInWords(done)
  const [from, to, over] = [formatShare(shift.from), formatShare(shift.to), formatDuration(shift.overMs)]
  return shift.to === 1000 ? `on the way back from ${from} over ${over}` : `drained from ${from} to ${to} over ${over}`
}

/** Writes a line to the log. */
export type WriteLog = (fields: object, line: string) => void

/** Applies one override, like applyOverrides(). */
export async function applyOverride(
  health: Pick<NodeHealth, 'override' | 'snapshot'>,
  body: OverrideBody,
  log: WriteLog,
): Promise<OverrideResult | Refusal> {
  const result = await applyOverrides(health, [body], log)
  if ('refused' in result) return result
  const { overrides, ...rest } = result
  return { ...overrides[0]!, ...rest }
}

/**
 * Applies all overrides or none; they are in force here at once. Resolves when they are stored and acknowledged, or when
 * it is known where they are not.
 */
export async function applyOverrides(
  health: Pick<NodeHealth, 'override' | 'snapshot'>,
  bodies: readonly OverrideBody[],
  log: WriteLog,
): Promise<OverridesResult | Refusal> {
  const earlier = health.snapshot()
  const asked = bodies.map((body) => ({ ...body, pattern: canonicalPattern(body.pattern) ?? body.pattern }))
  const stood = new Map(earlier.overrides.map(({ override }) => [override.pattern, override]))
  for (const body of asked) {
    const other = refusedUndo(body, stood.get(body.pattern))
    if (other !== undefined) return other
  }
  const result = health.override(...asked.map(requestOf))
  if ('refused' in result) return result
  const saved = await result.saved
  const { current, reached, unreached } = saved
  const notKept = notStoredIn(saved)
  const overrides = asked.map(({ pattern }, i): OverrideDone => {
    return { done: viewOf(current[i]!), before: stood.get(pattern), members: result.members[i]! }
  })
  const names = new Set(result.members.flat().map((member) => member.split('/')[1]))
  const left = new Map(earlier.services.map(({ service, leftPercent }) => [service, leftPercent]))
  const services = health.snapshot().services.filter(({ service }) => names.has(service))
  const lacks = lacksInWords(notKept, unreached)
  for (const { done, before, members } of overrides) {
    const fields = { override: done, before, members: members.length, notKept, unreached }
    log(fields, [lineOf(done, before, members.length), ...lacks].join('; '))
  }
  return { overrides, notKept, reached, unreached, services: services.map((service) => leftOf(service, left)) }
}

/** Where a change is not in force, for the log. */
export const lacksInWords = (notKept: NotStored, unreached: Acknowledgement['unreached']): readonly string[] => [
  ...notKept.map(({ where, why }) => `not ${WHERE_WORDS[where]}: ${why}`),
  ...unreached.map(({ node, why }) => `not at node ${node}: ${why}`),
]

const WHERE_WORDS: Readonly<Record<NotStored[number]['where'], string>> = { disk: 'on disk', store: 'in Redis' }

/** Refuses `undrain` of a force and `off` of a drain: the operator expects another override than there is. */
function refusedUndo({ action, pattern }: OverrideBody, before: OverrideView | undefined): Refusal | undefined {
  if (before === undefined || (action !== 'undrain' && action !== 'off')) return undefined
  const isDrain = before.action === 'drain' || before.action === 'shift'
  if (isDrain === (action === 'undrain')) return undefined
  return {
    refused: `${pattern} is ${actionInWords(before)} by ${before.who}: ${before.why}`,
    hint: `To undo that: ${isDrain ? `meridian undrain ${pattern}` : `meridian force ${pattern} off`}`,
  }
}

const leftOf = ({ service, leftPercent, keepPercent, lastResort }: ServiceHealth, before: Map<string, number>) => ({
  service,
  leftBeforePercent: before.get(service) ?? leftPercent,
  leftPercent,
  keepPercent,
  lastResort,
})

function lineOf(done: OverrideView, before: OverrideView | undefined, members: number): string {
  const { pattern, action, who, why, untilMs } = done
  const end = `(${count(members, 'member')})`
  if (action === 'undone') {
    const what = before === undefined ? 'its override' : `${actionInWords(before)} by ${before.who}`
    return `${pattern}: undone by ${who}: ${what}${why === '' ? '' : `: ${why}`} ${end}`
  }
  const until = untilMs === null ? 'until undone' : `until ${new Date(untilMs).toISOString()}`
  return `${pattern} is ${orderInWords(done)} by ${who} ${until}: ${why} ${end}`
}
