/**
 * What may come back for any bytes, by rules: judge() reads query and reply with a reader of its own (wire.ts) and says the first
 * rule that is broken. It knows the Protocol's settings and nothing of src/: not how a query is parsed, a cookie or a signature
 * made. What a name's records are is for other tests.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Protocol } from '../../src/answer/protocol.ts'
import type { TsigKey } from '../../src/dns/tsig.ts'
import type { TransportKind } from '../support/ask.ts'
import {
  bareOf,
  digest,
  expand,
  readSignature,
  readWire,
  sip,
  u16,
  type Wire,
  type WireRecord,
  type WireTsig,
} from './wire.ts'

/** A query as it was sent. */
export interface Sent {
  readonly query: Uint8Array
  /** Who asks: 4 or 16 bytes. */
  readonly client: Uint8Array
  readonly kind: TransportKind
  /** Unix time when it was answered, and how far the server's may be from it. */
  readonly nowSeconds: number
  readonly slackSeconds: number
}

const OPT = 41
const TSIG = 250
const [SOA, NS, IXFR, AXFR] = [6, 2, 251, 252]
const [ECS, NSID, COOKIE, KEEPALIVE, PADDING, EDE, REPORT_CHANNEL, ZONEVERSION] = [8, 3, 10, 11, 12, 15, 18, 19]
const [NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN, NOTAUTH, BADVERS, BADCOOKIE] = [
  0, 1, 3, 4, 5, 6, 9, 16, 23,
] as const
const TRANSFER_RCODES: readonly number[] = [NOERROR, FORMERR, REFUSED, NOTAUTH]
const GOOD_RCODES: readonly number[] = [NOERROR, NXDOMAIN, REFUSED, YXDOMAIN]

/** A query, and whether its cookie proves its client's address. */
interface Judged extends Sent {
  readonly isProven: boolean
}

/** What a query is, by the RFCs, before anything is looked up. */
export interface Facts {
  readonly verdict: 'drop' | 'signed' | 'ok' | typeof NOTIMP | typeof FORMERR | typeof BADVERS
  readonly wire: Wire
  readonly opt?: WireRecord
  readonly payload: number
  readonly dnssecOk: boolean
  readonly codes: ReadonlySet<number>
  readonly cookie?: Uint8Array
  readonly ecs?: Uint8Array
}

const NO_WIRE: Wire = { questions: 0, questionEnd: 12, records: [], fault: undefined }
const NO_CODES: ReadonlySet<number> = new Set()
const NOTHING = { wire: NO_WIRE, payload: 512, dnssecOk: false, codes: NO_CODES }

/** Reads a query (RFC 1035 §4.1, RFC 6891 §6.1, RFC 7871 §6, RFC 7873 §5.2, RFC 8945 §5.1, RFC 9619). */
export function factsOf(query: Uint8Array): Facts {
  if (query.length < 12 || query[2]! >= 0x80) return { ...NOTHING, verdict: 'drop' }
  const wire = readWire(query)
  if ((query[2]! & 0x78) !== 0) {
    const found = wire.records.find(({ type, at }) => type === OPT && query[at] === 0)
    if (found === undefined) return { ...NOTHING, wire, verdict: NOTIMP }
    return { ...NOTHING, wire, verdict: NOTIMP, opt: found, dnssecOk: query[found.fixed + 6]! >= 128 }
  }
  const bad: Facts = { ...NOTHING, wire, verdict: FORMERR }
  if (wire.fault !== undefined || wire.records.length > 16) return bad
  const { records } = wire
  const opts = records.filter(({ type }) => type === OPT)
  const signatures = records.filter(({ type }) => type === TSIG)
  if ([...opts, ...signatures].some(({ section }) => section !== 2) || opts.length > 1) return bad
  if (signatures.length > 1 || (signatures.length === 1 && records.at(-1) !== signatures[0])) return bad
  const opt = opts[0]
  const read: Read | undefined = opt === undefined ? NOTHING : optionsOf(query, opt)
  if (read === undefined) return bad
  const facts: Omit<Facts, 'verdict'> = { ...NOTHING, ...read, wire, ...(opt !== undefined && { opt }) }
  if (signatures.length === 1) return { ...facts, verdict: 'signed' }
  if (opt !== undefined && query[opt.fixed + 5] !== 0) return { ...facts, verdict: BADVERS }
  return { ...facts, verdict: wire.questions === 0 && facts.cookie === undefined ? FORMERR : 'ok' }
}

type Read = Pick<Facts, 'payload' | 'dnssecOk' | 'codes'> & { cookie?: Uint8Array; ecs?: Uint8Array }

/** undefined: an option is malformed. */
function optionsOf(query: Uint8Array, { at, fixed, dataAt, end }: WireRecord): Read | undefined {
  if (query[at] !== 0) return undefined
  const codes = new Set<number>()
  const read: Read = { payload: Math.max(512, u16(query, fixed + 2)), dnssecOk: query[fixed + 6]! >= 128, codes }
  if (query[fixed + 5] !== 0) return read
  let options = 0
  for (let i = dataAt; i < end;) {
    if (i + 4 > end || ++options > 64) return undefined
    const code = u16(query, i)
    const next = i + 4 + u16(query, i + 2)
    if (next > end) return undefined
    const data = query.subarray(i + 4, next)
    if (code === COOKIE && read.cookie === undefined) {
      if (data.length !== 8 && (data.length < 16 || data.length > 40)) return undefined
      read.cookie = data
    }
    if (code === ECS) {
      if (read.ecs !== undefined || !isSubnet(data)) return undefined
      read.ecs = data
    }
    if (code === ZONEVERSION && (data.length > 0 || codes.has(code))) return undefined
    codes.add(code)
    i = next
  }
  return read
}

function isSubnet(data: Uint8Array): boolean {
  if (data.length < 4 || data[3] !== 0) return false
  const most = [0, 32, 128][u16(data, 0)]
  const source = data[2]!
  if (most === undefined || source > most || data.length !== 4 + Math.ceil(source / 8)) return false
  return source % 8 === 0 || (data.at(-1)! & ((1 << (8 - (source % 8))) - 1)) === 0
}

/** Whether a cookie proves this client's address (RFC 9018 §4). */
export function isProof(secrets: readonly Uint8Array[], cookie: Uint8Array, client: Uint8Array, now: number): boolean {
  if (cookie.length !== 24 || cookie[8] !== 1) return false
  const age = (now - ((u16(cookie, 12) * 65_536 + u16(cookie, 14)) | 0)) | 0
  if (age > 3600 || age < -300) return false
  const input = Uint8Array.of(...cookie.subarray(0, 16), ...client)
  return secrets.some((secret) => Buffer.compare(sip(secret, input), cookie.subarray(16)) === 0)
}

const secrets = new WeakMap<object, readonly Uint8Array[]>()

/** Secrets as bytes. */
function secretsOf({ cookies }: Protocol): readonly Uint8Array[] {
  const known =
    secrets.get(cookies) ??
    cookies.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength))
  secrets.set(cookies, known)
  return known
}

/** The first rule that a reply breaks, or no reply; undefined: it is as it must be. */
export function judge(protocol: Protocol, asked: Sent, reply: Uint8Array | undefined): string | undefined {
  const facts = factsOf(asked.query)
  if (facts.verdict === 'drop') return reply === undefined ? undefined : 'answered what must be dropped'
  if (reply === undefined) return 'no answer to a query'
  const wrong = judgeForm(asked, facts, reply)
  if (wrong !== undefined) return wrong
  const { cookie } = facts
  const isProven = cookie !== undefined && isProof(secretsOf(protocol), cookie, asked.client, asked.nowSeconds)
  const sent: Judged = { ...asked, isProven }
  const wire = readWire(reply)
  if (wire.fault !== undefined) return `a reply that cannot be read: ${wire.fault}`
  if (wire.records.some(({ at }) => expand(reply, at) === undefined)) return 'an owner whose pointer leads nowhere'
  const most = mostOf(protocol, sent, facts)
  if (reply.length > most) return `${reply.length} bytes where ${most} are allowed`
  if (facts.verdict === 'signed') return judgeSigned(protocol, sent, facts, reply, wire)
  if (wire.records.some(({ type, section }) => type === TSIG && section === 2)) return 'signed, and the query is not'
  return judgeContent(protocol, sent, facts, reply, wire, reply.length)
}

/** Header and question, which don't depend on the outcome. */
function judgeForm({ query }: Sent, facts: Facts, reply: Uint8Array): string | undefined {
  if (reply.length < 12) return `a reply of ${reply.length} bytes`
  if (u16(reply, 0) !== u16(query, 0)) return 'another id'
  if (reply[2]! < 0x80) return 'QR is not set'
  if (((reply[2]! ^ query[2]!) & 0x79) !== 0) return 'another opcode, or RD is not copied'
  if ((reply[3]! & 0xf0) !== 0) return 'RA, Z, AD or CD is set'
  const end = facts.verdict === NOTIMP ? 12 : facts.wire.questionEnd
  const questions = facts.wire.questions === 1 && end > 12 ? 1 : 0
  if (u16(reply, 4) !== questions) return `${u16(reply, 4)} questions where the query has ${questions}`
  if (questions === 1 && Buffer.compare(query.subarray(12, end), reply.subarray(12, end)) !== 0)
    return 'another question, or in another case'
  return undefined
}

/** The largest reply: RFC 1035 §4.2.1, RFC 6891 §6.2.3, and what a client without a cookie may be sent. */
const mostOf = (protocol: Protocol, { kind, isProven }: Judged, { payload }: Facts): number =>
  kind === 'udp' ? Math.min(payload, isProven ? 1232 : protocol.unprovenBytes) : 65_535

/** Everything that depends on what the query is. `size`: of the reply without its signature. */
function judgeContent(
  protocol: Protocol,
  sent: Judged,
  facts: Facts,
  reply: Uint8Array,
  { records }: Wire,
  size: number,
): string | undefined {
  const opts = records.filter(({ type }) => type === OPT)
  const opt = opts[0]
  if (opts.length > 1 || (opt !== undefined && (opt.section !== 2 || reply[opt.at] !== 0))) return 'an OPT out of place'
  const isUnclear = facts.verdict === FORMERR || (facts.verdict === NOTIMP && facts.wire.fault !== undefined)
  if (!isUnclear && (opt !== undefined) !== (facts.opt !== undefined)) return 'OPT exactly when the query had one'
  const rcode = (reply[3]! & 15) | (opt === undefined ? 0 : reply[opt.fixed + 4]! << 4)
  const countOf = (section: number): number => records.filter((one) => one.section === section).length
  const [answers, authorities] = [countOf(0), countOf(1)]
  const isEmpty = records.length === opts.length
  const aa = (reply[2]! & 4) !== 0
  const tc = (reply[2]! & 2) !== 0
  if (tc && !isEmpty) return 'truncated, and with records'
  const wrong = rcodeFault(protocol, sent, facts, rcode)
  if (wrong !== undefined) return wrong
  if (rcode !== NOERROR && rcode !== NXDOMAIN && rcode !== YXDOMAIN) {
    if (!isEmpty) return `records beside rcode ${rcode}`
    if (aa) return `authoritative with rcode ${rcode}`
  } else if (facts.wire.questions === 1 && !tc && answers === 0) {
    if (!records.some(({ section, type }) => section === 1 && (type === SOA || type === NS))) return 'an empty answer'
    if (rcode === NXDOMAIN && authorities !== 1) return 'NXDOMAIN with more than the SOA'
  }
  return opt === undefined || (isUnclear && facts.verdict === NOTIMP)
    ? undefined
    : judgeOpt(protocol, sent, facts, reply, opt, size)
}

const must = (right: boolean, what: string): string | undefined => (right ? undefined : what)

function rcodeFault(protocol: Protocol, sent: Judged, facts: Facts, rcode: number): string | undefined {
  const { verdict, cookie, wire } = facts
  const only = (wanted: number): string | undefined => must(rcode === wanted, `rcode ${rcode} and not ${wanted}`)
  if (typeof verdict === 'number') return only(verdict)
  const isAsked = cookie !== undefined && protocol.cookies.length > 0
  if (wire.questions === 0) {
    if (!isAsked) return only(FORMERR)
    return only(cookie.length > 8 && !sent.isProven ? BADCOOKIE : NOERROR)
  }
  if (isAsked && protocol.badCookie && sent.kind === 'udp' && !sent.isProven) return only(BADCOOKIE)
  const type = u16(sent.query, wire.questionEnd - 4)
  if (type === OPT || type === 0) return only(FORMERR)
  if (type === AXFR || type === IXFR)
    return TRANSFER_RCODES.includes(rcode) ? undefined : `rcode ${rcode} for a transfer`
  return GOOD_RCODES.includes(rcode) ? undefined : `rcode ${rcode} for a good query`
}

/** OPT and its options (RFC 6891 §6.1, RFC 5001, 7828, 7830, 7871, 7873, 8467, 8914, 9567, 9660). */
function judgeOpt(
  protocol: Protocol,
  sent: Judged,
  facts: Facts,
  reply: Uint8Array,
  { fixed, dataAt, end }: WireRecord,
  size: number,
): string | undefined {
  if (reply[fixed + 5] !== 0) return 'an EDNS version other than 0'
  if (u16(reply, fixed + 2) < 512) return 'a payload below 512'
  if ((reply[fixed + 6]! & 0x7f) !== 0 || reply[fixed + 7] !== 0) return 'Z bits of OPT'
  if (facts.verdict !== FORMERR && reply[fixed + 6]! >= 128 !== facts.dnssecOk) return 'DO is not copied'
  const options = new Map<number, Uint8Array>()
  for (let i = dataAt; i < end;) {
    if (i + 4 > end || i + 4 + u16(reply, i + 2) > end) return 'an option behind the end of OPT'
    const next = i + 4 + u16(reply, i + 2)
    if (options.has(u16(reply, i))) return `option ${u16(reply, i)} twice`
    options.set(u16(reply, i), reply.subarray(i + 4, next))
    i = next
  }
  if (facts.verdict !== 'ok') return options.size === 0 ? undefined : 'options beside an error'
  for (const [code, data] of options) {
    const wrong = optionFault(protocol, sent, facts, code, data, size)
    if (wrong !== undefined) return wrong
  }
  if (facts.ecs !== undefined && !options.has(ECS)) return 'ECS is not echoed'
  if (facts.cookie !== undefined && protocol.cookies.length > 0 && !options.has(COOKIE)) return 'no cookie for a cookie'
  const isPadded = facts.codes.has(PADDING) && (sent.kind === 'dot' || sent.kind === 'doh')
  return isPadded && !options.has(PADDING) ? 'not padded' : undefined
}

function optionFault(
  protocol: Protocol,
  { client, kind, nowSeconds, slackSeconds, isProven }: Judged,
  { codes, cookie, ecs }: Facts,
  code: number,
  data: Uint8Array,
  size: number,
): string | undefined {
  if (code === EDE) return must(data.length >= 2, 'EDE without a code')
  if (code === REPORT_CHANNEL) return must(protocol.reportChannel.length > 0, 'a report channel')
  if (!codes.has(code)) return `option ${code}, which the query has not`
  if (code === ECS) {
    const same = ecs !== undefined && data.length === ecs.length && ecs.every((byte, i) => i === 3 || data[i] === byte)
    const most = data[2] === 0 ? 0 : data[1] === 1 ? 32 : 128
    return must(same, 'ECS is not echoed exactly') ?? must(data[3]! <= most, `a scope of ${data[3]}`)
  }
  if (code === COOKIE) {
    if (cookie === undefined || data.length !== 24) return `a cookie of ${data.length} bytes`
    if (Buffer.compare(data.subarray(0, 8), cookie.subarray(0, 8)) !== 0) return "another client's cookie"
    // RFC 9018 §4.2: reserved bytes are zero in a new cookie, and whatever they are in one that is still good
    const isEcho = Buffer.compare(data, cookie) === 0
    if (data[8] !== 1 || (!isEcho && (data[9] !== 0 || u16(data, 10) !== 0))) return 'a cookie of another version'
    const age = nowSeconds - (u16(data, 12) * 65_536 + u16(data, 14))
    if (age > 1800 + slackSeconds || age < -300 - slackSeconds) return `a cookie that is ${age} s old`
    const isGood = isEcho ? isProven : isProof(secretsOf(protocol).slice(0, 1), data, client, nowSeconds)
    return must(isGood, 'a cookie that is not valid')
  }
  if (code === NSID) return must(Buffer.compare(data, protocol.nsid) === 0 && data.length > 0, 'another NSID')
  if (code === KEEPALIVE) return must((kind === 'tcp' || kind === 'dot') && data.length === 2, `keepalive over ${kind}`)
  if (code === ZONEVERSION) return must(data.length === 6 && data[1] === 0, 'a zone version of another form')
  if (code === PADDING)
    return must((kind === 'dot' || kind === 'doh') && size % 468 === 0, `padded to ${size} over ${kind}`)
  return `option ${code}, which is not served`
}

const [BADSIG, BADKEY, BADTIME, BADTRUNC] = [16, 17, 18, 22] as const

/** What a signed query is to be answered with (RFC 8945 §5.2). */
function signatureFault(
  query: Uint8Array,
  tsig: WireTsig,
  key: TsigKey | undefined,
  now: number,
): typeof FORMERR | typeof BADSIG | typeof BADKEY | typeof BADTIME | typeof BADTRUNC | 0 {
  if (key === undefined) return BADKEY
  const whole = key.algorithm === 'hmac-sha256' ? 32 : 64
  if (tsig.mac.length > whole || tsig.mac.length < whole / 2) return FORMERR
  const mac = digest(key.secret, bareOf(query, tsig), tsig).subarray(0, tsig.mac.length)
  if (!timingSafeEqual(mac, tsig.mac)) return BADSIG
  if (Math.abs(now - tsig.signedAt) > tsig.fudge) return BADTIME
  return tsig.mac.length < whole ? BADTRUNC : 0
}

const textOf = (name: Uint8Array): string => Buffer.from(name).toString('latin1')
const keyFor = ({ tsigKeys }: Protocol, tsig: WireTsig): TsigKey | undefined =>
  tsigKeys.find(
    ({ name, algorithm }) => textOf(name) === textOf(tsig.key) && textOf(tsig.algorithm) === `\x0b${algorithm}\0`,
  )

function judgeSigned(
  protocol: Protocol,
  sent: Judged,
  facts: Facts,
  reply: Uint8Array,
  wire: Wire,
): string | undefined {
  const { query, nowSeconds, slackSeconds } = sent
  const tsig = readSignature(query, facts.wire.records.at(-1)!)
  const last = wire.records.at(-1)
  const own = last?.type === TSIG ? readSignature(reply, last) : undefined
  if (last?.type === TSIG && (own === undefined || last.section !== 2)) return 'a malformed signature'
  const key = tsig && keyFor(protocol, tsig)
  const fault = tsig === undefined ? FORMERR : signatureFault(query, tsig, key, nowSeconds)
  const others = wire.records.filter((record) => record !== last || own === undefined)
  if (tsig === undefined || fault !== 0) {
    const rcode = reply[3]! & 15
    if (rcode !== (fault === FORMERR ? FORMERR : NOTAUTH)) return `rcode ${rcode} for a signature of fault ${fault}`
    if (others.some(({ type }) => type !== OPT) || (reply[2]! & 6) !== 0)
      return 'more than an error for a bad signature'
    if (tsig === undefined || fault === FORMERR) return own === undefined ? undefined : 'signed for FORMERR'
  }
  if (own === undefined) {
    const size = reply.length + tsig.key.length + tsig.algorithm.length + 26
    const fits = size <= (sent.kind === 'udp' ? facts.payload : 65_535)
    return fault !== 0 && !fits ? undefined : 'no signature for a signature'
  }
  if (textOf(own.key) !== textOf(tsig.key) || textOf(own.algorithm) !== textOf(tsig.algorithm)) return 'another key'
  if (own.error !== fault) return `error ${own.error} in the signature and not ${fault}`
  if (fault === BADKEY || fault === BADSIG) return own.mac.length === 0 ? undefined : 'signed for who is not known'
  const isGood = Buffer.compare(digest(key!.secret, bareOf(reply, own), own, tsig.mac), own.mac) === 0
  if (!isGood) return 'a signature that does not verify'
  if (fault === BADTIME) {
    const there =
      own.other.length === 6 && Math.abs(u16(own.other, 2) * 65_536 + u16(own.other, 4) - (nowSeconds % 2 ** 32))
    return there !== false && there <= slackSeconds && own.signedAt === tsig.signedAt
      ? undefined
      : 'no time for BADTIME'
  }
  if (Math.abs(own.signedAt - nowSeconds) > slackSeconds) return 'signed at another time'
  if (fault !== 0) return undefined
  const bare = bareOf(query, { ...tsig, originalId: u16(query, 0) })
  const inner = { ...sent, query: bare }
  return judgeContent(protocol, inner, factsOf(bare), reply, { ...wire, records: others }, own.at)
}

/** Whether messages that came for one query are a transfer of a zone, which may be many (RFC 5936 §2.2). */
export const isTransfer = (query: Uint8Array, reply: Uint8Array): boolean => {
  const { wire } = factsOf(query)
  const type = wire.questionEnd > 12 ? u16(query, wire.questionEnd - 4) : 0
  return (type === AXFR || type === IXFR) && (reply[3]! & 15) === NOERROR && u16(reply, 6) > 0
}

/** The first rule that the messages of a transfer break. */
export function judgeTransfer(protocol: Protocol, sent: Sent, messages: readonly Uint8Array[]): string | undefined {
  const facts = factsOf(sent.query)
  const tsig = facts.verdict === 'signed' ? readSignature(sent.query, facts.wire.records.at(-1)!) : undefined
  const key = tsig && keyFor(protocol, tsig)
  if (sent.kind === 'udp' && messages.length > 1) return 'more than one message over UDP'
  if (
    facts.verdict === 'signed' &&
    (tsig === undefined || signatureFault(sent.query, tsig, key, sent.nowSeconds) !== 0)
  )
    return 'a transfer for a bad signature'
  let prior = tsig?.mac
  const types: number[] = []
  for (const [i, message] of messages.entries()) {
    const wrong = judgeForm(sent, facts, message)
    if (wrong !== undefined) return `message ${i}: ${wrong}`
    const wire = readWire(message)
    if (wire.fault !== undefined) return `message ${i} cannot be read: ${wire.fault}`
    const own = wire.records.at(-1)?.type === TSIG ? readSignature(message, wire.records.at(-1)!) : undefined
    if ((own === undefined) !== (tsig === undefined)) return `message ${i} is signed exactly when the query is`
    if (own !== undefined) {
      const mac = digest(key!.secret, bareOf(message, own), own, prior, i > 0)
      if (Buffer.compare(mac, own.mac) !== 0) return `message ${i}: a signature that does not verify`
      prior = own.mac
    }
    const hasOpt = wire.records.some(({ type, section }) => type === OPT && section === 2)
    if (hasOpt !== (i === 0 && facts.opt !== undefined)) return `message ${i}: OPT in the first, if the query has one`
    for (const { section, type } of wire.records) if (section === 0) types.push(type)
    if (u16(message, 8) !== 0 || (message[3]! & 15) !== 0 || (message[2]! & 6) !== 4) return `message ${i}: its head`
  }
  return types[0] === SOA && types.at(-1) === SOA ? undefined : 'a transfer that does not begin and end with the SOA'
}

/** Of the bytes of a packet from a proxy: where the query begins and who asks; undefined: the header is malformed. */
export function unproxied(
  bytes: Uint8Array,
  proxy: Uint8Array,
  isStream: boolean,
): { readonly at: number; readonly client: Uint8Array } | undefined {
  // PROXY protocol §2.2
  const size = bytes.length < 16 ? 0 : 16 + u16(bytes, 14)
  if (Buffer.from(bytes.subarray(0, 12)).toString('latin1') !== '\r\n\r\n\0\r\nQUIT\n') return undefined
  if (size < 16 || size > bytes.length || size > 4096) return undefined
  const [command, family, transport] = [bytes[12], bytes[13]! >> 4, bytes[13]! & 15]
  if ((command !== 0x20 && command !== 0x21) || family > 3 || transport > 2) return undefined
  if (command === 0x20 || family === 0 || family === 3 || transport === 0) return { at: size, client: proxy }
  if (isStream && transport !== 1) return undefined
  const bytesOf = family === 1 ? 4 : 16
  if (size < 16 + 2 * bytesOf + 4) return undefined
  return { at: size, client: bytes.slice(16, 16 + bytesOf) }
}
