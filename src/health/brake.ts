/**
 * The brake: while some, but less than `keep` percent, of a service's capacity would be left up, further DOWN verdicts
 * wait. Pure, and computed from scratch in an order that depends on names alone, so nodes with the same votes agree.
 *
 * A site counts in the total when at least minVips of its members are up or down by verdict, or forced up; it counts as
 * left when at least minVips are up. Members that are drained, forced down or never seen up do not count: an operator
 * took them out, or nothing is known of them. So of a site that is drained in part only the rest counts. When nothing is left there is no brake: all sites failing at once is a
 * shared dependency, and the last resort answers (FIELD 19).
 */
import { hash } from 'node:crypto'
import type { ServiceSpec } from './target.ts'

/** What a member counts as; `out` counts neither as up nor as down. */
export type Availability = 'up' | 'down' | 'out'

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
  /** Capacity that is up by verdict, and (`total`) all that counts. */
  readonly left: number
  readonly total: number
}

const NONE: ReadonlySet<string> = new Set()

/** Decides which DOWN sites of a service have to wait. */
export function brake(members: Iterable<SiteMember>, spec: ServiceSpec): BrakeDecision {
  const tallies = tally(members)
  const left = capacityWhere(spec, tallies, ({ up }) => up >= spec.minVips)
  const total = capacityWhere(spec, tallies, ({ up, down }) => up + down >= spec.minVips)
  const enough = (capacity: number): boolean => capacity * 100 >= spec.keepPercent * total
  if (left === 0 || enough(left)) return { sites: NONE, left, total }
  const sites = new Set<string>()
  let kept = left
  for (const site of inOrder(spec, tallies.keys())) {
    if (enough(kept)) break
    const { up, down } = tallies.get(site)!
    if (up >= spec.minVips || up + down < spec.minVips) continue
    sites.add(site)
    kept += countedCapacity(spec, site, tallies.get(site)!)
  }
  return { sites, left, total }
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
  down: number
  /** The sum of what overrides leave these. */
  allowed: number
}

function tally(members: Iterable<SiteMember>): Map<string, Tally> {
  const tallies = new Map<string, Tally>()
  for (const { site, availability, allowed } of members) {
    let at = tallies.get(site)
    if (at === undefined) tallies.set(site, (at = { up: 0, down: 0, allowed: 0 }))
    if (availability === 'out') continue
    at[availability]++
    at.allowed += allowed
  }
  return tallies
}

function capacityWhere(spec: ServiceSpec, tallies: ReadonlyMap<string, Tally>, counts: (at: Tally) => boolean): number {
  let capacity = 0
  for (const [site, at] of tallies) if (counts(at)) capacity += countedCapacity(spec, site, at)
  return capacity
}

/** The capacity of a site, as far as overrides leave it to those of its members that count. */
const countedCapacity = (spec: ServiceSpec, site: string, { up, down, allowed }: Tally): number =>
  up + down === 0 ? 0 : (capacityOf(spec, site) * allowed) / (1000 * (up + down))

/** A site without `capacity` counts 100. */
const capacityOf = (spec: ServiceSpec, site: string): number => spec.capacity[site] ?? 100

/** Sites by a hash of service and site, so that it is not the same site that waits for every service. */
function inOrder({ name }: ServiceSpec, sites: Iterable<string>): string[] {
  const keyed = Array.from(sites, (site) => [hash('sha256', `${name}/${site}`), site] as const)
  return keyed.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, site]) => site)
}
