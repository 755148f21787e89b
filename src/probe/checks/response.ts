/**
 * Reads responses of HTTP/1.1 (RFC 9112) as users' clients do, so that a site that works for them passes: header lines
 * that are folded (§5.2), lines that end in LF alone (§2.2), the same Content-Length twice (RFC 9110 §8.6), and
 * Content-Length beside chunks, which win (§6.3). Node's own reader refuses these, because a proxy must. Here each
 * connection carries one response, so nothing can be smuggled behind it.
 *
 * Every fault names the part of the response in which it is. Whoever feeds it limits the bytes and the pieces.
 */
import { printable } from './attempt.ts'

/** The header of a response. */
export interface ResponseHead {
  readonly status: number
  /** By name in lower case; equal names are joined by `, ` (RFC 9110 §5.3). */
  readonly headers: ReadonlyMap<string, string>
}

/** What a reader tells. After `onEnd`, `onFault`, or a false, nothing more comes. */
export interface ResponseEvents {
  /** The final response's header has come; false: its body is not wanted. */
  readonly onHead: (head: ResponseHead) => boolean
  /** A piece of the body, without its framing; false: enough. */
  readonly onBody: (piece: Buffer) => boolean
  /** The whole response has come. */
  readonly onEnd: () => void
  readonly onFault: (fault: string) => void
}

/** The fault of a connection that was closed before anything came. */
export const NO_RESPONSE = 'connection closed without a response'

/** Most bytes of a header, and of what follows the last chunk. */
const HEADER_BYTES = 16_384
/** Most interim (1xx) responses; an endless series would fill a core. */
const INTERIM_MOST = 16

/** Of whatever version: curl and browsers take it for HTTP/1.1. */
const STATUS_LINE = /^HTTP\/\d(?:\.\d)? +([1-9]\d\d)(?: |$)/
const CHUNK_LINE = /^[ \t]*([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i
const LENGTH = /^\d{1,15}$/

/** The part that is read next: of the header, of a body by its framing, or none any more. */
type Part = 'header' | 'length' | 'close' | 'chunk size' | 'chunk' | 'chunk end' | 'trailers' | 'done'

/** Reads one response. */
export class ResponseReader {
  readonly #events: ResponseEvents
  readonly #hasBody: boolean
  #part: Part = 'header'
  /** What has come and is not read yet. */
  #rest: Buffer = Buffer.alloc(0)
  /** What goes behind it, as it came. */
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** Lines of the header or the trailers so far, and their bytes. */
  #lines: string[] = []
  #lineBytes = 0
  /** Bytes of the body, or of the chunk, that are still to come. */
  #left = 0
  #interim = 0

  /** `method`: of the request; a response to HEAD has no body. */
  constructor(method: string, events: ResponseEvents) {
    this.#events = events
    this.#hasBody = method !== 'HEAD'
  }

  /** Takes what has come. */
  push(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#isWithinLine(bytes)) return
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, ...this.#waiting])
    this.#waiting = []
    this.#waitingBytes = 0
    while (this.#step());
  }

  /** Whether a line goes on behind these bytes: pieces of a few bytes are joined once, and not each time. */
  #isWithinLine(bytes: Buffer): boolean {
    const isLine = this.#part === 'header' || this.#part === 'trailers' || this.#part === 'chunk size'
    const begun = this.#rest.length
    return isLine && begun >= FRAME_BYTES && begun + this.#waitingBytes <= HEADER_BYTES && !bytes.includes(10)
  }

  /** The site has closed the connection. */
  end(): void {
    if (this.#part === 'close') this.#finish()
    else if (this.#part !== 'done') this.#fault(this.#closedIn())
  }

  #closedIn(): string {
    if (this.#part !== 'header')
      return `connection closed within the ${this.#part === 'trailers' ? 'trailers' : 'body'}`
    if (this.#lines.length === 0 && !beginsLikeHttp(this.#rest)) return spokenInstead(this.#rest)
    const hasBegun = this.#rest.length > 0 || this.#lines.length > 0
    return hasBegun ? 'connection closed within the header' : NO_RESPONSE
  }

  /** Reads one part; false: more has to come first. */
  #step(): boolean {
    switch (this.#part) {
      case 'header':
        return this.#readHeadLine()
      case 'trailers':
        return this.#readTrailer()
      case 'chunk size':
        return this.#readChunkSize()
      case 'chunk end':
        return this.#readChunkEnd()
      case 'length':
      case 'chunk':
        return this.#readCounted()
      case 'close':
        return this.#tell(this.#take(this.#rest.length))
      case 'done':
        return false
      default:
        return this.#part satisfies never
    }
  }

  #readHeadLine(): boolean {
    if (this.#lines.length === 0 && !this.#looksLikeHttp()) return false
    const line = this.#line('header')
    if (line === undefined) return false
    if (line !== '') this.#lines.push(line)
    else if (this.#lines.length > 0) this.#endHead() // blank lines before it are skipped
    return this.#part !== 'done'
  }

  /** False, and a fault that says what is spoken instead, once it is clear that this is no HTTP/1. */
  #looksLikeHttp(): boolean {
    const rest = this.#rest
    if (beginsLikeHttp(rest) || (rest.length < FRAME_BYTES && !rest.includes(10))) return true
    this.#fault(spokenInstead(rest))
    return false
  }

  #endHead(): void {
    const [statusLine, ...lines] = this.#lines
    this.#lines = []
    this.#lineBytes = 0
    const status = Number(STATUS_LINE.exec(statusLine!)?.[1])
    if (Number.isNaN(status)) return this.#fault(`the first line has no status: ${quoted(statusLine!)}`)
    if (status < 200 && status !== 101) {
      if (++this.#interim > INTERIM_MOST) this.#fault(`more than ${INTERIM_MOST} interim responses`)
      return
    }
    const headers = readHeaders(lines)
    if (typeof headers === 'string') return this.#fault(headers)
    if (!this.#events.onHead({ status, headers })) return this.#stop()
    const isEmpty = !this.#hasBody || status === 204 || status === 304 || status === 101
    if (isEmpty) return this.#finish()
    this.#frame(headers)
  }

  /** How the body ends (RFC 9112 §6.3). */
  #frame(headers: ResponseHead['headers']): void {
    const codings = headers.get('transfer-encoding')
    if (codings !== undefined) {
      this.#part = /(?:^|,)[ \t]*chunked$/i.test(codings) ? 'chunk size' : 'close'
      return
    }
    const written = headers.get('content-length')
    if (written === undefined) return void (this.#part = 'close')
    const [length = '', ...others] = written.split(',').map((text) => text.trim())
    if (!LENGTH.test(length)) return this.#fault(`Content-Length is ${quoted(length)}`)
    if (others.some((other) => other !== length)) return this.#fault(`Content-Length is ${quoted(written)}: which one?`)
    this.#part = 'length'
    this.#left = Number(length)
    if (this.#left === 0) this.#finish()
  }

  #readCounted(): boolean {
    const piece = this.#take(Math.min(this.#left, this.#rest.length))
    this.#left -= piece.length
    if (!this.#tell(piece)) return false
    if (this.#left > 0) return false
    if (this.#part === 'length') this.#finish()
    else this.#part = 'chunk end'
    return true
  }

  #readChunkSize(): boolean {
    const line = this.#line('chunk size')
    if (line === undefined) return false
    this.#lineBytes = 0
    const size = CHUNK_LINE.exec(line)?.[1]
    if (size === undefined) this.#fault(`a chunk's size is ${quoted(line)}`)
    else {
      this.#left = Number.parseInt(size, 16)
      this.#part = this.#left === 0 ? 'trailers' : 'chunk'
    }
    return true
  }

  #readChunkEnd(): boolean {
    const end = this.#rest.subarray(0, 2).toString('latin1')
    if (end === '' || end === '\r') return false
    const length = end.startsWith('\n') ? 1 : 2
    if (length === 2 && end !== '\r\n') this.#fault('a chunk is longer than its size')
    else {
      this.#take(length)
      this.#part = 'chunk size'
    }
    return true
  }

  #readTrailer(): boolean {
    const line = this.#line('trailers')
    if (line === '') this.#finish()
    return line !== undefined
  }

  /** The next line, without its end; undefined: it has not come yet. Latin-1, as headers are. */
  #line(what: string): string | undefined {
    const at = this.#rest.indexOf(10)
    const bytes = at < 0 ? this.#rest.length : at + 1
    if (this.#lineBytes + bytes > HEADER_BYTES) {
      this.#fault(`${what} too large: more than ${HEADER_BYTES} bytes`)
      return undefined
    }
    if (at < 0) return undefined
    this.#lineBytes += bytes
    const line = this.#take(bytes).toString('latin1', 0, at)
    return line.endsWith('\r') ? line.slice(0, -1) : line
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }

  /** Tells a piece of the body; false: nothing was there to tell, or nothing more is wanted. */
  #tell(piece: Buffer): boolean {
    if (piece.length === 0) return false
    if (this.#events.onBody(piece)) return true
    this.#stop()
    return false
  }

  #finish(): void {
    this.#stop()
    this.#events.onEnd()
  }

  #fault(fault: string): void {
    this.#stop()
    this.#events.onFault(fault)
  }

  #stop(): void {
    this.#part = 'done'
    this.#rest = Buffer.alloc(0)
  }
}

const quoted = (text: string): string => `“${printable(text.slice(0, 80))}”`

/** Blank lines may stand before a response (RFC 9112 §2.2). */
const beginsLikeHttp = (bytes: Buffer): boolean =>
  bytes[0] === 13 || bytes[0] === 10 || 'HTTP/'.startsWith(bytes.toString('latin1', 0, 5))

/** Of an HTTP/2 frame's header. */
const FRAME_BYTES = 9

/** Whether a server of HTTP/2 began so: with SETTINGS, or with GOAWAY, of the whole connection (RFC 9113 §4.1). */
export const isHttp2Frame = (bytes: Buffer): boolean =>
  bytes.length >= FRAME_BYTES &&
  bytes.readUIntBE(0, 3) <= 256 &&
  [4, 7].includes(bytes[3]!) &&
  bytes.readUInt32BE(5) === 0

/** What a site speaks that begins with these bytes, and not with HTTP/1. */
function spokenInstead(bytes: Buffer): string {
  if (isHttp2Frame(bytes)) return 'HTTP/2 only: the site answers HTTP/1.1 with a frame of HTTP/2'
  const isTls = (bytes[0] === 21 || bytes[0] === 22) && bytes[1] === 3
  if (isTls) return 'TLS spoken: a check of type https is meant, or another port'
  return 'no HTTP spoken'
}

/** Header lines → headers, or a fault. Folded lines go on the one before them (RFC 9112 §5.2). */
function readHeaders(lines: readonly string[]): ResponseHead['headers'] | string {
  const headers = new Map<string, string>()
  let last: string | undefined
  for (const [i, line] of lines.entries()) {
    if (line.includes('\0')) return `line ${i + 2} of the header has a NUL byte`
    const add = (name: string, value: string, by: string) => {
      const before = headers.get(name)
      headers.set(name, before === undefined ? value : `${before}${by}${value}`)
    }
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last !== undefined) add(last, line.trim(), ' ')
      continue
    }
    const colon = line.indexOf(':')
    if (colon < 1) return `line ${i + 2} of the header has no name: ${quoted(line)}`
    last = line.slice(0, colon).trim().toLowerCase()
    add(last, line.slice(colon + 1).trim(), ', ')
  }
  return headers
}
