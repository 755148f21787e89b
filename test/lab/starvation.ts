/**
 * When this machine had no CPU for the lab. A query that a program could not answer for want of CPU says nothing of Meridian; so
 * failures of such times are told apart, and not claimed upon. On a machine with room there are none.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { nowMs } from './client.ts'

const SAMPLE_MS = 500
/** Share of the time for which a thread was ready to run, and did not. */
const STARVED = 0.4
/** What happens so long before or behind such a time may come of it: queries wait in queues, and timeouts have grown. */
const BEFORE_MS = 5_000
const BEHIND_MS = 2_000

export class Starvation {
  readonly #pids: () => readonly number[]
  readonly #timer: NodeJS.Timeout
  /** By thread, in ns. */
  #waited = new Map<string, number>()
  #sampledMs = nowMs()
  readonly #times: { readonly fromMs: number; readonly toMs: number }[] = []

  constructor(pids: () => readonly number[]) {
    this.#pids = pids
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS).unref()
  }

  /** Schedstat: time on the CPU and time of waiting for one, in ns. https://docs.kernel.org/scheduler/sched-stats.html */
  #sample(): void {
    const atMs = nowMs()
    const tookNs = (atMs - this.#sampledMs) * 1e6
    const waited = new Map<string, number>()
    let most = 0
    for (const pid of this.#pids()) {
      for (const thread of listed(`/proc/${pid}/task`)) {
        const wait = Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[1] ?? 0)
        const before = this.#waited.get(thread)
        waited.set(thread, wait)
        if (before !== undefined) most = Math.max(most, wait - before)
      }
    }
    if (most >= STARVED * tookNs || tookNs > 4 * SAMPLE_MS * 1e6)
      this.#times.push({ fromMs: this.#sampledMs, toMs: atMs })
    this.#waited = waited
    this.#sampledMs = atMs
  }

  /** Whether what happened then may come of a want of CPU. In ms of the monotonic clock. */
  excuses(atMs: number): boolean {
    return this.#times.some(({ fromMs, toMs }) => fromMs - BEFORE_MS <= atMs && atMs <= toMs + BEHIND_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // it has ended
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
