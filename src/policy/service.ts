/**
 * A steered service as the answering threads see it: small flat tables, posted with the World. Sites are numbered by
 * their names' sort order (as in the service's ClientMap); VIPs are numbered through, a site's IPv4 before its IPv6.
 */

export const TYPE_A = 1
export const TYPE_AAAA = 2

export interface SteeredService {
  readonly name: string
  /** Hash of the name: the same on every node. */
  readonly key: number
  /** Index into World.maps. */
  readonly map: number
  /** Bits TYPE_*: the types that any VIP of the service has. */
  readonly types: number
  readonly random: boolean
  readonly answers: number
  readonly minVips: number
  readonly ttlMaxSeconds: number
  readonly ttlMinSeconds: number
  readonly lastResort: 'all' | 'nodata' | 'values'
  /** For `values`: 4 bytes each, 16 bytes each. */
  readonly resortA: Uint8Array
  readonly resortAAAA: Uint8Array
  readonly siteNames: readonly string[]
  /** Per site. */
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
  /** Per VIP: member name `site/service/address`. */
  readonly members: readonly string[]
  /** Per VIP: 16 bytes, an IPv4 address in the first four. */
  readonly address: Uint8Array
}
