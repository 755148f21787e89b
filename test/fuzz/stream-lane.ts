/**
 * The part of sockets.ts for TCP and TLS. An item is a connection: queries in frames, in pieces, maybe behind a PROXY header; then
 * the client ends its side, and the server must answer and end.
 */
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { parseAddress } from '../../src/dns/address.ts'
import { framed } from '../server/client.ts'
import { type Lane, nowSeconds, type Run, SLACK_SECONDS } from './lane.ts'
import { proxyHeader } from './messages.ts'
import { factsOf, isTransfer, judge, judgeTransfer, type Sent, unproxied } from './oracle.ts'
import type { Random } from './packets.ts'
import type { Served } from './served.ts'
import { NAMED } from './udp-lane.ts'
import { u16 } from './wire.ts'
import { PROTOCOL } from './zones.ts'

/** Queries of a connection; connections in flight. A handshake costs as much as 50 queries. */
const QUERIES = 40
const CONNECTIONS = { tcp: 3, dot: 1 } as const
/** More messages that can't be answered end a connection. */
const UNANSWERABLE_MOST = 3
const PATIENCE_MS = 120_000
/** Who may name other clients. */
export const PROXY = '127.0.7.1'

/** How a connection begins: from an address, with a header if that is a proxy. */
export interface Opening {
  readonly from: string
  readonly header: Uint8Array
  /** Who asks; undefined: the header is malformed. */
  readonly client: Uint8Array | undefined
  /** Whether what follows begins where the header says that it ends. */
  readonly isWhole: boolean
}

/** A connection of a client, or of a proxy with a header that may be malformed. */
export function draw(random: Random): Opening {
  if (random(4) > 0) return openingWith(`127.0.1.${1 + random(250)}`, new Uint8Array(0))
  return openingWith(PROXY, proxyHeader(random, parseAddress(NAMED[random(NAMED.length)]!)!, true))
}

/** One from this address; the header of a proxy comes first. */
export function openingWith(from: string, header: Uint8Array): Opening {
  const own = parseAddress(from)!
  if (from !== PROXY) return { from, header, client: own, isWhole: true }
  // whatever comes behind a header that says more than is there
  const named = unproxied(Buffer.concat([header, new Uint8Array(4096)]), own, true)
  return { from, header, client: named?.client, isWhole: named?.at === header.length }
}

interface Conversation {
  readonly opening: Opening
  /** What is sent behind the header: queries, maybe less or more than one at the end. */
  readonly frames: readonly Uint8Array[]
  readonly pieces: readonly Buffer[]
  readonly atSeconds: number
}

/** Connections of clients and proxies over TCP or TLS. */
export function streamLane(served: Served, { random, next, tell }: Run, kind: 'tcp' | 'dot'): Lane<Conversation> {
  const port = served.ports[kind]
  const judgeOne = async ({ opening, frames, pieces, atSeconds }: Conversation): Promise<string | undefined> => {
    const { from, header, client, isWhole } = opening
    if (kind === 'dot' && !isWhole) return spoil(port, 'dot', opening)
    const bytes = await converse(kind, from, port, pieces, header)
    if (bytes === undefined) return 'the connection was not ended'
    const sent = {
      client: client ?? parseAddress(from)!,
      kind,
      nowSeconds: atSeconds,
      slackSeconds: SLACK_SECONDS,
    } as const
    if (kind === 'dot') return judgeStream(sent, Buffer.concat(frames), bytes)
    const stream = Buffer.concat([header, ...frames])
    const named = from === PROXY ? unproxied(stream, sent.client, true) : { at: 0, client: sent.client }
    if (named === undefined) return bytes.length === 0 ? undefined : 'answered behind a malformed header'
    return judgeStream({ ...sent, client: named.client }, stream.subarray(named.at), bytes)
  }
  return {
    thread: kind,
    items: CONNECTIONS[kind],
    packets: QUERIES,
    async make() {
      await setImmediate() // those in flight have their turns
      const begins = draw(random)
      const client = begins.client ?? parseAddress(begins.from)!
      let unanswerable = 0
      const frames: Uint8Array[] = []
      for (let n = 0; n < QUERIES; n++) {
        const query = next(client, nowSeconds(), 1 + n)
        if (isAnswered(query) || ++unanswerable <= UNANSWERABLE_MOST) frames.push(framed(query))
      }
      if (random(4) === 0) frames.push(Uint8Array.of(random(256), random(256), ...next(client, nowSeconds(), 99)))
      return { opening: begins, frames, pieces: cut(random, Buffer.concat(frames)), atSeconds: nowSeconds() }
    },
    async exchange(items) {
      const wrong = await Promise.all(items.map(judgeOne))
      for (const [i, item] of items.entries())
        if (wrong[i] !== undefined) tell(`${kind}: ${wrong[i]}, from ${item.opening.from}`, bytesOf(item))
    },
    halve(item) {
      const half = item.frames.length >> 1
      const parts = half === 0 ? [] : [item.frames.slice(0, half), item.frames.slice(half)]
      return parts.map((frames) => ({ ...item, frames, pieces: [Buffer.concat(frames)] }))
    },
    bytesOf,
    end: () => {},
  }
}

const bytesOf = ({ opening, frames }: Conversation): Uint8Array => Buffer.concat([opening.header, ...frames])

function cut(random: Random, stream: Buffer): Buffer[] {
  if (random(2) === 0) return [stream]
  const [a, b] = [random(stream.length + 1), random(stream.length + 1)]
  return [
    stream.subarray(0, Math.min(a, b)),
    stream.subarray(Math.min(a, b), Math.max(a, b)),
    stream.subarray(Math.max(a, b)),
  ]
}

/** All that comes back for a stream until the server closes; undefined: it doesn't. `header`: before all else, TLS too. */
export async function converse(
  kind: 'tcp' | 'dot',
  localAddress: string,
  port: number,
  stream: readonly Uint8Array[],
  header: Uint8Array = new Uint8Array(0),
): Promise<Buffer | undefined> {
  const raw = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
  if (header.length > 0) raw.write(header)
  const socket = kind === 'tcp' ? raw : secure(raw, kind)
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const parts: Buffer[] = []
  socket.on('data', (part) => parts.push(part))
  socket.on('error', () => {}) // a reset is an end
  socket.on('close', () => resolve(true))
  const timer = setTimeout(() => resolve(false), PATIENCE_MS)
  for (const piece of stream) socket.write(piece)
  socket.end()
  const isClosed = await promise
  clearTimeout(timer)
  socket.destroy()
  return isClosed ? Buffer.concat(parts) : undefined
}

/** TLS on a connection, whatever certificate is shown. */
export const secure = (socket: Duplex, protocol: 'dot' | 'h2'): Socket =>
  connectTls({ socket, ALPNProtocols: [protocol], rejectUnauthorized: false })

/**
 * TLS behind a header that is not whole: what is wrong with what comes back. `read`: another reader of headers, to see the rules
 * fail.
 */
export async function spoil(
  port: number,
  protocol: 'dot' | 'h2',
  { from, header }: Opening,
  read: (...stream: Parameters<typeof unproxied>) => unknown = unproxied,
): Promise<string | undefined> {
  const stream = Buffer.concat([header, await clientHello(protocol)])
  const bytes = await converse('tcp', from, port, [stream])
  if (bytes === undefined) return 'the connection was not ended'
  // what the header lacks may be in what follows
  const isHeader = read(stream, parseAddress(from)!, true) !== undefined
  if (!isHeader && bytes.length > 0) return 'answered behind a malformed header'
  const ALERT = 21
  return bytes.length > 0 && bytes[0] !== ALERT ? 'TLS went on with bytes that are none' : undefined
}

/** What a client of TLS says first. */
async function clientHello(protocol: 'dot' | 'h2'): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  const socket = secure(new Duplex({ read: () => {}, write: (bytes: Buffer) => resolve(bytes) }), protocol)
  socket.on('error', () => {}) // nobody answers
  const hello = await promise
  socket.destroy()
  return hello
}

/** The messages in a stream; one that is incomplete is none. */
export function framesOf(stream: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (let at = 0; at + 2 <= stream.length; at += 2 + u16(stream, at))
    if (at + 2 + u16(stream, at) <= stream.length) frames.push(stream.subarray(at + 2, at + 2 + u16(stream, at)))
  return frames
}

const isAnswered = (query: Uint8Array): boolean => factsOf(query).verdict !== 'drop'

/** The first rule that the answers to a stream break. Messages are answered in their order; a transfer has many answers. */
export function judgeStream(sent: Omit<Sent, 'query'>, stream: Uint8Array, answers: Buffer): string | undefined {
  const frames = framesOf(stream)
  const replies = framesOf(answers)
  const isReset = frames.filter((query) => !isAnswered(query)).length > UNANSWERABLE_MOST
  const size = replies.reduce((sum, reply) => sum + 2 + reply.length, 0)
  if (size < answers.length && !isReset) return 'the last reply is not whole'
  let taken = 0
  for (const query of frames.filter(isAnswered)) {
    const one = { ...sent, query }
    const reply = replies[taken++]
    if (reply === undefined && isReset) return undefined // it has cost answers
    if (reply === undefined || !isTransfer(query, reply)) {
      const wrong = judge(PROTOCOL, one, reply)
      if (wrong !== undefined)
        return `${wrong}, query ${hex(query)}, reply ${reply === undefined ? 'none' : hex(reply)}`
      continue
    }
    const messages = [reply]
    while (taken < replies.length && replies[taken]!.length > 2 && u16(replies[taken]!, 0) === u16(query, 0))
      messages.push(replies[taken++]!)
    const wrong = judgeTransfer(PROTOCOL, one, messages)
    if (wrong !== undefined) return `${wrong}, query ${hex(query)}`
  }
  return taken < replies.length ? `${replies.length - taken} replies to nothing` : undefined
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
