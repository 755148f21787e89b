/**
 * The running server: UDP threads (or node:dgram) and the TCP thread on every listen address, one World for all of them, and the
 * way out. Called by node/run.ts once the first World is there.
 */
import type { Socket as UdpSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { adoptedGeneration, type Adoption } from '../answer/adoption.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import type { HealthTable } from '../health/table.ts'
import { type Linux, linux } from '../linux/calls.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'
import { bindPortable, PortableUdp } from './portable.ts'
import { bindAll, isWildcard, steerToSuccessor } from './sockets.ts'
import type { TcpSource } from './tcp-thread.ts'
import { limitsFor, openFilesLimit, TcpFront, type TcpStats } from './tcp.ts'
import { Threads, type UdpStats } from './threads.ts'

export interface ServerOptions {
  /** At least one; port 0 gives UDP and TCP of that address the same port, picked by the kernel. */
  readonly listen: readonly Endpoint[]
  /** Answering threads of UDP; 1 or more. */
  readonly threads: number
  /** Bytes that may wait in all connections of TCP together. */
  readonly tcpMemory: number
  /** The first World to answer from, as the compiler made it (generation ≥ 1), slots and counters given. */
  readonly world: World
  readonly health: HealthTable
  /** The one that the compiler was started with, so that it knows which Worlds' memory is free. */
  readonly adoption: Adoption
  /** Bind beside a server that is already there (its end is its own SIGTERM) instead of failing with EADDRINUSE. */
  readonly takeover: boolean
  /** node:dgram even where recvmmsg could be had. */
  readonly portable: boolean
  readonly log: Log
}

export interface ServerStats {
  readonly udp: UdpStats
  readonly tcp: TcpStats
}

export interface Server {
  /** As asked, ports resolved. */
  readonly listen: readonly Endpoint[]
  /** Replaces the World for all queries read from now on. Its generation is above that of all before. */
  publish(world: World): void
  /** Lowest generation any answering thread may still read: what older Worlds alone needed (health slots) is free. */
  adopted(): number
  /** One array of counters.ts cells for each thread that answers. */
  counters(): readonly Float64Array[]
  /** Operational states for status and metrics. */
  stats(): ServerStats
  /** Leaves the ports without losing a query (to a successor, when there is one), then ends. Bounded by `drainMs`. */
  stop(drainMs?: number): Promise<void>
}

/** With port 0 in the portable form: TCP's port may be taken for UDP. */
const PORT_TRIES = 20
const DRAIN_MS = 5_000
/** Handshakes that began before new connections went to the successor may still end here. */
const HANDSHAKE_MS = 250

/** What was bound, and how to leave it to a successor. */
interface Fronts {
  readonly listen: readonly Endpoint[]
  readonly udp: Threads | PortableUdp
  readonly tcp: TcpFront
  readonly leave: () => void
}

/** Binds and starts; throws ListenError when a port can't be had, with nothing left behind. */
export async function startServer(options: ServerOptions): Promise<Server> {
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

  return {
    listen,
    publish(world) {
      if (world.generation <= generation) throw new Error(`World ${world.generation} after ${generation}`)
      generation = world.generation
      udp.publish(world)
      tcp.publish(world)
      Atomics.store(adoption, 0, generation)
    },
    adopted: () => adoptedGeneration(adoption),
    counters: () => [...udp.counters(), ...tcp.counters()],
    stats: () => ({ udp: udp.stats(), tcp: tcp.stats() }),
    async stop(drainMs = DRAIN_MS) {
      leave()
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

/** With port 0, UDP takes the ports that the kernel gave to TCP, or all try again when somebody has one of them. */
async function startPortable(options: ServerOptions, reason: string | undefined): Promise<Fronts> {
  const { world, health, log } = options
  for (let tries = 1; ; tries++) {
    const tcp = startTcp(options, options.listen)
    const sockets: UdpSocket[] = []
    try {
      const listen = await tcp.listening()
      for (const endpoint of listen) sockets.push(await bindPortable(endpoint))
      for (const endpoint of listen.filter(isWildcard))
        log('warn', `replies from ${formatEndpoint(endpoint)} may leave from another address than was asked`)
      return { listen, udp: new PortableUdp(sockets, world, health, reason), tcp, leave: () => {} }
    } catch (error) {
      for (const socket of sockets) socket.close()
      await tcp.stop(0)
      if (options.listen.every(({ port }) => port !== 0) || tries === PORT_TRIES) throw error
    }
  }
}
