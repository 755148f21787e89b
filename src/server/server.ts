/**
 * The running server: UDP threads (or node:dgram) and the TCP thread on every listen address, with one World for all of
 * them, and their orderly end. Called by node/run.ts as soon as there is a first World.
 */
import type { Socket as UdpSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { adoptedGeneration, type Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import type { HealthTable } from '../health/table.ts'
import { type Linux, linux } from '../linux/calls.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'
import { inlineMore } from './inline.ts'
import { type LimitedReport, LimitWatch } from './limit-watch.ts'
import { bindPortable, PortableUdp } from './portable.ts'
import { bindAll, isWildcard, steerToSuccessor } from './sockets.ts'
import type { TcpSource } from './tcp-thread.ts'
import { limitsFor, openFilesLimit, TcpFront, type TcpStats } from './tcp.ts'
import { Threads, type UdpStats } from './threads.ts'

/** What the server is started with. */
export interface ServerOptions {
  /** At least one. With port 0 the kernel picks a port, the same for UDP and TCP. */
  readonly listen: readonly Endpoint[]
  /** How many threads answer UDP; 1 or more. */
  readonly threads: number
  /** Limit of the buffers of all TCP connections together, in bytes. */
  readonly tcpMemory: number
  /** The first World, as the compiler made it (generation ≥ 1), with slots and counters filled in. */
  readonly world: World
  readonly protocol: Protocol
  readonly health: HealthTable
  /** The cells that the compiler was started with: from them it knows which Worlds' memory is free. */
  readonly adoption: Adoption
  /** Bind beside a running server, which is to be ended by SIGTERM, instead of failing with EADDRINUSE. */
  readonly takeover: boolean
  /** Use node:dgram even where recvmmsg is available. */
  readonly portable: boolean
  readonly log: Log
}

/** Counters and states of the front ends. */
export interface ServerStats {
  readonly udp: UdpStats
  readonly tcp: TcpStats
  /** Whom the rate limits hit within the last minutes; null: nobody. */
  readonly limited: LimitedReport | null
}

/** A running server. */
export interface Server {
  /** As in the options, with the real ports. */
  readonly listen: readonly Endpoint[]
  /** Replaces the World for all queries read from now on. Its generation must be above all earlier ones. */
  publish(world: World): void
  /** Replaces the Protocol for all queries read from now on. */
  setProtocol(protocol: Protocol): void
  /**
   * The lowest generation that any answering thread may still read: what only older Worlds use (health slots) is free.
   */
  adopted(): number
  /** The counters (counters.ts) of each answering thread. */
  counters(): readonly Float64Array[]
  /** States for status and metrics. */
  stats(): ServerStats
  /** Leaves the ports to a successor, if there is one, without losing a query, and ends within `drainMs`. */
  stop(drainMs?: number): Promise<void>
}

/** For port 0 in the portable form: the port that TCP got may be taken for UDP. */
const PORT_TRIES = 20
const DRAIN_MS = 5_000
/** How long to accept connections whose handshake began before new ones went to the successor. */
const HANDSHAKE_MS = 250

/** The front ends, and how to leave their ports to a successor. */
interface Fronts {
  readonly listen: readonly Endpoint[]
  readonly udp: Threads | PortableUdp
  readonly tcp: TcpFront
  readonly leave: () => void
}

/**
 * Binds all ports and starts the threads. Rejects with ListenError when a port is not available; then nothing is left
 * behind.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  inlineMore()
  const { adoption, portable, log } = options
  const reason = portable ? undefined : 'missing' in linux ? linux.missing : undefined
  if (reason !== undefined) log('warn', 'UDP through node:dgram, at several times the cost of batches', { reason })
  const { listen, udp, tcp, leave } = await (portable || 'missing' in linux
    ? startPortable(options, reason)
    : startBatched(options, linux))
  let { generation } = options.world
  Atomics.store(adoption, 0, generation)
  if (udp instanceof Threads) {
    const { receiveBuffer, sendBuffer } = udp.stats()
    log('info', 'UDP in batches', { threads: options.threads, receiveBuffer, sendBuffer })
  }
  const counters = (): readonly Float64Array[] => [...udp.counters(), ...tcp.counters()]
  const limits = new LimitWatch(counters, log)

  return {
    listen,
    publish(world) {
      if (world.generation <= generation) throw new Error(`World ${world.generation} after ${generation}`)
      generation = world.generation
      udp.publish(world)
      tcp.publish(world)
      Atomics.store(adoption, 0, generation)
    },
    setProtocol(protocol) {
      udp.setProtocol(protocol)
      tcp.setProtocol(protocol)
    },
    adopted: () => adoptedGeneration(adoption),
    counters,
    stats: () => ({ udp: udp.stats(), tcp: tcp.stats(), limited: limits.recent(Date.now()) ?? null }),
    async stop(drainMs = DRAIN_MS) {
      leave()
      limits.stop()
      const handshakesMs = Math.min(HANDSHAKE_MS, drainMs)
      await Promise.all([udp.stop(drainMs), sleep(handshakesMs).then(() => tcp.stop(drainMs - handshakesMs))])
    },
  }
}

async function startBatched(options: ServerOptions, calls: Linux): Promise<Fronts> {
  const bound = bindAll(calls, options.listen, options.threads, options.takeover)
  const sources = bound.map(({ endpoint, tcp }) => ({ ...endpoint, fd: tcp }))
  const tcp = startTcp(options, sources, calls)
  const udp = new Threads(calls, { ...options, bound })
  try {
    await Promise.all([udp.ready(), tcp.listening()])
  } catch (error) {
    await Promise.all([udp.stop(0), tcp.stop(0)])
    throw error
  }
  return {
    listen: bound.map(({ endpoint }) => endpoint),
    udp,
    tcp,
    leave: () => {
      for (const { fd } of sources) steerToSuccessor(calls, fd)
    },
  }
}

const startTcp = (options: ServerOptions, sources: readonly TcpSource[], calls?: Linux): TcpFront =>
  new TcpFront({
    ...options,
    ...(calls === undefined ? {} : { calls }),
    sources,
    limits: limitsFor(openFilesLimit(), options.tcpMemory),
    reader: options.threads + 1, // after the threads of UDP
  })

/**
 * Starts the portable form. With port 0, UDP uses the ports that TCP got; if one is taken, it starts over with new
 * ports.
 */
async function startPortable(options: ServerOptions, reason: string | undefined): Promise<Fronts> {
  const { log } = options
  for (let tries = 1; ; tries++) {
    const tcp = startTcp(options, options.listen)
    const sockets: UdpSocket[] = []
    try {
      const listen = await tcp.listening()
      for (const endpoint of listen) sockets.push(await bindPortable(endpoint))
      for (const endpoint of listen.filter(isWildcard))
        log('warn', `replies from ${formatEndpoint(endpoint)} may leave from another address than was asked`)
      return { listen, udp: new PortableUdp(sockets, options, reason), tcp, leave: () => {} }
    } catch (error) {
      for (const socket of sockets) socket.close()
      await tcp.stop(0)
      if (options.listen.every(({ port }) => port !== 0) || tries === PORT_TRIES) throw error
    }
  }
}
