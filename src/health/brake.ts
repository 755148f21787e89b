/**
 * The brake: while some but less than `keep` of a service's capacity would be left up, DOWN verdicts beyond that wait. Pure,
 * and computed from scratch in an order that depends on names alone, so that nodes that have heard the same agree.
 *
 * What counts: the capacity of a site counts in the total when at least minVips of its members are up or down by their
 * verdicts or forced up; it is left when at least minVips of them are up. Members that are drained, forced down or never
 * seen up count on neither side: an operator took them out, or nothing is known of them. With nothing left there is no
 * brake: all sites failing at once is a dependency, and the service's last resort answers (FIELD 19).
 */
import { hash } from 'node:crypto'
import type { ServicePlan } from './target.ts'

/** A member as the brake sees it; `out` counts on neither side. */
export type Fitness = 'up' | 'down' | 'out'

export interface Fit {
  readonly site: string
  readonly fitness: Fitness
}

export interface Braking {
  /** Sites whose DOWN members wait. */
  readonly sites: ReadonlySet<string>
  /** Capacity that is up by the verdicts, and all that counts. */
  readonly left: number
  readonly total: number
}

const NONE: ReadonlySet<string> = new Set()

/** Which DOWNs of a service have to wait. */
export function brake(members: Iterable<Fit>, plan: ServicePlan): Braking {
  const tallies = tally(members)
  const left = capacityWhere(plan, tallies, ({ up }) => up >= plan.minVips)
  const total = capacityWhere(plan, tallies, ({ up, down }) => up + down >= plan.minVips)
  const enough = (capacity: number): boolean => capacity * 100 >= plan.keepPercent * total
  if (left === 0 || enough(left)) return { sites: NONE, left, total }
  const sites = new Set<string>()
  let kept = left
  for (const site of inOrder(plan, tallies.keys())) {
    if (enough(kept)) break
    const { up, down } = tallies.get(site)!
    if (up >= plan.minVips || up + down < plan.minVips) continue
    sites.add(site)
    kept += capacityOf(plan, site)
  }
  return { sites, left, total }
}

/** Percent of all the service's capacity, drained sites too, that is up and takes clients. */
export function leftPercent(members: Iterable<Fit>, plan: ServicePlan): number {
  const tallies = tally(members)
  const left = capacityWhere(plan, tallies, ({ up }) => up >= plan.minVips)
  const total = capacityWhere(plan, tallies, () => true)
  return total === 0 ? 0 : (left * 100) / total
}

interface Tally {
  up: number
  down: number
}

function tally(members: Iterable<Fit>): Map<string, Tally> {
  const tallies = new Map<string, Tally>()
  for (const { site, fitness } of members) {
    let at = tallies.get(site)
    if (at === undefined) tallies.set(site, (at = { up: 0, down: 0 }))
    if (fitness !== 'out') at[fitness]++
  }
  return tallies
}

function capacityWhere(plan: ServicePlan, tallies: ReadonlyMap<string, Tally>, counts: (at: Tally) => boolean): number {
  let capacity = 0
  for (const [site, at] of tallies) if (counts(at)) capacity += capacityOf(plan, site)
  return capacity
}

/** A site without `capacity` counts 100. */
const capacityOf = (plan: ServicePlan, site: string): number => plan.capacity[site] ?? 100

/** By a hash of the names, so that it isn't the same site that waits for every service. */
function inOrder({ name }: ServicePlan, sites: Iterable<string>): string[] {
  const keyed = Array.from(sites, (site) => [hash('sha256', `${name}/${site}`), site] as const)
  return keyed.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, site]) => site)
}
