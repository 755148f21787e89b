/**
 * Connections of DNS over TCP (RFC 7766), in the TCP thread: who may connect, whose turn it is, what may wait. Queries come
 * each behind its length in two bytes, many on a connection, in flight together, however the stream is cut up.
 *
 * Clients take turns, and the connections of a client take its turns: a turn reads once, answers a few queries, writes once.
 * A connection that has more to say, or to be told, waits for its next turn; one whose answers have not left is not read.
 * Between turns the thread's other work goes on: new connections, Worlds, timers.
 *
 *   accept ─▶ quiet ─ bytes ─▶ ready ─ turn ─┬─ answers have left ─▶ quiet, or ready when there is more
 *               ▲                            └─ answers wait ─┬─ left ─▶ …
 *               └─ closed when silent for too long            └─ closed after unreadMs, or when memory is short
 *
 * Bounded: connections (in all, and of one client), time (first query, idle, answers that wait), and memory: what all
 * connections hold together. When it is short, the client that holds most loses the connection that holds most. When all
 * places are taken, a newcomer takes that of the connection on which nothing has happened for longest (RFC 7766 §6.2.3
 * leaves it to the server): filling the places keeps nobody out, as long as they ask before as many others have come.
 */
import type { Socket } from 'node:net'
import { respond } from '../answer/answer.ts'
import { makeRequest, type Responder, TCP } from '../answer/responder.ts'
import { clientKey, parsePeer } from '../dns/address.ts'

export interface TcpLimits {
  /** In all; a newcomer beyond them takes the place of the longest idle. */
  readonly connections: number
  /** Of one IPv4 address, or one IPv6 /64. */
  readonly perClient: number
  /** From accept to the first whole query. */
  readonly firstMs: number
  /** From a whole query, or answers that got away, to the next. */
  readonly idleMs: number
  /** For answers that wait to get away. */
  readonly unreadMs: number
  /** Bytes that wait in all connections together: answers not taken, queries not whole. */
  readonly memory: number
}

/** Cells of what the connections count: one Float64Array in shared memory, written by the TCP thread alone. The first changes with every sweep. */
export const T_BEAT = 0
export const T_OPEN = 1
export const T_HELD = 2
export const T_ACCEPTED = 3
export const T_REFUSED = 4
export const T_EVICTED = 5
export const T_TIMED_OUT = 6
export const T_UNREAD = 7
export const T_OVER_MEMORY = 8
export const T_UNANSWERABLE = 9
export const TCP_CELLS = 16

/** What a connection is closed for, by its cell. */
type Cause = typeof T_EVICTED | typeof T_TIMED_OUT | typeof T_UNREAD | typeof T_OVER_MEMORY | typeof T_UNANSWERABLE

const LARGEST = 65_535
/** Of a turn: no more queries, and no further query once it has lasted so long or so many bytes of answers are there. */
const TURN_QUERIES = 16
const TURN_MS = 0.05
const TURN_BYTES = 16 << 10
/** Of a round of turns; then the thread does its other work. libuv accepts one connection a round: while they come in, rounds are short. */
const ROUND_MS = 1
const ROUND_WHILE_ACCEPTING_MS = 0.2
/** Messages that get no answer, such as responses: no resolver sends any, and one more closes the connection. */
const UNANSWERABLE_MOST = 3
const SWEEP_MS = 250
/** While draining: how long a connection may say nothing before it is closed. */
const LAST_WORDS_MS = 200
const DRAIN_POLL_MS = 20

/** One IPv4 address, or one IPv6 /64. */
interface Client {
  readonly key: string
  readonly connections: Set<Connection>
  /** Those that wait for a turn. */
  readonly ready: Connection[]
  held: number
}

export class Connections {
  readonly #responder: Responder
  readonly #limits: TcpLimits
  readonly #cells: Float64Array
  /** In the order in which something last happened on them: the first is the longest idle. */
  readonly #connections = new Set<Connection>()
  readonly #clients = new Map<string, Client>()
  /** Clients with connections that wait for a turn, in the order of their turns. */
  readonly #turns: Client[] = []
  readonly #sweeping: NodeJS.Timeout
  #running = false
  #accepted = false

  constructor(responder: Responder, limits: TcpLimits, cells: Float64Array) {
    this.#responder = responder
    this.#limits = limits
    this.#cells = cells
    this.#cells[T_BEAT]!++
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS)
  }

  accept(socket: Socket): void {
    this.#accepted = true
    socket.on('error', () => {}) // always followed by 'close'
    const address = parsePeer(socket.remoteAddress)
    if (address === undefined) return void socket.destroy() // gone already
    this.#cells[T_ACCEPTED]!++
    const key = clientKey(address)
    const client = this.#clients.get(key) ?? { key, connections: new Set(), ready: [], held: 0 }
    if (client.connections.size >= this.#limits.perClient) {
      this.#cells[T_REFUSED]!++
      return void socket.resetAndDestroy()
    }
    if (this.#connections.size >= this.#limits.connections) this.#evict()
    const connection = new Connection(this, this.#responder, socket, client, address)
    client.connections.add(connection)
    this.#clients.set(key, client)
    this.#connections.add(connection)
    this.#cells[T_OPEN] = this.#connections.size
  }

  #evict(): void {
    for (const longestIdle of this.#connections) return this.close(longestIdle, T_EVICTED)
  }

  /** It has something to do: its turn will come. */
  enqueue(connection: Connection): void {
    const { client } = connection
    client.ready.push(connection)
    if (client.ready.length === 1) this.#turns.push(client)
    if (this.#running) return
    this.#running = true
    setImmediate(() => this.#run())
  }

  /** One turn for each client that waits, as far as time allows: more it has after the thread's other work, as those have that only come then. */
  #run(): void {
    const until = performance.now() + (this.#accepted ? ROUND_WHILE_ACCEPTING_MS : ROUND_MS)
    this.#accepted = false
    for (let left = this.#turns.length; left > 0; left--) {
      const client = this.#turns.shift()!
      const connection = client.ready.shift()!
      if (client.ready.length > 0) this.#turns.push(client)
      connection.turn()
      if (performance.now() > until) break
    }
    this.#running = this.#turns.length > 0
    if (this.#running) setImmediate(() => this.#run())
  }

  /** A query got its answer, or answers got away. */
  moved(connection: Connection): void {
    connection.movedMs = performance.now()
    if (this.#connections.delete(connection)) this.#connections.add(connection)
  }

  /** What a connection holds has changed to `bytes`; it, or one that holds more, may be closed for it. */
  weigh(connection: Connection, bytes: number): void {
    const change = bytes - connection.held
    if (change === 0) return
    connection.held = bytes
    connection.client.held += change
    this.#cells[T_HELD]! += change
    while (this.#cells[T_HELD]! > this.#limits.memory) this.close(this.#heaviest(), T_OVER_MEMORY)
  }

  #heaviest(): Connection {
    const clients = [...this.#clients.values()]
    const client = clients.reduce((most, one) => (one.held > most.held ? one : most))
    return [...client.connections].reduce((most, one) => (one.held > most.held ? one : most))
  }

  #sweep(): void {
    this.#cells[T_BEAT]!++
    const { firstMs, idleMs, unreadMs } = this.#limits
    const now = performance.now()
    for (const connection of this.#connections) {
      if (connection.waitsSinceMs !== 0) {
        if (now - connection.waitsSinceMs > unreadMs) this.close(connection, T_UNREAD)
      } else if (now - connection.movedMs > (connection.hasAsked ? idleMs : firstMs)) {
        this.close(connection, T_TIMED_OUT)
      }
    }
  }

  /** Idle ones in the usual way; the others so that the kernel throws away what it holds for them too. */
  close(connection: Connection, cause: Cause): void {
    this.#cells[cause]!++
    this.forget(connection)
    if (connection.isIdle) connection.socket.destroy()
    else connection.socket.resetAndDestroy()
  }

  /** It is closed, or about to be. */
  forget(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    this.weigh(connection, 0)
    const { client } = connection
    client.connections.delete(connection)
    if (client.connections.size === 0) this.#clients.delete(client.key)
    this.#cells[T_OPEN] = this.#connections.size
  }

  /** Connections end when they have said nothing for LAST_WORDS_MS and have their answers; after `drainMs` all do. */
  async drain(drainMs: number): Promise<void> {
    const deadline = performance.now() + drainMs
    for (let now = performance.now(); this.#connections.size > 0 && now < deadline; now = performance.now()) {
      for (const connection of this.#connections) {
        if (connection.isIdle && now - connection.movedMs > LAST_WORDS_MS) connection.socket.destroySoon()
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(DRAIN_POLL_MS, deadline - now)))
    }
    clearInterval(this.#sweeping)
    for (const { socket } of this.#connections) socket.destroy()
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)
/** Answers of a turn, one for all: they are copied out of it before the next turn. */
const scratch = new Uint8Array(TURN_BYTES + 2 + LARGEST)
/** What is asked, over and over: one turn is over before the next. */
const request = makeRequest({ input: scratch, client: scratch, transport: TCP, output: scratch, room: LARGEST })

class Connection {
  readonly socket: Socket
  readonly client: Client
  readonly #connections: Connections
  readonly #responder: Responder
  readonly #address: Uint8Array
  /** What came in and isn't answered yet is input[at … end): a part of a query, or more of them than a turn answers. */
  #input: Uint8Array = NOTHING
  #at = 0
  #end = 0
  #unanswerable = 0
  #isReady = false
  #isWriting = false
  #hasEnded = false
  /** As weighed last. */
  held = 0
  hasAsked = false
  /** When a query last got its answer, or answers got away. Single bytes of a query don't count. */
  movedMs = performance.now()
  /** Since when answers wait; 0 = none do. */
  waitsSinceMs = 0

  constructor(connections: Connections, responder: Responder, socket: Socket, client: Client, address: Uint8Array) {
    this.#connections = connections
    this.#responder = responder
    this.socket = socket
    this.client = client
    this.#address = address
    socket.on('readable', () => {
      this.#weigh()
      this.#next()
    })
    socket.once('end', () => {
      this.#hasEnded = true
      this.#next()
    })
    socket.once('close', () => connections.forget(this))
  }

  /** Nothing half asked, nothing half answered. */
  get isIdle(): boolean {
    return !this.#isReady && !this.#isWriting && this.#at === this.#end && this.socket.readableLength === 0
  }

  /** Reads once, answers some queries, writes once. */
  turn(): void {
    const { socket } = this
    this.#isReady = false
    if (socket.destroyed) return
    if (!this.#hasQuery()) this.#read()
    const size = this.#answer()
    if (this.#unanswerable > UNANSWERABLE_MOST) return this.#connections.close(this, T_UNANSWERABLE)
    if (size > 0) {
      this.hasAsked = true
      this.#connections.moved(this)
      this.#isWriting = true
      socket.write(Buffer.from(scratch.subarray(0, size)), () => this.#written())
      if (socket.writableLength > 0) this.waitsSinceMs = this.movedMs
    } else this.#next()
    this.#weigh()
  }

  /** All answers are the kernel's now. */
  #written(): void {
    this.#isWriting = false
    if (this.waitsSinceMs !== 0) {
      this.waitsSinceMs = 0
      this.#connections.moved(this)
      this.#weigh()
    }
    this.#next()
  }

  /** Waits for its next turn, or for the client. */
  #next(): void {
    const { socket } = this
    if (this.#isReady || this.#isWriting || socket.destroyed) return
    if (this.#hasQuery() || socket.readableLength > 0) {
      this.#isReady = true
      this.#connections.enqueue(this)
    } else if (this.#hasEnded) socket.end()
    else socket.read(0) // so that it says whether the client has ended
  }

  #weigh(): void {
    const { socket } = this
    if (socket.destroyed) return
    this.#connections.weigh(this, socket.writableLength + socket.readableLength + this.#input.length)
  }

  /** A whole one. */
  #hasQuery(): boolean {
    const input = this.#input
    const there = this.#end - this.#at
    return there >= 2 && there - 2 >= ((input[this.#at]! << 8) | input[this.#at + 1]!)
  }

  #read(): void {
    const chunk: Buffer | null = this.socket.read()
    if (chunk === null) return
    const kept = this.#input.subarray(this.#at, this.#end)
    if (kept.length === 0) {
      this.#input = chunk
      this.#at = 0
      this.#end = 0
    } else if (this.#end + chunk.length > this.#input.length) {
      // twice what is kept: a query that comes byte by byte is not copied with every byte
      this.#input = new Uint8Array(kept.length + Math.max(kept.length, chunk.length))
      this.#input.set(kept)
      this.#at = 0
      this.#end = kept.length
    }
    if (this.#input !== chunk) this.#input.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** Answers whole queries into `scratch`, as many as a turn has; returns the bytes of their answers. */
  #answer(): number {
    const responder = this.#responder
    request.client = this.#address
    request.family = this.#address.length === 4 ? 4 : 6
    const until = performance.now() + TURN_MS
    let size = 0
    for (let count = 0; count < TURN_QUERIES && size < TURN_BYTES && this.#hasQuery(); count++) {
      if (count > 0 && performance.now() > until) break
      const input = this.#input
      const at = this.#at + 2
      const length = (input[at - 2]! << 8) | input[at - 1]!
      responder.chance = Math.floor(Math.random() * 0x1_0000_0000) | 0
      request.input = input
      request.at = at
      request.length = length
      request.outAt = size + 2
      const answer = respond(responder, request)
      this.#at = at + length
      if (answer === 0) this.#unanswerable++
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
