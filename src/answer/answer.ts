/**
 * QUERY IN, RESPONSE OUT: the one pure function that is the server. Used alike by UDP batches, node:dgram, TCP, tests and
 * `explain`. No I/O, no await, no clock, no logging; it never throws: a bug is a SERVFAIL and a counter.
 *
 *   parse ─▶ FORMERR NOTIMP BADVERS · drop
 *     └▶ look up (RFC 1034 §4.3.2) ─▶ outside: REFUSED
 *          ├▶ delegation: NS, glue          ├▶ hit: RRset     ├▶ nodata, nxdomain: SOA
 *          └▶ cname: CNAME, again with its target             └▶ steered: select(), addresses, scope
 */
import { lowerName } from '../dns/name.ts'
import { parseQuery, makeQuery, Q_BADVERS, Q_DROP, Q_NOTIMP, Q_OK, type Query } from '../dns/query.ts'
import { CLASS, RCODE, TYPE } from '../dns/types.ts'
import type { HealthTable } from '../health/table.ts'
import { C_BUGS, C_ECS, C_LAST_RESORT, C_TRUNCATED, COUNTED_TYPES, queryCell } from '../counters.ts'
import { networkKey } from '../policy/network.ts'
import { CLASS_UNPLACED } from '../policy/map.ts'
import { makeSelection, select, type Selection, type Trace } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import {
  exactNode,
  F_APEX,
  F_CNAME,
  find,
  findRRset,
  N_APEX,
  N_CUT,
  N_FIRST,
  N_FLAGS,
  N_NAME,
  N_NAME_BYTES,
  N_STEERED,
  N_WILD,
  NEGATIVE_SOA,
  NODE_INTS,
  R_AT,
  R_COUNT,
  R_NAMES,
  S_NEXT,
  S_SERVICE,
  S_TTL,
  S_TYPES,
  STEERED_INTS,
  type Image,
  upOf,
  X_HASH,
} from '../zone/image.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import { classOf, type Client, locate, makeClient, scopeOf } from './client.ts'
import {
  begin,
  finish,
  makeResponse,
  PAYLOAD_BYTES,
  putAddress,
  putHinfo,
  putRRset,
  QUERY_NAME,
  type Response,
  ttlOf,
} from './response.ts'
import type { World } from './world.ts'

export const UDP = 0
export const TCP = 1

/** One answering thread's state: what it answers from, and scratch that every query uses again. */
export interface Responder {
  /** Replaced between two queries, never within one. */
  world: World
  readonly health: HealthTable
  readonly counters: Float64Array
  /** Any 32 bits; the caller changes it for every query (xorshift). Decides rotation and `pick: random` only. */
  chance: number
  readonly query: Query
  readonly response: Response
  readonly selection: Selection
  readonly client: Client
  /** Service of the last steered answer; `explain` sets the trace, queries leave it null. */
  steered: SteeredService | undefined
  trace: AnswerTrace | null
}

/** What `explain` hears of the whole way to an answer. */
export interface AnswerTrace extends Trace {
  /** A name was looked up: its node, or of the wildcard that stands for it; NX and OUTSIDE are below 0. `known`: the deepest there is. */
  looked(name: LookupName, node: number, known: number): void
  /** The name is steered for the type; seconds of the TTL that it is capped at, 0 = none. */
  capped(capSeconds: number): void
}

/** A lower-case wire name; a Query is one itself. */
export interface LookupName {
  readonly name: Uint8Array
  nameBytes: number
}

export function makeResponder(world: World, health: HealthTable, counters: Float64Array): Responder {
  return {
    world,
    health,
    counters,
    chance: 1,
    query: makeQuery(),
    response: makeResponse(),
    selection: makeSelection(),
    client: makeClient(),
    steered: undefined,
    trace: null,
  }
}

/** The signature of respond(), for servers that take it as an argument. */
export type Respond = typeof respond

const QR = 0x8000
const AA = 0x0400
const KEPT_FLAGS = 0x7900 // opcode and RD
const CNAMES_MAX = 8
const HINFO_TTL_SECONDS = 3600
const TYPE_CELL = new Uint8Array(65_536).fill(COUNTED_TYPES.length - 1)
for (const [cell, name] of COUNTED_TYPES.entries()) if (name !== 'other') TYPE_CELL[TYPE[name]] = cell

/**
 * Answers input[at … at + length) from the client at client[clientAt …] (family 4: 4 bytes, family 6: 16 bytes), writes
 * the response to output[outAt … outAt + room) and returns its bytes; 0 = send nothing. Never writes past the room.
 * `input` and `output` may be one array; their ranges must not overlap.
 */
export function respond(
  responder: Responder,
  input: Uint8Array,
  at: number,
  length: number,
  client: Uint8Array,
  clientAt: number,
  family: 4 | 6,
  transport: typeof UDP | typeof TCP,
  output: Uint8Array,
  outAt: number,
  room: number,
): number {
  const { query, response } = responder
  const fault = parseQuery(input, at, length, query, responder.world.image.seed)
  if (fault === Q_DROP) return dropped(responder, transport)
  const flags = QR | (query.flags & KEPT_FLAGS)
  const most = transport === TCP ? 65_535 : Math.min(PAYLOAD_BYTES, query.payload)
  if (!begin(response, query, input, at, output, outAt, Math.min(room, most))) return dropped(responder, transport)
  try {
    const outcome = fault === Q_OK ? answer(responder, client, clientAt, family) : refuse(query, fault)
    const size = finish(response, query, flags | (outcome & AA), outcome & 0xff, outcome >>> 16)
    count(responder, transport, outcome & 0xff)
    return size
  } catch {
    responder.counters[C_BUGS]!++
    begin(response, query, input, at, output, outAt, Math.min(room, most))
    count(responder, transport, RCODE.SERVFAIL)
    return finish(response, query, flags, RCODE.SERVFAIL, 0)
  }
}

function dropped(responder: Responder, transport: number): number {
  responder.counters[queryCell(transport, COUNTED_TYPES.length - 1, 7)]!++
  return 0
}

// Outcomes are one number: rcode | AA | scope << 16.

/** What a packet gets that is no query we can read. */
function refuse(query: Query, fault: number): number {
  if (fault === Q_NOTIMP) return RCODE.NOTIMP
  query.ecs = false // malformed, or of a version that we don't speak: nothing to echo
  return fault === Q_BADVERS ? RCODE.BADVERS : RCODE.FORMERR
}

const RCODE_CELL = new Uint8Array(32).fill(6)
for (const [cell, rcode] of [0, 3, 5, 1, 4, 16, 2].entries()) RCODE_CELL[rcode] = cell

function count(responder: Responder, transport: number, rcode: number): void {
  const { counters, query } = responder
  counters[queryCell(transport, TYPE_CELL[query.type]!, RCODE_CELL[rcode]!)]!++
  if (query.ecs) counters[C_ECS]!++
  if (responder.response.overflow) counters[C_TRUNCATED]!++
}

const isMeta = (type: number): boolean => type === TYPE.OPT || (type >= 249 && type <= 254) || type === 0

/** RFC 1034 §4.3.2, with CNAMEs followed through the zones that are here. */
function answer(responder: Responder, client: Uint8Array, clientAt: number, family: 4 | 6): number {
  const { query } = responder
  if (query.class !== CLASS.IN || isMeta(query.type)) {
    return query.type === TYPE.OPT || query.type === 0 ? RCODE.FORMERR : RCODE.REFUSED
  }
  const { image } = responder.world
  let node = lookUp(image, query)
  responder.response.known = encloser
  let owner = QUERY_NAME
  let aa = 0
  for (let follow = 0; ; follow++) {
    if (responder.trace !== null) tell(responder, responder.trace, owner, node)
    if (node < 0 && node !== NX) return follow === 0 ? RCODE.REFUSED : AA
    const known = node === NX ? encloser : node
    const cut = image.nodes[known * NODE_INTS + N_CUT]!
    if (cut >= 0 && !(node === cut && query.type === TYPE.DS)) return delegate(responder, cut) | aa
    aa = AA
    if (node === NX) return negative(responder, known, -1) | AA | RCODE.NXDOMAIN
    const steered = image.nodes[node * NODE_INTS + N_STEERED]!
    if (steered >= 0 && follow > 0) return AA // a CNAME to a steered name stands alone: its scope would be wrong for it
    const outcome = answerNode(responder, owner, node, steered, client, clientAt, family)
    if (outcome >= 0) return outcome
    followed[follow] = identity(image, query, owner, node)
    owner = image.refs[image.rrsets[findRRset(image, node, TYPE.CNAME) + R_NAMES]!]!
    node = nodeOf(image, owner)
    if (follow === CNAMES_MAX || isFollowed(identity(image, query, owner, node), follow)) return AA
  }
}

/** Names whose CNAMEs are in the answer, by identity(). */
const followed = new Int32Array(CNAMES_MAX + 1)

const IS_HASH = 0x80000000

/** A name that exists is its node; others, which one wildcard may stand for, are told apart by their hashes. */
function identity(image: Image, query: Query, owner: number, node: number): number {
  if (node >= 0 && node === encloser) return node
  if (owner === QUERY_NAME) return query.hashes[0]! | IS_HASH
  if (owner < image.firstStrange) return owner
  return image.nodes[owner * NODE_INTS + X_HASH]! | IS_HASH
}

/** A loop of CNAMEs ends where it closes: no RR stands in an answer twice (RFC 2181 §5). */
function isFollowed(name: number, last: number): boolean {
  for (let i = 0; i <= last; i++) if (followed[i] === name) return true
  return false
}

/** lookUp(), nodeOf(): the name does not exist, but `encloser` does; no name of ours at all. */
const NX = -2
const OUTSIDE = -1
/** The deepest node at or above the name that was looked up. */
let encloser = -1

/** Node of the query name, or of the wildcard that stands for it (RFC 4592 §3.3.1), or NX or OUTSIDE. */
function lookUp(image: Image, query: Query): number {
  const { labels } = query
  let label = labels > image.deepest ? labels - image.deepest : 0
  let node = findSuffix(image, query, label)
  if (node < 0 && label < labels) {
    node = findSuffix(image, query, ++label) // the parent is the likeliest encloser
    if (node < 0) {
      // what is above a name that exists, exists: `label` has no node, `there` has one
      let there = labels
      while (there - label > 1) {
        const middle = (there + label) >>> 1
        const found = findSuffix(image, query, middle)
        if (found < 0) label = middle
        else {
          there = middle
          node = found
        }
      }
      if (node < 0) node = findSuffix(image, query, labels)
      label = there
    }
  }
  encloser = node
  return label === 0 ? ownNode(image, node) : standIn(image, node)
}

const findSuffix = (image: Image, { name, nameBytes, labelAt, hashes }: Query, label: number): number =>
  find(image, name, labelAt[label]!, nameBytes - labelAt[label]!, hashes[label]!)

/** The same for the name of a number: it was looked up when the World was made. */
function nodeOf(image: Image, name: number): number {
  const node = exactNode(image, name)
  encloser = node < 0 ? ~node : node
  return node < 0 ? standIn(image, encloser) : ownNode(image, node)
}

/** A node that is of no zone, but above one, is none. */
const ownNode = (image: Image, node: number): number =>
  node >= 0 && image.nodes[node * NODE_INTS + N_APEX]! >= 0 ? node : OUTSIDE

/** What stands for a name that does not exist below its closest encloser. */
function standIn(image: Image, node: number): number {
  if (ownNode(image, node) < 0) return OUTSIDE
  if (image.nodes[node * NODE_INTS + N_CUT]! >= 0) return NX
  const wild = image.nodes[node * NODE_INTS + N_WILD]!
  return wild >= 0 ? wild : NX
}

/** Has `explain` hear of a name that was looked up. */
function tell({ world, query }: Responder, trace: AnswerTrace, owner: number, node: number): void {
  const known = node === NX ? encloser : node
  if (owner === QUERY_NAME) return trace.looked(query, node, known)
  const { nodes, bytes } = world.image
  const from = nodes[owner * NODE_INTS + N_NAME]!
  const nameBytes = nodes[owner * NODE_INTS + N_NAME_BYTES]!
  trace.looked({ name: lowerName(bytes.slice(from, from + nameBytes)), nameBytes }, node, known)
}

/** Answers from one node: the outcome, or −1 when a CNAME was written whose target is to be looked up. */
function answerNode(
  responder: Responder,
  owner: number,
  node: number,
  steered: number,
  client: Uint8Array,
  clientAt: number,
  family: 4 | 6,
): number {
  const { query, response } = responder
  const { image } = responder.world
  // RFC 4035 §3.1.4.1: DS at an apex is the parent zone's, where that is here
  if (query.type === TYPE.DS) {
    const parent = parentApex(image, node)
    if (parent >= 0) return negative(responder, parent, -1) | AA
  }
  const isCname = (image.nodes[node * NODE_INTS + N_FLAGS]! & F_CNAME) !== 0
  if (query.type === TYPE.ANY && !isCname) {
    const cell = node * NODE_INTS + N_FIRST
    const empty = image.nodes[cell] === image.nodes[cell + NODE_INTS] && steered < 0
    if (empty) return negative(responder, node, -1) | AA
    putHinfo(response, HINFO_TTL_SECONDS)
    return AA
  }
  if (steered >= 0) {
    const asked = query.type === TYPE.A ? STEERS_A : query.type === TYPE.AAAA ? STEERS_AAAA : 0
    const entry = entryFor(responder.world, steered, asked)
    if (entry >= 0) return steer(responder, node, entry, asked, client, clientAt, family)
  }
  const type = isCname && query.type === TYPE.ANY ? TYPE.CNAME : query.type // RFC 8482 §4.2: ANY gets the CNAME itself
  const rrset = findRRset(image, node, type)
  if (rrset >= 0) {
    response.answers += putRRset(response, image, query, rrset, owner, -1)
    return AA
  }
  if (isCname) {
    response.answers += putRRset(response, image, query, findRRset(image, node, TYPE.CNAME), owner, -1)
    return -1
  }
  return negative(responder, node, steered) | AA
}

/** Apex of the zone above the one whose apex this node is; −1 when that is not here, or the node is no apex. */
function parentApex(image: Image, node: number): number {
  if ((image.nodes[node * NODE_INTS + N_FLAGS]! & F_APEX) === 0) return -1
  const above = upOf(image.nodes, node) // apexes and cuts are joints: no zone is passed over
  if (above < 0 || image.nodes[above * NODE_INTS + N_CUT]! >= 0) return -1
  return image.nodes[above * NODE_INTS + N_APEX]!
}

/**
 * RFC 2308 §3: the zone's SOA in authority, its TTL what negative answers live; steered names are asked again soon.
 * `steered`: the node's first entry.
 */
function negative(responder: Responder, node: number, steered: number): number {
  const { response, query } = responder
  const { image, services } = responder.world
  const apex = image.nodes[node * NODE_INTS + N_APEX]!
  const soa = findRRset(image, apex, NEGATIVE_SOA)
  let ttl = ttlOf(image.bytes, image.rrsets[soa + R_AT]!)
  for (let entry = steered; entry >= 0; entry = image.steered[entry * STEERED_INTS + S_NEXT]!) {
    const least = services[image.steered[entry * STEERED_INTS + S_SERVICE]!]!.ttlMinSeconds
    if (least < ttl) ttl = least
  }
  response.authorities += putRRset(response, image, query, soa, apex, ttl)
  return 0
}

/** RFC 1034 §4.3.2 step 3b: NS of the cut in authority, addresses of its servers that we know in additional. */
function delegate(responder: Responder, cut: number): number {
  const { response, query } = responder
  const { image } = responder.world
  const ns = findRRset(image, cut, TYPE.NS)
  response.authorities += putRRset(response, image, query, ns, cut, -1)
  const first = image.rrsets[ns + R_NAMES]!
  const end = first + image.rrsets[ns + R_COUNT]!
  // RFC 9471 §3: glue below this cut must be there, or the answer is truncated; what else we know goes in if it fits
  for (let pass = 0; pass < 2; pass++) {
    for (let ref = first; ref < end && !response.overflow; ref++) putGlue(responder, cut, image.refs[ref]!, pass === 0)
    if (pass === 1) response.overflow = false
    else if (response.overflow) break
  }
  return 0
}

/** Addresses of a name server: the cut's own when `required`, else everybody else's. */
function putGlue({ response, query, world }: Responder, cut: number, server: number, required: boolean): void {
  const { image } = world
  const node = exactNode(image, server)
  if (node < 0) return
  const own = cut === image.nodes[node * NODE_INTS + N_CUT]
  if (own !== required) return
  for (const type of GLUE_TYPES) {
    const rrset = findRRset(image, node, type)
    if (rrset >= 0) response.additionals += putRRset(response, image, query, rrset, server, -1)
  }
}

const GLUE_TYPES = [TYPE.A, TYPE.AAAA] as const

/** A steered name: the client's place, its class's walk, the addresses, and the scope all of that is good for. */
function steer(
  responder: Responder,
  node: number,
  steered: number,
  type: number,
  resolver: Uint8Array,
  resolverAt: number,
  family: 4 | 6,
): number {
  const { query, response, selection, client, world } = responder
  const entry = steered * STEERED_INTS
  const service = world.services[world.image.steered[entry + S_SERVICE]!]!
  const map = world.maps[service.map]!
  responder.steered = service
  if (query.ecs && query.ecsSource > 0) {
    locate(map, query.ecsFamily === 1 ? 4 : 6, query.ecsAddress, 0, query.ecsSource, client)
    // a client without a place has its resolver's; the scope stays its own walk's
    if (client.class === CLASS_UNPLACED) client.class = classOf(map, family, resolver, resolverAt)
  } else {
    locate(map, family, resolver, resolverAt, family === 4 ? 32 : 128, client)
  }
  const network = networkKey(client.family, client.bytes, 0)
  select(service, map, client.class, responder.health, network, responder.chance, type, selection, responder.trace)
  let ttl = selection.ttlSeconds
  const cap = world.image.steered[entry + S_TTL]!
  if (cap > 0 && cap < ttl) ttl = cap
  if (responder.trace !== null) responder.trace.capped(cap)
  if (selection.lastResort) responder.counters[C_LAST_RESORT]!++
  const size = type === STEERS_A ? 4 : 16
  if (selection.useValues) {
    const values = type === STEERS_A ? service.resortA : service.resortAAAA
    for (let at = 0; at < values.length; at += size) putAddress(response, typeNumber(type), ttl, values, at, size)
  } else {
    for (let i = 0; i < selection.count; i++) {
      putAddress(response, typeNumber(type), ttl, service.address, selection.vips[i]! * 16, size)
    }
  }
  if (response.answers === 0 && !response.overflow) {
    negative(responder, node, world.image.nodes[node * NODE_INTS + N_STEERED]!)
  } else if (selection.site >= 0) responder.counters[service.counter[selection.site]!]!++
  return AA | (query.ecs && query.ecsSource > 0 ? scopeOf(client, selection.hashed) << 16 : 0)
}

/** The entry, from `first` on, that steers the types asked for (bits), whoever asks; −1 where none does. */
function entryFor({ image, services }: World, first: number, asked: number): number {
  const { steered } = image
  for (let entry = first; entry >= 0; entry = steered[entry * STEERED_INTS + S_NEXT]!) {
    const listed = steered[entry * STEERED_INTS + S_TYPES]!
    const types = listed !== 0 ? listed : services[steered[entry * STEERED_INTS + S_SERVICE]!]!.types
    if ((types & asked) !== 0) return entry
  }
  return -1
}

const typeNumber = (type: number): number => (type === STEERS_A ? TYPE.A : TYPE.AAAA)
