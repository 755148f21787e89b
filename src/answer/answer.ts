/**
 * QUERY IN, RESPONSE OUT: the one pure function that is the server. UDP batches, node:dgram, TCP, tests and `explain`
 * all call it. It does no I/O, awaits nothing, reads no clock and logs nothing. It never throws: a bug is answered with
 * SERVFAIL and counted.
 *
 *   parse ─▶ FORMERR NOTIMP BADVERS · drop · signed: verified, answered as others are, signed (signed.ts)
 *     └▶ look up (RFC 1034 §4.3.2) ─▶ over a rate limit: TC=1 · drop       ─▶ outside: REFUSED
 *          ├▶ delegation: NS, glue          ├▶ hit: RRset     ├▶ nodata, nxdomain: SOA
 *          └▶ cname, dname: CNAME, again with its target      └▶ steered: select(), addresses, scope
 */
import { C_BUGS, C_ECS, C_TRUNCATED, COUNTED_RCODES, COUNTED_TYPES, queryCell } from '../counters.ts'
import { COOKIE_BAD, COOKIE_NONE, COOKIE_VALID } from '../dns/cookie.ts'
import { lowerName } from '../dns/name.ts'
import { parseQuery, Q_BADVERS, Q_DROP, Q_NOTIMP, Q_OK, Q_SIGNED } from '../dns/query.ts'
import { sign, tsigBytes } from '../dns/tsig.ts'
import { CLASS, RCODE, TYPE } from '../dns/types.ts'
import {
  F_CNAME,
  findRRset,
  type Image,
  N_CUT,
  N_FIRST,
  N_FLAGS,
  N_STEERED,
  nameOf,
  NODE_INTS,
  R_NAMES,
  S_TYPES,
  STEERED_INTS,
  X_HASH,
} from '../zone/image.ts'
import { HINTS_HTTPS, HINTS_SVCB, STEERS_A, STEERS_AAAA, STEERS_NAME } from '../zone/pack.ts'
import { DROP, judge, PASS, proveClient } from './abuse/limiter.ts'
import { ANSWERS, ERRORS, NEGATIVES, REFERRALS } from './abuse/limits.ts'
import { answerChaos } from './chaos.ts'
import { sampleClient } from './client-sample.ts'
import { redirect } from './dname.ts'
import { EDE_INVALID_TYPE, EDE_NOT_AUTHORITATIVE, EDE_NOT_SUPPORTED, EDE_PROHIBITED } from './ede.ts'
import { answerWithHints } from './hints.ts'
import { isRedirecting, lookUp, nodeOf, NX, parentApex } from './lookup.ts'
import { addLastOptions, addOptions, cookieOf } from './options.ts'
import { AA, type AnswerTrace, type Request, type Responder, UDP } from './responder.ts'
import { begin, finish, PAYLOAD_BYTES, putHinfo, putRRset, QUERY_NAME } from './response.ts'
import { delegate, negative } from './sections.ts'
import { open } from './signed.ts'
import { entryFor, steer, steerToName } from './steer.ts'
import { answerTransfer } from './transfer.ts'

const QR = 0x8000
const KEPT_FLAGS = 0x7900 // opcode and RD
const CNAMES_MAX = 8
const HINFO_TTL_SECONDS = 3600

/** By type and rcode, where queryCell() counts them. */
const OTHER_TYPE = COUNTED_TYPES.indexOf('other')
const TYPE_CELL = new Uint8Array(65_536).fill(OTHER_TYPE)
for (const [cell, name] of COUNTED_TYPES.entries()) if (name !== 'other') TYPE_CELL[TYPE[name]] = cell
const DROPPED = COUNTED_RCODES.indexOf('dropped')
const RCODE_CELL = new Uint8Array(32).fill(COUNTED_RCODES.indexOf('SERVFAIL'))
for (const [cell, name] of COUNTED_RCODES.entries()) if (name !== 'dropped') RCODE_CELL[RCODE[name]] = cell

/**
 * Answers one request: writes the response to its output and returns the response's size in bytes; 0 = send nothing.
 * It never writes past the room that the request gives.
 */
export function respond(responder: Responder, request: Request): number {
  const { query, response } = responder
  const { input, at, transport, output, outAt } = request
  const fault = parseQuery(input, at, request.length, query, responder.world.image.seed)
  if (fault === Q_DROP) return dropped(responder, transport)
  const flags = QR | (query.flags & KEPT_FLAGS)
  responder.cookie = fault === Q_OK && query.options !== 0 ? cookieOf(responder, request) : COOKIE_NONE
  if (fault === Q_SIGNED) return respondSigned(responder, request, flags)
  const whole = Math.min(request.room, transport === UDP ? mostOverUdp(responder) : 65_535)
  const most = responder.signature === null ? whole : whole - tsigBytes(responder.signature.key)
  if (!begin(response, query, at, output, outAt, most)) return dropped(responder, transport)
  try {
    const outcome =
      fault !== Q_OK
        ? refuse(responder, request, fault)
        : query.options === 0
          ? answer(responder, request)
          : answerWithOptions(responder, request)
    if (outcome === NOTHING) return dropped(responder, transport)
    const last = response.ede | query.options | responder.protocol.reportChannel.length
    if (last !== 0 && query.edns && fault === Q_OK && (outcome & LIMITED) === 0) addLastOptions(responder, request)
    const size = finish(response, query, flags | (outcome & AA), outcome & 0xff, outcome >>> 16)
    count(responder, transport, outcome & 0xff, response.overflow && (outcome & LIMITED) === 0)
    sampleClient(responder.sampler, responder.counters, query, request.family, request.client, request.clientAt)
    return size
  } catch {
    responder.counters[C_BUGS]!++
    begin(response, query, at, output, outAt, most)
    count(responder, transport, RCODE.SERVFAIL, false)
    return finish(response, query, flags, RCODE.SERVFAIL, 0)
  }
}

/** Answers a query with a TSIG record (RFC 8945). */
function respondSigned(responder: Responder, request: Request, flags: number): number {
  const opened = open(responder, request, flags)
  if ('size' in opened) {
    if (opened.size === 0 || limit(responder, request, ERRORS) !== 0) return dropped(responder, request.transport)
    count(responder, request.transport, opened.rcode, false)
    return opened.size
  }
  responder.signature = opened.signature
  const size = respond(responder, opened.request)
  responder.signature = null
  if (responder.transfer !== null) {
    responder.transfer.signature = opened.signature // each of its messages is signed
    return size
  }
  return size === 0 ? 0 : sign(request.output, request.outAt, size, opened.signature).size
}

/** The largest response over UDP, in bytes: an address that may be forged is sent no large ones. */
function mostOverUdp({ query, protocol, cookie }: Responder): number {
  return Math.min(query.payload, cookie === COOKIE_VALID ? PAYLOAD_BYTES : protocol.unprovenBytes)
}

function dropped(responder: Responder, transport: number): number {
  responder.counters[queryCell(transport, OTHER_TYPE, DROPPED)]!++
  return 0
}

// Outcomes are one number: rcode | AA | LIMITED | scope << 16; or NOTHING.

/** In an outcome: the rate limits truncated the response. */
const LIMITED = 0x100
/** An outcome: the rate limits let nothing be sent. */
const NOTHING = -1

/** What the rate limits make of a response of this account: an outcome, or 0 for the response itself. */
function limit(responder: Responder, request: Request, account: number): number {
  const { limiter, counters, nowMs } = responder
  if (limiter === null) return 0
  const { family, client, clientAt } = request
  if (request.transport !== UDP || responder.cookie === COOKIE_VALID) {
    proveClient(limiter, family, client, clientAt, nowMs)
    return 0
  }
  const verdict = judge(limiter, counters, account, family, client, clientAt, nowMs)
  if (verdict === PASS) return 0
  if (verdict === DROP) return NOTHING
  responder.response.overflow = true
  responder.response.optionBytes = 0 // no larger than the query
  return LIMITED
}

/** The outcome for a query that is not answered. */
function error(responder: Responder, request: Request, rcode: number): number {
  const limited = limit(responder, request, ERRORS)
  return limited !== 0 ? limited : rcode
}

/** The outcome for AXFR and IXFR. */
function transferOutcome(responder: Responder, request: Request): number {
  const outcome = answerTransfer(responder, request)
  if ((outcome & 0xff) === RCODE.REFUSED) responder.response.ede = EDE_PROHIBITED
  const limited = limit(responder, request, (outcome & AA) === 0 ? ERRORS : ANSWERS)
  return limited !== 0 ? limited : outcome
}

/** The outcome for a packet that is malformed, or of an opcode or EDNS version that is not served. */
function refuse(responder: Responder, request: Request, fault: number): number {
  responder.query.ecs = false // malformed, or not for what we serve: nothing to echo
  const rcode = fault === Q_NOTIMP ? RCODE.NOTIMP : fault === Q_BADVERS ? RCODE.BADVERS : RCODE.FORMERR
  return error(responder, request, rcode)
}

/** The outcome of a query with options that are served here. */
function answerWithOptions(responder: Responder, request: Request): number {
  const { query, cookie, protocol } = responder
  addOptions(responder, request)
  const isBad = cookie !== COOKIE_NONE && cookie !== COOKIE_VALID
  if (query.questionEnd === 0) {
    // RFC 7873 §5.4: it asks for a cookie and nothing else
    const rcode = cookie === COOKIE_NONE ? RCODE.FORMERR : cookie === COOKIE_BAD ? RCODE.BADCOOKIE : RCODE.NOERROR
    return error(responder, request, rcode)
  }
  const isRefused = isBad && protocol.badCookie && request.transport === UDP
  return isRefused ? error(responder, request, RCODE.BADCOOKIE) : answer(responder, request) // §5.2.3, §5.2.4
}

function count(responder: Responder, transport: number, rcode: number, truncated: boolean): void {
  const { counters, query } = responder
  counters[queryCell(transport, TYPE_CELL[query.type]!, RCODE_CELL[rcode]!)]!++
  if (query.ecs) counters[C_ECS]!++
  if (truncated) counters[C_TRUNCATED]!++
}

/** The account of the response to a name, by its node and closest encloser. */
function accountOf(image: Image, node: number, encloser: number): number {
  if (node < 0 && node !== NX) return ERRORS
  if (image.nodes[(node === NX ? encloser : node) * NODE_INTS + N_CUT]! >= 0) return REFERRALS
  return node === NX ? NEGATIVES : ANSWERS
}

const isMeta = (type: number): boolean => type === TYPE.OPT || (type >= 249 && type <= 254) || type === 0

/** The outcome of a query of another class than IN, or for a type that no record has. */
function answerElse(responder: Responder, request: Request): number {
  const { query, response, protocol } = responder
  const isFault = query.type === TYPE.OPT || query.type === 0
  const limited = limit(responder, request, ERRORS)
  if (limited !== 0) return limited
  if (answerChaos(response, query, protocol)) return AA
  response.ede = isFault ? EDE_INVALID_TYPE : EDE_NOT_SUPPORTED
  return isFault ? RCODE.FORMERR : RCODE.REFUSED
}

/** The algorithm of RFC 1034 §4.3.2. CNAMEs are followed as long as their targets are in zones served here. */
function answer(responder: Responder, request: Request): number {
  const { query, found } = responder
  if (query.class !== CLASS.IN || isMeta(query.type)) {
    if (query.type === TYPE.AXFR || query.type === TYPE.IXFR) return transferOutcome(responder, request)
    return answerElse(responder, request)
  }
  const { image } = responder.world
  let node = lookUp(image, query, found)
  responder.response.known = found.encloser
  const limited = limit(responder, request, accountOf(image, node, found.encloser))
  if (limited !== 0) return limited
  let owner = QUERY_NAME
  let aa = 0
  for (let follow = 0; ; follow++) {
    if (responder.trace !== null) tell(responder, responder.trace, owner, node)
    if (node < 0 && node !== NX) {
      if (follow > 0) return AA
      responder.response.ede = EDE_NOT_AUTHORITATIVE
      return RCODE.REFUSED
    }
    const known = node === NX ? found.encloser : node
    const cut = image.nodes[known * NODE_INTS + N_CUT]!
    if (cut >= 0 && !(node === cut && query.type === TYPE.DS)) return delegate(responder, cut) | aa
    aa = AA
    if (node === NX) {
      if (!isRedirecting(image, known)) return negative(responder, known, -1) | AA | RCODE.NXDOMAIN
      followed[follow] = identity(responder, owner, node) // before `alias` is another name
      const outcome = redirect(responder, owner, known, isIn(redirects, known, follow))
      if (outcome >= 0) return outcome
      redirects[follow] = known
      owner = outcome
      node = lookUp(image, responder.alias, found)
      if (follow === CNAMES_MAX || isIn(followed, identity(responder, owner, node), follow + 1)) return AA
      continue
    }
    const steered = image.nodes[node * NODE_INTS + N_STEERED]!
    // a CNAME to a steered name is sent without the target's addresses: the ECS scope would be wrong for the CNAME
    if (steered >= 0 && follow > 0) return AA
    if (query.type === TYPE.DNAME && isIn(redirects, node, follow)) return AA // it has led here
    const outcome = answerNode(responder, request, owner, node, steered)
    if (outcome >= 0) return outcome
    followed[follow] = identity(responder, owner, node)
    redirects[follow] = -1
    owner = image.refs[image.rrsets[findRRset(image, node, TYPE.CNAME) + R_NAMES]!]!
    node = nodeOf(image, owner, found)
    if (follow === CNAMES_MAX || isIn(followed, identity(responder, owner, node), follow + 1)) return AA
  }
}

/** Names whose CNAMEs are in the answer, by identity(). */
const followed = new Int32Array(CNAMES_MAX + 1)
/** Beside each of them the node whose DNAME made its CNAME; −1 = none did. */
const redirects = new Int32Array(CNAMES_MAX + 1)

const IS_HASH = 0x80000000

/** A number for a name: its node where it exists; else, since many names may match one wildcard, a hash of the name. */
function identity({ world, query, alias, found }: Responder, owner: number, node: number): number {
  const { image } = world
  if (node >= 0 && node === found.encloser) return node
  if (owner < 0) return (owner === QUERY_NAME ? query : alias).hashes[0]! | IS_HASH
  if (owner < image.firstForeign) return owner
  return image.nodes[owner * NODE_INTS + X_HASH]! | IS_HASH
}

/**
 * Whether one of the first `size` of a list is this one: a chain that comes back to a name ends there, and a DNAME is
 * written once, so that no RR is in an answer twice (RFC 2181 §5).
 */
function isIn(list: Int32Array, one: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (list[i] === one) return true
  return false
}

/** Reports a lookup to the trace of `explain`. */
function tell({ world, query, alias, found }: Responder, trace: AnswerTrace, owner: number, node: number): void {
  const known = node === NX ? found.encloser : node
  if (owner < 0) return trace.looked(owner === QUERY_NAME ? query : alias, node, known)
  const name = lowerName(nameOf(world.image, owner))
  trace.looked({ name, nameBytes: name.length }, node, known)
}

/** The bit of a type in steered entries; 0 = it cannot be steered. */
function steeredBit(type: number): number {
  if (type === TYPE.A) return STEERS_A
  if (type === TYPE.AAAA) return STEERS_AAAA
  return type === TYPE.HTTPS ? HINTS_HTTPS : type === TYPE.SVCB ? HINTS_SVCB : 0
}

/** Answers from one node. Returns the outcome, or −1 after it wrote a CNAME whose target is to be looked up next. */
function answerNode(responder: Responder, request: Request, owner: number, node: number, steered: number): number {
  const { query, response } = responder
  const { image } = responder.world
  // RFC 4035 §3.1.4.1: DS at an apex belongs to the parent zone, if that is served here
  if (query.type === TYPE.DS) {
    const parent = parentApex(image, node)
    if (parent >= 0) return negative(responder, parent, -1) | AA
  }
  const types = steered >= 0 ? image.steered[steered * STEERED_INTS + S_TYPES]! : 0
  if ((types & STEERS_NAME) !== 0 && (types === STEERS_NAME || query.type !== TYPE.ANY)) {
    return steerToName(responder, request, node, steered, steeredBit(query.type))
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
    const asked = steeredBit(query.type)
    const entry = entryFor(responder.world, steered, asked)
    if (entry >= 0 && asked > STEERS_AAAA) return answerWithHints(responder, request, node, entry)
    if (entry >= 0) return steer(responder, request, node, entry, asked)
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
