/**
 * How long this thread's event loop stood still, and when: a check that ran out of time meanwhile did so here, not at the site.
 * A tick that comes late has been held up; a tick that is overdue is being held up now.
 */

const TICK_MS = 20
/** Shorter delays are the timers' own. */
const NOTED_MS = 5
const KEPT = 4096

export class LagMeter {
  readonly #stalls: { readonly endMs: number; readonly lagMs: number }[] = []
  #dueMs = 0
  #timer: NodeJS.Timeout | undefined

  start(): void {
    this.#dueMs = performance.now() + TICK_MS
    this.#timer = setTimeout(() => this.#tick(), TICK_MS)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** The longest stall that ended after `sinceMs`, or lasts, and all of them together. */
  since(sinceMs: number): { readonly worstMs: number; readonly totalMs: number } {
    let worstMs = Math.max(0, performance.now() - this.#dueMs)
    let totalMs = worstMs
    for (let i = this.#stalls.length - 1; i >= 0 && this.#stalls[i]!.endMs >= sinceMs; i--) {
      const { lagMs } = this.#stalls[i]!
      worstMs = Math.max(worstMs, lagMs)
      totalMs += lagMs
    }
    return { worstMs, totalMs }
  }

  #tick(): void {
    const nowMs = performance.now()
    const lagMs = nowMs - this.#dueMs
    if (lagMs > NOTED_MS) this.#stalls.push({ endMs: nowMs, lagMs })
    if (this.#stalls.length > KEPT) this.#stalls.splice(0, KEPT / 2)
    this.start()
  }
}
