/**
 * The answering threads, seen from the main thread: started, watched, replaced on the same sockets. A thread that dies,
 * or whose beat stands still, loses its clients nothing but time: what comes in meanwhile waits in its sockets' buffers.
 * One spare thread stands by, warm, so that this takes milliseconds.
 *
 *   spare ─ assign ─▶ answering ─┬─ exit ─────────────────────▶ replaced by the spare, at once (after a pause if it was
 *                                └─ beat still ─ terminate ─▶     answering for less than YOUNG_MS)
 */
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ABSENT, type Adoption } from '../answer/adoption.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import { makeCounters } from '../counters.ts'
import type { HealthTable } from '../health/table.ts'
import { type Linux } from '../linux/calls.ts'
import { startThread, type Thread } from '../linux/worker.ts'
import { BEAT, LEAVE, SIGNAL, STOP, THREAD_CELLS } from './batch.ts'
import type { Front } from './front.ts'
import { NeighbourWatch } from './neighbours.ts'
import { type BoundEndpoint, receiveBufferOf, sendBufferOf, type UdpSocket } from './sockets.ts'
import type { Assignment } from './thread.ts'

export interface UdpStats {
  readonly form: 'batched' | 'portable'
  /** Why it is portable where that was not asked for: koffi or recvmmsg is missing. */
  readonly reason?: string
  readonly threads: number
  /** Threads that were replaced: they died, or their beat stood still. */
  readonly died: number
  readonly stalled: number
  /** Bytes that the kernel granted, the least of all sockets. */
  readonly receiveBuffer: number
  readonly sendBuffer: number
}

export interface ThreadsOptions {
  /** Threads get the i-th UDP socket of each; the sockets are this front's, to close at its end. */
  readonly bound: readonly BoundEndpoint[]
  readonly threads: number
  readonly world: World
  readonly health: HealthTable
  readonly adoption: Adoption
  readonly log: Log
}

const CHECK_MS = 500
/** Checks that a beat may stand still: 2 s. Counted, so that a main thread that was held up itself blames nobody. */
const STILL_CHECKS = 4
const YOUNG_MS = 1000
const READY_POLL_MS = 5

/** One place among the answering threads, over all its replacements. */
interface Seat {
  readonly index: number
  readonly sockets: readonly UdpSocket[]
  readonly cells: Int32Array
  readonly counters: Float64Array
  worker: Thread | undefined
  startedMs: number
  beat: number
  still: number
}

export class Threads implements Front {
  readonly #calls: Linux
  readonly #options: ThreadsOptions
  readonly #seats: readonly Seat[]
  readonly #watching: NodeJS.Timeout
  readonly #receiveBuffer: number
  readonly #sendBuffer: number
  readonly #neighbours: NeighbourWatch
  #spare: Thread | undefined
  #world: World
  #stopping = false
  #died = 0
  #stalled = 0

  constructor(calls: Linux, options: ThreadsOptions) {
    this.#calls = calls
    this.#options = options
    this.#world = options.world
    const sockets = options.bound.flatMap(({ udp }) => udp)
    this.#receiveBuffer = Math.min(...sockets.map(({ fd }) => receiveBufferOf(calls, fd)))
    this.#sendBuffer = Math.min(...sockets.map(({ fd }) => sendBufferOf(calls, fd)))
    const ofFamily = (wanted: 4 | 6): number => sockets.filter(({ family }) => family === wanted).length
    this.#neighbours = new NeighbourWatch(calls, { 4: ofFamily(4), 6: ofFamily(6) }, options.log)
    this.#seats = Array.from({ length: options.threads }, (_, index) => ({
      index,
      sockets: options.bound.map(({ udp }) => udp[index]!),
      cells: new Int32Array(new SharedArrayBuffer(THREAD_CELLS * Int32Array.BYTES_PER_ELEMENT)),
      counters: makeCounters(),
      worker: undefined,
      startedMs: 0,
      beat: 0,
      still: 0,
    }))
    for (const seat of this.#seats) this.#fill(seat)
    this.#watching = setInterval(() => this.#watch(), CHECK_MS)
  }

  /** Resolves when every thread answers; rejects when one can't. */
  async ready(): Promise<void> {
    while (this.#seats.some(({ cells }) => Atomics.load(cells, BEAT) === 0)) {
      if (this.#died > 0) throw new Error('the answering threads end as soon as they are started')
      await sleep(READY_POLL_MS)
    }
    this.#spare = this.#warm() // not before: it would take the others' CPU
  }

  publish(world: World): void {
    this.#world = world
    for (const { worker, cells } of this.#seats) {
      worker?.postMessage(world)
      Atomics.store(cells, SIGNAL, world.generation)
    }
  }

  counters(): readonly Float64Array[] {
    return this.#seats.map(({ counters }) => counters)
  }

  stats(): UdpStats {
    return {
      form: 'batched',
      threads: this.#seats.length,
      died: this.#died,
      stalled: this.#stalled,
      receiveBuffer: this.#receiveBuffer,
      sendBuffer: this.#sendBuffer,
    }
  }

  async stop(drainMs: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    clearInterval(this.#watching)
    const dismissed = this.#dismiss(this.#spare)
    const deadline = setTimeout(() => {
      for (const { worker } of this.#seats) void worker?.terminate()
    }, drainMs)
    await Promise.all(this.#seats.map((seat) => this.#end(seat, drainMs > 0 ? LEAVE : STOP)))
    clearTimeout(deadline)
    await dismissed
    this.#neighbours.stop()
    for (const { fd } of this.#options.bound.flatMap(({ udp }) => udp)) this.#calls.close(fd)
  }

  /** It is told, not terminated: a thread that is terminated while it loads koffi takes the process with it. */
  async #dismiss(spare: Thread | undefined): Promise<void> {
    if (spare === undefined) return
    const ended = new Promise((resolve) => void spare.once('exit', resolve))
    spare.postMessage(null)
    await ended
  }

  async #end({ worker, cells }: Seat, signal: typeof LEAVE | typeof STOP): Promise<void> {
    if (worker === undefined) return
    const ended = new Promise((resolve) => void worker.once('exit', resolve))
    Atomics.store(cells, SIGNAL, signal)
    await ended
  }

  #warm(): Thread {
    const worker = startThread(new URL(`./thread${extname(import.meta.url)}`, import.meta.url), { name: 'answering' })
    worker.on('error', (error) => this.#options.log('error', `an answering thread failed: ${String(error)}`, { error }))
    const startedMs = performance.now()
    worker.once('exit', () => {
      if (this.#spare !== worker) return // it has a seat, and that one looks after it
      this.#spare = undefined
      const isYoung = performance.now() - startedMs < YOUNG_MS
      if (!this.#stopping) setTimeout(() => (this.#spare ??= this.#warm()), isYoung ? YOUNG_MS : 0)
    })
    return worker
  }

  /** Puts the spare to work, and warms the next. */
  #fill(seat: Seat): void {
    if (this.#stopping) return
    const worker = this.#spare ?? this.#warm()
    const wasSpare = this.#spare === worker
    const { health, adoption } = this.#options
    const reader = seat.index + 1
    seat.worker = worker
    seat.startedMs = performance.now()
    seat.still = 0
    Atomics.store(seat.cells, BEAT, 0)
    // from here on nothing that this World needs is given up, however long the thread takes to come up
    Atomics.store(adoption, reader, this.#world.generation)
    Atomics.store(seat.cells, SIGNAL, this.#world.generation)
    const assignment: Assignment = {
      sockets: seat.sockets,
      cells: seat.cells,
      world: this.#world,
      health,
      counters: seat.counters,
      adoption,
      neighbours: this.#neighbours.tables,
      reader,
      seed: 1 + Math.floor(Math.random() * 0x7ffffffe),
    }
    worker.once('exit', () => this.#replace(seat))
    worker.postMessage(assignment)
    if (wasSpare) this.#spare = this.#warm()
  }

  #replace(seat: Seat): void {
    seat.worker = undefined
    Atomics.store(this.#options.adoption, seat.index + 1, ABSENT)
    if (this.#stopping) return
    this.#died++
    const young = performance.now() - seat.startedMs < YOUNG_MS
    this.#options.log('error', 'an answering thread ended and is replaced', { thread: seat.index, young })
    if (young) setTimeout(() => this.#fill(seat), YOUNG_MS)
    else this.#fill(seat)
  }

  /** Before its first beat a thread is starting: that takes as long as it takes. */
  #watch(): void {
    for (const seat of this.#seats) {
      const beat = Atomics.load(seat.cells, BEAT)
      if (beat !== seat.beat || beat === 0 || seat.worker === undefined) seat.still = 0
      else if (++seat.still === STILL_CHECKS) {
        this.#stalled++
        this.#options.log('error', 'an answering thread stood still and is ended', { thread: seat.index })
        void seat.worker.terminate()
      }
      seat.beat = beat
    }
  }
}
