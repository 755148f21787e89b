/**
 * The record sets of one name that Route 53 chooses among → a service. A set is a site; how they are chosen between is its
 * order, its rules or its weights.
 *
 *   weighted [[a, b]] at random     failover [primary, secondary]     multivalue: a site with all values
 *   latency, geoproximity: nearest  geolocation: a rule for each place, and what is around it behind
 */
import { continentOf } from '../continents.ts'
import type { Notes, Place } from '../notes.ts'
import type { RulePlan, ServicePlan, SitePlan } from '../steering.ts'
import type { YamlMapping } from '../yaml.ts'
import type { Checked } from './health.ts'
import type { Json } from './json.ts'
import { REGIONS } from './regions.ts'

/** How sets of a name are chosen between. */
export type Policy = 'weighted' | 'latency' | 'geolocation' | 'geoproximity' | 'failover' | 'multivalue' | 'cidr'

/** A set that is chosen among others; those of A and AAAA with the same identifier may be one. */
export interface RoutedSet {
  readonly id: string
  /** The name that it is of. */
  readonly name: string
  readonly policy: Policy
  /** Addresses, or one name with its last dot. */
  readonly values: readonly string[]
  readonly checked: Checked | undefined
  readonly json: Json
  readonly at: Place
}

/** How the sites of sets are called, and where they are. */
export interface SiteNaming {
  /** The site of a set. `label`: the name that is steered, as its service is called. */
  readonly site: (set: RoutedSet, label: string) => string
  /** The site that has all values of a name whose sets are all answered. */
  readonly siteOfAll: (label: string, name: string) => string
  readonly place: (set: RoutedSet) => readonly [latitude: number, longitude: number] | undefined
}

/** Which policy a record set is of; undefined: it is alone. */
export function policyOf(set: Json): Policy | undefined {
  if (set.get('Weight') !== undefined) return 'weighted'
  if (set.get('Region') !== undefined) return 'latency'
  if (set.get('GeoLocation') !== undefined) return 'geolocation'
  if (set.get('GeoProximityLocation') !== undefined) return 'geoproximity'
  if (set.get('Failover') !== undefined) return 'failover'
  if (set.get('CidrRoutingConfig') !== undefined) return 'cidr'
  return set.isTrue('MultiValueAnswer') ? 'multivalue' : undefined
}

/** What tells two sets of one name apart, besides their values: sets of A and AAAA that are alike become one site. */
export const selectorOf = ({ id, policy, json }: RoutedSet): string => {
  const place = json.get('GeoLocation')
  const near = json.get('GeoProximityLocation')
  const spot = near?.get('Coordinates')
  const parts = [
    ...['Weight', 'Region', 'Failover'].map((key) => json.text(key)),
    ...['ContinentCode', 'CountryCode', 'SubdivisionCode'].map((key) => place?.text(key)),
    ...['AWSRegion', 'LocalZoneGroup', 'Bias'].map((key) => near?.text(key)),
    spot?.text('Latitude'),
    spot?.text('Longitude'),
  ]
  return JSON.stringify([policy, policy === 'multivalue' ? '' : id, ...parts])
}

/** Makes the service of a name's sets, whose sites are named after `label`; undefined if it cannot be taken over, which is reported. */
export function planOf(
  name: string,
  label: string,
  sets: readonly RoutedSet[],
  naming: SiteNaming,
  notes: Notes,
): ServicePlan | undefined {
  const [first] = sets
  if (first === undefined) return undefined
  const { policy, at } = first
  const mixed = sets.find((set) => set.policy !== policy)
  if (mixed !== undefined) {
    notes.error(mixed.at, `the record sets of ${name} are of two policies, ${policy} and ${mixed.policy}`)
    return undefined
  }
  if (policy === 'cidr') {
    notes.warn(
      at,
      `${name} is left out: which networks its CIDR locations have is in no record set; write rules with subnets`,
    )
    return undefined
  }
  const common = { ...checksOf(name, sets, notes), comments: [`${name}, ${policy}`], at }
  const site = (set: RoutedSet, weight = 100): SitePlan => {
    const address = set.checked?.check === undefined ? undefined : set.checked.address
    const probed = address === undefined ? {} : { checkAddress: address }
    return { name: naming.site(set, label), vips: set.values, weight, isDown: false, at: set.at, ...probed }
  }
  const listed = { rules: [], isRandom: false } as const
  switch (policy) {
    case 'multivalue': {
      const all = naming.siteOfAll(label, name)
      const vips = sets.flatMap(({ values }) => values)
      return {
        ...common,
        ...listed,
        sites: [{ name: all, vips, weight: 100, isDown: false, at }],
        order: [[all]],
        answers: 8,
      }
    }
    case 'weighted': {
      const weights = sets.map(({ json }) => json.number('Weight') ?? 0)
      const isNone = weights.every((weight) => weight === 0) // then all are alike
      const plans = sets.map((set, i) => site(set, isNone ? 1 : weights[i]))
      return { ...common, sites: plans, order: [plans.map((plan) => plan.name)], rules: [], isRandom: true }
    }
    case 'failover': {
      const ranks = ['PRIMARY', 'SECONDARY']
      const sorted = sets.toSorted(
        (a, b) => ranks.indexOf(a.json.text('Failover')!) - ranks.indexOf(b.json.text('Failover')!),
      )
      const plans = sorted.map((set) => site(set))
      return { ...common, ...listed, sites: plans, order: plans.map((plan) => [plan.name]) }
    }
    case 'latency':
    case 'geoproximity': {
      const lost = sets.filter((set) => naming.place(set) === undefined)
      if (lost.length > 0) {
        const where =
          lost[0]!.json.text('Region') ??
          lost[0]!.json.get('GeoProximityLocation')?.text('AWSRegion') ??
          'its local zone'
        notes.warn(lost[0]!.at, `${name} is left out: it is not known where ${where} is`)
        return undefined
      }
      if (policy === 'latency')
        notes.warn(
          at,
          `${name}: latency records become the nearest site: Meridian goes by distance from where AWS's regions are`,
        )
      const plans = sets.map((set) => ({ ...site(set), bias: biasOf(name, set, notes) }))
      return {
        ...common,
        ...listed,
        sites: plans,
        order: 'nearest',
        candidates: Math.min(255, Math.max(4, sets.length)),
      }
    }
    case 'geolocation':
      return geolocation(name, sets, site, common, notes)
    default:
      return policy satisfies never
  }
}

/** Where a set of latency or geoproximity is; undefined if that is not known. */
export function placeOf({ json }: RoutedSet): readonly [number, number] | undefined {
  const near = json.get('GeoProximityLocation')
  const spot = near?.get('Coordinates')
  const region = json.text('Region') ?? near?.text('AWSRegion')
  const [latitude, longitude] = [spot?.number('Latitude'), spot?.number('Longitude')]
  if (latitude !== undefined && longitude !== undefined) return [latitude, longitude]
  return region === undefined ? undefined : REGIONS[region]
}

/** A bias below 0 divides the distance there, and multiplies it here: 1 / (1 + b/100) = 1 − bias/100. */
function biasOf(name: string, { json, at }: RoutedSet, notes: Notes): number {
  const given = json.get('GeoProximityLocation')?.number('Bias') ?? 0
  if (given >= 0) return Math.min(99, Math.round(given))
  const bias = Math.round(100 - 100 / (1 + given / 100))
  if (bias < -99 || given <= -100) notes.warn(at, `${name}: a bias of ${given} is -99, the least of Meridian's`)
  return given <= -100 ? -99 : Math.max(-99, bias)
}

/** A check for the service. Route 53 has one for each set, Meridian one for all. */
function checksOf(name: string, sets: readonly RoutedSet[], notes: Notes): { readonly checks: readonly YamlMapping[] } {
  const checked = sets.filter(({ checked: one }) => one?.check !== undefined)
  const checks = new Map(checked.map((set) => [JSON.stringify(set.checked!.check), set]))
  const [first, other] = [...checks.values()]
  if (first === undefined) return { checks: [] }
  if (other !== undefined)
    notes.warn(other.at, `${name}: all sites are checked as ${first.id} is: Meridian has no checks for each site`)
  const free = sets.find(({ checked: one }) => one?.check === undefined)
  if (free !== undefined)
    notes.warn(free.at, `${name}: ${free.id} is checked like the others: Meridian checks all sites of a service`)
  return { checks: [first.checked!.check!] }
}

/** The rules of geolocation: a set for each place, behind it those of what is around it, and last the default. */
function geolocation(
  name: string,
  sets: readonly RoutedSet[],
  site: (set: RoutedSet) => SitePlan,
  common: Pick<ServicePlan, 'checks' | 'comments' | 'at'>,
  notes: Notes,
): ServicePlan | undefined {
  const plans = new Map<string, SitePlan>()
  const places: { readonly geo: string; readonly at: Place }[] = []
  for (const set of sets) {
    const geo = geoOf(set.json.get('GeoLocation')!)
    if (geo === undefined) {
      notes.warn(set.at, `${name}: ${set.id} is left out: Meridian does not know that place`)
      continue
    }
    plans.set(geo, site(set))
    places.push({ geo, at: set.at })
  }
  const usual = plans.get('')
  if (plans.size === 0) return undefined
  if (usual === undefined) {
    notes.warn(
      common.at,
      `${name}: there is no default set: clients of other places get no answer from Route 53, and here any of its sites`,
    )
  }
  // the smallest place first
  const sorted = places
    .filter(({ geo }) => geo !== '')
    .toSorted((a, b) => b.geo.split('-').length - a.geo.split('-').length)
  const rules = sorted.map(({ geo, at }): RulePlan => {
    const parts = geo.split('-')
    const around = parts.map((_, i) => plans.get(parts.slice(0, parts.length - i).join('-'))).concat(usual)
    return { geos: [geo], order: around.flatMap((plan) => (plan === undefined ? [] : [[plan.name]])), at }
  })
  const others = [...plans.values()].filter((plan) => plan !== usual)
  const all = usual === undefined ? others : [usual, ...others]
  return {
    ...common,
    sites: all,
    order: usual === undefined ? all.map((plan) => [plan.name]) : [[usual.name]],
    rules,
    isRandom: false,
  }
}

/** Meridian's code of a place; '' is everywhere, undefined unknown. */
function geoOf(place: Json): string | undefined {
  const country = place.text('CountryCode')
  const subdivision = place.text('SubdivisionCode')
  if (country === undefined) return place.text('ContinentCode')
  if (country === '*') return ''
  const continent = continentOf(country)
  if (continent === undefined) return undefined
  return `${continent}-${country}${subdivision === undefined ? '' : `-${subdivision}`}`
}
