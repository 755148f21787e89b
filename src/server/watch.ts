/**
 * Tells when something changed in the zones folder or a database: changes are gathered until it has been quiet for a
 * while. What changed, and whether the content did, is for the loader to find out.
 */
import { type FSWatcher, watch } from 'chokidar'

export interface Watcher {
  stop(): Promise<void>
}

const QUIET_MS = 500
const POLL_MS = 2_000

/**
 * `paths`: files and folders; they may come, go and be replaced (also by the link swap of Kubernetes volumes).
 * Resolves when the watch stands: no change after that is missed. Where the system gives no more watches (inotify's limits)
 * `blind` is told why, once, and from then on the paths are looked at every two seconds.
 */
export async function watchPaths(
  paths: readonly string[],
  changed: () => void,
  blind: (why: string) => void,
  quietMs = QUIET_MS,
): Promise<Watcher> {
  let quiet: NodeJS.Timeout | undefined
  let watcher: FSWatcher | undefined
  const stir = (): void => {
    clearTimeout(quiet)
    quiet = setTimeout(changed, quietMs)
  }
  await new Promise<void>((ready) => {
    const begin = (polling: boolean): void => {
      const begun = watch([...paths], {
        ignoreInitial: true,
        ignored: (path) => path.endsWith('/.git') || path.endsWith('/node_modules'),
        usePolling: polling,
        interval: POLL_MS,
        binaryInterval: POLL_MS,
      })
      watcher = begun
      begun.once('ready', ready)
      begun.on('all', stir)
      begun.on('error', (error) => {
        stir() // what can't be read any more the loader says best
        if (polling || watcher !== begun) return
        blind(String(error))
        begin(true)
        void begun.close()
      })
    }
    begin(false)
  })
  return {
    async stop() {
      clearTimeout(quiet)
      await watcher?.close()
    },
  }
}
