/**
 * Reads what others write, without ever taking a mixture of old and new, which may be valid YAML: what is read must have been
 * at rest before, and be the same after as it was before; else it is read again, within bounds. Used by the builder for the
 * databases, and by folder.ts for the folder of zones.
 *
 *   at rest? ─▶ stamp ─▶ read ─▶ stamp ─┬─ the same ─▶ taken
 *      ▲                                └─ another ──┐
 *      └─────────────────────────────────────────────┘
 */
import { createHash, type Hash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What files look like from outside. */
export interface Stamp {
  /** Equal while each of them has the same name, inode, size and times. */
  readonly text: string
  /** When the youngest of them was last written or put in place, Unix time; 0 = there are none. */
  readonly newestMs: number
}

export interface StableReadLimits {
  /** How long nothing must have changed before reading begins. */
  readonly quietMs: number
  /** Readings, and time spent on them and on waiting for rest, after which it is given up. */
  readonly rounds: number
  readonly withinMs: number
}

/** Of a process that goes on: a checkout, copy or edit that is under way is waited for. */
export const WAIT_FOR_REST: StableReadLimits = { quietMs: 500, rounds: 10, withinMs: 30_000 }
/** Of a command that looks once: it reads at once. */
export const READ_AT_ONCE: StableReadLimits = { ...WAIT_FOR_REST, quietMs: 0 }

/** What `read` gave while the stamp stood still; undefined when it never did. */
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
    // from the future: of another host's clock, which tells nothing
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

/** Of single files; one that is missing is stamped as such. */
export async function stampFiles(files: readonly string[]): Promise<Stamp> {
  const stamping = new StampBuilder()
  for (const file of files) await stamping.add(file)
  return stamping.end()
}

export class StampBuilder {
  readonly #hash: Hash = createHash('sha256')
  readonly #folders = new Set<string>()
  #newestMs = 0

  async add(path: string): Promise<void> {
    const found = await stat(path, { bigint: true }).catch(() => undefined)
    if (found === undefined) this.#hash.update(`${path} missing\n`)
    else this.#see(path, found)
  }

  /**
   * All that the loader may read below a folder: what begins with a dot it does not, but for octoDNS's `.yaml`; links it
   * follows where it `mayRead`. A folder that several links lead to counts once: there may be no end of ways to it.
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

  /** Whose age does not count. */
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

  end(): Stamp {
    return { text: this.#hash.digest('base64'), newestMs: this.#newestMs }
  }
}
