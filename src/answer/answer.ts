/**
 * QUERY IN, RESPONSE OUT: the one pure function that is the server. Used alike by UDP batches, node:dgram, TCP, tests and
 * `explain --wire`. No I/O, no await, no clock, no logging; it never throws: a bug is a SERVFAIL and a counter.
 */
import type { HealthTable } from '../health/table.ts'
import type { World } from './world.ts'

export interface Responder {
  /** Replaced between two queries, never within one. */
  world: World
  readonly health: HealthTable
  readonly counters: Float64Array
  /** Any 32 bits; the caller changes it for every query (xorshift). Decides rotation and `pick: random` only. */
  chance: number
}

export const UDP = 0
export const TCP = 1

/**
 * Answers input[at … at + length) from the client at client[clientAt …] (family 4: 4 bytes, family 6: 16 bytes), writes
 * the response to output[outAt … outAt + room) and returns its bytes; 0 = send nothing. Never writes past the room.
 * `input` and `output` may be one array; their ranges must not overlap.
 */
export type Respond = (
  responder: Responder,
  input: Uint8Array,
  at: number,
  length: number,
  client: Uint8Array,
  clientAt: number,
  family: 4 | 6,
  transport: typeof UDP | typeof TCP,
  output: Uint8Array,
  outAt: number,
  room: number,
) => number
