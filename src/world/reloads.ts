/**
 * What is on disk, loaded at the start and again when files change or SIGHUP asks: one load at a time, all or nothing. With
 * one error among its problems what is in use stays, and log, status and metrics say so.
 *
 *   watcher, SIGHUP ─▶ reload() ─▶ compile thread ─▶ take() ─┬▶ use()
 *                                                            ├▶ nothing changed: `describeInUse` goes on
 *                                                            └▶ problems: `describeInUse` goes on
 *
 * A load that fails by itself, and not by what it found (its thread died, or took too long), is tried again after a pause.
 *
 * `serve` loads Worlds, `probe` loads its targets.
 */
import { sep } from 'node:path'
import type { Logger } from 'pino'
import { findWorkTree, formatRevision, gitFiles, nameOf, type Revision } from '../git.ts'
import { Files } from '../load/files.ts'
import { formatProblem, messageOf, type Problem, StartError } from '../problem.ts'
import { count } from '../units.ts'
import type { BuildResult, Fallback } from './build.ts'
import type { Compiler } from './compiler.ts'
import { type Watcher, watchPaths } from './watch.ts'

/** How a load went. */
export interface ReloadResult {
  readonly ok: boolean
  /** It found what is in use already, and nothing was put in its place. */
  readonly unchanged: boolean
  /** What set it off. */
  readonly why: string
  /** Of what was read; undefined outside of git. */
  readonly revision: Revision | undefined
  /** Of what was in use before. */
  readonly before: Revision | undefined
  /** Files that were parsed anew. */
  readonly parsed: number
  /** What it changed, in words; undefined of the first. */
  readonly changes: string | undefined
  readonly problems: readonly Problem[]
  /** Why there is no result at all: the compile thread died. */
  readonly failure: string | undefined
  /** What has been served since in place of what was refused. */
  readonly fallback: Fallback
  readonly stagesMs: Readonly<Record<string, number>>
  readonly ms: number
  readonly atMs: number
  readonly successAtMs: number | undefined
}

export interface ReloaderSettings<T> {
  readonly compiler: Compiler<T>
  /** Whose files are loaded: the folder of zones, and databases. */
  readonly zones: string
  readonly databases: readonly string[]
  /** Prepares what a build without errors made for its use; a Problem says why it can't be used, and changes nothing. */
  readonly take?: (made: T) => Problem | undefined
  /** Puts in use what a reload brought. */
  readonly use: (made: T, load: ReloadResult) => void
  /** A load took, or found nothing new: what is in use is of this revision. */
  readonly onRevision?: (revision: Revision | undefined) => void
  /** The SOA serial that was served last. */
  readonly serialFloor?: () => number | undefined
  /** What goes on when a reload is refused, in words: `generation 3 goes on serving`. */
  readonly describeInUse: () => string
  readonly log: Logger
}

/** Before a load that failed by itself is tried again; longer where it took longer, so that it has half of the time at most. */
const RETRY_MS = 60_000

export class Reloader<T extends object> {
  readonly #settings: ReloaderSettings<T>
  ok = 0
  failed = 0
  unchanged = 0
  last: ReloadResult | undefined
  /** Of what is in use. */
  revision: Revision | undefined
  #watcher: Watcher | undefined
  #begun = false
  #ended = false
  #running: Promise<void> | undefined
  #again: LoadRequest | undefined
  /** What take() refused is to be refused again, not to be found unchanged. */
  #refused = false
  #gitTrouble: string | undefined
  #saveTrouble: string | undefined
  /** Files beyond folder and databases that the zones included last. */
  #outside: readonly string[] = []
  /** When the one that runs began. */
  #sinceMs: number | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(settings: ReloaderSettings<T>) {
    this.#settings = settings
  }

  /** Changes of the zones, the databases and what the zones include are reloads from now on; commits too. */
  async watch(): Promise<void> {
    const { zones } = this.#settings
    this.#watcher = await watchPaths(this.#paths(), {
      // the loader refuses what is there
      ignores: (path) => path.startsWith(`${zones}${sep}`) && new Files(zones).leadsOut(path),
      onChange: () => this.#ask({ why: 'files changed', always: false }),
      onPolling: (why) =>
        this.#settings.log.warn(
          { why },
          'files cannot be watched (inotify limits?): looking at them every 2 s instead',
        ),
    })
  }

  /** A link may have moved to another work tree since. */
  #paths(): string[] {
    const { zones, databases } = this.#settings
    const tree = findWorkTree(zones)
    return [...new Set([zones, ...databases, ...(tree === undefined ? [] : gitFiles(tree)), ...this.#outside])]
  }

  /** How long the load that runs has taken so far; 0 = none does. */
  get runningMs(): number {
    return this.#sinceMs === undefined ? 0 : performance.now() - this.#sinceMs
  }

  /**
   * Throws StartError with this message, all problems, and why the load failed. Reloads wait until begin(). `takeover`: a
   * predecessor serves, so what is on disk must be in order.
   */
  async loadFirst(nothing: string, takeover = false): Promise<T> {
    let taken = await this.#load({ why: 'start', always: true })
    const { failure } = this.last!
    if (taken === undefined && failure !== undefined && !takeover && !this.#ended) {
      taken = await this.#load({ why: 'start', always: true, after: failure })
    }
    const { problems, ok } = this.last!
    if (taken === undefined || (takeover && !ok)) {
      throw new StartError(failure === undefined ? nothing : `${nothing}: ${failure}`, problems)
    }
    this.#tellProblems()
    if (!ok) this.#settings.log.error({ errors: this.#errors }, this.warnings.join('; '))
    return taken
  }

  /** What first() gave is in use: reloads that were asked for meanwhile take place now. */
  startReloads(): void {
    this.#begun = true
    this.#reloadAgain()
  }

  /**
   * Loads again what is on disk, and puts it in use even if it is the same. Calls while one runs are one more load after it,
   * however many there are.
   */
  reload(why: string): void {
    this.#ask({ why, always: true })
  }

  #ask(request: LoadRequest): void {
    if (this.#ended) return
    if (this.#running !== undefined || !this.#begun) {
      if (this.#again?.always !== true) this.#again = request
      return
    }
    const { log, describeInUse } = this.#settings
    this.#running = this.#reload(request)
      .catch((error: unknown) => {
        if (!this.#ended) log.error({ error }, `reload failed, ${describeInUse()}: ${String(error)}`)
      })
      .finally(() => {
        this.#running = undefined
        this.#reloadAgain()
      })
  }

  /** No reload begins after this. */
  async stopReloads(): Promise<void> {
    this.#ended = true
    clearTimeout(this.#retry)
    await this.#watcher?.stop()
  }

  /** After end(): ends the compile thread, and with it the load that runs. */
  async stop(): Promise<void> {
    await this.#settings.compiler.stop()
    await this.#running
  }

  #reloadAgain(): void {
    const again = this.#again
    this.#again = undefined
    if (again !== undefined) this.#ask(again)
  }

  async #reload(request: LoadRequest): Promise<void> {
    const { log, describeInUse, use } = this.#settings
    const wasOk = this.last?.ok === true
    const taken = await this.#load(request)
    if (this.#ended) return
    const last = this.last!
    if (last.unchanged) return this.#tellUnchanged(last, wasOk)
    this.#tellProblems()
    if (taken !== undefined) use(taken, last)
    if (last.ok) return
    const { why } = request
    if (last.failure !== undefined)
      return log.error({ why }, `reload failed (${why}): ${last.failure}; ${describeInUse()}`)
    const errors = this.#errors
    const goesOn = taken === undefined ? describeInUse() : this.warnings.join('; ')
    log.error(
      { why, errors, revision: nameOf(last.revision) },
      `reload refused for ${errors} errors (${why}): ${goesOn}`,
    )
  }

  get #errors(): number {
    return this.last?.problems.filter(({ severity }) => severity === 'error').length ?? 0
  }

  /** What is served in place of what is on disk, and why, a line each; empty when all is as it is on disk. */
  get warnings(): readonly string[] {
    const { last } = this
    if (last === undefined || last.ok) return []
    const { zones, databases } = last.fallback
    const why = last.failure ?? 'what is on disk has errors'
    if (zones === undefined && databases === undefined) return [`${why}: what was loaded before is served`]
    const of = zones?.revision === undefined ? '' : ` of ${formatRevision(zones.revision)}`
    return [
      ...(zones === undefined
        ? []
        : [
            `the zones on disk are refused (${why}): the LAST GOOD ones${of} are served, loaded ${new Date(zones.loadedMs).toISOString()}`,
          ]),
      ...(databases === undefined
        ? []
        : [
            databases === 'none'
              ? 'the GeoIP databases on disk are of no use, and none of before are known: NO CLIENT HAS A PLACE'
              : 'the GeoIP databases on disk are of no use: the LAST GOOD ones are used',
          ]),
    ]
  }

  /** Told where status and metrics say something else from now on: another commit of the same, or no fault any more. */
  #tellUnchanged({ why, before, revision, ms }: ReloadResult, wasOk: boolean): void {
    const fields = { why, before: nameOf(before), revision: nameOf(revision), ms: Math.round(ms) }
    const level = wasOk && nameOf(before) === nameOf(revision) ? 'debug' : 'info'
    const at = revision === undefined ? '' : `, at ${formatRevision(revision)}`
    this.#settings.log[level](fields, `nothing to reload (${why}): ${this.#settings.describeInUse()}${at}`)
  }

  async #load({ why, always, after }: LoadRequest): Promise<T | undefined> {
    const started = performance.now()
    this.#sinceMs = started
    clearTimeout(this.#retry)
    const serialFloor = this.#settings.serialFloor?.()
    const order = {
      ...(serialFloor !== undefined && { serialFloor }),
      ifChanged: !always && !this.#refused,
      lastGood: after !== undefined,
      inUse: this.#begun,
    }
    let failure: string | undefined
    const result = await this.#settings.compiler.build(order).catch((error: unknown): BuildResult<T> => {
      failure = messageOf(error)
      return { kind: 'refused', problems: [], parsed: 0, outside: this.#outside, stagesMs: {} }
    })
    this.#sinceMs = undefined
    if (failure === undefined && after === undefined) this.#tellGit(result.gitTrouble)
    else if (!this.#ended) this.#retryAfter(Math.max(RETRY_MS, performance.now() - started))
    this.#outside = result.outside
    this.#watcher?.follow(this.#paths())
    const { taken, refusal, isKnown } = this.#take(result)
    this.#refused = refusal !== undefined
    const { fallback = {} } = result
    const isFresh = result.fallback === undefined && after === undefined
    const unchanged = isKnown && isFresh
    const ok = (taken !== undefined && isFresh) || unchanged
    if (after === undefined) this[unchanged ? 'unchanged' : ok ? 'ok' : 'failed']++
    this.last = {
      ok,
      unchanged,
      why,
      revision: result.revision,
      before: this.revision,
      parsed: result.parsed,
      changes: result.kind === 'made' ? result.changes : undefined,
      problems: refusal === undefined ? result.problems : [...result.problems, refusal],
      failure: failure ?? after,
      fallback,
      stagesMs: result.stagesMs,
      ms: performance.now() - started,
      atMs: Date.now(),
      successAtMs: ok ? Date.now() : this.last?.successAtMs,
    }
    // last good zones that are served already are those of the last revision that took
    const revision = fallback.zones === undefined ? result.revision : (this.revision ?? fallback.zones.revision)
    if (taken !== undefined || unchanged) {
      this.revision = revision
      this.#settings.onRevision?.(revision)
    }
    return taken
  }

  /** `isKnown`: it is what is in use. */
  #take(result: BuildResult<T>): { readonly taken?: T; readonly refusal?: Problem; readonly isKnown: boolean } {
    switch (result.kind) {
      case 'made': {
        const refusal = this.#settings.take?.(result.made)
        return refusal === undefined ? { taken: result.made, isKnown: false } : { refusal, isKnown: false }
      }
      case 'unchanged':
        return { isKnown: true }
      case 'refused':
        return { isKnown: false }
      default:
        return result satisfies never
    }
  }

  #retryAfter(ms: number): void {
    this.#retry = setTimeout(() => this.#ask({ why: 'after a load that failed', always: false }), ms).unref()
  }

  /** Why what is served can't be kept for the next start; undefined: it is. */
  setSaveTrouble(trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#saveTrouble) this.#settings.log.warn(trouble)
    this.#saveTrouble = trouble
  }

  get troubles(): readonly string[] {
    return this.#saveTrouble === undefined ? [] : [this.#saveTrouble]
  }

  /** Once each time: that git refuses keeps nobody from serving. */
  #tellGit(trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#gitTrouble) {
      this.#settings.log.info({ zones: this.#settings.zones }, `the revision is not known: ${trouble}`)
    }
    this.#gitTrouble = trouble
  }

  #tellProblems(): void {
    for (const problem of this.last?.problems ?? []) {
      const level = problem.severity === 'error' ? 'error' : problem.severity === 'warning' ? 'warn' : 'info'
      this.#settings.log[level](problem, formatProblem(problem))
    }
  }
}

interface LoadRequest {
  readonly why: string
  /** Why the one before failed: only the last good is looked for. */
  readonly after?: string
  /** Also when it finds what is in use already. */
  readonly always: boolean
}

/** What the log says of a load that took, behind what was loaded: whence and whither, how much work, what changed. */
export function loadForLog({ before, revision, parsed, ms, changes }: ReloadResult): string {
  const from = nameOf(before) ?? 'no revision'
  const to = nameOf(revision) ?? 'no revision'
  const moved =
    before === undefined && revision === undefined ? '' : from === to ? ` at ${to}` : ` from ${from} to ${to}`
  return `${moved}, ${count(parsed, 'file')} parsed, ${Math.round(ms)} ms${changes === undefined ? '' : `: ${changes}`}`
}
