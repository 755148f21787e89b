/**
 * Signed queries (TSIG, RFC 8945): verifies the signature and says what respond() is to answer in its place, or why it is
 * not accepted: NOTAUTH, with the reason in a TSIG record (§5.2). A query that is not signed never comes here.
 */
import { RCODE } from '../dns/types.ts'
import {
  isKeyOf,
  markError,
  readTsig,
  sign,
  type Signature,
  timeData,
  TSIG_ERROR,
  tsigBytes,
  unsigned,
  verify,
} from '../dns/tsig.ts'
import { type Request, type Responder, UDP } from './responder.ts'
import { begin, finish } from './response.ts'

/** A signed query that is accepted: the query without its signature. respond() leaves room for that of the response. */
export interface Opened {
  readonly request: Request
  readonly signature: Signature
}

/** A signed query that is not accepted: its response, written already; 0 bytes = there is no room for it. */
export interface Unopened {
  readonly rcode: number
  readonly size: number
}

/** Verifies the query that `responder.query` was parsed from. `flags`: of its response. */
export function open(responder: Responder, request: Request, flags: number): Opened | Unopened {
  const { query, protocol, clock } = responder
  const { input, at, length, output, outAt } = request
  const message = input.subarray(at, at + length)
  const tsig = readTsig(message, query.tsigAt)
  const room = roomForError(responder, request)
  const empty = (rcode: number, left: number): number => writeEmpty(responder, request, flags, rcode, left)
  const malformed = (): Unopened => ({ rcode: RCODE.FORMERR, size: empty(RCODE.FORMERR, room) })
  if (tsig === undefined) return malformed()
  /** §5.3.2: nobody could verify a signature of this response. */
  const distrusted = (error: number): Unopened => {
    const size = empty(RCODE.NOTAUTH, room)
    return { rcode: RCODE.NOTAUTH, size: size && markError(output, outAt, size, room, tsig, error) }
  }
  const key = protocol.tsigKeys.find((one) => isKeyOf(one, tsig))
  if (key === undefined) return distrusted(TSIG_ERROR.BADKEY)
  const bare = unsigned(message, tsig)
  const nowSeconds = clock()
  const fault = verify(bare, tsig, key, nowSeconds)
  if (fault < 0) return malformed()
  if (fault === TSIG_ERROR.BADSIG) return distrusted(fault)
  const signature = { key, prior: tsig.mac, nowSeconds }
  if (fault === 0) {
    bare.set(message.subarray(0, 2)) // the id that came, not that of the client behind a forwarder
    return { signature, request: { ...request, input: bare, at: 0, length: bare.length } }
  }
  const size = empty(RCODE.NOTAUTH, room - tsigBytes(key))
  // §5.2.3: the time is the query's, so that its sender accepts the response, and this side's is in the data
  const isLate = fault === TSIG_ERROR.BADTIME
  const times = isLate ? { nowSeconds: tsig.signedAt, other: timeData(nowSeconds) } : {}
  return {
    rcode: RCODE.NOTAUTH,
    size: size && sign(output, outAt, size, { ...signature, ...times, error: fault }).size,
  }
}

/** The room for a response that is an error: over UDP no more than the client takes, and than an unproven one is sent. */
const roomForError = ({ query, protocol }: Responder, { room, transport }: Request): number =>
  Math.min(room, transport === UDP ? Math.min(query.payload, protocol.unprovenBytes) : 65_535)

/** Writes a response that has nothing but its rcode. Returns its size; 0 = there is no room for it. */
function writeEmpty(responder: Responder, request: Request, flags: number, rcode: number, room: number): number {
  const { query, response } = responder
  query.ecs = false
  const { at, output, outAt } = request
  return begin(response, query, at, output, outAt, room) ? finish(response, query, flags, rcode, 0) : 0
}
