/**
 * Writing a response: header, question, records, names and their compression, OPT, truncation. The only place that knows
 * the room. One reused object for an answering thread; nothing is allocated on the steered path.
 */
import { hashLabel, ROOT_HASH } from '../dns/name.ts'
import type { Query } from '../dns/query.ts'
import { TYPE } from '../dns/types.ts'
import { R_AT, R_COUNT, R_TYPE, type Image } from '../zone/image.ts'
import { RECORD_HEAD } from '../zone/pack.ts'

/** Our own payload size (DNS Flag Day 2020), told in OPT and the most that UDP gets. */
export const PAYLOAD_BYTES = 1232

const POINTERS = 48
const LAST_POINTABLE = 0x3fff
const FLAG_TC = 0x0200

export interface Response {
  out: Uint8Array
  /** Where the message starts in `out`, the next byte, and the first byte that it must not reach (OPT's room taken off). */
  start: number
  at: number
  limit: number
  /** A record did not fit. */
  overflow: boolean
  answers: number
  authorities: number
  additionals: number
  /** Names written so far: suffix hash, where its bytes are, where it was written. */
  names: number
  readonly nameHash: Int32Array
  readonly nameFrom: Int32Array
  readonly nameBytes: Int32Array
  readonly nameAt: Int32Array
  readonly nameSource: Uint8Array[]
  readonly hashes: Int32Array
  readonly labelAt: Uint8Array
}

export const makeResponse = (): Response => ({
  out: new Uint8Array(0),
  start: 0,
  at: 0,
  limit: 0,
  overflow: false,
  answers: 0,
  authorities: 0,
  additionals: 0,
  names: 0,
  nameHash: new Int32Array(POINTERS),
  nameFrom: new Int32Array(POINTERS),
  nameBytes: new Int32Array(POINTERS),
  nameAt: new Int32Array(POINTERS),
  nameSource: Array.from({ length: POINTERS }, () => new Uint8Array(0)),
  hashes: new Int32Array(128),
  labelAt: new Uint8Array(128),
})

/** Bytes of the OPT record that will end the response: 0 without EDNS. */
export function optBytes(query: Query): number {
  if (!query.edns) return 0
  return query.ecs ? 19 + ((query.ecsSource + 7) >>> 3) : 11
}

/** Starts a message behind the copied question. False when not even an empty response fits the room. */
export function begin(
  response: Response,
  query: Query,
  input: Uint8Array,
  from: number,
  out: Uint8Array,
  start: number,
  room: number,
): boolean {
  const questionBytes = query.questionEnd > 12 ? query.questionEnd - 12 : 0
  response.out = out
  response.start = start
  response.at = start + 12 + questionBytes
  response.limit = start + room - optBytes(query)
  response.overflow = false
  response.answers = 0
  response.authorities = 0
  response.additionals = 0
  response.names = 0
  if (response.at > response.limit) return false
  for (let i = 12; i < 12 + questionBytes; i++) out[start + i] = input[from + i]!
  return true
}

/** Writes header, section counts and OPT; returns the message's bytes. `scope` is the ECS scope of the answer. */
export function finish(response: Response, query: Query, flags: number, rcode: number, scope: number): number {
  const { out, start } = response
  if (response.overflow) {
    // RFC 2181 §9: what does not fit is not sent in part; OPT stays (RFC 6891 §7)
    response.at = start + (query.questionEnd > 12 ? query.questionEnd : 12)
    response.answers = 0
    response.authorities = 0
    response.additionals = 0
  }
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
  const { out } = response
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
  out[at++] = 0
  out[at++] = query.ecs ? 8 + addressBytes : 0
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
  response.at = at
}

/** One address record of the query name: 4 or 16 bytes at `from` in `bytes`. */
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

/** RFC 8482 §4.2: what ANY gets. */
export function putHinfo(response: Response, ttlSeconds: number): void {
  if (response.at + 21 > response.limit) {
    response.overflow = true
    return
  }
  const text = 'RFC8482'
  const { out } = response
  putPointer(response, 12)
  putHead(response, 13, ttlSeconds, text.length + 2)
  out[response.at++] = text.length
  for (let i = 0; i < text.length; i++) out[response.at++] = text.charCodeAt(i)
  out[response.at++] = 0
  response.answers++
}

function putPointer(response: Response, to: number): void {
  response.out[response.at++] = 0xc0 | (to >>> 8)
  response.out[response.at++] = to & 255
}

/** Type, class IN, TTL, RDLENGTH. The caller has checked the room. */
function putHead(response: Response, type: number, ttlSeconds: number, size: number): void {
  const { out } = response
  out[response.at++] = type >>> 8
  out[response.at++] = type & 255
  out[response.at++] = 0
  out[response.at++] = 1
  out[response.at++] = ttlSeconds >>> 24
  out[response.at++] = (ttlSeconds >>> 16) & 255
  out[response.at++] = (ttlSeconds >>> 8) & 255
  out[response.at++] = ttlSeconds & 255
  out[response.at++] = size >>> 8
  out[response.at++] = size & 255
}

/** The query name is there to be pointed to; called once before names are written. */
export function rememberQuestion(response: Response, query: Query): void {
  if (response.names > 0) return
  for (let label = 0; label < query.labels; label++) {
    const from = query.labelAt[label]!
    remember(response, query.hashes[label]!, query.name, from, query.nameBytes - from, 12 + from)
  }
}

function remember(response: Response, hash: number, source: Uint8Array, from: number, bytes: number, at: number): void {
  if (response.names === POINTERS || at > LAST_POINTABLE) return
  const n = response.names++
  response.nameHash[n] = hash
  response.nameSource[n] = source
  response.nameFrom[n] = from
  response.nameBytes[n] = bytes
  response.nameAt[n] = at
}

/** Offset in the message of a name already written that equals `source[from … from + bytes)`, or −1. */
function pointerTo(response: Response, hash: number, source: Uint8Array, from: number, bytes: number): number {
  for (let n = 0; n < response.names; n++) {
    if (response.nameHash[n] !== hash || response.nameBytes[n] !== bytes) continue
    const other = response.nameSource[n]!
    const base = response.nameFrom[n]!
    let i = 0
    while (i < bytes && other[base + i] === source[from + i]) i++
    if (i === bytes) return response.nameAt[n]!
  }
  return -1
}

/** Where the labels of the wire name at `source[from]` start, counted from there, and the hash of each suffix. Returns the labels. */
export function layOutName(source: Uint8Array, from: number, labelAt: Uint8Array, hashes: Int32Array): number {
  let labels = 0
  let at = from
  for (; source[at] !== 0; at += 1 + source[at]!) labelAt[labels++] = at - from
  labelAt[labels] = at - from
  hashes[labels] = ROOT_HASH
  for (let label = labels - 1; label >= 0; label--) {
    hashes[label] = hashLabel(hashes[label + 1]!, source, from + labelAt[label]!)
  }
  return labels
}

/** Writes a wire name, its longest known suffix as a pointer (RFC 1035 §4.1.4). Returns bytes read from `source`, 0 when full. */
function putName(response: Response, source: Uint8Array, from: number): number {
  const labels = layOutName(source, from, response.labelAt, response.hashes)
  const bytes = response.labelAt[labels]! + 1
  const { out } = response
  for (let label = 0; label < labels; label++) {
    const offset = response.labelAt[label]!
    const pointer = pointerTo(response, response.hashes[label]!, source, from + offset, bytes - offset)
    if (pointer >= 0) {
      if (response.at + 2 > response.limit) return 0
      putPointer(response, pointer)
      return bytes
    }
    const size = source[from + offset]! + 1
    if (response.at + size > response.limit) return 0
    const at = response.at - response.start
    remember(response, response.hashes[label]!, source, from + offset, bytes - offset, at)
    for (let i = 0; i < size; i++) out[response.at++] = source[from + offset + i]!
  }
  if (response.at + 1 > response.limit) return 0
  out[response.at++] = 0
  return bytes
}

/** Names at the start of the RDATA behind `head` fixed bytes that may be compressed: RFC 3597 §4 names no others. */
function compressible(type: number): number {
  if (type === TYPE.NS || type === TYPE.CNAME || type === TYPE.PTR) return 1
  if (type === TYPE.MX) return 1
  return type === TYPE.SOA ? 2 : 0
}

/**
 * Writes a whole RRset of the image. Its owner is the wire name at `names[from]`, or the query name where `names` is null;
 * `ttlSeconds` −1 = as stored. Returns the records written; on overflow 0, and nothing of the set stays.
 */
export function putRRset(
  response: Response,
  image: Image,
  rrset: number,
  names: Uint8Array | null,
  from: number,
  ttlSeconds: number,
): number {
  const { bytes } = image
  const named = compressible(image.rrsets[rrset + R_TYPE]!)
  const count = image.rrsets[rrset + R_COUNT]!
  const undo = response.at
  const undoNames = response.names
  let at = image.rrsets[rrset + R_AT]!
  for (let i = 0; i < count; i++) {
    if (!putRecord(response, bytes, at, named, names, from, ttlSeconds)) {
      response.at = undo
      response.names = undoNames
      response.overflow = true
      return 0
    }
    at += RECORD_HEAD + ((bytes[at + 10]! << 8) | bytes[at + 11]!)
  }
  return count
}

function putRecord(
  response: Response,
  bytes: Uint8Array,
  from: number,
  named: number,
  owner: Uint8Array | null,
  ownerFrom: number,
  ttlSeconds: number,
): boolean {
  if (response.at + 2 > response.limit) return false
  if (owner === null) putPointer(response, 12)
  else if (putName(response, owner, ownerFrom) === 0) return false
  if (response.at + 10 > response.limit) return false
  const type = (bytes[from + 2]! << 8) | bytes[from + 3]!
  const size = (bytes[from + 10]! << 8) | bytes[from + 11]!
  const stored =
    ((bytes[from + 6]! << 24) | (bytes[from + 7]! << 16) | (bytes[from + 8]! << 8) | bytes[from + 9]!) >>> 0
  putHead(response, type, ttlSeconds < 0 ? stored : ttlSeconds, size)
  const rdataAt = response.at
  let read = from + RECORD_HEAD
  const end = read + size
  const { out } = response
  if (type === TYPE.MX) {
    if (response.at + 2 > response.limit) return false
    out[response.at++] = bytes[read++]!
    out[response.at++] = bytes[read++]!
  }
  for (let name = 0; name < named; name++) {
    const taken = putName(response, bytes, read)
    if (taken === 0) return false
    read += taken
  }
  if (response.at + end - read > response.limit) return false
  while (read < end) out[response.at++] = bytes[read++]!
  const written = response.at - rdataAt
  out[rdataAt - 2] = written >>> 8
  out[rdataAt - 1] = written & 255
  return true
}
