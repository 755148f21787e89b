/**
 * The place of one answering thread, of UDP or TCP, and of all its replacements. The front end (threads.ts, tcp.ts)
 * says how a thread is started; the seat watches it, terminates it when it hangs, and replaces it when it ends.
 *
 *   start ─▶ answering ─┬─ exit ─────────────────────▶ replaced, at once (after a pause if it was
 *                       └─ no beat ─ terminate ────▶   answering for less than YOUNG_MS)
 */
import type { Log } from '../config.ts'
import { endOf, type Thread } from '../linux/worker.ts'

/** How a seat's thread is started and watched. */
export interface SeatOptions {
  /** The thread as log lines name it: `the TCP thread`. */
  readonly what: string
  /** Fields of all log lines about it. */
  readonly fields: Readonly<Record<string, unknown>>
  readonly log: Log
  /** Starts a thread and gives it its work. */
  readonly start: () => Thread
  /**
   * A number that changes while the thread works; 0 before its first beat, while it starts, for which there is no
   * limit.
   */
  readonly beat: () => number
  /** Called when its thread has ended. */
  readonly onEnd: () => void
}

const CHECK_MS = 500
/**
 * Checks without a beat after which a thread counts as hung: 2 s. A count, because the main thread may have been busy
 * itself.
 */
const STILL_CHECKS = 4
/** A thread that ends at a younger age is replaced after a pause of this length. */
export const YOUNG_MS = 1000

/** Keeps one thread running until stop(). */
export class Seat {
  /** How many threads ended, in all, and how many because they hung. */
  died = 0
  stalled = 0
  readonly #options: SeatOptions
  readonly #watching: NodeJS.Timeout
  #thread: Thread | undefined
  #startedMs = 0
  #beat = 0
  #still = 0
  #stopping = false

  constructor(options: SeatOptions) {
    this.#options = options
    this.#fill()
    this.#watching = setInterval(() => this.#watch(), CHECK_MS)
  }

  /** Posts a message to the thread, if one is running. */
  postMessage(message: unknown): void {
    this.#thread?.postMessage(message)
  }

  /**
   * Ends the thread for good: `leave` asks it to end, after `withinMs` it is terminated. Resolves when it has ended.
   */
  async stop(leave: () => void, withinMs: number): Promise<void> {
    this.#stopping = true
    clearInterval(this.#watching)
    const thread = this.#thread
    if (thread === undefined) return
    const ended = endOf(thread)
    const deadline = setTimeout(() => void thread.terminate(), withinMs)
    leave()
    await ended
    clearTimeout(deadline)
  }

  #fill(): void {
    if (this.#stopping) return
    this.#startedMs = performance.now()
    this.#still = 0
    this.#thread = this.#options.start()
    this.#thread.once('exit', () => this.#replace())
  }

  #replace(): void {
    const { what, fields, log, onEnd } = this.#options
    this.#thread = undefined
    onEnd()
    if (this.#stopping) return
    this.died++
    const young = performance.now() - this.#startedMs < YOUNG_MS
    log('error', `${what} ended and is replaced`, { ...fields, young })
    if (young) setTimeout(() => this.#fill(), YOUNG_MS)
    else this.#fill()
  }

  #watch(): void {
    const { what, fields, log } = this.#options
    const beat = this.#options.beat()
    if (beat !== this.#beat || beat === 0 || this.#thread === undefined) this.#still = 0
    else if (++this.#still === STILL_CHECKS) {
      this.stalled++
      log('error', `${what} stood still and is ended`, fields)
      void this.#thread.terminate()
    }
    this.#beat = beat
  }
}
