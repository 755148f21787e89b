/**
 * Places: what the databases say about where networks are, once decoded and merged.
 */
import type { Allocate } from './memory.ts'
import type { BinaryTrie } from './trie.ts'
import type { Database } from './database.ts'
import type { Report } from '../problem.ts'

export interface Places {
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
  /** Three ints a place: continent, country, subdivision as packCode() has them; 0 = unknown. */
  readonly codes: Int32Array
  /** Two numbers a place: latitude, longitude in degrees; NaN = unknown. */
  readonly coordinates: Float64Array
}

export interface Place {
  readonly continent: string
  readonly country: string
  readonly subdivision: string
  /** Degrees; undefined when the database has none. */
  readonly latitude?: number
  readonly longitude?: number
  /** Bits of the widest prefix in the database that has this place. */
  readonly depth: number
}

/** undefined when a database proves corrupt: that has been reported. No databases: nobody has a place. */
export declare function buildPlaces(
  databases: readonly Database[],
  report: Report,
  allocate?: Allocate,
): Places | undefined

/** The place of an address (4 or 16 bytes); an IPv6 address that folds is looked up as its IPv4 address. */
export declare function placeOf(places: Places, bytes: Uint8Array): Place
