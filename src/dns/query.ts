/**
 * The parser of queries on the answering path: it fills one reused object and allocates nothing. Its work is bounded by
 * the packet's length, it never reads bytes behind `length`, and it never throws. Called by answer/answer.ts.
 *
 * It is strict where the RFCs are. Where they say nothing, the packet must be consistent: counts that do not match the
 * records in the packet are FORMERR, as in Knot (BIND accepts bytes behind the last record).
 */
import { CLIENT_COOKIE_BYTES, COOKIE_MOST_BYTES } from './cookie.ts'
import { hashSuffixes, labelStarts, lowerWord, MAX_LABELS, MAX_NAME_BYTES } from './name.ts'
import { OPTION, TYPE } from './types.ts'

/**
 * Results of parseQuery(): Q_OK; Q_DROP = send no answer; Q_SIGNED = it ends with a TSIG record, at `tsigAt`; the others
 * are the rcode to answer with.
 */
export const Q_OK = 0
export const Q_DROP = -1
export const Q_SIGNED = -2
export const Q_FORMERR = 1
export const Q_NOTIMP = 4
export const Q_BADVERS = 16

/** A parsed query: one object for each thread, used again for every query. */
export interface Query {
  /** The array that the packet is in, and all of that array: bytes are copied four at once. */
  packet: Uint8Array
  view: DataView
  id: number
  /** The second word of the header, as received. */
  flags: number
  /**
   * Offset in the packet of the first byte behind the question: 12 + name + 4; 0 when there is none, or it cannot be
   * read.
   */
  questionEnd: number
  /** The query name in lower-case wire form: the first `nameBytes` bytes. */
  readonly name: Uint8Array
  readonly nameView: DataView
  nameBytes: number
  /** Number of labels, without the root. */
  labels: number
  /** For each label, leftmost first, its offset in `name`; labelAt[labels] is the root. */
  readonly labelAt: Uint8Array
  /** For each label, the hash of the suffix that begins there; hashes[labels] is that of the root. See hashName(). */
  readonly hashes: Int32Array
  type: number
  class: number
  edns: boolean
  /** The largest UDP payload that the client accepts, in bytes: at least 512, which it is without EDNS. */
  payload: number
  /** The DO bit (RFC 3225). */
  dnssecOk: boolean
  /** The options that are there, bit 1 << code for each of SERVED_OPTIONS; ECS is apart. 0 for most queries. */
  options: number
  /** The COOKIE option (RFC 7873 §4): the first `cookieBytes` bytes, 8 or 16–40; 0 = there is none. */
  readonly cookie: Uint8Array
  readonly cookieView: DataView
  cookieBytes: number
  /**
   * There is an ECS option: family 1 or 2 (0 with source 0), source prefix length in bits, and the address, padded with
   * zeros.
   */
  ecs: boolean
  ecsFamily: number
  ecsSource: number
  /** 16 bytes. */
  readonly ecsAddress: Uint8Array
  /** Of a signed query: the offset in the packet of its TSIG record. */
  tsigAt: number
}

/** A Query to be filled by parseQuery(). */
export const makeQuery = (name = new Uint8Array(256), cookie = new Uint8Array(COOKIE_MOST_BYTES)): Query => ({
  packet: name,
  view: new DataView(name.buffer),
  id: 0,
  flags: 0,
  questionEnd: 0,
  name,
  nameView: new DataView(name.buffer),
  nameBytes: 0,
  labels: 0,
  labelAt: new Uint8Array(MAX_LABELS + 1),
  hashes: new Int32Array(MAX_LABELS + 1),
  type: 0,
  class: 0,
  edns: false,
  payload: 512,
  dnssecOk: false,
  options: 0,
  cookie,
  cookieView: new DataView(cookie.buffer),
  cookieBytes: 0,
  ecs: false,
  ecsFamily: 0,
  ecsSource: 0,
  ecsAddress: new Uint8Array(16),
  tsigAt: 0,
})

/** Sets the name (lower-case wire form) of a Query, as parseQuery() does. */
export function setName(q: Query, name: Uint8Array, seed: number): void {
  q.name.set(name)
  q.nameBytes = name.length
  q.labels = labelStarts(name, 0, q.labelAt)
  hashSuffixes(name, 0, q.labelAt, q.labels, q.hashes, seed)
}

/**
 * The most records behind the question, and the most EDNS options: far more than real queries have, and cheap to read.
 */
const MOST_RECORDS = 16
const MOST_OPTIONS = 64
/** The options that have a bit in Query.options. */
const SERVED_OPTIONS =
  (1 << OPTION.NSID) |
  (1 << OPTION.COOKIE) |
  (1 << OPTION.KEEPALIVE) |
  (1 << OPTION.PADDING) |
  (1 << OPTION.ZONEVERSION)
const HEADER_BYTES = 12
/** Size of a record's type, class, TTL and RDLENGTH. */
const FIXED_BYTES = 10

/**
 * Reads the query at packet[at … at + length) into `q` and returns Q_*. Q_DROP is for packets that must not be
 * answered: less than a header, or a response. Otherwise `q` has what could be read, for the reply: id and flags, the
 * question if questionEnd > 0, EDNS if there was an OPT (RFC 6891 §7: FORMERR for a bad option has an OPT too). `seed`:
 * that of the Image in which the name will be looked up. A query for a cookie alone has no question (RFC 7873 §5.4).
 */
export function parseQuery(packet: Uint8Array, at: number, length: number, q: Query, seed: number): number {
  if (q.packet !== packet) {
    q.packet = packet
    q.view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  }
  q.questionEnd = q.nameBytes = q.labels = q.type = q.class = q.options = q.cookieBytes = q.ecsFamily = q.ecsSource = 0
  q.edns = q.dnssecOk = q.ecs = false
  q.payload = 512
  if (length < HEADER_BYTES || packet[at + 2]! >= 0x80) return Q_DROP
  q.id = (packet[at]! << 8) | packet[at + 1]!
  q.flags = (packet[at + 2]! << 8) | packet[at + 3]!
  if ((q.flags & 0x7800) !== 0) {
    findOpt(packet, at, at + length, q)
    return Q_NOTIMP
  }
  const questions = count(packet, at + 4)
  if (questions > 1) return Q_FORMERR // RFC 9619
  const end = at + length
  let i = at + HEADER_BYTES
  if (questions === 1) {
    i = readQuestion(packet, i, end, q, seed)
    if (i < 0) return Q_FORMERR
    q.questionEnd = i - at
  }
  // other records that a query may have (the SOA of IXFR) are ignored, but OPT must be in additional (RFC 6891 §6.1.1)
  const before = count(packet, at + 6) + count(packet, at + 8)
  const additional = count(packet, at + 10)
  if (before + additional > MOST_RECORDS) return Q_FORMERR
  for (let n = before; n > 0; n--) {
    const fixed = skipName(packet, i, end)
    if (fixed < 0 || typeAt(packet, fixed) === TYPE.OPT || typeAt(packet, fixed) === TYPE.TSIG) return Q_FORMERR
    i = recordEnd(packet, fixed, end)
    if (i < 0) return Q_FORMERR
  }
  let verdict = Q_OK
  for (let n = additional; n > 0; n--) {
    const owner = i
    const fixed = skipName(packet, i, end)
    if (fixed < 0) return Q_FORMERR
    i = recordEnd(packet, fixed, end)
    if (i < 0) return Q_FORMERR
    const type = typeAt(packet, fixed)
    if (type !== TYPE.OPT) {
      if (type !== TYPE.TSIG) continue
      if (n > 1 || i !== end) return Q_FORMERR // RFC 8945 §5.1: it is the last record
      q.tsigAt = owner - at
      return Q_SIGNED
    }
    if (q.edns || packet[owner] !== 0) return Q_FORMERR // RFC 6891 §6.1.1, §6.1.2
    verdict = readOpt(packet, fixed, i, q)
    if (verdict === Q_FORMERR) return Q_FORMERR
  }
  if (questions === 0 && q.cookieBytes === 0 && verdict === Q_OK) return Q_FORMERR
  return i === end ? verdict : Q_FORMERR
}

/**
 * Reads the OPT of a message of another opcode, for its reply (RFC 6891 §6.1.1): UPDATE and NOTIFY are laid out as queries
 * are. What cannot be read has none.
 */
function findOpt(packet: Uint8Array, at: number, end: number, q: Query): void {
  let i = at + HEADER_BYTES
  for (let n = count(packet, at + 4); n > 0; n--) {
    const fixed = skipName(packet, i, end)
    if (fixed < 0) return // no OPT fits behind it
    i = fixed + 4
  }
  let left = count(packet, at + 6) + count(packet, at + 8) + count(packet, at + 10)
  for (; left > 0; left--) {
    const fixed = skipName(packet, i, end)
    const next = fixed < 0 ? -1 : recordEnd(packet, fixed, end)
    if (next < 0) return
    if (typeAt(packet, fixed) === TYPE.OPT && packet[i] === 0) return void readOpt(packet, fixed, next, q)
    i = next
  }
}

const count = (packet: Uint8Array, at: number): number => (packet[at]! << 8) | packet[at + 1]!

const typeAt = count

/** Reads name, type and class. Returns the index behind them; −1 when they are incomplete or the name is compressed. */
function readQuestion(packet: Uint8Array, start: number, end: number, q: Query, seed: number): number {
  const { view, name, nameView, labelAt, hashes } = q
  let i = start
  let labels = 0
  for (;;) {
    if (i + 5 > end) return -1 // the root label, type and class must still come
    const size = packet[i]!
    if (size === 0) break
    const next = i + 1 + size
    if (size > 63 || next > end || next - start >= MAX_NAME_BYTES) return -1
    labelAt[labels++] = i - start
    i = next
  }
  const bytes = i - start
  labelAt[labels] = bytes
  // type and class are behind the name, so that its last word is in the packet
  for (let at = 0; at <= bytes; at += 4) nameView.setInt32(at, lowerWord(view.getInt32(start + at)))
  q.nameBytes = bytes + 1
  q.labels = labels
  hashSuffixes(name, 0, labelAt, labels, hashes, seed)
  q.type = typeAt(packet, i + 1)
  q.class = count(packet, i + 3)
  return i + 5
}

/** The index behind a record's owner name; −1 when the record's fixed part does not fit. The labels are not checked. */
function skipName(packet: Uint8Array, start: number, end: number): number {
  let i = start
  while (i < end) {
    const size = packet[i]!
    if (size > 63) {
      i = size >= 0xc0 ? i + 2 : end
      break
    }
    i += 1 + size
    if (size === 0) break
  }
  return i + FIXED_BYTES <= end ? i : -1
}

/** The index behind the record whose type is at `fixed`; −1 when its RDATA is cut off. */
function recordEnd(packet: Uint8Array, fixed: number, end: number): number {
  const behind = fixed + FIXED_BYTES + count(packet, fixed + 8)
  return behind <= end ? behind : -1
}

/** Reads the OPT whose type is at `fixed` and whose options end at `end` (RFC 6891 §6.1.2, §6.1.3). */
function readOpt(packet: Uint8Array, fixed: number, end: number, q: Query): number {
  q.edns = true
  q.payload = Math.max(512, count(packet, fixed + 2))
  q.dnssecOk = packet[fixed + 6]! >= 0x80
  if (packet[fixed + 5] !== 0) return Q_BADVERS // options of an unknown version are not read
  let i = fixed + FIXED_BYTES
  for (let left = MOST_OPTIONS; i < end; left--) {
    if (i + 4 > end || left === 0) return Q_FORMERR
    const code = count(packet, i)
    const next = i + 4 + count(packet, i + 2)
    if (next > end) return Q_FORMERR
    if (code === OPTION.ECS) {
      if (q.ecs || !readEcs(packet, i + 4, next, q)) return Q_FORMERR
    } else if (code === OPTION.COOKIE && q.cookieBytes === 0) {
      if (!readCookie(i + 4, next, q)) return Q_FORMERR
    } else if (code === OPTION.ZONEVERSION && (next > i + 4 || (q.options & (1 << code)) !== 0)) {
      return Q_FORMERR // RFC 9660 §3.2.1
    }
    if (code < 32) q.options |= SERVED_OPTIONS & (1 << code)
    i = next
  }
  return Q_OK
}

/** RFC 7873 §5.2: 8 bytes of the client, and none or 8 to 32 of the server; of several cookies the first counts. */
function readCookie(start: number, end: number, q: Query): boolean {
  const bytes = end - start
  if (bytes !== CLIENT_COOKIE_BYTES && (bytes < 16 || bytes > COOKIE_MOST_BYTES)) return false
  let i = 0
  for (; i + 4 <= bytes; i += 4) q.cookieView.setInt32(i, q.view.getInt32(start + i))
  for (; i < bytes; i++) q.cookie[i] = q.view.getUint8(start + i)
  q.cookieBytes = bytes
  return true
}

/**
 * Reads ECS as RFC 7871 §6 requires it of a query: as many bytes as the source prefix needs, no bit set behind it,
 * scope 0, a known family. Family 0 has no addresses, only source 0: the client does not want its subnet to be used
 * (§7.1.2).
 */
function readEcs(packet: Uint8Array, start: number, end: number, q: Query): boolean {
  if (end - start < 4) return false
  const family = count(packet, start)
  const source = packet[start + 2]!
  const most = family === 1 ? 32 : family === 2 ? 128 : 0
  const bytes = end - start - 4
  if (family > 2 || source > most || packet[start + 3] !== 0 || bytes !== (source + 7) >>> 3) return false
  if ((source & 7) !== 0 && (packet[end - 1]! & (0xff >>> (source & 7))) !== 0) return false
  const address = q.ecsAddress
  for (let i = 0; i < bytes; i++) address[i] = packet[start + 4 + i]!
  for (let i = bytes; i < 16; i++) address[i] = 0
  q.ecs = true
  q.ecsFamily = family
  q.ecsSource = source
  return true
}
