/**
 * Log lines about zone transfers: one for each that was sent or broken off, which only clients that may take copies can
 * cause, and one for each refusal that is new. Called by tcp.ts.
 */
import type { Log } from '../config.ts'
import type { TransferNews } from './transfers.ts'

/** How many refusals are told in FORGET_MS; further ones are only counted. */
const MOST_REFUSALS = 100
const FORGET_MS = 3_600_000

/** Writes what became of transfers. */
export class TransferLog {
  readonly #log: Log
  readonly #told = new Set<string>()
  #sinceMs = 0

  constructor(log: Log) {
    this.#log = log
  }

  add({ zone, client, result }: TransferNews, nowMs = performance.now()): void {
    const log = this.#log
    if ('refused' in result) {
      const { refused: why } = result
      if (this.#isNew(`${zone} ${client} ${why}`, nowMs))
        log('warn', `the transfer of ${zone} was refused to ${client}: ${why}`, { zone, client, why })
    } else if ('broken' in result) {
      log('warn', `the transfer of ${zone} to ${client} was broken off: ${result.broken}`, { zone, client })
    } else {
      const { kind, serial } = result
      log('info', `${zone} was transferred to ${client}: ${kind}, serial ${serial}`, { zone, client, ...result })
    }
  }

  #isNew(refusal: string, nowMs: number): boolean {
    if (nowMs - this.#sinceMs > FORGET_MS) {
      this.#told.clear()
      this.#sinceMs = nowMs
    }
    if (this.#told.has(refusal) || this.#told.size >= MOST_REFUSALS) return false
    this.#told.add(refusal)
    return true
  }
}
