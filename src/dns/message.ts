/**
 * Whole messages as plain objects with DNS text, for `explain`, the DNS client and tests; never on the query path.
 * Decoding never throws and never loops, and its work is bounded by the message's length. What cannot be read is a
 * Fault.
 */
import { formatAddress, isZeroBehind, maskAddress, parseAddress } from './address.ts'
import { type Fault, ROOT, formatName, isFault, parseName, readName } from './name.ts'
import { formatRdata } from './rdata.ts'
import { OPTION, TYPE, className, classNumber, rcodeName, typeName, typeNumber } from './types.ts'

/** An entry of the question section. */
export interface Question {
  /** Text with the final dot. */
  readonly name: string
  readonly type: string
  readonly class: string
}

/** A resource record. */
export interface Rr extends Question {
  readonly ttlSeconds: number
  /** Presentation text. */
  readonly rdata: string
}

/** The client subnet option (RFC 7871 §6). Prefix lengths in bits. */
export interface Ecs {
  readonly family: number
  readonly source: number
  readonly scope: number
  /** Text of the whole address; empty for family 0. */
  readonly address: string
}

/** An EDNS option (RFC 6891 §6.1.2). */
export interface EdnsOption {
  readonly code: number
  readonly data: Uint8Array
}

/** The OPT record (RFC 6891 §6.1). `payload`: UDP payload size in bytes. */
export interface Edns {
  readonly payload: number
  readonly version: number
  readonly dnssecOk: boolean
  readonly options: readonly EdnsOption[]
  readonly ecs?: Ecs
}

/** A decoded message (RFC 1035 §4.1). */
export interface Message {
  readonly id: number
  readonly opcode: number
  /** Mnemonic; the upper bits are those of EDNS. */
  readonly rcode: string
  readonly qr: boolean
  readonly aa: boolean
  readonly tc: boolean
  readonly rd: boolean
  readonly ra: boolean
  readonly ad: boolean
  readonly cd: boolean
  readonly question: readonly Question[]
  readonly answer: readonly Rr[]
  readonly authority: readonly Rr[]
  /** Without OPT. */
  readonly additional: readonly Rr[]
  readonly edns?: Edns
}

/** Decodes a message from any bytes, or says what is wrong with them. Bytes behind the last record are a fault too. */
export function decodeMessage(bytes: Uint8Array): Message | Fault {
  if (bytes.length < HEADER_BYTES) return { fault: `${bytes.length} bytes are no header` }
  const flags = u16(bytes, 2)
  const question: Question[] = []
  let at = HEADER_BYTES
  for (let n = u16(bytes, 4); n > 0; n--) {
    const read = readQuestion(bytes, at)
    if (isFault(read)) return { fault: `question: ${read.fault}` }
    question.push(read.value)
    at = read.next
  }
  const sections: Record<Section, Rr[]> = { answer: [], authority: [], additional: [] }
  let opt: Opt | undefined
  for (const [i, section] of SECTIONS.entries()) {
    for (let n = u16(bytes, 6 + 2 * i); n > 0; n--) {
      const read = readRecord(bytes, at)
      if (isFault(read)) return { fault: `${section}: ${read.fault}` }
      at = read.next
      if (!('edns' in read.value)) sections[section].push(read.value)
      else if (opt !== undefined || section !== 'additional') return { fault: `${section}: an OPT that must not be` }
      else opt = read.value
    }
  }
  if (at < bytes.length) return { fault: `${bytes.length - at} bytes stand behind the last record` }
  return {
    id: u16(bytes, 0),
    opcode: (flags >>> 11) & 15,
    rcode: rcodeName((flags & 15) | ((opt?.rcodeHigh ?? 0) << 4)),
    qr: (flags & 0x8000) !== 0,
    aa: (flags & 0x0400) !== 0,
    tc: (flags & 0x0200) !== 0,
    rd: (flags & 0x0100) !== 0,
    ra: (flags & 0x0080) !== 0,
    ad: (flags & 0x0020) !== 0,
    cd: (flags & 0x0010) !== 0,
    question,
    ...sections,
    ...(opt === undefined ? {} : { edns: opt.edns }),
  }
}

const HEADER_BYTES = 12
const SECTIONS = ['answer', 'authority', 'additional'] as const
type Section = (typeof SECTIONS)[number]

interface Opt {
  readonly edns: Edns
  /** Bits 4–11 of the rcode. */
  readonly rcodeHigh: number
}

/** A value that was read, and the index behind it. */
interface ReadResult<T> {
  readonly value: T
  readonly next: number
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

function readQuestion(bytes: Uint8Array, at: number): ReadResult<Question> | Fault {
  const owner = readName(bytes, at)
  if (isFault(owner)) return owner
  const next = owner.next + 4
  if (next > bytes.length) return { fault: 'it is cut short' }
  const type = typeName(u16(bytes, owner.next))
  return { value: { name: formatName(owner.name), type, class: className(u16(bytes, owner.next + 2)) }, next }
}

function readRecord(bytes: Uint8Array, at: number): ReadResult<Rr | Opt> | Fault {
  const owner = readName(bytes, at)
  if (isFault(owner)) return owner
  const fixed = owner.next
  const start = fixed + 10
  if (start > bytes.length) return { fault: 'a record is cut short' }
  const next = start + u16(bytes, fixed + 8)
  if (next > bytes.length) return { fault: 'a record is cut short' }
  const type = u16(bytes, fixed)
  if (type === TYPE.OPT) {
    if (bytes[at] !== 0) return { fault: 'an OPT is not owned by the root' }
    const opt = readOpt(bytes, fixed, start, next)
    return isFault(opt) ? opt : { value: opt, next }
  }
  const rdata = formatRdata(type, bytes, start, next)
  if (typeof rdata !== 'string') return rdata
  const ttlSeconds = u16(bytes, fixed + 4) * 65_536 + u16(bytes, fixed + 6)
  const name = formatName(owner.name)
  return { value: { name, type: typeName(type), class: className(u16(bytes, fixed + 2)), ttlSeconds, rdata }, next }
}

function readOpt(bytes: Uint8Array, fixed: number, start: number, end: number): Opt | Fault {
  const options: EdnsOption[] = []
  let ecs: Ecs | undefined
  for (let i = start; i < end;) {
    const next = i + 4 + (i + 4 <= end ? u16(bytes, i + 2) : 0)
    if (next > end) return { fault: 'an EDNS option is cut short' }
    const option = { code: u16(bytes, i), data: bytes.slice(i + 4, next) }
    options.push(option)
    i = next
    if (option.code !== OPTION.ECS) continue
    const read = readEcs(option.data)
    if (isFault(read)) return read
    if (ecs !== undefined) return { fault: 'there are two client subnets' }
    ecs = read
  }
  const edns = {
    payload: u16(bytes, fixed + 2),
    version: bytes[fixed + 5]!,
    dnssecOk: bytes[fixed + 6]! >= 0x80,
    options,
    ...(ecs === undefined ? {} : { ecs }),
  }
  return { rcodeHigh: bytes[fixed + 4]!, edns }
}

/** Reads a client subnet (RFC 7871 §6). Any scope is accepted, because responses have one. */
function readEcs(data: Uint8Array): Ecs | Fault {
  if (data.length < 4) return { fault: 'a client subnet is cut short' }
  const family = u16(data, 0)
  const [source, scope] = [data[2]!, data[3]!]
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  if (family > 2 || source > size * 8 || scope > size * 8)
    return { fault: 'a client subnet of no known family or length' }
  if (data.length - 4 !== Math.ceil(source / 8))
    return { fault: `a client subnet /${source} of ${data.length - 4} bytes` }
  const address = new Uint8Array(size)
  address.set(data.subarray(4))
  if (!isZeroBehind(address, source)) return { fault: 'a client subnet with bits behind its prefix' }
  return { family, source, scope, address: size === 0 ? '' : formatAddress(address) }
}

/** A record as text: `www.example.com. 30 IN A 192.0.2.1`. */
export const formatRr = (rr: Rr): string => `${rr.name} ${rr.ttlSeconds} ${rr.class} ${rr.type} ${rr.rdata}`

/** A query to encode. */
export interface QuerySpec {
  readonly name: string
  /** Mnemonic or TYPEn. */
  readonly type: string
  readonly class?: string
  readonly id?: number
  readonly rd?: boolean
  readonly edns?: {
    /** Default 1232. */
    readonly payload?: number
    readonly do?: boolean
    readonly version?: number
    /** `198.51.100.0/24`; `0/0` = family 0, source 0. Bits behind the prefix are cleared. */
    readonly ecs?: string
    readonly options?: readonly EdnsOption[]
  }
}

/** Encodes a query. Throws on an invalid spec, which is a bug of the caller. */
export function encodeQuery(spec: QuerySpec): Uint8Array {
  const name = parseName(spec.name)
  if (isFault(name)) throw new Error(name.fault)
  const type = typeNumber(spec.type)
  const number = classNumber(spec.class ?? 'IN')
  if (type === undefined || number === undefined) throw new Error(`unknown type or class: ${spec.type} ${spec.class}`)
  const { edns } = spec
  const header = [spec.id ?? 0, spec.rd === true ? 0x0100 : 0, 1, 0, 0, edns === undefined ? 0 : 1]
  const parts = [...header.map(word), name, word(type), word(number)]
  if (edns !== undefined) {
    const options = edns.options === undefined ? [] : [...edns.options]
    if (edns.ecs !== undefined) options.push({ code: OPTION.ECS, data: encodeEcs(edns.ecs) })
    const data = Buffer.concat(options.flatMap((option) => [word(option.code), word(option.data.length), option.data]))
    parts.push(ROOT, word(TYPE.OPT), word(edns.payload ?? 1232), Uint8Array.of(0, edns.version ?? 0))
    parts.push(word(edns.do === true ? 0x8000 : 0), word(data.length), data)
  }
  return new Uint8Array(Buffer.concat(parts))
}

const word = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255)

function encodeEcs(text: string): Uint8Array {
  if (text === '0/0') return new Uint8Array(4)
  const [address, length] = text.split('/')
  const bytes = parseAddress(address!)
  const source = length === undefined ? (bytes?.length ?? 0) * 8 : Number(length)
  if (bytes === undefined || !(source <= bytes.length * 8)) throw new Error(`no client subnet: ${text}`)
  const kept = maskAddress(bytes, source).subarray(0, Math.ceil(source / 8))
  return Uint8Array.of(0, bytes.length === 4 ? 1 : 2, source, 0, ...kept)
}
