/**
 * The client of a query: its address (from ECS, else the resolver's), its class in a client map, and the ECS scope of
 * the answer. An IPv6 address that embeds an IPv4 address (geo/fold.ts) is looked up as that IPv4 address.
 */
import { COVERED, foldToIPv4, TEREDO } from '../geo/fold.ts'
import { leafDepth, leafValue, type Trie, walk } from '../geo/trie.ts'
import type { ClientMap } from '../policy/map.ts'
import { HASH_BITS_V4, HASH_BITS_V6 } from '../policy/network.ts'

/** What was found for the client of one query: one object for each thread, used again for every query. */
export interface Client {
  /** 16 bytes: the address that was looked up, after folding. */
  readonly bytes: Uint8Array
  family: 4 | 6
  class: number
  /** Length, in bits of the query's address family, of the widest prefix whose clients all have this class. */
  scope: number
  /** Bits in front of the IPv4 address that the client's IPv6 address embeds; 0 when it embeds none. */
  offset: number
}

/** A Client to be filled by locate(). */
export const makeClient = (): Client => ({ bytes: new Uint8Array(16), family: 4, class: 0, scope: 0, offset: 0 })

/**
 * The ECS scope of an answer, in bits (RFC 7871 §7.2.1): the depth of the lookup. Where a hash of the client's network
 * chose the site, the scope is no wider than that network.
 */
export function scopeOf(client: Client, hashed: boolean): number {
  if (!hashed) return client.scope
  const least = client.family === 4 ? client.offset + HASH_BITS_V4 : HASH_BITS_V6
  return Math.min(Math.max(client.scope, least), 128)
}

/**
 * Looks an address up in a client map and fills `client`. `bits`: how many bits of the address are known; the others
 * are zero. An address that embeds an IPv4 address is folded first.
 */
export function locate(
  map: ClientMap,
  family: 4 | 6,
  bytes: Uint8Array,
  at: number,
  bits: number,
  client: Client,
): void {
  const size = family === 4 ? 4 : 16
  for (let i = 0; i < size; i++) client.bytes[i] = bytes[at + i]!
  client.family = family
  client.offset = 0
  if (family === 6) {
    const offset = foldToIPv4(client.bytes, 0, bits, client.bytes)
    if (offset >= 0) {
      client.family = 4
      client.offset = offset
    }
  }
  const leaf = walk(client.family === 4 ? map.v4 : map.v6, client.bytes, 0)
  client.class = leafValue(leaf)
  client.scope = Math.min(client.offset + leafDepth(leaf), 128)
  if (family === 6 && client.offset === 0 && bits < 128) {
    // too few bits are known to fold, but longer prefixes in this network do fold: the answer must not be used for
    // those
    const offset = foldToIPv4(client.bytes, 0, 128, ignored)
    if (offset >= 0) client.scope = Math.max(client.scope, (offset === TEREDO ? 96 : offset) + COVERED)
  }
}

const ignored = new Uint8Array(4)

/**
 * The class of a resolver's place, for its clients without a place of their own: coordinates and geo rules. Rules by
 * subnet and AS number speak of the client alone, so those that match the resolver are passed over. The address is
 * whole.
 */
export function borrowedClass(map: ClientMap, family: 4 | 6, bytes: Uint8Array, at: number): number {
  if (family === 4) return withoutRules(map.borrowedV4, map.v4, bytes, at)
  if (foldToIPv4(bytes, at, 128, ignored) >= 0) return withoutRules(map.borrowedV4, map.v4, ignored, 0)
  return withoutRules(map.borrowedV6, map.v6, bytes, at)
}

function withoutRules(borrowed: Trie | null, own: Trie, bytes: Uint8Array, at: number): number {
  const found = borrowed === null ? 0 : leafValue(walk(borrowed, bytes, at))
  return found > 0 ? found - 1 : leafValue(walk(own, bytes, at))
}
