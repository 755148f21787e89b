/**
 * Overrides: what an operator says of members, above all votes. They spread over all nodes through the Store and live in a
 * local file too, so that they hold while Redis is away. Of each pattern the newest stands: the higher Lamport version, and of
 * equal ones the greater node name; undoing is an entry too (a tombstone), so that a node that was away learns of it.
 * Pure; overrides.ts keeps them.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { isRecord, isTime } from '../state.ts'
import { DAY_MS } from '../units.ts'

/** `undone`: the tombstone. */
export type OverrideAction = 'drain' | 'up' | 'down' | 'undone'

export interface Override {
  /** `SITE`, `SITE/SERVICE` or `SITE/SERVICE/VIP`. */
  readonly pattern: string
  readonly action: OverrideAction
  /** Lamport clock: one more than any that the node had seen. */
  readonly version: number
  /** Where it was made. */
  readonly node: string
  readonly who: string
  readonly why: string
  /** Wall clock, for display. */
  readonly madeMs: number
  /** Wall clock, compared by each node with its own; null = until undone. */
  readonly untilMs: number | null
}

const ACTIONS: readonly unknown[] = ['drain', 'up', 'down', 'undone']

/** Of a file or from Redis: an entry that this version understands whole. */
export const isOverride = (value: unknown): value is Override =>
  isRecord(value) &&
  ['pattern', 'node', 'who', 'why'].every((key) => typeof value[key] === 'string') &&
  ACTIONS.includes(value['action']) &&
  isVersion(value['version']) &&
  isTime(value['madeMs']) &&
  (value['untilMs'] === null || isTime(value['untilMs']))

export const isVersion = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/**
 * By how much a version may be above all that a node has seen: operators need centuries for so many, and one entry can't
 * bring the versions to their end, above which nothing could be undone. lua/override.1.lua has it too.
 */
const MOST_JUMP = 1e9
const LONGEST_MS = 365 * DAY_MS

/** Why an entry is not believed, in words; `highest`: version of all that were seen. Clocks of two hosts differ by less than a day. */
export function whyImplausible(
  { version, madeMs, untilMs }: Override,
  highest: number,
  wallMs: number,
): string | undefined {
  if (version > highest + MOST_JUMP) return `its version ${version} is far above ${highest}, the highest known`
  if (madeMs > wallMs + DAY_MS) return 'it was made more than a day from now'
  if (untilMs !== null && untilMs > wallMs + DAY_MS + LONGEST_MS) return 'it lasts for longer than 365 days'
  return undefined
}

/** What an operator asks of a node. */
export interface OverrideRequest {
  readonly pattern: string
  readonly action: OverrideAction
  /** undefined = until undone. */
  readonly forMs: number | undefined
  readonly who: string
  /** Empty where something is undone. */
  readonly why: string
  /** Also when less than `keep` of a service would be left. */
  readonly yes: boolean
}

/** Of each pattern the entry that stands. */
export type OverrideSet = ReadonlyMap<string, Override>

/** Whom an override can match. */
export interface MemberKey {
  readonly site: string
  readonly service: string
  readonly address: string
}

/**
 * Whether `a` stands over `b`, of one pattern: a total order, so that every node ends with the same, in whatever order it
 * hears. Beyond version and node name it only matters for a node that lost its file and counted anew.
 */
export function supersedes(a: Override, b: Override): boolean {
  if (a.version !== b.version) return a.version > b.version
  if (a.node !== b.node) return a.node > b.node
  if (a.madeMs !== b.madeMs) return a.madeMs > b.madeMs
  return textOf(a) > textOf(b)
}

const textOf = ({ action, who, why, untilMs }: Override): string => JSON.stringify([action, who, why, untilMs])

/** Of each pattern the newest of both. */
export function mergeOverrides(known: OverrideSet, entries: Iterable<Override>): OverrideSet {
  const merged = new Map(known)
  for (const entry of entries) {
    const stands = merged.get(entry.pattern)
    if (stands === undefined || supersedes(entry, stands)) merged.set(entry.pattern, entry)
  }
  return merged
}

/** Not undone, and not over. */
export const isInForce = ({ action, untilMs }: Override, wallMs: number): boolean =>
  action !== 'undone' && (untilMs === null || wallMs < untilMs)

/** Whoever was away for longer than this may bring back what was undone. */
const KEPT_MS = 30 * DAY_MS

/** Undone, or over, for so long that nobody needs to hear of it any more. */
export const isPurgeable = ({ action, madeMs, untilMs }: Override, wallMs: number): boolean =>
  (action === 'undone' && wallMs - madeMs > KEPT_MS) || (untilMs !== null && wallMs - untilMs > KEPT_MS)

/** The pattern in its one spelling (a VIP as the World writes it); undefined when it is none. */
export function canonicalPattern(text: string): string | undefined {
  const parts = text.split('/')
  if (parts.length > 3 || parts.includes('')) return undefined
  const [site, service, vip] = parts
  if (vip === undefined) return text
  const bytes = parseAddress(vip)
  return bytes === undefined ? undefined : `${site}/${service}/${formatAddress(bytes)}`
}

/** The patterns that match a member, the more specific ones later. */
const patternsOf = ({ site, service, address }: MemberKey): readonly string[] => [
  site,
  `${site}/${service}`,
  `${site}/${service}/${address}`,
]

export const matches = (pattern: string, member: MemberKey): boolean => patternsOf(member).includes(pattern)

const isForce = ({ action }: Override): boolean => action === 'up' || action === 'down'

/** The override that decides for a member: force over drain, then the more specific; undefined: none is in force. */
export function effectiveOverride(overrides: OverrideSet, member: MemberKey, wallMs: number): Override | undefined {
  if (overrides.size === 0) return undefined
  let best: Override | undefined
  for (const pattern of patternsOf(member)) {
    const entry = overrides.get(pattern)
    if (entry === undefined || !isInForce(entry, wallMs)) continue
    if (best === undefined || isForce(entry) || !isForce(best)) best = entry
  }
  return best
}

/** What is wrong with a duration asked for, in words. */
export function durationRefusal(forMs: number | undefined): { refused: string; hint: string } | undefined {
  if (forMs === undefined || (forMs >= 1000 && forMs <= LONGEST_MS)) return undefined
  return { refused: 'an override lasts from 1 s to 365 days', hint: 'Leave the duration out to keep it until undone' }
}
