/**
 * The connections of a thread that serves streams (TCP, TLS or HTTPS): their places, limits and turns. What is done
 * with a connection is its stage's: framed.ts answers DNS in frames, handshakes.ts begins TLS, https.ts answers HTTP.
 *
 * Clients take turns, and a client's connections share its turns; a turn is short. Between rounds of turns the thread
 * does its other work: new connections, Worlds, timers. What costs far more than answers, such as a handshake or a
 * message of a zone transfer, has turns apart, one in a round: however many wait, an answer waits for one of them.
 *
 *   accept ─▶ quiet ─ bytes ─▶ ready ─ turn ─┬─ answers have left ─▶ quiet, or ready when there is more
 *               ▲                            └─ answers wait ─┬─ left ─▶ …
 *               └─ closed when silent for too long            └─ closed after unreadMs, or when memory is short
 *
 * Limits: connections (in all, and for each client), time (to the first query, idle, answers not taken), and memory of
 * all connections together. When memory is short, the client that holds the most loses the connection that holds the
 * most. When all places are taken, a new connection takes the place of the one that has been idle for longest (RFC 7766
 * §6.2.3 leaves this to the server), so that nobody can lock others out by filling all places.
 */
import type { Socket } from 'node:net'
import { clientKey, parsePeer, withPort } from '../dns/address.ts'

/** The limits of a thread's connections. */
export interface TcpLimits {
  /** Connections in all; one more takes the place of the longest idle. */
  readonly connections: number
  /** Connections of one client: an IPv4 address, or an IPv6 /64. */
  readonly perClient: number
  /** Time from accept to the first whole query. */
  readonly firstMs: number
  /** Time from the last whole query, or the last answer that was taken, to the next query. */
  readonly idleMs: number
  /** Time for the client to take its answers. */
  readonly unreadMs: number
  /** Bytes in the buffers of all connections together: answers not taken, incomplete queries. */
  readonly memory: number
  /** TLS handshakes that have begun and are not done; one more ends the oldest. */
  readonly handshakes: number
}

/**
 * Cells of the connections' counters: one Float64Array in shared memory that only their thread writes. T_BEAT changes
 * with every sweep.
 */
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
/** TLS handshakes: done in full, resumed from a ticket (RFC 5077, RFC 8446 §2.2), failed. */
export const T_HANDSHAKES = 10
export const T_RESUMED = 11
export const T_HANDSHAKES_FAILED = 12
/** Requests over HTTPS that were no queries, by status: a cell for each. */
export const T_STATUS = 13
/** The statuses, in the order of their cells. */
export const BAD_STATUSES = [400, 404, 405, 413, 415] as const
/** One of them. */
export type BadStatus = (typeof BAD_STATUSES)[number]
/** Zone transfers: whole, incremental, refused, broken off, and those that are being sent. */
export const T_AXFR = 20
export const T_IXFR = 21
export const T_TRANSFERS_REFUSED = 22
export const T_TRANSFERS_BROKEN = 23
export const T_TRANSFERRING = 24
export const TCP_CELLS = 32

/** Why a connection is closed: the cell that counts it. */
export type Cause =
  | typeof T_REFUSED
  | typeof T_EVICTED
  | typeof T_TIMED_OUT
  | typeof T_UNREAD
  | typeof T_OVER_MEMORY
  | typeof T_UNANSWERABLE

/**
 * Duration of a round of turns, after which the thread does its other work. libuv accepts one connection a round:
 * rounds are shorter while connections come in.
 */
const ROUND_MS = 1
const ROUND_WHILE_ACCEPTING_MS = 0.2
const SWEEP_MS = 250
/** While draining: how long a connection may be idle before it is closed. */
const LAST_WORDS_MS = 200
const DRAIN_POLL_MS = 20

/** A client: one IPv4 address, or one IPv6 /64. */
interface Client {
  readonly key: string
  readonly connections: Set<Connection>
  /** Bytes in the buffers of its connections. */
  held: number
}

/** What is done with a connection just now. It answers to Connections, and calls them when there is something to do. */
export interface Stage {
  /** Does a part of the work. Called when the connection has its turn. */
  turn(): void
  /** Whether nothing is incomplete and no answer waits. */
  readonly isIdle: boolean
  /** Ends the connection in order, once it is idle. */
  end(): void
  /** Called when the connection is closed, or about to be. */
  forget?(): void
}

/** A connection, from accept to close. Its stage changes with what is spoken; its place and limits stay. */
export class Connection {
  readonly socket: Socket
  /** The client's address and port: 6 or 18 bytes. Of a connection from a proxy, the proxy's until it has named the client. */
  source: Uint8Array
  client: Client
  stage: Stage = OPENING
  /** Bytes in its buffers, as weigh() was last told. */
  held = 0
  hasAsked = false
  /** Time of the last answered query, or the last answers taken. A part of a query is no activity. */
  movedMs = performance.now()
  /** Since when answers wait to be taken; 0 = none do. */
  waitsSinceMs = 0

  constructor(socket: Socket, client: Client, source: Uint8Array) {
    this.socket = socket
    this.client = client
    this.source = source
  }

  /** The client's address: 4 or 16 bytes. */
  get address(): Uint8Array {
    return this.source.subarray(0, -2)
  }
}

const OPENING: Stage = { turn: () => {}, isIdle: true, end: () => {} }

/** Connections that wait for a turn: clients in turn, and of each client its connections in turn. */
class Turns {
  readonly #waiting = new Map<Client, Connection[]>()

  /** How many clients wait. */
  get size(): number {
    return this.#waiting.size
  }

  add(connection: Connection): void {
    const waiting = this.#waiting.get(connection.client)
    if (waiting === undefined) this.#waiting.set(connection.client, [connection])
    else waiting.push(connection)
  }

  /** The next; its client goes to the end of the line if it has more. */
  take(): Connection | undefined {
    for (const [client, waiting] of this.#waiting) {
      const connection = waiting.shift()
      this.#waiting.delete(client)
      if (waiting.length > 0) this.#waiting.set(client, waiting)
      return connection
    }
    return undefined
  }
}

/** All connections of one thread. */
export class Connections {
  readonly #limits: TcpLimits
  readonly #cells: Float64Array
  /** Sorted by the time of their last activity: the first is the longest idle. */
  readonly #connections = new Set<Connection>()
  readonly #clients = new Map<string, Client>()
  /** Those that wait for a turn; `costly`: for one of those that are apart. */
  readonly #turns = new Turns()
  readonly #costly = new Turns()
  readonly #sweeping: NodeJS.Timeout
  #running = false
  #accepted = false

  constructor(limits: TcpLimits, cells: Float64Array) {
    this.#limits = limits
    this.#cells = cells
    this.#cells[T_BEAT]!++
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS)
  }

  /**
   * Takes a new connection, with the stage that `open` makes for it, or refuses it when its client has too many.
   * `isProxy`: it is a proxy's, and identify() will say which client's.
   */
  accept(socket: Socket, open: (connection: Connection) => Stage, isProxy = false): void {
    this.#accepted = true
    socket.on('error', () => {}) // always followed by 'close'
    const address = parsePeer(socket.remoteAddress)
    if (address === undefined) return void socket.destroy() // closed already
    this.#cells[T_ACCEPTED]!++
    // a proxy may have many: its clients are counted, once they are named
    const client = isProxy ? { key: '', connections: new Set<Connection>(), held: 0 } : this.#clientOf(address)
    if (client === undefined) {
      this.#cells[T_REFUSED]!++
      return void socket.resetAndDestroy()
    }
    if (this.#connections.size >= this.#limits.connections) this.#evict()
    const connection = new Connection(socket, client, withPort(address, socket.remotePort ?? 0))
    this.#join(client, connection)
    this.#connections.add(connection)
    this.#cells[T_OPEN] = this.#connections.size
    socket.once('close', () => this.forget(connection))
    connection.stage = open(connection)
  }

  /** The client with this address; undefined: it has all the connections that it may have. */
  #clientOf(address: Uint8Array): Client | undefined {
    const key = clientKey(address)
    const client = this.#clients.get(key) ?? { key, connections: new Set(), held: 0 }
    return client.connections.size < this.#limits.perClient ? client : undefined
  }

  #join(client: Client, connection: Connection): void {
    client.connections.add(connection)
    if (client.key !== '') this.#clients.set(client.key, client)
  }

  /** Notes whose a connection from a proxy is: `source` is their address and port. Returns false, with the connection closed, if it is one too many. */
  identify(connection: Connection, source: Uint8Array): boolean {
    const client = this.#clientOf(source.subarray(0, -2))
    if (client === undefined) {
      this.close(connection, T_REFUSED)
      return false
    }
    connection.client.connections.delete(connection)
    connection.client = client
    connection.source = source
    this.#join(client, connection)
    return true
  }

  #evict(): void {
    for (const longestIdle of this.#connections) return this.close(longestIdle, T_EVICTED)
  }

  /** Has a connection wait for its turn; it must not wait already. */
  enqueue(connection: Connection): void {
    this.#turns.add(connection)
    this.#wake()
  }

  /** Has a connection wait for a turn that costs more than answers: a handshake, a message of a transfer. */
  enqueueCostly(connection: Connection): void {
    this.#costly.add(connection)
    this.#wake()
  }

  #wake(): void {
    if (this.#running) return
    this.#running = true
    setImmediate(() => this.#run())
  }

  /**
   * One turn for each waiting client, within the time of a round, and one that is costly. The rest goes on after the
   * thread's other work.
   */
  #run(): void {
    const until = performance.now() + (this.#accepted ? ROUND_WHILE_ACCEPTING_MS : ROUND_MS)
    this.#accepted = false
    for (let left = this.#turns.size; left > 0; left--) {
      this.#turns.take()!.stage.turn()
      if (performance.now() > until) break
    }
    this.#costly.take()?.stage.turn()
    this.#running = this.#turns.size > 0 || this.#costly.size > 0
    if (this.#running) setImmediate(() => this.#run())
  }

  /** A query was answered, or the client took its answers: the connection is not idle. */
  moved(connection: Connection): void {
    connection.movedMs = performance.now()
    if (this.#connections.delete(connection)) this.#connections.add(connection)
  }

  /** Notes that a connection's buffers hold `bytes`. If memory is short, closes it or one that holds more. */
  weigh(connection: Connection, bytes: number): void {
    const change = bytes - connection.held
    if (change === 0 || !this.#connections.has(connection)) return
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

  /** Closes a connection. One that is not idle is reset, so that the kernel frees its buffers too. */
  close(connection: Connection, cause: Cause): void {
    this.#cells[cause]!++
    this.forget(connection)
    if (connection.stage.isIdle) connection.socket.destroy()
    else connection.socket.resetAndDestroy()
  }

  /** Removes a connection that is closed, or about to be. */
  forget(connection: Connection): void {
    this.weigh(connection, 0)
    if (!this.#connections.delete(connection)) return
    connection.stage.forget?.()
    const { client } = connection
    client.connections.delete(connection)
    if (client.connections.size === 0) this.#clients.delete(client.key)
    this.#cells[T_OPEN] = this.#connections.size
  }

  /** Ends each connection that has its answers and was idle for LAST_WORDS_MS; after `drainMs` all of them. */
  async drain(drainMs: number): Promise<void> {
    const deadline = performance.now() + drainMs
    for (let now = performance.now(); this.#connections.size > 0 && now < deadline; now = performance.now()) {
      for (const connection of this.#connections) {
        if (connection.stage.isIdle && now - connection.movedMs > LAST_WORDS_MS) connection.stage.end()
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(DRAIN_POLL_MS, deadline - now)))
    }
    clearInterval(this.#sweeping)
    for (const { socket } of this.#connections) socket.destroy()
  }
}
