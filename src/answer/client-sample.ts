/**
 * WHO ASKS: a sample of the clients of each answering thread, from which the main thread counts countries and autonomous
 * systems (api/origins.ts). To look each client up would cost a tenth of an answer; a thread keeps SAMPLE_CLIENTS of
 * them in each quarter of a second, at random and all with the same chance, in constant memory (reservoir sampling: Li
 * 1994, algorithm L). Of fewer queries it keeps all, so that the counts of a quiet node are exact.
 *
 *   counters[C_SAMPLE]        number of the sample that threads take now, written by the main thread; 0 = none
 *   … two halves in turn      number, queries, then the addresses; one is read while the other is filled
 *
 * An address is two cells: the first 32 bits, and the next 32 of IPv6 or −1. IPv6 that embeds IPv4 is folded.
 */
import { C_SAMPLE, SAMPLE_CELLS, SAMPLE_CLIENTS } from '../counters.ts'
import type { Query } from '../dns/query.ts'
import { foldToIPv4 } from '../geo/fold.ts'

const QUERIES = 1
const ADDRESSES = 2

/**
 * Of more clients than are kept, so many queries at most go by before the next is looked at: how many there were, and whether
 * another sample is to be taken. The last of a burst, fewer than that, may never be counted.
 */
const LOOK_QUERIES = 16

/** What an answering thread knows of the sample that it takes. */
export interface Sampler {
  /** Queries to go by before the next is looked at, of so many in all. */
  left: number
  skipped: number
  number: number
  /** First cell of its half. */
  at: number
  /** The query to be kept next, counted from 1 in each sample. */
  next: number
  /** Algorithm L's W: the largest of SAMPLE_CLIENTS random keys below 1, once the sample is full. */
  largest: number
  /** State of its random numbers (xorshift: Marsaglia 2003), not 0. */
  random: number
}

/** A Sampler before its first sample. `seed`: not 0. */
export const makeSampler = (seed = 1 + Math.floor(Math.random() * 0x7ffffffe)): Sampler => ({
  left: 0,
  skipped: 0,
  number: 0,
  at: 0,
  next: 0,
  largest: 1,
  random: seed,
})

/**
 * Counts a query for the sample that is taken, and keeps its client if chance wants it: that of its subnet, else who
 * sent it, from the address at client[at …].
 */
export function sampleClient(
  sampler: Sampler,
  counters: Float64Array,
  query: Query,
  family: 4 | 6,
  client: Uint8Array,
  at: number,
): void {
  if (--sampler.left < 0) look(sampler, counters, query, family, client, at)
}

function look(
  sampler: Sampler,
  counters: Float64Array,
  query: Query,
  family: 4 | 6,
  client: Uint8Array,
  at: number,
): void {
  const number = counters[C_SAMPLE]!
  if (sampler.skipped > 0) counters[sampler.at + QUERIES]! += sampler.skipped // if there is another sample, of the one before
  sampler.skipped = 0
  sampler.left = 0
  if (number !== sampler.number) begin(sampler, counters, number)
  if (number === 0) return
  const queries = ++counters[sampler.at + QUERIES]!
  if (queries === sampler.next) {
    const cell = sampler.at + ADDRESSES + 2 * placeOf(sampler, queries)
    if (query.ecs && query.ecsSource > 0) {
      putAddress(counters, cell, query.ecsFamily === 1 ? 4 : 6, query.ecsAddress, 0, query.ecsSource)
    } else putAddress(counters, cell, family, client, at, 128)
  }
  if (queries > SAMPLE_CLIENTS) sampler.skipped = sampler.left = Math.min(sampler.next - queries, LOOK_QUERIES) - 1
}

const halfOf = (number: number): number => C_SAMPLE + 1 + (number & 1) * SAMPLE_CELLS

function begin(sampler: Sampler, counters: Float64Array, number: number): void {
  sampler.number = number
  if (number === 0) return
  sampler.at = halfOf(number)
  sampler.next = 1
  sampler.largest = 1
  counters[sampler.at] = number
  counters[sampler.at + QUERIES] = 0
}

/** Where in the sample to keep this client, in place of another if it is full; and which query is kept next. */
function placeOf(sampler: Sampler, queries: number): number {
  const place = queries <= SAMPLE_CLIENTS ? queries - 1 : Math.floor(draw(sampler) * SAMPLE_CLIENTS)
  sampler.next = queries + 1
  if (queries >= SAMPLE_CLIENTS) {
    sampler.largest *= Math.exp(Math.log(draw(sampler)) / SAMPLE_CLIENTS)
    sampler.next += Math.floor(Math.log(draw(sampler)) / Math.log1p(-sampler.largest))
  }
  return place
}

/** A random number between 0 and 1, both excluded. */
function draw(sampler: Sampler): number {
  let state = sampler.random
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  sampler.random = state
  return (state >>> 0) / 2 ** 32
}

const folded = new Uint8Array(4)

/** `bits`: how many of the address are known. */
function putAddress(
  counters: Float64Array,
  cell: number,
  family: 4 | 6,
  bytes: Uint8Array,
  at: number,
  bits: number,
): void {
  if (family === 4) putWords(counters, cell, bytes, at, 0)
  else if (foldToIPv4(bytes, at, bits, folded) >= 0) putWords(counters, cell, folded, 0, 0)
  else putWords(counters, cell, bytes, at, 4)
}

/** `second`: where the second word begins after the first; 0 = there is none. */
function putWords(counters: Float64Array, cell: number, bytes: Uint8Array, at: number, second: number): void {
  counters[cell] = wordOf(bytes, at)
  counters[cell + 1] = second === 0 ? -1 : wordOf(bytes, at + second)
}

const wordOf = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** Tells a thread which sample to take, from the query on that it looks at next. `number`: one more than before; 0: none. */
export function startSample(counters: Float64Array, number: number): void {
  counters[C_SAMPLE] = number
}

/**
 * Reads a sample that the thread does not take any more. Calls `take` for each client: bytes[0 … 4) or [0 … 8) of its
 * address, valid until `take` returns, and how many queries it stands for.
 */
export function readSample(
  counters: Float64Array,
  number: number,
  take: (family: 4 | 6, bytes: Uint8Array, queries: number) => void,
): void {
  const half = halfOf(number)
  const queries = counters[half + QUERIES]!
  if (counters[half] !== number || queries === 0) return // the thread has had no query meanwhile
  const kept = Math.min(queries, SAMPLE_CLIENTS)
  for (let at = half + ADDRESSES; at < half + ADDRESSES + 2 * kept; at += 2) {
    view.setUint32(0, counters[at]!)
    if (counters[at + 1]! >= 0) view.setUint32(4, counters[at + 1]!)
    take(counters[at + 1]! < 0 ? 4 : 6, address, queries / kept)
  }
}

const address = new Uint8Array(16)
const view = new DataView(address.buffer)
