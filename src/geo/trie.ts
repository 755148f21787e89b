/**
 * A prefix trie in the form for lookups on the query path: a table for the first 16 bits, then nodes of 4 bits. Made by
 * layOut() (binary.ts).
 *
 *   trie[0 … 65535]      by the first two bytes of the address
 *   trie[node … node+15] by each further half byte
 *   entry ≥ 0            index of the next node's first entry
 *   entry < 0            a leaf: ~(value × 256 + depth); depth = bits of the widest prefix that has this value
 *
 * The depth is exact in bits, whatever the width of nodes, so it is the ECS scope. IPv4 and IPv6 have the same form: an
 * address is bytes in network order, zero behind its source prefix. Values are below 2^23.
 */
export type Trie = Int32Array

/** Looks up the address at `bytes[at…]`. Returns its leaf: value × 256 + depth. */
export function walk(trie: Trie, bytes: Uint8Array, at: number): number {
  let entry = trie[(bytes[at]! << 8) | bytes[at + 1]!]!
  let i = at + 2
  while (entry >= 0) {
    const byte = bytes[i++]!
    entry = trie[entry + (byte >>> 4)]!
    if (entry < 0) break
    entry = trie[entry + (byte & 15)]!
  }
  return ~entry
}

/** The value of a leaf that walk() returned. */
export const leafValue = (leaf: number): number => leaf >>> 8

/** The depth of a leaf that walk() returned, in bits: 0–128. */
export const leafDepth = (leaf: number): number => leaf & 255
