/**
 * Reads the folder of zones: once for a command, again and again for a running process. It never returns a mixture of
 * old and new files (stable-read.ts). For a running process it also waits while git holds its lock, and tells the
 * revision that was read. Called by the builder.
 *
 *   index.lock? ─▶ at rest? ─▶ loadFolder, git's revision ─▶ still the same? ─▶ FolderRead
 */
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { findWorkTree, gitFiles, lockOf, type Revision, revisionOf } from '../git.ts'
import { Files } from '../load/files.ts'
import { type LoadResult, loadFolder, type Progress, type SavedZones } from '../load/load.ts'
import type { Problem } from '../problem.ts'
import { WAIT_FOR_REST, READ_AT_ONCE, readWhenStable, type Stamp, StampBuilder } from './stable-read.ts'

/** One reading of the folder. */
export interface FolderRead {
  /** Without a model if there are errors, or if the folder never came to rest. */
  readonly loaded: LoadResult
  /** The problems of `loaded`, and those of the reading itself. */
  readonly problems: readonly Problem[]
  /** How many files were parsed; the others are unchanged since the last reading. */
  readonly parsed: number
  /** undefined: git was not asked, or does not know. */
  readonly revision?: Revision
  /** Why git does not tell the revision, if an operator can fix it. */
  readonly gitTrouble?: string
}

/** How long to wait for git's lock; shorter at the first reading, while nothing is served. */
export interface LockWait {
  readonly firstMs: number
  readonly ms: number
}

/** The waits of a node and of a prober. */
export const LOCK_WAIT: LockWait = { firstMs: 1_000, ms: 60_000 }
const LOCK_LOOK_MS = 250

const NO_ZONES: LoadResult = { problems: [], hash: '', outside: [], files: new Map(), sources: new Map(), serial: 0 }

/** A folder of zones. Keeps what it parsed, so that the next reading parses only what changed. */
export class Folder {
  readonly #path: string
  /** undefined: read once, at once, and ask git only for the serial. */
  readonly #lockWait: LockWait | undefined
  readonly #onProgress: ((progress: Progress) => void) | undefined
  /** The last reading, with all that was parsed. */
  #last: LoadResult | undefined
  /** A lock that outlasted its wait: the next reading does not wait for it again. */
  #staleLock: string | undefined

  constructor(path: string, lockWait?: LockWait, onProgress?: (progress: Progress) => void) {
    this.#path = path
    this.#lockWait = lockWait
    this.#onProgress = onProgress
  }

  /** Reads the folder. `onWait`: called with what the reading waits for, in words. Calls must not overlap. */
  async read(onWait: (news: string) => void): Promise<FolderRead> {
    const lockWait = this.#lockWait
    const tree = lockWait && findWorkTree(this.#path)
    const problems: Problem[] = []
    const unlocked =
      lockWait && tree && this.#lockWaiter(lockOf(tree), this.#last ? lockWait.ms : lockWait.firstMs, onWait, problems)
    let parsed = 0
    let git: Awaited<ReturnType<typeof revisionOf>> = {}

    const stamp = async (): Promise<Stamp> => {
      await unlocked?.()
      const stamping = new StampBuilder()
      const files = new Files(this.#path)
      await stamping.addFolder(this.#path, (path) => files.mayRead(path))
      for (const file of this.#last?.outside ?? []) await stamping.add(file)
      for (const file of tree === undefined ? [] : gitFiles(tree)) await stamping.addAgeless(file)
      return stamping.end()
    }
    const load = async (): Promise<LoadResult> => {
      const before = this.#last?.files
      const [loaded, revision] = await Promise.all([
        loadFolder(this.#path, this.#last, this.#onProgress),
        tree === undefined ? {} : revisionOf(this.#path),
      ])
      for (const [path, file] of loaded.files) if (before?.get(path) !== file) parsed++
      git = revision
      this.#last = loaded
      return loaded
    }

    const loaded = await readWhenStable(stamp, load, lockWait === undefined ? READ_AT_ONCE : WAIT_FOR_REST)
    if (loaded === undefined) {
      problems.push(unsettledProblem(this.#path))
      const { model: _, ...rest } = this.#last ?? NO_ZONES
      return { loaded: rest, problems, parsed }
    }
    return {
      loaded,
      problems: [...loaded.problems, ...problems],
      parsed,
      ...(git.revision !== undefined && { revision: git.revision }),
      ...(git.trouble !== undefined && { gitTrouble: git.trouble }),
    }
  }

  /** Loads saved zones of this folder through the same loader. Files equal to those read last are not parsed again. */
  readSaved(saved: SavedZones): Promise<LoadResult> {
    return loadFolder(this.#path, this.#last, undefined, saved)
  }

  /** Makes a function that resolves when the lock is gone. All its calls share `withinMs`. */
  #lockWaiter(
    lock: string,
    withinMs: number,
    onWait: (news: string) => void,
    problems: Problem[],
  ): () => Promise<void> {
    let leftMs = withinMs
    let isReported = false
    return async () => {
      for (;;) {
        const held = await idOf(lock)
        if (held === undefined || held === this.#staleLock) return
        if (leftMs <= 0) {
          this.#staleLock = held
          problems.push(lockedProblem(this.#path, lock, withinMs))
          return
        }
        if (!isReported)
          onWait(`git is at work (${lock} exists): waiting until it is done, ${withinMs / 1000} s at most`)
        isReported = true
        await sleep(LOCK_LOOK_MS)
        leftMs -= LOCK_LOOK_MS
      }
    }
  }
}

const idOf = async (path: string): Promise<string | undefined> => {
  const found = await stat(path).catch(() => undefined)
  return found && `${found.ino} ${found.mtimeMs}`
}

function lockedProblem(folder: string, lock: string, ms: number): Problem {
  const message = `git has held its lock for ${ms / 1000} s: the folder was read anyway`
  const hint = `Is git still running there? If not, remove ${lock}`
  return { code: 'folder-unsettled', severity: 'warning', file: folder, line: 0, column: 0, message, hint }
}

/** The problem of a folder or database that never came to rest. */
export function unsettledProblem(file: string): Problem {
  const message = `it changed again and again while it was read, for ${WAIT_FOR_REST.withinMs / 1000} s or ${WAIT_FOR_REST.rounds} times`
  const hint = 'Replace it in one step: with git, or by renaming a finished copy; the next change is tried again'
  return { code: 'folder-unsettled', severity: 'error', file, line: 0, column: 0, message, hint }
}
