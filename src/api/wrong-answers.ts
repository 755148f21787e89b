/**
 * When a dead site was last named in an answer: from the counters of the answering threads, which are looked at four times a
 * second while an outage lasts, so that answering pays nothing for it. Called by RunningNode; shown in /metrics.
 */
import { ANSWER_STAGES, type AnswerCells, C_ANSWERS } from '../counters.ts'
import type { Outage } from '../health/node-health.ts'

/** An outage of a site, in Unix time. */
export interface OutageAnswers {
  readonly service: string
  readonly site: string
  readonly firstSignAtMs: number
  /** By then its last answer so far had been given; late by the time between two looks. */
  readonly lastAnswerAtMs: number
}

/** What WrongAnswers looks at. */
export interface WrongAnswersSources {
  readonly outages: () => Iterable<Outage>
  /** The counters of all threads. */
  readonly counters: () => readonly Float64Array[]
  readonly cells: Pick<AnswerCells, 'cellOf'>
}

interface Seen {
  answers: number
  lastMs: number
}

/** A last resort may name a dead site: no other is left. */
const STAGES = ANSWER_STAGES.filter((stage) => stage !== 'last resort').length

/** The answers that name sites which are dead. */
export class WrongAnswers {
  readonly #sources: WrongAnswersSources
  readonly #seen = new WeakMap<Outage, Seen>()

  constructor(sources: WrongAnswersSources) {
    this.#sources = sources
  }

  /** Counts the answers since the last look; to be called when a verdict changes, and four times a second. */
  look(nowMs: number = performance.now()): void {
    for (const outage of this.#sources.outages()) {
      const seen = this.#seen.get(outage)
      if (seen === undefined) {
        this.#seen.set(outage, { answers: this.#answersOf(outage), lastMs: nowMs })
        continue
      }
      if (outage.isOver) continue
      const answers = this.#answersOf(outage)
      if (answers === seen.answers) continue
      seen.answers = answers
      seen.lastMs = nowMs
    }
  }

  /** The last outage of each service at each site. */
  last(nowMs: number = performance.now(), unixMs: number = Date.now()): OutageAnswers[] {
    const at = (thenMs: number): number => unixMs - (nowMs - thenMs)
    return [...this.#sources.outages()].flatMap((outage) => {
      const seen = this.#seen.get(outage)
      if (seen === undefined) return []
      const { service, site, firstSignMs } = outage
      return [{ service, site, firstSignAtMs: at(firstSignMs), lastAnswerAtMs: at(seen.lastMs) }]
    })
  }

  /** Pairs without cells of their own can't be told apart: 0. */
  #answersOf({ service, site }: Outage): number {
    const cell = this.#sources.cells.cellOf(service, site)
    if (cell === C_ANSWERS) return 0
    let sum = 0
    for (const counters of this.#sources.counters()) for (let i = 0; i < STAGES; i++) sum += counters[cell + i]!
    return sum
  }
}
