/**
 * DNS over TCP, seen from the main thread: one thread (tcp-thread.ts) accepts and answers, with the same respond(). It is
 * watched, and replaced when it dies or stands still (seat.ts): its connections are lost, new ones wait in the kernel meanwhile, for the
 * sockets that listen are the main thread's, and each thread has descriptors of its own for them. Without koffi the thread
 * binds, and its successor binds again.
 */
import { readFileSync } from 'node:fs'
import { ABSENT, type Adoption } from '../answer/adoption.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import { makeCounters } from '../counters.ts'
import type { HealthTable } from '../health/table.ts'
import type { Linux } from '../linux/calls.ts'
import { entryBeside, startThread, type Thread } from '../linux/worker.ts'
import type { Endpoint } from '../units.ts'
import {
  T_ACCEPTED,
  T_BEAT,
  T_EVICTED,
  T_HELD,
  T_OPEN,
  T_OVER_MEMORY,
  T_REFUSED,
  T_TIMED_OUT,
  T_UNANSWERABLE,
  T_UNREAD,
  TCP_CELLS,
  type TcpLimits,
} from './connections.ts'
import { type Front, ListenError } from './front.ts'
import { Seat } from './seat.ts'
import { duplicate } from './sockets.ts'
import type { TcpAssignment, TcpCommand, TcpReport, TcpSource } from './tcp-thread.ts'

export const TCP_LIMITS: TcpLimits = {
  connections: 2000,
  perClient: 100,
  firstMs: 5_000,
  idleMs: 10_000,
  unreadMs: 3_000,
  memory: 32e6,
}

/**
 * The limits of a process that may have so many files open (0 = nobody knows): half of them is left to probes, HTTP, Redis and
 * databases, for whoever has none to spare can accept nobody. `memory`: bytes.
 */
export function limitsFor(files: number, memory = TCP_LIMITS.memory): TcpLimits {
  const { connections } = TCP_LIMITS
  return {
    ...TCP_LIMITS,
    memory,
    connections: files === 0 ? connections : Math.max(1, Math.min(connections, files >> 1)),
  }
}

/** How many files this process may have open, the kernel's word; 0 = unlimited, or not Linux. */
export function openFilesLimit(): number {
  try {
    return Number(/^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

export interface TcpStats {
  readonly open: number
  /** Bytes that wait in the connections: answers not taken, queries not whole. */
  readonly held: number
  readonly accepted: number
  /** Closed at once: too many connections of one client. */
  readonly refused: number
  /** Closed for a newcomer, being the longest idle when all places were taken. */
  readonly evicted: number
  /** Closed by us: idle, or slow to ask. */
  readonly timedOut: number
  /** Closed by us: its answers waited too long. */
  readonly unread: number
  /** Closed by us, holding most when all held too much. */
  readonly overMemory: number
  /** Closed by us: it sent what gets no answer. */
  readonly unanswerable: number
  /** Times that the thread was replaced: it died, or its beat stood still. */
  readonly died: number
  readonly stalled: number
}

export interface TcpOptions {
  /** Those with a descriptor listen already, and are this front's to close at its end. */
  readonly sources: readonly TcpSource[]
  /** Needed where sources have descriptors. */
  readonly calls?: Linux
  readonly limits: TcpLimits
  readonly world: World
  readonly health: HealthTable
  readonly adoption: Adoption
  /** The thread's cell in it. */
  readonly reader: number
  readonly log: Log
}

/** For a thread that has drained to come to its end. */
const END_MS = 500

export class TcpFront implements Front {
  readonly #options: TcpOptions
  readonly #cells = new Float64Array(new SharedArrayBuffer(TCP_CELLS * Float64Array.BYTES_PER_ELEMENT))
  readonly #counters = makeCounters()
  readonly #listening = Promise.withResolvers<readonly Endpoint[]>()
  #sources: readonly TcpSource[]
  readonly #seat: Seat
  #world: World
  #stopping = false

  constructor(options: TcpOptions) {
    this.#options = options
    this.#sources = options.sources
    this.#world = options.world
    this.#listening.promise.catch(() => {}) // whoever waits for it is told
    this.#seat = new Seat({
      what: 'the TCP thread',
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

  counters(): readonly Float64Array[] {
    return [this.#counters]
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
      died: this.#seat.died,
      stalled: this.#seat.stalled,
    }
  }

  /** Stops accepting; connections end when they have said nothing for a moment and have their answers. */
  async stop(drainMs: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    for (const { fd } of this.#sources) if (fd !== undefined) this.#options.calls!.close(fd)
    await this.#seat.stop(() => this.#seat.postMessage({ drainMs } satisfies TcpCommand), drainMs + END_MS)
  }

  #start(): Thread {
    const { limits, health, adoption, reader, calls } = this.#options
    this.#cells[T_BEAT] = 0
    this.#cells[T_OPEN] = 0
    this.#cells[T_HELD] = 0
    // from here on nothing that this World needs is given up, however long the thread takes to come up
    Atomics.store(adoption, reader, this.#world.generation)
    const workerData: TcpAssignment = {
      // its end closes what it has: never the sockets themselves
      sources: this.#sources.map(({ fd, ...source }) =>
        fd === undefined ? source : { ...source, fd: duplicate(calls!, fd) },
      ),
      limits,
      world: this.#world,
      health,
      counters: this.#counters,
      cells: this.#cells,
      adoption,
      reader,
    }
    const worker = startThread(entryBeside(import.meta.url, 'tcp-thread'), { name: 'tcp', workerData })
    worker.on('message', (news: TcpReport) => this.#hear(news))
    worker.on('error', (error) => this.#options.log('error', `the TCP thread failed: ${String(error)}`, { error }))
    let hasRun = false
    worker.once('online', () => (hasRun = true))
    worker.once('exit', () => {
      // what a thread has its end closes
      for (const { fd } of hasRun ? [] : workerData.sources) if (fd !== undefined) calls!.close(fd)
    })
    return worker
  }

  #hear(news: TcpReport): void {
    if ('refused' in news) {
      const error = new ListenError(news.refused, 'TCP', news.code)
      if (this.#seat.died > 0) this.#options.log('error', error.message)
      this.#listening.reject(error)
      return
    }
    // ports stay what they are
    this.#sources = this.#sources.map((source, i) => ({ ...source, port: news.listening[i]!.port }))
    this.#listening.resolve(news.listening)
  }

  #onEnd(): void {
    Atomics.store(this.#options.adoption, this.#options.reader, ABSENT)
    this.#listening.reject(new Error('the TCP thread ends as soon as it is started')) // unless it has listened
  }
}
