/**
 * WHICH CLIENTS MOVE: from flows (flows.ts) and the pools of classes (shares.ts) to the shares of a service's clients
 * that go from one site to another, in all, by continent and by country, and the share of clients of each site. Used by
 * `plan` and by the check that holds back a new database (world/geo-hold.ts).
 */
import type { HealthTable } from '../health/table.ts'
import type { ClientMap } from '../policy/map.ts'
import type { SteeredService } from '../policy/service.ts'
import { STEERS_A } from '../zone/pack.ts'
import { type Flow, type Flows, type Measure, UNPLACED, type ClientArea } from './flows.ts'
import { movesBetween, NO_SITE, type Pool, poolOf, RESORT_VALUES, sharesOf } from './shares.ts'

/** How a name is steered on one side of a change. */
export interface SteeringState {
  readonly service: SteeredService
  readonly map: ClientMap
  readonly health: HealthTable
}

/** In place of a site's name: the clients get static records, no answer, or the addresses of `lastResort`. */
export const STATIC = '(static)'
export const NO_ANSWER = '(no answer)'
export const LAST_RESORT = '(last resort)'

/** Whether the map and everything that select() reads are equal. */
export function isSameSteering(a: SteeringState | null, b: SteeringState | null): boolean {
  if (a === null || b === null) return a === b
  return a.map === b.map && JSON.stringify(factsOf(a)) === JSON.stringify(factsOf(b))
}

function factsOf({ service, health }: SteeringState): object {
  const { name, random, spill, minVips, lastResort, resortA, resortAAAA } = service
  const { siteNames, weight, capacity, firstVip, firstV6, slot } = service
  const tables = [weight, capacity, firstVip, firstV6, slot.map((at) => health[at]!)].map((table) => [...table])
  return [name, random, spill, minVips, lastResort, resortA.length, resortAAAA.length, siteNames, tables]
}

/** Clients that move from one site to another. `share`: of all clients of the measure, 0–1, unless stated otherwise. */
export interface SiteMove {
  readonly from: string
  readonly to: string
  readonly share: number
}

/** The moves of the clients of one continent or country. */
export interface PlaceMoves {
  /** Its code; empty = unknown. */
  readonly place: string
  /** The share of all clients that are here. */
  readonly clients: number
  /** The share of the clients here that move. */
  readonly moved: number
  /** Shares of the clients here. */
  readonly moves: readonly SiteMove[]
}

/** The shares of clients and capacity of a site, from which its utilisation follows. */
export interface SiteUtilisation {
  readonly site: string
  /** Shares of all clients that the site gets, before and after. */
  readonly before: number
  readonly after: number
  /** Its share of the capacity of all sites with the type, before and after; null: it is none of them. */
  readonly capacityBefore: number | null
  readonly capacityAfter: number | null
}

/** The moves of all clients of one measure. */
export interface MeasuredMoves {
  readonly clients: Measure
  /** How many: addresses (IPv4), networks (IPv6, see flows.ts), or counted clients. */
  readonly total: number
  /** The share of clients that move. */
  readonly moved: number
  /** The largest first. */
  readonly moves: readonly SiteMove[]
  readonly continents: readonly PlaceMoves[]
  readonly countries: readonly PlaceMoves[]
  readonly sites: readonly SiteUtilisation[]
  /** The moves of space without a place, which the numbers above leave out; null: there is none, or they include it. */
  readonly unplaced: { readonly moved: number; readonly moves: readonly SiteMove[] } | null
}

/**
 * The moves of a name's clients, for each measure; measures without clients are left out. `type`: STEERS_A or
 * STEERS_AAAA.
 */
export function measureMoves(
  before: SteeringState | null,
  after: SteeringState | null,
  type: number,
  { areas, measures }: Flows,
): readonly MeasuredMoves[] {
  const changes = new PoolChanges(before, after, type)
  return measures.flatMap(({ clients, flows }) => {
    const placed = flows.filter(({ area }) => area !== UNPLACED)
    // counted clients count without a place too; space without a place most likely has no clients
    const apart = clients !== 'clients' && weightOf(placed) > 0
    const total = weightOf(apart ? placed : flows)
    if (total === 0) return []
    const main = new Tally(changes, areas, apart ? placed : flows)
    const rest = apart
      ? new Tally(
          changes,
          areas,
          flows.filter(({ area }) => area === UNPLACED),
        )
      : undefined
    return [
      { clients, total, ...main.summary(), unplaced: rest === undefined || rest.total === 0 ? null : rest.inAll() },
    ]
  })
}

const weightOf = (flows: readonly Flow[]): number => flows.reduce((total, { weight }) => total + weight, 0)

/** For each pair of classes, before and after: how its clients move. Computed once for each pair of pools. */
class PoolChanges {
  readonly labels: readonly string[]
  readonly capacityBefore: readonly (number | null)[]
  readonly capacityAfter: readonly (number | null)[]
  readonly all: PoolChange[] = []
  readonly #before: Side
  readonly #after: Side
  readonly #sameKeys: boolean
  readonly #ofPools = new Map<string, number>()
  readonly #ofClasses = new Map<number, number>()

  constructor(before: SteeringState | null, after: SteeringState | null, type: number) {
    const sites = [...new Set([...(before?.service.siteNames ?? []), ...(after?.service.siteNames ?? [])])].toSorted()
    this.labels = [...sites, STATIC, NO_ANSWER, LAST_RESORT]
    this.#before = new Side(before, type, this.labels)
    this.#after = new Side(after, type, this.labels)
    this.#sameKeys = before !== null && before.service.key === after?.service.key
    this.capacityBefore = sharesOfCapacity(before, sites, type)
    this.capacityAfter = sharesOfCapacity(after, sites, type)
  }

  /** Index into `all` of how the clients of a class before and a class after move. */
  of(before: number, after: number): number {
    const classes = before * this.#after.classes + after
    const known = this.#ofClasses.get(classes)
    if (known !== undefined) return known
    const [p, q] = [this.#before.poolOf(before), this.#after.poolOf(after)]
    const key = `${p} ${q}`
    let found = this.#ofPools.get(key)
    if (found === undefined) {
      found = this.all.push(poolChangeOf(this.#before.pools[p]!, this.#after.pools[q]!, this.#sameKeys)) - 1
      this.#ofPools.set(key, found)
    }
    this.#ofClasses.set(classes, found)
    return found
  }
}

/** How clients move when one pool becomes another; sites are indexes into labels. */
interface PoolChange {
  readonly moved: number
  readonly moves: readonly { readonly from: number; readonly to: number; readonly share: number }[]
  readonly before: Pool
  readonly after: Pool
}

function poolChangeOf(before: Pool, after: Pool, sameKeys: boolean): PoolChange {
  const moves = movesBetween(before, after, sameKeys)
  return { moved: moves.reduce((sum, { share }) => sum + share, 0), moves, before, after }
}

/** The distinct pools of one side, by number: many classes have the same pool. */
class Side {
  readonly pools: Pool[] = []
  readonly classes: number
  readonly #steered: SteeringState | null
  readonly #type: number
  readonly #labels: readonly string[]
  readonly #ofClass: Int32Array
  readonly #numbers = new Map<string, number>()

  constructor(steered: SteeringState | null, type: number, labels: readonly string[]) {
    this.#steered = steered
    this.#type = type
    this.#labels = labels
    this.classes = steered?.map.classes.length ?? 1
    this.#ofClass = new Int32Array(this.classes).fill(-1)
  }

  poolOf(cls: number): number {
    const known = this.#ofClass[cls]!
    if (known >= 0) return known
    const pool = this.#labelled(cls)
    const key = JSON.stringify(pool)
    const number = this.#numbers.get(key) ?? this.pools.push(pool) - 1
    this.#numbers.set(key, number)
    return (this.#ofClass[cls] = number)
  }

  #labelled(cls: number): Pool {
    const label = (name: string): number => this.#labels.indexOf(name)
    if (this.#steered === null) return { sites: [label(STATIC)], weights: [1], random: false }
    const { service, map, health } = this.#steered
    const pool = poolOf(service, map, cls, health, this.#type)
    const names = pool.sites.map((site) =>
      site === NO_SITE ? NO_ANSWER : site === RESORT_VALUES ? LAST_RESORT : service.siteNames[site]!,
    )
    return { ...pool, sites: names.map(label) }
  }
}

/** For each site, its share of the capacity of all sites with the type; null: it is none of them. */
function sharesOfCapacity(
  steered: SteeringState | null,
  sites: readonly string[],
  type: number,
): readonly (number | null)[] {
  if (steered === null) return sites.map(() => null)
  const { siteNames, capacity, firstVip, firstV6, names } = steered.service
  const own = siteNames.map((_, site) => {
    const [from, to] =
      type === STEERS_A || names !== null ? [firstVip[site]!, firstV6[site]!] : [firstV6[site]!, firstVip[site + 1]!]
    return to > from ? capacity[site]! : null
  })
  const all = own.reduce<number>((total, some) => total + (some ?? 0), 0)
  return sites.map((name) => {
    const some = own[siteNames.indexOf(name)] ?? null
    return some === null ? null : all === 0 ? 0 : some / all
  })
}

/** Sums of some flows. */
class Tally {
  readonly total: number
  readonly #changes: PoolChanges
  readonly #areas: readonly ClientArea[]
  /** By area, then by index of the pool change: weight. */
  readonly #cells = new Map<number, Map<number, number>>()

  constructor(changes: PoolChanges, areas: readonly ClientArea[], flows: readonly Flow[]) {
    this.#changes = changes
    this.#areas = areas
    let total = 0
    for (const { area, before, after, weight } of flows) {
      total += weight
      const change = changes.of(before, after)
      let cells = this.#cells.get(area)
      if (cells === undefined) this.#cells.set(area, (cells = new Map()))
      cells.set(change, (cells.get(change) ?? 0) + weight)
    }
    this.total = total
  }

  summary(): Omit<MeasuredMoves, 'clients' | 'total' | 'unplaced'> {
    return {
      ...this.inAll(),
      continents: this.#byPlace(({ continent }) => continent),
      countries: this.#byPlace(({ country }) => country),
      sites: this.#sites(),
    }
  }

  inAll(): Pick<MeasuredMoves, 'moved' | 'moves'> {
    return this.#movesOf([...this.#cells.values()], this.total)
  }

  #movesOf(
    those: readonly ReadonlyMap<number, number>[],
    total: number,
  ): { readonly moved: number; readonly moves: readonly SiteMove[] } {
    const { labels, all } = this.#changes
    const sums = new Map<number, number>()
    for (const cells of those) {
      for (const [change, weight] of cells) {
        for (const { from, to, share } of all[change]!.moves) {
          const pair = from * labels.length + to
          sums.set(pair, (sums.get(pair) ?? 0) + share * weight)
        }
      }
    }
    const moves = [...sums]
      .map(([pair, weight]) => ({
        from: labels[Math.floor(pair / labels.length)]!,
        to: labels[pair % labels.length]!,
        share: weight / total,
      }))
      .toSorted((a, b) => b.share - a.share || (`${a.from} ${a.to}` < `${b.from} ${b.to}` ? -1 : 1))
    return { moved: moves.reduce((sum, { share }) => sum + share, 0), moves }
  }

  /** Continents or countries whose clients move; those with the most moving clients first. */
  #byPlace(placeOf: (area: ClientArea) => string): readonly PlaceMoves[] {
    const byPlace = Map.groupBy(this.#cells, ([area]) => placeOf(this.#areas[area]!))
    return [...byPlace]
      .flatMap(([place, entries]) => {
        const cells = entries.map(([, own]) => own)
        const here = cells.flatMap((own) => [...own.values()]).reduce((sum, weight) => sum + weight, 0)
        const { moved, moves } = this.#movesOf(cells, here)
        return moved > 0 ? [{ place, clients: here / this.total, moved, moves }] : []
      })
      .toSorted((a, b) => b.clients * b.moved - a.clients * a.moved || (a.place < b.place ? -1 : 1))
  }

  #sites(): readonly SiteUtilisation[] {
    const { labels, all, capacityBefore, capacityAfter } = this.#changes
    const before = new Float64Array(labels.length)
    const after = new Float64Array(labels.length)
    for (const cells of this.#cells.values()) {
      for (const [change, weight] of cells) {
        addShares(before, all[change]!.before, weight / this.total)
        addShares(after, all[change]!.after, weight / this.total)
      }
    }
    return labels.flatMap((site, i) => {
      const utilisation = {
        site,
        before: before[i]!,
        after: after[i]!,
        capacityBefore: capacityBefore[i] ?? null,
        capacityAfter: capacityAfter[i] ?? null,
      }
      const isSite = utilisation.capacityBefore !== null || utilisation.capacityAfter !== null
      return isSite || utilisation.before > 0 || utilisation.after > 0 ? [utilisation] : []
    })
  }
}

function addShares(shares: Float64Array, pool: Pool, weight: number): void {
  for (const [i, share] of sharesOf(pool).entries()) shares[pool.sites[i]!]! += share * weight
}
