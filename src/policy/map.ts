/**
 * A client map: which groups of sites a client's network may be sent to, in order. One for each distinct (rules, order,
 * spread, candidates, biases, set of sites); compiled off the main thread, cached on disk, read by select().
 *
 * Sites are numbered by their names' sort order, so services with the same sites share a map whatever their files' order.
 */
import type { Trie } from '../geo/trie.ts'

export interface ClientMap {
  /** Leaves are class numbers. CLASS_UNPLACED: the database has no place for the network. */
  readonly v4: Trie
  readonly v6: Trie
  /** Class → first int of its entry in `groups`. */
  readonly classes: Int32Array
  /**
   * Entry of a class: rule number + 1 (0 = no rule), bits (FENCE, PICK_*), number of groups, then each group: its size and its
   * sites. A negative size marks the tail: −size sites, divided by capacity and not by weight.
   */
  readonly groups: Int32Array
}

/** The class of clients without a place, and of those folding to an IPv4 address they don't name: see docs/adr/0004. */
export const CLASS_UNPLACED = 0

export const FENCE = 1
/** The class's rule says how to pick, whatever the service says. */
export const PICK_HASH = 2
export const PICK_RANDOM = 4

/** What a class stands for, for `explain` and tests. */
export interface ClassOrder {
  /** Index of the service's rule that decided; −1 = none. */
  readonly rule: number
  readonly fence: boolean
  /** The rule's own; undefined = the service's. */
  readonly pick: 'hash' | 'random' | undefined
  /** Site numbers, in the order of preference. */
  readonly groups: readonly (readonly number[])[]
  /** The last group is the tail: divided by capacity. */
  readonly tail: boolean
}

export function groupsOf(map: ClientMap, number: number): ClassOrder {
  let at = map.classes[number]!
  const rule = map.groups[at++]! - 1
  const flags = map.groups[at++]!
  let left = map.groups[at++]!
  let tail = false
  const groups: number[][] = []
  for (; left > 0; left--) {
    const size = map.groups[at++]!
    tail = size < 0
    groups.push([...map.groups.subarray(at, at + Math.abs(size))])
    at += Math.abs(size)
  }
  const pick = (flags & PICK_HASH) !== 0 ? 'hash' : (flags & PICK_RANDOM) !== 0 ? 'random' : undefined
  return { rule, fence: (flags & FENCE) !== 0, pick, groups, tail }
}
