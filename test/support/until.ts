/** Waiting for a state: what tests do where others would sleep. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Only against hanging. A test gives its own time where the time is what it claims. */
const HANGING_MS = 60_000
/** The longer the wait, the rarer the looks: a twentieth of what has passed, and this at most. Looks cost what is waited for. */
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
    const looked = look()
    const found = await looked
    if (found !== undefined && found !== false) return found
    const passedMs = performance.now() - beganMs
    if (passedMs > withinMs && passedMs > withinMs + moreMs())
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`)
    const least = looked instanceof Promise ? 25 : 2 // who answers a Promise may be a process
    await sleep(Math.min(Math.max(least, passedMs / 20), RAREST_MS))
  }
}
