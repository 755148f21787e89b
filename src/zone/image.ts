/**
 * The Image: all zones compiled into flat arrays in shared memory, laid out as a linker would. Built by the compile
 * thread (buildImage), read by every answering thread (find), never changed once published.
 *
 *   table   open addressing, 2^k slots, load ≤ 0.5: [hash, node + 1] pairs, node + 1 = 0 is free
 *   nodes   NODE_INTS each: see N_*; every owner, every ENT and every name below a cut is a node
 *   rrsets  RRSET_INTS each: see R_*; a node's RRsets are neighbours, sorted by type
 *   bytes   owner names (lower-case wire form) and the records, pre-encoded
 *
 * A record in `bytes` stands as it goes into an answer whose owner is the query name: C0 0C, type, class, TTL, RDLENGTH,
 * RDATA (names in RDATA uncompressed), one after the other: an RRset of R_SIZE bytes is one copy.
 */

/** First byte of the owner name in `bytes`. */
export const N_NAME = 0
/** Bytes of the owner name, root label included. */
export const N_NAME_BYTES = 1
/** Bits F_*. */
export const N_FLAGS = 2
/** First RRset, and how many. */
export const N_FIRST = 3
export const N_COUNT = 4
/** Node of the zone's apex. */
export const N_APEX = 5
/** Node of the zone cut at or above this name, −1 without. */
export const N_CUT = 6
/** Node of the wildcard child `*.name`, −1 without. */
export const N_WILD = 7
/** Index into `steered` × 1 of this node, −1 without. */
export const N_STEERED = 8
/** Labels of the name, the root not counted. */
export const N_LABELS = 9
export const NODE_INTS = 10

export const F_APEX = 1
export const F_CUT = 2
export const F_CNAME = 4

export const R_TYPE = 0
export const R_TTL = 1
/** Records in the set. */
export const R_COUNT = 2
/** First byte in `bytes`, and bytes of the whole set. */
export const R_AT = 3
export const R_SIZE = 4
export const RRSET_INTS = 5

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
  readonly names: number
}
