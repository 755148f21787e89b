/**
 * EDNS options of a query, apart from ECS, and those of its response. Called by answer.ts: cookieOf() and addOptions()
 * before the answer is made, for the few queries with an option that is served here; addLastOptions() after it. What is
 * added first has its room reserved; what is added last is left out where the answer leaves none.
 */
import { C_COOKIES } from '../counters.ts'
import { COOKIE_BYTES, COOKIE_NEW, COOKIE_NONE, judgeCookie } from '../dns/cookie.ts'
import { OPTION } from '../dns/types.ts'
import { findRRset, N_APEX, N_NAME, N_NAME_BYTES, NEGATIVE_SOA, NODE_INTS, R_AT } from '../zone/image.ts'
import { recordEnd } from '../zone/pack.ts'
import { EDE_DATA, EDE_NONE } from './ede.ts'
import { DOH, DOT, type Request, type Responder, TCP } from './responder.ts'
import { addOption, dropRecords, optBytes } from './response.ts'
import type { World } from './world.ts'

const NSID = 1 << OPTION.NSID
const COOKIE = 1 << OPTION.COOKIE
const KEEPALIVE = 1 << OPTION.KEEPALIVE
const PADDING = 1 << OPTION.PADDING
const ZONEVERSION = 1 << OPTION.ZONEVERSION

/** Judges the query's cookie, counts it, and makes the cookie of the response in its place. Returns COOKIE_*. */
export function cookieOf({ query, protocol, counters, nowMs }: Responder, request: Request): number {
  if ((query.options & COOKIE) === 0 || protocol.cookies.length === 0) return COOKIE_NONE
  const { client, clientAt, family } = request
  const size = family === 4 ? 4 : 16
  const nowSeconds = Math.floor(nowMs / 1000)
  const verdict = judgeCookie(protocol.cookies, query.cookieView, query.cookieBytes, client, clientAt, size, nowSeconds)
  counters[C_COOKIES + verdict - COOKIE_NEW]!++
  return verdict
}

/** Adds the options that the query asks for to the OPT record of its response, which has been begun. */
export function addOptions({ query, protocol, response, cookie }: Responder, { transport }: Request): void {
  const { nsid, keepaliveMs } = protocol
  const { options } = query
  if (cookie !== COOKIE_NONE) addOption(response, OPTION.COOKIE, query.cookie, COOKIE_BYTES)
  // RFC 5001 §2.1: what the client writes in its own option means nothing
  if ((options & NSID) !== 0 && nsid.length > 0) addOption(response, OPTION.NSID, nsid, nsid.length)
  // RFC 7828 §3.2.1: never over UDP; in units of 100 ms
  if ((options & KEEPALIVE) !== 0 && keepaliveMs > 0 && (transport === TCP || transport === DOT)) {
    const timeout = Math.min(Math.floor(keepaliveMs / 100), 65_535)
    scratch[0] = timeout >>> 8
    scratch[1] = timeout & 255
    addOption(response, OPTION.KEEPALIVE, scratch, 2)
  }
}

/** Adds what an answer that has been made leaves room for. Only for queries with EDNS. */
export function addLastOptions({ query, protocol, response, world }: Responder, { transport }: Request): void {
  const { options } = query
  const { reportChannel } = protocol
  if (response.overflow) dropRecords(response, query)
  if (response.ede !== EDE_NONE) {
    const data = EDE_DATA[response.ede]!
    addOption(response, OPTION.EDE, data, data.length)
  }
  if ((options & ZONEVERSION) !== 0) {
    const size = zoneVersion(world, response.known)
    if (size > 0) addOption(response, OPTION.ZONEVERSION, scratch, size)
  }
  if (reportChannel.length > 0) addOption(response, OPTION.REPORT_CHANNEL, reportChannel, reportChannel.length)
  if ((options & PADDING) !== 0 && (transport === DOT || transport === DOH)) {
    const size = response.at - response.start + optBytes(query) + response.optionBytes + 4
    addOption(response, OPTION.PADDING, ZEROS, (PADDED_BYTES - (size % PADDED_BYTES)) % PADDED_BYTES)
  }
}

/** RFC 8467 §4.1: responses have a multiple of this size. */
const PADDED_BYTES = 468
const ZEROS = new Uint8Array(PADDED_BYTES)

const scratch = new Uint8Array(6)
/** RFC 9660 §2.1: the version is the SOA's serial. */
const SOA_SERIAL = 0
/** Size of the SOA's fixed fields, which end its RDATA; the serial is the first. */
const SOA_FIXED_BYTES = 20

/** RFC 9660 §2: number of labels, type and serial of the zone of a node, into `scratch`. Returns the size; 0 = no zone. */
function zoneVersion({ image }: World, node: number): number {
  const { nodes, bytes } = image
  const apex = node < 0 ? -1 : nodes[node * NODE_INTS + N_APEX]!
  if (apex < 0) return 0
  let labels = 0
  const end = nodes[apex * NODE_INTS + N_NAME]! + nodes[apex * NODE_INTS + N_NAME_BYTES]! - 1
  for (let at = nodes[apex * NODE_INTS + N_NAME]!; at < end; at += 1 + bytes[at]!) labels++
  const serialAt = recordEnd(bytes, image.rrsets[findRRset(image, apex, NEGATIVE_SOA) + R_AT]!) - SOA_FIXED_BYTES
  scratch[0] = labels
  scratch[1] = SOA_SERIAL
  for (let i = 0; i < 4; i++) scratch[2 + i] = bytes[serialAt + i]!
  return 6
}
