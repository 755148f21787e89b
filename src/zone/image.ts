/**
 * The Image: all zones, compiled into flat arrays in shared memory as a linker does it. The compile thread builds it
 * (buildImage), every answering thread reads it (find), and nobody changes it once it is published.
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
import { randomInt } from 'node:crypto'
import {
  countLabels,
  hashSuffixes,
  labelStarts,
  LOWER,
  MAX_LABELS,
  MAX_NAME_BYTES,
  sameBytes,
  wireBytes,
} from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { doubled } from '../geo/memory.ts'
import { mix } from '../hash.ts'
import {
  RECORD_HEAD,
  recordEnd,
  writeRecord,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_OWNER,
  Z_OWNER_BYTES,
  Z_SIZE,
  Z_TYPE,
} from './pack.ts'
import type { ZoneModel } from './pack.ts'

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
const FLAG_BITS = 4

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

/** A random number for each process, so that nobody can write names that collide in the hash table. */
const SEED = randomInt(-(2 ** 31), 2 ** 31)

/** The number of the next branch point above a name, at the end the root; −1 for the root itself. */
export const upOf = (nodes: Int32Array, name: number): number => (nodes[name * NODE_INTS + N_FLAGS]! >>> FLAG_BITS) - 1

/** The node of a name, by its number; where it has none, ~node of its closest encloser. */
export const exactNode = ({ nodes, firstForeign }: Image, name: number): number =>
  name < firstForeign ? name : nodes[name * NODE_INTS + X_NODE]!

/** What find() reads: an Image, finished or not. */
type NameTable = Pick<Image, 'table' | 'nodes' | 'bytes'>

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
const slotOf = (hash: number, mask: number): number => (mix(hash) << 1) & mask

/** The name of a node, or a foreign name, as a view. */
export function nameOf({ nodes, bytes }: Pick<Image, 'nodes' | 'bytes'>, name: number): Uint8Array {
  const from = nodes[name * NODE_INTS + N_NAME]!
  return bytes.subarray(from, from + nodes[name * NODE_INTS + N_NAME_BYTES]!)
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

/**
 * Compiles zones into an Image. `services`: index in World.services by name; it must have every service that a zone
 * names. Each array is allocated once, at its final size, by `allocate`.
 */
export function buildImage(
  zones: readonly ZoneModel[],
  services: ReadonlyMap<string, number>,
  allocate: (bytes: number) => SharedArrayBuffer,
): Image {
  const ints = (count: number): Int32Array => new Int32Array(allocate(Math.max(4, count * 4)), 0, count)
  const placed = layOut(zones, (bytes) => new Uint8Array(allocate(bytes), 0, bytes))
  const draft = makeDraft(placed.bytes, countOwners(zones))
  // outer zones come first, so that an inner apex finds its enclosing zone and no owner of an outer zone is made below
  // it
  for (const zone of placed.zones.toSorted((a, b) => countLabels(a.model.apex) - countLabels(b.model.apex))) {
    zone.node = ensure(draft, zone.apexAt, zone.model.apex.length, -1)
  }
  const owners = linkOwners(draft, placed.zones)
  const steered = linkSteered(draft, placed.zones, owners, services)
  const numbers = new NameNumbers(draft)
  const rrsets = linkRRsets(draft, placed.zones, owners, numbers, ints)
  linkCutsAndWildcards(draft)
  const nodes = ints((draft.names + 1 + numbers.count) * NODE_INTS)
  nodes.set(draft.nodes.subarray(0, (draft.names + 1) * NODE_INTS))
  nodes.set(numbers.foreign.subarray(0, numbers.count * NODE_INTS), (draft.names + 1) * NODE_INTS)
  linkBranches(nodes, draft.names, numbers.refs.subarray(0, numbers.used))
  const share = (from: ArrayLike<number>, length: number): Int32Array => {
    const shared = ints(length)
    for (let i = 0; i < length; i++) shared[i] = from[i]!
    return shared
  }
  const table = ints(draft.table.length)
  table.set(draft.table)
  return {
    table,
    nodes,
    rrsets,
    steered: share(steered, steered.length),
    refs: share(numbers.refs, numbers.used),
    bytes: placed.bytes,
    deepest: draft.deepest,
    names: draft.names - draft.above,
    firstForeign: draft.names + 1,
    seed: SEED,
  }
}

/** Where a zone's bytes are in the Image. */
export interface ZonePlace {
  /** What is added to each of the zone's own offsets. */
  readonly base: number
  readonly apexAt: number
  /** The SOA record, followed by the SOA record of negative answers. */
  readonly soaAt: number
  readonly soaSize: number
}

interface ZoneLayout extends ZonePlace {
  readonly model: ZoneModel
  /** Its apex's node. */
  node: number
}

/** Where the bytes of each zone are: its own, then its apex's name and its two SOA records. `size`: of all together. */
export function placesOf(zones: readonly ZoneModel[]): {
  readonly places: readonly ZonePlace[]
  readonly size: number
} {
  let size = 0
  const places = zones.map(({ bytes, apex, soa }) => {
    const base = size
    const apexAt = base + bytes.length
    const soaAt = apexAt + apex.length
    const soaSize = RECORD_HEAD + soa.rdata.length
    size = soaAt + 2 * soaSize
    return { base, apexAt, soaAt, soaSize }
  })
  return { places, size }
}

/** Copies the bytes of all zones into one array; see placesOf(). */
function layOut(
  zones: readonly ZoneModel[],
  allocate: (bytes: number) => Uint8Array,
): { readonly zones: readonly ZoneLayout[]; readonly bytes: Uint8Array } {
  const { places, size } = placesOf(zones)
  const placed = zones.map((model, i): ZoneLayout => ({ model, ...places[i]!, node: -1 }))
  const bytes = allocate(Math.max(1, size))
  for (const { model, base, apexAt, soaAt, soaSize } of placed) {
    const { ttlSeconds, negativeTtlSeconds, rdata } = model.soa
    bytes.set(model.bytes, base)
    bytes.set(model.apex, apexAt)
    writeRecord(bytes, soaAt, TYPE.SOA, ttlSeconds, rdata)
    writeRecord(bytes, soaAt + soaSize, TYPE.SOA, negativeTtlSeconds, rdata)
  }
  return { zones: placed, bytes }
}

/** The Image while it is built: its arrays grow by doubling. */
interface Draft {
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
function makeDraft(bytes: Uint8Array, expected: number): Draft {
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

/** How many owner names the zones have; a name that is written in two places counts twice. */
function countOwners(zones: readonly ZoneModel[]): number {
  let count = 0
  for (const { sets } of zones) {
    count++
    for (let i = 0; i < sets.length; i += Z_INTS) if (sets[i + Z_OWNER] !== sets[i + Z_OWNER - Z_INTS]) count++
  }
  return count
}

/**
 * The node of the owner at bytes[at …]; a new node, with all ENTs above it, if there is none yet. `apex`: the node of
 * the zone's apex, −1 if the owner is itself an apex. Returns −1 when the name belongs to an inner zone.
 */
function ensure(draft: Draft, at: number, size: number, apex: number): number {
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

/** The node of every set of every zone, in order; −1 where the name belongs to an inner zone. Marks cuts, CNAMEs and DNAMEs. */
function linkOwners(draft: Draft, zones: readonly ZoneLayout[]): Int32Array {
  const owners = new Int32Array(zones.reduce((sum, { model }) => sum + model.sets.length / Z_INTS, 0))
  let next = 0
  for (const { model, base, node: apex } of zones) {
    const { sets } = model
    let lastOwner = -1
    let node = -1
    for (let i = 0; i < sets.length; i += Z_INTS) {
      const owner = sets[i + Z_OWNER]!
      if (owner !== lastOwner) node = ensure(draft, base + owner, sets[i + Z_OWNER_BYTES]!, apex)
      lastOwner = owner
      owners[next++] = node
      if (node < 0) continue
      const type = sets[i + Z_TYPE]!
      const isCut = type === TYPE.NS && node !== apex
      const flag = type === TYPE.CNAME ? F_CNAME : type === TYPE.DNAME ? F_DNAME : isCut ? F_CUT : 0
      draft.nodes[node * NODE_INTS + N_FLAGS]! |= flag
    }
  }
  return owners
}

function linkSteered(
  draft: Draft,
  zones: readonly ZoneLayout[],
  owners: Int32Array,
  services: ReadonlyMap<string, number>,
): readonly number[] {
  const steered: number[] = []
  let next = 0
  for (const { model } of zones) {
    const { sets } = model
    for (let i = 0; i < sets.length; i += Z_INTS) {
      const node = owners[next++]!
      if (node < 0 || sets[i + Z_TYPE] !== 0) continue
      const service = services.get(model.services[sets[i + Z_AT]!]!)
      if (service === undefined)
        throw new Error(`a zone names service ${model.services[sets[i + Z_AT]!]}: there is none`)
      const first = node * NODE_INTS + N_STEERED
      steered.push(service, sets[i + Z_COUNT]!, sets[i + Z_SIZE]!, draft.nodes[first]!)
      draft.nodes[first] = steered.length / STEERED_INTS - 1
    }
  }
  return steered
}

/** Sorts all RRsets by node (a counting sort), and those of each node by type; fills N_FIRST. */
function linkRRsets(
  draft: Draft,
  zones: readonly ZoneLayout[],
  owners: Int32Array,
  numbers: NameNumbers,
  allocate: (ints: number) => Int32Array,
): Int32Array {
  const { names } = draft
  const first = new Int32Array(names + 1)
  forEachRRset(zones, owners, (node) => first[node + 1]!++)
  for (let node = 0; node < names; node++) first[node + 1]! += first[node]!
  for (let node = 0; node <= names; node++) draft.nodes[node * NODE_INTS + N_FIRST] = first[node]!
  const rrsets = allocate(first[names]! * RRSET_INTS)
  const filled = new Int32Array(names)
  forEachRRset(zones, owners, (node, type, count, at, size) => {
    let place = (first[node]! + filled[node]!++) * RRSET_INTS
    for (; place > first[node]! * RRSET_INTS && rrsets[place - RRSET_INTS + R_TYPE]! > type; place -= RRSET_INTS) {
      rrsets.copyWithin(place, place - RRSET_INTS, place)
    }
    rrsets[place + R_TYPE] = type
    rrsets[place + R_COUNT] = count
    rrsets[place + R_AT] = at
    if (namesIn(type) === 0) rrsets[place + R_SIZE] = size
    else rrsets[place + R_NAMES] = numbers.ofSet(type, count, at)
  })
  return rrsets
}

type VisitRRset = (node: number, type: number, count: number, at: number, size: number) => void

function forEachRRset(zones: readonly ZoneLayout[], owners: Int32Array, visit: VisitRRset): void {
  let next = 0
  for (const { model, base, node: apex, soaAt, soaSize } of zones) {
    const { sets } = model
    visit(apex, TYPE.SOA, 1, soaAt, soaSize)
    visit(apex, NEGATIVE_SOA, 1, soaAt + soaSize, soaSize)
    for (let i = 0; i < sets.length; i += Z_INTS) {
      const node = owners[next++]!
      const type = sets[i + Z_TYPE]!
      if (node >= 0 && type !== 0) visit(node, type, sets[i + Z_COUNT]!, base + sets[i + Z_AT]!, sets[i + Z_SIZE]!)
    }
  }
}

/** Fills N_CUT and N_WILD. Parents come before their children, so one pass is enough. */
function linkCutsAndWildcards({ nodes, bytes, names }: Draft): void {
  for (let node = 0; node < names; node++) {
    const first = node * NODE_INTS
    const flags = nodes[first + N_FLAGS]!
    const parent = upOf(nodes, node)
    if (nodes[first + N_APEX]! < 0) continue
    const above = parent < 0 || (flags & F_APEX) !== 0 ? -1 : nodes[parent * NODE_INTS + N_CUT]!
    nodes[first + N_CUT] = above >= 0 ? above : (flags & F_CUT) === 0 ? -1 : node
    const name = nodes[first + N_NAME]!
    const isWildcard = bytes[name] === 1 && bytes[name + 1] === ASTERISK
    if (isWildcard && parent >= 0 && (flags & F_APEX) === 0) nodes[parent * NODE_INTS + N_WILD] = node
  }
}

const ASTERISK = 42

/**
 * Links each name to the next branch point above it, in place of the name one label above: only suffixes that another
 * name may share are needed. `targets`: the numbers of all names in RDATA.
 */
function linkBranches(nodes: Int32Array, closing: number, targets: Int32Array): void {
  const count = nodes.length / NODE_INTS
  const isBranch = new Uint8Array(count)
  const isParent = new Uint8Array(count)
  for (const target of targets) isBranch[target] = 1
  isBranch[0] = 1 // the root, where there is any node
  for (let name = 0; name < count; name++) {
    if (name === closing) continue
    const up = upOf(nodes, name)
    if (up >= 0) {
      if (isParent[up] === 1) isBranch[up] = 1
      isParent[up] = 1
    }
    const cell = name * NODE_INTS
    if (name > closing) continue
    const owns = nodes[cell + N_FIRST] !== nodes[cell + NODE_INTS + N_FIRST] || nodes[cell + N_STEERED]! >= 0
    if (owns || (nodes[cell + N_FLAGS]! & (F_APEX | F_CUT)) !== 0) isBranch[name] = 1
  }
  if (!isParent.some((parent, name) => parent > isBranch[name]!)) return
  // parents come before their children, so the branch point above a parent is known already
  for (let name = 0; name < count; name++) {
    const up = upOf(nodes, name)
    if (name === closing || up < 0 || isBranch[up] === 1) continue
    const flags = nodes[name * NODE_INTS + N_FLAGS]!
    nodes[name * NODE_INTS + N_FLAGS] = (flags & ((1 << FLAG_BITS) - 1)) | ((upOf(nodes, up) + 1) << FLAG_BITS)
  }
}

/** Gives the names in RDATA their numbers, after all nodes are made. */
class NameNumbers {
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
