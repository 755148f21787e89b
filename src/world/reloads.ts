/**
 * Loads the files at the start, and again when they change or on SIGHUP: one load at a time, all or nothing. A load
 * with an error changes nothing in use; log, status and metrics report it. Called by RunningNode (T is a World) and by
 * RunningProber (T is its targets).
 *
 *   watcher, SIGHUP ─▶ reload() ─▶ compile thread ─▶ take() ─┬▶ use()
 *                                                            ├▶ nothing changed: what is in use stays
 *                                                            └▶ an error: what is in use stays
 *
 * A load that fails although no file is at fault (its thread died, or took too long) is tried again after a pause.
 */
import { sep } from 'node:path'
import type { Logger } from 'pino'
import { findWorkTree, formatRevision, gitFiles, nameOf, type Revision } from '../git.ts'
import { Files } from '../load/files.ts'
import { formatProblem, messageOf, type Problem, StartError } from '../problem.ts'
import { movingInWords } from '../traffic/words.ts'
import { count } from '../units.ts'
import type { BuildResult, Fallback } from './build.ts'
import type { Compiler } from './compiler.ts'
import { type Watcher, watchPaths } from './watch.ts'
import type { ZonesHeld } from './zone-hold.ts'

/** The result of one load. */
export interface ReloadResult {
  readonly ok: boolean
  /** The files are what is in use already, so nothing was replaced. */
  readonly unchanged: boolean
  /** What caused it: `start`, `files changed`, `SIGHUP` …. */
  readonly why: string
  /** The git revision that was read; undefined outside of git. */
  readonly revision: Revision | undefined
  /** The git revision that was in use before. */
  readonly before: Revision | undefined
  /** How many files were parsed; the others were unchanged. */
  readonly parsed: number
  /** What it changed, in words; undefined for the first load. */
  readonly changes: string | undefined
  readonly problems: readonly Problem[]
  /** Why there is no result at all: the compile thread died, or took too long. */
  readonly failure: string | undefined
  /** The zones that wait for an operator, while those before stay in use; undefined: none do. */
  readonly zonesHeld: ZonesHeld | undefined
  /** What is served since then instead of the refused files. */
  readonly fallback: Fallback
  readonly stagesMs: Readonly<Record<string, number>>
  readonly ms: number
  readonly atMs: number
  readonly successAtMs: number | undefined
}

/** What a Reloader is made with. */
export interface ReloaderSettings<T> {
  readonly compiler: Compiler<T>
  /** The folder of zones, and below the databases: changes of both cause a reload. */
  readonly zones: string
  readonly databases: readonly string[]
  /** Prepares a new build for use. Returns a Problem if it can't be used; then nothing has changed. */
  readonly take?: (made: T) => Problem | undefined
  /** Puts the result of a reload in use. */
  readonly use: (made: T, load: ReloadResult) => void
  /** Called with the result of each load, and of the one before. */
  readonly onLoad?: (load: ReloadResult, before: ReloadResult | undefined) => void
  /** Called after each load without errors: what is in use has this revision. */
  readonly onRevision?: (revision: Revision | undefined) => void
  /** The SOA serial that was served last. */
  readonly serialFloor?: () => number | undefined
  /** What stays in use when a reload is refused, in words: `generation 3 goes on serving`. */
  readonly describeInUse: () => string
  readonly log: Logger
}

/**
 * The pause before a failed load is tried again. At least as long as the load took, so that loading takes half of the
 * time at most.
 */
const RETRY_MS = 60_000

/** Loads and reloads the files of one process. Order of calls: watch, loadFirst, startReloads, stopReloads, stop. */
export class Reloader<T extends object> {
  readonly #settings: ReloaderSettings<T>
  ok = 0
  failed = 0
  unchanged = 0
  last: ReloadResult | undefined
  /** The git revision of what is in use. */
  revision: Revision | undefined
  #watcher: Watcher | undefined
  #begun = false
  #ended = false
  #running: Promise<void> | undefined
  #again: LoadRequest | undefined
  /** take() refused the last build: the next load must not be found unchanged. */
  #refused = false
  #gitTrouble: string | undefined
  #saveTrouble: string | undefined
  /** Files outside the folder that the zones included at the last load. */
  #outside: readonly string[] = []
  /** When the running load began; undefined: none is running. */
  #sinceMs: number | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(settings: ReloaderSettings<T>) {
    this.#settings = settings
  }

  /** Starts watching: changes of zones, databases, included files and the git revision cause reloads from now on. */
  async watch(): Promise<void> {
    const { zones } = this.#settings
    this.#watcher = await watchPaths(this.#paths(), {
      // the loader refuses files outside the repository, so their changes don't matter
      ignores: (path) => path.startsWith(`${zones}${sep}`) && new Files(zones).leadsOut(path),
      onChange: () => this.#ask({ why: 'files changed', always: false }),
      onPolling: (why) =>
        this.#settings.log.warn({ why }, 'files cannot be watched (inotify limits?): checking them every 2 s instead'),
    })
  }

  /** The paths to watch. Asked anew each time: a link may lead to another work tree by now. */
  #paths(): string[] {
    const { zones, databases } = this.#settings
    const tree = findWorkTree(zones)
    return [...new Set([zones, ...databases, ...(tree === undefined ? [] : gitFiles(tree)), ...this.#outside])]
  }

  /** Milliseconds that the running load has taken so far; 0 = none is running. */
  get runningMs(): number {
    return this.#sinceMs === undefined ? 0 : performance.now() - this.#sinceMs
  }

  /**
   * Loads for the first time. Throws StartError with the message `nothing`, all problems, and why the load failed.
   * Reloads wait until startReloads(). `takeover`: a predecessor is serving, so files with errors are fatal.
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
    this.#logProblems()
    if (!ok) this.#settings.log.error({ errors: this.#errors }, this.warnings.join('; '))
    return taken
  }

  /** Allows reloads, because the first load is in use now. A reload that was requested meanwhile runs. */
  startReloads(): void {
    this.#begun = true
    this.#reloadAgain()
  }

  /**
   * Loads again, and puts the result in use even if nothing changed. Calls during a load cause one more load after it.
   */
  reload(why: string): void {
    this.#ask({ why, always: true })
  }

  /** Resolves when no load runs, and none waits for one to end. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
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

  /** Stops watching; no reload begins after this. */
  async stopReloads(): Promise<void> {
    this.#ended = true
    clearTimeout(this.#retry)
    await this.#watcher?.stop()
  }

  /** Ends the compile thread, and with it a running load. Call stopReloads() first. */
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
    const heldBefore = this.last?.zonesHeld?.build
    const taken = await this.#load(request)
    if (this.#ended) return
    const last = this.last!
    if (last.unchanged) return this.#logUnchanged(last, wasOk, heldBefore)
    this.#logProblems()
    if (taken !== undefined) use(taken, last)
    if (last.ok) return
    const { why } = request
    if (last.failure !== undefined)
      return log.error({ why }, `reload failed (${why}): ${last.failure}; ${describeInUse()}`)
    const errors = this.#errors
    const goesOn = taken === undefined ? describeInUse() : this.warnings.join('; ')
    log.error(
      { why, errors, revision: nameOf(last.revision) },
      `reload refused (${why}): ${count(errors, 'error')}; ${goesOn}`,
    )
  }

  get #errors(): number {
    return this.last?.problems.filter(({ severity }) => severity === 'error').length ?? 0
  }

  /** What is served instead of the files on disk, and why, one line each; empty while the files on disk are in use. */
  get warnings(): readonly string[] {
    const { last } = this
    if (last === undefined) return []
    const held = last.zonesHeld === undefined ? [] : [heldInWords(last.zonesHeld, last.revision)]
    if (last.ok) return held
    const { zones, databases } = last.fallback
    const why = last.failure ?? 'the files on disk have errors'
    if (zones === undefined && databases === undefined) return [`${why}: what was loaded before stays in use`]
    const of = ofRevision(zones?.revision)
    return [
      ...held,
      ...(zones === undefined
        ? []
        : [
            `the zones on disk are not used (${why}): serving the LAST GOOD ones${of}, loaded ${new Date(zones.loadedMs).toISOString()}`,
          ]),
      ...(databases === undefined
        ? []
        : [
            databases === 'none'
              ? 'the GeoIP databases on disk are unusable, and no earlier ones are known: NO CLIENT HAS A PLACE'
              : 'the GeoIP databases on disk are unusable: the LAST GOOD ones are in use',
          ]),
    ]
  }

  /**
   * Logs at warn zones that this load began to hold back; at info if status changes: another commit with the same zones,
   * or errors that are gone; else at debug.
   */
  #logUnchanged(
    { why, before, revision, ms, zonesHeld }: ReloadResult,
    wasOk: boolean,
    heldBefore: string | undefined,
  ): void {
    const fields = { why, before: nameOf(before), revision: nameOf(revision), ms: Math.round(ms) }
    if (zonesHeld !== undefined) {
      if (zonesHeld.build === heldBefore) return
      this.#logProblems()
      const held = heldInWords(zonesHeld, revision)
      return this.#settings.log.warn(fields, `reload held back (${why}): ${this.#settings.describeInUse()}; ${held}`)
    }
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
    if (failure === undefined && after === undefined) this.#logGitTrouble(result.gitTrouble)
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
    const before = this.last
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
      zonesHeld: result.zonesHeld,
      fallback,
      stagesMs: result.stagesMs,
      ms: performance.now() - started,
      atMs: Date.now(),
      successAtMs: ok ? Date.now() : this.last?.successAtMs,
    }
    // what was in use already keeps the revision of the last load without errors
    const instead = fallback.zones ?? result.zonesHeld?.inUse
    const revision = instead === undefined ? result.revision : (this.revision ?? instead.revision)
    if (taken !== undefined || unchanged) {
      this.revision = revision
      this.#settings.onRevision?.(revision)
    }
    this.#settings.onLoad?.(this.last, before)
    return taken
  }

  /** Prepares a result for use. `isKnown`: it is in use already. */
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

  /** Notes and logs why the zones can't be saved for the next start; undefined: they were saved. */
  setSaveTrouble(trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#saveTrouble) this.#settings.log.warn(trouble)
    this.#saveTrouble = trouble
  }

  /** Operational trouble as it is now, in words. */
  get troubles(): readonly string[] {
    return this.#saveTrouble === undefined ? [] : [this.#saveTrouble]
  }

  /** Logs when git begins to refuse the revision. Serving goes on without it. */
  #logGitTrouble(trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#gitTrouble) {
      this.#settings.log.info({ zones: this.#settings.zones }, `the revision is not known: ${trouble}`)
    }
    this.#gitTrouble = trouble
  }

  #logProblems(): void {
    for (const problem of this.last?.problems ?? []) {
      const level = problem.severity === 'error' ? 'error' : problem.severity === 'warning' ? 'warn' : 'info'
      this.#settings.log[level](problem, formatProblem(problem))
    }
  }
}

interface LoadRequest {
  readonly why: string
  /** Why the load before failed: this one takes the last good zones and databases. */
  readonly after?: string
  /** Put the result in use even if nothing changed. */
  readonly always: boolean
}

/** Zones that are held back, in words. */
const heldInWords = ({ inUse, moves }: ZonesHeld, revision: Revision | undefined): string =>
  `the zones on disk${ofRevision(revision)} are HELD BACK: ${movingInWords(moves)}. Serving those${ofRevision(inUse.revision)}, loaded ${new Date(inUse.loadedMs).toISOString()}; to use the new ones: meridian zones accept`

const ofRevision = (revision: Revision | undefined): string =>
  revision === undefined ? '' : ` of ${formatRevision(revision)}`

/** The end of a log line about a load: ` from 1a2b3c4 to 5d6e7f8, 3 files parsed, 120 ms: zones +a.example.`. */
export function loadForLog({ before, revision, parsed, ms, changes, zonesHeld }: ReloadResult): string {
  const from = nameOf(before) ?? 'no revision'
  const to = zonesHeld === undefined ? (nameOf(revision) ?? 'no revision') : from
  const moved =
    before === undefined && revision === undefined ? '' : from === to ? ` at ${to}` : ` from ${from} to ${to}`
  return `${moved}, ${count(parsed, 'file')} parsed, ${Math.round(ms)} ms${changes === undefined ? '' : `: ${changes}`}`
}
