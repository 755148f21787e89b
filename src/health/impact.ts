/**
 * What an override would leave of the services it matches, before it is set: the answer to "is it safe to drain X?",
 * and the reason for which node-health.ts refuses. Pure.
 */
import { formatWholePercent, someOf } from '../units.ts'
import { leftPercent } from './brake.ts'
import { availabilityOf } from './member-state.ts'
import {
  actionAt,
  canonicalPattern,
  effectiveOverride,
  isControlPattern,
  isInForce,
  matches,
  mergeOverrides,
  type Override,
  type OverrideRequest,
  type OverrideSet,
  type OverrideView,
  durationRefusal,
  shareAt,
  shareOn,
  viewOf,
} from './override.ts'
import { type AddressType, addressTypeOf, type MemberSpec, type ServiceSpec } from './target.ts'
import type { Verdict } from './vote.ts'

/** What taking members out would leave. */
export interface Outlook {
  /** Those that were asked for, joined by a comma. */
  readonly pattern: string
  readonly members: readonly string[]
  readonly services: readonly ServiceOutlook[]
  /** The overrides that are in force on these members by now. */
  readonly overrides: readonly OverrideView[]
  /** No service falls below its `keep`, or nothing that is up or braked is taken out. */
  readonly safe: boolean
  /** In words; objections first. */
  readonly why: string
}

interface ServiceOutlook {
  readonly service: string
  /** Percent of its capacity that is up and takes clients, now and (leftThenPercent) with the override. */
  readonly leftNowPercent: number
  readonly leftThenPercent: number
  readonly keepPercent: number
  /** Types of which no member would be up any more: their answers would still name what is drained, or nothing. */
  readonly lost: readonly AddressType[]
  readonly safe: boolean
}

/** A member as outlookOf() needs it. */
export interface MemberView {
  readonly spec: MemberSpec
  readonly verdict: Verdict | undefined
  /** Its service has failed over from its site. */
  readonly away: boolean
  readonly braked: boolean
}

/** The part of an OverrideRequest that an outlook goes by. */
export type OutlookRequest = Pick<OverrideRequest, 'pattern' | 'action' | 'shift'>

/**
 * The outlook of overrides that are set together, where they have come to. `services`: those with a matching member, with
 * all their members. `safe`: at least `keep` percent of each service stays up, and more than nothing does, of each type
 * of address; or the overrides take nothing from members that are up or braked.
 */
export function outlookOf(
  requests: readonly OutlookRequest[],
  services: readonly { readonly spec: ServiceSpec; readonly members: readonly MemberView[] }[],
  overrides: OverrideSet,
  nowMs: number,
): Outlook {
  const unsaid = { version: Infinity, node: '', who: '', why: '', madeMs: 0, forMs: null, setMs: nowMs }
  const entries = requests.map(({ pattern, action, shift }): Override => {
    const moving = shift && { shift: { from: shareOn(overrides, pattern, nowMs), ...shift } }
    return { pattern, action, ...unsaid, ...moving }
  })
  const merged = mergeOverrides(overrides, entries)
  const then = new Map(Array.from(merged, ([pattern, entry]) => [pattern, atItsLeast(entry, nowMs)]))
  const each = services.map(({ spec, members }) => serviceOutlook(spec, members, overrides, then, nowMs))
  const against = each.filter(({ safe }) => !safe)
  const isMatched = ({ spec }: MemberView): boolean => requests.some(({ pattern }) => matches(pattern, spec))
  const matched = services.flatMap(({ members }) => members.filter(isMatched))
  return {
    pattern: requests.map(({ pattern }) => pattern).join(', '),
    members: matched.map(({ spec }) => spec.name),
    services: each,
    overrides: [...overrides.values()]
      .filter((entry) => isInForce(entry, nowMs) && matched.some(({ spec }) => matches(entry.pattern, spec)))
      .map(viewOf),
    safe: against.length === 0,
    why: [...against, ...each.filter(({ safe }) => safe)].map(describe).join('; '),
  }
}

/** An override with the least share that it will leave: a shift downwards has come to its end. */
const atItsLeast = (entry: Override, nowMs: number): Override =>
  entry.shift !== undefined && entry.shift.to < shareAt(entry, nowMs)
    ? { ...entry, shift: { ...entry.shift, overMs: 0 } }
    : entry

function serviceOutlook(
  spec: ServiceSpec,
  members: readonly MemberView[],
  now: OverrideSet,
  then: OverrideSet,
  nowMs: number,
): ServiceOutlook {
  const availabilities = (overrides: OverrideSet) =>
    members.map(({ spec: member, verdict, away }) => {
      const override = effectiveOverride(overrides, member, nowMs)
      const availability = availabilityOf(member, verdict, override && actionAt(override, nowMs), away)
      return { site: member.site, availability, allowed: override === undefined ? 1000 : shareAt(override, nowMs) }
    })
  const availableNow = availabilities(now)
  const availableThen = availabilities(then)
  const takes = members.some(({ braked }, i) => {
    const isLess = availableThen[i]!.availability === 'out' || availableThen[i]!.allowed < availableNow[i]!.allowed
    return isLess && (braked || availableNow[i]!.availability === 'up')
  })
  const leftThen = leftPercent(availableThen, spec)
  const upTypes = (those: typeof availableNow): AddressType[] =>
    members.filter((_, i) => those[i]!.availability === 'up').map((member) => addressTypeOf(member.spec))
  const upThen = upTypes(availableThen)
  const lost = leftThen === 0 ? [] : [...new Set(upTypes(availableNow))].filter((type) => !upThen.includes(type))
  return {
    service: spec.name,
    leftNowPercent: leftPercent(availableNow, spec),
    leftThenPercent: leftThen,
    keepPercent: spec.keepPercent,
    lost,
    safe: !takes || (leftThen > 0 && leftThen >= spec.keepPercent && lost.length === 0),
  }
}

function describe({ service, leftNowPercent, leftThenPercent, keepPercent, lost, safe }: ServiceOutlook): string {
  const left = `${formatWholePercent(leftThenPercent)} of ${service} would be left (now ${formatWholePercent(leftNowPercent)})`
  if (safe) return left
  if (lost.length > 0) return `no other member of ${service} is up for ${lost.join(', ')}; ${left}`
  return leftThenPercent === 0
    ? `nothing of ${service} would be left up`
    : `only ${left}; it keeps ${formatWholePercent(keepPercent)}`
}

/**
 * Why requests are refused, and what to do instead: all, if one is. undefined: nothing speaks against them. `maxForMs`:
 * the longest that one may last.
 */
export function refusal(
  requests: readonly OverrideRequest[],
  outlook: Outlook | undefined,
  members: readonly MemberSpec[],
  overrides: OverrideSet,
  nowMs: number,
  maxForMs?: number,
): Refused | undefined {
  const patterns = new Set(requests.map(({ pattern }) => pattern))
  if (patterns.size < requests.length)
    return { refused: 'a pattern is named twice', hint: 'Give one override for each pattern' }
  for (const request of requests) {
    const refused = refusedAlone(request, members, overrides, nowMs) ?? durationRefusal(request, maxForMs)
    if (refused !== undefined) return refused
  }
  if (outlook === undefined || outlook.safe || requests.every(({ yes }) => yes)) return undefined
  return { refused: outlook.why, hint: 'With --yes it is done all the same' }
}

/** Why not, and what to do instead. */
interface Refused {
  readonly refused: string
  readonly hint: string
}

function refusedAlone(
  { pattern, action, shift }: OverrideRequest,
  members: readonly MemberSpec[],
  overrides: OverrideSet,
  nowMs: number,
): Refused | undefined {
  if (action === 'undone' || shift?.to === 1000) return refusedUndoing(pattern, overrides, nowMs)
  if (canonicalPattern(pattern) === undefined || !members.some((member) => matches(pattern, member)))
    return { refused: `${pattern} matches no member`, hint: hintAt(pattern, members) }
  const [site, service, vip] = pattern.split('/')
  const others = members.filter((member) => member.site === site && member.service === service)
  if (shift?.to === 0 && vip !== undefined && others.length > 1)
    return {
      refused: `the other VIPs of ${site}/${service} get the clients of ${pattern} in the end, so steps would move them twice`,
      hint: 'Drain the VIP at once, or all of the service at the site in steps',
    }
  return undefined
}

function refusedUndoing(pattern: string, overrides: OverrideSet, nowMs: number): Refused | undefined {
  const patterns = [...overrides.values()].filter((entry) => isInForce(entry, nowMs)).map((entry) => entry.pattern)
  const inForce = patterns.filter((one) => !isControlPattern(one))
  if (inForce.includes(pattern)) return undefined
  const hint = inForce.length === 0 ? 'There are no overrides' : `There are: ${distinct(inForce)}`
  return { refused: `there is no override on ${pattern}`, hint }
}

/** Names that exist at the point where the pattern matches nothing. */
function hintAt(pattern: string, members: readonly MemberSpec[]): string {
  const [site, service] = pattern.split('/')
  const atSite = members.filter((member) => member.site === site)
  if (atSite.length === 0)
    return `Name a SITE, SITE/SERVICE or SITE/SERVICE/VIP; sites: ${distinct(members.map((m) => m.site))}`
  const ofService = atSite.filter((member) => member.service === service)
  if (ofService.length === 0) return `Services at ${site}: ${distinct(atSite.map((member) => member.service))}`
  return `VIPs of ${site}/${service}: ${distinct(ofService.map((member) => member.address))}`
}

const distinct = (names: readonly string[]): string => someOf([...new Set(names)], 8)
