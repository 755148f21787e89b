/**
 * The checks `http` and `https`: a request to the VIP with the service's Host and SNI, as a user sends it. No
 * connection or TLS session is reused, so every check covers the whole path, the certificate included. The timeout
 * covers connect, handshake, headers, body and redirects, so a slow body is a failure.
 *
 * A redirect is followed only where the check says so, and only to the host that the check names: at the same address,
 * whatever a resolver would say of that name, on the port and with the scheme of the redirect.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { isHeaderValue } from '../../config.ts'
import type { Reach } from '../../health/reach.ts'
import { messageOf } from '../../problem.ts'
import { compileRegex, REGEX_BYTES } from '../../regex.ts'
import { bracketed, formatRanges } from '../../units.ts'
import { type Attempt, attempt, printable, type TargetOf } from './attempt.ts'
import { type Authorities, dialTls } from './certificate.ts'
import { dial } from './dial.ts'
import type { Observation } from './observation.ts'
import { isHttp2Frame, NO_RESPONSE, type ResponseHead, ResponseReader } from './response.ts'

/**
 * The node setting `probe.headers`: by name, a header's value, or `file:` and the absolute path of the file whose first
 * line it is.
 */
export type HeaderValues = Readonly<Record<string, string>>

/** What the check needs of this prober. */
export interface HttpSettings {
  readonly authorities: Authorities
  readonly headerValues: HeaderValues
  readonly reach: Reach
}

/** Bytes of a body that are read; what is expected of it must occur before. */
const BODY_BYTES = 65_536
const PORTS = { 'http:': 80, 'https:': 443 } as const
/** What a client of HTTP/2 begins with: the preface and empty SETTINGS (RFC 9113 §3.4). */
const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308]

type HttpTarget = TargetOf<'http' | 'https'>

/** A request of the check, the first or a redirect's. */
interface Hop {
  readonly scheme: keyof typeof PORTS
  readonly port: number
  readonly path: string
  /** Redirects that led here. */
  readonly redirects: number
}

/** Runs the check. Never rejects; ends within the check's timeout. */
export function checkHttp(target: HttpTarget, settings: HttpSettings): Promise<Observation> {
  return attempt(target.check.timeoutMs, 'no connection', (self) => {
    const { check, port } = target
    const run = new Run(target, settings, self)
    run.ask({ scheme: check.type === 'https' ? 'https:' : 'http:', port, path: check.path, redirects: 0 })
    return () => run.close()
  })
}

/** One check: its request, and those of the redirects that it follows. */
class Run {
  readonly #target: HttpTarget
  readonly #settings: HttpSettings
  readonly #self: Attempt
  readonly #host: string
  /** The check's own headers, as lines. They go to the origin of the check alone. */
  readonly #headers: ReadonlyMap<string, string>
  #socket: Socket | undefined

  /** Throws, in words, if this prober lacks a header's value. */
  constructor(target: HttpTarget, settings: HttpSettings, self: Attempt) {
    this.#target = target
    this.#settings = settings
    this.#self = self
    this.#host = target.check.host ?? target.address
    this.#headers = new Map(
      Object.entries(target.check.headers ?? {}).map(([name, value]) => [
        name.toLowerCase(),
        `${name}: ${headerValue(value, settings.headerValues)}`,
      ]),
    )
  }

  close(): void {
    this.#socket?.destroy()
  }

  ask(hop: Hop): void {
    this.#self.missing = 'no connection'
    this.#connect(hop, 'http/1.1', (socket, note) => this.#exchange(socket, hop, note))
  }

  /** `note`: what a reason says of the connection. */
  #connect(
    { scheme, port }: Hop,
    protocol: 'http/1.1' | undefined,
    onConnected: (socket: Socket, note: string) => void,
  ): void {
    const { address, check } = this.#target
    if (scheme === 'http:') {
      const socket = dial(address, port, this.#self)
      this.#socket = socket
      socket.on('connect', () => onConnected(socket, ''))
      return
    }
    // a check of type http has no keys of its own for what it is redirected to
    const expected = { address, port, host: this.#host, check, ...(protocol !== undefined && { protocol }) }
    this.#socket = dialTls(expected, this.#settings.authorities, this.#self, (socket, until) =>
      onConnected(socket, `, ${until}`),
    )
  }

  /** The site closed the connection without a word: some do so that speak HTTP/2 alone. */
  #tryHttp2(hop: Hop): void {
    const self = this.#self
    this.close()
    self.missing = `${NO_RESPONSE}, and none to HTTP/2`
    this.#connect(hop, undefined, (socket) => {
      socket.on('data', (piece: Buffer) =>
        self.fail(isHttp2Frame(piece) ? 'HTTP/2 only: the site closes the connection at HTTP/1.1' : NO_RESPONSE),
      )
      socket.on('end', () => self.fail(NO_RESPONSE))
      socket.write(HTTP2_PREFACE, 'latin1')
    })
  }

  /** Sends the request and reads its response. `note`: see #connect(). */
  #exchange(socket: Socket, hop: Hop, note: string): void {
    const self = this.#self
    self.missing = 'no response'
    const isCurrent = () => socket === this.#socket
    const { body, matches } = this.#target.check
    const looksInto = body !== undefined || matches !== undefined
    const chunks: Buffer[] = []
    const counted = self.count()
    let bytes = 0
    let status = ''
    let head: ResponseHead | undefined
    const judge = () => {
      const fault = this.#bodyFault(Buffer.concat(chunks), bytes, head!)
      if (fault === undefined) self.pass(status)
      else self.fail(`${status}, but ${fault}`)
    }
    const reader = new ResponseReader(this.#target.check.method, {
      onHead: (read) => {
        head = read
        status = `${read.status}${redirectsInWords(hop)}${note}`
        self.missing = 'no end of the response'
        return this.#takesHead(read, hop)
      },
      onBody: (piece) => {
        bytes += piece.length
        if (looksInto) chunks.push(piece)
        if (bytes >= BODY_BYTES) judge()
        return counted() && bytes < BODY_BYTES
      },
      onEnd: judge,
      onFault: (fault) => (fault === NO_RESPONSE ? this.#tryHttp2(hop) : self.fail(fault)),
    })
    const readPiece = self.count()
    socket.on('data', (piece: Buffer) => {
      const isFew = readPiece() // of the header too
      if (isFew && isCurrent()) reader.push(piece)
    })
    socket.on('end', () => isCurrent() && reader.end())
    socket.write(this.#requestOf(hop))
  }

  #requestOf({ scheme, port, path }: Hop): string {
    const { check } = this.#target
    const isOrigin = port === this.#target.port && scheme === (check.type === 'https' ? 'https:' : 'http:')
    const tellsPort = check.host === undefined || !isOrigin // the service's own port need not be the one that is probed
    const withPort = tellsPort && port !== PORTS[scheme] ? `:${port}` : ''
    const lines = new Map([
      ['host', `Host: ${bracketed(this.#host)}${withPort}`],
      ['user-agent', 'User-Agent: meridian-probe'],
      ['accept', 'Accept: */*'],
      ['accept-encoding', 'Accept-Encoding: identity'],
      ['connection', 'Connection: close'],
      ...(isOrigin ? this.#headers : []),
    ])
    return `${check.method} ${path} HTTP/1.1\r\n${[...lines.values()].join('\r\n')}\r\n\r\n`
  }

  /** Whether the body is wanted: the status is one that passes. Else the check fails, or follows a redirect. */
  #takesHead({ status, headers }: ResponseHead, hop: Hop): boolean {
    const { statuses, follow = 0 } = this.#target.check
    if (statuses.includes(status)) return true
    const location = REDIRECTS.includes(status) ? headers.get('location') : undefined
    if (location !== undefined && follow > 0) this.#redirect(status, location, hop, follow)
    else {
      const to = location === undefined ? '' : ` to ${printable(location)}`
      this.#self.fail(`${status}${to}${redirectsInWords(hop)}, expected ${formatRanges(statuses)}`)
    }
    return false
  }

  #redirect(status: number, location: string, hop: Hop, most: number): void {
    const said = `${status} to ${printable(location)}`
    const base = `${hop.scheme}//${bracketed(this.#host)}:${hop.port}${hop.path}`
    const to = URL.parse(location, base)
    if (to === null) return this.#self.fail(`${said}, which is no URL`)
    const { protocol: scheme, hostname, port, pathname, search } = to
    if (scheme !== 'http:' && scheme !== 'https:') return this.#self.fail(`${said}, which is not HTTP`)
    if (hostname !== URL.parse(base)!.hostname) {
      return this.#self.fail(`${said}, another host than ${this.#host}: no check goes there`)
    }
    if (hop.redirects === most) return this.#self.fail(`${said}, after ${redirects(most)}: no more are followed`)
    const next: Hop = {
      scheme,
      port: port === '' ? PORTS[scheme] : Number(port),
      path: `${pathname}${search}`,
      redirects: hop.redirects + 1,
    }
    const refusal = this.#settings.reach.refusal(this.#target.address, next.port)
    if (refusal !== undefined) return this.#self.unable(refusal)
    this.close()
    this.ask(next)
  }

  /** What is wrong with a body; undefined: nothing is. */
  #bodyFault(read: Buffer, bytes: number, { headers }: ResponseHead): string | undefined {
    const { body, matches } = this.#target.check
    const lacksText = body !== undefined && !read.subarray(0, BODY_BYTES).includes(body)
    if (!lacksText && (matches === undefined || matchesRegex(matches, read))) return undefined
    const lacks = lacksText ? JSON.stringify(body) : `a match of /${matches}/`
    const coding = headers.get('content-encoding') ?? 'identity'
    if (coding.toLowerCase() !== 'identity') {
      return `the body is compressed (${printable(coding)}), although the check asks for it plain: ${lacks} can't be looked for`
    }
    const most = lacksText ? BODY_BYTES : REGEX_BYTES
    return bytes >= most ? `the first ${most / 1024} KiB of the body lack ${lacks}` : `the body lacks ${lacks}`
  }
}

const redirects = (count: number): string => `${count} redirect${count === 1 ? '' : 's'}`
const redirectsInWords = ({ redirects: count }: Hop): string => (count === 0 ? '' : ` after ${redirects(count)}`)

function matchesRegex(pattern: string, body: Buffer): boolean {
  const regex = compileRegex(pattern)
  return typeof regex !== 'string' && regex.matches(body)
}

/** The value of a header. Throws, in words that have no value in them, if this prober does not have it. */
function headerValue(name: string, values: HeaderValues): string {
  const value = Object.hasOwn(values, name) ? values[name]! : undefined
  if (value === undefined) throw new Error(`probe.headers of this prober has no value “${name}”`)
  if (!value.startsWith('file:')) return value
  const file = value.slice('file:'.length)
  let line: string
  try {
    line = readFileSync(file, 'utf8').split('\n')[0]!.trim()
  } catch (error) {
    throw new Error(`the value “${name}” of probe.headers can't be read: ${messageOf(error)}`, { cause: error })
  }
  if (!isHeaderValue(line)) throw new Error(`the first line of ${file}, in probe.headers, is no header's value`)
  return line
}
