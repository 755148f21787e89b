/**
 * The linter: warnings about a model that loads but has weak points. For `check` and `plan`; `serve` does not lint.
 * Each warning says where, why, and what to write instead. Defaults are never blamed, only what is written.
 */
import { familyOf, formatAddress, maskAddress } from '../dns/address.ts'
import {
  countLabels,
  formatName,
  isFault,
  isWithin,
  joinName,
  keyOf,
  lowerName,
  parentName,
  sameBytes,
} from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { distanceKm } from '../geo/distance.ts'
import type { Position, Problem, ProblemCode } from '../problem.ts'
import { count, formatSeconds, grouped, someOf } from '../units.ts'
import { budgetInWords, detectionMs, steeredNames } from '../zone/budget.ts'
import { nextDrill } from '../zone/drills.ts'
import type { Model, ServiceModel, SiteModel } from '../zone/model.ts'
import { ownerAt, positionOf, rdataOf, Z_INTS, Z_OWNER, Z_OWNER_BYTES, Z_TYPE, type ZoneModel } from '../zone/pack.ts'

/** A failover longer than this gets a warning, unless the service has a `budget`. */
const LONG_MS = 300_000

/**
 * All warnings about a model, in no order. `regions`: those that have probers; unless given, those of the sites stand in
 * for them. `nowMs`: Unix time, for drills.
 */
export function lint(
  model: Model,
  regions: ReadonlySet<string> = regionsOf(model),
  nowMs = Date.now(),
): readonly Problem[] {
  const problems: Problem[] = []
  const warn: Warn = (code, at, message, hint) => {
    problems.push({ code, severity: 'warning', ...at, message, hint })
  }
  const used = new Set(model.zones.flatMap(({ services }) => services))
  for (const service of model.services) {
    lintSites(service, used, warn)
    lintChecks(service, warn)
    lintWeights(service, warn)
    lintSpread(service, warn)
    lintRegions(service, regions, warn)
  }
  lintBudgets(model, warn)
  lintPlaces(model, warn)
  for (const drill of model.drills.drills) {
    if (nextDrill(drill, model.drills, nowMs) !== undefined) continue
    const message = `drill ${drill.name} has no window within a year that it fits into and that is on no blocked date`
    warn('drill-never', drill.at, message, 'Give it other days, or take it out')
  }
  const addresses = addressBook(model.zones)
  for (const zone of model.zones) {
    lintServers(zone, addresses, warn)
    lintNames(zone, warn)
  }
  return problems
}

type Warn = (code: ProblemCode, at: Position, message: string, hint: string) => void

/** A dynamic record is a service of its own, named `www.example.com:A`. */
const isRecord = ({ name }: ServiceModel): boolean => name.includes(':')

function lintSites(service: ServiceModel, used: ReadonlySet<string>, warn: Warn): void {
  const { name, sites, at } = service
  if (!used.has(name)) {
    warn(
      'service-unused',
      at,
      `no name is steered by service ${name}`,
      `Write {type: GSLB, service: ${name}} at a name`,
    )
  }
  // the values of one pool may well be in several places
  const places = isRecord(service)
    ? sites.flatMap(({ vips }) => vips.map(({ address }) => address))
    : sites.map(({ site }) => site)
  if (new Set(places).size !== 1) return
  const message = isRecord(service)
    ? `the pools of ${name} have one value: when it is down only the record’s own are left, which nobody checks`
    : `service ${name} has one site: when it is down nothing is left`
  warn('single-site', at, message, 'Give it a second one, elsewhere')
}

function lintChecks({ name, checks, ttl, at }: ServiceModel, warn: Warn): void {
  const slowest = checks.toSorted((a, b) => detectionMs(b) - detectionMs(a))[0]
  if (slowest === undefined || detectionMs(slowest) <= 1000 * ttl.maxSeconds) return
  const message = `service ${name} needs up to ${formatSeconds(detectionMs(slowest))} to find a dead site (check ${slowest.type}), longer than the TTL of its answers: ${ttl.maxSeconds} s`
  warn('check-slow', at, message, 'The check decides how long a failover takes: shorten its interval and timeout')
}

/** Weights only matter in a group of two or more sites; behind the candidates, sites share clients by capacity. */
function lintWeights({ name, sites, order, rules, spreadKm, written }: ServiceModel, warn: Warn): void {
  if (order.kind === 'nearest' && spreadKm > 0 && sites.length > 1) return
  const orders = [...rules.map((rule) => rule.order), ...(order.kind === 'listed' ? [order.groups] : [])]
  const inGroups = new Set(orders.flatMap((groups) => groups.filter((group) => group.length > 1).flat()))
  const idle = sites.filter(({ site, weight }) => {
    const isOdd = sites.some((other) => other.weight !== 0 && other.weight !== weight)
    return weight !== 0 && isOdd && !inGroups.has(site) && written?.has(`${site}.weight`)
  })
  const first = written?.get(`${idle[0]?.site}.weight`)
  if (first === undefined) return
  const message = `the weight of ${idle.map(({ site }) => site).join(' and ')} has no effect in service ${name}: weights divide the clients of one group`
  const hint =
    order.kind === 'nearest'
      ? 'With `spread` near sites become one group; so do sites in an inner list of an order'
      : 'Put sites that are to share clients into an inner list: order: [[fra, ams], iad]'
  warn('weight-unused', first, message, hint)
}

function lintSpread({ name, sites, order, written }: ServiceModel, warn: Warn): void {
  const why = order.kind === 'listed' ? 'its order is listed' : sites.length === 1 ? 'it has one site' : undefined
  if (why === undefined || written === undefined) return
  const biases = sites.filter(({ bias }) => bias !== 0).map(({ site }) => `${site}.bias`)
  const idle = ['spread', 'candidates', ...biases].filter((key) => written.has(key))
  if (idle.length === 0) return
  const words = idle.map((key) => `\`${key.slice(key.lastIndexOf('.') + 1)}\``)
  const message = `${[...new Set(words)].join(', ')} has no effect in service ${name}: ${why}`
  const otherwise = order.kind === 'listed' ? ', or write `order: nearest`' : ''
  warn('spread-unused', written.get(idle[0]!)!, message, `It is about distances: leave it out${otherwise}`)
}

const regionsOf = ({ sites }: Model): ReadonlySet<string> =>
  new Set([...sites.values()].flatMap(({ region }) => (region === '' ? [] : region)))

/** More regions than there are can't agree on DOWN; more than there are probers never do. */
function lintRegions(
  { name, regions: wanted, probers, checks, at }: ServiceModel,
  regions: ReadonlySet<string>,
  warn: Warn,
): void {
  if (wanted === 1 || checks.length === 0) return
  if (wanted > probers) {
    const message = `service ${name} wants DOWN from ${wanted} regions, and ${count(probers, 'prober')} check a site of it: it may never go DOWN`
    warn('regions-few', at, message, `Write \`regions: ${probers}\` or fewer, or \`probers: ${wanted}\``)
  } else if (regions.size > 0 && wanted > regions.size) {
    const known = `${regions.size} ${regions.size === 1 ? 'is' : 'are'} known: ${[...regions].join(', ')}`
    const message = `service ${name} wants DOWN from ${wanted} regions, of which ${known}`
    warn('regions-few', at, message, 'Fewer regions decide. Say with --regions which regions have probers')
  }
}

/** Sites nearer than this to the others of their region are never strange. */
const FAR_KM = 2000
/** Beyond this a site is strange if it is also much farther than the others are from each other. */
const VERY_FAR_KM = 5000
/** So near are sites of one region at least. */
const NEAR_KM = 800

/** Sites far from the others of their region: most likely coordinates that are swapped, or lack a minus. */
function lintPlaces({ sites }: Model, warn: Warn): void {
  const placed = [...sites.values()].filter(({ region, latitude }) => region !== '' && !Number.isNaN(latitude))
  for (const members of Map.groupBy(placed, ({ region }) => region).values()) {
    if (members.length === 2) lintPair(members[0]!, members[1]!, warn)
    if (members.length <= 2) continue
    const km = members.map((site) => members.map((other) => kmBetween(site, other)))
    const sums = km.map((row) => row.reduce((sum, one) => sum + one, 0))
    for (const index of members.keys()) lintPlace(members, km, sums, index, warn)
  }
}

/** Of two sites nobody knows which one is wrong. */
function lintPair(one: SiteModel, other: SiteModel, warn: Warn): void {
  const away = kmBetween(one, other)
  if (away <= FAR_KM || (turnedTo(one, [other], NEAR_KM) ?? turnedTo(other, [one], NEAR_KM)) === undefined) return
  const message = `sites ${one.name} and ${other.name} of region ${one.region} are ${grouped(away)} km apart`
  warn('site-far', one.at, message, `One of them seems to be turned round. ${LATITUDE}`)
}

/** A site's coordinates in the other order, or with the other sign of longitude, if that is near one of the places. */
const turnedTo = ({ latitude, longitude }: Place, places: readonly Place[], mostKm: number): Place | undefined =>
  [
    { latitude: longitude, longitude: latitude },
    { latitude, longitude: -longitude },
  ].find((turned) => Math.abs(turned.latitude) <= 90 && places.some((place) => kmBetween(turned, place) <= mostKm))

const LATITUDE = 'Latitude comes first; west and south have a minus'

/** `members`: the sites of a region; `km`: the distances between them; `sums`: from each to all others. */
function lintPlace(
  members: readonly SiteModel[],
  km: readonly (readonly number[])[],
  sums: readonly number[],
  index: number,
  warn: Warn,
): void {
  const others = [...members.keys()].filter((other) => other !== index)
  // the middle of the others: unlike a mean, the site with the least sum of distances can't be off the Earth
  const sumWithout = (other: number): number => sums[other]! - km[other]![index]!
  const middle = others.reduce((best, other) => (sumWithout(other) < sumWithout(best) ? other : best))
  const spread = others.reduce((most, other) => Math.max(most, km[other]![middle]!), 0)
  const away = km[index]![middle]!
  const { name, region, at } = members[index]!
  if (away <= FAR_KM || away <= 2 * spread) return
  const places = others.map((other) => members[other]!)
  const turned = turnedTo(members[index]!, places, Math.max(spread, NEAR_KM))
  if (turned === undefined && (away <= VERY_FAR_KM || away <= 4 * spread)) return
  const message = `site ${name} is ${grouped(away)} km from ${members[middle]!.name}, in the middle of region ${region}`
  const otherwise = `${LATITUDE}. If it is right, give it a region of its own`
  const meant = turned && `Did you mean location: [${turned.latitude}, ${turned.longitude}]?`
  warn('site-far', at, message, meant ?? otherwise)
}

type Place = Pick<SiteModel, 'latitude' | 'longitude'>

const kmBetween = (a: Place, b: Place): number => distanceKm(a.latitude, a.longitude, b.latitude, b.longitude)

/** Owner names that end with the zone's name twice: most likely written in full, where names are relative. */
function lintNames(zone: ZoneModel, warn: Warn): void {
  const { apex, sets, bytes } = zone
  if (countLabels(apex) < 2) return
  const suffix = joinName(apex, apex)
  if (isFault(suffix)) return
  const owners = new Set<number>()
  let first: number | undefined
  for (let set = 0; set < sets.length; set += Z_INTS) {
    const from = sets[set + Z_OWNER]! + sets[set + Z_OWNER_BYTES]! - suffix.length
    if (sets[set + Z_OWNER_BYTES]! < suffix.length || !sameBytes(bytes, from, suffix, 0, suffix.length)) continue
    if (!isWithin(ownerAt(zone, set), suffix)) continue
    first ??= set
    owners.add(sets[set + Z_OWNER]!)
  }
  if (first === undefined) return
  const name = formatName(ownerAt(zone, first))
  const others = owners.size === 1 ? '' : `, and so do ${grouped(owners.size - 1)} more names of this zone`
  const message = `${name} ends with the name of its zone twice${others}`
  const hint = `Names are relative to the zone: leave ${formatName(apex).slice(0, -1)} out; the zone itself is ""`
  warn('name-doubled', positionOf(zone, first), message, hint)
}

function lintBudgets({ zones, services }: Model, warn: Warn): void {
  const unlimited = services.filter(({ budgetMs }) => budgetMs === undefined)
  for (const { service, budget, names, first, at } of steeredNames(zones, unlimited)) {
    if (budget.totalMs === null || budget.totalMs <= LONG_MS) continue
    const message = `the failover of ${someOf([first], 1, names)} can take long: ${budgetInWords(budget)}`
    warn(
      'budget-long',
      at,
      message,
      isRecord(service)
        ? 'Shorten its TTL or its check'
        : `Shorten the TTL or the check; or write \`budget: ${minutes(budget.totalMs)}\` at service ${service.name} if it is meant`,
    )
  }
}

const minutes = (ms: number): string => `${Math.ceil(ms / 60_000)}m`

/**
 * A zone with one name server, or with all of them in one network: an outage there takes the zone with it (RFC 2182
 * §3).
 */
function lintServers(zone: ZoneModel, addressesOf: AddressBook, warn: Warn): void {
  const servers = serversOf(zone)
  if (servers === undefined) return
  const { targets, at } = servers
  const apex = formatName(zone.apex)
  if (targets.length === 1) {
    warn('ns-one-network', at, `zone ${apex} has one name server`, 'Run a second one, in another network')
    return
  }
  const addresses = targets.map((target) => addressesOf(target))
  if (addresses.some((known) => known.length === 0)) return // a server outside of these zones: most likely elsewhere
  const networks = new Set(
    addresses.flat().map((bytes) => formatAddress(maskAddress(bytes, bytes.length === 4 ? 24 : 48))),
  )
  const families = new Set(addresses.flat().map(({ length }) => length))
  if (networks.size > families.size) return
  const named = [...networks].map((network) => `${network}/${familyOf(network) === 6 ? 48 : 24}`).join(' and ')
  warn('ns-one-network', at, `all name servers of zone ${apex} are in ${named}`, 'Give it one in another network')
}

/**
 * The name servers of a zone's apex (lower-case wire form), and where they are written; undefined: the apex has no NS.
 */
export function serversOf(
  zone: ZoneModel,
): { readonly targets: readonly Uint8Array[]; readonly at: Position } | undefined {
  const { sets, apex } = zone
  for (let set = 0; set < sets.length; set += Z_INTS) {
    if (sets[set + Z_TYPE] !== TYPE.NS || sets[set + Z_OWNER_BYTES] !== apex.length) continue
    return { targets: rdataOf(zone, set).map(lowerName), at: positionOf(zone, set) }
  }
  return undefined
}

/**
 * A name (lower-case wire form) → its static addresses in the zones, 4 or 16 bytes each. Empty: the name is outside of
 * the zones, steered, or matches a wildcard.
 */
export type AddressBook = (name: Uint8Array) => readonly Uint8Array[]

/** Makes an AddressBook. The innermost zone that has addresses for a name, its own or glue, counts. */
export function addressBook(zones: readonly ZoneModel[]): AddressBook {
  const byApex = new Map(zones.map((zone) => [keyOf(zone.apex), zone]))
  const known = new Map<string, readonly Uint8Array[]>()
  const find = (name: Uint8Array): readonly Uint8Array[] => {
    for (let apex = name; ; apex = parentName(apex)) {
      const zone = byApex.get(keyOf(apex))
      const found = zone === undefined ? [] : addressesIn(zone, name)
      if (found.length > 0 || apex.length === 1) return found
    }
  }
  return (name) => {
    const key = keyOf(name)
    const addresses = known.get(key) ?? find(name)
    known.set(key, addresses)
    return addresses
  }
}

function addressesIn(zone: ZoneModel, name: Uint8Array): readonly Uint8Array[] {
  const { sets } = zone
  const addresses: Uint8Array[] = []
  for (let set = 0; set < sets.length; set += Z_INTS) {
    const type = sets[set + Z_TYPE]
    if (sets[set + Z_OWNER_BYTES] !== name.length || (type !== TYPE.A && type !== TYPE.AAAA)) continue
    if (sameBytes(zone.bytes, sets[set + Z_OWNER]!, name, 0, name.length)) addresses.push(...rdataOf(zone, set))
  }
  return addresses
}
