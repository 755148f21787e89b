/**
 * The Image: all zones, compiled into flat arrays in shared memory as a linker does it. The compile thread builds it
 * (link.ts), every answering thread reads it (find), and nobody changes it once it is published.
 *
 *   table   open addressing, 2^k slots, load ≤ 0.5: [hash, node + 1] pairs, node + 1 = 0 is free
 *   nodes   NODE_INTS each: see N_*; a node for every owner, every empty non-terminal (ENT), every name below a cut and
 *           every name above an apex up to the root; parents before children; one more closes the last node's RRsets;
 *           behind it are the foreign names: names in RDATA, and their suffixes, that have no node; see X_*
 *   rrsets  RRSET_INTS each: see R_*; a node's RRsets are neighbours, sorted by type
 *   steered STEERED_INTS each: see S_*
 *   refs    numbers of the names in RDATA, in the order of their records
 *   bytes   owner names (lower-case wire form) and the records, pre-encoded
 *
 * A record in `bytes` has the form that it has in an answer whose owner is the query name: C0 0C, type, class, TTL,
 * RDLENGTH, RDATA with uncompressed names. The records of an RRset follow each other, so the RRset is one copy of
 * R_SIZE bytes. If the owner is a suffix of the query name (apex, cut), only the pointer differs.
 *
 * Names that an answer may compress (RFC 3597 §4) are numbers: their index in `nodes`. Each name knows the next branch
 * point above it: a suffix that other names may share, because it owns something or because names branch there. So
 * answers are compressed, aliases followed and glue found by numbers alone. No name of the zones is hashed or compared
 * for a query, and a name of 127 labels costs no more than its bytes.
 *
 * Zones may nest. A node belongs to the deepest zone at or above it; what an outer zone has at or below an inner apex
 * is not in the Image. DS at an apex belongs to the outer zone: the search begins again one label up, and the node
 * found there belongs to that zone, if it is served here.
 */
import { formatName, sameBytes } from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { mix } from '../hash.ts'

/** First byte of the owner name in `bytes`. */
export const N_NAME = 0
/** Bytes of the owner name, root label included. */
export const N_NAME_BYTES = 1
/** Bits F_*, and above them 1 + the number of the next branch point above, 0 at the root: see upOf(). */
export const N_FLAGS = 2
/** First RRset; the next node's N_FIRST ends them. */
export const N_FIRST = 3
/**
 * Node of the zone's apex; −1 for names above all apexes, which are nodes so that a binary search over labels works.
 */
export const N_APEX = 4
/** Node of the zone cut at or above this name within its zone; −1 = none. */
export const N_CUT = 5
/** Node of the wildcard child `*.name`; −1 = none. */
export const N_WILD = 6
/** The node's first entry in `steered`, whose first int is at entry × STEERED_INTS; −1 = none. */
export const N_STEERED = 7
export const NODE_INTS = 8

/** The node is a zone's apex; a zone cut; has a CNAME; has a DNAME. */
export const F_APEX = 1
export const F_CUT = 2
export const F_CNAME = 4
export const F_DNAME = 8
/** Below the number in N_FLAGS. */
export const FLAG_BITS = 4

/** RR type number, or NEGATIVE_SOA. */
export const R_TYPE = 0
/** Records in the set. */
export const R_COUNT = 1
/** First byte in `bytes`. */
export const R_AT = 2
/** For types whose RDATA has no compressible names: bytes of the whole set. */
export const R_SIZE = 3
/** For the other types: index of their first name's number in `refs`. */
export const R_NAMES = 3
export const RRSET_INTS = 4

/**
 * A foreign name has N_NAME (case kept), N_NAME_BYTES and N_FLAGS, like a node. X_NODE: the node of the name in lower
 * case; where it has none, ~node of its closest encloser.
 */
export const X_NODE = 4
/** hashName() of the name in lower case. */
export const X_HASH = 5

/** How many compressible names the RDATA of a type has (RFC 3597 §4): at its start, or for MX after the preference. */
export function namesIn(type: number): number {
  if (type === TYPE.NS || type === TYPE.CNAME || type === TYPE.PTR || type === TYPE.MX) return 1
  return type === TYPE.SOA || type === NEGATIVE_SOA ? 2 : 0
}

/** Not an RR type: the apex's SOA once more, with the TTL of negative answers: min(SOA TTL, minimum), RFC 2308 §5. */
export const NEGATIVE_SOA = 65_536

/** A steered entry: index of the service in World.services, type bits, TTL cap in seconds (0 = none). */
export const S_SERVICE = 0
export const S_TYPES = 1
export const S_TTL = 2
/** Another entry of the same name, for the other type; −1 = none. */
export const S_NEXT = 3
export const STEERED_INTS = 4

/** Typed arrays over SharedArrayBuffers, posted to threads by reference; their form is above. */
export interface Image {
  readonly table: Int32Array
  readonly nodes: Int32Array
  readonly rrsets: Int32Array
  readonly steered: Int32Array
  readonly refs: Int32Array
  readonly bytes: Uint8Array
  /** The most labels that any name has: the search for the closest encloser need not begin deeper. */
  readonly deepest: number
  /** How many nodes belong to zones: without the closing one and those above all apexes. */
  readonly names: number
  /** The number of the first foreign name: behind all nodes and the closing one. */
  readonly firstForeign: number
  /** The hash of the root name, from which the hash of every name in `table` is computed. */
  readonly seed: number
}

/** The number of the next branch point above a name, at the end the root; −1 for the root itself. */
export const upOf = (nodes: Int32Array, name: number): number => (nodes[name * NODE_INTS + N_FLAGS]! >>> FLAG_BITS) - 1

/** The node of a name, by its number; where it has none, ~node of its closest encloser. */
export const exactNode = ({ nodes, firstForeign }: Image, name: number): number =>
  name < firstForeign ? name : nodes[name * NODE_INTS + X_NODE]!

/** What find() reads: an Image, finished or not. */
export type NameTable = Pick<Image, 'table' | 'nodes' | 'bytes'>

/**
 * The node of the name at name[at … at + bytes) (lower-case wire form, root label included); −1 = none. `hash`: of that
 * name, as hashName() computes it.
 */
export function find(image: NameTable, name: Uint8Array, at: number, bytes: number, hash: number): number {
  const { table, nodes } = image
  const mask = table.length - 2
  for (let slot = slotOf(hash, mask); ; slot = (slot + 2) & mask) {
    const node = table[slot + 1]! - 1
    if (node < 0) return -1
    if (table[slot] !== hash || nodes[node * NODE_INTS + N_NAME_BYTES] !== bytes) continue
    if (sameBytes(image.bytes, nodes[node * NODE_INTS + N_NAME]!, name, at, bytes)) return node
  }
}

/** Where the search for a hash begins in a table. */
export const slotOf = (hash: number, mask: number): number => (mix(hash) << 1) & mask

/** The name of a node, or a foreign name, as a view. */
export function nameOf({ nodes, bytes }: Pick<Image, 'nodes' | 'bytes'>, name: number): Uint8Array {
  const from = nodes[name * NODE_INTS + N_NAME]!
  return bytes.subarray(from, from + nodes[name * NODE_INTS + N_NAME_BYTES]!)
}

/** The name of a zone that is served; `.` if there is none. */
export function firstZone(image: Image | undefined): string {
  if (image === undefined) return '.'
  for (let node = 0; (node + 1) * NODE_INTS < image.nodes.length && node < image.firstForeign; node++)
    if ((image.nodes[node * NODE_INTS + N_FLAGS]! & F_APEX) !== 0) return formatName(nameOf(image, node))
  return '.'
}

/** The index in `rrsets` of the first int of the node's RRset of a type (or NEGATIVE_SOA); −1 = none. */
export function findRRset(image: Image, node: number, type: number): number {
  const { nodes, rrsets } = image
  const end = nodes[(node + 1) * NODE_INTS + N_FIRST]! * RRSET_INTS
  for (let at = nodes[node * NODE_INTS + N_FIRST]! * RRSET_INTS; at < end; at += RRSET_INTS) {
    if (rrsets[at] === type) return at
  }
  return -1
}
