/**
 * Hashes that steer clients. Every node must come to the same numbers, so only names and addresses go in: no seed, no
 * index, no order of files. 32 bits, integer operations alone.
 */
import { mix } from '../hash.ts'

/** Bits of a client's address that steering by hash looks at. Whatever a hash decided is good for this prefix only. */
export const HASH_BITS_V4 = 24
export const HASH_BITS_V6 = 56

/** Hash of the /24 (family 4) or /56 (family 6) that the address at `bytes[at…]` lies in. */
export function networkKey(family: 4 | 6, bytes: Uint8Array, at: number): number {
  const first = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8)
  if (family === 4) return mix(first)
  const second = (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8)
  return mix(mix(first | bytes[at + 3]!) ^ (second | 6))
}
