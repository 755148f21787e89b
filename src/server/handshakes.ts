/**
 * TLS at the server's side, in the threads of DNS over TLS and HTTPS. A connection waits in the kernel's buffers until
 * its first bytes are there, then for its turn: the answer to a ClientHello costs as much as a hundred DNS answers.
 * From then on node:tls goes on by itself until the handshake is done or has failed.
 *
 *   quiet ─ first bytes ─▶ waits for its turn ─▶ in flight ─┬─ done ─▶ the stage of what is spoken in it
 *                                                           └─ failed, too many in flight ─▶ closed
 *
 * What of the time of a handshake is the client's is limited by `firstMs`, as on TCP.
 */
import { constants } from 'node:crypto'
import { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import {
  type Connection,
  type Connections,
  type Stage,
  T_EVICTED,
  T_HANDSHAKES,
  T_HANDSHAKES_FAILED,
  T_RESUMED,
} from './connections.ts'

/** What a server shows and signs with. Made by the main thread (certificate.ts, server.ts). */
export interface Credentials {
  /** The certificate and its chain, and its private key, in PEM form. */
  readonly certificate: string
  readonly key: string
  /** 48 random bytes that seal tickets. All threads have the same, so that a successor resumes what one before began. */
  readonly ticketKeys: Uint8Array
}

/** How long a ticket can be used (RFC 8446 §4.6.1 allows 7 days). */
const TICKET_SECONDS = 7200
/** RFC 9325 §4.2: forward secrecy and authenticated encryption only. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

const contextOf = ({ certificate, key, ticketKeys }: Credentials) => ({
  cert: certificate,
  key,
  ticketKeys: Buffer.from(ticketKeys),
  sessionTimeout: TICKET_SECONDS,
  ciphers: CIPHERS,
  honorCipherOrder: true,
  minVersion: 'TLSv1.2' as const,
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
})

/** Begins the handshakes of one thread. */
export class Handshakes {
  readonly #connections: Connections
  readonly #cells: Float64Array
  /** How many may be in flight. */
  readonly #most: number
  readonly #server: Server
  /** In flight, the oldest first, by their addresses and ports: node:tls gives no other way back to the connection. */
  readonly #inFlight = new Map<string, Connection>()

  /**
   * `protocol`: the name by which ALPN agrees on what is spoken (RFC 7301). `speak`: makes the stage of a connection
   * whose handshake is done.
   */
  constructor(
    connections: Connections,
    cells: Float64Array,
    most: number,
    protocol: string,
    credentials: Credentials,
    speak: (connection: Connection, socket: TLSSocket) => Stage,
  ) {
    this.#connections = connections
    this.#cells = cells
    this.#most = most
    this.#server = createServer({ ...contextOf(credentials), ALPNProtocols: [protocol] })
    this.#server.on('secureConnection', (socket) => {
      const connection = this.#inFlight.get(placeOf(socket))
      this.#inFlight.delete(placeOf(socket))
      if (connection === undefined) {
        socket.destroy() // closed meanwhile
        return
      }
      this.#cells[socket.isSessionReused() ? T_RESUMED : T_HANDSHAKES]!++
      socket.on('error', () => {}) // always followed by 'close'
      connection.stage = speak(connection, socket)
    })
    this.#server.on('tlsClientError', () => this.#cells[T_HANDSHAKES_FAILED]!++)
  }

  /** Shows another certificate in all handshakes that begin from now on. Throws if the pair is of no use. */
  renew(credentials: Credentials): void {
    this.#server.setSecureContext(contextOf(credentials))
    this.#server.setTicketKeys(Buffer.from(credentials.ticketKeys))
  }

  /** The first stage of a connection. */
  readonly open = (connection: Connection): Stage => {
    const { socket } = connection
    const connections = this.#connections
    let waits = false
    const hear = (): void => {
      if (socket.readableLength === 0) return void socket.destroy() // its end, before any byte
      if (waits) return
      waits = true
      connections.enqueueCostly(connection)
    }
    socket.on('readable', hear)
    return {
      isIdle: true,
      end: () => socket.destroySoon(),
      turn: () => {
        if (socket.destroyed) return
        socket.off('readable', hear)
        this.#begin(connection)
      },
    }
  }

  #begin(connection: Connection): void {
    const { socket } = connection
    for (const oldest of this.#inFlight.values()) {
      if (this.#inFlight.size < this.#most) break
      this.#inFlight.delete(placeOf(oldest.socket))
      this.#connections.close(oldest, T_EVICTED)
    }
    const place = placeOf(socket)
    this.#inFlight.set(place, connection)
    const forget = (): void => {
      if (this.#inFlight.get(place) === connection) this.#inFlight.delete(place)
    }
    connection.stage = { isIdle: false, turn: () => {}, end: () => {}, forget }
    socket.read = readPiece
    this.#server.emit('connection', socket) // has it read what is there, and answer, before anything else is done
  }
}

/**
 * node:tls copies what it is given into a buffer of that size, at least 1 KB, and puts one of 16 KB beside it when it is
 * full; both stay. A ClientHello of 1.6 KB, as those with ML-KEM are, fills it. By pieces, each is taken out before the
 * next: 1 KB stays.
 */
const PIECE_BYTES = 1000
function readPiece(this: Socket): unknown {
  return Socket.prototype.read.call(this, Math.min(PIECE_BYTES, this.readableLength))
}

const placeOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
