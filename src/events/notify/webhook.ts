/**
 * One request to a receiver: POST of JSON, signed as Standard Webhooks 1.0 has it (standardwebhooks.com):
 *
 *   webhook-id: ID   webhook-timestamp: Unix seconds   webhook-signature: v1,BASE64(HMAC-SHA256(secret, ID.TIME.BODY))
 *
 * The id is the same however often a message is sent. No redirect is followed: it would carry the message, and the
 * secret in a URL, to whom nobody named. What is said of a failure shows neither the URL's path nor a secret.
 */
import { createHmac } from 'node:crypto'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { codeOf, inLine, messageOf } from '../../problem.ts'
import { VERSION } from '../../version.ts'

/** What became of an attempt. */
export type Outcome =
  | { readonly sent: true }
  | {
      readonly sent: false
      /** In words, without secrets. */
      readonly why: string
      /** The receiver does not want this message, and never will. */
      readonly isFinal: boolean
      /** The receiver asks to wait so long, in ms. */
      readonly waitMs?: number
    }

/** A request to send. */
export interface WebhookRequest {
  readonly url: URL
  readonly id: string
  readonly body: string
  /** Signs it; undefined: it is not signed. */
  readonly secret?: string
  /** Texts that are never shown. */
  readonly hidden: readonly string[]
  readonly timeoutMs: number
  /** Unix time in ms. */
  readonly nowMs: number
}

/** Of a response's body, to tell why something was refused. */
const MOST_READ = 4096
const MOST_SHOWN = 200
/** The longest wait that a receiver can ask for. */
const MOST_WAIT_MS = 10 * 60_000
/** The message itself is at fault: 400, 413 and 422 say so of its content (RFC 9110 §15.5). */
const REFUSING: readonly number[] = [400, 413, 422]

/** The headers that sign a request. */
export function signatureHeaders(id: string, body: string, secret: string, nowMs: number): Record<string, string> {
  const seconds = String(Math.floor(nowMs / 1000))
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret)
  const mac = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')
  return { 'webhook-timestamp': seconds, 'webhook-signature': `v1,${mac}` }
}

/** Sends a request. Never rejects; resolves within `timeoutMs`. */
export async function post(sending: WebhookRequest): Promise<Outcome> {
  const { url, id, body, secret, timeoutMs, nowMs } = sending
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': `meridian/${VERSION}`,
    'webhook-id': id,
    ...(secret !== undefined && signatureHeaders(id, body, secret, nowMs)),
  }
  const signal = AbortSignal.timeout(timeoutMs)
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  try {
    const make = url.protocol === 'https:' ? requestHttps : requestHttp
    const request = make(url, { method: 'POST', headers, agent: false, signal }, resolve)
    request.on('error', reject)
    request.end(body)
    const response = await promise
    return outcomeOf(response, await beginOf(response), sending)
  } catch (error) {
    const why = signal.aborted
      ? `no response within ${timeoutMs / 1000} s`
      : (REASONS[codeOf(error) ?? ''] ?? messageOf(error))
    return { sent: false, why: hiding(`${url.hostname}: ${why}`, sending.hidden), isFinal: false }
  }
}

/** The begin of a response's body, as far as it comes; then the connection is closed, however long the rest would be. */
async function beginOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) break
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= MOST_READ) break
    }
  } catch {
    // its status has come: what it means does not depend on the rest
  }
  response.destroy()
  return Buffer.concat(chunks).subarray(0, MOST_READ).toString()
}

function outcomeOf(
  { statusCode = 0, headers }: IncomingMessage,
  text: string,
  { url, hidden }: WebhookRequest,
): Outcome {
  if (statusCode >= 200 && statusCode < 300) return { sent: true }
  const isRedirect = statusCode >= 300 && statusCode < 400
  const said = text.trim() === '' ? '' : `: ${inLine(text.trim().replaceAll(/\s+/g, ' ').slice(0, MOST_SHOWN))}`
  const why = `${url.hostname}: status ${statusCode}${isRedirect ? ', a redirect, which is not followed: correct the url' : said}`
  const wait = waitOf(headers['retry-after'])
  const isFinal = REFUSING.includes(statusCode)
  return { sent: false, why: hiding(why, hidden), isFinal, ...(wait !== undefined && { waitMs: wait }) }
}

/** Retry-After (RFC 9110 §10.2.3) in seconds; a date is not read: clocks differ. */
function waitOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Math.min(Number(text) * 1000, MOST_WAIT_MS) : undefined
}

function hiding(text: string, hidden: readonly string[]): string {
  return hidden.filter((secret) => secret.length > 3).reduce((left, secret) => left.replaceAll(secret, '…'), text)
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection is refused',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'its name can’t be resolved',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to its network',
  ETIMEDOUT: 'no connection in time',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself; tls.ca can name its authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is of an authority that is not trusted; tls.ca can name it',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is of an authority that is not trusted; tls.ca can name it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is of an authority that is not trusted; tls.ca can name it',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
}
