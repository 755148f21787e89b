/**
 * The prober's thread, seen from the main thread: started, watched, and replaced when it dies or its heartbeat stops. A
 * flood of queries starves no check, and a bug in a check stops no answer. What it said last stands meanwhile.
 */
import { randomUUID } from 'node:crypto'
import { extname } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { Endpoint } from '../config.ts'
import { serveBoard } from '../health/memory.ts'
import { type Heartbeat, HEARTBEAT_MS, type Store, type Vote } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import type { ProberNews, ProberOrder, WorkerData } from './worker.ts'

/** Heartbeats that may be missing; more before the first, while the thread loads. */
const MISSED_BEATS = 5
const MISSED_AT_START = 20
/** Before a thread that died is started again; doubled each time it doesn't live for as many beats as SOUND_BEATS. */
const RESTART_MS = 100
const RESTART_MAX_MS = 10_000
const SOUND_BEATS = 30

const WORKER = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)

export interface ProberThreadSettings {
  readonly name: string
  readonly region: string
  readonly store: Store
  /** Reached over TCP: while none of a family can be, the prober abstains for that family. */
  readonly canaries?: readonly Endpoint[]
  /** The thread died or fell silent and is being replaced, or it has other trouble that an operator should read. */
  readonly onTrouble?: (trouble: string) => void
  /** The thread's program; worker.ts unless a test says otherwise. */
  readonly entry?: URL
}

/** What one target's checks did last. */
export interface TargetReport {
  readonly target: Target
  /** Since its last check ended; undefined = none yet. */
  readonly lastRunMs: number | undefined
  /** Its vote now; undefined = none yet. */
  readonly vote: Vote | undefined
  /** How long its UP is held down for having flapped; 0 = not. */
  readonly heldDownMs: number
}

export interface ProberReport {
  readonly name: string
  readonly region: string
  /** Targets of the plan, those that are this prober's, and of these, those given up once a successor has voted. */
  readonly planned: number
  readonly assigned: number
  readonly leaving: number
  /** Checks that began in the last whole second, and what its targets ask for. */
  readonly checksPerSecond: number
  readonly wantedPerSecond: number
  /** In the order of their ids. */
  readonly targets: readonly TargetReport[]
}

export interface ProberThread {
  /** Replaces what is probed; targets that stay keep their state. */
  setTargets(targets: readonly Target[]): void
  /** As it is now; resolves within a second, with what is known, also when a thread is stuck. */
  report(): Promise<ProberReport>
  /** The thread's last sign of life; undefined before the first. */
  readonly lastHeartbeat: Heartbeat | undefined
  /** How often the thread was replaced. */
  readonly restarts: number
  stop(): Promise<void>
}

export const startProber = (settings: ProberThreadSettings): ProberThread => new Supervisor(settings)

class Supervisor implements ProberThread {
  lastHeartbeat: Heartbeat | undefined
  restarts = 0
  readonly #settings: ProberThreadSettings
  #worker: Worker
  #targets: readonly Target[] | undefined
  #missed = 0
  #patience = MISSED_AT_START
  #delayMs = RESTART_MS
  #stopped = false
  #restart: NodeJS.Timeout | undefined
  readonly #watch: NodeJS.Timeout

  constructor(settings: ProberThreadSettings) {
    this.#settings = settings
    this.#worker = this.#start()
    this.#watch = setInterval(() => this.#look(), HEARTBEAT_MS)
  }

  setTargets(targets: readonly Target[]): void {
    this.#targets = targets
    this.#worker.postMessage({ targets } satisfies ProberOrder)
  }

  async report(): Promise<ProberReport> {
    const targets = this.#targets ?? []
    const { name, region } = this.#settings
    const counts = { planned: targets.length, assigned: targets.length, leaving: 0 }
    return { name, region, ...counts, checksPerSecond: 0, wantedPerSecond: 0, targets: [] }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#watch)
    clearTimeout(this.#restart)
    await this.#worker.terminate()
  }

  #start(): Worker {
    const { port1, port2 } = new MessageChannel()
    const { name, region, store, canaries = [], entry = WORKER } = this.#settings
    const identity = { name, region, bootId: randomUUID() }
    const data: WorkerData = { identity, canaries, board: port2 }
    serveBoard(port1, store.board(identity), (error) =>
      this.#settings.onTrouble?.(`the store refuses votes: ${String(error)}`),
    )
    this.#missed = 0
    this.#patience = MISSED_AT_START
    const worker = new Worker(entry, {
      workerData: data,
      transferList: [port2],
      name: 'prober',
    })
    let cause = 'it ended'
    worker.on('message', (news: ProberNews) => this.#hear(news))
    worker.on('error', (error) => (cause = String(error)))
    worker.on('exit', () => {
      port1.close()
      if (!this.#stopped) this.#replace(cause)
    })
    if (this.#targets !== undefined) worker.postMessage({ targets: this.#targets } satisfies ProberOrder)
    return worker
  }

  #hear(news: ProberNews): void {
    if ('trouble' in news) return this.#settings.onTrouble?.(news.trouble)
    this.lastHeartbeat = news.beat
    this.#missed = 0
    this.#patience = MISSED_BEATS
    if (news.beat.sequence >= SOUND_BEATS) this.#delayMs = RESTART_MS
  }

  /** Counts turns of this clock and not time: when the whole process stood still, the thread is not to blame. */
  #look(): void {
    if (++this.#missed === this.#patience) void this.#worker.terminate() // its exit replaces it
  }

  #replace(cause: string): void {
    const silent = this.#missed >= this.#patience
    const why = silent ? `its heartbeat stood still for ${this.#patience} s` : cause
    this.restarts++
    this.#settings.onTrouble?.(`the prober's thread is being replaced: ${why}`)
    this.#restart = setTimeout(() => (this.#worker = this.#start()), this.#delayMs)
    this.#delayMs = Math.min(2 * this.#delayMs, RESTART_MAX_MS)
    this.#missed = -Infinity
  }
}
