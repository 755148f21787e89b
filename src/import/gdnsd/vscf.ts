/**
 * The language of gdnsd's configuration (gdnsd.config(5), “LOW-LEVEL SYNTAX”): hashes, arrays and strings, with comments and
 * includes → a tree whose nodes know their place. Reading stops at the first fault of a file, which is a Note.
 *
 *   key => { inner = value, list => [ a, "b c" ] }   $include{other.cfg}   # comment   ; comment
 */
import { basename, dirname, join } from 'node:path'
import { Input } from '../input.ts'
import type { Notes, Place } from '../notes.ts'

export type Vscf = VscfText | VscfList | VscfHash

export interface VscfText extends Place {
  readonly kind: 'text'
  readonly text: string
}

export interface VscfList extends Place {
  readonly kind: 'list'
  readonly items: readonly Vscf[]
}

export interface VscfHash extends Place {
  readonly kind: 'hash'
  /** In the order of the file. */
  readonly entries: ReadonlyMap<string, VscfEntry>
}

export interface VscfEntry extends Place {
  readonly value: Vscf
}

const MOST_DEPTH = 64
const MOST_FILES = 1000
const MOST_VALUES = 2_000_000

/** Reads a file and what it includes; undefined when it cannot be read. */
export function readVscf(file: string, input: Input, notes: Notes, from: Place = { file, line: 0 }): Vscf | undefined {
  return new Vscfs(input, notes).file(file, from, 0)
}

/** Thrown at the first fault of a file. */
class VscfFault extends Error {
  readonly at: Place
  constructor(at: Place, message: string) {
    super(message)
    this.at = at
  }
}

/** The files of one configuration. */
class Vscfs {
  readonly #input: Input
  readonly #notes: Notes
  #files = 0
  values = 0

  constructor(input: Input, notes: Notes) {
    this.#input = input
    this.#notes = notes
  }

  file(file: string, from: Place, depth: number): Vscf | undefined {
    const read = this.#input.read(file)
    if ('why' in read || ++this.#files > MOST_FILES) {
      const why = 'why' in read ? read.why : `more than ${MOST_FILES} files are included`
      this.#notes.error(from, `${file} cannot be read: ${why}`)
      return undefined
    }
    try {
      return new VscfParser(this, file, read.bytes.toString('latin1'), depth).root()
    } catch (error) {
      if (!(error instanceof VscfFault)) throw error
      this.#notes.error(error.at, error.message)
      return undefined
    }
  }

  /** The files that an include names: a file, all of a folder, or those that fit a pattern. undefined: none does. */
  included(name: string, from: Place): readonly string[] | undefined {
    const path = Input.beside(name, from.file)
    const pattern = basename(path)
    if (!/[*?[]/.test(pattern)) {
      const inside = this.#input.list(path)
      const isFolder = inside.length > 0 || this.#input.isDirectory(path)
      return isFolder ? inside.map((one) => join(path, one)) : [path]
    }
    const fitting = this.#input.list(dirname(path)).filter((one) => fits(one, pattern))
    return fitting.length === 0 ? undefined : fitting.map((one) => join(dirname(path), one))
  }
}

/** Whether a name fits a pattern of `*` and `?`, as a shell has them. */
function fits(name: string, pattern: string): boolean {
  let [i, j, star, retry] = [0, 0, -1, 0]
  while (i < name.length) {
    if (j < pattern.length && (pattern[j] === '?' || (pattern[j] === name[i] && pattern[j] !== '*'))) {
      i++
      j++
    } else if (pattern[j] === '*') {
      star = j++
      retry = i
    } else if (star >= 0) {
      j = star + 1
      i = ++retry
    } else return false
  }
  while (pattern[j] === '*') j++
  return j === pattern.length
}

const SPECIAL: ReadonlySet<string> = new Set('][}{;#,"=\\ \t\r\n\f\v')

class VscfParser {
  readonly #all: Vscfs
  readonly #file: string
  readonly #text: string
  readonly #depth: number
  #at = 0
  #line = 1
  /** Where the line begins. */
  #start = 0

  constructor(all: Vscfs, file: string, text: string, depth: number) {
    this.#all = all
    this.#file = file
    this.#text = text
    this.#depth = depth
  }

  root(): Vscf {
    this.#blank()
    const root = this.#peek() === '[' ? this.#value(this.#depth) : this.#hash(this.#depth, undefined)
    this.#blank()
    if (this.#at < this.#text.length) this.#fault(`“${this.#peek()}” is not expected here`)
    return root
  }

  #fault(message: string): never {
    throw new VscfFault(this.#place(), message)
  }

  #peek(): string {
    return this.#text[this.#at] ?? ''
  }

  #place(): Place {
    return { file: this.#file, line: this.#line, column: this.#at - this.#start + 1 }
  }

  /** The character at #at ends a line. */
  #newLine(): void {
    this.#line++
    this.#start = this.#at + 1
  }

  /** Skips blanks, comments, and commas, which are decoration. */
  #blank(commas = false): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#peek()
      if (character === '\n') this.#newLine()
      else if (character === '#' || character === ';') {
        const end = this.#text.indexOf('\n', this.#at)
        this.#at = (end < 0 ? this.#text.length : end) - 1
      } else if (!(character === ',' ? commas : ' \t\r\f\v'.includes(character))) return
    }
  }

  #value(depth: number): Vscf {
    if (depth > MOST_DEPTH) this.#fault(`more than ${MOST_DEPTH} levels`)
    if (++this.#all.values > MOST_VALUES) this.#fault(`more than ${MOST_VALUES} values`)
    const place = this.#place()
    if (this.#peek() === '{') {
      this.#at++
      return this.#hash(depth + 1, '}')
    }
    if (this.#peek() === '[') {
      this.#at++
      const items: Vscf[] = []
      for (this.#blank(true); this.#peek() !== ']'; this.#blank(true)) {
        if (this.#at >= this.#text.length) this.#fault('an array is never closed')
        items.push(this.#value(depth + 1))
      }
      this.#at++
      return { kind: 'list', items, ...place }
    }
    const name = this.#include()
    if (name === undefined) return { kind: 'text', text: this.#string(), ...place }
    const files = this.#all.included(name, place) ?? []
    if (files.length !== 1) this.#fault(`$include{${name}} in place of a value has to be one file`)
    return this.#all.file(files[0]!, place, depth + 1) ?? { kind: 'hash', entries: new Map(), ...place }
  }

  #hash(depth: number, end: '}' | undefined): VscfHash {
    const place = this.#place()
    const entries = new Map<string, VscfEntry>()
    const add = (key: string, entry: VscfEntry): void => {
      if (entries.has(key)) this.#fault(`the key “${key}” is there twice`)
      entries.set(key, entry)
    }
    for (this.#blank(true); this.#peek() !== (end ?? ''); this.#blank(true)) {
      if (this.#at >= this.#text.length) this.#fault('a hash is never closed')
      const at = this.#place()
      const name = this.#include()
      if (name !== undefined) {
        this.#merge(name, at, depth, add)
        continue
      }
      const key = this.#string()
      this.#blank()
      if (this.#peek() !== '=') this.#fault(`behind the key “${key}” is no =>`)
      this.#at += this.#text[this.#at + 1] === '>' ? 2 : 1
      this.#blank()
      add(key, { value: this.#value(depth), ...at })
    }
    if (end !== undefined) this.#at++
    return { kind: 'hash', entries, ...place }
  }

  #merge(name: string, at: Place, depth: number, add: (key: string, entry: VscfEntry) => void): void {
    const files = this.#all.included(name, at)
    if (files === undefined) this.#fault(`$include{${name}} fits no file`)
    for (const file of files) {
      const part = this.#all.file(file, at, depth + 1)
      if (part?.kind === 'hash') for (const [key, entry] of part.entries) add(key, entry)
      else if (part !== undefined) this.#fault(`${file} is no hash`)
    }
  }

  /** The path of an `$include{path}`; undefined if there is none here. */
  #include(): string | undefined {
    if (!this.#text.startsWith('$include{', this.#at)) return undefined
    this.#at += '$include{'.length
    this.#blank()
    const name = this.#string()
    this.#blank()
    if (this.#peek() !== '}') this.#fault('$include{ is never closed')
    this.#at++
    return name
  }

  /** A string, with or without quotes; its escapes are those of master files. */
  #string(): string {
    const isQuoted = this.#peek() === '"'
    if (isQuoted) this.#at++
    const parts: string[] = []
    const start = this.#at
    while (this.#at < this.#text.length) {
      const character = this.#peek()
      if (isQuoted ? character === '"' : SPECIAL.has(character) && character !== '\\') break
      if (character === '\n') this.#newLine()
      if (character !== '\\') {
        parts.push(character)
        this.#at++
        continue
      }
      const number = this.#text.slice(this.#at + 1, this.#at + 4)
      const isNumber = /^\d{3}$/.test(number)
      if (isNumber ? Number(number) > 255 : /^\d?$/.test(number[0] ?? '')) this.#fault('an escape says no byte')
      parts.push(isNumber ? String.fromCharCode(Number(number)) : number[0]!)
      this.#at += isNumber ? 4 : 2
    }
    if (isQuoted && this.#peek() !== '"') this.#fault('a quoted string is never closed')
    if (isQuoted) this.#at++
    else if (this.#at === start || this.#text[start] === '$')
      this.#fault(`“${this.#text.slice(start, start + 12).split('\n')[0]}” is no key and no value`)
    return parts.join('')
  }
}

// How the readers of the configuration look at it.

/** A hash's value of a key. */
export const find = (hash: VscfHash, key: string): Vscf | undefined => hash.entries.get(key)?.value

/** The texts of a value: gdnsd takes one for a list of one. undefined: some are none. */
export function textsOf(value: Vscf): readonly string[] | undefined {
  const items = value.kind === 'list' ? value.items : [value]
  const texts = items.flatMap((item) => (item.kind === 'text' ? [item.text] : []))
  return texts.length === items.length ? texts : undefined
}
