/**
 * Reads the search trees of MMDB files into two tries, one for each family. The leaves are numbers that a RecordTable
 * gives to the contents of records: places (place.ts) or AS numbers (asn.ts).
 *
 * IPv6 networks that embed IPv4 addresses are carved out; see place.ts.
 */
import type { Report } from '../problem.ts'
import { type BinaryTrie, leafTrie, TrieBuilder, trieOf } from './binary.ts'
import type { Cache, SharedInts } from './cache.ts'
import { CorruptDatabase, type Database, reportCorrupt, type Section } from './database.ts'
import { FOLDING } from './fold.ts'
import { allocateShared, copyInts, free } from './memory.ts'

/** A trie for each family. */
export interface FamilyTries {
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
}

/** The cache key of what is compiled from databases: the format, and the builds of the databases. */
export const buildsKey = (format: string, databases: readonly Database[]): string =>
  [format, ...databases.map(({ id }) => id)].join(' | ')

/** Writes tries to the cache. `rest`: the arrays to which the leaves are indexes. */
export const cacheTries = (
  cache: Cache,
  key: string,
  { v4, v6 }: FamilyTries,
  rest: readonly (Int32Array | Float64Array)[],
): void => cache.write(key, [v4.nodes, v6.nodes, Int32Array.of(v4.root, v6.root), ...rest])

/** Reads tries from the cache, with the arrays to which their leaves are indexes; undefined if they are not cached. */
export function cachedTries(
  cache: Cache,
  key: string,
): { readonly tries: FamilyTries; readonly rest: readonly SharedInts[] } | undefined {
  const [v4, v6, roots, ...rest] = cache.read(key, allocateShared) ?? []
  if (!v4 || !v6 || !roots) return undefined
  return { tries: { v4: { nodes: v4, root: roots[0]! }, v6: { nodes: v6, root: roots[1]! } }, rest }
}

/** The leaf of networks of which nothing is known. */
export const LEAF_UNKNOWN = 0
/** The leaf of IPv6 networks whose clients fold. */
export const LEAF_FOLDED = 1

/** Gives numbers to the contents of records; 0 and 1 are the two leaves above. */
export interface RecordTable {
  /** The number of a record's content; 0 = it has none of interest. */
  read(data: Section, record: number): number
  /** Whether any record so far had content of interest. A database without any is of the wrong type. */
  readonly tells: boolean
  /** In words: what such a database lacks, and which one to use instead. */
  readonly lacks: string
  readonly hint: string
}

/**
 * Decodes and verifies databases. undefined when one is corrupt or of the wrong type, which is reported. `consumed`:
 * called when a database is not needed any more.
 */
export function readTries(
  databases: readonly Database[],
  table: RecordTable,
  report: Report,
  consumed: (database: Database) => void = () => {},
): FamilyTries | undefined {
  // IPv4 is read from the database that has nothing else, if there is one
  const apart = databases.some(({ ipVersion }) => ipVersion === 4)
  let v4 = leafTrie(LEAF_UNKNOWN)
  let v6 = carve(Int32Array.of(~LEAF_UNKNOWN, ~LEAF_UNKNOWN))
  for (const database of databases) {
    try {
      const tree = readTree(database, table)
      const carved = database.ipVersion === 6 ? carve(tree) : undefined
      const flat = database.ipVersion === 4 || !apart ? ipv4Trie(database, tree) : undefined
      // the memory of one is free before the next is read
      free(tree)
      consumed(database)
      if (carved !== undefined) v6 = shareTrie(carved)
      if (flat !== undefined) v4 = shareTrie(flat)
    } catch (error) {
      if (!(error instanceof CorruptDatabase)) throw error
      reportCorrupt(database.path, error, report)
      return undefined
    }
    if (!table.tells) {
      const message = `this database has ${table.lacks}`
      const place = { file: database.path, line: 0, column: 0 }
      report({ code: 'geo-schema', severity: 'error', ...place, message, hint: table.hint })
      return undefined
    }
  }
  return { v4, v6 }
}

/** Copies a trie to shared memory and frees the memory it was built in. */
function shareTrie({ nodes, root }: BinaryTrie): BinaryTrie {
  const shared = copyInts(allocateShared, nodes)
  free(nodes)
  return { nodes: shared, root }
}

/**
 * Reads the whole search tree: two entries for each node as in BinaryTrie, but in the order of the file; leaves are the
 * table's numbers.
 */
function readTree(database: Database, table: RecordTable): Int32Array {
  const { bytes, nodeCount, recordSize, data } = database
  const tree = new Int32Array(2 * nodeCount)
  const known = new Leaves()
  const length = data.end - data.start
  const entry = (record: number): number => {
    if (record < nodeCount) return record
    if (record === nodeCount) return ~LEAF_UNKNOWN
    const offset = record - nodeCount - 16
    if (offset < 0 || offset >= length)
      throw new CorruptDatabase(`a record of its search tree leads to offset ${offset}`)
    let leaf = known.find(offset)
    if (leaf < 0) known.put(offset, (leaf = table.read(data, data.start + offset)))
    return ~leaf
  }
  const step = recordSize / 4
  const half = recordSize >>> 3
  for (let n = 0, at = 0; n < nodeCount; n++, at += step) {
    let left = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    const from = recordSize === 24 ? at + 3 : at + 4
    let right = (bytes[from]! << 16) | (bytes[from + 1]! << 8) | bytes[from + 2]!
    if (recordSize === 28) {
      left += (bytes[at + 3]! >>> 4) * 2 ** 24
      right += (bytes[at + 3]! & 15) * 2 ** 24
    } else if (recordSize === 32) {
      left = left * 256 + bytes[at + 3]!
      right = right * 256 + bytes[at + half + 3]!
    }
    tree[2 * n] = entry(left)
    tree[2 * n + 1] = entry(right)
  }
  return tree
}

/**
 * A hash table: offset of a record → leaf. It takes a tenth of the memory of an array, and half a second for a city
 * database.
 */
class Leaves {
  /** Open addressing, load ≤ 0.5, two ints for each entry: offset + 1 (0 = free), leaf. */
  #table = new Int32Array(1 << 13)
  #count = 0

  /** The leaf of a record; −1 if it is not in the table yet. */
  find(offset: number): number {
    const at = this.#seek(offset)
    return this.#table[at] === 0 ? -1 : this.#table[at + 1]!
  }

  put(offset: number, leaf: number): void {
    if (4 * ++this.#count > this.#table.length) {
      const before = this.#table
      this.#table = new Int32Array(2 * before.length)
      for (let i = 0; i < before.length; i += 2) if (before[i] !== 0) this.#set(before[i]! - 1, before[i + 1]!)
    }
    this.#set(offset, leaf)
  }

  #set(offset: number, leaf: number): void {
    const at = this.#seek(offset)
    this.#table[at] = offset + 1
    this.#table[at + 1] = leaf
  }

  #seek(offset: number): number {
    const mask = this.#table.length - 1
    const mixed = Math.imul(offset, 0x9e3779b1)
    let at = ((mixed ^ (mixed >>> 15)) << 1) & mask
    while (this.#table[at] !== 0 && this.#table[at] !== offset + 1) at = (at + 2) & mask
    return at
  }
}

/** Copies a subtree in post-order. `bits`: how many bits of the address are left below `entry`. */
function copySubtree(tree: Int32Array, builder: TrieBuilder, entry: number, bits: number): number {
  // in a tree each node is visited once; some sharing of subtrees is accepted, but not endless growth
  let visits = 4 * tree.length
  const copy = (e: number, left: number): number => {
    if (e < 0) return e
    if (left === 0) throw new CorruptDatabase('its search tree is deeper than an address')
    if (--visits < 0) throw new CorruptDatabase('its search tree is no tree')
    const zero = copy(tree[2 * e]!, left - 1)
    return builder.join(zero, copy(tree[2 * e + 1]!, left - 1))
  }
  return copy(entry, bits)
}

/** The IPv4 trie of a file; in an IPv6 file it begins below 96 zero bits. */
function ipv4Trie(database: Database, tree: Int32Array): BinaryTrie {
  let entry = 0
  for (let depth = 0; database.ipVersion === 6 && depth < 96 && entry >= 0; depth++) entry = tree[2 * entry]!
  const builder = new TrieBuilder(tree.length / 2)
  return builder.done(copySubtree(tree, builder, entry, 32))
}

const KEEP = 0
const FOLDS = 1
const IPV4 = 2
const CARVED = trieOf(
  [...FOLDING.map((prefix) => ({ ...prefix, value: FOLDS })), { bytes: new Uint8Array(16), bits: 96, value: IPV4 }],
  KEEP,
)

/** The IPv6 trie of a file, without the networks that fold and without the IPv4 tree below 96 zero bits. */
function carve(tree: Int32Array): BinaryTrie {
  const builder = new TrieBuilder(tree.length / 2)
  const copy = (entry: number, carved: number, bits: number): number => {
    if (carved === ~FOLDS) return ~LEAF_FOLDED
    if (carved === ~IPV4) return ~LEAF_UNKNOWN
    if (carved < 0) return copySubtree(tree, builder, entry, bits)
    const zero = copy(entry < 0 ? entry : tree[2 * entry]!, CARVED.nodes[2 * carved]!, bits - 1)
    return builder.join(zero, copy(entry < 0 ? entry : tree[2 * entry + 1]!, CARVED.nodes[2 * carved + 1]!, bits - 1))
  }
  return builder.done(copy(0, CARVED.root, 128))
}
