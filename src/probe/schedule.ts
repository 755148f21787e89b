/**
 * When each check runs: a heap of jobs by due time under one timer, cheap for tens of thousands. At most BATCH checks
 * begin before I/O is served, so that a backlog is worked off at the network's pace and not in one burst. The heartbeat
 * overtakes waiting checks: an overloaded prober reports that and is not silent.
 *
 *   heap ─ due ─▶ paced? ─▶ queue, in the order they were due ─ as the pace allows ─▶ run
 *                   └ no: run
 */
import { hashText } from '../hash.ts'

/** Most checks that begin in one turn of the event loop. */
const BATCH = 64
/** Seconds' worth of the rate that may begin at once. */
const BURST_SECONDS = 0.05
/** Entries that have run are removed from the queue in steps of this. */
const QUEUE_TRIMMED = 4096

/** Something to run at a time. */
export interface Job {
  /** When it runs next, on this thread's monotonic clock; Infinity: not planned. Set by Schedule only. */
  dueMs: number
  /** A check: it is subject to BATCH and the rate. */
  readonly paced?: boolean
  /** Called once per plan(), at the due time or later; may plan itself again. */
  run(nowMs: number): void
}

/** Offset of a target's checks within its interval in ms: different at each prober, the same after a restart. */
export const phaseOf = (prober: string, target: string, intervalMs: number): number =>
  ((hashText(`${prober} ${target}`) >>> 0) / 2 ** 32) * intervalMs

/** First instant after `afterMs` that lies `phaseMs` after a multiple of the interval. */
export function nextTurn(afterMs: number, phaseMs: number, intervalMs: number): number {
  const turnMs = (Math.floor((afterMs - phaseMs) / intervalMs) + 1) * intervalMs + phaseMs
  return turnMs > afterMs ? turnMs : turnMs + intervalMs // rounding
}

interface Entry {
  readonly atMs: number
  readonly job: Job
}

/** A token bucket: at most `perSecond` a second, and BURST_SECONDS' worth of them at once. */
class Pace {
  readonly #perMs: number
  readonly #most: number
  #tokens: number
  #atMs = performance.now()

  constructor(perSecond: number) {
    this.#perMs = perSecond / 1000
    this.#most = Math.max(1, perSecond * BURST_SECONDS)
    this.#tokens = this.#most
  }

  take(nowMs: number): boolean {
    if (this.#perMs === Infinity) return true
    this.#tokens = Math.min(this.#most, this.#tokens + (nowMs - this.#atMs) * this.#perMs)
    this.#atMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  /** When the next one may begin, after take() has refused. */
  get nextMs(): number {
    return this.#atMs + (1 - this.#tokens) / this.#perMs
  }
}

/** The jobs of one thread. */
export class Schedule {
  /** Binary heap by atMs. An entry whose job has another due time by now is stale. */
  readonly #heap: Entry[] = []
  /** Due checks beyond the rate, first come, first served; entries before #served have run. */
  readonly #queue: Entry[] = []
  #served = 0
  readonly #pace: Pace
  #timer: NodeJS.Timeout | undefined
  #timerMs = Infinity
  #running = false
  #stopped = false

  /** At most so many paced jobs begin in a second. */
  constructor(perSecond = Infinity) {
    this.#pace = new Pace(perSecond)
  }

  /** Plans a job, replacing its earlier time. */
  plan(job: Job, atMs: number): void {
    job.dueMs = atMs
    this.#push({ atMs, job })
    if (!this.#running) this.#arm()
  }

  /** Removes a job. */
  cancel(job: Job): void {
    job.dueMs = Infinity
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#heap.length = 0
    this.#queue.length = 0
    this.#served = 0
  }

  #arm(): void {
    const firstMs = this.#heap[0]?.atMs ?? Infinity
    const nextMs = this.#queue.length === 0 ? firstMs : Math.min(firstMs, this.#pace.nextMs)
    if (this.#stopped || nextMs >= this.#timerMs) return
    clearTimeout(this.#timer)
    this.#timerMs = nextMs
    this.#timer = setTimeout(() => this.#loop(), Math.max(0, Math.ceil(nextMs - performance.now())))
  }

  readonly #loop = (): void => {
    this.#timerMs = Infinity
    this.#running = true
    const nowMs = performance.now()
    const left = this.#runDue(nowMs, this.#runQueue(nowMs, BATCH))
    this.#running = false
    if (left === 0 && !this.#stopped) {
      this.#timerMs = -Infinity // nothing re-arms before the rest has run
      setImmediate(this.#loop)
    } else this.#arm()
  }

  /** Runs queued checks as the rate allows; returns how many of `left` remain. */
  #runQueue(nowMs: number, left: number): number {
    while (this.#queue.length > 0 && left > 0) {
      const entry = this.#queue[this.#served]!
      const stale = entry.job.dueMs !== entry.atMs
      if (!stale && !this.#pace.take(nowMs)) break
      this.#served++
      if (this.#served === this.#queue.length || this.#served === QUEUE_TRIMMED) {
        this.#queue.splice(0, this.#served)
        this.#served = 0
      }
      if (stale) continue
      this.#run(entry, nowMs)
      left--
    }
    return left
  }

  /** Runs due jobs; checks beyond `left` and the rate are queued, so that no other job waits for them. */
  #runDue(nowMs: number, left: number): number {
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= nowMs; first = this.#heap[0]) {
      this.#pop()
      const { job, atMs } = first
      if (job.dueMs !== atMs) continue
      if (job.paced !== true) this.#run(first, nowMs)
      else if (left === 0 || !this.#pace.take(nowMs)) this.#queue.push(first)
      else {
        this.#run(first, nowMs)
        left--
      }
    }
    return left
  }

  #run({ job }: Entry, nowMs: number): void {
    job.dueMs = Infinity
    job.run(nowMs)
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const above = (at - 1) >> 1
      if (heap[above]!.atMs <= entry.atMs) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && heap[below + 1]!.atMs < heap[below]!.atMs) below++
      if (heap[below]!.atMs >= last.atMs) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
  }
}
