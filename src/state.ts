/**
 * Files of the state folder: what this process must find again after a restart. Each is replaced whole, so a reader sees
 * the old one or the new one and never half of either, also after a power cut:
 *
 *   NAME.PID.RANDOM.new ─ write ─▶ fsync ─▶ rename to NAME ─▶ fsync of the folder
 *
 * Used for saved health, overrides, the serial, the hold of databases and the cache. A file that cannot be read or written
 * is trouble to be shown; it stops no node and never means down. Only regular files are read: a FIFO would block, and
 * opening a device may do anything.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf, messageOf } from './problem.ts'

/** A kind of file: its name in words, and what its first key says. */
export interface FileKind {
  readonly what: string
  readonly format: string
}

/** More is no file of ours. Bytes. */
const MOST_BYTES = 256 << 20

/** The object in a file of this kind; nothing where there is no file; `trouble` in words when it can't be used. */
export function readState(
  file: string,
  { what, format }: FileKind,
): { readonly state?: Readonly<Record<string, unknown>>; readonly trouble?: string } {
  let text
  try {
    text = readWhole(file)
  } catch (error) {
    return { trouble: `saved ${what} ${file} can't be read: ${messageOf(error)}` }
  }
  if (text === undefined) return {}
  const state = attempt<unknown>(() => JSON.parse(text))
  return isRecord(state) && state['format'] === format ? { state } : { trouble: damaged(file, what) }
}

export const damaged = (file: string, what: string): string =>
  `saved ${what} ${file} is damaged or foreign and was not used`

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

/** The text of a regular file; undefined where there is none. Throws in words, or the error of the system call. */
export const readWhole = (path: string): string | undefined => readBytes(path)?.toString()

/** As readWhole(). */
export function readBytes(path: string): Buffer | undefined {
  let file
  try {
    file = openRegular(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const { size } = fstatSync(file)
    if (size > MOST_BYTES) throw new Error(`it has ${size} bytes: no file of Meridian is so large; remove it`)
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

/** A descriptor to read from, of a regular file. Never blocks. Throws in words, or the error of the system call. */
export function openRegular(path: string): number {
  refuseSpecial(statSync(path)) // opening a device may do something already
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    refuseSpecial(fstatSync(file)) // it may have been replaced meanwhile
    return file
  } catch (error) {
    closeSync(file)
    throw error
  }
}

function refuseSpecial(found: Stats): void {
  if (found.isFile()) return
  const kind = found.isDirectory()
    ? 'folder'
    : found.isFIFO()
      ? 'FIFO'
      : found.isSocket()
        ? 'socket'
        : found.isCharacterDevice() || found.isBlockDevice()
          ? 'device'
          : 'special file'
  throw new Error(`it is a ${kind} where a file must be`)
}

/** Mode of what only the owner of the process reads. */
const MODE = 0o600

/** Of one writing alone: threads of this process, and a successor that shares the folder, have other names. */
const asideOf = (path: string): string => `${path}.${process.pid}.${randomBytes(4).toString('hex')}.new`

/** Puts in the file's place what `write` writes; the folder is made. Rejects with the old file still there. */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const aside = asideOf(path)
  const folder = dirname(path)
  await mkdir(folder, { recursive: true })
  try {
    await synced(await open(aside, 'wx', MODE), write)
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true }).catch(() => {})
    throw error
  }
  await synced(await open(folder, 'r'), async () => {})
}

async function synced(file: FileHandle, write: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await write(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** As replaceFile(), for a thread that may wait for the disk. `write` gets a descriptor. */
export function replaceFileSync(path: string, write: (file: number) => void): void {
  const aside = asideOf(path)
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true })
  try {
    syncedSync(openSync(aside, 'wx', MODE), write)
    renameSync(aside, path)
  } catch (error) {
    try {
      rmSync(aside, { force: true })
    } catch {
      // what could not be written is the news, not that its rest stays
    }
    throw error
  }
  syncedSync(openSync(folder, 'r'), () => {})
}

function syncedSync(file: number, write: (file: number) => void): void {
  try {
    write(file)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * Names of what is being written, or of a socket that is being bound: NAME.PID.RANDOM.new, PID.new; `.tmp` ended them in
 * the cache of version 0.1.
 */
const ASIDE = /(?:^|\.)(\d{1,10})(?:\.[0-9a-f]{8})?\.(?:new|tmp)$/
/** A living process has the number of a dead one that left a file this old, in ms. */
const STALE_MS = 3_600_000

/**
 * Removes what processes that died while they wrote have left in a folder. Call it before this process writes there: what
 * bears its own number is an earlier process's (in a container all of them are number 1).
 */
export function removeLeftovers(folder: string): void {
  for (const name of attempt(() => readdirSync(folder)) ?? []) {
    const pid = ASIDE.exec(name)?.[1]
    if (pid === undefined) continue
    const path = join(folder, name)
    const isAbandoned = Number(pid) === process.pid || !isAlive(Number(pid)) || ageOf(path) > STALE_MS
    if (isAbandoned) attempt(() => rmSync(path, { force: true }))
  }
}

const ageOf = (path: string): number => Date.now() - (attempt(() => statSync(path).mtimeMs) ?? Infinity)

/** Whether there is a process of this number. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** What `action` gives; undefined where it throws: what the file system refuses is no news then. */
export function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

export interface SaverSettings {
  readonly file: string
  readonly kind: FileKind
  readonly collect: () => object
  /** Words when saving begins to fail, undefined when it works again. */
  readonly onTrouble: (trouble: string | undefined) => void
  /** At most one save in this time. */
  readonly everyMs?: number
}

/** Saves soon after touch(), and at the latest once a minute, so that the saved state of a quiet node stays young. */
export class Saver {
  readonly #settings: Required<SaverSettings>
  #timer: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #writing: Promise<string | undefined> = Promise.resolve(undefined)
  #failing = false

  constructor(settings: SaverSettings) {
    this.#settings = { everyMs: 1000, ...settings }
  }

  start(): void {
    this.#idle = setInterval(() => this.touch(), 60_000).unref()
    this.touch()
  }

  touch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.save()
    }, this.#settings.everyMs).unref()
  }

  /**
   * Saves now, after whatever save is under way. Never rejects: undefined when what collect() gave after this call is on
   * disk, else why it is not; then it is tried again.
   */
  save(): Promise<string | undefined> {
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Ends with a last save. */
  async stop(): Promise<void> {
    await this.save()
    await this.close()
  }

  /** Ends when what is under way is written. */
  async close(): Promise<void> {
    await this.#writing
    clearTimeout(this.#timer)
    clearInterval(this.#idle)
  }

  async #write(): Promise<string | undefined> {
    const { file, kind, collect, onTrouble } = this.#settings
    try {
      const text = JSON.stringify({ format: kind.format, ...collect() })
      await replaceFile(file, (handle) => handle.writeFile(text))
    } catch (error) {
      const trouble = `${kind.what} can't be saved to ${file}: ${messageOf(error)}`
      if (!this.#failing) onTrouble(trouble)
      this.#failing = true
      this.touch()
      return trouble
    }
    if (this.#failing) onTrouble(undefined)
    this.#failing = false
    return undefined
  }
}
