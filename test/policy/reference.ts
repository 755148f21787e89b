/**
 * The naive reference of client maps: one client at a time, straight from the rules' words, places read through maxmind, distances
 * by a haversine of its own. Shares no code with what it judges but the types.
 */
import type { Prefix } from '../../src/dns/address.ts'
import type { ServiceModel, SiteModel } from '../../src/zone/model.ts'

export interface ReferencePlace {
  readonly continent: string
  readonly country: string
  readonly subdivision: string
  readonly latitude?: number | undefined
  readonly longitude?: number | undefined
}

export interface ReferenceOrder {
  readonly rule: number
  readonly fence: boolean
  readonly pick: 'hash' | 'random' | undefined
  readonly groups: readonly (readonly string[])[]
  readonly tail: boolean
  readonly unplaced: boolean
}

const radians = (degrees: number): number => (degrees * Math.PI) / 180

export function haversineKm(a: readonly [number, number], b: readonly [number, number]): number {
  const h =
    Math.sin(radians(b[0] - a[0]) / 2) ** 2 +
    Math.cos(radians(a[0])) * Math.cos(radians(b[0])) * Math.sin(radians(b[1] - a[1]) / 2) ** 2
  return 2 * 6371.0088 * Math.asin(Math.sqrt(h))
}

/** A rule's subnets, its files' too: those are the second, by the rule's index. */
export type SubnetFiles = readonly (readonly Prefix[])[]

/** The subnet rule whose prefix is the longest, the first of equals; −1 without. */
function subnetRule(service: ServiceModel, files: SubnetFiles, bytes: Uint8Array): number {
  let [best, bits] = [-1, -1]
  for (const [i, { subnets }] of service.rules.entries()) {
    for (const subnet of [...subnets, ...(files[i] ?? [])]) {
      if (subnet.bytes.length === bytes.length && subnet.bits > bits && holds(subnet, bytes))
        [best, bits] = [i, subnet.bits]
    }
  }
  return best
}

function holds(prefix: Prefix, bytes: Uint8Array): boolean {
  for (let bit = 0; bit < prefix.bits; bit++) {
    const mask = 128 >> (bit & 7)
    if ((prefix.bytes[bit >> 3]! & mask) !== (bytes[bit >> 3]! & mask)) return false
  }
  return true
}

const geoRule = (service: ServiceModel, place: ReferencePlace): number =>
  service.rules.findIndex(({ geos }) =>
    geos.some(({ continent, country, subdivision }) =>
      country === undefined
        ? place.continent === continent
        : place.country === country && (subdivision === undefined || place.subdivision === subdivision),
    ),
  )

/** Sites by biased distance from a point, nearest first, names deciding ties. */
export function ranking(
  service: ServiceModel,
  sites: ReadonlyMap<string, SiteModel>,
  from: readonly [number, number],
): readonly (readonly [name: string, km: number])[] {
  return service.sites
    .map(({ site, bias }) => {
      const { latitude, longitude } = sites.get(site)!
      return [site, haversineKm(from, [latitude, longitude]) * (1 - bias / 100)] as const
    })
    .toSorted((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1))
}

export function referenceOrder(
  service: ServiceModel,
  sites: ReadonlyMap<string, SiteModel>,
  home: SiteModel | undefined,
  place: ReferencePlace | undefined,
  bytes: Uint8Array,
  asn = 0,
  files: SubnetFiles = [],
): ReferenceOrder {
  const own = place?.latitude === undefined ? undefined : ([place.latitude, place.longitude!] as const)
  const from = own ?? (home && ([home.latitude, home.longitude] as const))
  const ranked = from && service.order.kind === 'nearest' ? ranking(service, sites, from) : undefined
  const named = service.sites.map(({ site }) => site)
  const bySubnet = subnetRule(service, files, bytes)
  const byAsn = service.rules.findIndex(({ asns }) => asns.includes(asn))
  const byGeo = place === undefined ? -1 : geoRule(service, place)
  const index = [bySubnet, byAsn, byGeo].find((rule) => rule >= 0) ?? -1
  if (index >= 0) {
    const { order, only, pick } = service.rules[index]!
    const listed = service.order.kind === 'listed' ? service.order.groups.flatMap((group) => group.toSorted()) : []
    const first = order.flat()
    const nearest = (ranked ?? []).map(([name]) => name).filter((name) => !first.includes(name))
    const others = [...nearest.slice(0, service.candidates), ...listed, ...named].filter(
      (name) => !first.includes(name),
    )
    const singles = only ? [] : [...new Set(others)].map((name) => [name])
    return {
      rule: index,
      fence: only,
      pick,
      groups: [...order.map((group) => group.toSorted()), ...singles],
      tail: false,
      unplaced: false,
    }
  }
  // where there are rules, whom the database knows is not placed by his resolver
  const known = service.rules.length > 0 && place !== undefined
  const none = { rule: -1, fence: false, pick: undefined, tail: false }
  if (service.order.kind === 'listed') {
    const { groups, only = false } = service.order
    const singles = only ? [] : named.filter((name) => !groups.flat().includes(name)).map((name) => [name])
    const unplaced = !known
    return { ...none, fence: only, groups: [...groups.map((group) => group.toSorted()), ...singles], unplaced }
  }
  const unplaced = own === undefined && !known
  if (ranked === undefined) return { ...none, groups: named.map((name) => [name]), unplaced }
  const left = [...ranked]
  const groups: string[][] = []
  while (left.length > 0 && groups.flat().length < service.candidates) {
    const [anchor, km] = left[0]!
    const joins = left.filter(
      ([name, far]) => name === anchor || (service.spreadKm > 0 && far <= km + service.spreadKm),
    )
    groups.push(joins.map(([name]) => name).toSorted())
    left.splice(0, left.length, ...left.filter((one) => !joins.includes(one)))
  }
  const tail = left.map(([name]) => name).toSorted()
  return {
    ...none,
    groups: tail.length > 0 ? [...groups, tail] : groups,
    tail: tail.length > 0,
    unplaced,
  }
}
