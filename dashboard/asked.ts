/** What a route says, asked again whenever something on the board tells that it says something else by now. */
import { useEffect, useState } from 'preact/hooks'

/** undefined: not known so far. What was said last stays while it can't be asked. `mark`: differs when the answer may. */
export function useAsked<T>(ask: () => Promise<T>, mark: unknown): T | undefined {
  const [said, setSaid] = useState<T>()
  useEffect(() => {
    let stale = false
    ask().then(
      (now) => {
        if (!stale) setSaid(now)
      },
      () => undefined, // the head of the page says that the node does not answer
    )
    return () => {
      stale = true
    }
  }, [mark])
  return said
}
