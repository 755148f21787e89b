/**
 * The files of an import: read whole, within bounds, and from one folder alone, whatever includes and links say. Text is
 * one character for each byte, as master files have no encoding.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { messageOf } from '../problem.ts'

/** The most bytes of one file, and of all files that are read, counted as often as they are. */
const MOST_FILE_BYTES = 64 * 1024 * 1024
const MOST_BYTES = 256 * 1024 * 1024

/** A file's bytes, or why there are none. */
export type InputRead = { readonly bytes: Buffer } | { readonly why: string }

/** Reads files of one folder: `path` itself, or the folder that the file `path` is in. */
export class Input {
  readonly folder: string
  readonly isFolder: boolean
  readonly #real: string
  #bytes = 0

  /** Throws as statSync() does when there is no such path. */
  constructor(path: string) {
    this.isFolder = statSync(path).isDirectory()
    this.folder = this.isFolder ? path : dirname(path)
    this.#real = realpathSync(this.folder)
  }

  /** Reads a regular file. `path`: as messages name it. */
  read(path: string): InputRead {
    try {
      const real = realpathSync(path)
      if (!this.#isWithin(real)) return { why: `it is outside of ${this.folder}` }
      const file = openSync(real, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const found = fstatSync(file)
        if (!found.isFile()) return { why: 'it is no file' }
        this.#bytes += found.size
        if (found.size > MOST_FILE_BYTES) return { why: `it is larger than ${MOST_FILE_BYTES >> 20} MiB` }
        if (this.#bytes > MOST_BYTES) return { why: `all files together are larger than ${MOST_BYTES >> 20} MiB` }
        return { bytes: readFileSync(file) }
      } finally {
        closeSync(file)
      }
    } catch (error) {
      return { why: messageOf(error) }
    }
  }

  /** The path of a file that another one names: relative to that one's folder, or absolute. */
  static beside(name: string, from: string): string {
    return isAbsolute(name) ? name : join(dirname(from), name)
  }

  /** The names of the files in a folder that do not begin with a dot, sorted; none if it cannot be listed. */
  list(folder: string): readonly string[] {
    try {
      if (!this.#isWithin(realpathSync(folder))) return []
      const entries = readdirSync(folder, { withFileTypes: true })
      const names = entries
        .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
        .map(({ name }) => name)
      return names.toSorted()
    } catch {
      return []
    }
  }

  isDirectory(path: string): boolean {
    try {
      return this.#isWithin(realpathSync(path)) && statSync(path).isDirectory()
    } catch {
      return false
    }
  }

  #isWithin(real: string): boolean {
    return relative(this.#real, real).split(sep)[0] !== '..' && !isAbsolute(relative(this.#real, real))
  }
}
