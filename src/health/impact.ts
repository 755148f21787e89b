/**
 * What an override would leave of the services it matches, before it is set: the answer to "is it safe to drain X?",
 * and the reason for which node-health.ts refuses. Pure.
 */
import { formatWholePercent, someOf } from '../units.ts'
import { leftPercent } from './brake.ts'
import { availabilityOf } from './member-state.ts'
import {
  canonicalPattern,
  effectiveOverride,
  isInForce,
  matches,
  mergeOverrides,
  type Override,
  type OverrideRequest,
  type OverrideSet,
  durationRefusal,
} from './override.ts'
import { type AddressType, addressTypeOf, type MemberSpec, type ServiceSpec } from './target.ts'
import type { Verdict } from './vote.ts'

/** What taking members out would leave. */
export interface Outlook {
  readonly pattern: string
  readonly members: readonly string[]
  readonly services: readonly ServiceOutlook[]
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
  readonly braked: boolean
}

/**
 * The outlook of a drain or forced down. `services`: those with a matching member, with all their members. `safe`: at
 * least `keep` percent of each service stays up, and more than nothing does, of each type of address; or the override
 * takes out no member that is up or braked.
 */
export function outlookOf(
  pattern: string,
  action: 'drain' | 'down',
  services: readonly { readonly spec: ServiceSpec; readonly members: readonly MemberView[] }[],
  overrides: OverrideSet,
  nowMs: number,
): Outlook {
  const entry: Override = {
    pattern,
    action,
    version: Infinity,
    node: '',
    who: '',
    why: '',
    madeMs: 0,
    forMs: null,
    setMs: nowMs,
  }
  const then = mergeOverrides(overrides, [entry])
  const each = services.map(({ spec, members }) => serviceOutlook(spec, members, overrides, then, nowMs))
  const against = each.filter(({ safe }) => !safe)
  const matched = services.flatMap(({ members }) => members.filter((member) => matches(pattern, member.spec)))
  return {
    pattern,
    members: matched.map(({ spec }) => spec.name),
    services: each,
    safe: against.length === 0,
    why: [...against, ...each.filter(({ safe }) => safe)].map(describe).join('; '),
  }
}

function serviceOutlook(
  spec: ServiceSpec,
  members: readonly MemberView[],
  now: OverrideSet,
  then: OverrideSet,
  nowMs: number,
): ServiceOutlook {
  const availabilities = (overrides: OverrideSet) =>
    members.map(({ spec: member, verdict }) => {
      const availability = availabilityOf(member, verdict, effectiveOverride(overrides, member, nowMs))
      return { site: member.site, availability }
    })
  const availableNow = availabilities(now)
  const availableThen = availabilities(then)
  const takes = members.some(({ braked }, i) => {
    const lost = availableThen[i]!.availability === 'out'
    return lost && (braked || availableNow[i]!.availability === 'up')
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

/** Why a request is refused, and what to do instead; undefined: nothing speaks against it. */
export function refusal(
  { pattern, action, forMs, yes }: OverrideRequest,
  outlook: Outlook | undefined,
  members: readonly MemberSpec[],
  overrides: OverrideSet,
  nowMs: number,
): { readonly refused: string; readonly hint: string } | undefined {
  if (action === 'undone') return refusedUndoing(pattern, overrides, nowMs)
  if (canonicalPattern(pattern) === undefined || !members.some((member) => matches(pattern, member)))
    return { refused: `${pattern} matches no member`, hint: hintAt(pattern, members) }
  const duration = durationRefusal(forMs)
  if (duration !== undefined) return duration
  if (yes || outlook === undefined || outlook.safe) return undefined
  return { refused: outlook.why, hint: 'With --yes it is done all the same' }
}

function refusedUndoing(pattern: string, overrides: OverrideSet, nowMs: number) {
  const inForce = [...overrides.values()].filter((entry) => isInForce(entry, nowMs)).map((entry) => entry.pattern)
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
