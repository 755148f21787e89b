/**
 * The state of one answering thread: the World, the counters, and objects that every query uses again, so that
 * answering allocates nothing. Made by the thread (server/), passed to respond().
 */
import { COOKIE_NONE } from '../dns/cookie.ts'
import { makeQuery, type Query } from '../dns/query.ts'
import type { Signature } from '../dns/tsig.ts'
import type { HealthTable } from '../health/table.ts'
import { makeSelection, type Selection, type Trace } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import { type Limiter, makeLimiter } from './abuse/limiter.ts'
import { type Client, makeClient } from './client.ts'
import { makeSampler, type Sampler } from './client-sample.ts'
import type { LookupResult } from './lookup.ts'
import { PLAIN_PROTOCOL, type Protocol } from './protocol.ts'
import { makeResponse, type Response } from './response.ts'
import type { World } from './world.ts'

/** How a query came in: index into TRANSPORTS of counters.ts. All but UDP carry answers of any size. */
export const UDP = 0
export const TCP = 1
export const DOT = 2
export const DOH = 3
/** One of the four. */
export type Transport = typeof UDP | typeof TCP | typeof DOT | typeof DOH

/** The AA bit of the header's flags, and of an outcome: the answer is authoritative (RFC 1035 §4.1.1). */
export const AA = 0x0400

/**
 * A query as it came in, and where its response goes. Each answering thread has one and fills it again for every query.
 * `input` and `output` may be the same array as long as the two ranges do not overlap.
 */
export interface Request {
  /** The query: input[at … at + length). */
  input: Uint8Array
  at: number
  length: number
  /** The source address: client[clientAt …], 4 bytes of family 4, 16 of family 6. */
  client: Uint8Array
  clientAt: number
  family: 4 | 6
  /** Where the source port is, from `clientAt` on: two bytes, the high one first. 0: unknown. Only the query log reads it. */
  portAt: number
  transport: Transport
  /** For the response: output[outAt … outAt + room). */
  output: Uint8Array
  outAt: number
  room: number
}

/** A Request with defaults: the whole of `input` and `output`, an IPv4 client, UDP. */
export const makeRequest = (parts: Pick<Request, 'input' | 'client' | 'output'> & Partial<Request>): Request => ({
  at: 0,
  length: parts.input.length,
  clientAt: 0,
  family: 4,
  portAt: 0,
  transport: UDP,
  outAt: 0,
  room: parts.output.length,
  ...parts,
})

/** What respond() answers from, and the objects that it uses again for every query. */
export interface Responder {
  /** Replaced between two queries, never within one; so is the protocol. See replace(). */
  world: World
  protocol: Protocol
  readonly health: HealthTable
  readonly counters: Float64Array
  readonly sampler: Sampler
  /** Any 32 bits, which the caller changes for every query (xorshift). Decides only rotation and `pick: random`. */
  chance: number
  /** Unix time, which the caller sets once for each batch of queries. */
  nowMs: number
  /** Null: nothing is limited. */
  readonly limiter: Limiter | null
  readonly query: Query
  /** For the name that was looked up last. */
  readonly found: LookupResult
  /** Its name is the target of the last CNAME that a DNAME made (dname.ts); nothing else of it is used. */
  readonly alias: Query
  readonly response: Response
  readonly selection: Selection
  readonly client: Client
  /** COOKIE_*: what the query's cookie proves. */
  cookie: number
  /** The service of the last steered answer. `explain` sets the trace; for queries it is null. */
  steered: SteeredService | undefined
  trace: AnswerTrace | null
  /** Unix time in seconds, which only a signed query reads. */
  clock: () => number
  /** The signature of the query that is being answered; null: it has none. */
  signature: Signature | null
  /** How many transfers the caller can still send: 0, unless it takes `transfer` (server/framed.ts). */
  transfersLeft: number
  /** The response to the last query is this one, of many messages. The caller takes it and sets null. */
  transfer: Transfer | null
  /** Why the last query for a transfer was refused. The caller takes it and sets null. */
  refusal: TransferRefusal | null
}

/** A response of many messages: a zone transfer (transfer.ts). */
export interface Transfer {
  readonly world: World
  /** The zone's name as text. */
  readonly zone: string
  /** IXFR that is answered with the whole zone is AXFR. */
  readonly kind: 'AXFR' | 'IXFR'
  readonly serial: number
  /** Messages, records and bytes that next() has written. */
  readonly messages: number
  readonly records: number
  readonly bytes: number
  /** What its messages are signed with. */
  signature: Signature | undefined
  /** Takes over the header and the question, and OPT for the first message, from a response without records. */
  begin(response: Uint8Array, questionEnd: number): void
  /** Writes the next message to out[at …), which has room for 65,535 bytes. Returns its size; 0: there is none; below 0: it can’t be made. */
  next(out: Uint8Array, at: number): number
}

/** A transfer that was refused. */
export interface TransferRefusal {
  readonly zone: string
  readonly why: string
}

/** The callbacks by which `explain` follows how an answer is made. */
export interface AnswerTrace extends Trace {
  /**
   * A name was looked up. `node`: its node or that of the wildcard that matches it, below 0 for NX and OUTSIDE;
   * `known`: its closest encloser.
   */
  looked(name: LookupName, node: number, known: number): void
  /** The name is steered for the query's type. `capSeconds`: the name's own TTL, which caps the service's; 0 = none. */
  capped(capSeconds: number): void
}

/** A name in lower-case wire form: the first `nameBytes` bytes of `name`. A Query is one itself. */
export interface LookupName {
  readonly name: Uint8Array
  nameBytes: number
}

/** A Responder that begins with this World and Protocol. Its rate limits stay those of this Protocol. */
export function makeResponder(
  world: World,
  health: HealthTable,
  counters: Float64Array,
  protocol: Protocol = PLAIN_PROTOCOL,
): Responder {
  return {
    world,
    protocol,
    health,
    counters,
    sampler: makeSampler(),
    chance: 1,
    nowMs: 0,
    limiter: protocol.limits === null ? null : makeLimiter(protocol.limits),
    query: makeQuery(),
    found: { encloser: -1 },
    alias: makeQuery(),
    response: makeResponse(),
    selection: makeSelection(),
    client: makeClient(),
    cookie: COOKIE_NONE,
    steered: undefined,
    trace: null,
    clock: () => Math.floor(Date.now() / 1000),
    signature: null,
    transfersLeft: 0,
    transfer: null,
    refusal: null,
  }
}

/** A message to an answering thread: what its Responder answers from, from the next query on. */
export type Replacement = { readonly world: World } | { readonly protocol: Protocol }

/** Takes a Replacement. Called by the thread between two queries. */
export function replace(responder: Responder, replacement: Replacement): void {
  if ('world' in replacement) responder.world = replacement.world
  else responder.protocol = replacement.protocol
}
