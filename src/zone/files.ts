/**
 * The files of a folder of zones, as one load sees them: each is read once, and what includes name is held within bounds.
 * Used by zone/load.ts, and by answer/follow.ts and cli/loads.ts, which have to know what a load may read.
 *
 * What is read decides what a stranger's pull request can make a machine print: files of the same git work tree (never git's
 * own), or, where there is none, of the folder alone. Links count as what they lead to, also where the folder's own files
 * are links.
 */
import { hash as hashOf } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { findTop } from '../git.ts'
import type { Include, Included } from './yaml.ts'

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
export type Sought = Included & { readonly state: string }

/** More in one file nobody has written by hand, and beyond 512 MiB JavaScript has no text. */
const MAX_BYTES = 256 * 1024 * 1024

export class Files {
  readonly #folder: string
  /** Real path of the folder; nothing can be included where it has none. */
  readonly #real: string | undefined
  /** Includes stay within. */
  readonly #bounds: string | undefined
  readonly #sought = new Map<string, Sought>()

  constructor(folder: string) {
    this.#folder = folder
    this.#real = realPath(folder)
    this.#bounds = this.#real && (findTop(this.#real) ?? this.#real)
  }

  /** A file of the folder; `file`: its path as it is told to the operator. */
  read(file: string): FileRead {
    try {
      const id = this.confine(file)
      return { ...readRegular(id), id }
    } catch (error) {
      return { why: error instanceof Error ? error.message : String(error) }
    }
  }

  /** A path without links; throws when they lead out of the bounds, or nowhere. */
  confine(path: string): string {
    const id = realpathSync(path)
    if (this.#real === undefined || this.#isWithin(id)) return id
    throw new NoFile(`is a link out of the ${this.#bounds === this.#real ? 'folder of zones' : 'git work tree'}`)
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
      return error instanceof NoFile
    }
  }

  /** For parseYaml; `seen` is told each file that was sought, found or not, with its state. */
  includer(seen: Map<string, string>): Include {
    return (name, from) => {
      if (isAbsolute(name)) return this.#refuse(name)
      const file = join(dirname(from), name)
      const found = this.seek(file)
      seen.set(file, found.state)
      return found
    }
  }

  /** What an include of `file` gives. */
  seek(file: string): Sought {
    let found = this.#sought.get(file)
    if (found === undefined) this.#sought.set(file, (found = this.#find(file)))
    return found
  }

  #find(file: string): Sought {
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
      const { text, hash } = readRegular(id)
      return { file, text, id, state: hash }
    } catch (error) {
      return unreadable(file, error)
    }
  }

  #isWithin(path: string): boolean {
    const steps = relative(this.#bounds!, path).split(sep)
    return steps[0] !== '..' && !steps.some((step) => step.toLowerCase() === '.git')
  }

  #refuse(file: string): Sought {
    const message = `${file} is beyond what may be included`
    const hint =
      this.#bounds === this.#real
        ? 'Outside of git, only files of the folder itself can be included'
        : 'Only files of the same git work tree can be included, by a path relative to the file that includes them'
    return { code: 'include-invalid', message, hint, state: 'include-invalid' }
  }
}

function unreadable(file: string, error: unknown): Sought {
  if (error instanceof NoFile) {
    return { code: 'include-invalid', message: `${file} ${error.message}`, state: error.message }
  }
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  const message = why === 'ENOENT' ? `there is no file ${file}` : `${file} could not be read: ${why}`
  const hint = 'Names of files are relative to the file that includes them'
  return { code: 'file-unreadable', message, state: why, ...(why === 'ENOENT' && { hint }) }
}

class NoFile extends Error {}

/** Never waits: a FIFO is opened at once, and refused. */
function readRegular(path: string): { readonly text: string; readonly hash: string } {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new NoFile('is no file')
    if (stat.size > MAX_BYTES) throw new NoFile(`is larger than ${MAX_BYTES >> 20} MiB`)
    const text = readFileSync(file, 'utf8')
    return { text, hash: hashOf('sha256', text, 'base64') }
  } finally {
    closeSync(file)
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
