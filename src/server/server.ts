/**
 * The running server: UDP threads (or node:dgram) and the TCP thread on every listen address, the threads of TLS and
 * HTTPS on theirs, with one World for all of them, and their orderly end. Called by node/run.ts as soon as there is a first World.
 */
import type { Socket as UdpSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { adoptedGeneration, type Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import { DOH, DOT, TCP } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import type { HealthTable } from '../health/table.ts'
import { type Linux, linux } from '../linux/calls.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'
import type { Recording } from '../querylog/ring.ts'
import { inlineMore } from './inline.ts'
import { type LimitedReport, LimitWatch } from './limit-watch.ts'
import { bindPortable, PortableUdp } from './portable.ts'
import { QueryLog, type QueryLogSettings, type SinkStats } from './query-log.ts'
import type { Credentials } from './handshakes.ts'
import { type BoundEndpoint, bindAll, isWildcard, steerToSuccessor } from './sockets.ts'
import type { StreamTransport, TcpSource } from './tcp-thread.ts'
import { limitsFor, openFilesLimit, TcpFront, type TcpStats } from './tcp.ts'
import { Threads, type UdpStats } from './threads.ts'

/** What the server is started with. */
export interface ServerOptions {
  /** At least one. With port 0 the kernel picks a port, the same for UDP and TCP. */
  readonly listen: readonly Endpoint[]
  /** How many threads answer UDP; 1 or more. */
  readonly threads: number
  /** Where DNS is answered over TLS and over HTTPS too; both need credentials. */
  readonly tls?: readonly Endpoint[]
  readonly https?: readonly Endpoint[]
  readonly credentials?: Credentials
  /** Limits of each of TCP, TLS and HTTPS: connections, and bytes in the buffers of all of them together. */
  readonly tcpConnections: number
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
  /** Undefined: queries are not recorded. */
  readonly queryLog?: QueryLogSettings | undefined
  readonly log: Log
}

/** Counters and states of the front ends. */
export interface ServerStats {
  readonly udp: UdpStats
  readonly tcp: TcpStats
  /** Where they are served. */
  readonly dot?: TcpStats
  readonly doh?: TcpStats
  /** Whom the rate limits hit within the last minutes; null: nobody. */
  readonly limited: LimitedReport | null
  /** Where queries are recorded; empty: nowhere. */
  readonly queryLog: readonly SinkStats[]
}

/** A running server. */
export interface Server {
  /** As in the options, with the real ports. */
  readonly listen: readonly Endpoint[]
  readonly tls: readonly Endpoint[]
  readonly https: readonly Endpoint[]
  /** Replaces the World for all queries read from now on. Its generation must be above all earlier ones. */
  publish(world: World): void
  /** Replaces the Protocol for all queries read from now on. */
  setProtocol(protocol: Protocol): void
  /** Shows another certificate in all handshakes from now on. */
  setCredentials(credentials: Credentials): void
  /**
   * The lowest generation that any answering thread may still read: what only older Worlds use (health slots) is free.
   */
  adopted(): number
  /** The counters (counters.ts) of each answering thread. */
  counters(): readonly Float64Array[]
  /** A number of each answering thread that changes while it works; 0 before its first beat. */
  beats(): readonly number[]
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
/** How many front ends of streams there can be: TCP, TLS and HTTPS. */
const STREAMS = 3
/** How long the last records of queries may take. */
const QUERY_LOG_MS = 1_000

/** A front end of streams, where it listens, and how to leave its ports to a successor. */
interface StreamFront {
  readonly front: TcpFront
  readonly listen: readonly Endpoint[]
  readonly leave: () => void
}

/** The options, with how the answering thread of a reader (see answer/adoption.ts) records queries. */
interface FrontOptions extends ServerOptions {
  readonly recordingOf: (reader: number) => Recording | undefined
}

/** The front ends of UDP and TCP. */
interface Fronts {
  readonly udp: Threads | PortableUdp
  readonly tcp: StreamFront
}

/**
 * Binds all ports and starts the threads. Rejects with ListenError when a port is not available; then nothing is left
 * behind.
 */
export async function startServer(given: ServerOptions): Promise<Server> {
  inlineMore()
  const queryLog =
    given.queryLog === undefined ? undefined : new QueryLog(given.queryLog, given.threads + STREAMS, given.log)
  try {
    return await startFronts({ ...given, recordingOf: (reader) => queryLog?.recording(reader - 1) }, queryLog)
  } catch (error) {
    await queryLog?.stop(0)
    throw error
  }
}

async function startFronts(options: FrontOptions, queryLog: QueryLog | undefined): Promise<Server> {
  const { adoption, portable, log } = options
  const reason = portable ? undefined : 'missing' in linux ? linux.missing : undefined
  if (reason !== undefined) log('warn', 'UDP through node:dgram, at several times the cost of batches', { reason })
  const calls = portable || 'missing' in linux ? undefined : linux
  const { udp, tcp } = await (calls === undefined ? startPortable(options, reason) : startBatched(options, calls))
  const [dot, doh] = await startSecure(options, calls).catch(async (error: unknown) => {
    await Promise.all([udp.stop(0), tcp.front.stop(0)])
    throw error
  })
  const streams = [tcp, dot, doh].filter((stream) => stream !== undefined)
  let { generation } = options.world
  Atomics.store(adoption, 0, generation)
  if (udp instanceof Threads) {
    const { receiveBuffer, sendBuffer } = udp.stats()
    log('info', 'UDP in batches', { threads: options.threads, receiveBuffer, sendBuffer })
  }
  const counters = (): readonly Float64Array[] =>
    [udp, ...streams.map(({ front }) => front)].flatMap((front) => front.counters())
  const limits = new LimitWatch(counters, log)

  return {
    listen: tcp.listen,
    tls: dot?.listen ?? [],
    https: doh?.listen ?? [],
    publish(world) {
      if (world.generation <= generation) throw new Error(`World ${world.generation} after ${generation}`)
      generation = world.generation
      udp.publish(world)
      for (const { front } of streams) front.publish(world)
      Atomics.store(adoption, 0, generation)
    },
    setProtocol(protocol) {
      udp.setProtocol(protocol)
      for (const { front } of streams) front.setProtocol(protocol)
    },
    setCredentials(credentials) {
      for (const stream of [dot, doh]) stream?.front.setCredentials(credentials)
    },
    adopted: () => adoptedGeneration(adoption),
    counters,
    beats: () => [udp, ...streams.map(({ front }) => front)].flatMap((front) => front.beats()),
    stats: () => ({
      udp: udp.stats(),
      tcp: tcp.front.stats(),
      ...(dot !== undefined && { dot: dot.front.stats() }),
      ...(doh !== undefined && { doh: doh.front.stats() }),
      limited: limits.recent(Date.now()) ?? null,
      queryLog: queryLog?.stats() ?? [],
    }),
    async stop(drainMs = DRAIN_MS) {
      for (const { leave } of streams) leave()
      limits.stop()
      const handshakesMs = Math.min(HANDSHAKE_MS, drainMs)
      const stopStreams = (): Promise<unknown> =>
        Promise.all(streams.map(({ front }) => front.stop(drainMs - handshakesMs)))
      await Promise.all([udp.stop(drainMs), sleep(handshakesMs).then(stopStreams)])
      await queryLog?.stop(QUERY_LOG_MS)
    },
  }
}

async function startBatched(options: FrontOptions, calls: Linux): Promise<Fronts> {
  const bound = bindAll(calls, options.listen, options.threads, options.takeover)
  const tcp = startBound(options, TCP, bound, calls)
  const recordings = Array.from({ length: options.threads }, (_, i) => options.recordingOf(i + 1))
  const udp = new Threads(calls, { ...options, bound, recordings })
  try {
    await Promise.all([udp.ready(), tcp.front.listening()])
  } catch (error) {
    await Promise.all([udp.stop(0), tcp.front.stop(0)])
    throw error
  }
  return { udp, tcp }
}

/** Starts a front end of streams on sockets that listen. */
function startBound(
  options: FrontOptions,
  transport: StreamTransport,
  bound: readonly BoundEndpoint[],
  calls: Linux,
): StreamFront {
  const sources = bound.map(({ endpoint, tcp }) => ({ ...endpoint, fd: tcp }))
  return {
    front: startStream(options, transport, sources, calls),
    listen: bound.map(({ endpoint }) => endpoint),
    leave: () => {
      for (const { fd } of sources) steerToSuccessor(calls, fd)
    },
  }
}

/** Starts TLS and HTTPS where they are served. Rejects with nothing left behind. */
async function startSecure(
  options: FrontOptions,
  calls: Linux | undefined,
): Promise<readonly [dot: StreamFront | undefined, doh: StreamFront | undefined]> {
  const started: TcpFront[] = []
  const startOne = async (transport: StreamTransport, on: readonly Endpoint[]): Promise<StreamFront | undefined> => {
    if (on.length === 0) return undefined
    const stream =
      calls === undefined
        ? { front: startStream(options, transport, on), leave: () => {} }
        : startBound(options, transport, bindAll(calls, on, 0, options.takeover), calls)
    started.push(stream.front)
    return { ...stream, listen: await stream.front.listening() }
  }
  try {
    return [await startOne(DOT, options.tls ?? []), await startOne(DOH, options.https ?? [])]
  } catch (error) {
    await Promise.all(started.map((front) => front.stop(0)))
    throw error
  }
}

function startStream(
  options: FrontOptions,
  transport: StreamTransport,
  sources: readonly TcpSource[],
  calls?: Linux,
): TcpFront {
  const { tls = [], https = [], tcpConnections, tcpMemory, threads } = options
  const fronts = 1 + Math.sign(tls.length) + Math.sign(https.length)
  return new TcpFront({
    ...options,
    transport,
    ...(calls === undefined ? {} : { calls }),
    sources,
    limits: limitsFor(openFilesLimit(), { connections: tcpConnections, memory: tcpMemory }, fronts),
    reader: threads + transport, // after the threads of UDP
    recording: options.recordingOf(threads + transport),
  })
}

/**
 * Starts the portable form. With port 0, UDP uses the ports that TCP got; if one is taken, it starts over with new
 * ports.
 */
async function startPortable(options: FrontOptions, reason: string | undefined): Promise<Fronts> {
  const { log } = options
  for (let tries = 1; ; tries++) {
    const front = startStream(options, TCP, options.listen)
    const sockets: UdpSocket[] = []
    try {
      const listen = await front.listening()
      for (const endpoint of listen) sockets.push(await bindPortable(endpoint))
      for (const endpoint of listen.filter(isWildcard))
        log('warn', `replies from ${formatEndpoint(endpoint)} may leave from another address than was asked`)
      return {
        udp: new PortableUdp(sockets, options, reason, options.recordingOf(1)),
        tcp: { front, listen, leave: () => {} },
      }
    } catch (error) {
      for (const socket of sockets) socket.close()
      await front.stop(0)
      if (options.listen.every(({ port }) => port !== 0) || tries === PORT_TRIES) throw error
    }
  }
}
