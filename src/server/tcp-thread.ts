/**
 * Entry of the TCP thread: it listens, accepts and answers, with its own event loop (TLS and HTTPS will have theirs here too).
 * On Linux its nice value is above that of all threads that answer over UDP, judge health or probe: when there is not CPU for
 * all, TCP has what is left. Worlds and the end come as messages; what it has to say are cells and counters.
 */
import { createServer, type Server } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import { makeResponder } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { HealthTable } from '../health/table.ts'
import { codeOf } from '../problem.ts'
import type { Endpoint } from '../units.ts'
import { Connections, type TcpLimits } from './connections.ts'
import { BACKLOG } from './front.ts'

/** A descriptor that listens already and is this thread's to close, or an address to bind. */
export type TcpSource = Endpoint & { readonly fd?: number }

/** As workerData. */
export interface TcpAssignment {
  readonly sources: readonly TcpSource[]
  readonly limits: TcpLimits
  readonly world: World
  readonly health: HealthTable
  readonly counters: Float64Array
  /** See connections.ts. */
  readonly cells: Float64Array
  readonly adoption: Adoption
  /** Where in it this thread says what it has adopted. */
  readonly reader: number
}

/** To the thread: a World to answer from, or to stop listening and end the connections. */
export type TcpCommand = { readonly world: World } | { readonly drainMs: number }

/** From the thread, once: where it listens, in the order of the sources, ports resolved; or which of them can't be had. */
export type TcpReport =
  | { readonly listening: readonly Endpoint[] }
  | { readonly refused: TcpSource; readonly code: string }

/** Added to the nice value: a third of the weight of other threads. */
const NICER = 5
const NICEST = 19
/** What a connection may have read ahead of its turn; one read goes beyond it. */
const READ_AHEAD = 1024

const { sources, limits, world, health, counters, cells, adoption, reader }: TcpAssignment = workerData
const port = parentPort!
// of this thread; elsewhere it would be the process
if (process.platform === 'linux') setPriority(Math.min(NICEST, getPriority() + NICER))

const responder = makeResponder(world, health, counters)
const connections = new Connections(responder, limits, cells) // from here on it beats
const servers: Server[] = []

async function listen(source: TcpSource): Promise<Endpoint> {
  // half open: who asks and shuts down its side still gets its answers
  const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: READ_AHEAD })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (source.fd !== undefined) server.listen({ fd: source.fd, backlog: BACKLOG }, resolve)
    else server.listen({ host: source.address, port: source.port, ipv6Only: true, backlog: BACKLOG }, resolve)
  })
  servers.push(server)
  server.removeAllListeners('error')
  server.on('error', () => {}) // accept() without descriptors to spare: the client tries again
  server.on('connection', (socket) => connections.accept(socket))
  const bound = server.address()
  return { address: source.address, port: typeof bound === 'object' && bound !== null ? bound.port : source.port }
}

const say = (news: TcpReport): void => port.postMessage(news)

async function begin(): Promise<void> {
  Atomics.store(adoption, reader, world.generation)
  const listening: Endpoint[] = []
  for (const source of sources) {
    try {
      listening.push(await listen(source))
    } catch (error) {
      const code = codeOf(error) ?? String(error)
      say({ refused: source, code })
      return end(0)
    }
  }
  say({ listening })
}

async function end(drainMs: number): Promise<void> {
  for (const server of servers) server.close()
  await connections.drain(drainMs)
  port.close()
}

port.on('message', (order: TcpCommand) => {
  if ('world' in order) {
    responder.world = order.world
    Atomics.store(adoption, reader, order.world.generation)
  } else void end(order.drainMs)
})
await begin()
