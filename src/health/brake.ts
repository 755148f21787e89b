/**
 * The brake: while some, but less than `keep` percent, of a service's capacity would be left up, further DOWN verdicts
 * wait. Pure, and computed from scratch in an order that depends on names alone, so nodes with the same votes agree.
 *
 * A site counts in the total when at least minVips of its members are up or down by verdict, or forced up; it counts as
 * left when at least minVips are up. Members that are drained, forced down or never seen up do not count: an operator
 * took them out, or nothing is known of them. Sites that have recovered count in the total; before the brake holds a
 * site that is DOWN, and before the last resort, they count as up again: their wait for a return lapses (failback.ts),
 * unless there are members of which nothing is known yet. So of a site that is drained in part only the rest counts. When nothing is left there is no brake: all sites failing at once is a
 * shared dependency, and the last resort answers (FIELD 19).
 */
import { hash } from 'node:crypto'
import type { ServiceSpec } from './target.ts'

/**
 * What a member counts as. `recovered`: up, and passed over until it is returned; `unknown`: never seen up; `out`: taken
 * out by an operator.
 */
export type Availability = 'up' | 'recovered' | 'down' | 'unknown' | 'out'

/** A member as the brake sees it. */
export interface SiteMember {
  readonly site: string
  readonly availability: Availability
  /** The share of its traffic that overrides leave it, in ‰. */
  readonly allowed: number
}

/** What the brake holds, and the capacities it decided by. */
export interface BrakeDecision {
  /** Sites whose DOWN members stay in the answers. */
  readonly sites: ReadonlySet<string>
  /** Sites that have recovered, and count as up all the same: too little else is left. */
  readonly lapsed: ReadonlySet<string>
  /** Capacity that is up by verdict, those sites included, and (`total`) all that counts. */
  readonly left: number
  readonly total: number
}

const NONE: ReadonlySet<string> = new Set()

/** Decides which DOWN sites of a service have to wait. */
export function brake(members: Iterable<SiteMember>, spec: ServiceSpec): BrakeDecision {
  const tallies = tally(members)
  const total = capacityWhere(spec, tallies, ({ up, down, recovered }) => up + down + recovered >= spec.minVips)
  const enough = (capacity: number): boolean => capacity * 100 >= spec.keepPercent * total
  const upNow = (): number => capacityWhere(spec, tallies, ({ up }) => up >= spec.minVips)
  const before = upNow()
  const lapsed = before > 0 && enough(before) ? NONE : lapse(spec, tallies)
  const left = upNow()
  if (left === 0 || enough(left)) return { sites: NONE, lapsed, left, total }
  const sites = new Set<string>()
  let kept = left
  for (const site of inOrder(spec, tallies.keys())) {
    if (enough(kept)) break
    const { up, down, recovered } = tallies.get(site)!
    if (up >= spec.minVips || up + down + recovered < spec.minVips) continue
    sites.add(site)
    kept += countedCapacity(spec, site, tallies.get(site)!)
  }
  return { sites, lapsed, left, total }
}

/** Counts the members of sites that have recovered as up; none, if anything is unknown. Returns these sites. */
function lapse(spec: ServiceSpec, tallies: ReadonlyMap<string, Tally>): ReadonlySet<string> {
  const lapsed = new Set<string>()
  for (const { unknown } of tallies.values()) if (unknown > 0) return NONE
  for (const [site, at] of tallies) {
    if (at.recovered === 0 || at.up + at.recovered < spec.minVips) continue
    at.up += at.recovered
    at.recovered = 0
    lapsed.add(site)
  }
  return lapsed
}

/** Percent of a service's whole capacity, drained sites included, that is up and takes clients. */
export function leftPercent(members: Iterable<SiteMember>, spec: ServiceSpec): number {
  const tallies = tally(members)
  const left = capacityWhere(spec, tallies, ({ up }) => up >= spec.minVips)
  const total = [...tallies.keys()].reduce((sum, site) => sum + capacityOf(spec, site), 0)
  return total === 0 ? 0 : (left * 100) / total
}

/** Percent of a service's whole capacity that its largest site has: what is lost when that site alone dies. */
export function largestSitePercent(members: Iterable<SiteMember>, spec: ServiceSpec): number {
  const capacities = [...tally(members).keys()].map((site) => capacityOf(spec, site))
  const total = capacities.reduce((sum, capacity) => sum + capacity, 0)
  return total === 0 ? 0 : (Math.max(...capacities) * 100) / total
}

interface Tally {
  up: number
  recovered: number
  down: number
  unknown: number
  /** The sum of what overrides leave these, but for the unknown. */
  allowed: number
}

function tally(members: Iterable<SiteMember>): Map<string, Tally> {
  const tallies = new Map<string, Tally>()
  for (const { site, availability, allowed } of members) {
    let at = tallies.get(site)
    if (at === undefined) tallies.set(site, (at = { up: 0, recovered: 0, down: 0, unknown: 0, allowed: 0 }))
    if (availability === 'out') continue
    at[availability]++
    if (availability !== 'unknown') at.allowed += allowed
  }
  return tallies
}

function capacityWhere(spec: ServiceSpec, tallies: ReadonlyMap<string, Tally>, counts: (at: Tally) => boolean): number {
  let capacity = 0
  for (const [site, at] of tallies) if (counts(at)) capacity += countedCapacity(spec, site, at)
  return capacity
}

/** The capacity of a site, as far as overrides leave it to those of its members that count. */
function countedCapacity(spec: ServiceSpec, site: string, { up, recovered, down, allowed }: Tally): number {
  const counted = up + recovered + down
  return counted === 0 ? 0 : (capacityOf(spec, site) * allowed) / (1000 * counted)
}

/** A site without `capacity` counts 100. */
const capacityOf = (spec: ServiceSpec, site: string): number => spec.capacity[site] ?? 100

/** Sites by a hash of service and site, so that it is not the same site that waits for every service. */
function inOrder({ name }: ServiceSpec, sites: Iterable<string>): string[] {
  const keyed = Array.from(sites, (site) => [hash('sha256', `${name}/${site}`), site] as const)
  return keyed.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, site]) => site)
}
