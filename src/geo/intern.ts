/**
 * Interning of records of ints, for places (place.ts), AS numbers (asn.ts) and the classes of client maps
 * (policy/compile.ts).
 */
import { doubled } from './memory.ts'

/**
 * Gives distinct records of ints consecutive numbers: places by their fields, classes of a client map by their groups.
 */
export class Interner {
  /** The records, one after the other: record i is ints[starts[i]] … ints[starts[i + 1] − 1]. */
  ints = new Int32Array(1 << 12)
  starts = new Int32Array(1 << 8)
  count = 0
  /** Hash table, open addressing, load ≤ 0.5: record + 1, 0 = free. */
  #table = new Int32Array(1 << 9)

  /** The number of the record in the first `length` ints; a new one if it is new. */
  add(record: Int32Array, length: number): number {
    const mask = this.#table.length - 1
    let slot = hash(record, 0, length) & mask
    for (let found = this.#table[slot]!; found !== 0; found = this.#table[slot]!) {
      if (this.#equals(found - 1, record, length)) return found - 1
      slot = (slot + 1) & mask
    }
    const at = this.starts[this.count]!
    while (at + length > this.ints.length) this.ints = doubled(this.ints)
    this.ints.set(record.subarray(0, length), at)
    if (this.count + 2 > this.starts.length) this.starts = doubled(this.starts)
    this.starts[++this.count] = at + length
    this.#table[slot] = this.count
    if (2 * this.count > this.#table.length) this.#grow()
    return this.count - 1
  }

  #equals(index: number, record: Int32Array, length: number): boolean {
    const at = this.starts[index]!
    if (this.starts[index + 1]! - at !== length) return false
    for (let i = 0; i < length; i++) if (this.ints[at + i] !== record[i]) return false
    return true
  }

  #grow(): void {
    const table = new Int32Array(2 * this.#table.length)
    for (let i = 0; i < this.count; i++) {
      let slot = hash(this.ints, this.starts[i]!, this.starts[i + 1]!) & (table.length - 1)
      while (table[slot] !== 0) slot = (slot + 1) & (table.length - 1)
      table[slot] = i + 1
    }
    this.#table = table
  }
}

function hash(ints: Int32Array, from: number, to: number): number {
  let h = 0
  for (let i = from; i < to; i++) {
    h = Math.imul(h ^ ints[i]!, 0x85ebca6b)
    h ^= h >>> 15
  }
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}
