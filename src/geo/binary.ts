/**
 * A prefix trie while it is compiled: a binary trie in which equal sibling leaves are merged. It is made from a
 * database (place.ts, asn.ts) or from prefixes, overlaid by merge(), and turned into the form for lookups (trie.ts) by
 * layOut().
 *
 *   nodes[2n], nodes[2n + 1]   entries of node n for bit 0 and bit 1
 *   entry ≥ 0                  number of a node
 *   entry < 0                  a leaf: ~value
 *
 * Nodes are in post-order: the subtree of a node is the nodes right before it, so a pass over it is one forward loop.
 */
import { type Allocate, doubled, shareInts } from './memory.ts'
import { concat, orderOf, type PackedPrefixes, putWords } from './prefixes.ts'
import type { Trie } from './trie.ts'

/** A compiled binary trie; see above for its form. */
export interface BinaryTrie {
  readonly nodes: Int32Array
  /** The entry of the empty prefix, which contains all addresses. */
  readonly root: number
}

/** A trie of one leaf. */
export const leafTrie = (value: number): BinaryTrie => ({ nodes: new Int32Array(0), root: ~value })

/** Builds a trie: call join() in post-order, then done(). */
export class TrieBuilder {
  #nodes: Int32Array
  #count = 0

  /** `room`: the expected number of nodes; the builder grows beyond it. */
  constructor(room = 1024) {
    this.#nodes = new Int32Array(2 * Math.max(1, room))
  }

  /** The entry above two entries: a new node, unless both are the same leaf. */
  join(left: number, right: number): number {
    if (left < 0 && left === right) return left
    const at = 2 * this.#count
    if (at === this.#nodes.length) this.#nodes = doubled(this.#nodes)
    this.#nodes[at] = left
    this.#nodes[at + 1] = right
    return this.#count++
  }

  done(root: number): BinaryTrie {
    return { nodes: this.#nodes.subarray(0, 2 * this.#count), root }
  }
}

/** A prefix and its value. */
export interface PrefixValue {
  /** Network order, zero behind `bits`. */
  readonly bytes: Uint8Array
  readonly bits: number
  readonly value: number
}

/**
 * The trie of prefixes of one family: an address has the value of the longest prefix that contains it, of equal
 * prefixes that of the first; `none` if there is none.
 */
export function trieOf(prefixes: readonly PrefixValue[], none: number): BinaryTrie {
  const runs = prefixes.map(({ bytes, bits, value }) => {
    const words = new Uint32Array(bytes.length / 4)
    putWords(words, 0, bytes)
    return { words, bits: Uint8Array.of(bits), value }
  })
  return trieOfRuns(runs, none)
}

/** Prefixes that share a value. */
export interface PrefixRun extends PackedPrefixes {
  readonly value: number
}

/** As trieOf(), for runs of many prefixes with one value. */
export function trieOfRuns(runs: readonly PrefixRun[], none: number): BinaryTrie {
  const all = concat(runs)
  const { words, bits } = all
  const width = words.length / bits.length
  const values = new Int32Array(bits.length)
  let at = 0
  for (const run of runs) values.fill(run.value, at, (at += run.bits.length))
  const order = orderOf(all)
  const bitOf = (i: number, bit: number): number => (words[order[i]! * width + (bit >>> 5)]! >>> (31 - (bit & 31))) & 1
  const builder = new TrieBuilder()
  // all of order[from … to) share their first `depth` bits; prefixes of this length come first
  const build = (from: number, to: number, depth: number, inherited: number): number => {
    let first = from
    while (first < to && bits[order[first]!] === depth) first++
    const value = first > from ? values[order[from]!]! : inherited
    if (first === to) return ~value
    let middle = first
    while (middle < to && bitOf(middle, depth) === 0) middle++
    return builder.join(build(first, middle, depth + 1, value), build(middle, to, depth + 1, value))
  }
  return builder.done(build(0, order.length, 0, none))
}

/**
 * The trie whose value at each address is combine(a's value, b's value). Quick where b is one leaf over much of a: that
 * part of a is one loop.
 */
export function merge(a: BinaryTrie, b: BinaryTrie, combine: (a: number, b: number) => number): BinaryTrie {
  // each node of the result stands where a or b has one
  const builder = new TrieBuilder(a.nodes.length / 2 + b.nodes.length / 2)
  const moved = new Int32Array(a.nodes.length / 2)
  const visit = (x: number, y: number): number => {
    if (y < 0) return x < 0 ? ~combine(~x, ~y) : relabel(a, x, ~y, combine, moved, builder)
    const left = visit(x < 0 ? x : a.nodes[2 * x]!, b.nodes[2 * y]!)
    return builder.join(left, visit(x < 0 ? x : a.nodes[2 * x + 1]!, b.nodes[2 * y + 1]!))
  }
  return builder.done(visit(a.root, b.root))
}

/** Appends the subtree of node `root`, each value combined with y. `moved`: scratch, the new entry of each old node. */
function relabel(
  trie: BinaryTrie,
  root: number,
  y: number,
  combine: (a: number, b: number) => number,
  moved: Int32Array,
  builder: TrieBuilder,
): number {
  const nodes = trie.nodes
  for (let n = firstNode(trie, root); n <= root; n++) {
    const left = nodes[2 * n]!
    const right = nodes[2 * n + 1]!
    moved[n] = builder.join(
      left < 0 ? ~combine(~left, y) : moved[left]!,
      right < 0 ? ~combine(~right, y) : moved[right]!,
    )
  }
  return moved[root]!
}

/** The lowest-numbered node of the subtree of node `root`. */
function firstNode(trie: BinaryTrie, root: number): number {
  for (let n = root; ;) {
    const left = trie.nodes[2 * n]!
    const next = left < 0 ? trie.nodes[2 * n + 1]! : left
    if (next < 0) return n
    n = next
  }
}

const TABLE_BITS = 16
const NODE_BITS = 4
const NODE_ENTRIES = 1 << NODE_BITS

/**
 * Turns a trie into the form for lookups (see Trie). `valueOf`: maps the value of a leaf to the value that lookups
 * give, below 2^23. Parents come after their children, so both passes go backwards from the root.
 */
export function layOut({ nodes, root }: BinaryTrie, allocate: Allocate, valueOf: (value: number) => number): Trie {
  const depths = new Uint8Array(nodes.length / 2)
  let entries = 1 << TABLE_BITS
  for (let n = root; n >= 0; n--) {
    const depth = depths[n]!
    if (opensNode(depth)) entries += NODE_ENTRIES
    for (let i = 2 * n; i <= 2 * n + 1; i++) if (nodes[i]! >= 0) depths[nodes[i]!] = depth + 1
  }
  const out = shareInts(allocate, entries)
  if (root < 0) return out.fill(~(valueOf(~root) * 256))
  // where in `out` the entries begin that a binary node decides
  const begins = new Int32Array(depths.length)
  let next = 1 << TABLE_BITS
  for (let n = root; n >= 0; n--) {
    const depth = depths[n]! + 1
    let at = begins[n]!
    if (opensNode(depth - 1)) {
      out[at] = next
      at = next
      next += NODE_ENTRIES
    }
    const half = depth <= TABLE_BITS ? 1 << (TABLE_BITS - depth) : 1 << (-depth & (NODE_BITS - 1))
    for (let i = 2 * n; i <= 2 * n + 1; i++) {
      const entry = nodes[i]!
      const end = at + half
      if (entry >= 0) begins[entry] = at
      else for (const leaf = ~(valueOf(~entry) * 256 + depth); at < end; at++) out[at] = leaf
      at = end
    }
  }
  return out
}

const opensNode = (depth: number): boolean => depth >= TABLE_BITS && depth % NODE_BITS === 0

/** Looks an address up in the binary form. Returns value × 256 + depth, as walk() does. */
export function descend(trie: BinaryTrie, bytes: Uint8Array, at = 0): number {
  let entry = trie.root
  let depth = 0
  for (; entry >= 0; depth++) entry = trie.nodes[2 * entry + ((bytes[at + (depth >> 3)]! >> (7 - (depth & 7))) & 1)]!
  return ~entry * 256 + depth
}
