/**
 * Watches the zones folder, the databases and whatever else a load depends on, and calls once for a burst of changes,
 * when it has been quiet for a while. It does not say what changed: the loader finds out. Used by Reloader.
 *
 *   chokidar ────────────────┐
 *   a link above them moved ─┴▶ quiet for 500 ms, or 10 s of unrest ─▶ onChange()
 */
import { realpath } from 'node:fs/promises'
import { type FSWatcher, watch } from 'chokidar'

/** A watch that is running. */
export interface Watcher {
  /**
   * Watches these paths from now on, instead of those before. A new path counts as a change: it may have changed since
   * the load that named it.
   */
  follow(paths: readonly string[]): void
  /** Ends the watch. */
  stop(): Promise<void>
}

/** Whom to call, and when. */
export interface WatchSettings {
  /** Called once for a burst of changes. */
  readonly onChange: () => void
  /**
   * Called once, with the reason, if the system gives no more watches (inotify limits): files are polled every 2 s
   * then.
   */
  readonly onPolling: (why: string) => void
  /** Paths that are not watched, nor anything below them: a link to `/` would watch the whole disk. */
  readonly ignores?: (path: string) => boolean
  readonly quietMs?: number
  /** The longest wait for quiet: a folder that never rests causes a call after this. */
  readonly mostMs?: number
}

const QUIET_MS = 500
const MOST_MS = 10_000
const POLL_MS = 2_000
const LINKS_MS = 2_000

/**
 * Starts a watch on files and folders. They may appear, vanish and be replaced: by renaming, by the link swap of
 * Kubernetes volumes inside a folder, by moving a link above them. Resolves when no later change can be missed.
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
  /** The real paths at the last look; empty = not looked at yet. */
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
      this.#stir() // the loader reports best what can't be read any more
      if (this.#polling || this.#watcher !== begun) return
      this.#settings.onPolling(String(error))
      this.#polling = true
      this.#beginAgain(ready)
    })
    return begun
  }

  /** Replaces the watch. The start of the new one counts as a change, so none in between is missed. */
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

  /**
   * Restarts the watch when a link on the way to a path leads elsewhere: the old watch would stay on the old target.
   */
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
