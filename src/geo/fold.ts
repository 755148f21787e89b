/**
 * Folding: IPv6 addresses that embed an IPv4 address. The client behind such an address is that IPv4 host, so it is
 * looked up by the IPv4 address. The IPv6 networks are carved out of the place trie; see place.ts.
 *
 *   ::ffff:0:0/96    IPv4-mapped (RFC 4291 §2.5.5.2)    address in bits  96–127
 *   64:ff9b::/96     NAT64 (RFC 6052 §2.1)              address in bits  96–127
 *   2002::/16        6to4 (RFC 3056 §2)                 address in bits  16–47
 *   2001::/32        Teredo (RFC 4380 §4)               client in bits 96–127, every bit flipped
 */
import type { Prefix } from '../dns/address.ts'

/** The fewest bits of the IPv4 address that must be known: fewer say nothing about the client's place. */
export const COVERED = 8

/** The offset for Teredo: min(128, offset + depth) is then 128, because the scope must be the whole address. */
export const TEREDO = 128

/** The IPv6 networks above. */
export const FOLDING: readonly { readonly bytes: Uint8Array; readonly bits: number }[] = [
  { bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0), bits: 96 },
  { bytes: Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), bits: 96 },
  { bytes: Uint8Array.of(0x20, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), bits: 16 },
  { bytes: Uint8Array.of(0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), bits: 32 },
]

/**
 * Folds the IPv6 address at `bytes[at…]`, whose first `sourceBits` bits are known (128: all) and whose other bits are
 * zero. Returns −1 when it embeds no IPv4 address, or when fewer than 8 bits of that are known. Else writes the IPv4
 * address, with unknown bits zero, to `out[0…3]`, and returns the offset, in bits, to add to the depth of the IPv4
 * lookup: the ECS scope of the IPv6 address is min(128, offset + depth). Allocates nothing.
 */
export function foldToIPv4(bytes: Uint8Array, at: number, sourceBits: number, out: Uint8Array): number {
  const first = (bytes[at]! << 8) | bytes[at + 1]!
  if (first === 0x2002) {
    if (sourceBits < 16 + COVERED) return -1
    return copyOut(bytes, at + 2, out, 16)
  }
  if (first !== 0 && first !== 0x64 && first !== 0x2001) return -1
  if (sourceBits < 96 + COVERED) return -1
  const second = (bytes[at + 2]! << 8) | bytes[at + 3]!
  if (first === 0x2001) {
    if (second !== 0) return -1
    for (let i = 0; i < 4; i++) {
      const known = sourceBits - 96 - i * 8
      out[i] = (bytes[at + 12 + i]! ^ 255) & (known >= 8 ? 255 : known <= 0 ? 0 : 0xff00 >> known)
    }
    return TEREDO
  }
  for (let i = at + 4; i < at + 10; i++) if (bytes[i] !== 0) return -1
  const last = (bytes[at + 10]! << 8) | bytes[at + 11]!
  const folds = first === 0 ? second === 0 && last === 0xffff : second === 0xff9b && last === 0
  return folds ? copyOut(bytes, at + 12, out, 96) : -1
}

function copyOut(bytes: Uint8Array, from: number, out: Uint8Array, offset: number): number {
  out[0] = bytes[from]!
  out[1] = bytes[from + 1]!
  out[2] = bytes[from + 2]!
  out[3] = bytes[from + 3]!
  return offset
}

/** The IPv4 prefix to which the clients of an IPv6 prefix fold; the prefix itself if they do not. */
export function foldPrefix(prefix: Prefix): Prefix {
  if (prefix.family === 4) return prefix
  const bytes = new Uint8Array(4)
  const offset = foldToIPv4(prefix.bytes, 0, prefix.bits, bytes)
  if (offset < 0) return prefix
  return { family: 4, bytes, bits: Math.min(32, prefix.bits - (offset === TEREDO ? 96 : offset)) }
}
