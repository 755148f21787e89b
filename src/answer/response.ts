/**
 * Writes a response: header, question, records, compressed names, OPT, truncation. Only this file knows how much room
 * is left. Each answering thread has one Response, used again for every query; nothing is allocated on the steered
 * path.
 */
import type { Query } from '../dns/query.ts'
import { TYPE } from '../dns/types.ts'
import { EDE_NONE } from './ede.ts'
import {
  type Image,
  N_NAME,
  N_NAME_BYTES,
  namesIn,
  NEGATIVE_SOA,
  NODE_INTS,
  R_AT,
  R_COUNT,
  R_NAMES,
  R_SIZE,
  R_TYPE,
  upOf,
} from '../zone/image.ts'
import { RECORD_HEAD, recordEnd, recordTtl } from '../zone/pack.ts'

/** Our UDP payload size in bytes (DNS Flag Day 2020): announced in OPT, and the limit of every response over UDP. */
export const PAYLOAD_BYTES = 1232

/** How many names of one message can be targets of compression pointers: more than a message over UDP has. */
const POINTERS = 1024
const SLOTS = 2 * POINTERS
const SLOT_SHIFT = 32 - Math.log2(SLOTS)
const OFFSET_BITS = 14
const LAST_POINTABLE = 2 ** OFFSET_BITS - 1
const STAMPS = 2 ** (32 - OFFSET_BITS)
const FLAG_TC = 0x0200

const QUERY_NAME_AT = 12
/** In place of a name's number: the query name. So is −n for any name that the message has at its byte n. */
export const QUERY_NAME = -QUERY_NAME_AT

/** More than all options that a response may have. */
const OPTIONS_MOST_BYTES = 1024

/** A response while it is written. */
export interface Response {
  out: Uint8Array
  /** All of `out`. */
  view: DataView
  /**
   * Indexes into `out`: the message's first byte, the next byte to write, and the end of its room, less what OPT takes.
   */
  start: number
  at: number
  limit: number
  /** A record did not fit: the response will be truncated. */
  overflow: boolean
  answers: number
  authorities: number
  additionals: number
  /** The options of OPT after ECS, as they are sent: the first `optionBytes` bytes. */
  readonly options: Uint8Array
  readonly optionsView: DataView
  optionBytes: number
  /** EDE_* of ede.ts: what is to be said about the response. */
  ede: number
  /** The query name's closest encloser: a node. */
  known: number
  /** How many names and suffixes of names can be pointed to so far, and their slots in `keys`. */
  names: number
  readonly slots: Int32Array
  /**
   * Hash table, open addressing, load ≤ 0.5. `keys`: a name's number; `places`: the message's stamp and, below, the
   * offset.
   */
  readonly keys: Int32Array
  readonly places: Int32Array
  stamp: number
}

/** A Response to be started by begin(). */
export const makeResponse = (options = new Uint8Array(OPTIONS_MOST_BYTES)): Response => ({
  out: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  start: 0,
  at: 0,
  limit: 0,
  overflow: false,
  answers: 0,
  authorities: 0,
  additionals: 0,
  options,
  optionsView: new DataView(options.buffer),
  optionBytes: 0,
  ede: EDE_NONE,
  known: -1,
  names: 0,
  slots: new Int32Array(POINTERS),
  keys: new Int32Array(SLOTS),
  places: new Int32Array(SLOTS),
  stamp: 0,
})

/** Size in bytes of the OPT record that ends the response, without its options but ECS; 0 when the query had no EDNS. */
export function optBytes(query: Query): number {
  if (!query.edns) return 0
  return query.ecs ? 19 + ((query.ecsSource + 7) >>> 3) : 11
}

/**
 * Starts a message: copies the question from the packet that `query` was read from, at its byte `from`; records follow.
 * False when not even an empty response fits the room.
 */
export function begin(
  response: Response,
  query: Query,
  from: number,
  out: Uint8Array,
  start: number,
  room: number,
): boolean {
  const questionEnd = query.questionEnd > 12 ? query.questionEnd : 12
  if (response.out !== out) {
    response.out = out
    response.view = new DataView(out.buffer, out.byteOffset, out.length)
  }
  response.start = start
  response.at = start + questionEnd
  response.limit = start + room - optBytes(query)
  response.overflow = false
  response.answers = 0
  response.authorities = 0
  response.additionals = 0
  response.optionBytes = 0
  response.ede = EDE_NONE
  response.known = -1
  response.names = 0
  if (response.at > response.limit) return false
  if (questionEnd > 12) {
    // four bytes at once; the last four overlap others, for no question is shorter
    const { view } = response
    const last = questionEnd - 4
    for (let i = 12; i < last; i += 4) view.setInt32(start + i, query.view.getInt32(from + i))
    view.setInt32(start + last, query.view.getInt32(from + last))
  }
  return true
}

/**
 * Adds an option to OPT, the first `size` bytes of `data`: less is left for records. Only for queries with EDNS. False
 * when there is no room.
 */
export function addOption(response: Response, code: number, data: Uint8Array, size: number): boolean {
  const { options } = response
  let at = response.optionBytes
  if (response.at + 4 + size > response.limit || at + 4 + size > options.length) return false
  options[at++] = code >>> 8
  options[at++] = code & 255
  options[at++] = size >>> 8
  options[at++] = size & 255
  for (let i = 0; i < size; i++) options[at++] = data[i]!
  response.optionBytes = at
  response.limit -= 4 + size
  return true
}

/** RFC 2181 §9: a section that does not fit is not sent in part; OPT stays (RFC 6891 §7). */
export function dropRecords(response: Response, query: Query): void {
  response.at = response.start + (query.questionEnd > 12 ? query.questionEnd : 12)
  response.answers = 0
  response.authorities = 0
  response.additionals = 0
}

/** Ends a message: writes header, section counts and OPT. Returns its size in bytes. `scope`: ECS scope, in bits. */
export function finish(response: Response, query: Query, flags: number, rcode: number, scope: number): number {
  const { out, start } = response
  if (response.overflow) dropRecords(response, query)
  const word = flags | (response.overflow ? FLAG_TC : 0) | (rcode & 15)
  out[start] = query.id >>> 8
  out[start + 1] = query.id & 255
  out[start + 2] = word >>> 8
  out[start + 3] = word & 255
  out[start + 4] = 0
  out[start + 5] = query.questionEnd > 12 ? 1 : 0
  out[start + 6] = response.answers >>> 8
  out[start + 7] = response.answers & 255
  out[start + 8] = response.authorities >>> 8
  out[start + 9] = response.authorities & 255
  const additionals = response.additionals + (query.edns ? 1 : 0)
  out[start + 10] = additionals >>> 8
  out[start + 11] = additionals & 255
  if (query.edns) writeOpt(response, query, rcode, scope)
  return response.at - start
}

/** RFC 6891 §6.1.2, RFC 7871 §6: family, source and address are echoed exactly. */
function writeOpt(response: Response, query: Query, rcode: number, scope: number): void {
  const { out, view, options, optionsView, optionBytes } = response
  let at = response.at
  const addressBytes = query.ecs ? (query.ecsSource + 7) >>> 3 : 0
  out[at++] = 0
  out[at++] = 0
  out[at++] = 41
  out[at++] = PAYLOAD_BYTES >>> 8
  out[at++] = PAYLOAD_BYTES & 255
  out[at++] = rcode >>> 4
  out[at++] = 0
  out[at++] = query.dnssecOk ? 0x80 : 0 // RFC 3225 §3: DO is copied
  out[at++] = 0
  const size = (query.ecs ? 8 + addressBytes : 0) + optionBytes
  out[at++] = size >>> 8
  out[at++] = size & 255
  if (query.ecs) {
    out[at++] = 0
    out[at++] = 8
    out[at++] = 0
    out[at++] = 4 + addressBytes
    out[at++] = query.ecsFamily >>> 8
    out[at++] = query.ecsFamily & 255
    out[at++] = query.ecsSource
    out[at++] = scope
    for (let i = 0; i < addressBytes; i++) out[at++] = query.ecsAddress[i]!
  }
  let i = 0
  for (; i + 4 <= optionBytes; i += 4, at += 4) view.setInt32(at, optionsView.getInt32(i))
  for (; i < optionBytes; i++) out[at++] = options[i]!
  response.at = at
}

/** Writes an A or AAAA record of the query name: the address is `size` bytes (4 or 16) at bytes[from]. */
export function putAddress(
  response: Response,
  type: number,
  ttlSeconds: number,
  bytes: Uint8Array,
  from: number,
  size: number,
): void {
  const { out } = response
  let at = response.at
  if (at + 12 + size > response.limit) {
    response.overflow = true
    return
  }
  out[at++] = 0xc0
  out[at++] = 12
  out[at++] = 0
  out[at++] = type
  out[at++] = 0
  out[at++] = 1
  out[at++] = ttlSeconds >>> 24
  out[at++] = (ttlSeconds >>> 16) & 255
  out[at++] = (ttlSeconds >>> 8) & 255
  out[at++] = ttlSeconds & 255
  out[at++] = 0
  out[at++] = size
  for (let i = 0; i < size; i++) out[at++] = bytes[from + i]!
  response.at = at
  response.answers++
}

/** Writes a TXT record of the query name, in class `clas`, with a TTL of 0. `rdata`: at most 256 bytes. */
export function putText(response: Response, clas: number, rdata: Uint8Array): void {
  if (response.at + 12 + rdata.length > response.limit) {
    response.overflow = true
    return
  }
  const { out } = response
  putPointer(response, QUERY_NAME_AT)
  putHead(response, TYPE.TXT, 0, rdata.length)
  out[response.at - 7] = clas
  for (let i = 0; i < rdata.length; i++) out[response.at++] = rdata[i]!
  response.answers++
}

/** Writes the HINFO record that answers ANY (RFC 8482 §4.2). */
export function putHinfo(response: Response, ttlSeconds: number): void {
  if (response.at + 21 > response.limit) {
    response.overflow = true
    return
  }
  const text = 'RFC8482'
  const { out } = response
  putPointer(response, QUERY_NAME_AT)
  putHead(response, 13, ttlSeconds, text.length + 2)
  out[response.at++] = text.length
  for (let i = 0; i < text.length; i++) out[response.at++] = text.charCodeAt(i)
  out[response.at++] = 0
  response.answers++
}

/** Writes a pointer to the name that the message has at its byte `to`. The caller has checked the room. */
export function putPointer(response: Response, to: number): void {
  const { out, at } = response
  out[at] = 0xc0 | (to >>> 8)
  out[at + 1] = to & 255
  response.at = at + 2
}

/** Writes type, class IN, TTL and RDLENGTH. The caller has checked the room. */
export function putHead(response: Response, type: number, ttlSeconds: number, size: number): void {
  const { out, at } = response
  out[at] = type >>> 8
  out[at + 1] = type & 255
  out[at + 2] = 0
  out[at + 3] = 1
  out[at + 4] = ttlSeconds >>> 24
  out[at + 5] = (ttlSeconds >>> 16) & 255
  out[at + 6] = (ttlSeconds >>> 8) & 255
  out[at + 7] = ttlSeconds & 255
  out[at + 8] = size >>> 8
  out[at + 9] = size & 255
  response.at = at + 10
}

/**
 * Makes the suffixes of the query name that the zones know (`known` and up) targets of pointers. Called before the
 * first name is written; a response without names skips the work.
 */
function rememberQuestion(response: Response, image: Image, query: Query): void {
  if (response.names > 0) return
  // the stamp distinguishes this message's names from those of earlier messages, so the table need not be cleared
  if (++response.stamp === STAMPS) {
    response.places.fill(0)
    response.stamp = 1
  }
  const end = QUERY_NAME_AT + query.nameBytes
  const { nodes } = image
  for (let node = response.known; node >= 0; node = upOf(nodes, node)) {
    const size = nodes[node * NODE_INTS + N_NAME_BYTES]!
    if (size > 1) remember(response, node, end - size) // the root is written as it is
  }
}

const slotOf = (name: number): number => Math.imul(name, 0x9e3779b1) >>> SLOT_SHIFT

function remember(response: Response, name: number, offset: number): void {
  if (response.names === POINTERS || offset > LAST_POINTABLE) return
  const { keys, places, stamp } = response
  let slot = slotOf(name)
  while (places[slot]! >>> OFFSET_BITS === stamp) slot = (slot + 1) & (SLOTS - 1)
  keys[slot] = name
  places[slot] = (stamp << OFFSET_BITS) | offset
  response.slots[response.names++] = slot
}

/** The offset of a name in the message; −1 when it is not written yet. */
function offsetOf(response: Response, name: number): number {
  const { keys, places, stamp } = response
  for (let slot = slotOf(name); places[slot]! >>> OFFSET_BITS === stamp; slot = (slot + 1) & (SLOTS - 1)) {
    if (keys[slot] === name) return places[slot]! & LAST_POINTABLE
  }
  return -1
}

/** Forgets all names but the first `names`: taken back in reverse order, they leave no gap in the hash table. */
function forget(response: Response, names: number): void {
  while (response.names > names) response.places[response.slots[--response.names]!] = 0
}

/**
 * Writes a name; its longest suffix that the message has already becomes a pointer (RFC 1035 §4.1.4). False: no room.
 */
function putName(response: Response, image: Image, name: number): boolean {
  const { out } = response
  const { nodes, bytes } = image
  const size = nodes[name * NODE_INTS + N_NAME_BYTES]!
  let pointer = -1
  let known = name
  let left = size
  while (left > 1) {
    pointer = offsetOf(response, known)
    if (pointer >= 0) break
    known = upOf(nodes, known)
    left = nodes[known * NODE_INTS + N_NAME_BYTES]!
  }
  let at = response.at
  const end = at + size - left
  if (end + (pointer >= 0 ? 2 : 1) > response.limit) return false
  const behind = at - response.start + size
  for (let suffix = name; suffix !== known; suffix = upOf(nodes, suffix)) {
    remember(response, suffix, behind - nodes[suffix * NODE_INTS + N_NAME_BYTES]!)
  }
  for (let from = nodes[name * NODE_INTS + N_NAME]!; at < end; from++) out[at++] = bytes[from]!
  if (pointer >= 0) {
    out[at++] = 0xc0 | (pointer >>> 8)
    out[at++] = pointer & 255
  } else out[at++] = 0
  response.at = at
  return true
}

/**
 * Writes a whole RRset of the Image. `owner`: the number of its owner name, or −n for the name that the
 * message has at its byte n; `ttlSeconds` −1 = as stored.
 * Returns the number of records written; when the set does not fit, 0, and nothing of it stays in the message.
 */
export function putRRset(
  response: Response,
  image: Image,
  query: Query,
  rrset: number,
  owner: number,
  ttlSeconds: number,
): number {
  const named = namesIn(image.rrsets[rrset + R_TYPE]!)
  if (named > 0 || owner >= 0) rememberQuestion(response, image, query)
  const undo = response.at
  const names = response.names
  const pointer = owner < 0 ? -owner : offsetOf(response, owner)
  const whole =
    named > 0
      ? putNamed(response, image, rrset, named, owner, pointer, ttlSeconds)
      : putPlain(response, image, rrset, owner, pointer)
  if (whole) return image.rrsets[rrset + R_COUNT]!
  response.at = undo
  forget(response, names)
  response.overflow = true
  return 0
}

/**
 * Writes a CNAME record that is no record of the zones. `owner`: as in putRRset(). Its target is the first `prefix` bytes of the
 * name at name[at …], followed by the name that the message has at its byte `targetAt`, or, where that is 0, by the
 * `size` bytes at target[from …]. Returns the offset of the CNAME's target in the message; 0: no room.
 */
export function putAlias(
  response: Response,
  image: Image,
  owner: number,
  ttlSeconds: number,
  name: Uint8Array,
  at: number,
  prefix: number,
  targetAt: number,
  target: Uint8Array,
  from: number,
  size: number,
): number {
  const { out } = response
  const undo = response.at
  const rest = targetAt > 0 ? 2 : size
  const pointer = owner < 0 ? -owner : offsetOf(response, owner)
  if (!putOwner(response, image, owner, pointer) || response.at + 10 + prefix + rest > response.limit) {
    response.at = undo
    response.overflow = true
    return 0
  }
  putHead(response, TYPE.CNAME, ttlSeconds, prefix + rest)
  const offset = response.at - response.start
  for (let i = 0; i < prefix; i++) out[response.at++] = name[at + i]!
  if (targetAt > 0) putPointer(response, targetAt)
  else for (let i = 0; i < size; i++) out[response.at++] = target[from + i]!
  response.answers++
  return offset
}

/** Writes the owner name. `pointer`: its offset in the message, −1 when it is not there yet. */
function putOwner(response: Response, image: Image, owner: number, pointer: number): boolean {
  if (pointer < 0) return putName(response, image, owner)
  if (response.at + 2 > response.limit) return false
  putPointer(response, pointer)
  return true
}

/** Writes an RRset whose RDATA has no names to compress: only the owner differs from what is stored. */
function putPlain(response: Response, image: Image, rrset: number, owner: number, pointer: number): boolean {
  const { out } = response
  const { bytes } = image
  const count = image.rrsets[rrset + R_COUNT]!
  if (pointer >= 0 && response.at + image.rrsets[rrset + R_SIZE]! > response.limit) return false
  let from = image.rrsets[rrset + R_AT]!
  for (let i = 0; i < count; i++) {
    if (!putOwner(response, image, owner, pointer)) return false
    const end = recordEnd(bytes, from)
    let at = response.at
    if (at + end - from - 2 > response.limit) return false
    for (from += 2; from < end; from++) out[at++] = bytes[from]!
    response.at = at
  }
  return true
}

/** Writes an RRset with `named` names in each RDATA: at its start, or after MX's preference. */
function putNamed(
  response: Response,
  image: Image,
  rrset: number,
  named: number,
  owner: number,
  pointer: number,
  ttlSeconds: number,
): boolean {
  const { out } = response
  const { bytes, refs, nodes } = image
  const type = image.rrsets[rrset + R_TYPE]!
  const ahead = type === TYPE.MX ? 2 : 0
  let ref = image.rrsets[rrset + R_NAMES]!
  let from = image.rrsets[rrset + R_AT]!
  const ttl = ttlSeconds < 0 ? recordTtl(bytes, from) : ttlSeconds
  for (let left = image.rrsets[rrset + R_COUNT]!; left > 0; left--) {
    if (!putOwner(response, image, owner, pointer)) return false
    const rdataAt = response.at + 10
    if (rdataAt + ahead > response.limit) return false
    putHead(response, type === NEGATIVE_SOA ? TYPE.SOA : type, ttl, 0)
    let read = from + RECORD_HEAD
    from = recordEnd(bytes, from)
    for (const rdata = read + ahead; read < rdata;) out[response.at++] = bytes[read++]!
    for (let n = 0; n < named; n++) {
      const name = refs[ref++]!
      if (!putName(response, image, name)) return false
      read += nodes[name * NODE_INTS + N_NAME_BYTES]!
    }
    let at = response.at
    if (at + from - read > response.limit) return false
    while (read < from) out[at++] = bytes[read++]!
    response.at = at
    out[rdataAt - 2] = (at - rdataAt) >>> 8
    out[rdataAt - 1] = (at - rdataAt) & 255
  }
  return true
}
