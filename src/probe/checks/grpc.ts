/**
 * The check `grpc`: Check of grpc.health.v1.Health over HTTP/2, in plaintext (prior knowledge) or TLS. SERVING passes.
 * The two messages are so small that their protobuf is coded here:
 *
 *   message HealthCheckRequest  { string service = 1; }
 *   message HealthCheckResponse { ServingStatus status = 1; }
 */
import { connect as connectHttp2, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2'
import { type Socket } from 'node:net'
import { codeOf } from '../../problem.ts'
import { bracketed } from '../../units.ts'
import { type Attempt, attempt, printable, type TargetOf } from './attempt.ts'
import { type Authorities, dialTls } from './certificate.ts'
import { dial as dialTcp } from './dial.ts'
import type { Observation } from './observation.ts'

const REPLY_BYTES = 1024
const SERVING_STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
const STATUSES =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  )

type Headers = IncomingHttpHeaders & IncomingHttpStatusHeader

/** Runs the check. Never rejects; ends within the check's timeout. */
export function checkGrpc(target: TargetOf<'grpc'>, authorities: Authorities): Promise<Observation> {
  const { address, port, check } = target
  return attempt(check.timeoutMs, 'no connection', (self) => {
    let note = ''
    const socket = dial(target, authorities, self, (until) => (note = `, ${until}`))
    const literal = bracketed(address)
    const session = connectHttp2(`http://${literal}:${port}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    })
    const frames = self.count()
    session.on('error', (error) => observeHttp2(error, self))
    session.on('connect', () => (self.missing = 'no response'))
    for (const frame of ['altsvc', 'origin', 'ping', 'remoteSettings', 'goaway'] as const) session.on(frame, frames)
    session.on('close', () => self.fail('connection closed without a response'))
    const stream = session.request({
      ':method': 'POST',
      ':scheme': check.tls ? 'https' : 'http',
      ':authority': check.host === undefined ? `${literal}:${port}` : bracketed(check.host),
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${check.timeoutMs}m`,
      'user-agent': 'meridian-probe',
    })
    stream.on('error', (error) => observeHttp2(error, self))
    let headers: Headers = {}
    let trailers: IncomingHttpHeaders = {}
    let body = Buffer.alloc(0)
    stream.on('response', (received) => {
      headers = received
      self.missing = 'no end of the response'
    })
    stream.on('trailers', (received) => (trailers = received))
    stream.on('headers', frames) // interim responses
    stream.on('data', (chunk: Buffer) => {
      frames()
      body = Buffer.concat([body, chunk])
      if (body.length > REPLY_BYTES) self.fail(`response of more than ${REPLY_BYTES} bytes`)
    })
    stream.on('close', () => judge(headers, { ...headers, ...trailers }, body, note, self))
    stream.end(encodeRequest(check.service))
    return () => session.destroy() // and the socket with it
  })
}

/** Connects before HTTP/2 does, because HTTP/2's errors do not tell this host's faults from the site's. */
function dial(
  { address, port, check }: TargetOf<'grpc'>,
  authorities: Authorities,
  self: Attempt,
  onSecure: (until: string) => void,
): Socket {
  if (!check.tls) return dialTcp(address, port, self)
  const expected = { address, port, host: check.host ?? address, check, protocol: 'h2' as const }
  return dialTls(expected, authorities, self, (socket, until) => {
    if (socket.alpnProtocol === 'h2') onSecure(until)
    else self.fail('no HTTP/2 spoken')
  })
}

function observeHttp2(error: Error, self: Attempt): void {
  const code = codeOf(error) ?? ''
  if (code === 'ERR_HTTP2_STREAM_ERROR')
    self.fail(error.message.replace(/^Stream closed with error code/, 'stream closed:'))
  else if (code.startsWith('ERR_HTTP2_')) self.fail('no HTTP/2 spoken')
  else self.error(error)
}

function judge(headers: Headers, last: IncomingHttpHeaders, body: Buffer, note: string, self: Attempt): void {
  const http = headers[':status']
  if (http === undefined) return self.fail('connection closed without a response')
  if (http !== 200) return self.fail(`HTTP ${http}`)
  if (!/^application\/grpc\b/.test(headers['content-type'] ?? '')) return self.fail('no gRPC spoken')
  const status = last['grpc-status']
  if (typeof status !== 'string') return self.fail('response without a grpc-status')
  if (status !== '0') {
    const said = printable(String(last['grpc-message'] ?? ''))
    return self.fail(
      `${STATUSES[Number(status)] ?? `grpc-status ${printable(status)}`}${said === '' ? '' : `: ${said}`}`,
    )
  }
  const serving = decodeReply(body)
  if (serving === undefined) return self.fail('response is no HealthCheckResponse')
  const word = SERVING_STATUSES[serving] ?? `serving status ${serving}`
  return serving === 1 ? self.pass(`${word}${note}`) : self.fail(word)
}

/** A HealthCheckRequest in a gRPC frame: no compression, then the length in 4 bytes. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const message = name.length === 0 ? name : Buffer.concat([Buffer.of(0x0a), encodeVarint(name.length), name])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.of(...bytes, rest)
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** The status in a frame with one HealthCheckResponse; undefined: malformed. Unknown fields are skipped. */
export function decodeReply(frame: Buffer): number | undefined {
  if (frame.length < 5 || frame[0] !== 0 || frame.readUInt32BE(1) !== frame.length - 5) return undefined
  let status = 0
  let at = 5
  while (at < frame.length) {
    const tag = readVarint(frame, at)
    if (tag === undefined || tag.value < 8) return undefined
    const field = readField(frame, tag.next, tag.value & 7)
    if (field === undefined || field.next > frame.length) return undefined
    if (tag.value === 0x08) status = field.value
    at = field.next
  }
  return status
}

interface VarintRead {
  readonly value: number
  readonly next: number
}

/** By wire type: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
function readField(frame: Buffer, at: number, wireType: number): VarintRead | undefined {
  if (wireType === 1) return { value: 0, next: at + 8 }
  if (wireType === 5) return { value: 0, next: at + 4 }
  if (wireType !== 0 && wireType !== 2) return undefined
  const varint = readVarint(frame, at)
  return varint === undefined || wireType === 0 ? varint : { value: 0, next: varint.next + varint.value }
}

/** At most 10 bytes; beyond 2^53 the value is not exact, and means nothing here. */
function readVarint(frame: Buffer, start: number): VarintRead | undefined {
  let value = 0
  for (let i = 0; i < 10; i++) {
    const byte = frame[start + i]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return { value, next: start + i + 1 }
  }
  return undefined
}
