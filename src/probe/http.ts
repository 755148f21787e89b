/**
 * The checks `http` and `https`: one request to the VIP with the Host and SNI of the service, as a user's would come. No
 * connection and no TLS session is used twice, so every check sees the whole way in, the certificate included. The
 * timeout is for all of it: connect, handshake, headers and body, so that a body that drips is a failure.
 */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https'
import { isIP } from 'node:net'
import {
  checkServerIdentity,
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  TLSSocket,
} from 'node:tls'
import type { Target } from '../health/target.ts'
import type { CheckModel } from '../zone/model.ts'
import { formatDuration } from '../units.ts'
import { type Observation, observeError } from './observation.ts'

/** As much of a body as is read: longer ones are cut off there, and an expected text must stand before it. */
const BODY_BYTES = 65_536
const HEADER_BYTES = 16_384

const plain = new HttpAgent({ keepAlive: false })
const secure = new HttpsAgent({ keepAlive: false, maxCachedSessions: 0 })
/** One for all, made with the first: each costs a fifth of a check. It holds no sessions; those are the agent's, and it keeps none. */
let context: SecureContext | undefined

type HttpCheck = Extract<CheckModel, { type: 'http' | 'https' }>
type HttpTarget = Pick<Target, 'address' | 'port'> & { readonly check: HttpCheck }

/** Never rejects; ends within the check's timeout. */
export function checkHttp(target: HttpTarget): Promise<Observation> {
  const { check } = target
  return new Promise((resolve) => {
    const startMs = performance.now()
    let missing = 'no connection'
    let ended = false
    const finish = (observation: Observation) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      request.destroy()
      resolve(observation)
    }
    const end = (kind: 'pass' | 'fail' | 'timeout', reason: string) =>
      finish({ kind, reason, rttMs: performance.now() - startMs })
    const timer = setTimeout(() => end('timeout', `${missing} in ${formatDuration(check.timeoutMs)}`), check.timeoutMs)
    const request = ask(target)
    request.on('error', (error) => finish(observeError(error, performance.now() - startMs)))
    request.on('socket', (socket) => {
      socket.once('connect', () => (missing = check.type === 'https' ? 'no TLS handshake' : 'no response'))
      socket.once('secureConnect', () => (missing = 'no response'))
    })
    request.on('response', (response) => {
      missing = 'no end of the response'
      const { statusCode = 0 } = response
      if (check.statuses.includes(statusCode)) readBody(response, check, end)
      else end('fail', `${statusCode}, expected ${check.statuses.join(', ')}`)
    })
    request.end()
  })
}

function ask({ address, port, check }: HttpTarget): ClientRequest {
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
  if (check.type === 'http') return httpRequest({ ...options, agent: plain })
  const name = (check.host ?? address).replace(/^([^:]*):\d+$/, '$1')
  const secured: RequestOptions & Pick<ConnectionOptions, 'secureContext'> = {
    ...options,
    agent: secure,
    secureContext: (context ??= createSecureContext()),
    servername: isIP(name) === 0 ? name : '', // RFC 6066 §3: no literal addresses
    rejectUnauthorized: check.verify,
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
  }
  return httpsRequest(secured)
}

const PORTS = { http: 80, https: 443 } as const
const hostHeader = (host: string, port: string): string => (isIP(host) === 6 ? `[${host}]${port}` : `${host}${port}`)

/** Reads to the end, or to BODY_BYTES, whichever is first. */
function readBody(
  response: IncomingMessage,
  check: HttpCheck,
  end: (kind: 'pass' | 'fail', reason: string) => void,
): void {
  const chunks: Buffer[] = []
  let bytes = 0
  const judge = () => {
    const read = Buffer.concat(chunks).subarray(0, BODY_BYTES)
    const found = check.body === undefined || read.includes(check.body)
    const status = `${response.statusCode}${expiry(response)}`
    if (found) end('pass', status)
    else end('fail', `${status}, but the body lacks ${JSON.stringify(check.body)}`)
  }
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (check.body !== undefined) chunks.push(chunk)
    if (bytes >= BODY_BYTES) judge()
  })
  response.on('end', judge)
  response.on('error', () => end('fail', 'connection closed within the response'))
}

/** Until when the certificate of an https answer holds; empty when it does not say. */
export function expiry({ socket }: IncomingMessage): string {
  const until = socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.validTo : undefined
  const untilMs = Date.parse(until ?? '')
  // a certificate says what it likes: a date that is none must not end the prober
  return Number.isNaN(untilMs) ? '' : `, certificate until ${new Date(untilMs).toISOString().slice(0, 10)}`
}
