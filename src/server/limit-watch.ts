/**
 * Whom the rate limits hit: a log line, at most one a minute however large the attack, and the same for status. It runs
 * on the main thread and reads the counters of the answering threads; the limits themselves are answer/abuse.
 */
import { type LimitedNetwork, takeHeaviest } from '../answer/abuse/heaviest.ts'
import type { Log } from '../config.ts'
import { C_HEAVIEST, C_LIMITED, LIMITED_KINDS, sumCounters, UNPROVEN } from '../counters.ts'

/** What was limited since the report before, a minute ago or more. */
export interface LimitedReport {
  readonly truncated: number
  readonly dropped: number
  /** Of the truncated: those to networks that had not proven their address. */
  readonly unproven: number
  /** The networks that were limited most, with at least so many responses; none where there are very many. */
  readonly networks: readonly LimitedNetwork[]
  readonly atMs: number
}

const LOOK_MS = 5_000
const REPORT_MS = 60_000
/** A network is named if it has at least this part of what was limited. */
const WORTH_NAMING = 0.05
const MOST_NAMED = 5

/** Watches the counters until stop(). */
export class LimitWatch {
  readonly #counters: () => readonly Float64Array[]
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  #report: LimitedReport | undefined
  #truncated = 0
  #dropped = 0
  #unproven = 0

  constructor(counters: () => readonly Float64Array[], log: Log) {
    this.#counters = counters
    this.#log = log
    this.#timer = setInterval(() => this.look(Date.now()), LOOK_MS)
    this.#timer.unref()
  }

  /** The last report, as long as it is of the last two minutes. */
  recent(nowMs: number): LimitedReport | undefined {
    return this.#report !== undefined && nowMs - this.#report.atMs < 2 * REPORT_MS ? this.#report : undefined
  }

  /** Makes a report if something was limited and the last one is a minute old. */
  look(nowMs: number): void {
    if (this.#report !== undefined && nowMs - this.#report.atMs < REPORT_MS) return
    const threads = this.#counters()
    const sum = sumCounters(threads, C_HEAVIEST)
    const total = (from: number): number => LIMITED_KINDS.reduce((all, _, kind) => all + sum[from + kind]!, 0)
    const [truncated, dropped] = [total(C_LIMITED), total(C_LIMITED + LIMITED_KINDS.length)]
    const unproven = sum[C_LIMITED + UNPROVEN]!
    const all = truncated - this.#truncated + (dropped - this.#dropped)
    if (all === 0) return
    const named = takeHeaviest(threads).filter(({ count }) => count >= all * WORTH_NAMING)
    this.#report = {
      truncated: truncated - this.#truncated,
      dropped: dropped - this.#dropped,
      unproven: unproven - this.#unproven,
      networks: named.slice(0, MOST_NAMED),
      atMs: nowMs,
    }
    this.#truncated = truncated
    this.#dropped = dropped
    this.#unproven = unproven
    this.#log('warn', limitedInWords(this.#report), { ...this.#report })
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

/** `1200 responses over UDP were limited (1000 truncated, 200 not sent), most to 192.0.2.0/24 (900)`. */
export function limitedInWords({ truncated, dropped, unproven, networks }: LimitedReport): string {
  const most =
    networks.length > 0
      ? `most to ${networks.map(({ network, count }) => `${network} (${count})`).join(', ')}`
      : 'spread over many networks'
  const newcomers = unproven > 0 ? `, ${unproven} of them to networks that have not proven their address` : ''
  return `rate limits: ${truncated} responses over UDP truncated${newcomers}, ${dropped} not sent; ${most}`
}
