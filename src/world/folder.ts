/**
 * The folder of zones as it is read: once by a command, again and again by a process that goes on. Nobody gets a mixture
 * (stable-read.ts). Who goes on also waits for git while that holds its lock, and is told which revision was read.
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

export interface FolderRead {
  /** Without a model also when it never came to rest. */
  readonly loaded: LoadResult
  /** Of `loaded`, and of how it was read. */
  readonly problems: readonly Problem[]
  /** Files that were parsed; the others were known from before. */
  readonly parsed: number
  /** undefined: nobody asked, or git doesn't know. */
  readonly revision?: Revision
  /** Why git does not tell the revision, where something can be done about it. */
  readonly gitTrouble?: string
}

/** How long git's lock is waited for; at the first reading, while nothing is served, less. */
export interface LockWait {
  readonly firstMs: number
  readonly ms: number
}

export const LOCK_WAIT: LockWait = { firstMs: 1_000, ms: 60_000 }
const LOCK_LOOK_MS = 250

const NO_ZONES: LoadResult = { problems: [], hash: '', outside: [], files: new Map(), sources: new Map(), serial: 0 }

export class Folder {
  readonly #path: string
  /** undefined: this reads once, now, and asks git for nothing but the serial. */
  readonly #lockWait: LockWait | undefined
  readonly #onProgress: ((progress: Progress) => void) | undefined
  /** With all that was parsed. */
  #last: LoadResult | undefined
  /** A lock that was waited for in vain is not waited for again. */
  #staleLock: string | undefined

  constructor(path: string, lockWait?: LockWait, onProgress?: (progress: Progress) => void) {
    this.#path = path
    this.#lockWait = lockWait
    this.#onProgress = onProgress
  }

  /** `onWait`: what is waited for, in words. Calls must not overlap. */
  async read(onWait: (news: string) => void): Promise<FolderRead> {
    const lockWait = this.#lockWait
    const tree = lockWait && findWorkTree(this.#path)
    const problems: Problem[] = []
    const unlocked =
      lockWait && tree && this.#lockWaiter(lockOf(tree), this.#last ? lockWait.ms : lockWait.firstMs, onWait, problems)
    let parsed = 0
    let told: Awaited<ReturnType<typeof revisionOf>> = {}

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
      const [loaded, said] = await Promise.all([
        loadFolder(this.#path, this.#last, this.#onProgress),
        tree === undefined ? {} : revisionOf(this.#path),
      ])
      for (const [path, file] of loaded.files) if (before?.get(path) !== file) parsed++
      told = said
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
      ...(told.revision !== undefined && { revision: told.revision }),
      ...(told.trouble !== undefined && { gitTrouble: told.trouble }),
    }
  }

  /** The same folder as it was, through the same loader; what it has in common with what was read last is not parsed again. */
  readSaved(saved: SavedZones): Promise<LoadResult> {
    return loadFolder(this.#path, this.#last, undefined, saved)
  }

  /** What resolves when the lock is away; all calls of one reading share the time there is. */
  #lockWaiter(
    lock: string,
    withinMs: number,
    onWait: (news: string) => void,
    problems: Problem[],
  ): () => Promise<void> {
    let leftMs = withinMs
    let told = false
    return async () => {
      for (;;) {
        const held = await idOf(lock)
        if (held === undefined || held === this.#staleLock) return
        if (leftMs <= 0) {
          this.#staleLock = held
          problems.push(lockedProblem(this.#path, lock, withinMs))
          return
        }
        if (!told) onWait(`git is at work (${lock} exists): waiting until it is done, ${withinMs / 1000} s at most`)
        told = true
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
  const message = `git has had its lock for ${ms / 1000} s: read all the same`
  const hint = `Does git still run there? If not, remove ${lock}`
  return { code: 'folder-unsettled', severity: 'warning', file: folder, line: 0, column: 0, message, hint }
}

/** Also of a database. */
export function unsettledProblem(file: string): Problem {
  const message = `it changed again and again while it was read, for ${WAIT_FOR_REST.withinMs / 1000} s or ${WAIT_FOR_REST.rounds} times`
  const hint = 'Put it in place whole: git, or a copy beside it that is renamed; the next change is tried again'
  return { code: 'folder-unsettled', severity: 'error', file, line: 0, column: 0, message, hint }
}
