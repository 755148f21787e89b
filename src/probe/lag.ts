/**
 * Measures when and how long this thread's event loop was blocked: a check that timed out meanwhile was late here, not
 * at the site. A tick that runs late was blocked; one that is overdue is being blocked now. It ticks only while checks are in
 * flight: a thread that waits for its next check is not woken.
 */

const TICK_MS = 20
/** Shorter delays are normal for timers. */
const NOTED_MS = 5
const KEPT = 4096

/** Stalls of this thread's event loop. */
export class LagMeter {
  readonly #stalls: { readonly endMs: number; readonly lagMs: number }[] = []
  #dueMs = 0
  #timer: NodeJS.Timeout | undefined
  #inFlight = 0

  /** A check begins. */
  begin(): void {
    if (this.#inFlight++ === 0) this.#arm()
  }

  /** A check that began has ended. */
  end(): void {
    if (--this.#inFlight === 0) clearTimeout(this.#timer)
  }

  /** The longest stall that ended after `sinceMs` or still lasts, and the sum of all of them, in ms. For a check in flight. */
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

  #arm(): void {
    this.#dueMs = performance.now() + TICK_MS
    this.#timer = setTimeout(() => this.#tick(), TICK_MS)
  }

  #tick(): void {
    const nowMs = performance.now()
    const lagMs = nowMs - this.#dueMs
    if (lagMs > NOTED_MS) this.#stalls.push({ endMs: nowMs, lagMs })
    if (this.#stalls.length > KEPT) this.#stalls.splice(0, KEPT / 2)
    this.#arm()
  }
}
