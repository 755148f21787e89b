/** The state of one thread that answers: the World, the counters, and scratch that every query uses again. */
import { makeQuery, type Query } from '../dns/query.ts'
import type { HealthTable } from '../health/table.ts'
import { makeSelection, type Selection, type Trace } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import { type Client, makeClient } from './client.ts'
import type { LookupResult } from './lookup.ts'
import { makeResponse, type Response } from './response.ts'
import type { World } from './world.ts'

/** How a query came in. */
export const UDP = 0
export const TCP = 1

/** The bit of an outcome, and of the header's flags, that the answer is authoritative (RFC 1035 §4.1.1). */
export const AA = 0x0400

/**
 * A query as it came in, and where its response goes. A thread that answers has one, and fills it anew for each query;
 * `input` and `output` may be one array, whose ranges do not overlap.
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
  transport: typeof UDP | typeof TCP
  /** For the response: output[outAt … outAt + room). */
  output: Uint8Array
  outAt: number
  room: number
}

/** What is not said: all of `input` and `output`, an IPv4 client, UDP. */
export const makeRequest = (parts: Pick<Request, 'input' | 'client' | 'output'> & Partial<Request>): Request => ({
  at: 0,
  length: parts.input.length,
  clientAt: 0,
  family: 4,
  transport: UDP,
  outAt: 0,
  room: parts.output.length,
  ...parts,
})

/** One answering thread's state: what it answers from, and scratch that every query uses again. */
export interface Responder {
  /** Replaced between two queries, never within one. */
  world: World
  readonly health: HealthTable
  readonly counters: Float64Array
  /** Any 32 bits; the caller changes it for every query (xorshift). Decides rotation and `pick: random` only. */
  chance: number
  readonly query: Query
  /** Of the name that was looked up last. */
  readonly found: LookupResult
  readonly response: Response
  readonly selection: Selection
  readonly client: Client
  /** Service of the last steered answer; `explain` sets the trace, queries leave it null. */
  steered: SteeredService | undefined
  trace: AnswerTrace | null
}

/** What `explain` hears of the whole way to an answer. */
export interface AnswerTrace extends Trace {
  /** A name was looked up: its node, or of the wildcard that stands for it; NX and OUTSIDE are below 0. `known`: the deepest there is. */
  looked(name: LookupName, node: number, known: number): void
  /** The name is steered for the type; seconds of the TTL that it is capped at, 0 = none. */
  capped(capSeconds: number): void
}

/** A lower-case wire name; a Query is one itself. */
export interface LookupName {
  readonly name: Uint8Array
  nameBytes: number
}

export function makeResponder(world: World, health: HealthTable, counters: Float64Array): Responder {
  return {
    world,
    health,
    counters,
    chance: 1,
    query: makeQuery(),
    found: { encloser: -1 },
    response: makeResponse(),
    selection: makeSelection(),
    client: makeClient(),
    steered: undefined,
    trace: null,
  }
}
