import { createServer as createHttp } from 'node:http'
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import { createServer as createTls, getCACertificates, setDefaultCACertificates } from 'node:tls'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { decodeReply, encodeRequest } from '../../../src/probe/checks/grpc.ts'
import type { CheckKind } from '../../../src/zone/model.ts'
import { authority, good, selfSigned } from '../../support/certificates.ts'
import { runCheck } from '../loopback.ts'
import { ADDRESS, listen, type Peer, sees, targetOf } from '../peers.ts'

const open: Peer[] = []
afterEach(() => open.splice(0).forEach((peer) => peer.close()))

async function started(server: Parameters<typeof listen>[0], address = ADDRESS): Promise<number> {
  const peer = await listen(server, address)
  open.push(peer)
  return peer.port
}

interface Call {
  readonly path: string | undefined
  readonly authority: string | undefined
  readonly contentType: string | undefined
  readonly te: string | string[] | undefined
  readonly request: string
}

/** Hands each call with the whole request to `answer`. */
const onCalls = <T extends Http2Server>(server: T, answer: (stream: ServerHttp2Stream, call: Call) => void): T => {
  server.on('sessionError', () => {})
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () =>
      answer(stream, {
        path: headers[':path'],
        authority: headers[':authority'],
        contentType: headers['content-type'],
        te: headers.te,
        request: Buffer.concat(chunks).toString('hex'),
      }),
    )
  })
  return server
}

const GRPC = { ':status': 200, 'content-type': 'application/grpc+proto' }
const frame = (...message: number[]): Buffer => Buffer.from([0, 0, 0, 0, message.length, ...message])

/** A response as gRPC's servers give it: headers, the messages, trailers. */
function respond(
  stream: ServerHttp2Stream,
  body: Buffer,
  trailers: Record<string, string> = { 'grpc-status': '0' },
): void {
  stream.respond(GRPC, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  stream.end(body)
}

type Grpc = Extract<CheckKind, { type: 'grpc' }>
const check = (port: number, more: Partial<Grpc> = {}, address = ADDRESS, timeoutMs = 5000) =>
  targetOf({ type: 'grpc', tls: false, verify: true, service: '', ...more }, port, timeoutMs, address)

test('asks the standard question, of the server or of a service', async () => {
  const calls: Call[] = []
  const port = await started(
    onCalls(createServer(), (stream, call) => {
      calls.push(call)
      respond(stream, frame(0x08, 1))
    }),
  )
  await sees(check(port), 'pass', 'SERVING')
  await sees(check(port, { service: 'shop.Cart', host: 'grpc.example.com' }), 'pass', 'SERVING')
  const common = { path: '/grpc.health.v1.Health/Check', contentType: 'application/grpc', te: 'trailers' }
  expect(calls).toEqual([
    { ...common, authority: `${ADDRESS}:${port}`, request: '0000000000' },
    { ...common, authority: 'grpc.example.com', request: '000000000b0a0973686f702e43617274' },
  ])
})

test('over IPv6', async () => {
  let authorityAsked: string | undefined
  const server = onCalls(createServer(), (stream, call) => {
    authorityAsked = call.authority
    respond(stream, frame(0x08, 1))
  })
  const port = await started(server, '::1')
  await sees(check(port, {}, '::1'), 'pass', 'SERVING')
  expect(authorityAsked).toBe(`[::1]:${port}`)
})

const answers: [string, (stream: ServerHttp2Stream) => void, string][] = [
  ['another status', (stream) => respond(stream, frame(0x08, 2)), 'NOT_SERVING'],
  ['no status', (stream) => respond(stream, frame()), 'UNKNOWN'],
  ['a status of later days', (stream) => respond(stream, frame(0x08, 9)), 'serving status 9'],
  [
    'a grpc-status in the trailers',
    (stream) => respond(stream, Buffer.alloc(0), { 'grpc-status': '14', 'grpc-message': 'going away' }),
    'UNAVAILABLE: going away',
  ],
  [
    'nothing but trailers',
    (stream) => stream.respond({ ...GRPC, 'grpc-status': '5' }, { endStream: true }),
    'NOT_FOUND',
  ],
  ['a grpc-status of its own', (stream) => respond(stream, frame(8, 1), { 'grpc-status': '99' }), 'grpc-status 99'],
  ['no grpc-status', (stream) => respond(stream, frame(8, 1), { other: 'x' }), 'response without a grpc-status'],
  ['no message', (stream) => respond(stream, Buffer.alloc(0)), 'response is no HealthCheckResponse'],
  ['another message', (stream) => respond(stream, frame(0x0f)), 'response is no HealthCheckResponse'],
  ['compression', (stream) => respond(stream, Buffer.of(1, 0, 0, 0, 2, 8, 1)), 'response is no HealthCheckResponse'],
  ['a long message', (stream) => respond(stream, Buffer.alloc(5000)), 'response of more than 1024 bytes'],
  ['another status of HTTP', (stream) => stream.respond({ ':status': 404 }, { endStream: true }), 'HTTP 404'],
  [
    'another content type',
    (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'text/html' })
      stream.end('ok')
    },
    'no gRPC spoken',
  ],
  ['a reset stream', (stream) => stream.close(7), 'stream closed: NGHTTP2_REFUSED_STREAM'],
]
test.each(answers)('%s is a failure with words', async (_, answer, words) => {
  await sees(check(await started(onCalls(createServer(), answer))), 'fail', words)
})

test('an end of the connection is a failure, whether it comes as FIN or as RST', async () => {
  const port = await started(onCalls(createServer(), (stream) => stream.session!.destroy()))
  const { kind, reason } = await runCheck(check(port))
  expect(kind).toBe('fail')
  expect(['connection closed without a response', 'connection reset']).toContain(reason)
})

test('a response that drips, and one that never ends, are cut off at the timeout', async () => {
  const silent = await started(onCalls(createServer(), () => {}))
  await sees(check(silent, {}, ADDRESS, 300), 'timeout', 'no response in 300ms')
  const drips = onCalls(createServer(), (stream) => {
    stream.respond(GRPC)
    const timer = setInterval(() => stream.write('\0'), 20)
    stream.on('close', () => clearInterval(timer))
  })
  await sees(check(await started(drips), {}, ADDRESS, 300), 'timeout', 'no end of the response in 300ms')
})

test('HTTP/1.1 is not spoken', async () => {
  await sees(check(await started(createHttp((_, response) => response.end('ok')))), 'fail', 'no HTTP/2 spoken')
})

const serving = async (options: Parameters<typeof createSecureServer>[0]) =>
  started(onCalls(createSecureServer(options), (stream) => respond(stream, frame(0x08, 1))))

describe('over TLS', () => {
  const certificates = getCACertificates()
  beforeAll(() => setDefaultCACertificates([authority]))
  afterAll(() => setDefaultCACertificates(certificates))
  const named = { tls: true, host: 'www.example.com' }

  test('the certificate is verified, unless it need not be', async () => {
    const port = await serving(good)
    const words = 'SERVING, certificate until 2099-12-31'
    await sees(check(port, named), 'pass', words)
    await sees(check(port, { tls: true }), 'pass', words)
    await sees(
      check(port, { tls: true, validFor: { failMs: 36_500 * 86_400_000 } }),
      'fail',
      `${words.slice(9)}, wanted for 36500d yet`,
    )
    await sees(
      check(port, { ...named, host: 'api.example.com' }),
      'fail',
      'certificate is for another name: for www.example.com, 127.77.1.1, not api.example.com',
    )
    const other = await serving(selfSigned)
    await sees(check(other, named), 'fail', 'certificate is self-signed')
    await sees(check(other, { ...named, verify: false }), 'pass', 'SERVING, certificate until 2126-10-30')
  })

  test('a server without HTTP/2', async () => {
    const port = await started(createHttps(good, (_, response) => response.end('ok')))
    await sees(check(port, named), 'fail', 'no HTTP/2 spoken')
    await sees(check(await started(createTls(good)), named), 'fail', 'no HTTP/2 spoken')
    await sees(check(await started(createServer()), named), 'fail', 'no TLS spoken')
  })
})

test('a request of any length is one frame with one field', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 300 }), (service) => {
      const bytes = encodeRequest(service)
      const name = Buffer.from(service)
      expect(bytes.readUIntBE(0, 5)).toBe(bytes.length - 5)
      const length = bytes[6]! < 128 ? [bytes[6]!, 7] : [(bytes[6]! & 127) + bytes[7]! * 128, 8]
      expect([bytes[5], ...length]).toEqual([0x0a, name.length, bytes.length - name.length])
      expect(bytes.subarray(length[1])).toEqual(name)
    }),
  )
})

test('a reply: its status is read among fields of any kind, and no bytes break the reader', () => {
  const varint = fc.constantFrom([0x10, 0x05], [0x10, 0xff, 0xff, 0xff, 0xff, 0x0f])
  const field = fc.oneof(
    varint,
    fc.constantFrom(
      [0x1a, 2, 8, 2],
      [0x0a, 1, 7],
      [0x0d, 9, 9, 9, 9],
      [0x21, 1, 2, 3, 4, 5, 6, 7, 8],
      [0x2d, 1, 2, 3, 4],
    ),
  )
  fc.assert(
    fc.property(fc.array(field), fc.array(field), fc.nat(127), (before, after, status) => {
      expect(decodeReply(frame(...before.flat(), 0x08, status, ...after.flat()))).toBe(status)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const status = decodeReply(frame(...bytes))
      expect(status === undefined || status >= 0).toBe(true)
    }),
  )
  for (const wrong of [[0x08], [0x08, 0x80], [0x12, 5, 1], [0x00, 1], [0x0b], [0x21, 1]])
    expect(decodeReply(frame(...wrong)), String(wrong)).toBeUndefined()
})
