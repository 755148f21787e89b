/**
 * DNS over TCP (RFC 7766) in the main thread, with the same respond(): many queries on a connection, in flight together,
 * each behind its length in two bytes however the stream is cut up. What a client can hold here is bounded: connections
 * (in all, and of one client), time (first query, idle), and memory: one that doesn't read its answers isn't read.
 *
 * When all places are taken, a newcomer takes that of the connection on which nothing has happened for longest (RFC 7766 §6.2.3
 * leaves it to the server): filling the places keeps nobody out, as long as he asks before as many others have come.
 *
 *   accept ─▶ reading ─┬─ answers waiting > HIGH_WATER ─▶ paused ─ drained ─▶ reading
 *                      └─ end, idle, error ─▶ closed
 */
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeResponder, respond, type Responder, TCP } from '../answer/answer.ts'
import type { World } from '../answer/world.ts'
import type { Endpoint } from '../config.ts'
import { parseAddress } from '../dns/address.ts'
import type { HealthTable } from '../health/table.ts'
import { makeCounters } from '../metrics.ts'
import { type Front, ListenError } from './front.ts'

export interface TcpLimits {
  /** In all; a newcomer beyond them takes the place of the longest idle. */
  readonly connections: number
  /** Of one IPv4 address, or one IPv6 /64. */
  readonly perClient: number
  /** From accept to the first whole query. */
  readonly firstMs: number
  /** From a whole query, or answers that got away, to the next. */
  readonly idleMs: number
}

export const TCP_LIMITS: TcpLimits = { connections: 2000, perClient: 100, firstMs: 5_000, idleMs: 10_000 }

/**
 * The limits of a process that may have so many files open (0 = nobody knows): half of them is left to probes, HTTP, Redis and
 * databases, for whoever has none to spare can accept nobody.
 */
export const limitsFor = (files: number): TcpLimits =>
  files === 0 ? TCP_LIMITS : { ...TCP_LIMITS, connections: Math.max(1, Math.min(TCP_LIMITS.connections, files >> 1)) }

/** How many files this process may have open, the kernel's word; 0 = unlimited, or not Linux. */
export function openFilesLimit(): number {
  try {
    return Number(/^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

export interface TcpStats {
  readonly open: number
  readonly accepted: number
  /** Closed at once: too many connections of one client. */
  readonly refused: number
  /** Closed for a newcomer, being the longest idle when all places were taken. */
  readonly evicted: number
  /** Closed by us: idle, slow to ask, or not reading its answers. */
  readonly timedOut: number
}

/** A descriptor that is bound already, or an address to bind. */
export type TcpSource = Endpoint & { readonly fd?: number }

/** Bytes of answers that wait for a client before we stop reading its queries. */
const HIGH_WATER = 256 << 10
const LARGEST = 65_535
const SWEEP_MS = 250
const BACKLOG = 511
/** While draining: how long a connection may say nothing before it is closed. */
const LAST_WORDS_MS = 200

/** Listens; throws ListenError. The port of the result is resolved. */
export async function listenTcp(source: TcpSource): Promise<Server> {
  // half open: who asks and shuts down its side still gets its answers
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new ListenError(source, 'TCP', error.code ?? error.message)),
    )
    if (source.fd !== undefined) server.listen({ fd: source.fd, backlog: BACKLOG }, resolve)
    else server.listen({ host: source.address, port: source.port, ipv6Only: true, backlog: BACKLOG }, resolve)
  })
  server.removeAllListeners('error')
  return server
}

export class TcpFront implements Front {
  readonly #servers: readonly Server[]
  readonly #limits: TcpLimits
  readonly #responder: Responder
  /** In the order in which something last happened on them: the first is the longest idle. */
  readonly #connections = new Set<Connection>()
  readonly #ofClient = new Map<string, number>()
  readonly #sweeping: NodeJS.Timeout
  readonly #counts = { accepted: 0, refused: 0, evicted: 0, timedOut: 0 }
  #draining = false

  constructor(servers: readonly Server[], world: World, health: HealthTable, limits = TCP_LIMITS) {
    this.#servers = servers
    this.#limits = limits
    this.#responder = makeResponder(world, health, makeCounters())
    for (const server of servers) {
      server.on('connection', (socket) => this.#accept(socket))
      server.on('error', () => {}) // accept() without descriptors to spare: the client tries again
    }
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS)
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {}) // always followed by 'close'
    const client = parseAddress((socket.remoteAddress ?? '').split('%', 1)[0]!)
    if (client === undefined) return void socket.destroy() // gone already
    const key = client.subarray(0, 8).join('.')
    const others = this.#ofClient.get(key) ?? 0
    this.#counts.accepted++
    if (others >= this.#limits.perClient) {
      this.#counts.refused++
      return void socket.destroy()
    }
    if (this.#connections.size >= this.#limits.connections) this.#evict()
    const connection = new Connection(socket, client, this.#responder, () => {
      if (this.#connections.delete(connection)) this.#connections.add(connection)
    })
    this.#connections.add(connection)
    this.#ofClient.set(key, others + 1)
    socket.once('close', () => {
      this.#connections.delete(connection)
      const left = this.#ofClient.get(key)! - 1
      if (left === 0) this.#ofClient.delete(key)
      else this.#ofClient.set(key, left)
    })
  }

  #evict(): void {
    for (const longestIdle of this.#connections) {
      this.#counts.evicted++
      this.#connections.delete(longestIdle)
      return longestIdle.close()
    }
  }

  #sweep(): void {
    const now = performance.now()
    for (const connection of this.#connections) {
      const limitMs = connection.hasAsked ? this.#limits.idleMs : this.#limits.firstMs
      if (now - connection.movedMs <= limitMs) continue
      this.#counts.timedOut++
      connection.close()
    }
  }

  publish(world: World): void {
    this.#responder.world = world
  }

  counters(): readonly Float64Array[] {
    return [this.#responder.counters]
  }

  stats(): TcpStats {
    return { open: this.#connections.size, ...this.#counts }
  }

  /** Stops accepting; connections end when they have said nothing for LAST_WORDS_MS and have their answers. */
  async stop(drainMs: number): Promise<void> {
    if (this.#draining) return
    this.#draining = true
    const deadline = performance.now() + drainMs
    for (const server of this.#servers) server.close()
    while (this.#connections.size > 0 && performance.now() < deadline) {
      const now = performance.now()
      for (const connection of this.#connections) {
        if (connection.isIdle && now - connection.movedMs > LAST_WORDS_MS) connection.end()
      }
      await sleep(Math.min(20, Math.max(0, deadline - now)))
    }
    clearInterval(this.#sweeping)
    for (const connection of this.#connections) connection.close()
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)
/** One for all: a response is copied out of it before the next is made. */
const scratch = Buffer.alloc(2 + LARGEST)

class Connection {
  readonly #socket: Socket
  readonly #client: Uint8Array
  readonly #responder: Responder
  readonly #onMoved: () => void
  /** What came in and isn't answered yet: a part of a query, or more of them behind a full output. */
  #input: Uint8Array = NOTHING
  #ended = false
  hasAsked = false
  /** When a query last got its answer, or answers got away. Single bytes of a query don't count. */
  movedMs = performance.now()

  /** `onMoved`: a query got its answer, or answers got away. */
  constructor(socket: Socket, client: Uint8Array, responder: Responder, onMoved: () => void) {
    this.#socket = socket
    this.#client = client
    this.#responder = responder
    this.#onMoved = onMoved
    socket.on('data', (chunk: Buffer) => {
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk])
      this.#read()
    })
    socket.on('drain', () => {
      this.#move()
      socket.resume()
      this.#read()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#read()
    })
  }

  /** Nothing half asked, nothing half answered. */
  get isIdle(): boolean {
    return this.#input.length === 0 && this.#socket.writableLength === 0
  }

  /** Answers whole queries until the input or the room for answers is used up. */
  #read(): void {
    const socket = this.#socket
    const input = this.#input
    let at = 0
    let hasMoved = false
    socket.cork()
    while (input.length - at >= 2 && socket.writableLength < HIGH_WATER) {
      const length = (input[at]! << 8) | input[at + 1]!
      if (input.length - at - 2 < length) break
      // what gets no answer keeps no connection open
      if (this.#answer(input, at + 2, length)) {
        this.hasAsked = true
        hasMoved = true
      }
      at += 2 + length
    }
    socket.uncork()
    if (hasMoved) this.#move()
    if (at > 0) this.#input = at === input.length ? NOTHING : new Uint8Array(input.subarray(at)) // holds no more than it is
    if (socket.writableLength >= HIGH_WATER) socket.pause()
    else if (this.#ended) socket.end()
  }

  #move(): void {
    this.movedMs = performance.now()
    this.#onMoved()
  }

  /** False when there is nothing to say. */
  #answer(input: Uint8Array, at: number, length: number): boolean {
    const responder = this.#responder
    responder.chance = Math.floor(Math.random() * 0x1_0000_0000) | 0
    const family = this.#client.length === 4 ? 4 : 6
    const size = respond(responder, input, at, length, this.#client, 0, family, TCP, scratch, 2, LARGEST)
    if (size === 0) return false
    scratch.writeUInt16BE(size)
    this.#socket.write(Buffer.from(scratch.subarray(0, 2 + size)))
    return true
  }

  /** Once the answers are out. */
  end(): void {
    this.#socket.end()
    this.#socket.destroySoon()
  }

  close(): void {
    this.#socket.destroy()
  }
}
