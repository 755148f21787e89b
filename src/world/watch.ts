/**
 * Tells when something changed in the zones folder, a database, or what else a load went by: changes are gathered until it
 * has been quiet for a while. What changed, and whether the content did, is for the loader to find out.
 *
 *   chokidar ────────────────┐
 *   a link above them moved ─┴▶ quiet for 500 ms, or 10 s of unrest ─▶ changed()
 */
import { realpath } from 'node:fs/promises'
import { type FSWatcher, watch } from 'chokidar'

export interface Watcher {
  /**
   * From now on these, in place of those before. What is new among them counts as changed: it may have been between the load
   * that named it and now.
   */
  follow(paths: readonly string[]): void
  stop(): Promise<void>
}

export interface WatchSettings {
  /** Called once for a burst of changes. */
  readonly onChange: () => void
  /** Told why, once, where the system gives no more watches (inotify's limits): then files are looked at every two seconds. */
  readonly onPolling: (why: string) => void
  /** Paths that are not looked at, nor what is below them: a link to `/` would be a watch on all there is. */
  readonly ignores?: (path: string) => boolean
  readonly quietMs?: number
  /** A folder that never rests is told of all the same after this. */
  readonly mostMs?: number
}

const QUIET_MS = 500
const MOST_MS = 10_000
const POLL_MS = 2_000
const LINKS_MS = 2_000

/**
 * `paths`: files and folders; they may come, go and be replaced: by renaming, by the link swap of Kubernetes volumes inside of
 * a folder, by moving a link above it. Resolves when the watch stands: no change after that is missed.
 */
export async function watchPaths(paths: readonly string[], settings: WatchSettings): Promise<Watcher> {
  const watcher = new PathWatcher(paths, settings)
  await watcher.ready
  return watcher
}

class PathWatcher implements Watcher {
  readonly #settings: Required<WatchSettings>
  readonly ready: Promise<void>
  #paths: readonly string[]
  #watcher: FSWatcher
  #polling = false
  #quiet: NodeJS.Timeout | undefined
  #restlessSinceMs: number | undefined
  /** Real paths, as they were when they were last looked at. */
  #real: string
  readonly #looking: NodeJS.Timeout

  constructor(paths: readonly string[], settings: WatchSettings) {
    this.#settings = { ignores: () => false, quietMs: QUIET_MS, mostMs: MOST_MS, ...settings }
    this.#paths = paths
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#watcher = this.#begin(resolve)
    this.#real = ''
    this.#looking = setInterval(() => void this.#lookAtLinks(), LINKS_MS).unref()
    this.ready = Promise.all([promise, this.#lookAtLinks()]).then(() => {})
  }

  #begin(ready: () => void): FSWatcher {
    const begun = watch([...this.#paths], {
      ignoreInitial: true,
      ignored: (path) => path.endsWith('/.git') || path.endsWith('/node_modules') || this.#settings.ignores(path),
      usePolling: this.#polling,
      interval: POLL_MS,
      binaryInterval: POLL_MS,
    })
    begun.once('ready', ready)
    begun.on('all', () => this.#stir())
    begun.on('error', (error) => {
      this.#stir() // what can't be read any more the loader says best
      if (this.#polling || this.#watcher !== begun) return
      this.#settings.onPolling(String(error))
      this.#polling = true
      this.#beginAgain(ready)
    })
    return begun
  }

  /** What changes before the new watch stands is found because that counts as a change. */
  #beginAgain(ready: () => void = () => {}): void {
    const before = this.#watcher
    this.#watcher = this.#begin(() => {
      ready()
      this.#stir()
    })
    void before.close()
  }

  #stir(): void {
    const nowMs = performance.now()
    this.#restlessSinceMs ??= nowMs
    const leftMs = this.#restlessSinceMs + this.#settings.mostMs - nowMs
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(
      () => {
        this.#restlessSinceMs = undefined
        this.#settings.onChange()
      },
      Math.max(0, Math.min(this.#settings.quietMs, leftMs)),
    )
  }

  /** A watch is on what a path led to: where a link on its way leads elsewhere, nothing would be heard any more. */
  async #lookAtLinks(): Promise<void> {
    const paths = this.#paths
    const real = (await Promise.all(paths.map((path) => realpath(path).catch(() => '')))).join('\n')
    if (paths !== this.#paths) return
    const before = this.#real
    this.#real = real
    if (before === '' || before === real) return
    this.#beginAgain()
    this.#stir()
  }

  follow(paths: readonly string[]): void {
    const before = new Set(this.#paths)
    const now = new Set(paths)
    const added = paths.filter((path) => !before.has(path))
    const removed = this.#paths.filter((path) => !now.has(path))
    if (added.length === 0 && removed.length === 0) return
    this.#paths = paths
    this.#real = ''
    void this.#lookAtLinks()
    if (removed.length > 0) this.#watcher.unwatch(removed)
    if (added.length === 0) return
    this.#watcher.add(added)
    this.#stir()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#quiet)
    clearInterval(this.#looking)
    await this.#watcher.close()
  }
}
