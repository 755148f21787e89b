/**
 * The ways by which the rules are tried: memory, and one running server with all its transports, which takes the World and the
 * Protocol of each rule in turn. A client with an address of its own is named to it by a proxy (proxy.test.ts).
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { PLAIN_PROTOCOL, type Protocol } from '../../src/answer/protocol.ts'
import { makeResponder, type Responder } from '../../src/answer/responder.ts'
import type { World } from '../../src/answer/world.ts'
import { makeCounters } from '../../src/counters.ts'
import { parsePrefix } from '../../src/dns/address.ts'
import { healthWord, KNOWLEDGE, FRESH, makeHealthTable, UP } from '../../src/health/table.ts'
import type { Server } from '../../src/server/server.ts'
import type { Endpoint } from '../../src/units.ts'
import { makeNode, type TestNode } from '../answer/fixture.ts'
import { framed, idOf, query } from '../server/client.ts'
import { makeCredentials, start } from '../server/fixture.ts'
import { memory, request, type TransportKind } from '../support/ask.ts'
import { naming } from '../support/proxy.ts'
import { drain } from '../support/transfers.ts'
import { until } from '../support/until.ts'

/** Who asks without an address of its own, over memory too. */
export const CLIENT = '127.0.0.1'
const PROXY = '127.0.7.1'
/** Against hanging. */
const PATIENCE_MS = 60_000

/** What a rule is tried on. */
export interface Place {
  readonly world: World
  readonly protocol: Protocol
}

/** One of the ways; `kind`: as what a query comes in. */
export interface Way {
  readonly name: 'memory' | 'UDP' | 'TCP' | 'TLS' | 'HTTPS'
  readonly kind: TransportKind
  /** The reply; undefined: the connection was closed, or over HTTPS the status was not 200. */
  send(place: Place, message: Uint8Array, from: string): Promise<Uint8Array | undefined>
  /** All replies: none to what is no query, many to a query for a transfer. */
  all(place: Place, message: Uint8Array, from: string): Promise<readonly Uint8Array[]>
}

/** The one table that the server has: of all members of all nodes here. */
const health = makeHealthTable()

/** A node of these files, for rules(). */
export const nodeOf = (files: Readonly<Record<string, string>>): Promise<TestNode> => makeNode(files, 1, health)

/** Everything is up, and known. */
export function allUp(node: TestNode): void {
  for (const member of node.slots.keys()) node.set(member, healthWord(UP, 1000, true))
  health[KNOWLEDGE] = FRESH
}

/** The Protocol with these settings: the test's proxy may name clients. */
export const protocolWith = (settings: Partial<Protocol> = {}): Protocol => ({
  ...PLAIN_PROTOCOL,
  proxies: [parsePrefix('127.0.7.0/24')!],
  ...settings,
})

/** respond() itself. */
function overMemory(kind: TransportKind): Way {
  /** Used again, as a thread uses its own: nothing of a query is left to the next. */
  const responders = new Map<Place, Responder>()
  const responderFor = (place: Place): Responder => {
    const { world, protocol } = place
    const responder = responders.get(place) ?? makeResponder(world, health, makeCounters(), protocol)
    responders.set(place, responder)
    responder.nowMs = Date.now()
    return responder
  }
  return {
    name: 'memory',
    kind,
    send: (place, message, from) => memory(responderFor(place), kind).send(message, from),
    async all(place, message, from) {
      const responder = responderFor(place)
      responder.transfersLeft = kind === 'tcp' || kind === 'dot' ? 1 : 0
      const reply = await memory(responder, kind).send(message, from)
      const { transfer } = responder
      responder.transfer = null
      if (reply === undefined) return []
      return transfer === null ? [reply] : drain(transfer, reply, responder)
    },
  }
}

let server: Promise<Server> | undefined
let serving: Place | undefined
let generation = 1

/** The server, once all its threads answer for this place. */
export async function serverFor({ world, protocol }: Place): Promise<Server> {
  if (server === undefined) {
    const on = [{ address: '127.0.0.1', port: 0 }]
    const options = { listen: on, tls: on, https: on, credentials: makeCredentials(), health }
    serving = { world, protocol }
    server = start({ ...options, world: { ...world, generation }, protocol }).then((running) => running.server)
  }
  const running = await server
  if (serving?.world !== world || serving.protocol !== protocol) {
    serving = { world, protocol }
    generation++
    running.setProtocol(protocol)
    running.publish({ ...world, generation })
    await until('all threads have it', () => running.adopted() === generation)
  }
  return running
}

/** A client's end of a socket. */
interface Line {
  send(message: Uint8Array): Promise<Uint8Array | undefined>
  all(message: Uint8Array): Promise<readonly Uint8Array[]>
  readonly isClosed: boolean
  close(): void
}

/** What is asked behind a message, to know that no more replies to it come. */
const NEXT = query(0xbeef, 'next.example.com')

/** One on which replies come in the order of the messages, for one thread answers. */
class OrderedLine {
  readonly #write: (message: Uint8Array) => void
  readonly close: () => void
  readonly #came: Uint8Array[] = []
  readonly #waiting: ((reply: Uint8Array | undefined) => void)[] = []
  isClosed = false

  constructor(write: (message: Uint8Array) => void, close: () => void) {
    this.#write = write
    this.close = close
  }

  send(message: Uint8Array): Promise<Uint8Array | undefined> {
    this.#write(message)
    return this.#next()
  }

  async all(message: Uint8Array): Promise<readonly Uint8Array[]> {
    this.#write(message)
    const replies: Uint8Array[] = []
    for (let next = await this.send(NEXT); next !== undefined && idOf(next) !== idOf(NEXT); next = await this.#next())
      replies.push(next)
    return replies
  }

  add(reply: Uint8Array): void {
    const resolve = this.#waiting.shift()
    if (resolve === undefined) this.#came.push(reply)
    else resolve(reply)
  }

  ended(): void {
    this.isClosed = true
    for (const resolve of this.#waiting.splice(0)) resolve(undefined)
  }

  #next(): Promise<Uint8Array | undefined> {
    if (this.#came.length > 0 || this.isClosed) return Promise.resolve(this.#came.shift())
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
    const timer = setTimeout(() => reject(new Error(`no reply within ${PATIENCE_MS} ms`)), PATIENCE_MS)
    this.#waiting.push(resolve)
    return promise.finally(() => clearTimeout(timer))
  }
}

async function udpLine({ address, port }: Endpoint, from: string): Promise<Line> {
  const isNamed = from !== CLIENT
  const head = isNamed ? naming(from, 2) : Buffer.alloc(0)
  const socket = createSocket('udp4')
  const write = (message: Uint8Array): void => socket.send(Buffer.concat([head, message]), port, address)
  const line = new OrderedLine(write, () => socket.close())
  socket.on('message', (reply) => line.add(new Uint8Array(reply)))
  socket.bind({ address: isNamed ? PROXY : CLIENT })
  await once(socket, 'listening')
  return line
}

/** A connection, behind the proxy's header where the client is named. */
function opened({ address, port }: Endpoint, from: string): Socket {
  const isNamed = from !== CLIENT
  const socket = connect({ host: address, port, localAddress: isNamed ? PROXY : CLIENT, noDelay: true })
  socket.on('error', () => {})
  if (isNamed) socket.write(naming(from, 1))
  return socket
}

const tlsOn = (socket: Socket, protocol: string): Socket =>
  connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: [protocol] })

function framedLine(socket: Socket): Line {
  const write = (message: Uint8Array): void => void socket.write(framed(message))
  const line = new OrderedLine(write, () => void socket.destroy())
  let got = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('close', () => line.ended())
  socket.on('data', (part) => {
    got = Buffer.concat([got, part])
    while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
      const end = 2 + got.readUInt16BE(0)
      line.add(new Uint8Array(got.subarray(2, end)))
      got = got.subarray(end)
    }
  })
  return line
}

/** On which a message has one reply, and what is no DNS message has a status of HTTP. */
function httpsLine(to: Endpoint, from: string): Line {
  const socket = opened(to, from)
  const session = connectHttp2(`https://${to.address}:${to.port}`, { createConnection: () => tlsOn(socket, 'h2') })
  session.on('error', () => {})
  const headers = { ':method': 'POST', 'content-type': 'application/dns-message' }
  const send = async (message: Uint8Array): Promise<Uint8Array | undefined> => {
    const { status, body } = await request(session, headers, message)
    return status === 200 ? body : undefined
  }
  return {
    send,
    all: async (message) => [await send(message)].filter((reply) => reply !== undefined),
    get isClosed() {
      return session.closed || session.destroyed
    },
    close: () => session.destroy(),
  }
}

function overSocket(
  name: Way['name'],
  kind: TransportKind,
  open: (server: Server, from: string) => Line | Promise<Line>,
): Way {
  /** By client. They are used again; the server closes those that are idle. */
  const lines = new Map<string, Line>()
  return {
    name,
    kind,
    async send(place, message, from) {
      const running = await serverFor(place)
      const kept = lines.get(from)
      if (kept?.isClosed === false) {
        const reply = await kept.send(message)
        if (reply !== undefined || !kept.isClosed) return reply
      }
      const line = await open(running, from)
      lines.set(from, line)
      return line.send(message)
    },
    async all(place, message, from) {
      const line = await open(await serverFor(place), from)
      try {
        return await line.all(message)
      } finally {
        line.close()
      }
    },
  }
}

const WAYS: readonly Way[] = [
  overSocket('UDP', 'udp', ({ listen }, from) => udpLine(listen[0]!, from)),
  overSocket('TCP', 'tcp', ({ listen }, from) => framedLine(opened(listen[0]!, from))),
  overSocket('TLS', 'dot', ({ tls }, from) => framedLine(tlsOn(opened(tls[0]!, from), 'dot'))),
  overSocket('HTTPS', 'doh', ({ https }, from) => httpsLine(https[0]!, from)),
]

/** Memory, as the first of these kinds, and a socket of each. */
export const waysOf = (kinds: readonly TransportKind[]): readonly Way[] => [
  overMemory(kinds[0]!),
  ...WAYS.filter(({ kind }) => kinds.includes(kind)),
]
