/**
 * The fleet in words, for `meridian status`: overrides, the roster of probers, and the nodes. Lines have at most 100
 * columns.
 */
import { actionInWords } from '../../api/override.ts'
import type { NextDrill } from '../../api/status.ts'
import type { FreezeStatus, NodeStatus, OverrideStatus, ProberStatus } from '../../health/node-health.ts'
import { count, formatAge, formatDuration, someOf } from '../../units.ts'
import { table, untilInWords, wrap } from '../output.ts'

/** `next drill: fra-monthly, fra for 30m, 2026-12-01 09:00 UTC`; nothing if there is none. */
export const nextDrillInWords = (next: NextDrill | null | undefined): readonly string[] =>
  next === null || next === undefined
    ? []
    : [
        `next drill: ${next.name}, ${next.site} for ${formatDuration(next.forMs)}, ${new Date(next.fromMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`,
      ]

/** The overrides in force, a paragraph each. */
export function overridesInWords(overrides: readonly OverrideStatus[]): string {
  const lines = overrides.map(({ override, members, orphaned }) => {
    const { pattern, who, why } = override
    const whom = orphaned ? 'ORPHANED: matches no member any more' : count(members, 'member')
    return wrap(`${pattern} ${actionInWords(override)} (${whom}) by ${who} ${untilInWords(override)}: ${why}`, '  ')
  })
  return ['overrides', ...(lines.length === 0 ? ['  none'] : lines)].join('\n')
}

/** A freeze in words: who, why, until when, and what it keeps. */
export function freezeInWords({ who, why, kept, yields, ...time }: FreezeStatus): string {
  const what = [
    `${count(kept, 'member')} ${kept === 1 ? 'goes' : 'go'} against the verdicts`,
    ...(yields.length === 0 ? [] : [`${someOf(yields, 5)} by them all the same: all that it names is down`]),
  ]
  return `FROZEN by ${who} ${untilInWords(time)}: ${why}: verdicts change no answers; ${what.join('; ')}`
}

/** The roster of probers, as a table. */
export function probersInWords(probers: readonly ProberStatus[]): string {
  const rows = probers.map(({ prober, region, live, ageMs, beat }) => [
    prober,
    region,
    live ? 'live' : 'SILENT',
    `heard ${formatAge(ageMs)} ago`,
    (beat?.overdue ?? 0) === 0 ? '' : `${beat!.overdue} OVERDUE, by ${formatAge(beat!.overdueAgeMs)}`,
  ])
  return `probers\n${rows.length === 0 ? '  none heard' : table(rows, '  ')}`
}

/** The nodes of the fleet, as a table, this one included. */
export function nodesInWords(nodes: readonly NodeStatus[]): string {
  const rows = nodes.map((node) => [
    node.beat.node.name,
    node.self ? 'this' : node.live ? 'live' : `SILENT for ${formatAge(node.ageMs)}`,
    node.beat.version,
    `view ${node.beat.view.slice(0, 8)}`,
    node.beat.revision ?? '',
    `verdicts ${node.beat.verdicts.slice(0, 6)}`,
    differences(node),
  ])
  return `nodes\n${rows.length === 0 ? '  none heard' : table(rows, '  ')}`
}

/** Other nodes that are silent, and for how long: `n2 for 3 min`. */
export const silentNodes = (nodes: readonly NodeStatus[]): string[] =>
  nodes.filter(({ live, self }) => !live && !self).map(({ beat, ageMs }) => `${beat.node.name} for ${formatAge(ageMs)}`)

/** Silence in words, and what to do about one that does not come back. `names`: those that are silent. */
export const silenceInWords = (kind: 'prober' | 'node', names: string): string =>
  `${kind}s SILENT (${SILENCES[kind]}): ${names}; one is gone for good? meridian ${kind} forget NAME`

const SILENCES = { prober: 'no heartbeat', node: 'ended, standing still, or cut off from Redis' } as const

/** Clocks that differ by more are told: logs and times of two nodes can't be compared then. */
const SKEW_MS = 5_000

/** Nodes whose clock is off, in words: `n2 (30 min ahead)`. */
export const skewedNodes = (nodes: readonly NodeStatus[]): string[] =>
  nodes.flatMap(({ beat, live, clockSkewMs }) =>
    live && Math.abs(clockSkewMs ?? 0) > SKEW_MS ? [`${beat.node.name} (${skewInWords(clockSkewMs!)})`] : [],
  )

const skewInWords = (ms: number): string => `${formatAge(Math.abs(ms))} ${ms > 0 ? 'ahead' : 'behind'}`

function differences({ viewDiffersMs, verdictsDifferMs, live, clockSkewMs }: NodeStatus): string {
  const parts = [
    ...(viewDiffersMs > 0 ? [`OTHER view for ${formatAge(viewDiffersMs)}`] : []),
    ...(verdictsDifferMs > 0 ? [`OTHER verdicts for ${formatAge(verdictsDifferMs)}`] : []),
    ...(live && Math.abs(clockSkewMs ?? 0) > SKEW_MS ? [`clock ${skewInWords(clockSkewMs!)}`] : []),
  ]
  return parts.join(', ')
}
