/** What a promise comes to, or what `late` gives or throws when it takes longer: nobody waits for a disk, Redis or a thread forever. */
export async function within<T, L>(ms: number, promise: Promise<T>, late: () => L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined
  const waited = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  try {
    return await Promise.race([promise, waited.then(late)])
  } finally {
    clearTimeout(timer)
  }
}
