/**
 * Awaits a promise for at most `ms`; then the result is what `late` returns or throws. Nothing waits forever for a disk,
 * Redis or a thread.
 */
export async function within<T, L>(ms: number, promise: Promise<T>, late: () => L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined
  const waited = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  try {
    return await Promise.race([promise, waited.then(late)])
  } finally {
    clearTimeout(timer)
  }
}
