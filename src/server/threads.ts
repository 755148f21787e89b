/**
 * The answering threads of UDP, seen from the main thread: it starts them, and replaces them on the same sockets when
 * they die or hang (seat.ts). No query is lost then: packets wait in the buffers of the sockets. A spare thread with
 * its code loaded stands by, so that a replacement takes milliseconds.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ABSENT, type Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import type { Replacement } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { Log } from '../config.ts'
import { makeCounters } from '../counters.ts'
import type { HealthTable } from '../health/table.ts'
import { type Linux } from '../linux/calls.ts'
import { endOf, entryBeside, startThread, type Thread } from '../linux/worker.ts'
import { BEAT, LEAVE, SIGNAL, STOP, THREAD_CELLS } from './batch.ts'
import type { Recording } from '../querylog/ring.ts'
import type { Front } from './front.ts'
import { NeighbourWatch } from './neighbours.ts'
import { Seat, YOUNG_MS } from './seat.ts'
import { type BoundEndpoint, receiveBufferOf, sendBufferOf, type UdpSocket } from './sockets.ts'
import type { Assignment } from './thread.ts'

/** States of the front end of UDP. */
export interface UdpStats {
  readonly form: 'batched' | 'portable'
  /** Why it is portable without being asked for: koffi or recvmmsg is missing. */
  readonly reason?: string
  readonly threads: number
  /** How many threads were replaced, in all, and how many because they hung. */
  readonly died: number
  readonly stalled: number
  /** Buffer sizes that the kernel granted, in bytes: the least of all sockets. */
  readonly receiveBuffer: number
  readonly sendBuffer: number
}

/** What the answering threads are started with. */
export interface ThreadsOptions {
  /** Thread i gets the i-th UDP socket of each; stop() closes the sockets. */
  readonly bound: readonly BoundEndpoint[]
  readonly threads: number
  readonly world: World
  readonly protocol: Protocol
  readonly health: HealthTable
  readonly adoption: Adoption
  /** For each thread how it records queries; undefined: it does not. */
  readonly recordings: readonly (Recording | undefined)[]
  readonly log: Log
}

const READY_POLL_MS = 5

/** What a seat's threads work with, one after the other. */
interface Desk {
  readonly index: number
  readonly sockets: readonly UdpSocket[]
  readonly cells: Int32Array
  readonly counters: Float64Array
}

interface TakenDesk extends Desk {
  readonly seat: Seat
}

/** The front end of batched UDP. */
export class Threads implements Front {
  readonly #calls: Linux
  readonly #options: ThreadsOptions
  readonly #desks: readonly TakenDesk[]
  readonly #receiveBuffer: number
  readonly #sendBuffer: number
  readonly #neighbours: NeighbourWatch
  #spare: Thread | undefined
  #world: World
  #protocol: Protocol
  /** See SIGNAL. */
  #posted = 1
  #stopping = false

  constructor(calls: Linux, options: ThreadsOptions) {
    this.#calls = calls
    this.#options = options
    this.#world = options.world
    this.#protocol = options.protocol
    const sockets = options.bound.flatMap(({ udp }) => udp)
    this.#receiveBuffer = Math.min(...sockets.map(({ fd }) => receiveBufferOf(calls, fd)))
    this.#sendBuffer = Math.min(...sockets.map(({ fd }) => sendBufferOf(calls, fd)))
    const ofFamily = (wanted: 4 | 6): number => sockets.filter(({ family }) => family === wanted).length
    this.#neighbours = new NeighbourWatch(calls, { 4: ofFamily(4), 6: ofFamily(6) }, options.log)
    this.#desks = Array.from({ length: options.threads }, (_, index) => {
      const desk: Desk = {
        index,
        sockets: options.bound.map(({ udp }) => udp[index]!),
        cells: new Int32Array(new SharedArrayBuffer(THREAD_CELLS * Int32Array.BYTES_PER_ELEMENT)),
        counters: makeCounters(),
      }
      const seat = new Seat({
        what: 'an answering thread',
        fields: { thread: index },
        log: options.log,
        start: () => this.#start(desk),
        beat: () => Atomics.load(desk.cells, BEAT),
        onEnd: () => void Atomics.store(options.adoption, index + 1, ABSENT),
      })
      return { ...desk, seat }
    })
  }

  /** Resolves when every thread answers; rejects when one dies first. */
  async ready(): Promise<void> {
    while (this.#desks.some(({ cells }) => Atomics.load(cells, BEAT) === 0)) {
      if (this.#count('died') > 0) throw new Error('the answering threads end as soon as they are started')
      await sleep(READY_POLL_MS)
    }
    this.#spare = this.#warm() // not before: it would compete with the others for CPU
  }

  publish(world: World): void {
    this.#world = world
    this.#post({ world })
  }

  setProtocol(protocol: Protocol): void {
    this.#protocol = protocol
    this.#post({ protocol })
  }

  #post(replacement: Replacement): void {
    this.#posted++
    for (const { seat, cells } of this.#desks) {
      seat.postMessage(replacement)
      Atomics.store(cells, SIGNAL, this.#posted)
    }
  }

  counters(): readonly Float64Array[] {
    return this.#desks.map(({ counters }) => counters)
  }

  beats(): readonly number[] {
    return this.#desks.map(({ cells }) => Atomics.load(cells, BEAT))
  }

  stats(): UdpStats {
    return {
      form: 'batched',
      threads: this.#desks.length,
      died: this.#count('died'),
      stalled: this.#count('stalled'),
      receiveBuffer: this.#receiveBuffer,
      sendBuffer: this.#sendBuffer,
    }
  }

  #count(what: 'died' | 'stalled'): number {
    return this.#desks.reduce((sum, { seat }) => sum + seat[what], 0)
  }

  async stop(drainMs: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    const dismissed = this.#dismiss(this.#spare)
    const signal = drainMs > 0 ? LEAVE : STOP
    await Promise.all(
      this.#desks.map(({ seat, cells }) => seat.stop(() => void Atomics.store(cells, SIGNAL, signal), drainMs)),
    )
    await dismissed
    this.#neighbours.stop()
    for (const { fd } of this.#options.bound.flatMap(({ udp }) => udp)) this.#calls.close(fd)
  }

  /** Ends the spare by a message: terminating a thread while it loads koffi crashes the process. */
  async #dismiss(spare: Thread | undefined): Promise<void> {
    if (spare === undefined) return
    const ended = endOf(spare)
    spare.postMessage(null)
    await ended
  }

  #warm(): Thread {
    const worker = startThread(entryBeside(import.meta.url, 'thread'), { name: 'answering' })
    worker.on('error', (error) => this.#options.log('error', `an answering thread failed: ${String(error)}`, { error }))
    const startedMs = performance.now()
    worker.once('exit', () => {
      if (this.#spare !== worker) return // it has a seat: #replace() handles its exit
      this.#spare = undefined
      const isYoung = performance.now() - startedMs < YOUNG_MS
      if (!this.#stopping) setTimeout(() => (this.#spare ??= this.#warm()), isYoung ? YOUNG_MS : 0)
    })
    return worker
  }

  /** Assigns the spare to a seat, and starts the next spare. */
  #start({ index, sockets, cells, counters }: Desk): Thread {
    const worker = this.#spare ?? this.#warm()
    const wasSpare = this.#spare === worker
    const { health, adoption, recordings } = this.#options
    const reader = index + 1
    Atomics.store(cells, BEAT, 0)
    // from here on this World's memory is kept, however long the thread takes to start
    Atomics.store(adoption, reader, this.#world.generation)
    Atomics.store(cells, SIGNAL, this.#posted)
    const assignment: Assignment = {
      sockets,
      cells,
      world: this.#world,
      protocol: this.#protocol,
      health,
      counters,
      adoption,
      neighbours: this.#neighbours.tables,
      reader,
      seed: 1 + Math.floor(Math.random() * 0x7ffffffe),
      recording: recordings[index],
    }
    worker.postMessage(assignment)
    if (wasSpare) this.#spare = this.#warm()
    return worker
  }
}
