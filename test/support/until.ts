/** Waiting for a state: what tests do where others would sleep. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Only against hanging. A test gives its own time where the time is what it claims. */
const HANGING_MS = 60_000
/**
 * Looks cost CPU time that what is waited for needs: the longer the wait, the rarer they are. After a twentieth of what has
 * passed, but after so long at most; and not before a look has cost half of the time.
 */
const RAREST_MS = 100

/**
 * Looks until there is something other than undefined and false, and returns it. Throws when it takes longer than `withinMs` and
 * `moreMs()`, which is asked when the former is over: cpu.ts has one.
 */
export async function until<T>(
  what: string | (() => string),
  look: () => Promise<T | undefined> | T | undefined,
  withinMs = HANGING_MS,
  moreMs: () => number = () => 0,
): Promise<T> {
  const beganMs = performance.now()
  for (;;) {
    const lookMs = performance.now()
    const looked = look()
    const found = await looked
    if (found !== undefined && found !== false) return found
    const passedMs = performance.now() - beganMs
    const tookMs = performance.now() - lookMs
    if (passedMs > withinMs && passedMs > withinMs + moreMs())
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`)
    const least = looked instanceof Promise ? 25 : 2 // who answers a Promise may be a process
    await sleep(Math.max(Math.min(Math.max(least, passedMs / 20), RAREST_MS), Math.min(tookMs, 1_000)))
  }
}
