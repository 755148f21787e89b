/**
 * The hash of a client's network, by which sites are picked. All nodes must compute the same number, so nothing goes in
 * but the address. A client keeps its site as long as its /24 or /56 stays the same.
 */
import { mix } from '../hash.ts'

/** Bits of the client's address that are hashed: an answer that a hash decided is valid for this prefix only. */
export const HASH_BITS_V4 = 24
export const HASH_BITS_V6 = 56

/** Hash, 32 bits, of the /24 (family 4) or /56 (family 6) of the address at `bytes[at…]`. */
export function networkKey(family: 4 | 6, bytes: Uint8Array, at: number): number {
  const first = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8)
  if (family === 4) return mix(first)
  const second = (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8)
  return mix(mix(first | bytes[at + 3]!) ^ (second | 6))
}
