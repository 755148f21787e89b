/**
 * DNS over HTTPS (RFC 8484), on HTTP/2 alone: the stage of a connection whose handshake is done. One path, GET and POST;
 * each request is one query, and is answered when its client has its turn.
 *
 * What a client may keep here is counted and limited: requests under way (each weighs STREAM_BYTES besides its body and
 * its answer), bodies, headers, and resets, pings and settings without a purpose. A request that makes no progress for
 * `unreadMs`, and a connection without requests for `idleMs`, are closed as on TCP.
 *
 * Answers depend on who asks, so that only the client's own cache may keep them: `private`.
 */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerSessionOptions,
} from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { respond } from '../answer/answer.ts'
import { DOH, makeRequest, type Responder } from '../answer/responder.ts'
import { freshSeconds } from '../dns/freshness.ts'
import { BAD_STATUSES, type BadStatus, type Connection, type Connections, type Stage, T_STATUS } from './connections.ts'

/** The only path. */
export const DOH_PATH = '/dns-query'
/** The media type of a DNS message (RFC 8484 §6). */
export const DNS_MESSAGE = 'application/dns-message'

const LARGEST = 65_535
const TURN_QUERIES = 16
const TURN_MS = 0.2
/** What a request costs while it is under way, besides its body and its answer. */
const STREAM_BYTES = 4096
const OPTIONS: ServerSessionOptions = {
  settings: { maxConcurrentStreams: 100, maxHeaderListSize: 8192, initialWindowSize: LARGEST },
  maxHeaderListPairs: 64,
  maxSessionInvalidFrames: 10,
  maxSessionRejectedStreams: 100,
  maxSettings: 16,
  // CVE-2023-44487: requests that are reset as soon as they are sent
  streamResetBurst: 200,
  streamResetRate: 50,
}

const ignore = (): void => {}
/** Buffer for one answer; it is copied out of it. */
const scratch = new Uint8Array(LARGEST)
const request = makeRequest({ input: scratch, client: scratch, transport: DOH, output: scratch })

interface Asked {
  readonly stream: ServerHttp2Stream
  readonly message: Uint8Array
}

/** The stage of a connection on which HTTP/2 is spoken. */
export class Https implements Stage {
  readonly #connections: Connections
  readonly #connection: Connection
  readonly #responder: Responder
  readonly #respond: typeof respond
  readonly #cells: Float64Array
  readonly #session: ServerHttp2Session
  /** Requests under way, and the bytes that they hold. */
  #streams = 0
  #bytes = 0
  /** Whole queries that wait for a turn. */
  readonly #asked: Asked[] = []

  constructor(
    connections: Connections,
    connection: Connection,
    responder: Responder,
    answer: typeof respond,
    socket: TLSSocket,
    cells: Float64Array,
  ) {
    this.#connections = connections
    this.#connection = connection
    this.#responder = responder
    this.#respond = answer
    this.#cells = cells
    this.#session = performServerHandshake(socket, OPTIONS)
    this.#session.on('error', ignore) // always followed by 'close'
    this.#session.on('stream', (stream, headers) => this.#open(stream, headers))
  }

  /**
   * Node keeps a session whose SETTINGS the client has not acknowledged; through its listeners that would be the connection, and
   * through an error of the connection the session again, for ever.
   */
  forget(): void {
    this.#session.removeAllListeners('stream')
  }

  get isIdle(): boolean {
    return this.#streams === 0
  }

  end(): void {
    this.#session.close()
  }

  #open(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.#streams++
    if (this.#streams === 1) this.#connection.waitsSinceMs = performance.now()
    let bytes = 0
    const hold = (more: number): void => {
      bytes += more
      this.#hold(more)
    }
    stream.on('error', () => {}) // always followed by 'close'
    stream.once('close', () => {
      this.#streams--
      this.#connection.waitsSinceMs = this.#streams === 0 ? 0 : performance.now()
      hold(-bytes)
    })
    hold(STREAM_BYTES)
    const { ':method': method, ':path': path = '' } = headers
    const queryAt = path.indexOf('?')
    if ((queryAt < 0 ? path : path.slice(0, queryAt)) !== DOH_PATH) return this.#refuse(stream, 404)
    if (method === 'GET') {
      const message = messageIn(queryAt < 0 ? '' : path.slice(queryAt + 1))
      if (message === undefined) return this.#refuse(stream, 400)
      stream.resume() // a body means nothing
      this.#ask(stream, message)
    } else if (method === 'POST') this.#receive(stream, headers, hold)
    else this.#refuse(stream, 405, { allow: 'GET, POST' })
  }

  #hold(more: number): void {
    this.#bytes += more
    this.#connections.weigh(this.#connection, this.#bytes)
  }

  /** Takes the body of a POST. */
  #receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, hold: (more: number) => void): void {
    if (headers['content-type']?.split(';')[0]!.trim().toLowerCase() !== DNS_MESSAGE) return this.#refuse(stream, 415)
    if (Number(headers['content-length'] ?? 0) > LARGEST) return this.#refuse(stream, 413)
    const parts: Buffer[] = []
    let size = 0
    stream.on('data', (part: Buffer) => {
      size += part.length
      if (stream.headersSent) return
      if (size > LARGEST) return this.#refuse(stream, 413)
      parts.push(part)
      hold(part.length)
    })
    stream.once('end', () => {
      if (!stream.headersSent && !stream.aborted)
        this.#ask(stream, parts.length === 1 ? parts[0]! : Buffer.concat(parts))
    })
  }

  #ask(stream: ServerHttp2Stream, message: Uint8Array): void {
    this.#asked.push({ stream, message })
    if (this.#asked.length === 1) this.#connections.enqueue(this.#connection)
  }

  turn(): void {
    const until = performance.now() + TURN_MS
    this.#responder.nowMs = Date.now()
    const count = Math.min(this.#asked.length, TURN_QUERIES)
    let done = 0
    while (done < count && (done === 0 || performance.now() < until)) this.#answer(this.#asked[done++]!)
    this.#asked.splice(0, done)
    if (this.#asked.length > 0) this.#connections.enqueue(this.#connection)
  }

  #answer({ stream, message }: Asked): void {
    if (stream.destroyed || stream.closed) return // the client has reset it
    const responder = this.#responder
    const { source } = this.#connection
    responder.chance = Math.floor(Math.random() * 0x1_0000_0000) | 0
    request.input = message
    request.length = message.length
    request.client = source
    request.portAt = source.length - 2
    request.family = request.portAt === 4 ? 4 : 6
    const size = this.#respond(responder, request)
    if (size === 0) return this.#refuse(stream, 400)
    this.#connection.hasAsked = true
    this.#connections.moved(this.#connection)
    stream.respond({
      ':status': 200,
      'content-type': DNS_MESSAGE,
      'content-length': size,
      'cache-control': `private, max-age=${freshSeconds(scratch, size)}`,
    })
    stream.end(Buffer.from(scratch.subarray(0, size)))
    this.#holdAnswer(stream, size)
  }

  /** An answer is held until the client has taken it. */
  #holdAnswer(stream: ServerHttp2Stream, size: number): void {
    this.#hold(size)
    stream.once('close', () => this.#hold(-size))
  }

  /** Answers what is no query: RFC 8484 §4.2.1. */
  #refuse(stream: ServerHttp2Stream, status: BadStatus, more: Readonly<Record<string, string>> = {}): void {
    this.#cells[T_STATUS + BAD_STATUSES.indexOf(status)]!++
    stream.respond({ ':status': status, 'cache-control': 'no-store', ...more }, { endStream: true })
    // nobody reads the rest of a body
    if (!stream.endAfterHeaders) stream.close(constants.NGHTTP2_NO_ERROR)
  }
}

/** The message in the parameter `dns` of a query string: base64url without padding (RFC 8484 §4.1, RFC 4648 §5). */
function messageIn(query: string): Uint8Array | undefined {
  const text = query
    .split('&')
    .find((part) => part.startsWith('dns='))
    ?.slice(4)
  if (text === undefined || text.length % 4 === 1 || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined
  return Buffer.from(text, 'base64url')
}
