/**
 * The names of an Image (image.ts) while it is built: a node for every owner and every name above one, then a number for every
 * name in RDATA. Used by link.ts.
 */
import { randomInt } from 'node:crypto'
import { hashSuffixes, labelStarts, LOWER, MAX_LABELS, MAX_NAME_BYTES, sameBytes, wireBytes } from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { doubled } from '../geo/memory.ts'
import {
  F_APEX,
  find,
  FLAG_BITS,
  N_APEX,
  N_CUT,
  N_FLAGS,
  N_NAME,
  N_NAME_BYTES,
  N_STEERED,
  N_WILD,
  namesIn,
  NODE_INTS,
  slotOf,
  upOf,
} from './image.ts'
import { RECORD_HEAD, recordEnd } from './pack.ts'

/** A random number for each process, so that nobody can write names that collide in the hash table. */
export const SEED = randomInt(-(2 ** 31), 2 ** 31)

/** The Image while it is built: its arrays grow by doubling. */
export interface Draft {
  readonly bytes: Uint8Array
  table: Int32Array
  nodes: Int32Array
  names: number
  /** How many of the names are above all apexes. */
  above: number
  deepest: number
  /** Scratch of ensure(): labelStarts() and hashSuffixes(). */
  readonly starts: Uint8Array
  readonly hashes: Int32Array
}

/** `expected`: how many owner names there are, without ENTs. */
export function makeDraft(bytes: Uint8Array, expected: number): Draft {
  const room = Math.ceil((expected + 64) * 1.1)
  return {
    bytes,
    table: new Int32Array(4 * 2 ** Math.ceil(Math.log2(expected + 64))),
    nodes: new Int32Array(room * NODE_INTS),
    names: 0,
    above: 0,
    deepest: 0,
    starts: new Uint8Array(MAX_LABELS + 1),
    hashes: new Int32Array(MAX_LABELS + 1),
  }
}

/**
 * The node of the owner at bytes[at …]; a new node, with all ENTs above it, if there is none yet. `apex`: the node of
 * the zone's apex, −1 if the owner is itself an apex. Returns −1 when the name belongs to an inner zone.
 */
export function ensure(draft: Draft, at: number, size: number, apex: number): number {
  const { bytes, starts, hashes } = draft
  const labels = labelStarts(bytes, at, starts)
  hashSuffixes(bytes, at, starts, labels, hashes, SEED)
  let node = -1
  let label = 0
  for (; label <= labels; label++) {
    const start = starts[label]!
    node = find(draft, bytes, at + start, size - start, hashes[label]!)
    if (node >= 0) break
  }
  if (apex >= 0 && draft.nodes[node * NODE_INTS + N_APEX] !== apex) return -1
  for (label--; label >= 0; label--) {
    const start = starts[label]!
    node = addNode(draft, node, at + start, size - start, hashes[label]!)
  }
  draft.deepest = Math.max(draft.deepest, labels)
  if (apex < 0) {
    if (draft.nodes[node * NODE_INTS + N_APEX]! < 0) draft.above--
    draft.nodes[node * NODE_INTS + N_APEX] = node
    draft.nodes[node * NODE_INTS + N_FLAGS]! |= F_APEX
  }
  return node
}

function addNode(draft: Draft, parent: number, at: number, size: number, hash: number): number {
  const node = draft.names++
  if (draft.names * NODE_INTS === draft.nodes.length) draft.nodes = doubled(draft.nodes)
  if (draft.names * 4 > draft.table.length) draft.table = rehashed(draft.table)
  const { nodes } = draft
  const first = node * NODE_INTS
  nodes[first + N_NAME] = at
  nodes[first + N_NAME_BYTES] = size
  nodes[first + N_FLAGS] = (parent + 1) << FLAG_BITS
  nodes[first + N_APEX] = parent < 0 ? -1 : nodes[parent * NODE_INTS + N_APEX]!
  nodes[first + N_CUT] = -1
  nodes[first + N_WILD] = -1
  nodes[first + N_STEERED] = -1
  if (nodes[first + N_APEX]! < 0) draft.above++
  insert(draft.table, hash, node + 1)
  return node
}

function insert(table: Int32Array, hash: number, entry: number): void {
  const mask = table.length - 2
  let slot = slotOf(hash, mask)
  while (table[slot + 1] !== 0) slot = (slot + 2) & mask
  table[slot] = hash
  table[slot + 1] = entry
}

function rehashed(table: Int32Array): Int32Array {
  const larger = new Int32Array(table.length * 2)
  for (let slot = 0; slot < table.length; slot += 2) {
    if (table[slot + 1] !== 0) insert(larger, table[slot]!, table[slot + 1]!)
  }
  return larger
}

/** Gives the names in RDATA their numbers, after all nodes are made. */
export class NameNumbers {
  readonly #draft: Draft
  /** The foreign names, in the form of the Image; grows by doubling. */
  foreign: Int32Array = new Int32Array(64 * NODE_INTS)
  count = 0
  refs: Int32Array = new Int32Array(256)
  used = 0
  /** Hash table, open addressing, load ≤ 0.5: hash of the suffix as it is written, index + 1. */
  #table: Int32Array = new Int32Array(256)
  readonly #starts = new Uint8Array(MAX_LABELS + 1)
  readonly #hashes = new Int32Array(MAX_LABELS + 1)
  readonly #lower = new Uint8Array(MAX_NAME_BYTES)
  readonly #lowerHashes = new Int32Array(MAX_LABELS + 1)

  constructor(draft: Draft) {
    this.#draft = draft
  }

  /** Puts the numbers of all names of an RRset, whose records begin at `at`, into `refs`; returns the first index. */
  ofSet(type: number, count: number, at: number): number {
    const { bytes } = this.#draft
    const names = namesIn(type)
    const first = this.used
    while (first + count * names > this.refs.length) this.refs = doubled(this.refs)
    for (let record = at, i = 0; i < count; i++) {
      let name = record + RECORD_HEAD + (type === TYPE.MX ? 2 : 0)
      for (let n = 0; n < names; n++) {
        const size = wireBytes(bytes, name)
        this.refs[this.used++] = this.#of(name, size)
        name += size
      }
      record = recordEnd(bytes, record)
    }
    return first
  }

  /** The number of the name at bytes[at …]; new ones for it and its suffixes where they have none yet. */
  #of(at: number, size: number): number {
    const draft = this.#draft
    const { bytes } = draft
    const [starts, hashes, lower, lowerHashes] = [this.#starts, this.#hashes, this.#lower, this.#lowerHashes]
    const labels = labelStarts(bytes, at, starts)
    hashSuffixes(bytes, at, starts, labels, hashes, SEED)
    let label = 0
    let number = -1
    for (; label <= labels; label++) {
      number = find(draft, bytes, at + starts[label]!, size - starts[label]!, hashes[label]!)
      if (number >= 0) break
    }
    if (label === 0) return number
    for (let i = 0; i < size; i++) lower[i] = LOWER[bytes[at + i]!]!
    hashSuffixes(lower, 0, starts, labels, lowerHashes, SEED)
    let closest = number
    for (label--; label >= 0; label--) {
      const start = starts[label]!
      const node = find(draft, lower, start, size - start, lowerHashes[label]!)
      if (node >= 0) closest = node
      number = this.#child(
        number,
        at + start,
        size - start,
        hashes[label]!,
        node >= 0 ? node : ~closest,
        lowerHashes[label]!,
      )
    }
    return number
  }

  /** The number of the foreign name at bytes[at …] whose parent has the number `up`; a new one if it has none yet. */
  #child(up: number, at: number, size: number, hash: number, node: number, lowerHash: number): number {
    const { bytes, names } = this.#draft
    if (this.count * 4 > this.#table.length) this.#table = rehashed(this.#table)
    const mask = this.#table.length - 2
    for (let slot = slotOf(hash, mask); this.#table[slot + 1] !== 0; slot = (slot + 2) & mask) {
      const index = this.#table[slot + 1]! - 1
      const here = index * NODE_INTS
      if (this.#table[slot] !== hash || upOf(this.foreign, index) !== up) continue
      if (sameBytes(bytes, this.foreign[here + N_NAME]!, bytes, at, bytes[at]! + 1)) return names + 1 + index
    }
    const here = this.count * NODE_INTS
    if (here === this.foreign.length) this.foreign = doubled(this.foreign)
    this.foreign.set([at, size, (up + 1) << FLAG_BITS, 0, node, lowerHash], here)
    insert(this.#table, hash, ++this.count)
    return names + this.count
  }
}
