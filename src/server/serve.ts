/**
 * The running server: UDP threads (or node:dgram) and TCP on every listen address, one World for all of them, and the
 * way out. Called by cli/serve.ts once the first World is there.
 */
import type { World } from '../answer/world.ts'
import type { HealthTable } from '../health/table.ts'
import type { Endpoint, Log } from './front.ts'
import type { Adoption } from './pool.ts'
import type { TcpStats } from './tcp.ts'
import type { UdpStats } from './threads.ts'

export interface ServerOptions {
  /** At least one; port 0 gives UDP and TCP of that address the same port, picked by the kernel. */
  readonly listen: readonly Endpoint[]
  /** Answering threads; 1 or more. */
  readonly threads: number
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
  /** One array of metrics.ts cells for each thread that answers, the main thread's (TCP) among them. */
  counters(): readonly Float64Array[]
  /** Operational states for status and metrics. */
  stats(): ServerStats
  /** Leaves the ports without losing a query (to a successor, when there is one), then ends. Bounded by `drainMs`. */
  stop(drainMs?: number): Promise<void>
}

/** Binds and starts; throws ListenError when a port can't be had, with nothing left behind. */
export async function startServer(_options: ServerOptions): Promise<Server> {
  throw new Error('not yet')
}
