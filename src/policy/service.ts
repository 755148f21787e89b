/**
 * A steered service as the answering threads see it: small flat tables, posted with the World. Sites are numbered in
 * the sort order of their names, as in the service's ClientMap. VIPs are numbered through all sites, a site's IPv4 VIPs
 * before its IPv6 VIPs.
 */
import { concat } from '../dns/fields.ts'
import { hashText } from '../hash.ts'
import { DRAINED, type HealthTable, healthWord, UP } from '../health/table.ts'
import { type HealthSpec, memberName } from '../health/target.ts'
import { isOfNames, type ServiceModel, type SiteModel, type VipModel } from '../zone/model.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'

/**
 * At which stages each site of a service may be named, by the health words of its members. Each answering thread
 * computes its own and keeps it until a member's word changes; see select.ts.
 */
export interface Eligibility {
  /** Per site: its bits (see select.ts), and which share of its clients' networks it takes, 0–1000. */
  readonly sites: Int32Array
  readonly limits: Int32Array
  /** Over all sites: the stages at which any may be named, and whether all are calm. */
  seen: number
  calm: boolean
  /** No member's word changed while they were read. */
  whole: boolean
  /** The service's word in `health` when the members' were read; NaN = compute again. */
  version: number
  health: HealthTable | undefined
}

/** The tables of one service. “Per site” and “per VIP” are arrays by number. */
export interface SteeredService {
  readonly name: string
  /** Hash of the name: the same on every node. */
  readonly key: number
  /** Index into World.maps. */
  readonly map: number
  /** Bits STEERS_*: the types that any VIP of the service has; STEERS_A where they are names. */
  readonly types: number
  /** `pick: random`: sites are picked at random and not by hash, unless a class's rule says otherwise. */
  readonly random: boolean
  /** How many of the next sites share the clients whose first group of sites is dead. */
  readonly spill: number
  readonly answers: number
  readonly minVips: number
  readonly ttlMaxSeconds: number
  readonly ttlMinSeconds: number
  readonly lastResort: 'all' | 'nodata' | 'values'
  /** The addresses of `lastResort: {values}`: 4 bytes each, 16 bytes each. */
  readonly resortA: Uint8Array
  readonly resortAAAA: Uint8Array
  /** Probers check at least one of its VIPs. */
  readonly isChecked: boolean
  /** That of `lastResort: {name}`, in wire form, whose `lastResort` here is `values`; null = none. */
  readonly resortName: Uint8Array | null
  readonly siteNames: readonly string[]
  /** Per site: hash of service and site. */
  readonly siteKey: Int32Array
  readonly weight: Int32Array
  readonly capacity: Int32Array
  /**
   * Per site, and one more for answers that name none (last resorts): the first counter cell of the answers
   * (counters.ts). Filled by the main thread.
   */
  readonly counter: Int32Array
  /** Per site, and one more: VIPs of site s are firstVip[s] … firstVip[s + 1] − 1, its IPv6 ones from firstV6[s]. */
  readonly firstVip: Int32Array
  readonly firstV6: Int32Array
  /** Per VIP: its slot in the HealthTable. Filled by the main thread. */
  readonly slot: Int32Array
  /**
   * Index of the service's own word in the HealthTable, which changes with each of its members; −1 = none. As `slot`.
   */
  word: number
  readonly eligibility: Eligibility
  /** Per VIP: member name `site/service/address`. */
  readonly members: readonly string[]
  /** Per VIP: hash of site and address, for picking some of a site's VIPs. */
  readonly vipKey: Int32Array
  /** Per VIP: its weight where an answer cannot hold all VIPs of a site; null = all have the same. */
  readonly vipWeight: Int32Array | null
  /** Per VIP: 16 bytes, an IPv4 address in the first four. */
  readonly address: Uint8Array
  /** Per VIP: a name in wire form; null: the VIPs are addresses. Names count as IPv4 in the tables above. */
  readonly names: readonly Uint8Array[] | null
}

/**
 * Makes the tables of a checked service. `sites` must have all its sites; `map`: index into World.maps. The main thread
 * fills in slots and counters later.
 */
export function layOutService(
  service: ServiceModel,
  sites: ReadonlyMap<string, SiteModel>,
  map: number,
): SteeredService {
  const own = service.sites.toSorted((a, b) => (a.site < b.site ? -1 : 1))
  const vips: { readonly site: string; readonly vip: VipModel }[] = []
  const firstVip = new Int32Array(own.length + 1)
  const firstV6 = new Int32Array(own.length)
  for (const [s, { site, vips: here }] of own.entries()) {
    firstVip[s] = vips.length
    for (const vip of here) if (vip.bytes.length !== 16) vips.push({ site, vip })
    firstV6[s] = vips.length
    for (const vip of here) if (vip.bytes.length === 16) vips.push({ site, vip })
  }
  firstVip[own.length] = vips.length
  const address = new Uint8Array(16 * vips.length)
  for (const [v, { vip }] of vips.entries()) address.set(vip.bytes, 16 * v)
  const resort = service.lastResort.kind === 'values' ? service.lastResort.values : []
  return {
    name: service.name,
    key: hashText(service.name),
    map,
    types: vips.reduce((types, { vip }) => types | (vip.bytes.length === 16 ? STEERS_AAAA : STEERS_A), 0),
    random: service.pick === 'random',
    spill: service.spill,
    answers: isOfNames(service) ? 1 : service.answers, // RFC 2181 §10.1: a CNAME has one target
    minVips: service.minVips,
    ttlMaxSeconds: service.ttl.maxSeconds,
    ttlMinSeconds: service.ttl.minSeconds,
    lastResort: service.lastResort.kind === 'name' ? 'values' : service.lastResort.kind,
    resortA: concat(resort.filter((bytes) => bytes.length === 4)),
    resortAAAA: concat(resort.filter((bytes) => bytes.length === 16)),
    isChecked: service.checks.length > 0 && vips.some(({ vip }) => vip.unchecked !== true),
    resortName: service.lastResort.kind === 'name' ? service.lastResort.name : null,
    siteNames: own.map(({ site }) => site),
    siteKey: Int32Array.from(own, ({ site }) => hashText(`${service.name}/${site}`)),
    weight: Int32Array.from(own, ({ weight }) => weight),
    capacity: Int32Array.from(own, ({ site }) => sites.get(site)!.capacity),
    counter: new Int32Array(own.length + 1),
    firstVip,
    firstV6,
    slot: new Int32Array(vips.length),
    word: -1,
    eligibility: makeEligibility(own.length),
    members: vips.map(({ site, vip }) => memberName(site, service.name, vip.address)),
    vipKey: Int32Array.from(vips, ({ site, vip }) => hashText(`${site}/${vip.address}`)),
    vipWeight: vips.some(({ vip }) => (vip.weight ?? 1) !== 1)
      ? Int32Array.from(vips, ({ vip }) => vip.weight ?? 1)
      : null,
    address,
    names: isOfNames(service) ? vips.map(({ vip }) => vip.name!) : null,
  }
}

const makeEligibility = (sites: number): Eligibility => ({
  sites: new Int32Array(sites),
  limits: new Int32Array(sites),
  seen: 0,
  calm: false,
  whole: false,
  version: NaN,
  health: undefined,
})

/**
 * A HealthTable for when health is unknown: all members are up, calm and have their full share, except those that the
 * files drain, which are never calm. Fills in the slots of the services' VIPs.
 */
export function allUp(services: readonly SteeredService[], { members }: HealthSpec): HealthTable {
  const drained = new Set(members.filter((member) => member.drained).map(({ name }) => name))
  const words: number[] = []
  for (const { members: vips, slot } of services) {
    for (const [vip, member] of vips.entries()) {
      slot[vip] = words.push(drained.has(member) ? healthWord(DRAINED, 1000, false) : healthWord(UP, 1000, true)) - 1
    }
  }
  return Int32Array.from(words)
}
