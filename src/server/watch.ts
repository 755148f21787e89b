/**
 * Tells when something changed in the zones folder or a database: changes are gathered until it has been quiet for a
 * while. What changed, and whether the content did, is for the loader to find out.
 */
import { watch } from 'chokidar'

export interface Watcher {
  stop(): Promise<void>
}

const QUIET_MS = 500

/**
 * `paths`: files and folders; they may come, go and be replaced (also by the link swap of Kubernetes volumes).
 * Resolves when the watch stands: no change after that is missed.
 */
export async function watchPaths(paths: readonly string[], changed: () => void, quietMs = QUIET_MS): Promise<Watcher> {
  let quiet: NodeJS.Timeout | undefined
  const watcher = watch([...paths], {
    ignoreInitial: true,
    ignored: (path) => path.endsWith('/.git') || path.endsWith('/node_modules'),
  })
  const ready = new Promise<void>((resolve) => void watcher.once('ready', resolve))
  const stir = (): void => {
    clearTimeout(quiet)
    quiet = setTimeout(changed, quietMs)
  }
  watcher.on('all', stir)
  watcher.on('error', stir) // what can't be watched any more can't be read either, and the loader says that best
  await ready
  return {
    stop() {
      clearTimeout(quiet)
      return watcher.close()
    },
  }
}
