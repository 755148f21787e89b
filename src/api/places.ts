/**
 * Who may be connected over HTTP: so many in all, so many of one client. A connection beyond them takes the place of the one that
 * has waited longest, of the same client if that one has its share: so half requests, silent connections and answers that
 * nobody reads keep nobody out. A few places are kept for /live and /ready alone, for when every other connection is
 * being answered: an orchestrator must never take out a node because of who else asks it.
 *
 *   connection ─ a share or a place is free ───▶ waits ─ request ─▶ answered ─▶ waits …
 *              ─ none: the longest waiting goes ─▶ waits
 *              ─ nobody waits ─▶ reserved (/live and /ready) ─ none free ─▶ closed
 *
 * A connection has one request at a time: whoever sends the next before the answer (pipelining, RFC 9112 §9.3.2, which no client
 * needs) is closed, or one connection could ask for thousands of answers at once.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { clientKey, parsePeer } from '../dns/address.ts'

export interface ConnectionLimits {
  /** Connections in all, beyond those reserved. */
  readonly connections: number
  /** Of one IPv4 address, or one IPv6 /64; all of a unix socket's are one client. */
  readonly perClient: number
  /** For /live and /ready. */
  readonly reserved: number
  /** A client that has not read its answer after so long waits, and may have to go. */
  readonly readMs: number
  /** Bytes of answers that may wait to be read, in all connections together. */
  readonly unreadBytes: number
}

const MOST_PLACES = 256
const RESERVED = 16
const READ_MS = 2_000
/** /metrics of a large fleet has 2 MB. */
const UNREAD_BYTES = 32 << 20

/** Of a process that may have so many files open (0 = nobody knows): an eighth of them, a quarter of that for one client. */
export function connectionLimits(files: number): ConnectionLimits {
  const connections = files === 0 ? MOST_PLACES : Math.max(RESERVED, Math.min(MOST_PLACES, files >> 3))
  return { connections, perClient: connections >> 2, reserved: RESERVED, readMs: READ_MS, unreadBytes: UNREAD_BYTES }
}

interface Connection {
  readonly client: string
  readonly isReserved: boolean
  /** The answer that is being made or sent. */
  response: ServerResponse | undefined
  /** When it connected, last asked, or last had its whole answer. */
  movedMs: number
}

/** What is asked of the reserved places. */
const PROBES = ['/live', '/ready']

/** Admits and evicts the connections of one server. */
export class ConnectionLimiter {
  readonly #limits: ConnectionLimits
  /** In the order of `movedMs`. */
  readonly #connections = new Map<Socket, Connection>()

  constructor(server: Server, limits: ConnectionLimits) {
    this.#limits = limits
    server.on('connection', (socket) => this.#admit(socket))
  }

  /** To be called with each request. False: its connection may ask for /live and /ready only, or is closed. */
  admits(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request
    const connection = this.#connections.get(socket)
    if (connection === undefined) return false // closed meanwhile
    if (connection.response !== undefined) {
      this.#close(socket)
      return false
    }
    this.#move(socket, connection, response)
    response.once('finish', () => this.#move(socket, connection, undefined))
    return !connection.isReserved || PROBES.includes((request.url ?? '').split('?', 1)[0]!)
  }

  /** To be called with each answer that is on its way: when too much waits to be read, what has waited longest goes. */
  dropUnread(): void {
    let bytes = 0
    for (const socket of [...this.#connections.keys()].toReversed()) {
      const { writableLength } = socket
      const isTooMuch = bytes > 0 && writableLength > 0 && bytes + writableLength > this.#limits.unreadBytes
      if (isTooMuch) this.#close(socket)
      else bytes += writableLength
    }
  }

  #move(socket: Socket, connection: Connection, response: ServerResponse | undefined): void {
    connection.response = response
    connection.movedMs = performance.now()
    if (this.#connections.delete(socket)) this.#connections.set(socket, connection)
  }

  #admit(socket: Socket): void {
    const { connections, perClient, reserved } = this.#limits
    const client = clientOf(socket)
    const isOwn = (other: Connection): boolean => other.client === client
    const isReserved = !(this.#makeRoom(isOwn, perClient) && this.#makeRoom((other) => !other.isReserved, connections))
    if (isReserved && !this.#makeRoom((other) => other.isReserved, reserved)) return void socket.destroy()
    this.#connections.set(socket, { client, isReserved, response: undefined, movedMs: performance.now() })
    socket.once('close', () => this.#connections.delete(socket))
  }

  /** Whether one more of these has room, now that the longest waiting one had to go if there were too many. */
  #makeRoom(counts: (connection: Connection) => boolean, most: number): boolean {
    const these = [...this.#connections].filter(([, connection]) => counts(connection))
    if (these.length < most) return true
    const longest = these.find(([, connection]) => this.#isWaiting(connection))
    if (longest === undefined) return false
    this.#close(longest[0])
    return true
  }

  #close(socket: Socket): void {
    this.#connections.delete(socket)
    socket.destroy()
  }

  /** For a request, or for a client that does not read what was answered. */
  #isWaiting({ response, movedMs }: Connection): boolean {
    return response === undefined || (response.writableEnded && performance.now() - movedMs > this.#limits.readMs)
  }
}

const clientOf = (socket: Socket): string => clientKey(parsePeer(socket.remoteAddress) ?? new Uint8Array(0))
