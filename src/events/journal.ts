/**
 * A node's own events on disk: `events.jsonl` in the state folder, a line of JSON for each, and `events.1.jsonl`, which
 * was full before it. Lines are appended in order, one write at a time, and never wait for the disk. A process that is
 * killed loses at most the line that it was writing; a disk that is full, or can't be written, is told once, and what
 * waits is written when there is room again.
 *
 * A node and its successor (`--takeover`) may append at the same time: each write has whole lines, at the file's end.
 */
import { constants } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { AppendFile, writeFault } from '../append.ts'
import { codeOf } from '../problem.ts'
import { type Event, parseEvent } from './event.ts'

const FILE = 'events.jsonl'
const FULL_FILE = 'events.1.jsonl'
/** Only the owner of the process may read it. */
const MODE = 0o600
/** A file that has so many bytes is full. */
const MOST_BYTES = 8 << 20
/** Bytes of one write, and of what may wait for the disk. */
const MOST_WRITE = 256 << 10
const MOST_WAITING = 2 << 20
const RETRY_MS = 5_000

/** The files of a state folder, the older one first. */
export const eventFiles = (folder: string): readonly [full: string, current: string] => [
  join(folder, FULL_FILE),
  join(folder, FILE),
]

/** What a Journal needs of its node. */
export interface JournalSettings {
  /** The state folder. */
  readonly folder: string
  /**
   * Called with the trouble, in words, when writing begins to fail, and with undefined when it works again; `lost`: how
   * many events there was no room for meanwhile.
   */
  readonly onTrouble: (trouble: string | undefined, lost: number) => void
  /** MOST_BYTES, except in tests. */
  readonly mostBytes?: number
  /** RETRY_MS, except in tests. */
  readonly retryMs?: number
}

/** Appends events to the file. */
export class Journal {
  readonly #settings: JournalSettings
  readonly #file: AppendFile
  readonly #waiting: string[] = []
  #waitingBytes = 0
  /** Lines that there was no room for since the trouble began. */
  #lost = 0
  #trouble: string | undefined
  #writing: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #closing = false

  constructor(settings: JournalSettings) {
    this.#settings = settings
    this.#file = new AppendFile(join(settings.folder, FILE), MODE)
  }

  /** Appends an event; returns at once. */
  append(event: Event): void {
    if (this.#closing) return
    const line = `${JSON.stringify(event)}\n`
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    while (this.#waitingBytes > MOST_WAITING) {
      this.#waitingBytes -= this.#waiting.shift()!.length
      this.#lost++
    }
    if (this.#retry === undefined) this.#pump()
  }

  /** Why it can't be written, in words; undefined: it can. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Resolves when all that was appended is on disk, or can't be written. */
  async flush(): Promise<void> {
    if (this.#retry === undefined) this.#pump()
    await this.#writing
  }

  /** Writes what waits, once, and closes the file. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#retry)
    await this.#writing
    this.#pump()
    await this.#writing
    await this.#file.close().catch(() => {})
  }

  #pump(): void {
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
  }

  /** Writes all that waits. Never rejects. */
  async #write(): Promise<void> {
    const { mostBytes = MOST_BYTES } = this.#settings
    try {
      await mkdir(this.#settings.folder, { recursive: true })
      while (this.#file.isBusy || this.#waiting.length > 0) {
        await this.#file.follow()
        if (!this.#file.isBusy) this.#file.take(this.#nextLines())
        await this.#file.write()
        await this.#file.sync()
        if (this.#file.size >= mostBytes) await this.#turn()
        this.#tell(undefined)
      }
    } catch (error) {
      this.#tell(`events can’t be written to ${join(this.#settings.folder, FILE)}: ${writeFault(error)}`)
      if (!this.#closing) this.#retry = setTimeout(() => this.#again(), this.#settings.retryMs ?? RETRY_MS).unref()
    }
  }

  #again(): void {
    this.#retry = undefined
    this.#pump()
  }

  #nextLines(): Buffer {
    let bytes = 0
    const end = this.#waiting.findIndex((line) => (bytes += line.length) > MOST_WRITE)
    const lines = this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end)).join('')
    this.#waitingBytes -= lines.length
    return Buffer.from(lines)
  }

  /** The file is full: it becomes the older one, in the place of that, and the next line begins a new one. */
  async #turn(): Promise<void> {
    const [full, current] = eventFiles(this.#settings.folder)
    await this.#file.close()
    await rename(current, full)
  }

  #tell(trouble: string | undefined): void {
    const isChange = (trouble === undefined) !== (this.#trouble === undefined)
    this.#trouble = trouble
    if (isChange) this.#settings.onTrouble(trouble, this.#lost)
    if (trouble === undefined) this.#lost = 0
  }
}

/** What the files of a state folder have. */
export interface SavedEvents {
  /** In the order in which they were written. */
  readonly events: readonly Event[]
  /** Lines that are no events: torn, or of another version. */
  readonly unread: number
}

/** Reads the last `most` events that a node has written. A file that can't be read counts as empty. */
export async function readEvents(folder: string, most: number): Promise<SavedEvents> {
  const lines: string[] = []
  for (const path of eventFiles(folder)) for (const line of await linesOf(path)) lines.push(line)
  const read = lines.slice(-most).map(parseEvent)
  const events = read.filter((event) => event !== undefined)
  return { events, unread: read.length - events.length }
}

async function linesOf(path: string): Promise<readonly string[]> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const { size } = await file.stat()
      const text = size > 4 * MOST_BYTES ? '' : await file.readFile('utf8')
      return text.split('\n').filter((line) => line !== '')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return []
  }
}
