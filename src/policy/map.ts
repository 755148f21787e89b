/**
 * A client map: a client's network → its class, and a class → groups of sites in the order of preference. Services with
 * the same rules, order, spread, candidates, biases and sites share one. Compiled off the main thread (compile.ts),
 * cached on disk, read by select().
 *
 * Sites are numbered in the sort order of their names, so the order of the files changes nothing.
 */
import type { Trie } from '../geo/trie.ts'

/** Tries and tables in shared memory, made once, posted to the threads with the World. */
export interface ClientMap {
  /** Tries whose leaves are class numbers. CLASS_UNPLACED: the database has no place for the network. */
  readonly v4: Trie
  readonly v6: Trie
  /**
   * For resolvers, whose clients without a place borrow the resolver's place but no rule by subnet or AS number. Where
   * such a rule matches, the leaf is 1 + the class of the place without it; elsewhere 0. null: no such rule in the
   * family.
   */
  readonly borrowedV4: Trie | null
  readonly borrowedV6: Trie | null
  /** By class: the index of its entry's first int in `groups`. */
  readonly classes: Int32Array
  /**
   * An entry for each class: rule number + 1 (0 = no rule), bits (FENCE, PICK_*), number of groups, then for each group
   * its size and its site numbers. A negative size marks the tail, the sites behind the candidates: −size sites that
   * share clients by capacity instead of weight.
   */
  readonly groups: Int32Array
}

/**
 * The class of clients without a place, and of IPv6 clients that fold to IPv4 but send too few bits; see docs/adr/0004.
 */
export const CLASS_UNPLACED = 0

/** The class's clients get its own sites and no others (`only`). */
export const FENCE = 1
/** The class's rule says how to pick, in place of the service. */
export const PICK_HASH = 2
export const PICK_RANDOM = 4

/** The entry of a class, decoded, for `explain` and tests. */
export interface ClassOrder {
  /** Index of the rule that matched; −1 = none. */
  readonly rule: number
  readonly fence: boolean
  /** The rule's own; undefined = the service's. */
  readonly pick: 'hash' | 'random' | undefined
  /** Site numbers, in the order of preference. */
  readonly groups: readonly (readonly number[])[]
  /** The last group is the tail: its sites share clients by capacity. */
  readonly tail: boolean
}

/** Decodes the entry of a class. */
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
