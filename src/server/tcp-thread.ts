/**
 * Entry of the threads that serve streams, one for each of TCP, TLS and HTTPS: it listens, accepts and answers with an
 * event loop of its own. On Linux its nice value is above that of the threads that answer UDP, judge health or probe:
 * when CPU is short, streams get what they leave. The main thread (tcp.ts) sends Worlds, Protocols, certificates and the end as
 * messages and reads the thread's cells and counters.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import { DOH, DOT, makeResponder, replace, type Replacement, TCP } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import { C_PROXY_MALFORMED } from '../counters.ts'
import { parsePeer } from '../dns/address.ts'
import type { HealthTable } from '../health/table.ts'
import { codeOf } from '../problem.ts'
import { type Recording, respondWith } from '../querylog/ring.ts'
import type { Endpoint } from '../units.ts'
import { type Connection, Connections, type Stage, type TcpLimits } from './connections.ts'
import { Framed } from './framed.ts'
import { BACKLOG } from './front.ts'
import type { Credentials, Handshakes } from './handshakes.ts'
import { awaitHeader, isWithin } from './proxy.ts'
import { type TransferNews, Transfers } from './transfers.ts'

/**
 * Where to listen: a descriptor that listens already, which this thread closes; or, without `fd`, an address to bind.
 */
export type TcpSource = Endpoint & { readonly fd?: number }

/** What one thread serves. */
export type StreamTransport = typeof TCP | typeof DOT | typeof DOH

/** The thread's workerData. */
export interface TcpAssignment {
  readonly transport: StreamTransport
  /** For TLS and HTTPS. */
  readonly credentials?: Credentials
  readonly sources: readonly TcpSource[]
  readonly limits: TcpLimits
  readonly world: World
  readonly protocol: Protocol
  readonly health: HealthTable
  readonly counters: Float64Array
  /** See connections.ts. */
  readonly cells: Float64Array
  readonly adoption: Adoption
  /** This thread's cell in `adoption`. */
  readonly reader: number
  /** Undefined: queries are not recorded. */
  readonly recording: Recording | undefined
}

/**
 * A message to the thread; `credentials`: show this certificate; `drainMs`: stop listening and end all connections
 * within this time.
 */
export type TcpCommand = Replacement | { readonly credentials: Credentials } | { readonly drainMs: number }

/**
 * A message from the thread: where it listens, in the order of the sources, with the real ports; or which one failed;
 * later what became of a transfer.
 */
export type TcpReport =
  | { readonly transfer: TransferNews }
  | { readonly listening: readonly Endpoint[] }
  | { readonly refused: TcpSource; readonly code: string }

/** Added to the nice value: the thread gets a third of the CPU weight of the others. */
const NICER = 5
const NICEST = 19
/** Bytes that a connection may read ahead of its turn; the last read may go beyond. */
const READ_AHEAD = 1024

const assignment: TcpAssignment = workerData
const {
  transport,
  credentials,
  sources,
  limits,
  world,
  protocol,
  health,
  counters,
  cells,
  adoption,
  reader,
  recording,
} = assignment
const port = parentPort!
// on Linux the priority of this thread; on other systems it would be that of the process
if (process.platform === 'linux') setPriority(Math.min(NICEST, getPriority() + NICER))

// what only TLS and HTTPS need, before the beat starts: on a busy machine it may take longer than a beat may stay away
const tls = transport === TCP ? undefined : await import('./handshakes.ts')
const http = transport === DOH ? await import('./https.ts') : undefined

const respond = respondWith(recording)
const responder = makeResponder(world, health, counters, protocol)
const tellMain = (report: TcpReport): void => port.postMessage(report)
/** A transfer reads the World that it began with. */
const noteAdopted = (): void =>
  void Atomics.store(adoption, reader, transfers?.oldestGeneration ?? responder.world.generation)
const noteTransfer = (transfer: TransferNews): void => tellMain({ transfer })
const connections = new Connections(limits, cells) // the beat starts here
const transfers = transport === DOH ? undefined : new Transfers(responder, cells, noteTransfer, noteAdopted)
const handshakes = tls && makeHandshakes(tls, credentials!)
const open = handshakes?.open ?? framed
const servers: Server[] = []

function framed(connection: Connection, socket: Socket = connection.socket): Stage {
  return new Framed({ connections, transfers: transfers!, responder, transport, respond }, connection, socket)
}

function makeHandshakes({ Handshakes }: typeof import('./handshakes.ts'), first: Credentials): Handshakes {
  if (http === undefined) return new Handshakes(connections, cells, limits.handshakes, 'dot', first, framed)
  return new Handshakes(
    connections,
    cells,
    limits.handshakes,
    'h2',
    first,
    (connection, socket) => new http.Https(connections, connection, responder, respond, socket, cells),
  )
}

const countMalformed = (): void => void counters[C_PROXY_MALFORMED]!++

function accept(socket: Socket): void {
  const { proxies } = responder.protocol
  const peer = proxies.length === 0 ? undefined : parsePeer(socket.remoteAddress)
  const isProxy = peer !== undefined && isWithin(proxies, peer, 0, peer.length === 4 ? 4 : 6)
  if (!isProxy) connections.accept(socket, open)
  else connections.accept(socket, (connection) => awaitHeader(connections, connection, countMalformed, open), true)
}

async function listen(source: TcpSource): Promise<Endpoint> {
  // half open: a client that sends queries and shuts down its side still gets its answers; HTTP/2 has its own way to end
  const server = createServer({ allowHalfOpen: transport !== DOH, noDelay: true, highWaterMark: READ_AHEAD })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (source.fd !== undefined) server.listen({ fd: source.fd, backlog: BACKLOG }, resolve)
    else server.listen({ host: source.address, port: source.port, ipv6Only: true, backlog: BACKLOG }, resolve)
  })
  servers.push(server)
  server.removeAllListeners('error')
  server.on('error', () => {}) // accept() failed for lack of descriptors: the client tries again
  server.on('connection', accept)
  const bound = server.address()
  return { address: source.address, port: typeof bound === 'object' && bound !== null ? bound.port : source.port }
}

async function begin(): Promise<void> {
  Atomics.store(adoption, reader, world.generation)
  const listening: Endpoint[] = []
  for (const source of sources) {
    try {
      listening.push(await listen(source))
    } catch (error) {
      const code = codeOf(error) ?? String(error)
      tellMain({ refused: source, code })
      return end(0)
    }
  }
  tellMain({ listening })
}

async function end(drainMs: number): Promise<void> {
  for (const server of servers) server.close()
  await connections.drain(drainMs)
  port.close()
}

port.on('message', (command: TcpCommand) => {
  if ('drainMs' in command) void end(command.drainMs)
  else if ('credentials' in command) handshakes?.renew(command.credentials)
  else {
    replace(responder, command)
    noteAdopted()
  }
})
await begin()
