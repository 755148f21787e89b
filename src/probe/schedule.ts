/**
 * When what is checked: a heap of jobs by due time under one timer, cheap for tens of thousands. The loop runs at most
 * BATCH jobs before it lets I/O in, so that a stall is caught up at the pace of the network and not in one burst.
 */
import { hashText } from '../policy/hash.ts'

const BATCH = 64

export interface Job {
  /** When it runs next, on this thread's monotonic clock; Infinity = not planned. Set by Schedule alone. */
  dueMs: number
  /** Called once for each plan(), at the due time or later; plans itself again when it wants. */
  run(nowMs: number): void
}

/** Where in its interval a target's checks lie: different at each prober, the same after a restart. */
export const phaseOf = (prober: string, target: string, intervalMs: number): number =>
  ((hashText(`${prober} ${target}`) >>> 0) / 2 ** 32) * intervalMs

/** First instant after `afterMs` that lies `phaseMs` behind a multiple of the interval. */
export function nextTurn(afterMs: number, phaseMs: number, intervalMs: number): number {
  const turnMs = (Math.floor((afterMs - phaseMs) / intervalMs) + 1) * intervalMs + phaseMs
  return turnMs > afterMs ? turnMs : turnMs + intervalMs // rounding
}

interface Entry {
  readonly atMs: number
  readonly job: Job
}

export class Schedule {
  /** Binary heap by atMs. An entry whose job has another due time by now is stale. */
  readonly #heap: Entry[] = []
  #timer: NodeJS.Timeout | undefined
  #timerMs = Infinity
  #running = false
  #stopped = false

  plan(job: Job, atMs: number): void {
    job.dueMs = atMs
    this.#push({ atMs, job })
    if (!this.#running) this.#arm()
  }

  cancel(job: Job): void {
    job.dueMs = Infinity
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#heap.length = 0
  }

  #arm(): void {
    const first = this.#heap[0]
    if (this.#stopped || first === undefined || first.atMs >= this.#timerMs) return
    clearTimeout(this.#timer)
    this.#timerMs = first.atMs
    this.#timer = setTimeout(() => this.#loop(), Math.max(0, Math.ceil(first.atMs - performance.now())))
  }

  readonly #loop = (): void => {
    this.#timerMs = Infinity
    this.#running = true
    const nowMs = performance.now()
    let left = BATCH
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= nowMs && left > 0; first = this.#heap[0]) {
      this.#pop()
      if (first.job.dueMs !== first.atMs) continue
      first.job.dueMs = Infinity
      first.job.run(nowMs)
      left--
    }
    this.#running = false
    if (left === 0 && !this.#stopped) {
      this.#timerMs = -Infinity // nothing re-arms before the rest has run
      setImmediate(this.#loop)
    } else this.#arm()
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
