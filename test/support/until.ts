/** Waiting for a state with a deadline: what tests do where others would sleep. Only against hanging. */
export async function until(holds: () => boolean, what: string, withinMs = 50_000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
