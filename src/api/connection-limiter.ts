/**
 * Limits the HTTP connections: so many in all, and so many of one client. A connection beyond a limit replaces the one
 * that has waited longest, of the same client if the client is over its share. So half requests, silent connections and
 * unread responses keep nobody out. A few reserved places answer only /live and /ready while every other connection is
 * busy: an orchestrator must never take a node out because of its other callers. Used by listen.ts.
 *
 *   connection ─ below both limits ───────────────▶ waits ─ request ─▶ answered ─▶ waits …
 *              ─ else: the longest waiting is closed ─▶ waits
 *              ─ none waits ─▶ reserved (/live and /ready) ─ none free ─▶ closed
 *
 * A connection has one request at a time. One that sends the next request before the response (pipelining, RFC 9112
 * §9.3.2, which no client needs) is closed; else it could ask for thousands of responses at once.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { clientKey, parsePeer } from '../dns/address.ts'

/** The limits of one server. */
export interface ConnectionLimits {
  /** Connections in all, without the reserved ones. */
  readonly connections: number
  /** Connections of one client: an IPv4 address, an IPv6 /64; on a unix socket all callers are one client. */
  readonly perClient: number
  /** Further connections, for /live and /ready only. */
  readonly reserved: number
  /** A client that has not read its response after this time counts as waiting, and may be closed. */
  readonly readMs: number
  /** Bytes of responses that may wait to be read, in all connections together. */
  readonly unreadBytes: number
}

const MOST_PLACES = 256
const RESERVED = 16
const READ_MS = 2_000
/** /metrics of a large fleet has 2 MB. */
const UNREAD_BYTES = 32 << 20

/**
 * The limits of a process that may open so many files (0 = unknown): an eighth of them, and a quarter of that for one
 * client.
 */
export function connectionLimits(files: number): ConnectionLimits {
  const connections = files === 0 ? MOST_PLACES : Math.max(RESERVED, Math.min(MOST_PLACES, files >> 3))
  return { connections, perClient: connections >> 2, reserved: RESERVED, readMs: READ_MS, unreadBytes: UNREAD_BYTES }
}

interface Connection {
  readonly client: string
  readonly isReserved: boolean
  /** The response that is being made or sent; undefined: the connection waits for a request. */
  response: ServerResponse | undefined
  /** When it connected, sent its last request, or got its last response whole. */
  movedMs: number
}

/** The routes of reserved connections. */
const PROBES = ['/live', '/ready']

/** Admits and evicts the connections of one server. */
export class ConnectionLimiter {
  readonly #limits: ConnectionLimits
  /** In the order of `movedMs`. */
  readonly #connections = new Map<Socket, Connection>()

  constructor(server: Server, limits: ConnectionLimits) {
    this.#limits = limits
    server.on('connection', (socket) => this.#admit(socket))
    server.on('secureConnection', (socket) => this.#secure(socket))
  }

  /** Closes all connections. */
  closeAll(): void {
    for (const socket of this.#connections.keys()) this.#close(socket)
  }

  /**
   * Call with each request. Returns false if it must not be answered: its connection is reserved for other routes, or
   * closed.
   */
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

  /**
   * Call with each response on its way: if too many bytes wait to be read, closes the connections that waited longest.
   */
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

  /** The handshake is done: what is in a connection is from now on what is in `secure`, the TLS socket above it. */
  #secure(secure: Socket): void {
    const { remoteAddress, remotePort } = secure
    const under = [...this.#connections].find(
      ([socket]) => socket.remotePort === remotePort && socket.remoteAddress === remoteAddress,
    )
    if (under === undefined) return void secure.destroy() // closed meanwhile
    this.#connections.delete(under[0])
    this.#connections.set(secure, { ...under[1], movedMs: performance.now() })
    secure.once('close', () => this.#connections.delete(secure))
  }

  /** Whether one more of these may connect; closes the one that waited longest if there are too many. */
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

  /** Whether it waits for a request, or for a client that does not read its response. */
  #isWaiting({ response, movedMs }: Connection): boolean {
    return response === undefined || (response.writableEnded && performance.now() - movedMs > this.#limits.readMs)
  }
}

/** The client of a connection: an IPv4 address, or an IPv6 /64. */
const clientOf = (socket: Socket): string => clientKey(parsePeer(socket.remoteAddress) ?? new Uint8Array(0))
