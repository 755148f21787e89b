/** Small DNS clients for tests and benches of the server: bytes, sockets, and a steady load that knows what it lost. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket as TcpSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Endpoint } from '../../src/units.ts'
import { authority } from '../support/certificates.ts'
import { until } from '../support/until.ts'

export const TYPE = { A: 1, TXT: 16 } as const

/** A query without EDNS, or with a payload size. */
export function query(id: number, name: string, type: number = TYPE.A, payload = 0): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  const head = Buffer.from([id >> 8, id & 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, payload > 0 ? 1 : 0])
  const body = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  const edns = payload > 0 ? Buffer.from([0, 0, 41, payload >> 8, payload & 255, 0, 0, 0, 0, 0, 0]) : Buffer.alloc(0)
  return Buffer.concat([head, ...body, Buffer.from([0, 0, type, 0, 1]), edns])
}

export const idOf = (message: Uint8Array): number => (message[0]! << 8) | message[1]!
export const rcodeOf = (message: Uint8Array): number => message[3]! & 15
export const answersOf = (message: Uint8Array): number => (message[6]! << 8) | message[7]!
export const isTruncated = (message: Uint8Array): boolean => (message[2]! & 2) !== 0

/** Connected: takes replies from the address and port that were asked, and no others. */
export class UdpClient {
  readonly socket: Socket
  readonly replies: Buffer[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('message', (reply) => this.replies.push(reply))
    socket.on('error', () => {})
  }

  static async to({ address, port }: Endpoint): Promise<UdpClient> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    socket.connect(port, address)
    await once(socket, 'connect')
    return new UdpClient(socket)
  }

  /** The reply with the query's id. */
  async ask(message: Uint8Array): Promise<Buffer> {
    this.socket.send(message)
    const mine = (reply: Buffer): boolean => idOf(reply) === idOf(message)
    await until('a reply', () => this.replies.some(mine))
    return this.replies.splice(this.replies.findIndex(mine), 1)[0]!
  }

  close(): void {
    this.socket.close()
  }
}

export interface LoadResult {
  readonly sent: number
  readonly lost: number
  /** Of those answered, in the order asked. */
  readonly latenciesMs: readonly number[]
  /** Longest time in which nothing was answered. */
  readonly gapMs: number
}

/** Asks at a steady rate until the signal aborts, then waits up to `graceMs` for what is missing. */
export async function load(
  to: Endpoint,
  message: (id: number) => Uint8Array,
  options: {
    readonly perSecond: number
    readonly signal: AbortSignal
    readonly clients?: number
    readonly graceMs?: number
  },
): Promise<LoadResult> {
  const { perSecond, signal, clients: count = 8, graceMs = 3000 } = options
  const clients = await Promise.all(Array.from({ length: count }, () => UdpClient.to(to)))
  for (const { socket } of clients) socket.setRecvBufferSize(1 << 20)
  const sentAt: number[] = []
  const latency = new Map<number, number>()
  let lastReply = performance.now()
  let gapMs = 0
  for (const [c, { socket }] of clients.entries()) {
    socket.removeAllListeners('message')
    socket.on('message', (reply: Buffer) => {
      // the id is 16 bits of the number of the query: the newest one with it that this client sent
      let n = (sentAt.length & ~0xffff) | idOf(reply)
      while (n >= sentAt.length || n % count !== c) n -= 0x1_0000
      const now = performance.now()
      if (!latency.has(n)) latency.set(n, now - sentAt[n]!)
      gapMs = Math.max(gapMs, now - lastReply)
      lastReply = now
    })
  }
  const started = performance.now()
  lastReply = started
  while (!signal.aborted) {
    const due = Math.min((performance.now() - started) * (perSecond / 1000), sentAt.length + 256)
    for (let n = sentAt.length; n < due; n++) {
      sentAt.push(performance.now())
      clients[n % count]!.socket.send(message(n & 0xffff))
    }
    await sleep(1)
  }
  const end = performance.now() + graceMs
  while (latency.size < sentAt.length && performance.now() < end) await sleep(5)
  for (const client of clients) client.close()
  const latenciesMs = [...latency.entries()].toSorted(([a], [b]) => a - b).map(([, ms]) => ms)
  return { sent: sentAt.length, lost: sentAt.length - latency.size, latenciesMs, gapMs }
}

/** A connection, of TCP or of TLS, that takes whole answers out of the stream. */
export class TcpClient {
  readonly socket: TcpSocket
  readonly answers: Buffer[] = []
  closed = false
  #rest: Buffer = Buffer.alloc(0)

  constructor(to: Endpoint | TcpSocket, localAddress?: string) {
    this.socket =
      'address' in to && 'port' in to
        ? connect({
            host: to.address,
            port: to.port,
            noDelay: true,
            ...(localAddress === undefined ? {} : { localAddress }),
          })
        : to
    this.socket.on('error', () => {})
    this.socket.on('close', () => (this.closed = true))
    this.socket.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk])
      while (this.#rest.length >= 2 && this.#rest.length >= 2 + this.#rest.readUInt16BE()) {
        const end = 2 + this.#rest.readUInt16BE()
        this.answers.push(this.#rest.subarray(2, end))
        this.#rest = this.#rest.subarray(end)
      }
    })
  }

  send(...messages: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(messages.map(framed)))
  }
}

/** A TLS connection that trusts the tests' authority; `options` of node:tls. */
export const tlsTo = (
  { address, port }: Endpoint,
  options: ConnectionOptions & { readonly localAddress?: string } = {},
): TLSSocket =>
  connectTls({ host: address, port, ca: authority, servername: 'www.example.com', ALPNProtocols: ['dot'], ...options })

export function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message])
}
