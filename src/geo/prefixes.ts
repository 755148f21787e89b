/**
 * Packed prefixes, for lists of hundreds of thousands: 5 bytes for an IPv4 prefix, 17 for an IPv6 prefix. Made from
 * files of subnets (load/subnets.ts); binary.ts makes tries of them.
 */
import { createHash } from 'node:crypto'
import type { Prefix } from '../dns/address.ts'
import { foldPrefix } from './fold.ts'

/** Prefixes of one family, laid end to end. */
export interface PackedPrefixes {
  /** Each prefix's address as one or four 32-bit numbers, zero behind its bits. */
  readonly words: Uint32Array
  readonly bits: Uint8Array
}

/** A set of prefixes: folded (fold.ts), sorted by address and then length, each once. */
export interface PrefixTable {
  readonly v4: PackedPrefixes
  readonly v6: PackedPrefixes
  /** Equal sets have equal hashes. */
  readonly hash: string
}

/** Collects prefixes in any order. */
export class PrefixTableBuilder {
  readonly #v4 = new PackedBuilder(4)
  readonly #v6 = new PackedBuilder(6)

  add(prefix: Prefix): void {
    const folded = foldPrefix(prefix)
    if (folded.family === 4) this.#v4.add(folded)
    else this.#v6.add(folded)
  }

  done(): PrefixTable {
    const [v4, v6] = [this.#v4.sorted(), this.#v6.sorted()]
    const hash = createHash('sha256').update(`${v4.bits.length}`)
    for (const { words, bits } of [v4, v6]) hash.update(words).update(bits)
    return { v4, v6, hash: hash.digest('hex').slice(0, 32) }
  }
}

class PackedBuilder {
  readonly #width: number
  #words: Uint32Array
  #bits: Uint8Array = new Uint8Array(64)
  #count = 0

  constructor(family: 4 | 6) {
    this.#width = family === 4 ? 1 : 4
    this.#words = new Uint32Array(this.#bits.length * this.#width)
  }

  add({ bytes, bits }: Prefix): void {
    if (this.#count === this.#bits.length) {
      const { words, bits: longer } = concat([this.#packed(), this.#packed()])
      this.#words = words
      this.#bits = longer
    }
    this.#bits[this.#count] = bits
    putWords(this.#words, this.#count++ * this.#width, bytes)
  }

  sorted(): PackedPrefixes {
    const all = this.#packed()
    const compare = comparison(all)
    const order = orderOf(all)
    const kept = order.filter((i, n) => n === 0 || compare(order[n - 1]!, i) !== 0)
    const words = new Uint32Array(kept.length * this.#width)
    for (const [n, i] of kept.entries()) {
      words.set(all.words.subarray(i * this.#width, (i + 1) * this.#width), n * this.#width)
    }
    return { words, bits: Uint8Array.from(kept, (i) => all.bits[i]!) }
  }

  #packed(): PackedPrefixes {
    return { words: this.#words.subarray(0, this.#count * this.#width), bits: this.#bits.subarray(0, this.#count) }
  }
}

/** Packs the prefixes of one family, after folding. */
export function pack(prefixes: readonly Prefix[], family: 4 | 6): PackedPrefixes {
  const own = prefixes.map(foldPrefix).filter((prefix) => prefix.family === family)
  const words = new Uint32Array(own.length * (family === 4 ? 1 : 4))
  for (const [i, { bytes }] of own.entries()) putWords(words, (i * words.length) / own.length, bytes)
  return { words, bits: Uint8Array.from(own, ({ bits }) => bits) }
}

/** The address of prefix i, in network order. */
export function addressOf({ words, bits }: PackedPrefixes, i: number): Uint8Array {
  const width = words.length / bits.length
  const bytes = new Uint8Array(4 * width)
  const view = new DataView(bytes.buffer)
  for (let w = 0; w < width; w++) view.setUint32(4 * w, words[i * width + w]!)
  return bytes
}

/** Writes the words of an address of 4 or 16 bytes to words[at…]. */
export function putWords(words: Uint32Array, at: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i += 4) {
    words[at + i / 4] = (bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!
  }
}

/** Joins packed prefixes of one family. */
export function concat(parts: readonly PackedPrefixes[]): PackedPrefixes {
  const words = new Uint32Array(parts.reduce((sum, part) => sum + part.words.length, 0))
  const bits = new Uint8Array(parts.reduce((sum, part) => sum + part.bits.length, 0))
  let at = 0
  let wordsAt = 0
  for (const part of parts) {
    words.set(part.words, wordsAt)
    bits.set(part.bits, at)
    at += part.bits.length
    wordsAt += part.words.length
  }
  return { words, bits }
}

/** The numbers of the prefixes, sorted by address and then length. The sort is stable, and fast for sorted input. */
export const orderOf = (prefixes: PackedPrefixes): number[] =>
  Array.from(prefixes.bits, (_, i) => i).toSorted(comparison(prefixes))

function comparison({ words, bits }: PackedPrefixes): (a: number, b: number) => number {
  const width = words.length / bits.length
  return (a, b) => {
    for (let i = 0; i < width; i++) {
      const x = words[a * width + i]!
      const y = words[b * width + i]!
      if (x !== y) return x - y
    }
    return bits[a]! - bits[b]!
  }
}
