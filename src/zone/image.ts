/**
 * The Image: all zones compiled into flat arrays in shared memory, laid out as a linker would. Built by the compile
 * thread (buildImage), read by every answering thread (find), never changed once published.
 *
 *   table   open addressing, 2^k slots, load ≤ 0.5: [hash, node + 1] pairs, node + 1 = 0 is free
 *   nodes   NODE_INTS each: see N_*; every owner, every ENT and every name below a cut is a node, parents before
 *           children; one more at the end closes the last node's RRsets
 *   rrsets  RRSET_INTS each: see R_*; a node's RRsets are neighbours, sorted by type
 *   steered STEERED_INTS each: see S_*
 *   bytes   owner names (lower-case wire form) and the records, pre-encoded
 *
 * A record in `bytes` stands as it goes into an answer whose owner is the query name: C0 0C, type, class, TTL, RDLENGTH,
 * RDATA (names in RDATA uncompressed), one after the other: an RRset of R_SIZE bytes is one copy. Where the owner is a
 * suffix of the query name (apex, cut), its pointer is the only thing to change.
 *
 * Zones may nest: a node belongs to the deepest zone at or above it, and what an outer zone says at or below an inner
 * apex is not in the Image. DS at an apex is the outer zone's: search again from one label up; the node found there
 * names that zone (none found: there is none here).
 */
import { hashName } from '../dns/name.ts'
import type { ZoneModel } from './model.ts'

/** First byte of the owner name in `bytes`. */
export const N_NAME = 0
/** Bytes of the owner name, root label included. */
export const N_NAME_BYTES = 1
/** Bits F_*. */
export const N_FLAGS = 2
/** First RRset; the next node's N_FIRST ends them. */
export const N_FIRST = 3
/** Node of the zone's apex. */
export const N_APEX = 4
/** Node of the zone cut at or above this name within its zone, −1 without. */
export const N_CUT = 5
/** Node of the wildcard child `*.name`, −1 without. */
export const N_WILD = 6
/** Entry in `steered` of this node, −1 without; its first int is entry × STEERED_INTS. */
export const N_STEERED = 7
export const NODE_INTS = 8

export const F_APEX = 1
export const F_CUT = 2
export const F_CNAME = 4

export const R_TYPE = 0
/** Records in the set. */
export const R_COUNT = 1
/** First byte in `bytes`, and bytes of the whole set. */
export const R_AT = 2
export const R_SIZE = 3
export const RRSET_INTS = 4

/** No RR type: every apex's SOA once more, its TTL the one of negative answers: min(SOA TTL, minimum), RFC 2308 §5. */
export const NEGATIVE_SOA = 65_536

/** Steered entries: service index in World.services, type bits, TTL cap in seconds (0 = none). */
export const S_SERVICE = 0
export const S_TYPES = 1
export const S_TTL = 2
export const STEERED_INTS = 3

/** Typed arrays over SharedArrayBuffers: posted to threads by reference. */
export interface Image {
  readonly table: Int32Array
  readonly nodes: Int32Array
  readonly rrsets: Int32Array
  readonly steered: Int32Array
  readonly bytes: Uint8Array
  /** Most labels of any name: the search for the closest encloser starts there at the deepest. */
  readonly deepest: number
  /** Nodes, the closing one not counted. */
  readonly names: number
}

/**
 * Node of the name at `name[at … at + bytes)` (lower-case wire form, root label included), whose hash is hashName()'s for
 * that suffix; −1 when there is none.
 */
export function find(image: Image, name: Uint8Array, at: number, bytes: number, hash: number): number {
  const { table, nodes } = image
  const mask = table.length - 2
  for (let slot = (hash << 1) & mask; ; slot = (slot + 2) & mask) {
    const node = table[slot + 1]! - 1
    if (node < 0) return -1
    if (table[slot] !== hash || nodes[node * NODE_INTS + N_NAME_BYTES] !== bytes) continue
    if (sameBytes(image.bytes, nodes[node * NODE_INTS + N_NAME]!, name, at, bytes)) return node
  }
}

function sameBytes(a: Uint8Array, atA: number, b: Uint8Array, atB: number, bytes: number): boolean {
  for (let i = 0; i < bytes; i++) if (a[atA + i] !== b[atB + i]) return false
  return true
}

/** First int, in `rrsets`, of the node's RRset of that type (or NEGATIVE_SOA); −1 when it has none. */
export function findRRset(image: Image, node: number, type: number): number {
  const { nodes, rrsets } = image
  const end = nodes[(node + 1) * NODE_INTS + N_FIRST]! * RRSET_INTS
  for (let at = nodes[node * NODE_INTS + N_FIRST]! * RRSET_INTS; at < end; at += RRSET_INTS) {
    if (rrsets[at] === type) return at
  }
  return -1
}

/**
 * Compiles zones into an Image. `services` gives each steered service its index in World.services; every steered set's
 * service must be in it. Each array is allocated once, at its final size.
 */
export function buildImage(
  zones: readonly ZoneModel[],
  services: ReadonlyMap<string, number>,
  allocate: (bytes: number) => SharedArrayBuffer,
): Image {
  throw new Error(`not yet ${zones.length} ${services.size} ${typeof allocate} ${typeof hashName}`)
}
