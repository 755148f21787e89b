/**
 * Makes the Image (image.ts) of zones, as a linker does it: lays out their bytes, makes a node for every name (draft.ts), and
 * links owners, steered names, RRsets, cuts, wildcards and the names in RDATA by numbers. Called by the compile thread.
 */
import { countLabels } from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { type Draft, ensure, makeDraft, NameNumbers, SEED } from './draft.ts'
import {
  F_APEX,
  F_CNAME,
  F_CUT,
  F_DNAME,
  FLAG_BITS,
  type Image,
  N_APEX,
  N_CUT,
  N_FIRST,
  N_FLAGS,
  N_NAME,
  N_STEERED,
  N_WILD,
  namesIn,
  NEGATIVE_SOA,
  NODE_INTS,
  R_AT,
  R_COUNT,
  R_NAMES,
  R_SIZE,
  R_TYPE,
  RRSET_INTS,
  STEERED_INTS,
  upOf,
} from './image.ts'
import {
  RECORD_HEAD,
  writeRecord,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_OWNER,
  Z_OWNER_BYTES,
  Z_SIZE,
  Z_TYPE,
  type ZoneModel,
} from './pack.ts'

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

/** How many owner names the zones have; a name that is written in two places counts twice. */
function countOwners(zones: readonly ZoneModel[]): number {
  let count = 0
  for (const { sets } of zones) {
    count++
    for (let i = 0; i < sets.length; i += Z_INTS) if (sets[i + Z_OWNER] !== sets[i + Z_OWNER - Z_INTS]) count++
  }
  return count
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
