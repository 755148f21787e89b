/**
 * Files of the state folder: what a process must find again after a restart. A file is always replaced as a whole, so a
 * reader sees the old content or the new one and never a part, also after a power cut:
 *
 *   NAME.PID.RANDOM.new ─ write ─▶ fsync ─▶ rename to NAME ─▶ fsync of the folder
 *
 * Used for saved health, overrides, the serial, held databases and the cache. A file that cannot be read or written is
 * reported as trouble; the node goes on, and no site goes down by it. Only regular files are read: a FIFO would block,
 * and opening a device may have side effects.
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
  writeFileSync,
} from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf, messageOf } from './problem.ts'
import { decodeText, faultInWords } from './text.ts'

/** A kind of state file: its name in words, and the value of its key `format`. */
export interface FileKind {
  readonly what: string
  readonly format: string
}

/** The most bytes of a state file. */
const MOST_BYTES = 256 << 20

/** Reads a state file: its object; nothing if there is no file; `trouble`, in words, if it cannot be used. */
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

/** The trouble, in words, of a file that is no state file of its kind. */
export const damaged = (file: string, what: string): string =>
  `saved ${what} ${file} is damaged or foreign and was not used`

/** Whether a value is an object and no array. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether a value is a finite number, as times are. */
export const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

/** Whether a value is a whole number of things. */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/**
 * The text of a regular file; undefined if there is no file. Throws when it cannot be read, is no regular file, or no
 * UTF-8.
 */
export function readWhole(path: string): string | undefined {
  const bytes = readBytes(path)
  if (bytes === undefined) return undefined
  const { text, fault } = decodeText(bytes)
  if (fault === undefined) return text
  throw new Error(faultInWords(fault)[0])
}

/** The bytes of a regular file, as readWhole(). */
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

/** Opens a regular file for reading and never blocks. Returns the descriptor; throws as readWhole(). */
export function openRegular(path: string): number {
  refuseSpecial(statSync(path)) // before it is opened: opening a device may have side effects
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    refuseSpecial(fstatSync(file)) // again: it may have been replaced meanwhile
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

/** Only the owner of the process may read it. */
const MODE = 0o600

/** A temporary name that no other write uses, of this process or of a successor that shares the folder. */
const asideOf = (path: string): string => `${path}.${process.pid}.${randomBytes(4).toString('hex')}.new`

/** How files are replaced that others read, too. */
export interface ReplaceOptions {
  /** Default: 0600. */
  readonly mode?: number
  /** The folder, on the same file system, in which they are written first. Default: each one's own. */
  readonly asideIn?: string
}

/**
 * Replaces a file by what `write` writes, and makes its folder if need be. When it rejects, the old file is still
 * there.
 */
export const replaceFile = (path: string, write: (file: FileHandle) => Promise<void>): Promise<void> =>
  replaceFiles(new Map([[path, write]]))

/**
 * Replaces several files, by path: all are written before the first is renamed, so when it rejects because the disk is
 * full, the old ones are still there.
 */
export async function replaceFiles(
  files: ReadonlyMap<string, (file: FileHandle) => Promise<void>>,
  { mode = MODE, asideIn }: ReplaceOptions = {},
): Promise<void> {
  const asides = new Map<string, string>()
  const folders = new Set([...files.keys()].map((path) => dirname(path)))
  for (const folder of folders) await mkdir(folder, { recursive: true })
  try {
    for (const [path, write] of files) {
      const aside = asideOf(asideIn === undefined ? path : join(asideIn, basename(path)))
      asides.set(path, aside)
      await synced(await open(aside, 'wx', mode), write)
    }
    for (const [path, aside] of asides) await rename(aside, path)
  } catch (error) {
    for (const aside of asides.values()) await rm(aside, { force: true }).catch(() => {})
    throw error
  }
  for (const folder of folders) await synced(await open(folder, 'r'), async () => {})
}

async function synced(file: FileHandle, write: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await write(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** As replaceFile(), synchronously, for threads that may block. `write` gets a descriptor. */
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
      // the first error is thrown, not that the temporary file stays
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
 * Temporary names: of files that are being written, NAME.PID.RANDOM.new; of sockets that are being bound, PID.new. In
 * the cache of version 0.1 they ended with `.tmp`.
 */
const ASIDE = /(?:^|\.)(\d{1,10})(?:\.[0-9a-f]{8})?\.(?:new|tmp)$/
/**
 * A temporary file older than this, in ms, is abandoned even if a process with its number is alive: numbers are used
 * again.
 */
const STALE_MS = 3_600_000

/**
 * Removes the temporary files that dead processes left in a folder. Call it before this process writes there: a file
 * with its own number is from an earlier process (in a container every process has number 1).
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

/** Whether a process with this number is running. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** The result of `action`; undefined when it throws: for file system errors that need no report. */
export function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

/** What a Saver saves, where, and whom it tells of trouble. */
export interface SaverSettings {
  readonly file: string
  readonly kind: FileKind
  readonly collect: () => object
  /** Called with the trouble in words when saving begins to fail, and with undefined when it works again. */
  readonly onTrouble: (trouble: string | undefined) => void
  /** At most one save in this time; 1,000 unless given. */
  readonly everyMs?: number
}

/** Saves state to a file soon after touch(), and once a minute, so that the file of a quiet node does not look old. */
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
   * Saves now, after any save in progress. Never rejects: resolves with undefined when the state that collect() gave
   * after this call is on disk, else with the trouble; saving is then tried again.
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

  /** Ends without another save, once the save in progress is done. */
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

/** The line that a file holds; undefined if there is no such file, or it can't be read. */
export function readMark(file: string): string | undefined {
  try {
    return readWhole(file)?.trim()
  } catch {
    return undefined
  }
}

/** Replaces a file by one line. Throws if it can't be written. */
export const writeMark = (file: string, text: string): void =>
  replaceFileSync(file, (descriptor) => writeFileSync(descriptor, `${text}\n`))
