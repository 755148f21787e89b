/**
 * How many queries a second a node answers, and how many answers name each site: from its counters, over the last 5 to
 * 10 seconds. Kept by RunningNode, shown in the summary.
 */
import { type AnswerCells, QUERY_CELLS, sumCounters } from '../counters.ts'

/** The key `rates` of /api/summary. Plain JSON. */
export interface Rates {
  readonly queriesPerSecond: number
  /** Steered answers by the site that they name; sites that none has named are left out. */
  readonly sites: readonly { readonly site: string; readonly answersPerSecond: number }[]
}

interface Sample {
  readonly atMs: number
  readonly queries: number
  readonly sites: ReadonlyMap<string, number>
}

/** How often a sample is kept: half of the longest time that rates are over. */
const EVERY_MS = 5_000

/** The rates of a process. */
export class AnswerRates {
  readonly #counters: () => readonly Float64Array[]
  readonly #cells: AnswerCells
  readonly #nowMs: () => number
  /** The samples before, oldest first: at most two. */
  #kept: readonly Sample[]
  readonly #timer: NodeJS.Timeout

  /** `counters`: of all threads. `nowMs`: a monotonic clock; performance.now() except in tests. */
  constructor(
    counters: () => readonly Float64Array[],
    cells: AnswerCells,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#counters = counters
    this.#cells = cells
    this.#nowMs = nowMs
    this.#kept = [{ atMs: nowMs(), queries: 0, sites: new Map() }]
    this.#timer = setInterval(() => this.keep(), EVERY_MS).unref()
  }

  /** Keeps a sample; a timer calls it. */
  keep(): void {
    this.#kept = [...this.#kept.slice(-1), this.#sample()]
  }

  /** The rates now. */
  rates(): Rates {
    const [before] = this.#kept
    const now = this.#sample()
    const seconds = Math.max(0.001, (now.atMs - before!.atMs) / 1000)
    const perSecond = (count: number): number => Math.round((10 * count) / seconds) / 10
    return {
      queriesPerSecond: perSecond(now.queries - before!.queries),
      sites: [...now.sites]
        .map(([site, count]) => ({ site, answersPerSecond: perSecond(count - (before!.sites.get(site) ?? 0)) }))
        .toSorted((a, b) => b.answersPerSecond - a.answersPerSecond),
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): Sample {
    const cells = sumCounters(this.#counters())
    const sites = new Map<string, number>()
    for (const { site, cell } of this.#cells.pairs()) {
      if (cells[cell]! > 0) sites.set(site, (sites.get(site) ?? 0) + cells[cell]!)
    }
    return { atMs: this.#nowMs(), queries: cells.subarray(0, QUERY_CELLS).reduce((sum, cell) => sum + cell, 0), sites }
  }
}
