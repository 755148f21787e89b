/**
 * Whether the databases tell what the zones need: coordinates for `order: nearest`, countries and AS numbers for rules.
 * Checked at each load for each address family, and between the databases in use and new ones. Findings are Problems;
 * the zones are served all the same, by what is known.
 */
import { coverageOf, type Fact } from '../geo/coverage.ts'
import { hasPlaces, type Places } from '../geo/place.ts'
import type { Position, Report } from '../problem.ts'
import { formatPercent, someOf } from '../units.ts'
import type { Model } from '../zone/model.ts'

/** The settings that databases are checked with. */
export interface CoverageSettings {
  readonly city: readonly string[]
  readonly asn?: readonly string[]
  readonly nodeSite?: string
  /**
   * The address families of `listen`. Empty: the zones are checked by themselves, so a missing database is a notice.
   * undefined: nothing is checked.
   */
  readonly listens?: readonly (4 | 6)[]
}

/** A fact that services need, and where the first of them is written. */
interface Need {
  readonly fact: Fact
  readonly services: readonly string[]
  readonly at: Position
}

/** A smaller share of a family's addresses is nobody to speak of: GeoLite2 City has 86 % of IPv4 and 0.06 % of IPv6. */
const LEAST: Readonly<Record<4 | 6, number>> = { 4: 0.005, 6: 0.00005 }
/**
 * The share of what was known that new databases must know. Of IPv6 none is asked beyond the least: DB-IP places what
 * nobody has been given, half of it, and others do not.
 */
const KEPT: Readonly<Record<4 | 6, number>> = { 4: 0.5, 6: 0 }

const FAMILIES = [4, 6] as const
const NAMES: Readonly<Record<Fact, string>> = { coordinates: 'coordinates', countries: 'countries', asns: 'AS numbers' }
const NEEDED_BY: Readonly<Record<Fact, string>> = {
  coordinates: '`order: nearest`',
  countries: 'the rules with geos',
  asns: 'the rules with asns',
}
/** What becomes of clients of whom the fact is not known. */
const WITHOUT: Readonly<Record<Fact, string>> = {
  coordinates: 'get the first site',
  countries: 'match no such rule',
  asns: 'match no such rule',
}

/** What the services need, in the order of facts. A service with one site needs no coordinates. */
function needsOf({ services }: Pick<Model, 'services'>): readonly Need[] {
  const needs = new Map<Fact, { services: string[]; at: Position }>()
  const note = (fact: Fact, service: string, at: Position): void => {
    const need = needs.get(fact)
    if (need === undefined) needs.set(fact, { services: [service], at })
    else if (need.services.at(-1) !== service) need.services.push(service)
  }
  for (const { name, order, sites, rules, at } of services) {
    if (order.kind === 'nearest' && sites.length > 1) note('coordinates', name, at)
    for (const rule of rules) {
      if (rule.geos.length > 0) note('countries', name, rule.at)
      if (rule.asns.length > 0) note('asns', name, rule.at)
    }
  }
  return [...needs].map(([fact, need]) => ({ fact, ...need }))
}

/** Checks that there is a database for what the zones need, and that it tells it of more than hardly any addresses. */
export function checkCoverage(
  { listens, city, asn = [], nodeSite }: CoverageSettings,
  model: Model,
  places: Places | undefined,
  report: Report,
): void {
  if (listens === undefined) return
  for (const { fact, services, at } of needsOf(model)) {
    const files = fact === 'asns' ? asn : city
    const what = `${NEEDED_BY[fact]} of ${someOf(services, 3)}`
    if (files.length === 0) {
      // rules with asns have a problem of their own; and clients without a place may be meant to be at node.site
      if (fact === 'asns' || (fact === 'coordinates' && nodeSite !== undefined)) continue
      const message = `there is no city database for ${what}: all clients ${WITHOUT[fact]}`
      const hint =
        'Set geo.city to a City database (GeoLite2, DB-IP); or node.site, if this node’s clients are near one site'
      report({ code: 'geo-missing', severity: listens.length === 0 ? 'notice' : 'warning', ...at, message, hint })
      continue
    }
    // databases that cannot be used are reported already
    if (places === undefined || (fact === 'asns' ? places.asns === undefined : !hasPlaces(places))) continue
    for (const family of listens) {
      const share = coverageOf(places, fact, family)
      if (share >= LEAST[family]) continue
      const message = `${inWords(fact, share, family)}, for ${what}: the other IPv${family} clients ${WITHOUT[fact]}`
      const hint = `${fact === 'asns' ? 'geo.asn' : 'geo.city'} takes a list of files where IPv4 and IPv6 are apart; \`order: nearest\` needs a City database, not one of countries`
      const place = { file: files.join(', '), line: 0, column: 0 }
      report({ code: 'geo-coverage', severity: 'warning', ...place, message, hint })
    }
  }
}

/**
 * What new databases lose of what the zones need, in words: a fact that they tell of hardly any addresses, or of IPv4 of
 * less than half of those that the databases before told it of. undefined: nothing.
 */
export function lostCoverage(before: Places, after: Places, model: Model): string | undefined {
  for (const { fact } of needsOf(model)) {
    for (const family of FAMILIES) {
      const [had, has] = [coverageOf(before, fact, family), coverageOf(after, fact, family)]
      if (had < LEAST[family] || has >= Math.max(LEAST[family], KEPT[family] * had)) continue
      return `${inWords(fact, has, family)}, those before for ${formatPercent(had)}`
    }
  }
  return undefined
}

const inWords = (fact: Fact, share: number, family: 4 | 6): string =>
  `the databases have ${NAMES[fact]} for ${formatPercent(share)} of the IPv${family} addresses`
