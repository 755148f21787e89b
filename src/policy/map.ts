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
   * Entry of a class: rule number + 1 (0 = no rule), FENCE or 0, number of groups, then each group: its size and its
   * sites. A negative size marks the tail: −size sites, divided by capacity and not by weight.
   */
  readonly groups: Int32Array
}

/** The class of clients without a place, and of those folding to an IPv4 address they don't name: see DESIGN §5. */
export const CLASS_UNPLACED = 0

export const FENCE = 1
