/**
 * How many queries a second a node answers, where they come from, and how many answers name each site, by service and
 * stage: from its counters, over the last 5 to 10 seconds, and in the same hour before. Kept by RunningNode, shown in status,
 * summary and board.
 */
import { ANSWER_STAGES, type AnswerCells, type AnswerStage, QUERY_CELLS, sumCounters } from '../counters.ts'
import { AnswerHistory, type HoursBefore } from './answer-history.ts'
import type { Origins } from './origins.ts'

/** The key `rates` of /api/summary. Plain JSON. What is 0 is left out; the largest comes first. */
export interface Rates {
  readonly queriesPerSecond: number
  /** By ISO 3166-1 code; empty = unknown. */
  readonly countries: readonly { readonly country: string; readonly queriesPerSecond: number }[]
  /** Those of the MOST_SYSTEMS autonomous systems with most queries; 0 = unknown. */
  readonly systems: readonly { readonly asn: number; readonly queriesPerSecond: number }[]
  /** Steered answers by the site that they name; that of answers without a site is empty. */
  readonly sites: readonly SiteRate[]
  /** Steered answers by the stage that found the site. */
  readonly stages: readonly StageRate[]
  readonly services: readonly ServiceRates[]
}

interface SiteRate {
  readonly site: string
  readonly answersPerSecond: number
}

/** Answers whose site was found at one stage. */
export interface StageRate {
  readonly stage: AnswerStage
  readonly answersPerSecond: number
}

/** The steered answers of one service. */
export interface ServiceRates extends AnswersRate {
  readonly service: string
}

/** Answers by site, and by the stage that found it. */
export interface AnswersRate {
  readonly answersPerSecond: number
  readonly sites: readonly (SiteRate & { readonly stages: readonly StageRate[] })[]
}

interface Sample {
  readonly atMs: number
  readonly queries: number
  /** All counters in use. */
  readonly cells: Float64Array
  readonly origins: Origins
}

/** How often a sample is kept: half of the longest time that rates are over. */
const EVERY_MS = 5_000
const MOST_SYSTEMS = 20

/** What rates are made from. */
export interface RateSources {
  /** The counters of all threads. */
  readonly counters: () => readonly Float64Array[]
  readonly cells: AnswerCells
  readonly origins: () => Origins
}

/** The rates of a process. */
export class AnswerRates {
  readonly #sources: RateSources
  readonly #nowMs: () => number
  readonly #history: AnswerHistory
  /** The samples before, oldest first: at most two. */
  #kept: readonly Sample[]
  readonly #timer: NodeJS.Timeout

  /** `nowMs`: a monotonic clock; performance.now() except in tests. `unixMs`: Date.now() except in tests. */
  constructor(sources: RateSources, nowMs: () => number = () => performance.now(), unixMs: () => number = Date.now) {
    this.#sources = sources
    this.#nowMs = nowMs
    this.#history = new AnswerHistory({ ...sources, nowMs: unixMs, elapsedMs: nowMs })
    const origins = { countries: new Map(), systems: new Map(), unlisted: 0 }
    this.#kept = [{ atMs: nowMs(), queries: 0, cells: new Float64Array(0), origins }]
    this.#timer = setInterval(() => this.keep(), EVERY_MS).unref()
  }

  /** Keeps a sample; a timer calls it. */
  keep(): void {
    this.#kept = [...this.#kept.slice(-1), this.#sample()]
    this.#history.look()
  }

  /** The answers a second of a service at a site in the same hour before. `cell`: the first of the two (counters.ts). */
  before(cell: number): HoursBefore {
    return this.#history.before(cell)
  }

  /** The rates now. */
  rates(): Rates {
    const before = this.#kept[0]!
    const now = this.#sample()
    const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000)
    const perSecond = (count: number): number => Math.round((10 * count) / seconds) / 10
    const listed = <K, T>(counts: ReadonlyMap<K, number>, entry: (key: K, rate: number) => T): T[] =>
      [...counts]
        .filter(([, count]) => count > 0)
        .toSorted(([, a], [, b]) => b - a)
        .map(([key, count]) => entry(key, perSecond(count)))

    const sites = new Map<string, number>()
    const stages = new Map<AnswerStage, number>()
    const services = new Map<string, { total: number; sites: Map<string, Map<AnswerStage, number>> }>()
    for (const { service, site, cell } of this.#sources.cells.pairs()) {
      const own = new Map<AnswerStage, number>()
      for (const [i, stage] of ANSWER_STAGES.entries()) {
        const count = now.cells[cell + i]! - (before.cells[cell + i] ?? 0)
        if (count > 0) own.set(stage, count)
      }
      if (own.size === 0) continue
      const of = services.get(service) ?? { total: 0, sites: new Map() }
      services.set(service, of)
      of.sites.set(site, own)
      const total = sumOf(own)
      of.total += total
      add(sites, site, total)
      for (const [stage, count] of own) add(stages, stage, count)
    }
    return {
      queriesPerSecond: perSecond(now.queries - before.queries),
      countries: listed(since(now.origins.countries, before.origins.countries, 0), (country, queriesPerSecond) => ({
        country,
        queriesPerSecond,
      })),
      systems: listed(
        since(now.origins.systems, before.origins.systems, before.origins.unlisted),
        (asn, queriesPerSecond) => ({ asn, queriesPerSecond }),
      ).slice(0, MOST_SYSTEMS),
      sites: listed(sites, siteRate),
      stages: listed(stages, stageRate),
      services: [...services]
        .toSorted(([, a], [, b]) => b.total - a.total)
        .map(([service, { total, sites: at }]) => ({
          service,
          answersPerSecond: perSecond(total),
          sites: [...at]
            .map(([site, of]) => ({ ...siteRate(site, perSecond(sumOf(of))), stages: listed(of, stageRate) }))
            .toSorted((a, b) => b.answersPerSecond - a.answersPerSecond),
        })),
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): Sample {
    const { counters, cells: answers, origins } = this.#sources
    const cells = sumCounters(counters(), answers.length)
    const queries = cells.subarray(0, QUERY_CELLS).reduce((sum, cell) => sum + cell, 0)
    return { atMs: this.#nowMs(), queries, cells, origins: origins() }
  }
}

const siteRate = (site: string, answersPerSecond: number): SiteRate => ({ site, answersPerSecond })

const stageRate = (stage: AnswerStage, answersPerSecond: number): StageRate => ({ stage, answersPerSecond })

const sumOf = (counts: ReadonlyMap<unknown, number>): number =>
  [...counts.values()].reduce((sum, count) => sum + count, 0)

const add = <K>(counts: Map<K, number>, key: K, count: number): void =>
  void counts.set(key, (counts.get(key) ?? 0) + count)

/** What was counted between two moments. `missing`: the count of a key that was not there before. */
const since = <K>(now: ReadonlyMap<K, number>, before: ReadonlyMap<K, number>, missing: number): Map<K, number> =>
  new Map([...now].map(([key, count]) => [key, count - (before.get(key) ?? missing)]))
