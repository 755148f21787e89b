/**
 * Who asks, and what that makes of the ECS scope: the client's address (ECS or the resolver's) folded to the IPv4 address
 * that it embeds, its class in a client map, and the prefix that the answer is good for.
 */
import { COVERED, foldToIPv4, TEREDO } from '../geo/fold.ts'
import { leafDepth, leafValue, walk } from '../geo/trie.ts'
import type { ClientMap } from '../policy/map.ts'
import { HASH_BITS_V4, HASH_BITS_V6 } from '../policy/network.ts'

/** One reused object. */
export interface Client {
  /** 16 bytes: the address that was looked up, behind folding. */
  readonly bytes: Uint8Array
  family: 4 | 6
  class: number
  /** Widest prefix, in bits of the family that was asked in, in which everybody gets this class. */
  scope: number
  /** Bits in front of an IPv4 address that the client's IPv6 address embeds; 0 when it does not. */
  offset: number
}

export const makeClient = (): Client => ({ bytes: new Uint8Array(16), family: 4, class: 0, scope: 0, offset: 0 })

/** RFC 7871 §7.2.1: the depth of the walk, and where a hash chose, no wider than what it hashed. */
export function scopeOf(client: Client, hashed: boolean): number {
  if (!hashed) return client.scope
  const least = client.family === 4 ? client.offset + HASH_BITS_V4 : HASH_BITS_V6
  return Math.min(Math.max(client.scope, least), 128)
}

/** Finds the class of an address of which `bits` are known (the others zero), folding what embeds an IPv4 address. */
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
    // too few bits to fold, but longer prefixes in here do: not good for them
    const offset = foldToIPv4(client.bytes, 0, 128, ignored)
    if (offset >= 0) client.scope = Math.max(client.scope, (offset === TEREDO ? 96 : offset) + COVERED)
  }
}

const ignored = new Uint8Array(4)

/** Class of a whole address; for the resolver of a client without a place. */
export function classOf(map: ClientMap, family: 4 | 6, bytes: Uint8Array, at: number): number {
  if (family === 4) return leafValue(walk(map.v4, bytes, at))
  if (foldToIPv4(bytes, at, 128, ignored) >= 0) return leafValue(walk(map.v4, ignored, 0))
  return leafValue(walk(map.v6, bytes, at))
}
