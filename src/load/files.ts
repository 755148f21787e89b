/**
 * The files of a folder of zones, as one load sees them: each is read once, and what includes name is held within bounds.
 * Used by load.ts, and by world/folder.ts and world/reloads.ts, which have to know what a load may read.
 *
 * What is read decides what a stranger's pull request can make a machine print: files of the same git work tree (never git's
 * own), or, where there is none, of the folder alone. Links count as what they lead to, also where the folder's own files
 * are links.
 */
import { hash as hashOf } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { findTop } from '../git.ts'
import { codeOf, messageOf } from '../problem.ts'
import type { Include, IncludeResult } from '../yaml/tree.ts'

export type FileRead =
  | {
      readonly text: string
      /** Of the content. */
      readonly hash: string
      /** The path without links. */
      readonly id: string
    }
  | { readonly why: string }

/** `state` is another whenever what is found is. */
export type IncludeLookup = IncludeResult & { readonly state: string }

/** A file that a load has read, or is to read in place of the one on disk. */
export interface SavedFile {
  readonly text: string
  readonly hash: string
  readonly id: string
}

/** By path relative to the folder. */
export type SavedFiles = ReadonlyMap<string, SavedFile>

/** What a folder holds. */
export interface FolderEntry {
  readonly name: string
  readonly isFolder: boolean
  readonly isLink: boolean
}

/** More in one file nobody has written by hand, and beyond 512 MiB JavaScript has no text. */
export const MOST_FILE_BYTES = 256 * 1024 * 1024
/** Of one load, in bytes, and in characters that are included, as often as they are. */
const MAX_ALL_BYTES = 1024 * 1024 * 1024
const MAX_ALL_INCLUDED = 256_000_000

export class Files {
  readonly #folder: string
  /** Real path of the folder; nothing can be included where it has none. */
  readonly #real: string | undefined
  /** Includes stay within. */
  readonly #bounds: string | undefined
  readonly #sought = new Map<string, IncludeLookup>()
  readonly #saved: SavedFiles | undefined
  /** What was read, by path relative to the folder. */
  readonly seen = new Map<string, Omit<SavedFile, 'text'>>()
  #bytes = 0
  #included = 0

  /** `saved`: there are these files, and nothing else is looked at. */
  constructor(folder: string, saved?: SavedFiles) {
    this.#folder = folder
    this.#saved = saved
    this.#real = realPath(folder)
    this.#bounds = this.#real && (findTop(this.#real) ?? this.#real)
  }

  /** A file of the folder; `file`: its path as it is told to the operator. */
  read(file: string): FileRead {
    try {
      const path = relative(this.#folder, file)
      const read = this.#saved === undefined ? this.#readNow(file) : (this.#saved.get(path) ?? missing(file))
      this.seen.set(path, { hash: read.hash, id: read.id })
      return read
    } catch (error) {
      return { why: messageOf(error) }
    }
  }

  #readNow(file: string): SavedFile {
    const id = this.confine(file)
    return { ...this.#readRegular(id), id }
  }

  /** What a folder has, in no order. Rejects as readdir() does, or when links lead out of the bounds. */
  async list(folder: string): Promise<readonly FolderEntry[]> {
    if (this.#saved !== undefined) return listSaved(this.#saved, relative(this.#folder, folder))
    const entries = await readdir(this.confine(folder), { withFileTypes: true })
    const listed = entries.map(async (entry) => ({
      name: entry.name,
      isFolder: entry.isSymbolicLink()
        ? (await stat(join(folder, entry.name)).catch(() => entry)).isDirectory()
        : entry.isDirectory(),
      isLink: entry.isSymbolicLink(),
    }))
    return Promise.all(listed)
  }

  /** A path without links; throws when they lead out of the bounds, or nowhere. */
  confine(path: string): string {
    const id = realpathSync(path)
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

  /** Whether links lead from there out of the bounds: false of what leads nowhere. */
  leadsOut(path: string): boolean {
    try {
      this.confine(path)
      return false
    } catch (error) {
      return error instanceof FileError
    }
  }

  /** For parseYaml; `seen` is told each file that was sought, found or not, with its state. */
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

  /** What a file has included counts for all. */
  addIncluded(characters: number): void {
    this.#included += characters
  }

  /** Never waits: a FIFO is opened at once, and refused. */
  #readRegular(path: string): { readonly text: string; readonly hash: string } {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const found = fstatSync(file)
      if (!found.isFile()) throw new FileError('is no file')
      if (found.size > MOST_FILE_BYTES) throw new FileError(`is larger than ${MOST_FILE_BYTES >> 20} MiB`)
      this.#bytes += found.size
      if (this.#bytes > MAX_ALL_BYTES)
        throw new FileError(`is one too many: a load reads ${MAX_ALL_BYTES >> 20} MiB at most`)
      const text = readFileSync(file, 'utf8')
      return { text, hash: hashOf('sha256', text, 'base64') }
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
    // as written first: whether a file beyond the bounds exists is nobody's business
    if (this.#real === undefined || !this.#isWithin(resolve(this.#real, relative(this.#folder, file)))) {
      return this.#refuse(file)
    }
    let id: string
    try {
      id = realpathSync(file)
    } catch (error) {
      return unreadable(file, error)
    }
    if (!this.#isWithin(id)) return this.#refuse(file)
    try {
      const { text, hash } = this.#readRegular(id)
      return { file, text, id, state: hash }
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

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
