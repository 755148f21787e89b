/**
 * `meridian drain`, `undrain`, `force` and `prober forget`: orders to the node on this machine, which tells the others. What
 * was done is told back with the members it meets and what is left of their services.
 */
import { hostname, userInfo } from 'node:os'
import type { RequestedAction } from '../api/bodies.ts'
import { ACTION_WORDS, type ForgetResult, type NotStored, type OverrideResult } from '../api/override.ts'
import type { Outlook } from '../health/node-health.ts'
import { movesInWords } from '../traffic/moves.ts'
import { count, formatPercent, formatWholePercent } from '../units.ts'
import type { DatabaseHold } from '../world/geo-hold.ts'
import { ask, type ControlOptions, post } from './control.ts'
import { type Output, table, untilInWords, wrap } from './output.ts'

export interface OverrideOptions extends ControlOptions {
  readonly pattern: string
  readonly action: RequestedAction
  /** As written: `2h`. */
  readonly for?: string
  readonly who: string
  readonly why?: string
  readonly yes: boolean
  readonly json: boolean
}

/** Who is at the keyboard: `kim@ops1`, also behind sudo. */
export function whoAmI(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const name = env['SUDO_USER'] ?? env['USER'] ?? env['LOGNAME']
  return `${name ?? nameOfUid()}@${hostname()}`
}

function nameOfUid(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? '?'}` // a container's user without an entry
  }
}

/** Exit code of what was done, and is not kept everywhere: a restart may lose it, or other nodes do not hear it. */
export const NOT_KEPT = 3

/** Exit code: 0, or NOT_KEPT with the reasons. */
function reportNotStored(notKept: NotStored, output: Output): number {
  for (const { where, why } of notKept) {
    const what =
      where === 'disk'
        ? 'it is in force, but not on the disk of this node, and a restart would lose it'
        : 'it is in force at this node, but other nodes do not hear it until the board has it'
    output.err(wrap(`meridian: ${what}: ${why}`))
  }
  return notKept.length === 0 ? 0 : NOT_KEPT
}

/** Exit code: 0 when it was done, NOT_KEPT. Throws ControlError, with the reason when the node refuses. */
export async function override(options: OverrideOptions, output: Output): Promise<number> {
  const { pattern, action, who, why, yes, for: time } = options
  const body = { pattern, action, who, why, yes, for: time } // JSON leaves out what is undefined
  const done = await post<OverrideResult>(options, '/api/overrides', body)
  output.out(options.json ? JSON.stringify(done) : overrideInWords(done))
  return reportNotStored(done.notKept, output)
}

export function overrideInWords({ done, notKept, before, members, services }: OverrideResult): string {
  const { pattern, action, untilMs } = done
  const what =
    action === 'undone'
      ? `${pattern}: no longer ${before === undefined ? 'overridden' : `${ACTION_WORDS[before.action]} (by ${before.who}: ${before.why})`}`
      : `${pattern} is ${ACTION_WORDS[action]} ${untilInWords(untilMs)}`
  const rows = services.map(({ service, leftBeforePercent, leftPercent, keepPercent, lastResort }) => [
    service,
    formatWholePercent(leftBeforePercent),
    formatWholePercent(leftPercent),
    formatWholePercent(keepPercent),
    lastResort ? 'LAST RESORT' : '',
  ])
  return [
    wrap(
      `${what}, ${notKept.some(({ where }) => where === 'board') ? 'at this node' : 'on all nodes that hear the board'}`,
    ),
    wrap(`${count(members.length, 'member')}: ${members.join(', ')}`, '  '),
    table([['service', 'left before', 'left now', 'keep'], ...rows], '  '),
  ].join('\n')
}

/** Exit code: 0 when it is safe to drain it. Throws ControlError. */
export async function outlook(
  options: ControlOptions & { readonly pattern: string; readonly json: boolean },
  output: Output,
): Promise<number> {
  const seen = await ask<Outlook>(
    options,
    `/api/outlook?${new URLSearchParams({ pattern: options.pattern }).toString()}`,
  )
  output.out(options.json ? JSON.stringify(seen) : outlookInWords(seen))
  return seen.safe ? 0 : 1
}

export function outlookInWords({ pattern, members, services, safe, why }: Outlook): string {
  const rows = services.map((service) => [
    service.service,
    formatWholePercent(service.leftNowPercent),
    formatWholePercent(service.leftThenPercent),
    formatWholePercent(service.keepPercent),
    service.safe ? '' : 'TOO LITTLE',
  ])
  return [
    wrap(`${safe ? 'SAFE' : 'NOT SAFE'} to drain ${pattern}: ${why}`),
    wrap(`${count(members.length, 'member')}: ${members.join(', ')}`, '  '),
    table([['service', 'left now', 'left then', 'keep'], ...rows], '  '),
    'nothing was changed',
  ].join('\n')
}

/** Exit code: 0 when it is forgotten, NOT_KEPT. Throws ControlError. */
export async function forget(
  options: ControlOptions & { readonly prober: string; readonly who: string; readonly json: boolean },
  output: Output,
): Promise<number> {
  const { prober, who } = options
  const done = await post<ForgetResult>(options, '/api/forget', { prober, who })
  const whose = done.notKept.some(({ where }) => where === 'board') ? 'this node' : 'all nodes'
  output.out(options.json ? JSON.stringify(done) : `prober ${done.forgotten} is out of the roster of ${whose}`)
  return reportNotStored(done.notKept, output)
}

/** Exit code: 0 when they are accepted. Throws ControlError, when none wait too. */
export async function acceptGeo(
  options: ControlOptions & { readonly who: string; readonly json: boolean },
  output: Output,
): Promise<number> {
  const done = await post<{ accepted: DatabaseHold }>(options, '/api/geo/accept', { who: options.who })
  const { service, moves } = done.accepted
  const what = `the new databases are accepted, and are loaded now: they move ${formatPercent(moves.moved)} of the clients of ${service}: ${movesInWords(moves.moves)}`
  output.out(options.json ? JSON.stringify(done) : wrap(what))
  return 0
}
