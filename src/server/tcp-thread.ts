/**
 * Entry of the TCP thread: it listens, accepts and answers with an event loop of its own. On Linux its nice value is
 * above that of the threads that answer UDP, judge health or probe: when CPU is short, TCP gets what they leave. The
 * main thread (tcp.ts) sends Worlds, Protocols and the end as messages and reads the thread's cells and counters.
 */
import { createServer, type Server } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import { makeResponder, replace, type Replacement } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { HealthTable } from '../health/table.ts'
import { codeOf } from '../problem.ts'
import type { Endpoint } from '../units.ts'
import { Connections, type TcpLimits, type TransferNews } from './connections.ts'
import { BACKLOG } from './front.ts'

/**
 * Where to listen: a descriptor that listens already, which this thread closes; or, without `fd`, an address to bind.
 */
export type TcpSource = Endpoint & { readonly fd?: number }

/** The thread's workerData. */
export interface TcpAssignment {
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
}

/** A message to the thread; `drainMs`: stop listening and end all connections within this time. */
export type TcpCommand = Replacement | { readonly drainMs: number }

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

const { sources, limits, world, protocol, health, counters, cells, adoption, reader }: TcpAssignment = workerData
const port = parentPort!
// on Linux the priority of this thread; on other systems it would be that of the process
if (process.platform === 'linux') setPriority(Math.min(NICEST, getPriority() + NICER))

const responder = makeResponder(world, health, counters, protocol)
const tellMain = (report: TcpReport): void => port.postMessage(report)
/** A transfer reads the World that it began with. */
const noteAdopted = (): void => void Atomics.store(adoption, reader, connections.oldestGeneration)
const noteTransfer = (transfer: TransferNews): void => tellMain({ transfer })
const connections = new Connections(responder, limits, cells, noteTransfer, noteAdopted) // the beat starts here
const servers: Server[] = []

async function listen(source: TcpSource): Promise<Endpoint> {
  // half open: a client that sends queries and shuts down its side still gets its answers
  const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: READ_AHEAD })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (source.fd !== undefined) server.listen({ fd: source.fd, backlog: BACKLOG }, resolve)
    else server.listen({ host: source.address, port: source.port, ipv6Only: true, backlog: BACKLOG }, resolve)
  })
  servers.push(server)
  server.removeAllListeners('error')
  server.on('error', () => {}) // accept() failed for lack of descriptors: the client tries again
  server.on('connection', (socket) => connections.accept(socket))
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
  else {
    replace(responder, command)
    noteAdopted()
  }
})
await begin()
