/**
 * `npm run fuzz -- packets`, over sockets: a process of its own serves (process.ts), and is sent structure-aware packets over UDP,
 * TCP, TLS and HTTPS. Each reply is judged by the oracle; behind each batch the server must have answered all of it, within a CPU
 * time; and at the end the process must be as large as before, with the same threads and nothing in its log.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { parseAddress } from '../../src/dns/address.ts'
import { framed } from '../server/client.ts'
import { encode } from '../support/ask.ts'
import { until } from '../support/until.ts'
import { fuzzHttps } from './https.ts'
import { SUBJECT } from './memory.ts'
import { makeMessages, proxyHeader } from './messages.ts'
import { factsOf, isTransfer, judge, judgeTransfer, type Sent, unproxied } from './oracle.ts'
import { makeRandom, type Random } from './packets.ts'
import type { Ports, Report } from './process.ts'
import { nowSeconds, type Round, type Run, SLACK_SECONDS } from './round.ts'
import { u16 } from './wire.ts'
import { PROTOCOL } from './zones.ts'

/** How many packets go over each transport. */
export interface Shares {
  readonly udp: number
  readonly tcp: number
  readonly dot: number
  readonly doh: number
}

/** What came of a run over sockets. */
export interface SocketsFuzzed {
  readonly packets: Shares
  readonly findings: readonly string[]
  /** The longest that a batch took to be answered, in ms. */
  readonly slowestMs: Readonly<Record<keyof Shares, number>>
  readonly before: Report
  readonly after: Report
}

const MOST_FINDINGS = 10
const MOST_HEX = 4000
const PATIENCE_MS = 30_000
/** CPU time of a thread for one batch: as much as one packet may take, though most batches take a tenth. */
const BATCH_CPU_MS = 5
const BATCH = 48
const LARGEST_DATAGRAM = 1600
/** What memory may grow by while caches and heaps find their sizes. */
const GROWN_MOST_BYTES = 48e6
const MORE_FILES = 8

/** A server in a process of its own. */
export class Served {
  readonly #child: ChildProcess
  readonly ports: Ports

  private constructor(child: ChildProcess, ports: Ports) {
    this.#child = child
    this.ports = ports
  }

  static async start(): Promise<Served> {
    const child = fork(join(import.meta.dirname, 'process.ts'), { execArgv: ['--expose-gc'] })
    const [ports] = await once(child, 'message')
    return new Served(child, ports)
  }

  async report(): Promise<Report> {
    this.#child.send('report')
    const [report] = await once(this.#child, 'message')
    return report
  }

  /** CPU time that the threads of this name have used, in ms. */
  cpuMs(name: string): number {
    const tasks = `/proc/${this.#child.pid}/task`
    this.#threads ??= readdirSync(tasks).filter((id) => readFileSync(`${tasks}/${id}/comm`, 'utf8').startsWith(name))
    if (this.#threads.length === 0) throw new Error(`no thread ${name}`)
    return this.#threads.reduce((sum, id) => {
      return sum + Number(readFileSync(`${tasks}/${id}/schedstat`, 'utf8').split(' ')[0]) / 1e6
    }, 0)
  }
  #threads: string[] | undefined

  /** Resolves when the process has had time for anything: on a machine that is busy with others, that may be long. */
  async hasHadTime(signal: AbortSignal): Promise<void> {
    try {
      await sleep(PATIENCE_MS, undefined, { signal })
      await this.report()
      await sleep(PATIENCE_MS, undefined, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}

/** Sends as many packets over each transport, until the signal. */
export async function fuzzSockets(
  served: Served,
  seed: number,
  shares: Shares,
  signal?: AbortSignal,
): Promise<SocketsFuzzed> {
  const random = makeRandom(seed)
  const findings: string[] = []
  const run: Run = {
    random,
    next: makeMessages(random, SUBJECT),
    tell: (what, bytes) => void findings.push(`seed ${seed}: ${what}\n  ${hex(bytes).slice(0, MOST_HEX)}`),
  }
  const isOver = (): boolean => findings.length >= MOST_FINDINGS || signal?.aborted === true
  const rounds = { udp: fuzzUdp, tcp: fuzzTcp, dot: fuzzDot, doh: fuzzDoh }
  const slowestMs = { udp: 0, tcp: 0, dot: 0, doh: 0 }
  const packets = { udp: 0, tcp: 0, dot: 0, doh: 0 }
  const all = async (part: number): Promise<void> => {
    for (const kind of ['udp', 'tcp', 'dot', 'doh'] as const) {
      const most = Math.round(shares[kind] * part)
      const began = packets[kind]
      // oxlint-disable-next-line no-await-in-loop -- one transport at a time
      const round = await rounds[kind](served, run)
      while (packets[kind] - began < most && !isOver()) {
        const fromMs = performance.now()
        // oxlint-disable-next-line no-await-in-loop -- one batch at a time is the bound on the load
        packets[kind] += await round.batch()
        slowestMs[kind] = Math.max(slowestMs[kind], performance.now() - fromMs)
      }
      round.end()
    }
  }
  await all(0.2)
  const before = await served.report()
  await all(0.8)
  await until('no connection is left', async () => (await served.report()).connections === 0)
  const after = await served.report()
  findings.push(...judgeProcess(before, after))
  return { packets, findings, slowestMs, before, after }
}

function judgeProcess(before: Report, after: Report): string[] {
  const wrong: string[] = after.errors.map((line) => `logged: ${line}`)
  const grown = after.rssBytes - before.rssBytes
  if (grown > GROWN_MOST_BYTES) wrong.push(`the process grew by ${grown} bytes`)
  if (after.files > before.files + MORE_FILES) wrong.push(`${after.files} open files, ${before.files} before`)
  if (after.died > 0) wrong.push(`${after.died} threads were replaced`)
  if (after.bugs > 0) wrong.push(`${after.bugs} bugs were caught`)
  return wrong
}

/** Who asks over UDP; the last is a proxy. */
export const CLIENTS = ['127.0.0.1', '127.0.9.9', '127.0.7.1'] as const
const PROXY = CLIENTS[2]
const NAMED = ['192.0.2.53', '2001:db8::1', '82.64.1.1'].map((text) => parseAddress(text)!)
const SENTINEL = 'host.example.com A'

/** A packet from one of CLIENTS. */
export interface Datagram {
  readonly socket: number
  readonly bytes: Uint8Array
  /** The query in it; undefined: it must not be answered. */
  readonly sent: Sent | undefined
}

async function fuzzUdp(served: Served, run: Run): Promise<Round> {
  const { random, next } = run
  const sockets = await openSockets(served)
  let id = 0
  const datagram = (): Datagram => {
    const socket = random(CLIENTS.length)
    const own = parseAddress(CLIENTS[socket]!)!
    id = (id + 1) & 0x7fff
    const isProxy = CLIENTS[socket] === PROXY
    const client = isProxy ? NAMED[random(NAMED.length)]! : own
    const now = nowSeconds()
    const query = next(client, now, id)
    // a header from who is no proxy is a query by its own bytes; they may only come once in a batch
    const bytes = isProxy ? Uint8Array.of(...proxyHeader(random, client, false), ...query) : query
    const named = isProxy ? unproxied(bytes, own, false) : { at: 0, client }
    const isSilent = named === undefined || bytes.length >= LARGEST_DATAGRAM
    const sent = { kind: 'udp', nowSeconds: now, slackSeconds: SLACK_SECONDS } as const
    return {
      socket,
      bytes,
      sent: isSilent ? undefined : { ...sent, query: bytes.slice(named.at), client: named.client },
    }
  }
  const stranger = (): Datagram => {
    const client = parseAddress(CLIENTS[0])!
    const query = Uint8Array.of(...proxyHeader(random, NAMED[0]!, false), ...next(client, nowSeconds(), id))
    const sent = { query, client, kind: 'udp', nowSeconds: nowSeconds(), slackSeconds: SLACK_SECONDS } as const
    return { socket: 0, bytes: query, sent: query.length >= LARGEST_DATAGRAM ? undefined : sent }
  }
  return {
    async batch() {
      const batch = Array.from({ length: BATCH }, datagram)
      if (random(4) === 0) batch[random(BATCH)] = stranger()
      const wrong = await exchange(sockets, batch, served)
      for (const [what, bytes] of wrong) run.tell(`UDP: ${what}`, bytes)
      return BATCH
    },
    end: () => sockets.forEach((socket) => socket.close()),
  }
}

/** A socket for each of CLIENTS. */
export const openSockets = ({ ports }: Served): Promise<Socket[]> =>
  Promise.all(CLIENTS.map((address) => bound(address, ports.tcp)))

async function bound(address: string, port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind({ address })
  await once(socket, 'listening')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

type Wrong = readonly [what: string, bytes: Uint8Array]

/** Sends datagrams and, from each socket, a good query: when that is answered, so is everything before it. */
async function exchange(sockets: readonly Socket[], batch: readonly Datagram[], served: Served): Promise<Wrong[]> {
  let wrong: Wrong[] = []
  let least = Number.POSITIVE_INFINITY
  // what others' turns or a collection of garbage cost is not there again
  for (let times = 0; times < 5 && least > BATCH_CPU_MS && wrong.length === 0; times++) {
    const beganMs = served.cpuMs('answering')
    // oxlint-disable-next-line no-await-in-loop -- one after another
    wrong = await exchangeOnce(served, sockets, batch)
    least = Math.min(least, served.cpuMs('answering') - beganMs)
  }
  if (least > BATCH_CPU_MS && wrong.length === 0)
    wrong.push(...batch.map(({ bytes }): Wrong => [`in a batch of ${least} ms of CPU`, bytes]))
  return wrong
}

async function exchangeOnce(served: Served, sockets: readonly Socket[], batch: readonly Datagram[]): Promise<Wrong[]> {
  const replies = await converseUdp(served, sockets, batch)
  if (replies === undefined)
    return batch.map(({ bytes }): Wrong => ['a batch behind which good queries were not answered', bytes])
  const wrong: Wrong[] = []
  for (const [i, { socket, bytes, sent }] of batch.entries()) {
    const reply = replies.own[i]
    const what = sent === undefined ? undefined : judge(PROTOCOL, sent, reply)
    const from = `from ${CLIENTS[socket]}, reply ${reply?.toString('hex') ?? 'none'}`
    if (what !== undefined) wrong.push([`${what}, ${from}`, bytes])
  }
  for (const reply of replies.others) wrong.push(['a second reply, or a reply to nothing', reply])
  return wrong
}

/** The replies to datagrams, in their order, and those that are to none; undefined: the server answers no more. */
export async function converseUdp(
  served: Served,
  sockets: readonly Socket[],
  batch: readonly Datagram[],
): Promise<{ readonly own: readonly (Buffer | undefined)[]; readonly others: readonly Buffer[] } | undefined> {
  // the server answers in order, so that of two queries with one id the first reply is of the first
  const replies = sockets.map(() => new Map<number, Buffer[]>())
  const LAST = 0xffff
  const last = encode({ q: SENTINEL, id: LAST })
  // whatever header or length lies may make any id of any bytes
  const isLast = (reply: Buffer): boolean => Buffer.compare(reply.subarray(12, last.length), last.subarray(12)) === 0
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = sockets.length
  const hear = sockets.map((_, i) => (reply: Buffer) => {
    const id = reply.length < 2 ? -1 : u16(reply, 0)
    const same = replies[i]!.get(id)
    if (id === LAST && isLast(reply)) {
      if (--left === 0) resolve()
    } else if (same === undefined) replies[i]!.set(id, [reply])
    else same.push(reply)
  })
  for (const [i, socket] of sockets.entries()) socket.on('message', hear[i]!)
  for (const { socket, bytes } of batch) sockets[socket]!.send(bytes)
  for (const [i, socket] of sockets.entries())
    socket.send(CLIENTS[i] === PROXY ? Uint8Array.of(...goodHeader(NAMED[0]!), ...last) : last)
  const waiting = new AbortController()
  await Promise.race([promise, served.hasHadTime(waiting.signal)])
  waiting.abort()
  for (const [i, socket] of sockets.entries()) socket.off('message', hear[i]!)
  if (left > 0) return undefined
  const own = batch.map(({ socket, sent }) =>
    sent === undefined || factsOf(sent.query).verdict === 'drop'
      ? undefined
      : replies[socket]!.get(u16(sent.query, 0))?.shift(),
  )
  return { own, others: replies.flatMap((one) => [...one.values()].flat()) }
}

/** A header that names a client of IPv4. */
const goodHeader = (client: Uint8Array): Uint8Array =>
  Uint8Array.of(...Buffer.from('0d0a0d0a000d0a515549540a2112000c', 'hex'), ...client, ...client, 0, 1, 0, 53)

const fuzzTcp = (served: Served, run: Run): Promise<Round> => fuzzStream(served, run, 'tcp')
const fuzzDot = (served: Served, run: Run): Promise<Round> => fuzzStream(served, run, 'dot')
const fuzzDoh = async (served: Served, run: Run): Promise<Round> => fuzzHttps(served.ports.doh, run)

const QUERIES = 20
/** More messages that can't be answered end a connection. */
const UNANSWERABLE_MOST = 3

/** Each batch is a connection: queries in frames, in pieces; then the client ends its side, and the server must answer and end. */
function fuzzStream(served: Served, run: Run, kind: 'tcp' | 'dot'): Promise<Round> {
  const { random, next } = run
  const batch = async (): Promise<number> => {
    const address = random(8) === 0 && kind === 'tcp' ? PROXY : `127.0.1.${1 + random(250)}`
    const own = parseAddress(address)!
    const isProxy = address === PROXY
    const client = isProxy ? NAMED[random(NAMED.length)]! : own
    let unanswerable = 0
    const parts: Uint8Array[] = isProxy ? [proxyHeader(random, client, true)] : []
    for (let n = 0; n < QUERIES; n++) {
      const query = next(client, nowSeconds(), 1 + n)
      if (factsOf(query).verdict !== 'drop' || ++unanswerable <= UNANSWERABLE_MOST) parts.push(framed(query))
    }
    if (random(4) === 0) parts.push(Uint8Array.of(random(256), random(256), ...next(client, nowSeconds(), 99)))
    const stream = Buffer.concat(parts)
    const now = nowSeconds()
    const replies = await converse(kind, address, served.ports[kind], pieces(random, stream))
    if (replies === undefined) run.tell(`${kind}: the connection was not ended`, stream)
    else {
      const named = isProxy ? unproxied(stream, own, true) : { at: 0, client: own }
      const sent = { client: named?.client ?? own, kind, nowSeconds: now, slackSeconds: SLACK_SECONDS }
      const wrong = judgeStream(sent, named === undefined ? new Uint8Array(0) : stream.subarray(named.at), replies)
      if (wrong !== undefined) run.tell(`${kind}: ${wrong}`, stream)
    }
    return QUERIES
  }
  return Promise.resolve({ batch, end: () => {} })
}

function pieces(random: Random, stream: Buffer): Buffer[] {
  if (random(2) === 0) return [stream]
  const [a, b] = [random(stream.length + 1), random(stream.length + 1)]
  return [
    stream.subarray(0, Math.min(a, b)),
    stream.subarray(Math.min(a, b), Math.max(a, b)),
    stream.subarray(Math.max(a, b)),
  ]
}

/** All messages that come back for a stream until the server closes; undefined: it doesn't. */
export async function converse(
  kind: 'tcp' | 'dot',
  localAddress: string,
  port: number,
  stream: readonly Buffer[],
): Promise<Buffer[] | undefined> {
  const options = { host: '127.0.0.1', port, localAddress }
  const socket =
    kind === 'tcp'
      ? connect({ ...options, noDelay: true })
      : connectTls({ ...options, ALPNProtocols: ['dot'], rejectUnauthorized: false })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const parts: Buffer[] = []
  socket.on('data', (part) => parts.push(part))
  socket.on('error', () => {}) // a reset is an end
  socket.on('close', () => resolve(true))
  const timer = setTimeout(() => resolve(false), 4 * PATIENCE_MS)
  for (const piece of stream) socket.write(piece)
  socket.end()
  const isClosed = await promise
  clearTimeout(timer)
  socket.destroy()
  if (!isClosed) return undefined
  const bytes = Buffer.concat(parts)
  const messages: Buffer[] = []
  for (let at = 0; at + 2 <= bytes.length; at += 2 + bytes.readUInt16BE(at))
    messages.push(bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at)))
  return messages
}

/** The messages in a stream; one that is incomplete is none. */
function framesOf(stream: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (let at = 0; at + 2 <= stream.length; at += 2 + u16(stream, at))
    if (at + 2 + u16(stream, at) <= stream.length) frames.push(stream.subarray(at + 2, at + 2 + u16(stream, at)))
  return frames
}

const isAnswered = (query: Uint8Array): boolean => factsOf(query).verdict !== 'drop'

/** Messages are answered in their order; a transfer has many answers. */
function judgeStream(sent: Omit<Sent, 'query'>, stream: Uint8Array, replies: readonly Buffer[]): string | undefined {
  const frames = framesOf(stream)
  const isReset = frames.filter((query) => !isAnswered(query)).length > UNANSWERABLE_MOST
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
