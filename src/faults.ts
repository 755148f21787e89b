/**
 * Bugs: exceptions that nothing caught, in a timer, an event or a promise of the main thread. During the start they end
 * the process. Once it serves they do not: the answering threads have all that they need, and a name server with one
 * broken handler is better than none. Each is logged with its stack, counted, and shown by `meridian status`.
 */
import type { Logger } from 'pino'
import { formatAge } from './units.ts'

/** At most one fault is logged in this time. */
const LOG_MS = 1000

/** Counts and logs uncaught exceptions. */
export class Faults {
  count = 0
  #last: { readonly text: string; readonly atMs: number } | undefined
  #loggedMs = -Infinity

  /** From now on, an uncaught exception is noted and does not end the process. */
  contain(log: Logger): void {
    process.on('uncaughtException', (error: unknown, origin) => this.note(error, origin, log))
  }

  note(error: unknown, origin: string, log: Logger): void {
    this.count++
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    this.#last = { text, atMs: performance.now() }
    if (performance.now() - this.#loggedMs < LOG_MS) return
    this.#loggedMs = performance.now()
    const fields = { origin, stack: error instanceof Error ? error.stack : undefined, faults: this.count }
    log.error(fields, `a fault of Meridian itself, please report it; answers go on: ${text}`)
  }

  /** The last fault in words, with its age; undefined if there was none. */
  get trouble(): string | undefined {
    if (this.#last === undefined) return undefined
    const { text, atMs } = this.#last
    const times = this.count === 1 ? '' : `, the last of ${this.count}`
    return `a fault of Meridian itself ${formatAge(performance.now() - atMs)} ago${times}: ${text}; please report it with the log, and restart when it suits`
  }
}

/** The faults of this process. */
export const faults = new Faults()
