/**
 * What an import says of its input: what cannot be read (errors), and what Meridian's zones cannot say or say otherwise
 * (warnings), each with its place. Filled by the readers of all formats, printed by cli/import.ts.
 */

import { inLine } from '../problem.ts'

/**
 * Where something is written: a path as the operator named it, and a line from 1 on; 0 = the file as a whole. Columns count
 * characters from 1 on; undefined: the line as a whole, as of master files.
 */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column?: number | undefined
}

/** One thing that could not be read, or not be taken over as it was. */
export interface Note extends Place {
  readonly severity: 'error' | 'warning'
  readonly message: string
}

/** The most notes that are kept; all are counted. */
const MOST_NOTES = 1000

/** The notes of an import, each once, in the order of their places. */
export class Notes {
  readonly #list: Note[] = []
  readonly #known = new Set<string>()
  #hidden = 0
  #errors = 0

  /** Something that could not be read: the import fails. */
  error(place: Place, message: string): void {
    this.#errors++
    this.#add('error', place, message)
  }

  /** Something that could not be taken over, or that Meridian does otherwise. */
  warn(place: Place, message: string): void {
    this.#add('warning', place, message)
  }

  /** Whether anything could not be read. */
  get failed(): boolean {
    return this.#errors > 0
  }

  /** All notes, by file, line and column; a last one counts those that are not among them. */
  list(): readonly Note[] {
    const sorted = this.#list.toSorted(
      (a, b) =>
        (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || (a.column ?? 0) - (b.column ?? 0),
    )
    if (this.#hidden === 0) return sorted
    const message = `${this.#hidden} more notes are not told`
    return [...sorted, { severity: 'warning', file: sorted[0]?.file ?? '', line: 0, message }]
  }

  #add(severity: Note['severity'], { file, line, column }: Place, message: string): void {
    const key = `${file}:${line}:${column ?? 0} ${message}`
    if (this.#known.has(key)) return
    if (this.#list.length >= MOST_NOTES) {
      this.#hidden++
      return
    }
    this.#known.add(key)
    this.#list.push({ severity, file, line, column, message })
  }
}

/** A note as text: `file:line:column: severity: message`. */
export const formatNote = ({ severity, file, line, column, message }: Note): string => {
  const at = line === 0 ? '' : column === undefined ? `:${line}` : `:${line}:${column}`
  return inLine(`${file}${at}: ${severity}: ${message}`)
}
