/**
 * A file that grows by whole lines: the query log, the events' file. Where the path leads to is looked at now and then: a
 * file that was renamed or removed, as logrotate does, is made anew. No line is ever cut: the rest of one that was
 * written in part, because the disk was full, comes next; after the torn last line of a process that was killed, a new
 * line begins.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { codeOf, messageOf } from './problem.ts'

/** A pipe without a reader must not block. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
const LINE_END = 0x0a
const NOTHING = new Uint8Array(0)

/** Appends to one file. One call at a time; each rejects with the error of the system call. */
export class AppendFile {
  readonly #path: string
  readonly #mode: number
  #file: FileHandle | undefined
  /** Which file it is: device and inode. */
  #identity = ''
  /** What is being written, from `#at` on. */
  #bytes: Uint8Array = NOTHING
  #at = 0
  #size = 0

  constructor(path: string, mode: number) {
    this.#path = path
    this.#mode = mode
  }

  /** Bytes of the file, as far as this process knows. */
  get size(): number {
    return this.#size
  }

  /** follow() has opened it. */
  get isOpen(): boolean {
    return this.#file !== undefined
  }

  /** What take() gave is not written whole. */
  get isBusy(): boolean {
    return this.#at < this.#bytes.length
  }

  /** Takes whole lines, which write() writes. Not while it is busy. */
  take(lines: Uint8Array): void {
    this.#bytes = lines
    this.#at = 0
  }

  /** Opens the file, or another one if this is no longer where the path leads. */
  async follow(): Promise<void> {
    const there = await stat(this.#path).then(identityOf, () => '')
    if (this.#file !== undefined && there === this.#identity) return
    await this.close()
    this.#file = await open(this.#path, FLAGS, this.#mode)
    const found = await this.#file.stat()
    const identity = identityOf(found)
    this.#size = found.size
    if (identity === this.#identity) return
    this.#identity = identity
    this.#skipRest()
    if (found.isFile() && found.size > 0 && (await this.#isTorn(found.size))) this.#beginLine()
  }

  /** Writes what is left. Call follow() first. */
  async write(): Promise<void> {
    while (this.isBusy) {
      const { bytesWritten } = await this.#file!.write(this.#bytes, this.#at)
      this.#at += bytesWritten
      this.#size += bytesWritten
    }
    this.#bytes = NOTHING
    this.#at = 0
  }

  /** Resolves when what was written outlives a power cut. */
  async sync(): Promise<void> {
    await this.#file?.datasync()
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  /** Whether the last line of the file has no end. */
  async #isTorn(size: number): Promise<boolean> {
    const reader = await open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined)
    if (reader === undefined) return false // it may be written, and not read
    try {
      const last = new Uint8Array(1)
      const { bytesRead } = await reader.read(last, 0, 1, size - 1)
      return bytesRead === 1 && last[0] !== LINE_END
    } finally {
      await reader.close()
    }
  }

  #beginLine(): void {
    const rest = this.#bytes.subarray(this.#at)
    this.take(Buffer.concat([Uint8Array.of(LINE_END), rest]))
  }

  /** In another file, goes on with a whole line. */
  #skipRest(): void {
    if (!this.isBusy || this.#at === 0 || this.#bytes[this.#at - 1] === LINE_END) return
    const end = this.#bytes.indexOf(LINE_END, this.#at)
    this.#at = end < 0 ? this.#bytes.length : end + 1
  }
}

const identityOf = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev} ${ino}`

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EFBIG: 'it has reached the largest size that this process may write (RLIMIT_FSIZE)',
  EACCES: 'no permission; its folder must be writable for the user that runs the node',
  EROFS: 'its file system is read-only',
  ENOENT: 'its folder does not exist',
  EISDIR: 'it is a folder',
  ENXIO: 'it is a pipe that nobody reads',
  EAGAIN: 'it is a pipe whose reader is too slow',
}

/** Why a file can't be written, in words. */
export const writeFault = (error: unknown): string => REASONS[codeOf(error) ?? ''] ?? messageOf(error)
