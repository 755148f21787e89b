/**
 * The checks `http` and `https`: one request to the VIP with the service's Host and SNI, as a user sends it. No
 * connection or TLS session is reused, so every check covers the whole path, the certificate included. The timeout
 * covers connect, handshake, headers and body, so a slow body is a failure.
 */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { TLSSocket } from 'node:tls'
import { bracketed } from '../../units.ts'
import { type Attempt, attempt, type TargetOf } from './attempt.ts'
import { dial, dialTls } from './dial.ts'
import type { Observation } from './observation.ts'
import { certificateEndMs, expectedOf, untilText } from './tls.ts'

/** Bytes of a body that are read; an expected text must occur before. */
const BODY_BYTES = 65_536
const HEADER_BYTES = 16_384
/** Most interim (1xx) responses; an endless series would fill a core. */
const INTERIM_MOST = 16

type HttpTarget = TargetOf<'http' | 'https'>

/** Runs the check. Never rejects; ends within the check's timeout. */
export function checkHttp(target: HttpTarget): Promise<Observation> {
  const { check } = target
  return attempt(check.timeoutMs, 'no connection', (self) => {
    const request = ask(target, self)
    request.on('error', self.error)
    request.on('socket', (socket) => {
      socket.once(check.type === 'https' ? 'secureConnect' : 'connect', () => (self.missing = 'no response'))
      socket.on('data', self.count()) // of the headers too
    })
    let interim = 0
    request.on('information', () => {
      if (++interim > INTERIM_MOST) self.fail(`more than ${INTERIM_MOST} interim responses`)
    })
    request.on('response', (response) => {
      self.missing = 'no end of the response'
      const { statusCode = 0 } = response
      if (check.statuses.includes(statusCode)) readBody(response, check.body, self)
      else self.fail(`${statusCode}, expected ${check.statuses.join(', ')}`)
    })
    request.end()
    return () => request.destroy()
  })
}

function ask({ address, port, check }: HttpTarget, self: Attempt): ClientRequest {
  const options: RequestOptions = {
    host: address,
    port,
    method: check.method,
    path: check.path,
    maxHeaderSize: HEADER_BYTES,
    setHost: false,
    headers: {
      host: hostHeader(check.host ?? address, check.host === undefined && port !== PORTS[check.type] ? `:${port}` : ''),
      'user-agent': 'meridian-probe',
      accept: '*/*',
      'accept-encoding': 'identity',
    },
  }
  // no agent: each has a connection of its own
  if (check.type === 'http') return httpRequest({ ...options, createConnection: () => dial(address, port, self) })
  const expected = expectedOf(check.host ?? address, check.verify)
  return httpsRequest({ ...options, createConnection: () => dialTls(address, port, expected, self) })
}

const PORTS = { http: 80, https: 443 } as const
const hostHeader = (host: string, port: string): string => `${bracketed(host)}${port}`

/** Reads to the end or to BODY_BYTES, whichever comes first. */
function readBody(response: IncomingMessage, wanted: string | undefined, { pass, fail, count }: Attempt): void {
  const chunks: Buffer[] = []
  const counted = count()
  let bytes = 0
  const judge = () => {
    const read = Buffer.concat(chunks).subarray(0, BODY_BYTES)
    const status = `${response.statusCode}${expiry(response)}`
    if (wanted === undefined || read.includes(wanted)) pass(status)
    else fail(`${status}, but the body lacks ${JSON.stringify(wanted)}`)
  }
  response.on('data', (chunk: Buffer) => {
    counted()
    bytes += chunk.length
    if (wanted !== undefined) chunks.push(chunk)
    if (bytes >= BODY_BYTES) judge()
  })
  response.on('end', judge)
  response.on('error', () => fail('connection closed within the response'))
}

/** Expiry of the certificate of an https answer; empty: it has none. */
function expiry({ socket }: IncomingMessage): string {
  const untilMs = socket instanceof TLSSocket ? certificateEndMs(socket) : undefined
  return untilMs === undefined ? '' : `, certificate ${untilText(untilMs)}`
}
