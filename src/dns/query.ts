/**
 * A query, as the answering path reads it: one reused object of numbers and some scratch arrays; nothing is allocated.
 * Work is bounded by the packet's length; bytes behind `length` are never read; nothing throws.
 *
 * Strict where the RFCs are, and where they say nothing as strict as the packet's own words: counts that promise more
 * or fewer records than there are bytes are FORMERR (so does Knot; BIND lets bytes behind the last record pass).
 */
import { hashSuffixes, labelStarts, LOWER, MAX_LABELS, MAX_NAME_BYTES } from './name.ts'
import { OPTION, TYPE } from './types.ts'

/** What is wrong with a packet: DROP = answer nothing; the others are the rcode to answer with. */
export const Q_OK = 0
export const Q_DROP = -1
export const Q_FORMERR = 1
export const Q_NOTIMP = 4
export const Q_BADVERS = 16

export interface Query {
  id: number
  /** Second word of the header as it came. */
  flags: number
  /** First byte behind the question, from the start of the packet: 12 + qname + 4. 0 when the question is unreadable. */
  questionEnd: number
  /** Query name in lower-case wire form, at the start of this scratch (255 bytes). */
  readonly name: Uint8Array
  nameBytes: number
  /** Labels without the root. */
  labels: number
  /** Per label, leftmost first: where it starts in `name`; labelAt[labels] is the root's. */
  readonly labelAt: Uint8Array
  /** Per label: hash of the suffix that starts there (hash of the root at [labels]); see hashName(). */
  readonly hashes: Int32Array
  type: number
  class: number
  edns: boolean
  /** Payload size the client takes; 512 without EDNS, never below. */
  payload: number
  /** DO bit. */
  dnssecOk: boolean
  /** ECS present: family 1 or 2 (0 with source 0), source prefix length, and the address, zero behind its bytes. */
  ecs: boolean
  ecsFamily: number
  ecsSource: number
  /** 16 bytes. */
  readonly ecsAddress: Uint8Array
}

export const makeQuery = (): Query => ({
  id: 0,
  flags: 0,
  questionEnd: 0,
  name: new Uint8Array(256),
  nameBytes: 0,
  labels: 0,
  labelAt: new Uint8Array(MAX_LABELS + 1),
  hashes: new Int32Array(MAX_LABELS + 1),
  type: 0,
  class: 0,
  edns: false,
  payload: 512,
  dnssecOk: false,
  ecs: false,
  ecsFamily: 0,
  ecsSource: 0,
  ecsAddress: new Uint8Array(16),
})

/** Puts a name (lower-case wire form) where parseQuery() puts the query's. */
export function setName(q: Query, name: Uint8Array, seed: number): void {
  q.name.set(name)
  q.nameBytes = name.length
  q.labels = labelStarts(name, 0, q.labelAt)
  hashSuffixes(name, 0, q.labelAt, q.labels, q.hashes, seed)
}

/** Of records behind the question, and of EDNS options: far more than any query has, and so few that none costs many others. */
const MOST_RECORDS = 16
const MOST_OPTIONS = 64
const HEADER_BYTES = 12
/** Type, class, TTL and RDLENGTH of a record. */
const FIXED_BYTES = 10

/**
 * Reads the query at packet[at … at + length) into `q` and returns Q_*; Q_DROP is for what must not be answered at all:
 * less than a header, or a response. Otherwise `q` holds what was readable, so that the reply can echo it: id, flags,
 * the question when questionEnd > 0, EDNS when there was an OPT (RFC 6891 §7: a bad option's FORMERR carries OPT too).
 * `seed`: of the Image in which the name will be looked up.
 */
export function parseQuery(packet: Uint8Array, at: number, length: number, q: Query, seed: number): number {
  q.questionEnd = q.nameBytes = q.labels = q.type = q.class = q.ecsFamily = q.ecsSource = 0
  q.edns = q.dnssecOk = q.ecs = false
  q.payload = 512
  if (length < HEADER_BYTES || packet[at + 2]! >= 0x80) return Q_DROP
  q.id = (packet[at]! << 8) | packet[at + 1]!
  q.flags = (packet[at + 2]! << 8) | packet[at + 3]!
  if ((q.flags & 0x7800) !== 0) return Q_NOTIMP
  if (packet[at + 4] !== 0 || packet[at + 5] !== 1) return Q_FORMERR // RFC 9619
  const end = at + length
  let i = readQuestion(packet, at + HEADER_BYTES, end, q, seed)
  if (i < 0) return Q_FORMERR
  q.questionEnd = i - at
  // Records that a query may bring along (IXFR's SOA) mean nothing here, but OPT has its place (RFC 6891 §6.1.1).
  const before = count(packet, at + 6) + count(packet, at + 8)
  const additional = count(packet, at + 10)
  if (before + additional > MOST_RECORDS) return Q_FORMERR
  for (let n = before; n > 0; n--) {
    const fixed = skipName(packet, i, end)
    if (fixed < 0 || typeAt(packet, fixed) === TYPE.OPT) return Q_FORMERR
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
    if (typeAt(packet, fixed) !== TYPE.OPT) continue
    if (q.edns || packet[owner] !== 0) return Q_FORMERR // RFC 6891 §6.1.1, §6.1.2
    verdict = readOpt(packet, fixed, i, q)
    if (verdict === Q_FORMERR) return Q_FORMERR
  }
  return i === end ? verdict : Q_FORMERR
}

const count = (packet: Uint8Array, at: number): number => (packet[at]! << 8) | packet[at + 1]!

const typeAt = count

/** Name, type and class; the index behind them, −1 when they aren't whole or the name is compressed. */
function readQuestion(packet: Uint8Array, start: number, end: number, q: Query, seed: number): number {
  const { name, labelAt, hashes } = q
  let i = start
  let bytes = 0
  let labels = 0
  for (;;) {
    if (i + 5 > end) return -1 // the root label, type and class must still come
    const size = packet[i]!
    if (size === 0) break
    const next = i + 1 + size
    if (size > 63 || next > end || bytes + 1 + size >= MAX_NAME_BYTES) return -1
    labelAt[labels++] = bytes
    name[bytes++] = size
    while (++i < next) name[bytes++] = LOWER[packet[i]!]!
  }
  labelAt[labels] = bytes
  name[bytes] = 0
  q.nameBytes = bytes + 1
  q.labels = labels
  hashSuffixes(name, 0, labelAt, labels, hashes, seed)
  q.type = typeAt(packet, i + 1)
  q.class = count(packet, i + 3)
  return i + 5
}

/** The index behind a name, where a record's fixed part fits too; −1 without. Its labels are nobody's business. */
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

/** The index behind the record whose type is at `fixed`; −1 when its RDATA is not all there. */
function recordEnd(packet: Uint8Array, fixed: number, end: number): number {
  const behind = fixed + FIXED_BYTES + count(packet, fixed + 8)
  return behind <= end ? behind : -1
}

/** OPT whose type is at `fixed` and whose options end at `end` (RFC 6891 §6.1.2, §6.1.3). */
function readOpt(packet: Uint8Array, fixed: number, end: number, q: Query): number {
  q.edns = true
  q.payload = Math.max(512, count(packet, fixed + 2))
  q.dnssecOk = packet[fixed + 6]! >= 0x80
  if (packet[fixed + 5] !== 0) return Q_BADVERS // options of a version nobody knows are not read
  let i = fixed + FIXED_BYTES
  for (let left = MOST_OPTIONS; i < end; left--) {
    if (i + 4 > end || left === 0) return Q_FORMERR
    const code = count(packet, i)
    const next = i + 4 + count(packet, i + 2)
    if (next > end) return Q_FORMERR
    if (code === OPTION.ECS && (q.ecs || !readEcs(packet, i + 4, next, q))) return Q_FORMERR
    i = next
  }
  return Q_OK
}

/**
 * ECS as RFC 7871 §6 wants it of a query: exactly the bytes that the source prefix needs, no bit set behind it, scope 0,
 * a family that exists. Family 0 has no addresses: only source 0, the client's wish to stay unnamed (§7.1.2).
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
