/**
 * Reads files that other programs write, without ever taking a mixture of old and new, which may be valid YAML. The
 * files must be at rest before they are read, and must look the same afterwards; else they are read again, within
 * limits. Used by databases.ts and folder.ts.
 *
 *   at rest? ─▶ stamp ─▶ read ─▶ stamp ─┬─ the same ─▶ taken
 *      ▲                                └─ another ──┐
 *      └─────────────────────────────────────────────┘
 */
import { createHash, type Hash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What some files look like from outside. */
export interface Stamp {
  /** Equal while each of them has the same name, inode, size and times. */
  readonly text: string
  /** When the youngest of them was last written or put in place, Unix time in ms; 0 = there are none. */
  readonly newestMs: number
}

/** How long to wait for files at rest, and when to give up. */
export interface StableReadLimits {
  /** Nothing must have changed for this long before reading begins. */
  readonly quietMs: number
  /** The most readings, and below the most time spent on reading and waiting. */
  readonly rounds: number
  readonly withinMs: number
}

/** For a running process: wait for the end of a checkout, copy or edit. */
export const WAIT_FOR_REST: StableReadLimits = { quietMs: 500, rounds: 10, withinMs: 30_000 }
/** For a command that reads once: do not wait for rest. */
export const READ_AT_ONCE: StableReadLimits = { ...WAIT_FOR_REST, quietMs: 0 }

/** The result of a `read` during which the stamp did not change; undefined if the limits were reached first. */
export async function readWhenStable<T>(
  stamp: () => Promise<Stamp>,
  read: () => Promise<T>,
  { quietMs, rounds, withinMs }: StableReadLimits,
): Promise<T | undefined> {
  let spentMs = 0
  let before = await stamp()
  for (let round = 0; round < rounds && spentMs < withinMs;) {
    const started = performance.now()
    const ageMs = Date.now() - before.newestMs
    // a time in the future comes from another host's clock: ignore it
    if (ageMs >= 0 && ageMs < quietMs) {
      await sleep(quietMs - ageMs)
      spentMs += performance.now() - started
      before = await stamp()
      continue
    }
    const found = await read()
    spentMs += performance.now() - started
    const after = await stamp()
    if (after.text === before.text) return found
    before = after
    round++
  }
  return undefined
}

/** The stamp of single files. A missing file counts as missing. */
export async function stampFiles(files: readonly string[]): Promise<Stamp> {
  const stamping = new StampBuilder()
  for (const file of files) await stamping.add(file)
  return stamping.end()
}

/** Collects files and folders into one stamp. */
export class StampBuilder {
  readonly #hash: Hash = createHash('sha256')
  readonly #folders = new Set<string>()
  #newestMs = 0

  /** Adds a file, or the fact that it is missing. */
  async add(path: string): Promise<void> {
    const found = await stat(path, { bigint: true }).catch(() => undefined)
    if (found === undefined) this.#hash.update(`${path} missing\n`)
    else this.#see(path, found)
  }

  /**
   * Adds all that the loader may read below a folder: no names that begin with a dot, except octoDNS's `.yaml`; links
   * where it `mayRead`. A folder that several links lead to counts once, so loops of links end.
   */
  async addFolder(folder: string, mayRead: (path: string) => boolean): Promise<void> {
    const own = await stat(folder, { bigint: true }).catch(() => undefined)
    if (own === undefined) return
    const id = `${own.dev} ${own.ino}`
    this.#hash.update(`${folder} ${id}\n`)
    if (this.#folders.has(id) || !mayRead(folder)) return
    this.#folders.add(id)
    const names = (await readdir(folder).catch(() => [])).filter(
      (name) => (!name.startsWith('.') || name === '.yaml') && name !== 'node_modules',
    )
    const stats = await Promise.all(
      names.toSorted().map(async (name) => {
        const path = join(folder, name)
        return { path, found: await stat(path, { bigint: true }).catch(() => undefined) }
      }),
    )
    for (const { path, found } of stats) {
      if (found === undefined) this.#hash.update(`${path} missing\n`)
      else if (found.isDirectory()) await this.addFolder(path, mayRead)
      else this.#see(path, found)
    }
  }

  /** Adds a file whose age does not count: it need not be at rest. */
  async addAgeless(path: string): Promise<void> {
    const newestMs = this.#newestMs
    await this.add(path)
    this.#newestMs = newestMs
  }

  #see(
    path: string,
    { dev, ino, size, mtimeNs, ctimeNs }: Record<'dev' | 'ino' | 'size' | 'mtimeNs' | 'ctimeNs', bigint>,
  ): void {
    this.#hash.update(`${path} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}\n`)
    this.#newestMs = Math.max(this.#newestMs, Number(ctimeNs / 1_000_000n))
  }

  /** The stamp of all that was added. Nothing can be added afterwards. */
  end(): Stamp {
    return { text: this.#hash.digest('base64'), newestMs: this.#newestMs }
  }
}
