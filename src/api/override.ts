/** An override as an operator orders it, carried out at a node: what it undoes, what it did, who reads of it in the log. */
import type { Kept, NodeHealth, ServiceHealth } from '../health/node-health.ts'
import { canonicalPattern, type Override, type OverrideAction } from '../health/override.ts'
import { count } from '../units.ts'
import type { Order } from './bodies.ts'
import type { Refusal } from './contract.ts'

/** Where an order is not kept, and why; empty: it is on this node's disk, and on the board for the other nodes. */
export type Lack = readonly { readonly where: 'disk' | 'board'; readonly why: string }[]

/** What was done, and what is left of the services whose members it matches. Plain JSON. */
export interface Ordered {
  /** What stands for the pattern after the order. */
  readonly done: Override
  readonly notKept: Lack
  /** What stood for the pattern before. */
  readonly before: Override | undefined
  readonly members: readonly string[]
  readonly services: readonly {
    readonly service: string
    readonly leftBeforePercent: number
    readonly leftPercent: number
    readonly keepPercent: number
    readonly lastResort: boolean
  }[]
}

const ACTIONS: Readonly<Record<Order['action'], OverrideAction>> = {
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

/** A prober that is out of the rosters. Plain JSON. */
export interface Forgotten {
  readonly forgotten: string
  readonly notKept: Lack
}

export const lackOf = ({ disk, board }: Pick<Kept, 'disk' | 'board'>): Lack => [
  ...(disk === undefined ? [] : [{ where: 'disk' as const, why: disk }]),
  ...(board === undefined ? [] : [{ where: 'board' as const, why: board }]),
]

/** In force here at once; resolves when it is kept, or it is known where it is not. */
export async function carryOut(
  health: Pick<NodeHealth, 'override' | 'snapshot'>,
  order: Order,
  log: (fields: object, line: string) => void,
): Promise<Ordered | Refusal> {
  const { who, why, forMs, yes } = order
  const pattern = canonicalPattern(order.pattern) ?? order.pattern
  const earlier = health.snapshot()
  const before = earlier.overrides.find(({ override }) => override.pattern === pattern)?.override
  const other = otherKind({ ...order, pattern }, before)
  if (other !== undefined) return other
  const result = health.override({ pattern, action: ACTIONS[order.action], forMs, who, why, yes })
  if ('refused' in result) return result
  const { members } = result
  const kept = await result.kept
  const done = kept.stands
  const notKept = lackOf(kept)
  const names = new Set(members.map((member) => member.split('/')[1]))
  const left = new Map(earlier.services.map(({ service, leftPercent }) => [service, leftPercent]))
  const services = health.snapshot().services.filter(({ service }) => names.has(service))
  log({ override: done, before, members: members.length, notKept }, lineOf(done, before, members.length, notKept))
  return { done, notKept, before, members, services: services.map((service) => leftOf(service, left)) }
}

/** `undrain` doesn't lift a force, nor `off` a drain: who types it has something else in mind than what stands. */
function otherKind({ action, pattern }: Order, before: Override | undefined): Refusal | undefined {
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
  { pattern, action, who, why, untilMs }: Override,
  before: Override | undefined,
  members: number,
  notKept: Lack,
): string {
  const end = `(${count(members, 'member')})${notKept.map(({ where, why: lack }) => `; not on ${where}: ${lack}`).join('')}`
  if (action === 'undone') {
    const what = before === undefined ? 'its override' : `${ACTION_WORDS[before.action]} by ${before.who}`
    return `${pattern}: undone by ${who}: ${what}${why === '' ? '' : `: ${why}`} ${end}`
  }
  const until = untilMs === null ? 'until undone' : `until ${new Date(untilMs).toISOString()}`
  return `${pattern} is ${ACTION_WORDS[action]} by ${who} ${until}: ${why} ${end}`
}
