/**
 * Records of queries, from an answering thread to the thread of the query log: a ring of bytes in shared memory, one
 * for each answering thread. The writer never waits: a record for which there is no room is dropped and counted. A
 * record counts as written when `head` is behind it, and the reader copies it before it gives its room back, so that
 * half a record is never read.
 *
 *   head, tail, dropped │ free … │ size, fields, client, service, site, query, response │ size, … │ free …
 *                                ▲ tail                                                           ▲ head
 *
 * A record is never split: a size of 0 says that the next one is at the start.
 */
import { respond } from '../answer/answer.ts'
import type { Request } from '../answer/responder.ts'
import type { Selection } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'

/** How an answering thread records queries: each of them with the probability 1 / `sample`. */
export interface Recording {
  readonly ring: SharedArrayBuffer
  readonly sample: number
}

/** What a Responder knows of the last query. */
export interface Answered {
  readonly steered: Pick<SteeredService, 'name' | 'siteNames'> | undefined
  readonly selection: Pick<Selection, 'site'>
  readonly nowMs: number
}

/** A record. Its bytes are the reader's, and other ones after the next take(). */
export interface QueryRecord {
  /** Unix time at which the thread received the batch with the query, in milliseconds. */
  atMs: number
  /** Index into TRANSPORTS of counters.ts. */
  transport: number
  /** 4 or 16 bytes: who asked, behind any proxy. */
  client: Uint8Array
  port: number
  /** What chose a steered answer, and the site that it names; empty: nothing, none. */
  service: string
  site: string
  query: Uint8Array
  /** Empty: none was sent. Of a zone transfer, the response without its records. */
  response: Uint8Array
}

/** Bytes for records; a power of two. At 300 bytes a record, 3,500 of them fit. */
const ROOM = 1 << 20
// cells of 32 bits; each side writes to a cache line of its own
const HEAD = 0
const DROPPED = 1
const TAIL = 16
const START = 128

// a record, in bytes from its start
const SIZE = 0
const QUERY_SIZE = 4
const AT_MS = 8
const RESPONSE_SIZE = 16
const PORT = 20
const TRANSPORT = 22
const CLIENT_SIZE = 23
const SERVICE_SIZE = 24
const SITE_SIZE = 25
const FIELDS = 26
/** More than any record has: two messages of 65,535 bytes. */
const MOST_BYTES = FIELDS + 16 + 2 * 255 + 2 * 65_535 + 8

/** An empty ring. */
export const makeRing = (room = ROOM): SharedArrayBuffer => new SharedArrayBuffer(START + room)

/** How many records found no room, since the ring was made (modulo 2 ^ 32). */
export const droppedBy = (ring: SharedArrayBuffer): number => Atomics.load(new Int32Array(ring), DROPPED) >>> 0

/** respond() as it is; or one that also records some of the queries. Without `recording` it costs nothing. */
export function respondWith(recording: Recording | undefined): typeof respond {
  if (recording === undefined) return respond
  const { ring, sample } = recording
  const writer = new RingWriter(ring)
  let left = untilNext(sample)
  return (responder, request) => {
    if (--left > 0) return respond(responder, request)
    left = untilNext(sample)
    responder.steered = undefined
    const size = respond(responder, request)
    writer.write(responder, request, size)
    return size
  }
}

/**
 * How many queries on the next one is recorded, if each is with the probability 1 / `sample`: the geometric
 * distribution. No client can know which, and no period in the traffic distorts the sample.
 */
export const untilNext = (sample: number, random = Math.random()): number =>
  sample === 1 ? 1 : 1 + Math.floor(Math.log1p(-random) / Math.log1p(-1 / sample))

/** The answering thread's side of a ring. */
export class RingWriter {
  readonly #cells: Int32Array
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #room: number
  /** What `head` becomes with the record that is being written. */
  #head = 0

  constructor(ring: SharedArrayBuffer) {
    this.#cells = new Int32Array(ring, 0, START / 4)
    this.#bytes = new Uint8Array(ring, START)
    this.#view = new DataView(ring, START)
    this.#room = ring.byteLength - START
  }

  /** Writes the record of a query that was just answered with `size` bytes. */
  write({ steered, selection, nowMs }: Answered, request: Request, size: number): void {
    const bytes = this.#bytes
    const view = this.#view
    const service = steered === undefined ? '' : steered.name
    const site = steered === undefined || selection.site < 0 ? '' : steered.siteNames[selection.site]!
    const clientSize = request.family === 4 ? 4 : 16
    const { length } = request
    const needed = (FIELDS + clientSize + service.length + site.length + length + size + 7) & ~7
    const start = this.#claim(needed)
    if (start < 0) return
    view.setInt32(start + SIZE, needed, true)
    view.setInt32(start + QUERY_SIZE, length, true)
    view.setFloat64(start + AT_MS, nowMs, true)
    view.setInt32(start + RESPONSE_SIZE, size, true)
    view.setUint16(start + PORT, portOf(request), true)
    bytes[start + TRANSPORT] = request.transport
    bytes[start + CLIENT_SIZE] = clientSize
    bytes[start + SERVICE_SIZE] = service.length
    bytes[start + SITE_SIZE] = site.length
    let at = this.#put(start + FIELDS, request.client, request.clientAt, clientSize)
    for (let i = 0; i < service.length; i++) bytes[at++] = service.charCodeAt(i)
    for (let i = 0; i < site.length; i++) bytes[at++] = site.charCodeAt(i)
    at = this.#put(at, request.input, request.at, length)
    this.#put(at, request.output, request.outAt, size)
    Atomics.store(this.#cells, HEAD, this.#head)
  }

  /** Where a record of so many bytes begins; −1, with the record counted as dropped, if there is no room. */
  #claim(bytes: number): number {
    const cells = this.#cells
    const head = cells[HEAD]!
    const at = head & (this.#room - 1)
    const gap = bytes > this.#room - at ? this.#room - at : 0
    const used = (head - Atomics.load(cells, TAIL)) | 0
    if (used + gap + bytes > this.#room) {
      Atomics.add(cells, DROPPED, 1)
      return -1
    }
    if (gap > 0) this.#view.setInt32(at, 0, true)
    this.#head = (head + gap + bytes) | 0
    return gap > 0 ? 0 : at
  }

  #put(at: number, from: Uint8Array, start: number, size: number): number {
    for (let i = 0; i < size; i++) this.#bytes[at + i] = from[start + i]!
    return at + size
  }
}

/** The source port of a query; 0 = unknown. */
const portOf = ({ client, clientAt, portAt }: Request): number =>
  portAt === 0 ? 0 : (client[clientAt + portAt]! << 8) | client[clientAt + portAt + 1]!

/** The other side. */
export class RingReader {
  readonly #cells: Int32Array
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #room: number
  readonly #copy = Buffer.alloc(MOST_BYTES)
  readonly #record: QueryRecord

  constructor(ring: SharedArrayBuffer) {
    this.#cells = new Int32Array(ring, 0, START / 4)
    this.#bytes = new Uint8Array(ring, START)
    this.#view = new DataView(ring, START)
    this.#room = ring.byteLength - START
    const none = new Uint8Array(0)
    this.#record = { atMs: 0, transport: 0, client: none, port: 0, service: '', site: '', query: none, response: none }
  }

  /** Takes the oldest record; undefined: there is none. */
  take(): QueryRecord | undefined {
    const cells = this.#cells
    let tail = cells[TAIL]!
    if (tail === Atomics.load(cells, HEAD)) return undefined
    let start = tail & (this.#room - 1)
    if (this.#view.getInt32(start + SIZE, true) === 0) {
      tail += this.#room - start
      start = 0
    }
    const size = this.#view.getInt32(start + SIZE, true)
    this.#copy.set(this.#bytes.subarray(start, start + size))
    Atomics.store(cells, TAIL, (tail + size) | 0)
    return this.#read()
  }

  /** The record that was copied. */
  #read(): QueryRecord {
    const copy = this.#copy
    const record = this.#record
    let at = FIELDS
    const next = (size: number): Buffer => copy.subarray(at, (at += size))
    record.atMs = copy.readDoubleLE(AT_MS)
    record.transport = copy[TRANSPORT]!
    record.port = copy.readUInt16LE(PORT)
    record.client = next(copy[CLIENT_SIZE]!)
    record.service = next(copy[SERVICE_SIZE]!).toString('latin1')
    record.site = next(copy[SITE_SIZE]!).toString('latin1')
    record.query = next(copy.readInt32LE(QUERY_SIZE))
    record.response = next(copy.readInt32LE(RESPONSE_SIZE))
    return record
  }
}
