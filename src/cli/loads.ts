/**
 * What is on disk, loaded at the start and again when files change or SIGHUP asks: one load at a time, all or nothing. With
 * one error among its problems what is in use stays, and log, status and metrics say so.
 *
 *   watcher, SIGHUP ─▶ reload() ─▶ compile thread ─▶ take() ─┬▶ use()
 *                                                            └▶ problems: `standing` goes on
 *
 * `serve` takes Worlds, `probe` takes plans.
 */
import type { Logger } from 'pino'
import type { Built } from '../answer/build.ts'
import { formatProblem, type Problem } from '../problem.ts'
import type { Compiler } from '../server/compile.ts'
import { type Watcher, watchPaths } from '../server/watch.ts'
import { StartError } from './doors.ts'

/** How a load went. */
export interface Load {
  readonly ok: boolean
  /** What set it off. */
  readonly why: string
  readonly problems: readonly Problem[]
  readonly stagesMs: Readonly<Record<string, number>>
  readonly ms: number
  readonly atMs: number
  readonly successAtMs: number | undefined
}

export interface LoadsSettings<T> {
  readonly compiler: Compiler
  /** What is wanted of a build without errors; a Problem says why it can't be taken, and changes nothing. */
  readonly take: (built: Built) => { readonly taken: T } | { readonly refused: Problem }
  /** Puts in use what a reload brought. */
  readonly use: (taken: T, load: Load) => void
  /** What goes on when a reload is refused, in words: `generation 3 goes on serving`. */
  readonly standing: () => string
  readonly log: Logger
}

export class Loads<T extends object> {
  readonly #settings: LoadsSettings<T>
  ok = 0
  failed = 0
  last: Load | undefined
  #watcher: Watcher | undefined
  #begun = false
  #ended = false
  #running: Promise<void> | undefined
  #again: string | undefined

  constructor(settings: LoadsSettings<T>) {
    this.#settings = settings
  }

  /** Changes of these files and folders are reloads from now on. */
  async watch(paths: readonly string[]): Promise<void> {
    this.#watcher = await watchPaths(
      paths,
      () => this.reload('files changed'),
      (why) =>
        this.#settings.log.warn(
          { why },
          'files cannot be watched (inotify limits?): looking at them every 2 s instead',
        ),
    )
  }

  /** Throws StartError with this message and all problems. Reloads wait until begin(). */
  async first(nothing: string): Promise<T> {
    const taken = await this.#load('start')
    if (taken === undefined) throw new StartError(nothing, this.last?.problems)
    this.#tellProblems()
    return taken
  }

  /** What first() gave is in use: reloads that were asked for meanwhile take place now. */
  begin(): void {
    this.#begun = true
    this.#reloadAgain()
  }

  /** Loads again what is on disk. Calls while one runs are one more load after it, however many there are. */
  reload(why: string): void {
    if (this.#ended) return
    if (this.#running !== undefined || !this.#begun) {
      this.#again = why
      return
    }
    const { log, standing } = this.#settings
    this.#running = this.#reload(why)
      .catch((error: unknown) => log.error({ error }, `reload failed, ${standing()}: ${String(error)}`))
      .finally(() => {
        this.#running = undefined
        this.#reloadAgain()
      })
  }

  /** No reload begins after this. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#watcher?.stop()
  }

  /** After end(): waits for the load that runs, and ends the compile thread. */
  async stop(): Promise<void> {
    await this.#running
    await this.#settings.compiler.stop()
  }

  #reloadAgain(): void {
    const again = this.#again
    this.#again = undefined
    if (again !== undefined) this.reload(again)
  }

  async #reload(why: string): Promise<void> {
    const taken = await this.#load(why)
    this.#tellProblems()
    if (this.#ended) return
    if (taken !== undefined) return this.#settings.use(taken, this.last!)
    const errors = this.last!.problems.filter((problem) => problem.severity === 'error').length
    this.#settings.log.error(
      { why, errors },
      `reload refused for ${errors} errors (${why}): ${this.#settings.standing()}`,
    )
  }

  async #load(why: string): Promise<T | undefined> {
    const started = performance.now()
    const built = await this.#settings.compiler.build()
    const failed = built.made === undefined && built.planned === undefined
    const result = failed ? undefined : this.#settings.take(built)
    const taken = result !== undefined && 'taken' in result ? result.taken : undefined
    this[taken === undefined ? 'failed' : 'ok']++
    this.last = {
      ok: taken !== undefined,
      why,
      problems: result !== undefined && 'refused' in result ? [...built.problems, result.refused] : built.problems,
      stagesMs: built.stagesMs,
      ms: performance.now() - started,
      atMs: Date.now(),
      successAtMs: taken === undefined ? this.last?.successAtMs : Date.now(),
    }
    return taken
  }

  #tellProblems(): void {
    for (const problem of this.last?.problems ?? []) {
      const level = problem.severity === 'error' ? 'error' : problem.severity === 'warning' ? 'warn' : 'info'
      this.#settings.log[level](problem, formatProblem(problem))
    }
  }
}
