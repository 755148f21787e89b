/**
 * DNS over TCP, TLS (RFC 7858) and HTTPS (RFC 8484), seen from the main thread: for each of the three that is served one
 * thread (tcp-thread.ts) accepts and answers, with the same respond(). It is watched, and replaced when it dies or stands still (seat.ts): its connections are lost, new ones wait in the
 * kernel meanwhile, for the sockets that listen are the main thread's, and each thread has descriptors of its own for
 * them. Without koffi the thread binds, and its successor binds again.
 */
import { readFileSync } from 'node:fs'
import { ABSENT, type Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import { DOH, DOT, TCP } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import { makeCounters } from '../counters.ts'
import type { HealthTable } from '../health/table.ts'
import type { Linux } from '../linux/calls.ts'
import { entryBeside, startThread, type Thread } from '../linux/worker.ts'
import type { Recording } from '../querylog/ring.ts'
import type { Endpoint } from '../units.ts'
import {
  BAD_STATUSES,
  T_ACCEPTED,
  T_AXFR,
  T_BEAT,
  T_EVICTED,
  T_HANDSHAKES,
  T_HANDSHAKES_FAILED,
  T_HELD,
  T_IXFR,
  T_OPEN,
  T_OVER_MEMORY,
  T_REFUSED,
  T_RESUMED,
  T_STATUS,
  T_TIMED_OUT,
  T_TRANSFERRING,
  T_TRANSFERS_BROKEN,
  T_TRANSFERS_REFUSED,
  T_UNANSWERABLE,
  T_UNREAD,
  TCP_CELLS,
  type TcpLimits,
} from './connections.ts'
import { type Front, ListenError } from './front.ts'
import type { Credentials } from './handshakes.ts'
import { Seat } from './seat.ts'
import { TransferLog } from './transfer-log.ts'
import { duplicate } from './sockets.ts'
import type { StreamTransport, TcpAssignment, TcpCommand, TcpReport, TcpSource } from './tcp-thread.ts'

/** The default limits; see limitsFor(). */
export const TCP_LIMITS: TcpLimits = {
  connections: 2000,
  perClient: 100,
  firstMs: 5_000,
  idleMs: 10_000,
  unreadMs: 3_000,
  memory: 32e6,
  handshakes: 256,
}

/**
 * The limits of each of `threads` threads in a process that may have `files` open files (0 = unknown). Together they may
 * use half of them; the rest is for probes, HTTP, Redis and databases. `memory`: bytes.
 */
export function limitsFor(
  files: number,
  { connections, memory }: Pick<TcpLimits, 'connections' | 'memory'> = TCP_LIMITS,
  threads = 1,
): TcpLimits {
  const most = files === 0 ? connections : Math.floor(files / 2 / threads)
  return { ...TCP_LIMITS, memory, connections: Math.max(1, Math.min(connections, most)) }
}

/** How many open files the kernel allows a process, by default this one; 0 = unlimited, or not Linux. */
export function openFilesLimit(pid: number | 'self' = 'self'): number {
  try {
    return Number(/^Max open files +(\d+) /m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** Numbers of connections, by what became of them, and states of the thread. */
export interface TcpStats {
  readonly open: number
  /** Bytes in the connections' buffers: answers not taken, incomplete queries. */
  readonly held: number
  readonly accepted: number
  /** Closed at once, because the client had too many. */
  readonly refused: number
  /** Closed as the longest idle, to make place for a new one. */
  readonly evicted: number
  /** Closed because they were idle, or sent no query in time. */
  readonly timedOut: number
  /** Closed because the client did not take its answers. */
  readonly unread: number
  /** Closed because memory was short and they held the most. */
  readonly overMemory: number
  /** Closed because they sent messages that get no answer. */
  readonly unanswerable: number
  /** Zone transfers, by what became of them: sent whole, sent as differences, refused, broken off. */
  readonly transfers: Readonly<Record<'axfr' | 'ixfr' | 'refused' | 'broken', number>>
  /** Zone transfers that are being sent. */
  readonly transferring: number
  /** TLS handshakes: in full, resumed from a ticket, failed. */
  readonly handshakes: number
  readonly resumed: number
  readonly handshakesFailed: number
  /** Requests over HTTPS that were no queries, by status. */
  readonly badRequests: readonly (readonly [status: number, count: number])[]
  /** How often the thread was replaced, in all, and how often because it hung. */
  readonly died: number
  readonly stalled: number
}

/** What a thread is started with. */
export interface TcpOptions {
  readonly transport: StreamTransport
  /** For TLS and HTTPS. */
  readonly credentials?: Credentials
  /** Those with a descriptor listen already; stop() closes them. */
  readonly sources: readonly TcpSource[]
  /** Required if sources have descriptors. */
  readonly calls?: Linux
  readonly limits: TcpLimits
  readonly world: World
  readonly protocol: Protocol
  readonly health: HealthTable
  readonly adoption: Adoption
  /** The thread's cell in `adoption`. */
  readonly reader: number
  readonly recording?: Recording | undefined
  readonly log: Log
}

/** For a thread that has drained to come to its end. */
const END_MS = 500

/** V8 would take 48 MB for the young objects of a thread; with a quarter it needs no more CPU. */
const YOUNG_MB = 12

/** The threads as log lines name them, and as the system does. */
const THREADS = { [TCP]: ['TCP', 'tcp'], [DOT]: ['TLS', 'dot'], [DOH]: ['HTTPS', 'doh'] } as const

/** The front end of TCP, TLS or HTTPS. */
export class TcpFront implements Front {
  readonly #options: TcpOptions
  readonly #cells = new Float64Array(new SharedArrayBuffer(TCP_CELLS * Float64Array.BYTES_PER_ELEMENT))
  readonly #counters = makeCounters()
  readonly #listening = Promise.withResolvers<readonly Endpoint[]>()
  #sources: readonly TcpSource[]
  readonly #seat: Seat
  #world: World
  #protocol: Protocol
  readonly #log: TransferLog
  #credentials: Credentials | undefined
  #stopping = false

  constructor(options: TcpOptions) {
    this.#options = options
    this.#log = new TransferLog(options.log)
    this.#credentials = options.credentials
    this.#sources = options.sources
    this.#world = options.world
    this.#protocol = options.protocol
    this.#listening.promise.catch(() => {}) // listening() rejects for its caller
    this.#seat = new Seat({
      what: this.#what,
      fields: {},
      log: options.log,
      start: () => this.#start(),
      beat: () => this.#cells[T_BEAT]!,
      onEnd: () => this.#onEnd(),
    })
  }

  /** Where it listens, in the order of the sources, ports resolved; rejects with a ListenError. */
  listening(): Promise<readonly Endpoint[]> {
    return this.#listening.promise
  }

  publish(world: World): void {
    this.#world = world
    this.#seat.postMessage({ world } satisfies TcpCommand)
  }

  setProtocol(protocol: Protocol): void {
    this.#protocol = protocol
    this.#seat.postMessage({ protocol } satisfies TcpCommand)
  }

  /** Shows another certificate from now on. Those who are connected keep what they have. */
  setCredentials(credentials: Credentials): void {
    this.#credentials = credentials
    this.#seat.postMessage({ credentials } satisfies TcpCommand)
  }

  get #what(): string {
    return `the ${THREADS[this.#options.transport][0]} thread`
  }

  counters(): readonly Float64Array[] {
    return [this.#counters]
  }

  beats(): readonly number[] {
    return [this.#cells[T_BEAT]!]
  }

  stats(): TcpStats {
    const cells = this.#cells
    return {
      open: cells[T_OPEN]!,
      held: cells[T_HELD]!,
      accepted: cells[T_ACCEPTED]!,
      refused: cells[T_REFUSED]!,
      evicted: cells[T_EVICTED]!,
      timedOut: cells[T_TIMED_OUT]!,
      unread: cells[T_UNREAD]!,
      overMemory: cells[T_OVER_MEMORY]!,
      unanswerable: cells[T_UNANSWERABLE]!,
      transfers: {
        axfr: cells[T_AXFR]!,
        ixfr: cells[T_IXFR]!,
        refused: cells[T_TRANSFERS_REFUSED]!,
        broken: cells[T_TRANSFERS_BROKEN]!,
      },
      transferring: cells[T_TRANSFERRING]!,
      handshakes: cells[T_HANDSHAKES]!,
      resumed: cells[T_RESUMED]!,
      handshakesFailed: cells[T_HANDSHAKES_FAILED]!,
      badRequests: BAD_STATUSES.map((status, i) => [status, cells[T_STATUS + i]!]),
      died: this.#seat.died,
      stalled: this.#seat.stalled,
    }
  }

  /** Stops accepting. Each connection ends when it has its answers and is idle for a moment. */
  async stop(drainMs: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    for (const { fd } of this.#sources) if (fd !== undefined) this.#options.calls!.close(fd)
    await this.#seat.stop(() => this.#seat.postMessage({ drainMs } satisfies TcpCommand), drainMs + END_MS)
  }

  #start(): Thread {
    const { transport, limits, health, adoption, reader, calls, recording } = this.#options
    this.#cells[T_BEAT] = 0
    this.#cells[T_OPEN] = 0
    this.#cells[T_TRANSFERRING] = 0
    this.#cells[T_HELD] = 0
    // from here on this World's memory is kept, however long the thread takes to start
    Atomics.store(adoption, reader, this.#world.generation)
    const workerData: TcpAssignment = {
      transport,
      ...(this.#credentials !== undefined && { credentials: this.#credentials }),
      // the thread's exit closes its duplicates, never the sockets themselves
      sources: this.#sources.map(({ fd, ...source }) =>
        fd === undefined ? source : { ...source, fd: duplicate(calls!, fd) },
      ),
      limits,
      world: this.#world,
      protocol: this.#protocol,
      health,
      counters: this.#counters,
      cells: this.#cells,
      adoption,
      reader,
      recording,
    }
    const worker = startThread(entryBeside(import.meta.url, 'tcp-thread'), {
      name: THREADS[transport][1],
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    })
    worker.on('message', (report: TcpReport) => this.#receive(report))
    worker.on('error', (error) => this.#options.log('error', `${this.#what} failed: ${String(error)}`, { error }))
    let hasRun = false
    worker.once('online', () => (hasRun = true))
    worker.once('exit', () => {
      // a thread that never ran has not taken its descriptors
      for (const { fd } of hasRun ? [] : workerData.sources) if (fd !== undefined) calls!.close(fd)
    })
    return worker
  }

  #receive(report: TcpReport): void {
    if ('transfer' in report) return this.#log.add(report.transfer)
    if ('refused' in report) {
      const error = new ListenError(report.refused, 'TCP', report.code)
      if (this.#seat.died > 0) this.#options.log('error', error.message)
      this.#listening.reject(error)
      return
    }
    // a replacement binds the same ports
    this.#sources = this.#sources.map((source, i) => ({ ...source, port: report.listening[i]!.port }))
    this.#listening.resolve(report.listening)
  }

  #onEnd(): void {
    Atomics.store(this.#options.adoption, this.#options.reader, ABSENT)
    this.#listening.reject(new Error(`${this.#what} ends as soon as it is started`)) // unless it has listened
  }
}
