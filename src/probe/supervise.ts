/**
 * One of the prober's threads, seen from the main thread: started, watched, and replaced when it dies or its heartbeat
 * stops. A flood of queries starves no check, and a bug in a check stops no answer.
 */
import { MessageChannel } from 'node:worker_threads'
import { type ProberWriter, HEARTBEAT_MS } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import { within } from '../health/within.ts'
import { entryBeside, startThread, type Thread } from '../linux/worker.ts'
import { serveWriter } from '../store/port.ts'
import { killRunning, makeRunning } from './checks/exec.ts'
import type { Certificate } from './checks/observation.ts'
import type { Activity } from './prober.ts'
import type { ProberMessage, ProberCommand, WorkerData } from './worker.ts'

/** Heartbeats that may be missing; more before the first, while the thread loads. */
const MISSED_BEATS = 5
const MISSED_AT_START = 20
/** Before a thread that died is started again; doubled each time it doesn't live for as many beats as SOUND_BEATS. */
const RESTART_MS = 100
const RESTART_MAX_MS = 10_000
const SOUND_BEATS = 30
/** For a thread to come to its end; one that stands still is ended anyway. */
const STOP_MS = 500

/** Entry file of a prober's thread. */
export const WORKER = entryBeside(import.meta.url, 'worker')

/** What a SupervisedThread needs of its prober. */
export interface SupervisedSettings extends Omit<WorkerData, 'running' | 'writer'> {
  /** What the thread says comes out here. */
  readonly writer: ProberWriter
  readonly entry: URL
  readonly onTrouble: (trouble: string) => void
  readonly onCertificate: (target: string, certificate: Certificate) => void
  /** The thread is gone, and will be replaced. */
  readonly onGone: () => void
}

/** One thread of the prober, replaced when it dies or hangs. */
export class SupervisedThread {
  restarts = 0
  readonly #settings: SupervisedSettings
  #worker: Thread
  #targets: readonly Target[] = []
  #activity: Activity | undefined
  #activityMs = 0
  /** Who has asked for it since the thread answered last. */
  readonly #asking = new Set<(activity: Activity) => void>()
  #missed = 0
  #patience = MISSED_AT_START
  #delayMs = RESTART_MS
  #stopped = false
  #restart: NodeJS.Timeout | undefined
  readonly #watch: NodeJS.Timeout

  constructor(settings: SupervisedSettings) {
    this.#settings = settings
    this.#worker = this.#start()
    this.#watch = setInterval(() => this.#look(), HEARTBEAT_MS)
  }

  setTargets(targets: readonly Target[]): void {
    this.#targets = targets
    this.#tell({ targets })
  }

  /** As it is now; after `withinMs` as it was when it last answered, its times grown older since. */
  async activity(withinMs: number): Promise<Activity | undefined> {
    const activity = await this.#ask('report', withinMs)
    if (activity !== undefined || this.#activity === undefined) return activity
    const sinceMs = performance.now() - this.#activityMs
    const targets = this.#activity.targets.map((one) => ({
      ...one,
      lastRunMs: one.lastRunMs === undefined ? undefined : one.lastRunMs + sinceMs,
      heldDownMs: Math.max(0, one.heldDownMs - sinceMs),
    }))
    return { checksPerSecond: 0, targets }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#watch)
    clearTimeout(this.#restart)
    await this.#ask('stop', STOP_MS) // it is starting no command then: what it runs is noted
    await this.#worker.terminate()
  }

  #start(): Thread {
    const { port1, port2 } = new MessageChannel()
    const { identity, canaries, rate, checks, reach, trusted, entry, onTrouble } = this.#settings
    const running = makeRunning()
    const data: WorkerData = { identity, canaries, rate, checks, reach, trusted, running, writer: port2 }
    serveWriter(port1, this.#watchedWriter(), (error) => onTrouble(`the store refuses votes: ${String(error)}`))
    this.#missed = 0
    this.#patience = MISSED_AT_START
    const worker = startThread(entry, { workerData: data, transferList: [port2], name: 'prober' })
    let cause = 'it ended'
    worker.on('message', (message: ProberMessage) => this.#receive(message))
    worker.on('error', (error) => (cause = String(error)))
    worker.on('exit', () => {
      port1.close()
      killRunning(running)
      if (!this.#stopped) this.#replace(cause)
    })
    worker.postMessage({ targets: this.#targets } satisfies ProberCommand)
    return worker
  }

  /** The thread's writer; its heartbeats show that the thread works. */
  #watchedWriter(): ProberWriter {
    const { writer } = this.#settings
    return {
      replace: (votes) => writer.replace(votes),
      change: (vote) => writer.change(vote),
      retire: (targets) => writer.retire(targets),
      heartbeat: (beat) => {
        this.#missed = 0
        this.#patience = MISSED_BEATS
        if (beat.sequence >= SOUND_BEATS) this.#delayMs = RESTART_MS
        return writer.heartbeat(beat)
      },
    }
  }

  #receive(message: ProberMessage): void {
    if ('trouble' in message) return this.#settings.onTrouble(message.trouble)
    if ('certificate' in message) return this.#settings.onCertificate(message.target, message.certificate)
    this.#activity = message.activity
    this.#activityMs = performance.now()
    for (const resolve of this.#asking) resolve(message.activity)
    this.#asking.clear()
  }

  /** undefined when it doesn't answer in time. */
  #ask(command: 'report' | 'stop', withinMs: number): Promise<Activity | undefined> {
    const answered = new Promise<Activity>((resolve) => this.#asking.add(resolve))
    this.#tell(command)
    return within(withinMs, answered, () => undefined)
  }

  #tell(command: ProberCommand): void {
    this.#worker.postMessage(command)
  }

  /** Counts turns of this clock and not time: when the whole process stood still, the thread is not to blame. */
  #look(): void {
    if (++this.#missed === this.#patience) void this.#worker.terminate() // its exit replaces it
  }

  #replace(cause: string): void {
    const silent = this.#missed >= this.#patience
    const why = silent ? `its heartbeat stood still for ${this.#patience} s` : cause
    this.restarts++
    this.#settings.onTrouble(`the prober's thread is being replaced: ${why}`)
    this.#settings.onGone()
    this.#restart = setTimeout(() => (this.#worker = this.#start()), this.#delayMs)
    this.#delayMs = Math.min(2 * this.#delayMs, RESTART_MAX_MS)
    this.#missed = -Infinity
  }
}
