/**
 * Connections of DNS over TCP (RFC 7766), in the TCP thread: limits, turns and buffers. Each query comes after its
 * length in two bytes; a connection may have many queries in flight, split over segments in any way.
 *
 * Clients take turns, and a client's connections share its turns. A turn reads once, answers a few queries and writes
 * once. A connection with more queries waits for its next turn; one whose answers the client has not taken is not read.
 * Between turns the thread does its other work: new connections, Worlds, timers. A zone transfer is sent in messages of
 * 16 KB, one in a round for all transfers together, so that however many there are, answers wait for one message.
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
import { respond } from '../answer/answer.ts'
import { makeRequest, type Responder, TCP, type Transfer, type TransferRefusal } from '../answer/responder.ts'
import { clientKey, formatAddress, parsePeer } from '../dns/address.ts'

/** The limits of the TCP thread. */
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
}

/**
 * Cells of the connections' counters: one Float64Array in shared memory that only the TCP thread writes. T_BEAT changes
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
/** Zone transfers: whole, incremental, refused, broken off, and those that are being sent. */
export const T_AXFR = 20
export const T_IXFR = 21
export const T_TRANSFERS_REFUSED = 22
export const T_TRANSFERS_BROKEN = 23
export const T_TRANSFERRING = 24
export const TCP_CELLS = 32

/** Why a connection is closed: the cell that counts it. */
type Cause = typeof T_EVICTED | typeof T_TIMED_OUT | typeof T_UNREAD | typeof T_OVER_MEMORY | typeof T_UNANSWERABLE

/** What became of a zone transfer. */
export interface TransferNews {
  readonly zone: string
  readonly client: string
  /** What was sent, or why the transfer was refused or broken off. */
  readonly result:
    | (Pick<Transfer, 'kind' | 'serial' | 'messages' | 'records' | 'bytes'> & { readonly ms: number })
    | { readonly refused: string }
    | { readonly broken: string }
}

const LARGEST = 65_535
/** Limits of a turn: queries; and the time and bytes of answers after which it takes no further query. */
const TURN_QUERIES = 16
const TURN_MS = 0.05
const TURN_BYTES = 16 << 10
/**
 * Duration of a round of turns, after which the thread does its other work. libuv accepts one connection a round:
 * rounds are shorter while connections come in.
 */
const ROUND_MS = 1
const ROUND_WHILE_ACCEPTING_MS = 0.2
/** How many messages without an answer (responses, for example) a connection may send; no resolver sends any. */
const UNANSWERABLE_MOST = 3
const SWEEP_MS = 250
/** How many transfers may be sent at once; more are refused. */
const MOST_TRANSFERS = 64
/**
 * How long a transfer may go on with a World that has been replaced, whose memory it keeps. The secondary asks again,
 * and gets the new one.
 */
const MOST_STALE_MS = 30_000
/** While draining: how long a connection may be idle before it is closed. */
const LAST_WORDS_MS = 200
const DRAIN_POLL_MS = 20

/** A client: one IPv4 address, or one IPv6 /64. */
interface Client {
  readonly key: string
  /** The address of its first connection, for the log. */
  readonly name: string
  readonly connections: Set<Connection>
  /** Its connections that wait for a turn. */
  readonly ready: Connection[]
  /** Bytes in the buffers of its connections. */
  held: number
}

/** All connections of the TCP thread. */
export class Connections {
  readonly #responder: Responder
  readonly #limits: TcpLimits
  readonly #cells: Float64Array
  /** Sorted by the time of their last activity: the first is the longest idle. */
  readonly #connections = new Set<Connection>()
  readonly #clients = new Map<string, Client>()
  /** Clients with connections that wait for a turn, in the order of their turns. */
  readonly #turns: Client[] = []
  /** Connections whose transfer waits for its turn to send a message. */
  readonly #sending: Connection[] = []
  /** All connections with a transfer. */
  readonly #transferring = new Set<Connection>()
  readonly #onTransfer: (news: TransferNews) => void
  readonly #onAdopted: () => void
  readonly #sweeping: NodeJS.Timeout
  #running = false
  #accepted = false

  /** `onTransfer`: takes what became of each transfer; `onAdopted`: called when oldestGeneration may have changed. */
  constructor(
    responder: Responder,
    limits: TcpLimits,
    cells: Float64Array,
    onTransfer: (news: TransferNews) => void = () => {},
    onAdopted: () => void = () => {},
  ) {
    this.#responder = responder
    this.#limits = limits
    this.#onTransfer = onTransfer
    this.#onAdopted = onAdopted
    responder.transfersLeft = MOST_TRANSFERS
    this.#cells = cells
    this.#cells[T_BEAT]!++
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS)
  }

  /** Takes a new connection, or refuses it when its client has too many. */
  accept(socket: Socket): void {
    this.#accepted = true
    socket.on('error', () => {}) // always followed by 'close'
    const address = parsePeer(socket.remoteAddress)
    if (address === undefined) return void socket.destroy() // closed already
    this.#cells[T_ACCEPTED]!++
    const key = clientKey(address)
    const client = this.#clients.get(key) ?? {
      key,
      name: formatAddress(address),
      connections: new Set(),
      ready: [],
      held: 0,
    }
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

  /** The generation of the oldest World that is still read: the Responder's, or that of a transfer. */
  get oldestGeneration(): number {
    let oldest = this.#responder.world.generation
    for (const { transfer } of this.#transferring) oldest = Math.min(oldest, transfer!.world.generation)
    return oldest
  }

  /** Notes that a connection has a transfer to send. */
  beginTransfer(connection: Connection): void {
    this.#transferring.add(connection)
    this.#countTransfers()
  }

  /** Notes that a connection's transfer has been sent, or why it was broken off. */
  endTransfer(connection: Connection, broken?: string): void {
    const { transfer } = connection
    if (transfer === undefined || !this.#transferring.delete(connection)) return
    this.#countTransfers()
    const { zone, kind, serial, messages, records, bytes } = transfer
    this.#cells[broken !== undefined ? T_TRANSFERS_BROKEN : kind === 'AXFR' ? T_AXFR : T_IXFR]!++
    const ms = Math.round(performance.now() - connection.transferSinceMs)
    const result = broken === undefined ? { kind, serial, messages, records, bytes, ms } : { broken }
    this.#onTransfer({ zone, client: connection.client.name, result })
    this.#onAdopted()
  }

  /** Notes that a transfer was refused. */
  refuseTransfer({ client }: Connection, zone: string, why: string): void {
    this.#cells[T_TRANSFERS_REFUSED]!++
    this.#onTransfer({ zone, client: client.name, result: { refused: why } })
  }

  #countTransfers(): void {
    this.#cells[T_TRANSFERRING] = this.#transferring.size
    this.#responder.transfersLeft = MOST_TRANSFERS - this.#transferring.size
  }

  /** Has a connection wait for its turn to send a message of its transfer. */
  enqueueTransfer(connection: Connection): void {
    this.#sending.push(connection)
    this.#wake()
  }

  /** Has a connection wait for its turn. */
  enqueue(connection: Connection): void {
    const { client } = connection
    client.ready.push(connection)
    if (client.ready.length === 1) this.#turns.push(client)
    this.#wake()
  }

  #wake(): void {
    if (this.#running) return
    this.#running = true
    setImmediate(() => this.#run())
  }

  /**
   * One turn for each waiting client, within the time of a round, and one message of a transfer. The rest goes on after
   * the thread's other work.
   */
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
    this.#sending.shift()?.sendMessage()
    this.#running = this.#turns.length > 0 || this.#sending.length > 0
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
    for (const connection of this.#transferring) {
      const isStale = connection.transfer!.world !== this.#responder.world
      if (!isStale) connection.freshMs = now
      else if (now - connection.freshMs > MOST_STALE_MS) {
        this.endTransfer(connection, `it took longer than ${MOST_STALE_MS / 1000} s after a reload`)
        this.close(connection, T_TIMED_OUT)
      }
    }
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
    if (connection.isIdle) connection.socket.destroy()
    else connection.socket.resetAndDestroy()
  }

  /** Removes a connection that is closed, or about to be. */
  forget(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    this.endTransfer(connection, 'the connection was closed')
    this.weigh(connection, 0)
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
        if (connection.isIdle && now - connection.movedMs > LAST_WORDS_MS) connection.socket.destroySoon()
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(DRAIN_POLL_MS, deadline - now)))
    }
    clearInterval(this.#sweeping)
    for (const { socket } of this.#connections) socket.destroy()
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)
/** Buffer for the answers of a turn; they are copied out of it before the next turn. */
const scratch = new Uint8Array(TURN_BYTES + 2 + LARGEST)
/** The Request of all turns, used again for every query. */
const request = makeRequest({ input: scratch, client: scratch, transport: TCP, output: scratch, room: LARGEST })

class Connection {
  readonly socket: Socket
  readonly client: Client
  readonly #connections: Connections
  readonly #responder: Responder
  readonly #address: Uint8Array
  /** Received and not answered: input[at … end), a part of a query, or more queries than a turn answers. */
  #input: Uint8Array = NOTHING
  #at = 0
  #end = 0
  #unanswerable = 0
  #isReady = false
  #isWriting = false
  #hasEnded = false
  /** Bytes in its buffers, as weigh() was last told. */
  held = 0
  hasAsked = false
  /** Time of the last answered query, or the last answers taken. A part of a query is no activity. */
  movedMs = performance.now()
  /** Since when answers wait to be taken; 0 = none do. */
  waitsSinceMs = 0
  /** What is sent before any further query is answered, since when, and when its World was last the newest. */
  transfer: Transfer | undefined
  transferSinceMs = 0
  freshMs = 0

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

  /** Whether no query is incomplete and no answer waits. */
  get isIdle(): boolean {
    return (
      !this.#isReady &&
      !this.#isWriting &&
      this.transfer === undefined &&
      this.#at === this.#end &&
      this.socket.readableLength === 0
    )
  }

  /** Reads once, answers some queries, writes once. */
  turn(): void {
    const { socket } = this
    this.#isReady = false
    if (socket.destroyed) return
    if (!this.#hasQuery()) this.#read()
    const size = this.#answer()
    if (this.#unanswerable > UNANSWERABLE_MOST) return this.#connections.close(this, T_UNANSWERABLE)
    if (size > 0) this.#write(size)
    else this.#next()
    this.#weigh()
  }

  /** Sends the next message of the transfer. */
  sendMessage(): void {
    const { socket, transfer } = this
    this.#isReady = false
    if (socket.destroyed || transfer === undefined) return
    const size = transfer.next(scratch, 2)
    if (size < 0) {
      this.#connections.endTransfer(this, 'a record and its signature fit into no message')
      return this.#connections.close(this, T_UNANSWERABLE)
    }
    if (size === 0) {
      this.#connections.endTransfer(this)
      this.transfer = undefined
      this.#next()
    } else {
      scratch[0] = size >> 8
      scratch[1] = size & 255
      this.#write(size + 2)
    }
    this.#weigh()
  }

  /** Writes the first bytes of `scratch`. */
  #write(size: number): void {
    const { socket } = this
    this.hasAsked = true
    this.#connections.moved(this)
    this.#isWriting = true
    socket.write(Buffer.from(scratch.subarray(0, size)), () => this.#written())
    if (socket.writableLength > 0) this.waitsSinceMs = this.movedMs
  }

  /** The kernel has taken all answers. */
  #written(): void {
    this.#isWriting = false
    if (this.waitsSinceMs !== 0) {
      this.waitsSinceMs = 0
      this.#connections.moved(this)
      this.#weigh()
    }
    this.#next()
  }

  /** Waits for the next turn if there is something to do, else for the client. */
  #next(): void {
    const { socket } = this
    if (this.#isReady || this.#isWriting || socket.destroyed) return
    if (this.transfer !== undefined) {
      this.#isReady = true
      this.#connections.enqueueTransfer(this)
    } else if (this.#hasQuery() || socket.readableLength > 0) {
      this.#isReady = true
      this.#connections.enqueue(this)
    } else if (this.#hasEnded) socket.end()
    else socket.read(0) // so that 'end' is emitted once the client has shut down its side
  }

  #refuse({ zone, why }: TransferRefusal): void {
    this.#responder.refusal = null
    this.#connections.refuseTransfer(this, zone, why)
  }

  /** Takes the transfer that answers the last query. `response`: the response without records. */
  #begin(transfer: Transfer, response: Uint8Array): void {
    const { query } = this.#responder
    this.#responder.transfer = null
    transfer.begin(response, query.questionEnd)
    this.transfer = transfer
    this.transferSinceMs = this.freshMs = performance.now()
    this.#connections.beginTransfer(this)
  }

  #weigh(): void {
    const { socket } = this
    if (socket.destroyed) return
    this.#connections.weigh(this, socket.writableLength + socket.readableLength + this.#input.length)
  }

  /** Whether a whole query is in the buffer. */
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
    request.client = this.#address
    request.family = this.#address.length === 4 ? 4 : 6
    const until = performance.now() + TURN_MS
    responder.nowMs = Date.now()
    let size = 0
    const isTransferring = (): boolean => this.transfer !== undefined
    for (let count = 0; count < TURN_QUERIES && size < TURN_BYTES && this.#hasQuery() && !isTransferring(); count++) {
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
