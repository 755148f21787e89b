/**
 * DNS in frames: each message comes after its length in two bytes, over TCP (RFC 7766) or over TLS (RFC 7858). A
 * connection may have many queries in flight, split over segments in any way.
 *
 * A turn reads once, answers a few queries and writes once. A connection with more queries waits for its next turn; one
 * whose answers the client has not taken is not read. A zone transfer takes a turn for each of its messages.
 */
import type { Socket } from 'node:net'
import type { respond } from '../answer/answer.ts'
import {
  makeRequest,
  type Responder,
  TCP,
  type Transfer,
  type TransferRefusal,
  type Transport,
} from '../answer/responder.ts'
import { formatAddress } from '../dns/address.ts'
import { type Connection, type Connections, type Stage, T_TIMED_OUT, T_UNANSWERABLE } from './connections.ts'
import type { Sending, Transfers } from './transfers.ts'

const LARGEST = 65_535
/** Limits of a turn: queries; and the time and bytes of answers after which it takes no further query. */
const TURN_QUERIES = 16
const TURN_MS = 0.05
const TURN_BYTES = 16 << 10
/** How many messages without an answer (responses, for example) a connection may send; no resolver sends any. */
const UNANSWERABLE_MOST = 3
const NOTHING: Uint8Array = new Uint8Array(0)
/** Buffer for the answers of a turn; they are copied out of it before the next turn. */
const scratch = new Uint8Array(TURN_BYTES + 2 + LARGEST)
/** The Request of all turns, used again for every query. */
const request = makeRequest({ input: scratch, client: scratch, transport: TCP, output: scratch, room: LARGEST })

/** What the connections of one thread share. */
export interface FramedThread {
  readonly connections: Connections
  readonly transfers: Transfers
  readonly responder: Responder
  readonly transport: Transport
  readonly respond: typeof respond
}

/** The stage of a connection on which DNS is spoken in frames, over TCP or TLS. */
export class Framed implements Stage {
  readonly #connections: Connections
  readonly #transfers: Transfers
  readonly #connection: Connection
  readonly #responder: Responder
  /** The connection's own socket, or the TLS on it. */
  readonly #socket: Socket
  readonly #transport: Transport
  readonly #respond: typeof respond
  /** Received and not answered: input[at … end), a part of a query, or more queries than a turn answers. */
  #input: Uint8Array = NOTHING
  #at = 0
  #end = 0
  /** The transfer that is sent before any further query is answered. */
  #sending: Sending | undefined
  #unanswerable = 0
  #isReady = false
  #isWriting = false
  #hasEnded = false

  constructor(thread: FramedThread, connection: Connection, socket: Socket) {
    this.#connections = thread.connections
    this.#transfers = thread.transfers
    this.#responder = thread.responder
    this.#transport = thread.transport
    this.#respond = thread.respond
    this.#connection = connection
    this.#socket = socket
    socket.on('readable', () => {
      this.#weigh()
      this.#next()
    })
    socket.once('end', () => {
      this.#hasEnded = true
      this.#next()
    })
  }

  /** Whether no query is incomplete and no answer waits. */
  get isIdle(): boolean {
    return (
      !this.#isReady &&
      !this.#isWriting &&
      this.#sending === undefined &&
      this.#at === this.#end &&
      this.#socket.readableLength === 0
    )
  }

  end(): void {
    this.#socket.destroySoon()
  }

  forget(): void {
    if (this.#sending !== undefined) this.#transfers.end(this.#sending, 'the connection was closed')
  }

  /** Sends the next message of a transfer; or reads once, answers some queries, writes once. */
  turn(): void {
    const socket = this.#socket
    this.#isReady = false
    if (socket.destroyed) return
    if (this.#sending !== undefined) this.#sendMessage(this.#sending)
    else {
      if (!this.#hasQuery()) this.#read()
      const size = this.#answer()
      if (this.#unanswerable > UNANSWERABLE_MOST) return this.#close()
      if (size > 0) this.#write(size)
      else this.#next()
    }
    this.#weigh()
  }

  #close(): void {
    this.#connections.close(this.#connection, T_UNANSWERABLE)
  }

  #sendMessage(sending: Sending): void {
    const size = sending.transfer.next(scratch, 2)
    if (size < 0) {
      this.#transfers.end(sending, 'a record and its signature fit into no message')
      return this.#close()
    }
    if (size === 0) {
      this.#transfers.end(sending)
      this.#sending = undefined
      this.#next()
    } else {
      scratch[0] = size >> 8
      scratch[1] = size & 255
      this.#write(size + 2)
    }
  }

  /** Writes the first bytes of `scratch`. */
  #write(size: number): void {
    const connection = this.#connection
    const socket = this.#socket
    connection.hasAsked = true
    this.#connections.moved(connection)
    this.#isWriting = true
    socket.write(Buffer.from(scratch.subarray(0, size)), () => this.#written())
    if (socket.writableLength > 0) connection.waitsSinceMs = connection.movedMs
  }

  /** The kernel has taken all answers. */
  #written(): void {
    this.#isWriting = false
    if (this.#connection.waitsSinceMs !== 0) {
      this.#connection.waitsSinceMs = 0
      this.#connections.moved(this.#connection)
      this.#weigh()
    }
    this.#next()
  }

  /** Waits for the next turn if there is something to do, else for the client. */
  #next(): void {
    const socket = this.#socket
    if (this.#isReady || this.#isWriting || socket.destroyed) return
    if (this.#sending !== undefined) {
      this.#isReady = true
      this.#connections.enqueueCostly(this.#connection)
    } else if (this.#hasQuery() || socket.readableLength > 0) {
      this.#isReady = true
      this.#connections.enqueue(this.#connection)
    } else if (this.#hasEnded) socket.end()
    else socket.read(0) // so that 'end' is emitted once the client has shut down its side
  }

  /** Takes the transfer that answers the last query. `response`: the response without records. */
  #begin(transfer: Transfer, response: Uint8Array): void {
    this.#responder.transfer = null
    transfer.begin(response, this.#responder.query.questionEnd)
    const connection = this.#connection
    const close = (): void => this.#connections.close(connection, T_TIMED_OUT)
    this.#sending = this.#transfers.begin(transfer, formatAddress(connection.address), close)
  }

  #refuse(refusal: TransferRefusal): void {
    this.#responder.refusal = null
    this.#transfers.refuse(refusal, formatAddress(this.#connection.address))
  }

  #weigh(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    this.#connections.weigh(this.#connection, socket.writableLength + socket.readableLength + this.#input.length)
  }

  /** Whether a whole query is in the buffer. */
  #hasQuery(): boolean {
    const input = this.#input
    const there = this.#end - this.#at
    return there >= 2 && there - 2 >= ((input[this.#at]! << 8) | input[this.#at + 1]!)
  }

  #read(): void {
    const chunk: Buffer | null = this.#socket.read()
    if (chunk === null) return
    const kept = this.#input.subarray(this.#at, this.#end)
    if (kept.length === 0) {
      this.#input = chunk
      this.#at = 0
      this.#end = 0
    } else if (this.#end + chunk.length > this.#input.length) {
      // room for twice what is kept, so that a query that comes byte by byte is not copied with every byte
      this.#input = new Uint8Array(kept.length + Math.max(kept.length, chunk.length))
      this.#input.set(kept)
      this.#at = 0
      this.#end = kept.length
    }
    if (this.#input !== chunk) this.#input.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** Answers as many whole queries as a turn may, into `scratch`. Returns the bytes of their answers. */
  #answer(): number {
    const responder = this.#responder
    const { source } = this.#connection
    request.client = source
    request.portAt = source.length - 2
    request.family = request.portAt === 4 ? 4 : 6
    request.transport = this.#transport
    const until = performance.now() + TURN_MS
    responder.nowMs = Date.now()
    let size = 0
    const isSending = (): boolean => this.#sending !== undefined
    for (let count = 0; count < TURN_QUERIES && size < TURN_BYTES && this.#hasQuery() && !isSending(); count++) {
      if (count > 0 && performance.now() > until) break
      const input = this.#input
      const at = this.#at + 2
      const length = (input[at - 2]! << 8) | input[at - 1]!
      responder.chance = Math.floor(Math.random() * 0x1_0000_0000) | 0
      request.input = input
      request.at = at
      request.length = length
      request.outAt = size + 2
      const answer = this.#respond(responder, request)
      this.#at = at + length
      if (responder.refusal !== null) this.#refuse(responder.refusal)
      if (responder.transfer !== null) this.#begin(responder.transfer, scratch.subarray(size + 2, size + 2 + answer))
      else if (answer === 0) this.#unanswerable++
      else {
        scratch[size] = answer >> 8
        scratch[size + 1] = answer & 255
        size += 2 + answer
      }
    }
    if (this.#at === this.#end) {
      this.#input = NOTHING
      this.#at = 0
      this.#end = 0
    }
    return size
  }
}
