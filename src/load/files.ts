/**
 * The files of a folder of zones, as one load sees them: each is read once, and includes stay within bounds. Used by
 * load.ts, and by world/, which must know what a load may read.
 *
 * The bounds limit what a stranger's pull request can make CI print: files of the same git work tree, but nothing in
 * `.git`; outside of git, files of the folder alone. A symbolic link counts as its target, for the folder's own files
 * too.
 */
import { hash as hashOf } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { findTop } from '../git.ts'
import { codeOf, messageOf } from '../problem.ts'
import { type DecodedText, decodeText } from '../text.ts'
import type { Include, IncludeResult } from '../yaml/tree.ts'

/** A file's content, or why it cannot be read. */
export type FileRead = FileContent | { readonly why: string }

/** A file's content: who finds the hash known needs no text. */
export interface FileContent {
  /** SHA-256 of the content, base64. */
  readonly hash: string
  /** The path with all links resolved. */
  readonly id: string
  /** Its text, until the next file of the folder is read. */
  readonly decode: () => DecodedText
}

/** What an include of a file gives. `state`: a text that differs whenever the result does. */
export type IncludeLookup = IncludeResult & { readonly state: string }

/** A file that a load has read, or reads in place of the one on disk. */
export interface SavedFile extends DecodedText {
  readonly hash: string
  readonly id: string
}

/** Files by their path relative to the folder of zones. */
export type SavedFiles = ReadonlyMap<string, SavedFile>

/** What stands in place of files on disk, the others of which are read; undefined: there is no such file. */
export type ChangedFiles = ReadonlyMap<string, SavedFile | undefined>

/** An entry of a folder. */
export interface FolderEntry {
  readonly name: string
  readonly isFolder: boolean
  readonly isLink: boolean
}

/** The most bytes of one file: nobody writes more by hand, and JavaScript has no strings beyond 512 MiB. */
export const MOST_FILE_BYTES = 256 * 1024 * 1024
/** The most that one load reads, in bytes, and includes, in characters, counted as often as a file is included. */
const MAX_ALL_BYTES = 1024 * 1024 * 1024
const MAX_ALL_INCLUDED = 256_000_000

/** Reads the files of one load. */
export class Files {
  readonly #folder: string
  /** The folder with all links resolved; undefined if there is no such folder: then nothing can be included. */
  readonly #real: string | undefined
  /** The folder that includes must stay within. */
  readonly #bounds: string | undefined
  readonly #sought = new Map<string, IncludeLookup>()
  readonly #saved: SavedFiles | undefined
  readonly #changed: ChangedFiles
  /** The files read so far, by path relative to the folder. */
  readonly seen = new Map<string, Pick<SavedFile, 'hash' | 'id'>>()
  readonly #own = new FileBuffer()
  readonly #includes = new FileBuffer()
  #bytes = 0
  #included = 0

  /** `saved`: read these files, and nothing from disk. `changed`: read these in place of those on disk. */
  constructor(folder: string, saved?: SavedFiles, changed: ChangedFiles = new Map()) {
    this.#folder = folder
    this.#saved = saved
    this.#changed = changed
    this.#real = realPath(folder)
    this.#bounds = this.#real && (findTop(this.#real) ?? this.#real)
  }

  /** Reads a file of the folder. `file`: its path as messages name it. */
  read(file: string): FileRead {
    try {
      const path = relative(this.#folder, file)
      const isKept = this.#saved !== undefined || this.#changed.has(path)
      const read = isKept ? contentOf((this.#saved ?? this.#changed).get(path) ?? missing(file)) : this.#readNow(file)
      this.seen.set(path, { hash: read.hash, id: read.id })
      return read
    } catch (error) {
      return { why: messageOf(error) }
    }
  }

  #readNow(file: string): FileContent {
    const id = this.confine(file)
    const bytes = this.#readRegular(id, this.#own)
    return { hash: hashOf('sha256', bytes, 'base64'), id, decode: () => decodeText(bytes) }
  }

  /** The entries of a folder, in no order. Rejects as readdir() does, or when links lead out of the bounds. */
  async list(folder: string): Promise<readonly FolderEntry[]> {
    if (this.#saved !== undefined) return listSaved(this.#saved, relative(this.#folder, folder))
    const changed = this.#changedIn(relative(this.#folder, folder))
    const entries = await this.#entriesOf(folder, changed)
    const listed = entries.map(async (entry) => ({
      name: entry.name,
      isFolder: entry.isSymbolicLink()
        ? (await stat(join(folder, entry.name)).catch(() => entry)).isDirectory()
        : entry.isDirectory(),
      isLink: entry.isSymbolicLink(),
    }))
    const onDisk = (await Promise.all(listed)).filter(({ name }) => changed.get(name) !== 'gone')
    const others = [...changed].filter(
      ([name, kind]) => kind !== 'gone' && onDisk.every((entry) => entry.name !== name),
    )
    return [...onDisk, ...others.map(([name, kind]) => ({ name, isFolder: kind === 'folder', isLink: false }))]
  }

  /** The entries of a folder on disk; none if it is there only with the changed files. */
  async #entriesOf(folder: string, changed: ReadonlyMap<string, string>) {
    try {
      return await readdir(this.confine(folder), { withFileTypes: true })
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && changed.size > 0) return []
      throw error
    }
  }

  /** What changed files make of the entries of a folder, by name. */
  #changedIn(folder: string): ReadonlyMap<string, 'file' | 'folder' | 'gone'> {
    const found = new Map<string, 'file' | 'folder' | 'gone'>()
    for (const [path, file] of this.#changed) {
      if (folder !== '' && !path.startsWith(`${folder}/`)) continue
      const [name, ...rest] = (folder === '' ? path : path.slice(folder.length + 1)).split('/')
      if (rest.length === 0) found.set(name!, file === undefined ? 'gone' : 'file')
      else if (file !== undefined) found.set(name!, 'folder')
    }
    return found
  }

  /** The path with all links resolved. Throws when they lead out of the bounds, or nowhere. */
  confine(path: string): string {
    const id = realpathSync.native(path)
    if (this.#real === undefined || this.#isWithin(id)) return id
    throw new FileError(`is a link out of the ${this.#bounds === this.#real ? 'folder of zones' : 'git work tree'}`)
  }

  /** Whether a path leads to something within the bounds. */
  mayRead(path: string): boolean {
    try {
      this.confine(path)
      return true
    } catch {
      return false
    }
  }

  /** Whether links lead from a path out of the bounds; false if they lead nowhere. */
  leadsOut(path: string): boolean {
    try {
      this.confine(path)
      return false
    } catch (error) {
      return error instanceof FileError
    }
  }

  /**
   * Makes the Include function for parseYaml(). It puts each file that was looked for, found or not, into `seen`, with
   * its state.
   */
  includer(seen: Map<string, string>): Include {
    return (name, from) => {
      if (isAbsolute(name)) return this.#refuse(name)
      if (this.#included > MAX_ALL_INCLUDED) {
        const message = `all files together include more than ${MAX_ALL_INCLUDED / 1e6} million characters`
        return { code: 'include-invalid', message, hint: 'What many zones share is best small' }
      }
      const file = join(dirname(from), name)
      const found = this.seek(file)
      seen.set(file, found.state)
      return found
    }
  }

  /** Counts the characters that a file has included against the limit of the load. */
  addIncluded(characters: number): void {
    this.#included += characters
  }

  /** Reads a regular file and never blocks: a FIFO is opened without waiting, and refused. The bytes stay until the buffer's next. */
  #readRegular(path: string, buffer: FileBuffer): Buffer {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const found = fstatSync(file)
      if (!found.isFile()) throw new FileError('is no file')
      if (found.size > MOST_FILE_BYTES) throw new FileError(`is larger than ${MOST_FILE_BYTES >> 20} MiB`)
      this.#bytes += found.size
      if (this.#bytes > MAX_ALL_BYTES)
        throw new FileError(`is one too many: a load reads ${MAX_ALL_BYTES >> 20} MiB at most`)
      return buffer.fill(file, found.size)
    } finally {
      closeSync(file)
    }
  }

  /** What an include of `file` gives. */
  seek(file: string): IncludeLookup {
    let found = this.#sought.get(file)
    if (found === undefined) this.#sought.set(file, (found = this.#find(file)))
    return found
  }

  #find(file: string): IncludeLookup {
    const path = relative(this.#folder, file)
    const found = this.#saved === undefined ? this.#findNow(file) : findSaved(this.#saved, path, file)
    if ('id' in found) this.seen.set(path, { hash: found.state, id: found.id })
    return found
  }

  #findNow(file: string): IncludeLookup {
    // the path as written is checked first: messages must not tell whether a file outside of the bounds exists
    if (this.#real === undefined || !this.#isWithin(resolve(this.#real, relative(this.#folder, file)))) {
      return this.#refuse(file)
    }
    let id: string
    try {
      id = realpathSync.native(file)
    } catch (error) {
      return unreadable(file, error)
    }
    if (!this.#isWithin(id)) return this.#refuse(file)
    try {
      const bytes = this.#readRegular(id, this.#includes)
      return { file, ...decodeText(bytes), id, state: hashOf('sha256', bytes, 'base64') }
    } catch (error) {
      return unreadable(file, error)
    }
  }

  #isWithin(path: string): boolean {
    const steps = relative(this.#bounds!, path).split(sep)
    return steps[0] !== '..' && !steps.some((step) => step.toLowerCase() === '.git')
  }

  #refuse(file: string): IncludeLookup {
    const message = `${file} is beyond what may be included`
    const hint =
      this.#bounds === this.#real
        ? 'Outside of git, only files of the folder itself can be included'
        : 'Only files of the same git work tree can be included, by a path relative to the file that includes them'
    return { code: 'include-invalid', message, hint, state: 'include-invalid' }
  }
}

function unreadable(file: string, error: unknown): IncludeLookup {
  if (error instanceof FileError) {
    return { code: 'include-invalid', message: `${file} ${error.message}`, state: error.message }
  }
  const why = codeOf(error) ?? String(error)
  const message = why === 'ENOENT' ? `there is no file ${file}` : `${file} could not be read: ${why}`
  const hint = 'Names of files are relative to the file that includes them'
  return { code: 'file-unreadable', message, state: why, ...(why === 'ENOENT' && { hint }) }
}

function findSaved(saved: SavedFiles, path: string, file: string): IncludeLookup {
  const found = saved.get(path)
  if (found === undefined) return unreadable(file, Object.assign(new Error(), { code: 'ENOENT' }))
  return { file, text: found.text, id: found.id, state: found.hash }
}

const contentOf = (saved: SavedFile): FileContent => ({ hash: saved.hash, id: saved.id, decode: () => saved })

const missing = (file: string): never => {
  throw new Error(`ENOENT: ${file} is not among the saved files`)
}

function listSaved(saved: SavedFiles, folder: string): FolderEntry[] {
  const found = new Map<string, FolderEntry>()
  for (const path of saved.keys()) {
    if (folder !== '' && !path.startsWith(`${folder}/`)) continue
    const [name, ...rest] = (folder === '' ? path : path.slice(folder.length + 1)).split('/')
    if (name !== '..') found.set(name!, { name: name!, isFolder: rest.length > 0, isLink: false })
  }
  return [...found.values()]
}

class FileError extends Error {}

/**
 * The bytes of one file at a time: with a buffer for each file, a load of a thousand has the garbage collector look through
 * the whole heap, again and again.
 */
class FileBuffer {
  #buffer = Buffer.allocUnsafeSlow(64 * 1024)

  /** Reads all of an open file. `size`: what it had when it was opened; it may be written meanwhile. */
  fill(file: number, size: number): Buffer {
    let bytes = 0
    for (let read = -1; read !== 0; bytes += read) {
      if (bytes > MOST_FILE_BYTES) throw new FileError(`is larger than ${MOST_FILE_BYTES >> 20} MiB`)
      const least = Math.max(size, bytes) + 1 // the end is found by a read that has room, and gets nothing
      if (least > this.#buffer.length) this.#grow(Math.max(least, 2 * bytes), bytes)
      read = readSync(file, this.#buffer, bytes, this.#buffer.length - bytes, null)
    }
    return this.#buffer.subarray(0, bytes)
  }

  #grow(size: number, kept: number): void {
    const grown = Buffer.allocUnsafeSlow(size)
    this.#buffer.copy(grown, 0, 0, kept)
    this.#buffer = grown
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync.native(path)
  } catch {
    return undefined
  }
}
