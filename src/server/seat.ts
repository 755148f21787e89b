/**
 * The seat of one answering thread, over all its replacements: a UDP thread's or the TCP thread's. Its front says how a thread
 * is put to work; here it is watched, ended when its beat stands still, and replaced when it ends.
 *
 *   start ─▶ answering ─┬─ exit ─────────────────────▶ replaced, at once (after a pause if it was
 *                       └─ beat still ─ terminate ─▶   answering for less than YOUNG_MS)
 */
import type { Log } from '../config.ts'
import { endOf, type Thread } from '../linux/worker.ts'

export interface SeatOptions {
  /** `the TCP thread`. */
  readonly what: string
  /** Of all that is logged of it. */
  readonly fields: Readonly<Record<string, unknown>>
  readonly log: Log
  /** Gives a thread that has been put to work. */
  readonly start: () => Thread
  /** A number that changes while the thread lives; 0 before its first beat: it is starting, which takes as long as it takes. */
  readonly beat: () => number
  /** Its thread is gone. */
  readonly onEnd: () => void
}

const CHECK_MS = 500
/** Checks that a beat may stand still: 2 s. Counted, so that a main thread that was held up itself blames nobody. */
const STILL_CHECKS = 4
/** A thread that ends younger is replaced after a pause of as long. */
export const YOUNG_MS = 1000

export class Seat {
  /** Threads that ended, those that stood still among them. */
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

  /** To the thread that has it, if there is one. */
  postMessage(message: unknown): void {
    this.#thread?.postMessage(message)
  }

  /** Nobody takes the seat again. Resolves when its thread has ended: `leave` asks it to, after `withinMs` it is made to. */
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
