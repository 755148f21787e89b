/**
 * Why a steered name has these addresses: the client's place, the rule, the sites in the order of the client's class
 * with the state of their members, the walk, the pick, the scope, the budget. Everything is read from what respond()
 * left in the Responder and from what the World was made of; nothing is decided here. Called by explain.ts.
 */
import { type Client, locate, makeClient, scopeOf } from '../answer/client.ts'
import type { Responder } from '../answer/responder.ts'
import { formatAddress, formatPrefix, maskAddress } from '../dns/address.ts'
import { packCode } from '../geo/codes.ts'
import { distanceKm } from '../geo/distance.ts'
import { foldPrefix, TEREDO } from '../geo/fold.ts'
import { type Place, placeAt } from '../geo/place.ts'
import { leafValue, walk } from '../geo/trie.ts'
import type { MemberStatus, ServiceHealth } from '../health/node-health.ts'
import { isCalm, shareOf, stateOf } from '../health/table.ts'
import { CLASS_UNPLACED, groupsOf } from '../policy/map.ts'
import { HASH_BITS_V4, HASH_BITS_V6 } from '../policy/network.ts'
import { STAGES, type Trace } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import type { Position } from '../problem.ts'
import type { ExplainContext } from '../world/build.ts'
import type { DatabaseFile } from '../world/databases.ts'
import { type FailoverBudget, failoverBudget } from '../zone/budget.ts'
import type { RuleModel, ServiceModel } from '../zone/model.ts'
import { STEERS_AAAA } from '../zone/pack.ts'
import { subnetHolding } from '../zone/rules.ts'
import { type ExplainQuery, formatNetwork } from './question.ts'
import type { Assumption, Assumptions, HealthOf } from './what-if.ts'

/** The part of an explanation that is about a steered answer. */
export interface Steering {
  readonly service: string
  /** `file:line`. */
  readonly written: string
  readonly place: ClientPlace
  /** Where the rule that matched is written, `file:line`; null = none did. */
  readonly rule: string | null
  /** Which key of the rule matched. */
  readonly matched: RuleMatch | null
  readonly order: 'nearest' | 'listed'
  /** The client gets these sites and no others. */
  readonly fence: boolean
  readonly pickBy: 'hash' | 'random'
  readonly class: number
  readonly sites: readonly SiteExplanation[]
  readonly walk: readonly Step[]
  /** The site that is named; null = none. */
  readonly pick: string | null
  /** The stage of the walk that found it; null = none did. */
  readonly stage: string | null
  /** The addresses in the answer, and how many usable ones of the type the site has; 0 without a pick. */
  readonly named: readonly string[]
  readonly usable: number
  readonly lastResort: boolean
  /** The addresses of `lastResort: {values: …}`, or its name, are the answer. */
  readonly values: boolean
  /** A hash of the client's network was used, so the scope is no wider than that network. */
  readonly hashed: boolean
  /** Every consulted member is calm. */
  readonly calm: boolean
  readonly scope: Scope | null
  readonly budget: FailoverBudget
  /** The service's health as the node sees it (brake, last resort, capacity left); null: there is no node. */
  readonly health: ServiceHealth | null
}

/** The place by which a client was steered. */
export interface ClientPlace {
  /**
   * Whose place it is. `node.site`: the client has no place, and that setting says where it is assumed to be; `nobody`:
   * no place at all, so the order is that of the file.
   */
  readonly of: 'client' | 'resolver' | 'node.site' | 'nobody'
  /** The IPv4 network that the address embeds and that was looked up; null: it embeds none. */
  readonly folded: { readonly from: 'IPv4-mapped' | 'NAT64' | '6to4' | 'Teredo'; readonly to: string } | null
  /** Codes; empty = unknown. */
  readonly continent: string
  readonly country: string
  readonly subdivision: string
  /** Degrees; null = unknown. */
  readonly latitude: number | null
  readonly longitude: number | null
  /** The widest prefix with the same place, and its length. */
  readonly prefix: string
  readonly depth: number
  /** The database that was used; null: there is none for the family. */
  readonly database: DatabaseInfo | null
  /** The AS number of the address, and the widest prefix with the same; null = unknown. */
  readonly asn: { readonly number: number; readonly prefix: string; readonly database: DatabaseInfo | null } | null
}

interface DatabaseInfo {
  readonly file: string
  /** The type in its metadata. */
  readonly type: string
  /** Build time, ISO 8601; null = unknown. */
  readonly built: string | null
}

/** The key of a rule that matched, and its entry as text. */
export interface RuleMatch {
  readonly by: 'subnet' | 'asn' | 'geo'
  readonly text: string
}

/** A site in the order of the client's class. */
export interface SiteExplanation {
  readonly site: string
  /** Its place in the order, 1-based; sites with the same number are one group. */
  readonly group: number
  /** Great-circle distance from the client's place; null: one of them has no location. */
  readonly distanceKm: number | null
  readonly bias: number
  /** The distance by which `order: nearest` ranks. */
  readonly biasedKm: number | null
  readonly weight: number
  readonly capacity: number
  /** The walk consulted it. */
  readonly consulted: boolean
  readonly vips: readonly VipExplanation[]
}

/** A VIP of a site. */
export interface VipExplanation {
  readonly address: string
  /** `site/service/address` */
  readonly member: string
  readonly state: string
  /** 0–1000. */
  readonly share: number
  readonly calm: boolean
  /** It is in the answer. */
  readonly named: boolean
  /** What was assumed about it by `down` or `drain`; null: nothing. */
  readonly assumed: Assumption | null
  /** What the node knows about it, without assumptions; null: there is no node. */
  readonly health: MemberStatus | null
}

/** A step of the walk: a site that was consulted at a stage. */
export interface Step {
  readonly stage: string
  readonly group: number
  readonly site: string
  readonly verdict: string
  /** Its score in the rendezvous of its group, where the least wins, and the weight that it has there. */
  readonly score?: number
  readonly weight?: number
}

/** The ECS scope of the answer, and how it came about. Lengths in bits. */
export interface Scope {
  readonly bits: number
  /** Length of the widest prefix whose clients all have this class. */
  readonly walkBits: number
  /** Length of the client's network that was hashed: the scope is no wider; null: no hash was used. */
  readonly hashBits: number | null
  /** Source prefix length of the query. */
  readonly source: number
  /** The network for which caches may use the answer: the scope, but no narrower than the source (RFC 7871 §7.3.1). */
  readonly caches: string
}

const STATE_NAMES = ['unproven', 'up', 'down', 'drained', 'forced down', 'recovered']

/** A trace that records the walk into `steps`. */
export function stepsInto(steps: Step[], responder: Responder): Trace {
  const nameOf = (site: number): string => responder.steered!.siteNames[site]!
  return {
    site: (stage, group, site, verdict) =>
      void steps.push({ stage: STAGES[stage]!.name, group: group + 1, site: nameOf(site), verdict }),
    score: (_stage, _site, score, weight) => void steps.push({ ...steps.pop()!, score, weight }),
  }
}

interface SteeredAnswer {
  readonly responder: Responder
  readonly service: SteeredService
  readonly context: ExplainContext
  readonly query: ExplainQuery
  readonly steps: readonly Step[]
  readonly assumed: Assumptions
  /** 0 = none. */
  readonly capSeconds: number
  readonly healthOf: HealthOf
}

/** Describes how a steered answer came about. */
export function steeringOf(answer: SteeredAnswer): Steering {
  const { responder, service, context, query, steps, capSeconds, healthOf } = answer
  const { client, selection, world } = responder
  const found = groupsOf(world.maps[service.map]!, client.class)
  const model = context.services.find(({ name }) => name === service.name)!
  const { place, from, isBorrowed } = placeClient(answer, model)
  const rule = model.rules[found.rule] // −1: none
  const sees = healthOf(service.name)
  const { vips, usable } = pickOf(responder, service)
  const siteOf = makeSite(answer, model, place, new Set(vips), sees?.members ?? [])
  return {
    service: service.name,
    written: lineOf(model.at),
    place,
    rule: rule === undefined ? null : lineOf(rule.at),
    matched: rule === undefined ? null : matchedIn(rule, from, place, isBorrowed),
    order: model.order.kind,
    fence: found.fence,
    pickBy: found.pick ?? model.pick,
    class: client.class,
    sites: found.groups.flatMap((group, number) => group.map((site) => siteOf(site, number + 1))),
    walk: steps,
    pick: selection.site < 0 ? null : service.siteNames[selection.site]!,
    stage: selection.stage < 0 ? null : STAGES[selection.stage]!.name,
    named: vips.map((vip) => addressOf(service, vip)),
    usable,
    lastResort: selection.lastResort,
    values: selection.useValues,
    hashed: selection.hashed,
    calm: selection.calm,
    scope: query.ecs && query.bits > 0 ? explainScope(client, selection.hashed, query) : null,
    budget: failoverBudget(model, capSeconds),
    health: sees?.health ?? null,
  }
}

const lineOf = ({ file, line }: Position): string => `${file}:${line}`

/**
 * The place that decided, and the address that was looked up for it. `isBorrowed`: a client without a place borrows its
 * resolver's, and no rule that speaks of the resolver's address.
 */
function placeClient({ responder, service, context, query }: SteeredAnswer, model: ServiceModel) {
  const { client, world } = responder
  const map = world.maps[service.map]!
  const own = leafValue(walk(client.family === 4 ? map.v4 : map.v6, client.bytes, 0))
  const hasSubnet = query.ecs && query.bits > 0
  const isBorrowed = hasSubnet && own === CLASS_UNPLACED && client.class !== CLASS_UNPLACED
  const resolved = !hasSubnet || isBorrowed
  const address = resolved ? query.resolver : query.client
  const bits = resolved ? query.resolver.length * 8 : query.bits
  const from = makeClient()
  locate(map, address.length === 4 ? 4 : 6, address, 0, bits, from)
  const found = placeAt(context.places, from.family, from.bytes)
  const nearest = model.order.kind === 'nearest'
  const home = nearest && context.nodeSite !== undefined ? context.sites.get(context.nodeSite) : undefined
  const located = !Number.isNaN(found.latitude)
  const known = client.class !== CLASS_UNPLACED || (!nearest && found.country + found.continent !== '')
  const self = resolved && Buffer.compare(query.resolver, query.client) !== 0 ? 'resolver' : 'client'
  const of: ClientPlace['of'] = located ? self : home !== undefined ? 'node.site' : known ? self : 'nobody'
  const { latitude, longitude } = of === 'node.site' ? home! : found
  const place: ClientPlace = { of, ...describe(context, from, address, bits, { ...found, latitude, longitude }) }
  return { place, from, isBorrowed }
}

function describe(
  { databases, asnDatabases }: ExplainContext,
  { family, bytes, offset }: Client,
  address: Uint8Array,
  bits: number,
  place: Place,
): Omit<ClientPlace, 'of'> {
  const looked = bytes.slice(0, family === 4 ? 4 : 16)
  const { continent, country, subdivision, latitude, longitude, depth, asn, asnDepth } = place
  const prefixOf = (length: number): string =>
    formatPrefix({ family, bytes: maskAddress(looked, length), bits: length })
  return {
    folded:
      offset === 0 ? null : { from: foldedFrom(address, offset), to: formatNetwork(looked, foldedBits(bits, offset)) },
    continent,
    country,
    subdivision,
    latitude: orNull(latitude),
    longitude: orNull(longitude),
    prefix: prefixOf(depth),
    depth,
    database: databaseOf(databases, family),
    asn: asn === 0 ? null : { number: asn, prefix: prefixOf(asnDepth), database: databaseOf(asnDatabases, family) },
  }
}

/** The database of a family. IPv4 is read from the database that has nothing else, if there is one. */
function databaseOf(databases: readonly DatabaseFile[], family: 4 | 6): DatabaseInfo | null {
  const ofFamily = databases.find(({ ipVersion }) => ipVersion === family)
  const found = ofFamily ?? (family === 4 ? databases.find(({ ipVersion }) => ipVersion === 6) : undefined)
  if (found === undefined) return null
  const { path, type, builtSeconds } = found
  return { file: path, type, built: builtSeconds > 0 ? new Date(builtSeconds * 1000).toISOString() : null }
}

const foldedBits = (bits: number, offset: number): number => Math.min(32, bits - (offset === TEREDO ? 96 : offset))

function foldedFrom(address: Uint8Array, offset: number): NonNullable<ClientPlace['folded']>['from'] {
  if (offset === TEREDO) return 'Teredo'
  if (offset === 16) return '6to4'
  return address[1] === 0x64 ? 'NAT64' : 'IPv4-mapped'
}

const orNull = (degrees: number): number | null => (Number.isNaN(degrees) ? null : degrees)

/**
 * The key of the rule that matched: subnets come before AS numbers, and those before geos. Of a borrowed place only
 * geos count.
 */
function matchedIn(
  rule: RuleModel,
  { family, bytes }: Client,
  place: ClientPlace,
  isBorrowed: boolean,
): RuleMatch | null {
  const subnet = isBorrowed ? undefined : subnetHolding(rule, bytes.subarray(0, family === 4 ? 4 : 16))
  if (subnet !== undefined) {
    const text = formatPrefix(subnet)
    // as it was written, where it folds
    const written = rule.subnets.find((one) => formatPrefix(foldPrefix(one)) === text)
    return { by: 'subnet', text: written === undefined ? text : formatPrefix(written) }
  }
  if (!isBorrowed && place.asn !== null && rule.asns.includes(place.asn.number))
    return { by: 'asn', text: `AS${place.asn.number}` }
  // a country decides by itself, as in policy/compile.ts
  const geo = rule.geos.find(
    ({ continent, country, subdivision }) =>
      (country === undefined ? continent === place.continent : packCode(country) === packCode(place.country)) &&
      (subdivision === undefined || subdivision === place.subdivision),
  )
  if (geo === undefined) return null
  return {
    by: 'geo',
    text: [geo.continent, geo.country, geo.subdivision].filter((code) => code !== undefined).join('-'),
  }
}

/** The VIPs of the answer, in its order, and how many usable ones the site has. */
function pickOf({ selection, health }: Responder, service: SteeredService) {
  const { site, stage, count, type } = selection
  if (site < 0) return { vips: [], usable: 0 }
  const v6 = service.firstV6[site]!
  const [first, end] = type === STEERS_AAAA ? [v6, service.firstVip[site + 1]!] : [service.firstVip[site]!, v6]
  let usable = 0
  for (let vip = first; vip < end; vip++) {
    if (((STAGES[stage]!.states >>> stateOf(health[service.slot[vip]!]!)) & 1) !== 0) usable++
  }
  return { vips: [...selection.vips.subarray(0, count)], usable }
}

/** Makes a function that describes a site by its number in the service. */
function makeSite(
  { service, context, steps, responder, assumed }: SteeredAnswer,
  model: ServiceModel,
  client: { readonly latitude: number | null; readonly longitude: number | null },
  named: ReadonlySet<number>,
  statuses: readonly MemberStatus[],
) {
  const consulted = new Set(steps.map(({ site }) => site))
  const statusOf = new Map(statuses.map((status) => [status.member, status]))
  const biasOf = new Map(model.sites.map(({ site, bias }) => [site, bias]))
  return (site: number, group: number): SiteExplanation => {
    const name = service.siteNames[site]!
    const bias = biasOf.get(name)!
    const away = distanceFrom(client, context.sites.get(name)!)
    const vips: VipExplanation[] = []
    for (let vip = service.firstVip[site]!; vip < service.firstVip[site + 1]!; vip++) {
      const word = responder.health[service.slot[vip]!]!
      const member = service.members[vip]!
      vips.push({
        address: addressOf(service, vip),
        member,
        state: STATE_NAMES[stateOf(word)] ?? 'unknown',
        share: shareOf(word),
        calm: isCalm(word),
        named: named.has(vip),
        assumed: assumed.of.get(member) ?? null,
        health: statusOf.get(member) ?? null,
      })
    }
    return {
      site: name,
      group,
      distanceKm: away === null ? null : tenths(away),
      bias,
      biasedKm: away === null ? null : tenths(away * (1 - bias / 100)),
      weight: service.weight[site]!,
      capacity: service.capacity[site]!,
      consulted: consulted.has(name),
      vips,
    }
  }
}

const tenths = (km: number): number => Math.round(km * 10) / 10

/** The distance in kilometres; null: one of them has no location. */
function distanceFrom(
  client: { readonly latitude: number | null; readonly longitude: number | null },
  site: { readonly latitude: number; readonly longitude: number },
): number | null {
  if (client.latitude === null || client.longitude === null || Number.isNaN(site.latitude)) return null
  return distanceKm(client.latitude, client.longitude, site.latitude, site.longitude)
}

/** The address or name of a VIP: the last part of its member's name. */
const addressOf = ({ members }: SteeredService, vip: number): string =>
  members[vip]!.slice(members[vip]!.lastIndexOf('/') + 1)

function explainScope(client: Client, hashed: boolean, { client: address, bits: source }: ExplainQuery): Scope {
  const bits = scopeOf(client, hashed)
  const hashBits = client.family === 4 ? Math.min(128, client.offset + HASH_BITS_V4) : HASH_BITS_V6
  const kept = Math.min(bits, source)
  return {
    bits,
    walkBits: client.scope,
    hashBits: hashed ? hashBits : null,
    source,
    caches: `${formatAddress(maskAddress(address, kept))}/${kept}`,
  }
}
