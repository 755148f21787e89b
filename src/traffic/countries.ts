/**
 * WHERE EACH COUNTRY GOES NOW: which share of a country's clients gets which site of a service, by the client map and the
 * health of this moment. The clients of each class come from one walk over the address space (flows.ts), made once for a
 * map; the sites of a class from select() itself (shares.ts), made anew each time. Used by the API for the page's map.
 */
import { healthWord, type HealthTable, isCalm, shareOf, stateOf, UP } from '../health/table.ts'
import type { ClientMap } from '../policy/map.ts'
import type { SteeredService } from '../policy/service.ts'
import { type Flows, type Measure, UNPLACED } from './flows.ts'
import { LAST_RESORT, NO_ANSWER } from './moves.ts'
import { NO_SITE, poolOf, RESORT_VALUES, sharesOf } from './shares.ts'

/** A share of clients, 0–1, that gets a site; or `(no answer)`, `(last resort)`. */
export interface SiteShare {
  readonly site: string
  readonly share: number
}

/** A country, and where its clients go. */
export interface CountryShares {
  /** Codes; empty = unknown. */
  readonly continent: string
  readonly country: string
  /** Its share of all clients that have a place. */
  readonly clients: number
  /** Of its clients; the largest first. */
  readonly sites: readonly SiteShare[]
}

/** Where the clients of all countries go. */
export interface WorldShares {
  /** The country with the most clients first. */
  readonly countries: readonly CountryShares[]
  /** Of all clients that have a place; the largest first. */
  readonly sites: readonly SiteShare[]
}

/** The shares of a service, for one measure and type of address (STEERS_A or STEERS_AAAA). */
export function worldShares(
  service: SteeredService,
  map: ClientMap,
  health: HealthTable,
  type: number,
  { areas, measures }: Flows,
  measure: Measure,
): WorldShares {
  const admissions = admissionsOf(service, health)
  const sitesOfClass = new Map<number, ReadonlyMap<string, number>>()
  const sharesOfClass = (cls: number): ReadonlyMap<string, number> => {
    const known = sitesOfClass.get(cls)
    if (known !== undefined) return known
    const shares = new Map<string, number>()
    for (const { table, chance } of admissions) {
      const pool = poolOf(service, map, cls, table, type)
      for (const [i, share] of sharesOf(pool).entries()) add(shares, labelOf(service, pool.sites[i]!), share * chance)
    }
    sitesOfClass.set(cls, shares)
    return shares
  }
  const all = new Map<string, number>()
  const byCountry = new Map<number, { weight: number; readonly sites: Map<string, number> }>()
  for (const { area, before, weight } of measures.find(({ clients }) => clients === measure)?.flows ?? []) {
    if (area === UNPLACED) continue
    const country = byCountry.get(area) ?? { weight: 0, sites: new Map<string, number>() }
    byCountry.set(area, country)
    country.weight += weight
    for (const [site, share] of sharesOfClass(before)) {
      add(country.sites, site, share * weight)
      add(all, site, share * weight)
    }
  }
  const total = [...byCountry.values()].reduce((sum, { weight }) => sum + weight, 0)
  return {
    countries: Array.from(byCountry, ([area, { weight, sites }]) => ({
      ...areas[area]!,
      clients: weight / total,
      sites: sharesIn(sites, weight),
    })).toSorted((a, b) => b.clients - a.clients),
    sites: sharesIn(all, total),
  }
}

const add = (sums: Map<string, number>, key: string, value: number): void =>
  void sums.set(key, (sums.get(key) ?? 0) + value)

const sharesIn = (sums: ReadonlyMap<string, number>, total: number): SiteShare[] =>
  Array.from(sums, ([site, weight]) => ({ site, share: weight / total })).toSorted((a, b) => b.share - a.share)

const labelOf = (service: SteeredService, site: number): string =>
  site === NO_SITE ? NO_ANSWER : site === RESORT_VALUES ? LAST_RESORT : service.siteNames[site]!

/** So many sites with a partial share are told exactly, each in two cases; further ones count as whole. */
const MOST_PARTIAL = 4

/**
 * A site with a partial share admits some of its clients' networks, by a hash of its own for each site, and others go on:
 * so each such site halves the world. Returns the tables of all cases, with all shares 0 or 1000 ‰, and how likely each is.
 */
function admissionsOf(service: SteeredService, health: HealthTable): { table: HealthTable; chance: number }[] {
  const slotsOf = (site: number): Int32Array =>
    service.slot.subarray(service.firstVip[site], service.firstVip[site + 1])
  const partial = service.siteNames.flatMap((_, site) => {
    const up = [...slotsOf(site)].filter((slot) => stateOf(health[slot]!) === UP)
    const share = up.reduce((sum, slot) => sum + shareOf(health[slot]!), 0) / (1000 * Math.max(1, up.length))
    return up.length === 0 || share === 1 ? [] : [{ up, share }]
  })
  if (partial.length === 0) return [{ table: health, chance: 1 }]
  let cases = [{ table: health.slice(), chance: 1 }]
  for (const [i, { up, share }] of partial.entries()) {
    if (i >= MOST_PARTIAL) {
      for (const { table } of cases) write(table, up, 1000)
      continue
    }
    cases = cases.flatMap(({ table, chance }) => {
      const [admitted, refused] = [table, table.slice()]
      write(admitted, up, 1000)
      write(refused, up, 0)
      return [
        { table: admitted, chance: chance * share },
        { table: refused, chance: chance * (1 - share) },
      ]
    })
  }
  return cases
}

/** Gives members that are up, by their slots, a share, in ‰. */
function write(table: HealthTable, slots: readonly number[], share: number): void {
  for (const slot of slots) table[slot] = healthWord(UP, share, isCalm(table[slot]!))
}
