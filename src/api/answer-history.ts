/**
 * How many steered answers a second each site of each service had in each hour of the last 8 days: what a rate of now is
 * compared with. An hour is one of the clock (UTC) that was counted from its beginning to its end; every other hour is
 * unknown, which is not zero. In memory only: a process that starts knows nothing. Kept by AnswerRates.
 *
 * It costs 4 bytes for each hour and (service, site): 10,000 members at as many places take 7.7 MB after 8 days, and no more.
 */
import { ANSWER_STAGES, type AnswerCells, C_ANSWERS, sumCounters } from '../counters.ts'
import { DAY_MS } from '../units.ts'

const HOUR_MS = 3_600_000
/** The hour a week before, and the one that is being counted. */
const HOURS = 8 * 24 + 1
/** An hour may be so much longer or shorter: it is looked at every few seconds, and clocks are corrected. */
const OFF_MS = 60_000

/** Answers a second over a whole hour; null: unknown. */
export interface HoursBefore {
  /** The same hour of the day before. */
  readonly day: number | null
  /** The same hour a week before. */
  readonly week: number | null
}

/** What an AnswerHistory is made from. */
export interface HistorySources {
  /** The counters of all threads. */
  readonly counters: () => readonly Float64Array[]
  readonly cells: Pick<AnswerCells, 'length'>
  /** Unix time in ms. */
  readonly nowMs: () => number
  /** A monotonic clock, in ms. */
  readonly elapsedMs: () => number
}

/** The beginning of an hour that is being counted. */
interface Mark {
  /** Since 1970. */
  readonly hour: number
  readonly elapsedMs: number
  /** The answers until then, by pair. */
  readonly answers: Float64Array
}

/** The hours of a process. */
export class AnswerHistory {
  readonly #sources: HistorySources
  /** Hour % HOURS → answers a second by pair: (cell − C_ANSWERS) / stages. Pairs that came later are not in it. */
  readonly #hours = new Map<number, { readonly hour: number; readonly rates: Float32Array }>()
  #mark: Mark | undefined
  #lastHour: number

  constructor(sources: HistorySources) {
    this.#sources = sources
    this.#lastHour = hourOf(sources.nowMs())
  }

  /** Closes the hour that is over, if one is. To be called every few seconds. */
  look(): void {
    const { nowMs, elapsedMs } = this.#sources
    const hour = hourOf(nowMs())
    if (hour === this.#lastHour) return
    this.#lastHour = hour
    const mark = { hour, elapsedMs: elapsedMs(), answers: this.#answers() }
    const before = this.#mark
    this.#mark = mark
    if (before === undefined || before.hour !== hour - 1) return
    const tookMs = mark.elapsedMs - before.elapsedMs
    if (Math.abs(tookMs - HOUR_MS) > OFF_MS) return
    const rates = Float32Array.from(before.answers, (count, pair) => ((mark.answers[pair]! - count) * 1000) / tookMs)
    this.#hours.set(before.hour % HOURS, { hour: before.hour, rates })
  }

  /** The rates a day and a week before of the pair whose first cell this is. */
  before(cell: number): HoursBefore {
    const nowMs = this.#sources.nowMs()
    return { day: this.#at(nowMs - DAY_MS, cell), week: this.#at(nowMs - 7 * DAY_MS, cell) }
  }

  /** Memory that the hours take. */
  get bytes(): number {
    return [...this.#hours.values()].reduce((sum, { rates }) => sum + rates.byteLength, 0)
  }

  #at(atMs: number, cell: number): number | null {
    const hour = hourOf(atMs)
    const kept = this.#hours.get(hour % HOURS)
    const rate = kept?.hour === hour ? kept.rates[(cell - C_ANSWERS) / ANSWER_STAGES.length] : undefined
    return rate === undefined ? null : Math.round(10 * rate) / 10
  }

  #answers(): Float64Array {
    const { counters, cells } = this.#sources
    const sums = sumCounters(counters(), cells.length)
    const stages = ANSWER_STAGES.length
    return Float64Array.from({ length: (cells.length - C_ANSWERS) / stages }, (_, pair) => {
      const from = C_ANSWERS + pair * stages
      return sums.subarray(from, from + stages).reduce((sum, count) => sum + count, 0)
    })
  }
}

const hourOf = (atMs: number): number => Math.floor(atMs / HOUR_MS)
