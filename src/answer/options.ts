/**
 * EDNS options of a query, apart from ECS, and those of its response. Called by answer.ts for the few queries that have
 * an option which is served here.
 */
import { C_COOKIES } from '../counters.ts'
import { COOKIE_BYTES, COOKIE_NEW, COOKIE_NONE, judgeCookie } from '../dns/cookie.ts'
import { OPTION } from '../dns/types.ts'
import type { Request, Responder } from './responder.ts'
import { addOption } from './response.ts'

const NSID = 1 << OPTION.NSID
const COOKIE = 1 << OPTION.COOKIE

/** Judges the query's cookie, counts it, and makes the cookie of the response in its place. Returns COOKIE_*. */
export function cookieOf({ query, protocol, counters, nowMs }: Responder, request: Request): number {
  if ((query.options & COOKIE) === 0 || protocol.cookies.length === 0) return COOKIE_NONE
  const { client, clientAt, family } = request
  const size = family === 4 ? 4 : 16
  const verdict = judgeCookie(
    protocol.cookies,
    query.cookie,
    query.cookieBytes,
    client,
    clientAt,
    size,
    Math.floor(nowMs / 1000),
  )
  counters[C_COOKIES + verdict - COOKIE_NEW]!++
  return verdict
}

/** Adds the options that the query asks for to the OPT record of its response, which has been begun. */
export function addOptions({ query, protocol, response, cookie }: Responder): void {
  const { nsid } = protocol
  if (cookie !== COOKIE_NONE) addOption(response, OPTION.COOKIE, query.cookie, COOKIE_BYTES)
  // RFC 5001 §2.1: what the client writes in its own option means nothing
  if ((query.options & NSID) !== 0 && nsid.length > 0) addOption(response, OPTION.NSID, nsid, nsid.length)
}
