/**
 * A steered service as the answering threads see it: small flat tables, posted with the World. Sites are numbered by
 * their names' sort order (as in the service's ClientMap); VIPs are numbered through, a site's IPv4 before its IPv6.
 */
import { concat } from '../dns/fields.ts'
import { hashText } from '../hash.ts'
import { DRAINED, type HealthTable, healthWord, UP } from '../health/table.ts'
import { type HealthPlan, memberName } from '../health/target.ts'
import type { ServiceModel, SiteModel, VipModel } from '../zone/model.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'

/** What the sites of a service are fit for by their members' words: an answering thread's own, see select.ts. */
export interface Eligibility {
  /** Per site: bits, and how much of its clients' networks it takes (0–1000). */
  readonly sites: Int32Array
  readonly limits: Int32Array
  /** Of all sites: stages in which one may be named; whether all are calm. */
  seen: number
  calm: boolean
  /** No word changed while they were read. */
  whole: boolean
  /** The service's word at that time, in this table; NaN = not to be used again. */
  version: number
  health: HealthTable | undefined
}

export interface SteeredService {
  readonly name: string
  /** Hash of the name: the same on every node. */
  readonly key: number
  /** Index into World.maps. */
  readonly map: number
  /** Bits STEERS_*: the types that any VIP of the service has. */
  readonly types: number
  /** Picked by chance and not by hash, unless a class's rule says otherwise. */
  readonly random: boolean
  /** Over how many sites the clients are divided whose first group is dead. */
  readonly spill: number
  readonly answers: number
  readonly minVips: number
  readonly ttlMaxSeconds: number
  readonly ttlMinSeconds: number
  readonly lastResort: 'all' | 'nodata' | 'values'
  /** For `values`: 4 bytes each, 16 bytes each. */
  readonly resortA: Uint8Array
  readonly resortAAAA: Uint8Array
  readonly siteNames: readonly string[]
  /** Per site: hash of service and site. */
  readonly siteKey: Int32Array
  readonly weight: Int32Array
  readonly capacity: Int32Array
  /** Where the thread counts answers that named this site: index into its counters. Given by the main thread. */
  readonly counter: Int32Array
  /** Per site, and one more: VIPs of site s are firstVip[s] … firstVip[s + 1] − 1, its IPv6 ones from firstV6[s]. */
  readonly firstVip: Int32Array
  readonly firstV6: Int32Array
  /** Per VIP: slot in the HealthTable. Given by the main thread. */
  readonly slot: Int32Array
  /** The service's own word in the HealthTable; −1 = it has none. Given by the main thread. */
  word: number
  readonly eligibility: Eligibility
  /** Per VIP: member name `site/service/address`. */
  readonly members: readonly string[]
  /** Per VIP: hash of site and address, for picking some of a site's VIPs. */
  readonly vipKey: Int32Array
  /** Per VIP: its share where some of a site's VIPs are picked; null = all alike. */
  readonly vipWeight: Int32Array | null
  /** Per VIP: 16 bytes, an IPv4 address in the first four. */
  readonly address: Uint8Array
}

/** Lays a checked service out. Its sites must all be known; slots and counters come later, from the main thread. */
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
    for (const vip of here) if (vip.bytes.length === 4) vips.push({ site, vip })
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
    types: vips.reduce((types, { vip }) => types | (vip.bytes.length === 4 ? STEERS_A : STEERS_AAAA), 0),
    random: service.pick === 'random',
    spill: service.spill,
    answers: service.answers,
    minVips: service.minVips,
    ttlMaxSeconds: service.ttl.maxSeconds,
    ttlMinSeconds: service.ttl.minSeconds,
    lastResort: service.lastResort.kind,
    resortA: concat(resort.filter((bytes) => bytes.length === 4)),
    resortAAAA: concat(resort.filter((bytes) => bytes.length === 16)),
    siteNames: own.map(({ site }) => site),
    siteKey: Int32Array.from(own, ({ site }) => hashText(`${service.name}/${site}`)),
    weight: Int32Array.from(own, ({ weight }) => weight),
    capacity: Int32Array.from(own, ({ site }) => sites.get(site)!.capacity),
    counter: new Int32Array(own.length),
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
 * Health where nobody knows it: every member up, calm and with its full share, but those that the files drain, which are
 * never calm. Gives the services' VIPs their slots in it.
 */
export function allUp(services: readonly SteeredService[], { members }: HealthPlan): HealthTable {
  const drained = new Set(members.filter((member) => member.drained).map(({ name }) => name))
  const words: number[] = []
  for (const { members: vips, slot } of services) {
    for (const [vip, member] of vips.entries()) {
      slot[vip] = words.push(drained.has(member) ? healthWord(DRAINED, 1000, false) : healthWord(UP, 1000, true)) - 1
    }
  }
  return Int32Array.from(words)
}
