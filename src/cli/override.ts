/**
 * `meridian drain`, `undrain`, `force`, `prober forget`, `node forget` and `geo accept`: requests to a node, which passes overrides on
 * to all nodes. The result shows the members that match, and how much of their services is left.
 */
import { hostname, userInfo } from 'node:os'
import type { RequestedAction } from '../api/bodies.ts'
import {
  actionInWords,
  type ForgetResult,
  type NotStored,
  orderInWords,
  type OverrideDone,
  type OverrideResult,
  type OverridesResult,
} from '../api/override.ts'
import type { Acknowledgement, Outlook } from '../health/node-health.ts'
import { count, formatPercent, formatWholePercent } from '../units.ts'
import type { DatabaseHold } from '../world/geo-hold.ts'
import type { ZonesHeld } from '../world/zone-hold.ts'
import { ask, type ControlOptions, post } from './control.ts'
import { type Output, table, untilInWords, wrap } from './output.ts'

/** Overrides to request in one order, one for each pattern, and how to reach the node. */
export interface OverrideOptions extends ControlOptions {
  readonly patterns: readonly string[]
  readonly action: RequestedAction
  /** As written: `30%`, `15m`, `2h`. */
  readonly to?: string
  readonly over?: string
  readonly for?: string
  readonly who: string
  readonly why?: string
  readonly yes: boolean
  readonly json: boolean
}

/** The user who runs the command, also under sudo: `kim@ops1`. */
export function whoAmI(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const name = env['SUDO_USER'] ?? env['USER'] ?? env['LOGNAME']
  return `${name ?? nameOfUid()}@${hostname()}`
}

function nameOfUid(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? '?'}` // in a container the user may have no name
  }
}

/** Exit code of a request that was done here, but not at all nodes so far. */
export const NOT_EVERYWHERE = 1

/**
 * Exit code of a request that was done but is not stored everywhere: a restart may lose it, or other nodes do not get
 * it.
 */
export const NOT_KEPT = 3

/** Prints where a change is not stored; returns the exit code, 0 or NOT_KEPT. */
export function reportNotStored(notKept: NotStored, output: Output): number {
  for (const { where, why } of notKept) {
    const what =
      where === 'disk'
        ? 'this is in force, but could not be saved on the disk of this node; a restart of the node would lose it'
        : 'this is in force at this node, but other nodes do not get it until it can be written to Redis'
    output.err(wrap(`meridian: ${what}: ${why}`))
  }
  return notKept.length === 0 ? 0 : NOT_KEPT
}

/** Prints which nodes have not got an override; returns the exit code, 0 or NOT_EVERYWHERE. */
export function reportUnreached({ unreached }: Acknowledgement, output: Output): number {
  for (const { node, why } of unreached)
    output.err(wrap(`meridian: node ${node} goes on as before: ${why}; it takes this over when it reads it in Redis`))
  return unreached.length === 0 ? 0 : NOT_EVERYWHERE
}

/**
 * Requests overrides; resolves to the exit code, 0, NOT_EVERYWHERE or NOT_KEPT. Throws ControlError, also if the node
 * refuses.
 */
export async function override(options: OverrideOptions, output: Output): Promise<number> {
  const { patterns, action, to, over, for: time, who, why, yes } = options
  // JSON leaves out what is undefined
  const bodies = patterns.map((pattern) => ({ pattern, action, to, over, for: time, who, why, yes }))
  const done = await post<OverrideResult | OverridesResult>(
    options,
    '/api/overrides',
    bodies.length === 1 ? bodies[0]! : bodies,
  )
  output.out(options.json ? JSON.stringify(done) : overridesInWords(done))
  return codeOf(done, output)
}

/** Prints where a change is not stored, or not in force; returns the exit code. */
export function codeOf(done: Acknowledgement & { readonly notKept: NotStored }, output: Output): number {
  const kept = reportNotStored(done.notKept, output)
  return reportUnreached(done, output) || kept
}

/** `on all 3 nodes`, `on 2 of 3 nodes`. */
export function reachInWords({ reached, unreached }: Acknowledgement): string {
  const all = reached.length + unreached.length
  if (all === 1) return 'at this node, which knows of no other'
  return unreached.length === 0 ? `on all ${all} nodes` : `on ${reached.length} of ${all} nodes`
}

/** The result of an order, in words. */
export function overridesInWords(result: OverrideResult | OverridesResult): string {
  const { services, ...nodes } = result
  const overrides = 'overrides' in result ? result.overrides : [result]
  const rows = services.map(({ service, leftBeforePercent, leftPercent, keepPercent, lastResort }) => [
    service,
    formatWholePercent(leftBeforePercent),
    formatWholePercent(leftPercent),
    formatWholePercent(keepPercent),
    lastResort ? 'LAST RESORT' : '',
  ])
  return [
    ...overrides.flatMap((one) => [
      wrap(`${doneInWords(one)}, ${reachInWords(nodes)}`),
      wrap(`${count(one.members.length, 'member')}: ${one.members.join(', ')}`, '  '),
    ]),
    table([['service', 'left before', 'left now', 'keep'], ...rows], '  '),
  ].join('\n')
}

function doneInWords({ done, before }: OverrideDone): string {
  const { pattern, action } = done
  if (action !== 'undone') return `${pattern} is ${orderInWords(done)} ${untilInWords(done)}`
  return `${pattern}: no longer ${before === undefined ? 'overridden' : `${actionInWords(before)} (by ${before.who}: ${before.why})`}`
}

/** Shows what a drain would leave; resolves to the exit code, 0 if it is safe. Throws ControlError. */
export async function outlook(
  options: ControlOptions & { readonly patterns: readonly string[]; readonly to?: string; readonly json: boolean },
  output: Output,
): Promise<number> {
  const { patterns, to } = options
  const question = new URLSearchParams(patterns.map((pattern) => ['pattern', pattern] as [string, string]))
  if (to !== undefined) question.set('to', to)
  const seen = await ask<Outlook>(options, `/api/outlook?${question.toString()}`)
  output.out(options.json ? JSON.stringify(seen) : outlookInWords(seen, to))
  return seen.safe ? 0 : 1
}

/** What a drain would leave, in words. `to`: the share that it leaves its members, as written; undefined: none. */
export function outlookInWords(seen: Outlook, to?: string): string {
  const { pattern, members, services, overrides, safe, why } = seen
  const rows = services.map((service) => [
    service.service,
    formatWholePercent(service.leftNowPercent),
    formatWholePercent(service.leftThenPercent),
    formatWholePercent(service.keepPercent),
    service.safe ? '' : service.lost.length > 0 ? `NO ${service.lost.join(', ')}` : 'TOO LITTLE',
  ])
  return [
    wrap(`${safe ? 'SAFE' : 'NOT SAFE'} to drain ${pattern}${to === undefined ? '' : ` to ${to}`}: ${why}`),
    wrap(`${count(members.length, 'member')}: ${members.join(', ')}`, '  '),
    ...overrides.map((one) =>
      wrap(`now: ${one.pattern} is ${actionInWords(one)} ${untilInWords(one)}: ${one.why}`, '  '),
    ),
    table([['service', 'left now', 'left then', 'keep'], ...rows], '  '),
    'dry run: nothing was changed',
  ].join('\n')
}

/** Removes a prober or a node; resolves to the exit code, 0, NOT_EVERYWHERE or NOT_KEPT. Throws ControlError. */
export async function forget(
  options: ControlOptions & {
    readonly kind: 'prober' | 'node'
    readonly name: string
    readonly who: string
    readonly json: boolean
  },
  output: Output,
): Promise<number> {
  const { kind, name, who } = options
  const done = await post<ForgetResult>(options, '/api/forget', { [kind]: name, who })
  output.out(options.json ? JSON.stringify(done) : `${kind} ${done.forgotten} is removed, ${reachInWords(done)}`)
  return codeOf(done, output)
}

/** Accepts the zones held back; resolves to the exit code 0. Throws ControlError, also if none are held back. */
export async function acceptZones(
  options: ControlOptions & { readonly who: string; readonly json: boolean },
  output: Output,
): Promise<number> {
  const done = await post<{ accepted: ZonesHeld }>(options, '/api/zones/accept', { who: options.who })
  const { movingInWords } = await import('../traffic/words.ts')
  const what = `the new zones are accepted and will be loaded now; ${movingInWords(done.accepted.moves)}`
  output.out(options.json ? JSON.stringify(done) : wrap(what))
  return 0
}

/** Accepts the databases held back; resolves to the exit code 0. Throws ControlError, also if none are held back. */
export async function acceptGeo(
  options: ControlOptions & { readonly who: string; readonly json: boolean },
  output: Output,
): Promise<number> {
  const done = await post<{ accepted: DatabaseHold }>(options, '/api/geo/accept', { who: options.who })
  const { service, moves } = done.accepted
  const { movesInWords } = await import('../traffic/words.ts')
  const what = `the new databases are accepted and will be loaded now: they move ${formatPercent(moves.moved)} of the clients of ${service}: ${movesInWords(moves.moves)}`
  output.out(options.json ? JSON.stringify(done) : wrap(what))
  return 0
}
