/**
 * Zone transfers to secondaries (RFC 5936, RFC 1995): who may take a zone, and the messages of a response that needs many.
 * respond() starts a Transfer; the connection that gets it (server/framed.ts) asks it for one message after
 * another, between other clients' queries. What is sent is one World's, to its end.
 */
import type { Prefix } from '../dns/address.ts'
import { formatName, isFault, keyOf, readName } from '../dns/name.ts'
import type { Query } from '../dns/query.ts'
import { isNewerSerial } from '../dns/serial.ts'
import { sign, type Signature, tsigBytes } from '../dns/tsig.ts'
import { CLASS, RCODE, TYPE } from '../dns/types.ts'
import {
  C_APEX,
  C_APEX_BYTES,
  C_DIFFERENCE,
  C_DIFFERENCES_END,
  C_END,
  C_FIRST,
  C_POLICY,
  C_SINCE,
  C_SOA,
  D_ADDED,
  D_END,
  D_REMOVED,
  D_TO,
  DIFFERENCE_INTS,
  findCopy,
  SET_AT,
  SET_INTS,
  SET_OWNER,
  SET_OWNER_BYTES,
  SET_SIZE,
} from '../zone/copies.ts'
import { F_APEX, find, findRRset, N_FLAGS, NODE_INTS } from '../zone/image.ts'
import { recordEnd, type TransferModel } from '../zone/pack.ts'
import { AA, type Request, type Responder, type Transfer, UDP } from './responder.ts'
import { putRRset, QUERY_NAME } from './response.ts'
import type { World } from './world.ts'

/** Bytes of a message, unless one record needs more: pointers reach 16 KiB (RFC 5936 §3.4), and pieces are short. */
const PIECE_BYTES = 16_000
const LARGEST = 65_535
/** In place of a message's size: a record and its signature fit into no message. */
const TOO_LARGE = -1
const HEADER_BYTES = 12
const SERIAL_FROM_END = 20

/**
 * Answers AXFR or IXFR. Returns an outcome of answer.ts. Where the response has many messages, `responder.transfer` has
 * them, and the response itself is none of them; where it is refused, `responder.refusal` says why.
 */
export function answerTransfer(responder: Responder, request: Request): number {
  const { query, world } = responder
  const { image, copies } = world
  const { name, nameBytes } = query
  const refuse = (why: string): number => {
    responder.refusal = { zone: formatName(name), why }
    return RCODE.REFUSED
  }
  if (query.class !== CLASS.IN) return RCODE.REFUSED
  const node = find(image, name, 0, nameBytes, query.hashes[0]!)
  // RFC 5936 §2.2.1: NOTAUTH where there is no such zone
  if (node < 0 || (image.nodes[node * NODE_INTS + N_FLAGS]! & F_APEX) === 0) return RCODE.NOTAUTH
  const copy = findCopy(copies, image, name, nameBytes)
  if (copy < 0) return refuse('nobody may take copies of it: `transfer` in defaults.yaml')
  const why = denial(copies.policies[copies.zones[copy + C_POLICY]!]!, request, responder.signature)
  if (why !== undefined) return refuse(why)
  const soa = findRRset(image, node, TYPE.SOA)
  const putSoa = (): number => {
    responder.response.answers += putRRset(responder.response, image, query, soa, QUERY_NAME, -1)
    return AA
  }
  const serial = serialOf(world, copy)
  if (query.type === TYPE.IXFR) {
    const known = serialIn(request, query)
    if (known === undefined) return RCODE.FORMERR
    // RFC 1995 §2: one SOA to who is up to date, and over UDP, where the client then asks over TCP
    if (request.transport === UDP || known === serial || isNewerSerial(known, serial)) return putSoa()
    if (responder.transfersLeft === 0) return refuse(NO_PLACE)
    responder.transfer = new ZoneTransfer(world, copy, serial, known)
    return AA
  }
  // RFC 5936 §4.2: there is no AXFR over UDP
  if (request.transport === UDP) return refuse('AXFR needs TCP')
  if (responder.transfersLeft === 0) return refuse(NO_PLACE)
  responder.transfer = new ZoneTransfer(world, copy, serial, undefined)
  return AA
}

const NO_PLACE = 'too many transfers are running'

/** Why a client may not take copies; undefined: it may. */
function denial({ allow, key }: TransferModel, request: Request, signature: Signature | null): string | undefined {
  if (allow.length > 0 && !allow.some((prefix) => contains(prefix, request)))
    return 'its address is not in `transfer.allow`'
  if (key === undefined) return undefined
  if (signature === null) return `it is not signed with ${formatName(key)}`
  return keyOf(signature.key.name) === keyOf(key)
    ? undefined
    : `it is signed with ${formatName(signature.key.name)} and not with ${formatName(key)}`
}

function contains({ family, bytes, bits }: Prefix, { client, clientAt, family: own }: Request): boolean {
  if (family !== own) return false
  for (let i = 0, left = bits; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 255 : 0xff00 >> left
    if (((client[clientAt + i]! ^ bytes[i]!) & mask) !== 0) return false
  }
  return true
}

/** The serial of the SOA in the authority section of IXFR (RFC 1995 §3); undefined: it is malformed. */
function serialIn({ input, at, length }: Request, { questionEnd }: Query): number | undefined {
  const message = input.subarray(at, at + length)
  if (u16(message, 6) !== 0 || u16(message, 8) !== 1) return undefined
  const owner = readName(message, questionEnd)
  if (isFault(owner) || u16(message, owner.next) !== TYPE.SOA) return undefined
  const end = owner.next + 10 + u16(message, owner.next + 8)
  if (end > message.length || end - SERIAL_FROM_END < owner.next + 10) return undefined
  return u32(message, end - SERIAL_FROM_END)
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
const u32 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) * 65_536 + u16(bytes, at + 2)) >>> 0

/** The serial of a zone now. */
const serialOf = ({ image, copies }: World, copy: number): number =>
  u32(image.bytes, recordEnd(image.bytes, copies.zones[copy + C_SOA]!) - SERIAL_FROM_END)

/** A record as it is sent: its owner and itself, in the form of the Image. One object for all records of a transfer. */
interface Sending {
  owner: Uint8Array
  ownerAt: number
  ownerBytes: number
  record: Uint8Array
  recordAt: number
}

class ZoneTransfer implements Transfer {
  readonly world: World
  readonly zone: string
  readonly kind: 'AXFR' | 'IXFR'
  readonly serial: number
  messages = 0
  records = 0
  bytes = 0
  signature: Signature | undefined
  readonly #copy: number
  readonly #apexBytes: number
  readonly #sending: Sending
  readonly #list: Iterator<void>
  /** A record is in `#sending` that did not fit the message before. */
  #isWaiting = false
  #head: Uint8Array = NOTHING
  #opt: Uint8Array = NOTHING

  /** `known`: the serial that the client of IXFR has. Without one, or if it is too old, the zone is sent whole. */
  constructor(world: World, copy: number, serial: number, known: number | undefined) {
    const { zones, serials } = world.copies
    this.world = world
    this.serial = serial
    this.#copy = copy
    this.#apexBytes = zones[copy + C_APEX_BYTES]!
    const { bytes } = world.image
    const soa = zones[copy + C_SOA]!
    this.zone = formatName(bytes, zones[copy + C_APEX])
    const record = bytes.slice(soa, recordEnd(bytes, soa))
    this.#sending = { owner: bytes, ownerAt: zones[copy + C_APEX]!, ownerBytes: this.#apexBytes, record, recordAt: 0 }
    const isKnown = known !== undefined && serials.indexOf(known) >= zones[copy + C_SINCE]!
    this.kind = isKnown ? 'IXFR' : 'AXFR'
    this.#list = isKnown ? this.#differences(record, known) : this.#whole(record)
  }

  begin(response: Uint8Array, questionEnd: number): void {
    this.#head = response.slice(0, questionEnd)
    this.#opt = response.slice(questionEnd)
    this.#head.set([0, 0], 10)
  }

  next(out: Uint8Array, at: number): number {
    if (!this.#isWaiting && this.#list.next().done === true) return 0
    const isFirst = this.messages === 0
    const opt = isFirst ? this.#opt : NOTHING
    const rest = opt.length + (this.signature === undefined ? 0 : tsigBytes(this.signature.key))
    out.set(this.#head, at)
    const message: Written = { out, start: at, at: at + this.#head.length, owner: NOTHING, ownerAt: 0, pointer: 0 }
    let count = 0
    let limit = at + PIECE_BYTES - rest
    for (;;) {
      if (!this.#put(message, limit)) {
        if (count > 0) break
        // a record that needs a message of its own; larger than that is none
        limit = at + LARGEST - rest
        if (!this.#put(message, limit)) return TOO_LARGE
      }
      count++
      if (this.#list.next().done === true) {
        this.#isWaiting = false
        return this.#finish(message, count, opt)
      }
    }
    this.#isWaiting = true
    return this.#finish(message, count, opt)
  }

  #finish({ out, start, at }: Written, count: number, opt: Uint8Array): number {
    out[start + 6] = count >>> 8
    out[start + 7] = count & 255
    out.set(opt, at)
    if (opt.length > 0) out[start + 11] = 1
    let size = at + opt.length - start
    if (this.signature !== undefined) {
      const signed = sign(out, start, size, { ...this.signature, follows: this.messages > 0 })
      this.signature = { ...this.signature, prior: signed.mac }
      size = signed.size
    }
    this.messages++
    this.records += count
    this.bytes += size
    return size
  }

  /** Writes the record in `#sending`; false: it does not fit. */
  #put(message: Written, limit: number): boolean {
    const { owner, ownerAt, ownerBytes, record, recordAt } = this.#sending
    const { out } = message
    const end = recordEnd(record, recordAt)
    const isSame = message.owner === owner && message.ownerAt === ownerAt && message.pointer > 0
    // every owner ends with the apex, which the question has
    const labels = isSame ? 0 : ownerBytes - this.#apexBytes
    if (message.at + labels + end - recordAt > limit) return false
    const nameAt = message.at - message.start
    for (let i = 0; i < labels; i++) out[message.at++] = owner[ownerAt + i]!
    const pointer = isSame ? message.pointer : HEADER_BYTES
    out[message.at++] = 0xc0 | (pointer >>> 8)
    out[message.at++] = pointer & 255
    if (!isSame && labels > 0 && nameAt < 0x4000) Object.assign(message, { owner, ownerAt, pointer: nameAt })
    for (let i = recordAt + 2; i < end; i++) out[message.at++] = record[i]!
    return true
  }

  /** RFC 5936 §2.2: the SOA, all records, the SOA. */
  *#whole(soa: Uint8Array): Generator<void> {
    const { zones } = this.world.copies
    yield
    yield* this.#sets(zones[this.#copy + C_FIRST]!, zones[this.#copy + C_END]!)
    this.#sendSoa(soa, this.serial)
    yield
  }

  /**
   * RFC 1995 §4: the SOA; for each difference the old SOA, what is removed, the new SOA, what is added; the SOA. Where
   * nothing has changed but the serial, a difference says that.
   */
  *#differences(soa: Uint8Array, known: number): Generator<void> {
    const { zones, differences } = this.world.copies
    yield
    let serial = known
    for (let i = zones[this.#copy + C_DIFFERENCE]!; i < zones[this.#copy + C_DIFFERENCES_END]!; i++) {
      const at = i * DIFFERENCE_INTS
      const to = differences[at + D_TO]! >>> 0
      if (!isNewerSerial(to, known)) continue
      this.#sendSoa(soa, serial)
      yield
      yield* this.#sets(differences[at + D_REMOVED]!, differences[at + D_ADDED]!)
      serial = to
      this.#sendSoa(soa, serial)
      yield
      yield* this.#sets(differences[at + D_ADDED]!, differences[at + D_END]!)
    }
    if (serial !== this.serial) {
      this.#sendSoa(soa, serial)
      yield
      this.#sendSoa(soa, this.serial)
      yield
    }
    this.#sendSoa(soa, this.serial)
    yield
  }

  #sendSoa(soa: Uint8Array, serial: number): void {
    const { image, copies } = this.world
    new DataView(soa.buffer, soa.byteOffset).setUint32(soa.length - SERIAL_FROM_END, serial)
    const ownerAt = copies.zones[this.#copy + C_APEX]!
    Object.assign(this.#sending, { owner: image.bytes, ownerAt, ownerBytes: this.#apexBytes, record: soa, recordAt: 0 })
  }

  /** The records of some RRsets. */
  *#sets(first: number, end: number): Generator<void> {
    const { image, copies } = this.world
    const sending = this.#sending
    for (let set = first; set < end; set++) {
      const row = set * SET_INTS
      const ownerAt = copies.sets[row + SET_OWNER]!
      const isOwn = ownerAt < 0
      const bytes = isOwn ? copies.bytes : image.bytes
      sending.owner = bytes
      sending.ownerAt = isOwn ? ~ownerAt : ownerAt
      sending.ownerBytes = copies.sets[row + SET_OWNER_BYTES]!
      sending.record = bytes
      const at = isOwn ? ~copies.sets[row + SET_AT]! : copies.sets[row + SET_AT]!
      const setEnd = at + copies.sets[row + SET_SIZE]!
      for (let record = at; record < setEnd; record = recordEnd(bytes, record)) {
        sending.recordAt = record
        yield
      }
    }
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)

/** A message while it is written, and the last owner name that pointers can lead to. */
interface Written {
  readonly out: Uint8Array
  readonly start: number
  at: number
  owner: Uint8Array
  ownerAt: number
  pointer: number
}
