/**
 * A DNS client: one query to one server, and its reply or the reason why there is none (RFC 1035 §4.2). Over UDP first,
 * over TCP if the reply is truncated. Used by `check --parent`, by checks of type dns and by the canary of announcing.
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Endpoint } from '../units.ts'
import { familyOf } from './address.ts'
import { decodeMessage, encodeQuery, type Message } from './message.ts'
import { isFault } from './name.ts'

const TIMEOUT_MS = 2000

const TRIES = 2

const NOTHING = new Uint8Array(0)

/**
 * Asks a server for NS of a name, without recursion. Resolves with the reply, or a text that says why there is none.
 */
export async function ask(server: Endpoint, name: string): Promise<Message | string> {
  let last = ''
  for (let i = 0; i < TRIES; i++) {
    const query = queryFor(name)
    const reply = await exchange(query, (finish) => overUdp(server, query, finish))
    const whole = typeof reply === 'string' || !reply.tc ? reply : await askOverTcp(server, name)
    if (typeof whole !== 'string') return whole
    last = whole
  }
  return last
}

/** As ask(), over TCP alone. */
export function askOverTcp(server: Endpoint, name: string): Promise<Message | string> {
  const query = queryFor(name)
  return exchange(query, (finish) => overTcp(server, query, finish))
}

/**
 * Sends a query once, over UDP or TCP. Resolves with the reply, truncated or not, or a text that says why there is none
 * within `timeoutMs`. `head`: bytes before the query, or before the first byte of the connection.
 */
export const exchangeOnce = (
  server: Endpoint,
  query: Uint8Array,
  over: 'udp' | 'tcp',
  timeoutMs: number,
  head = NOTHING,
): Promise<Message | string> =>
  exchange(query, (finish) => (over === 'udp' ? overUdp : overTcp)(server, query, finish, head), timeoutMs)

const queryFor = (name: string): Uint8Array =>
  encodeQuery({ name, type: 'NS', id: randomInt(65_536), rd: false, edns: {} })

/** Ends an exchange: takes the reply's bytes, or a text that says why there is no reply. */
type Finish = (reply: Uint8Array | string) => void

/** Sends a query and waits for its reply. `send` returns a function that frees its resources. */
function exchange(
  query: Uint8Array,
  send: (finish: Finish) => () => void,
  timeoutMs = TIMEOUT_MS,
): Promise<Message | string> {
  return new Promise((resolve) => {
    const finish: Finish = (reply) => {
      if (typeof reply !== 'string' && !isReplyTo(query, reply)) return // a reply to another query
      clearTimeout(timer)
      end()
      const message = typeof reply === 'string' ? reply : decodeMessage(reply)
      resolve(typeof message === 'string' ? message : isFault(message) ? `it speaks no DNS: ${message.fault}` : message)
    }
    const timer = setTimeout(() => finish(`no answer within ${timeoutMs / 1000} s`), timeoutMs)
    const end = send(finish)
  })
}

const overUdp = (to: Endpoint, query: Uint8Array, finish: Finish, head = NOTHING): (() => void) =>
  sendUdp(to, head.length === 0 ? query : Buffer.concat([head, query]), finish, (error) => finish(error.message))

/**
 * Sends a query over UDP and passes on what the server sends. Returns a function that closes the socket. An error means
 * a closed port (ICMP), or a fault of this host.
 */
export function sendUdp(
  { address, port }: Endpoint,
  query: Uint8Array,
  onReply: (reply: Buffer) => void,
  onError: (error: Error) => void,
): () => void {
  const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4')
  let isOpen = true
  socket.on('error', onError)
  socket.on('message', (reply) => onReply(reply))
  socket.connect(port, address, () => {
    if (isOpen) socket.send(query)
  })
  return () => {
    if (isOpen) socket.close()
    isOpen = false
  }
}

function overTcp({ address, port }: Endpoint, query: Uint8Array, finish: Finish, head = NOTHING): () => void {
  const socket = connect(port, address, () => {
    socket.write(Buffer.concat([head, Uint8Array.of(query.length >>> 8, query.length & 255), query]))
  })
  let got = Buffer.alloc(0)
  socket.on('data', (part) => {
    got = Buffer.concat([got, part])
    if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) finish(got.subarray(2, 2 + got.readUInt16BE(0)))
  })
  socket.on('error', (error) => finish(error.message))
  socket.on('close', () => finish('it ends the connection without an answer'))
  return () => socket.destroy()
}

const HEADER_BYTES = 12

/**
 * Whether a message is the reply to a query: same id, same question. A reply without a question is accepted if it has
 * an error rcode: servers that cannot read a query send that.
 */
export function isReplyTo(query: Uint8Array, reply: Uint8Array): boolean {
  const isResponse = reply.length >= HEADER_BYTES && (reply[2]! & 0xf8) === 0x80
  if (!isResponse || reply[0] !== query[0] || reply[1] !== query[1]) return false
  if (reply[4] === 0 && reply[5] === 0) return (reply[3]! & 15) !== 0
  const end = questionEnd(query)
  if (reply[4] !== 0 || reply[5] !== 1 || reply.length < end) return false
  for (let at = HEADER_BYTES; at < end; at++) if (lower(reply[at]!) !== lower(query[at]!)) return false
  return true
}

/** Lower case. Length bytes and numbers in a question are below 64, so only letters change. */
const lower = (byte: number): number => (byte >= 65 && byte <= 90 ? byte + 32 : byte)

function questionEnd(query: Uint8Array): number {
  let at = HEADER_BYTES
  while (query[at] !== 0) at += 1 + query[at]!
  return at + 5
}
