/**
 * Overrides: an operator's drain or forced state of members; they outrank all votes. They spread to all nodes through
 * the Store and are kept in a local file, so they hold while Redis is away. For each pattern the newest wins: the
 * higher Lamport version, then the greater node name. An undo is an entry too (a tombstone), so that a node that was
 * away learns of it.
 *
 * Hosts' clocks may differ by any amount. So a duration travels with an override, and its age; each node measures the
 * rest by its own monotonic clock, and no wall clock of one host is compared with another's.
 * Pure; overrides.ts keeps them.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { isRecord, isTime } from '../state.ts'
import { DAY_MS } from '../units.ts'

/** What an override does; `undone` is the tombstone. */
export type OverrideAction = 'drain' | 'up' | 'down' | 'undone'

/** One override of one pattern. */
export interface Override {
  /** `SITE`, `SITE/SERVICE` or `SITE/SERVICE/VIP`. */
  readonly pattern: string
  readonly action: OverrideAction
  /** Lamport clock: one more than the highest that the node had seen. */
  readonly version: number
  /** Node on which it was set. */
  readonly node: string
  readonly who: string
  readonly why: string
  /** When it was set (Unix time in ms), by the clock of that node: part of what it is, and compared with no clock. */
  readonly madeMs: number
  /** How long it holds from then on; null: until it is undone. */
  readonly forMs: number | null
  /** When it was set, by the monotonic clock of this process: its age here. Before the process began it is below 0. */
  readonly setMs: number
}

/** An override in a file and in Redis. Both times are of the clock of the node on which it was set. */
export interface OverrideRecord extends Omit<Override, 'forMs' | 'setMs'> {
  readonly untilMs: number | null
}

/** An override as status and API show it. */
export interface OverrideView extends Omit<Override, 'forMs' | 'setMs'> {
  /** When it was set, and (untilMs) when it ends, Unix time in ms by the clock of the node that shows it. */
  readonly madeMs: number
  readonly untilMs: number | null
  /** Time until it ends; null: not before it is undone. */
  readonly leftMs: number | null
}

/** When it ends by the clock of the node on which it was set. */
const untilMsOf = ({ madeMs, forMs }: Override): number | null => (forMs === null ? null : madeMs + forMs)

/** An override as it is saved and sent. */
export function recordOf(entry: Override): OverrideRecord {
  const { pattern, action, version, node, who, why, madeMs } = entry
  return { pattern, action, version, node, who, why, madeMs, untilMs: untilMsOf(entry) }
}

/** The override of a record that is `ageMs` old. */
export function fromRecord(record: OverrideRecord, ageMs: number): Override {
  const { pattern, action, version, node, who, why, madeMs, untilMs } = record
  const forMs = untilMs === null ? null : untilMs - madeMs
  return { pattern, action, version, node, who, why, madeMs, forMs, setMs: performance.now() - Math.max(0, ageMs) }
}

/** An override as it is shown. */
export function viewOf(entry: Override): OverrideView {
  const { pattern, action, version, node, who, why, forMs, setMs } = entry
  const ageMs = performance.now() - setMs
  const madeMs = Math.round(Date.now() - ageMs)
  const untilMs = forMs === null ? null : madeMs + forMs
  const leftMs = forMs === null ? null : Math.max(0, Math.round(forMs - ageMs))
  return { pattern, action, version, node, who, why, madeMs, untilMs, leftMs }
}

const ACTIONS: readonly unknown[] = ['drain', 'up', 'down', 'undone']

/** Whether a value from a file or from Redis is an override that this version understands completely. */
export const isOverrideRecord = (value: unknown): value is OverrideRecord =>
  isRecord(value) &&
  ['pattern', 'node', 'who', 'why'].every((key) => typeof value[key] === 'string') &&
  ACTIONS.includes(value['action']) &&
  isVersion(value['version']) &&
  isTime(value['madeMs']) &&
  (value['untilMs'] === null || isTime(value['untilMs']))

/** Whether a value is a Lamport version. */
export const isVersion = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/**
 * Most by which a version may exceed all versions that a node has seen. Operators need centuries for so many; without
 * it one forged entry could exhaust the versions, and nothing could be undone. lua/override.1.lua has it too.
 */
const MOST_JUMP = 1e9
const LONGEST_MS = 365 * DAY_MS

/** Why an entry cannot be genuine, in words; undefined: it can. `highest`: highest version seen so far. */
export function whyImplausible({ version, forMs }: Override, highest: number): string | undefined {
  if (version > highest + MOST_JUMP) return `its version ${version} is far above ${highest}, the highest known`
  if (forMs !== null && forMs > LONGEST_MS) return 'it lasts for longer than 365 days'
  return undefined
}

/** An override as an operator asks a node for it. */
export interface OverrideRequest {
  readonly pattern: string
  readonly action: OverrideAction
  /** undefined = until undone. */
  readonly forMs: number | undefined
  readonly who: string
  /** Empty where something is undone. */
  readonly why: string
  /** Confirmed also when less than `keep` percent of a service would be left. */
  readonly yes: boolean
}

/** The winning entry of each pattern. */
export type OverrideSet = ReadonlyMap<string, Override>

/** The parts of a member's name, which patterns match. */
export interface MemberKey {
  readonly site: string
  readonly service: string
  readonly address: string
}

/**
 * Whether `a` wins over `b` of the same pattern. A total order, so that every node ends with the same entry whatever
 * order it receives them in. What follows version and node only matters for a node that lost its file and counted anew.
 */
export function supersedes(a: Override, b: Override): boolean {
  if (a.version !== b.version) return a.version > b.version
  if (a.node !== b.node) return a.node > b.node
  if (a.madeMs !== b.madeMs) return a.madeMs > b.madeMs
  return textOf(a) > textOf(b)
}

const textOf = (entry: Override): string => JSON.stringify([entry.action, entry.who, entry.why, untilMsOf(entry)])

/** Whether both are the same override, whatever age each is thought to have. */
export const isSame = (a: Override, b: Override): boolean =>
  a.pattern === b.pattern && !supersedes(a, b) && !supersedes(b, a)

/** The newest entry of each pattern of both. */
export function mergeOverrides(known: OverrideSet, entries: Iterable<Override>): OverrideSet {
  const merged = new Map(known)
  for (const entry of entries) {
    const stands = merged.get(entry.pattern)
    if (stands === undefined || supersedes(entry, stands)) merged.set(entry.pattern, entry)
  }
  return merged
}

/** When it ends, by the monotonic clock of this process; Infinity: not before it is undone. */
export const endMsOf = ({ setMs, forMs }: Override): number => (forMs === null ? Infinity : setMs + forMs)

/** Neither undone nor expired at `nowMs`, of the monotonic clock. */
export const isInForce = (entry: Override, nowMs: number): boolean =>
  entry.action !== 'undone' && nowMs < endMsOf(entry)

/** How long tombstones are kept. A node that was away for longer can bring back what was undone. */
const KEPT_MS = 30 * DAY_MS

/** Undone or expired for so long that no node needs it any more. */
export const isPurgeable = (entry: Override, nowMs: number): boolean =>
  nowMs - (entry.action === 'undone' ? entry.setMs : endMsOf(entry)) > KEPT_MS

/** A VIP that is a name: with its last dot, as in member names. */
const isTargetName = (vip: string): boolean => vip.length <= 255 && /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.$/i.test(vip)

/** The pattern in its canonical spelling (a VIP as RFC 5952 has it, or a name in lower case with its last dot); undefined: it is not a pattern. */
export function canonicalPattern(text: string): string | undefined {
  const parts = text.split('/')
  if (parts.length > 3 || parts.includes('')) return undefined
  const [site, service, vip] = parts
  if (vip === undefined) return text
  const bytes = parseAddress(vip)
  if (bytes !== undefined) return `${site}/${service}/${formatAddress(bytes)}`
  return isTargetName(vip) ? `${site}/${service}/${vip.toLowerCase()}` : undefined
}

/** The patterns that match a member, the most specific last. */
const patternsOf = ({ site, service, address }: MemberKey): readonly string[] => [
  site,
  `${site}/${service}`,
  `${site}/${service}/${address}`,
]

/** Whether a pattern matches a member. */
export const matches = (pattern: string, member: MemberKey): boolean => patternsOf(member).includes(pattern)

const isForce = ({ action }: Override): boolean => action === 'up' || action === 'down'

/** The override that decides for a member: force before drain, then the most specific; undefined: none is in force. */
export function effectiveOverride(overrides: OverrideSet, member: MemberKey, nowMs: number): Override | undefined {
  if (overrides.size === 0) return undefined
  let best: Override | undefined
  for (const pattern of patternsOf(member)) {
    const entry = overrides.get(pattern)
    if (entry === undefined || !isInForce(entry, nowMs)) continue
    if (best === undefined || isForce(entry) || !isForce(best)) best = entry
  }
  return best
}

/** Why a requested duration is refused; undefined: it is accepted. */
export function durationRefusal(forMs: number | undefined): { refused: string; hint: string } | undefined {
  if (forMs === undefined || (forMs >= 1000 && forMs <= LONGEST_MS)) return undefined
  return { refused: 'an override lasts from 1 s to 365 days', hint: 'Leave the duration out to keep it until undone' }
}
