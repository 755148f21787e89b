/**
 * Applies an operator's override at this node: checks what it would undo, applies it, waits until it is stored and the
 * other nodes acknowledge it, logs it. Called by RunningNode for POST /api/overrides. The override is in force at once;
 * the result says where it is not stored, and which nodes have not got it, so far.
 */
import type { Acknowledgement, SaveResult, NodeHealth, ServiceHealth } from '../health/node-health.ts'
import { canonicalPattern, type OverrideAction, type OverrideView, viewOf } from '../health/override.ts'
import { count } from '../units.ts'
import type { OverrideBody } from './bodies.ts'
import type { Refusal } from './contract.ts'

/**
 * Where a change is not stored, and why. Empty: it is on this node's disk and in the Store, from which other nodes read
 * it.
 */
export type NotStored = readonly { readonly where: 'disk' | 'store'; readonly why: string }[]

/**
 * The result of an override: what was applied, at which nodes, and how much capacity is left of each service it
 * matches. Plain JSON.
 */
export interface OverrideResult extends Acknowledgement {
  /** What is in force for the pattern now. */
  readonly done: OverrideView
  readonly notKept: NotStored
  /** What was in force for the pattern before. */
  readonly before: OverrideView | undefined
  readonly members: readonly string[]
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

/** An override in words: `drained`, `forced up`. */
export const ACTION_WORDS: Readonly<Record<OverrideAction, string>> = {
  drain: 'drained',
  up: 'forced up',
  down: 'forced down',
  undone: 'undone',
}

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

/**
 * Applies an override; it is in force here at once. Resolves when it is stored and acknowledged, or when it is known
 * where it is not.
 */
export async function applyOverride(
  health: Pick<NodeHealth, 'override' | 'snapshot'>,
  body: OverrideBody,
  log: (fields: object, line: string) => void,
): Promise<OverrideResult | Refusal> {
  const { who, why, forMs, yes } = body
  const pattern = canonicalPattern(body.pattern) ?? body.pattern
  const earlier = health.snapshot()
  const before = earlier.overrides.find(({ override }) => override.pattern === pattern)?.override
  const other = refusedUndo({ ...body, pattern }, before)
  if (other !== undefined) return other
  const result = health.override({ pattern, action: ACTIONS[body.action], forMs, who, why, yes })
  if ('refused' in result) return result
  const { members } = result
  const saved = await result.saved
  const { current, reached, unreached } = saved
  const done = viewOf(current)
  const notKept = notStoredIn(saved)
  const names = new Set(members.map((member) => member.split('/')[1]))
  const left = new Map(earlier.services.map(({ service, leftPercent }) => [service, leftPercent]))
  const services = health.snapshot().services.filter(({ service }) => names.has(service))
  const lacks = [
    ...notKept.map(({ where, why: lack }) => `not ${WHERE_WORDS[where]}: ${lack}`),
    ...unreached.map(({ node, why: lack }) => `not at node ${node}: ${lack}`),
  ]
  const fields = { override: done, before, members: members.length, notKept, unreached }
  log(fields, [lineOf(done, before, members.length), ...lacks].join('; '))
  const each = services.map((service) => leftOf(service, left))
  return { done, notKept, reached, unreached, before, members, services: each }
}

const WHERE_WORDS: Readonly<Record<NotStored[number]['where'], string>> = { disk: 'on disk', store: 'in Redis' }

/** Refuses `undrain` of a force and `off` of a drain: the operator expects another override than there is. */
function refusedUndo({ action, pattern }: OverrideBody, before: OverrideView | undefined): Refusal | undefined {
  if (before === undefined || (action !== 'undrain' && action !== 'off')) return undefined
  const isDrain = before.action === 'drain'
  if (isDrain === (action === 'undrain')) return undefined
  return {
    refused: `${pattern} is ${ACTION_WORDS[before.action]} by ${before.who}: ${before.why}`,
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

function lineOf(
  { pattern, action, who, why, untilMs }: OverrideView,
  before: OverrideView | undefined,
  members: number,
): string {
  const end = `(${count(members, 'member')})`
  if (action === 'undone') {
    const what = before === undefined ? 'its override' : `${ACTION_WORDS[before.action]} by ${before.who}`
    return `${pattern}: undone by ${who}: ${what}${why === '' ? '' : `: ${why}`} ${end}`
  }
  const until = untilMs === null ? 'until undone' : `until ${new Date(untilMs).toISOString()}`
  return `${pattern} is ${ACTION_WORDS[action]} by ${who} ${until}: ${why} ${end}`
}
