/**
 * Overrides: an operator's drain, whole or partial, or forced state of members; they outrank all votes. They spread to all nodes through
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
import { DAY_MS, formatDuration, formatShare } from '../units.ts'
import { nextStepMs, type Shift, shiftedShare } from './share.ts'

/**
 * What an override does; `undone` is the tombstone. `shift`: a partial drain, whose share may move, or the way back from
 * a drain. It is an action of its own, so that versions that do not know it reject the record: they would drain whole.
 */
export type OverrideAction = 'drain' | 'shift' | 'up' | 'down' | 'undone' | ControlAction

/**
 * The actions of entries that are in the same set, and override nothing by themselves: a site has failed over for a
 * service, and awaits its return (failback.ts); the automation stands still (freeze.ts). Their patterns are their own,
 * below, so that they stand beside overrides of the same members, and versions that do not know them reject them.
 */
export type ControlAction = 'failover' | 'freeze'

/** The pattern of a freeze: everything. */
export const EVERYTHING = '*'
/** The pattern of the failover of a service from a site. */
export const failoverPattern = (site: string, service: string): string => `${site}/${service}/*`
/** Whether it is a pattern of a ControlAction, or of its end. */
export const isControlPattern = (pattern: string): boolean => pattern.endsWith('*')

/** How the reason of a drain begins that is a drill: nodes tell each other what they answer while one is in force. */
export const DRILL_WHY = 'drill: '

/** One override of one pattern. */
export interface Override {
  /** `SITE`, `SITE/SERVICE` or `SITE/SERVICE/VIP`. */
  readonly pattern: string
  readonly action: OverrideAction
  /** Of the action `shift`, and of no other. */
  readonly shift?: Shift
  /** Of the action `freeze`, and of no other: patterns of the members that count as down. All others count as up. */
  readonly down?: readonly string[]
  /** Lamport clock: one more than the highest that the node had seen; those of one order have the same. */
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
export interface OverrideView extends Omit<Override, 'forMs' | 'setMs' | 'shift' | 'down'> {
  /** `now`: the share that it leaves now, in ‰. */
  readonly shift?: Shift & { readonly now: number }
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
  const { pattern, action, version, node, who, why, madeMs, shift, down } = entry
  const more = { ...(shift && { shift }), ...(down && { down }) }
  return { pattern, action, version, node, who, why, madeMs, untilMs: untilMsOf(entry), ...more }
}

/** The override of a record that is `ageMs` old. */
export function fromRecord(record: OverrideRecord, ageMs: number): Override {
  const { untilMs, shift, down, pattern, action, version, node, who, why, madeMs } = record
  const forMs = untilMs === null ? null : untilMs - madeMs
  const setMs = performance.now() - Math.max(0, ageMs)
  const rest = {
    ...(shift && { shift: { from: shift.from, to: shift.to, overMs: shift.overMs } }),
    ...(down && { down }),
  }
  return { pattern, action, version, node, who, why, madeMs, forMs, setMs, ...rest }
}

/** An override as it is shown. */
export function viewOf(entry: Override): OverrideView {
  const { pattern, action, version, node, who, why, forMs, setMs, shift } = entry
  const ageMs = performance.now() - setMs
  const madeMs = Math.round(Date.now() - ageMs)
  const untilMs = forMs === null ? null : madeMs + forMs
  const leftMs = forMs === null ? null : Math.max(0, Math.round(forMs - ageMs))
  const moving = shift && { shift: { ...shift, now: shiftedShare(shift, ageMs) } }
  return { pattern, action, version, node, who, why, madeMs, untilMs, leftMs, ...moving }
}

const ACTIONS: readonly unknown[] = ['drain', 'shift', 'up', 'down', 'undone', 'failover', 'freeze']

/** Whether a value from a file or from Redis is an override that this version understands completely. */
export const isOverrideRecord = (value: unknown): value is OverrideRecord =>
  isRecord(value) &&
  ['pattern', 'node', 'who', 'why'].every((key) => typeof value[key] === 'string') &&
  ACTIONS.includes(value['action']) &&
  isVersion(value['version']) &&
  isTime(value['madeMs']) &&
  (value['untilMs'] === null || isTime(value['untilMs'])) &&
  (value['action'] === 'shift' ? isShift(value['shift']) : value['shift'] === undefined) &&
  (value['action'] === 'freeze' ? isTexts(value['down']) : value['down'] === undefined) &&
  isOwnPattern(value['action'], value['pattern'])

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string')

/** A freeze has its own pattern, a failover one of its own form, and an override none of these. */
function isOwnPattern(action: unknown, pattern: unknown): boolean {
  if (typeof pattern !== 'string') return false
  if (action === 'freeze') return pattern === EVERYTHING
  if (action === 'failover') return pattern !== EVERYTHING && isControlPattern(pattern)
  return action === 'undone' || !isControlPattern(pattern)
}

const isShift = (value: unknown): value is Shift =>
  isRecord(value) && isWhole(value['from'], 1000) && isWhole(value['to'], 1000) && isWhole(value['overMs'], LONGEST_MS)

const isWhole = (value: unknown, most: number): boolean =>
  Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= most

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
  /** Of the action `shift`: where it goes from the share that there is; `to` 1000: back, where the override ends. */
  readonly shift?: Omit<Shift, 'from'>
  readonly down?: readonly string[]
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

const textOf = (entry: Override): string => {
  const { action, who, why, shift, down } = entry
  return JSON.stringify([action, who, why, untilMsOf(entry), ...[shift, down].filter((one) => one !== undefined)])
}

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
export const patternsOf = ({ site, service, address }: MemberKey): readonly string[] => [
  site,
  `${site}/${service}`,
  `${site}/${service}/${address}`,
]

/** Whether a pattern matches a member; also those of control entries. */
export const matches = (pattern: string, member: MemberKey): boolean =>
  patternsOf(member).includes(pattern) ||
  (isControlPattern(pattern) && (pattern === EVERYTHING || pattern === failoverPattern(member.site, member.service)))

const isForce = ({ action }: Override): boolean => action === 'up' || action === 'down'

/** The share of their traffic that an override leaves its members at `nowMs`, of the monotonic clock, in ‰. */
export function shareAt({ action, shift, setMs }: Override, nowMs: number): number {
  if (shift !== undefined) return shiftedShare(shift, nowMs - setMs)
  return action === 'drain' || action === 'down' ? 0 : 1000
}

/** What an override does at `nowMs`: a shift that leaves nothing is a drain. */
export const actionAt = (entry: Override, nowMs: number): OverrideAction =>
  entry.action === 'shift' && shareAt(entry, nowMs) === 0 ? 'drain' : entry.action

/** When time alone changes what an override that is in force does: by its end, or a step. */
export const nextChangeMs = (entry: Override, nowMs: number): number => {
  const { shift, setMs } = entry
  return Math.min(endMsOf(entry), shift === undefined ? Infinity : setMs + nextStepMs(shift, nowMs - setMs))
}

/** A shift in words: `drained to 30 %`, `drained to 30 %, at 62 % now`, `on the way back from 30 %, at 62 % now`. */
export function shiftInWords({ from, to, now }: Shift & { readonly now: number }): string {
  const what = to === 1000 ? `on the way back from ${formatShare(from)}` : `drained to ${formatShare(to)}`
  return now === to ? what : `${what}, at ${formatShare(now)} now`
}

/**
 * The override that decides for a member: the most specific force; without one the drain that leaves it least now, and of
 * these the most specific. undefined: none is in force.
 */
export function effectiveOverride(overrides: OverrideSet, member: MemberKey, nowMs: number): Override | undefined {
  if (overrides.size === 0) return undefined
  let best: Override | undefined
  for (const pattern of patternsOf(member)) {
    const entry = overrides.get(pattern)
    if (entry === undefined || !isInForce(entry, nowMs)) continue
    const isLess = best === undefined || (!isForce(best) && shareAt(entry, nowMs) <= shareAt(best, nowMs))
    if (isLess || isForce(entry)) best = entry
  }
  return best
}

/** The share that overrides which are no more specific than a pattern leave its members, in ‰. */
export function shareOn(overrides: OverrideSet, pattern: string, nowMs: number): number {
  const [site = '', service = '', address = ''] = pattern.split('/')
  const entry = effectiveOverride(overrides, { site, service, address }, nowMs)
  return entry === undefined ? 1000 : shareAt(entry, nowMs)
}

/** Why a requested duration is refused; undefined: it is accepted. `maxForMs`: the setting overrides.maxFor. */
export function durationRefusal(
  { action, forMs }: Pick<OverrideRequest, 'action' | 'forMs'>,
  maxForMs?: number,
): { refused: string; hint: string } | undefined {
  if (forMs !== undefined && (forMs < 1000 || forMs > LONGEST_MS))
    return { refused: 'an override lasts from 1 s to 365 days', hint: 'Leave the duration out to keep it until undone' }
  if (action === 'undone' || !isOverlong(forMs ?? null, maxForMs)) return undefined
  const most = formatDuration(maxForMs!)
  const refused = forMs === undefined ? 'it would have no end' : `it would last ${formatDuration(forMs)}`
  return { refused: `${refused}, and overrides.maxFor is ${most} here`, hint: `Say how long, ${most} at most (--for)` }
}

/** Whether an override lasts for longer than the setting overrides.maxFor allows. */
export const isOverlong = (forMs: number | null, maxForMs = Infinity): boolean => (forMs ?? Infinity) > maxForMs
