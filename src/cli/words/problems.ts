/**
 * Problems as `check` prints them: for people, with the line underlined at the fault; for GitHub, as workflow commands,
 * which become annotations of a pull request. Called by ../check.ts. Messages and hints come with the Problem; this adds
 * the excerpt.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { findWorkTree } from '../../git.ts'
import { inLine, type Problem, type Severity } from '../../problem.ts'
import { Source } from '../../yaml/source.ts'

/** The most columns of an excerpt; a longer line is cut to a window around the fault. */
const WINDOW = 100
/**
 * How many UTF-16 units on either side of a fault are examined: a line may be a whole file, with thousands of faults.
 */
const NEAR = 4 * WINDOW
const TAB = 4

/**
 * Formats problems as text: place, code, message; the line with its fault underlined; the hint. Keeps the last file
 * read.
 */
export class ProblemWriter {
  readonly #colours: boolean
  readonly #secret: ReadonlySet<string>
  #source: Source | undefined

  /** `secret`: files whose lines are never shown, because they may hold tokens and passwords. */
  constructor(colours: boolean, secret: ReadonlySet<string> = new Set()) {
    this.#colours = colours
    this.#secret = secret
  }

  /** A problem as text that is safe to write to a terminal. */
  format(problem: Problem): string {
    const { code, severity, file, line, column, message, hint } = problem
    const colour = COLOURS[severity]
    const place = inLine(line > 0 ? `${file}:${line}:${column}` : file)
    const mark = severity === 'error' ? '' : ` (${severity})`
    const excerpt = this.#excerpt(problem)
    return [
      `${this.#paint(BOLD, place)} ${this.#paint(colour, `${code}${mark}`)} ${inLine(message)}`,
      ...(excerpt === undefined ? [] : this.#quote(line, excerpt, colour)),
      ...(hint === undefined ? [] : [`    ${inLine(hint)}`]),
    ].join('\n')
  }

  #quote(line: number, { text, indent, marked }: Excerpt, colour: number): string[] {
    const number = String(line).padStart(5)
    const bar = (label: string): string => this.#paint(FAINT, `${label} |`)
    return [`${bar(number)} ${text}`, `${bar(' '.repeat(number.length))} ${indent}${this.#paint(colour, marked)}`]
  }

  #excerpt({ file, line, column, width }: Problem): Excerpt | undefined {
    if (line === 0 || this.#secret.has(file)) return undefined
    if (this.#source?.file !== file) {
      try {
        this.#source = new Source(file, readFileSync(file, 'utf8'))
      } catch {
        return undefined // deleted since it was loaded, or not a file but a flag
      }
    }
    const text = this.#source.line(line)
    return text === undefined ? undefined : underline(text, column, width)
  }

  #paint(code: number, text: string): string {
    return this.#colours ? `\u001B[${code}m${text}\u001B[0m` : text
  }
}

const BOLD = 1
const FAINT = 2
const COLOURS: Readonly<Record<Severity, number>> = { error: 31, warning: 33, notice: 36 }

/** A line of a file, and where its fault is. */
export interface Excerpt {
  /** The line, or a window of it: printable, with tabs as spaces. */
  readonly text: string
  /** Spaces as wide as the text before the fault. */
  readonly indent: string
  /** As many carets as the fault is wide, at least one. */
  readonly marked: string
}

/** A character and the columns it takes on a terminal. */
interface Cell {
  readonly shown: string
  readonly columns: number
}

/**
 * Underlines a fault. `column` (1-based) and `width` are in UTF-16 units, as in a Problem; width undefined = one
 * character.
 */
export function underline(line: string, column: number, width?: number): Excerpt {
  const cells: Cell[] = []
  let columns = 0
  let first: number | undefined
  let behind: number | undefined
  let unit = 1 + Math.max(0, column - 1 - NEAR)
  for (const character of line.slice(unit - 1, column - 1 + NEAR)) {
    if (unit >= column) first ??= cells.length
    if (width !== undefined && unit >= column + width) behind ??= cells.length
    const cell = cellOf(character, columns)
    cells.push(cell)
    columns += cell.columns
    unit += character.length
  }
  const from = first ?? cells.length
  const to = width === undefined ? from + 1 : Math.max(from + 1, behind ?? cells.length)
  const { start, end } = window(cells, from)
  const cutLeft = start > 0 ? '…' : ''
  const text = cutLeft + textOf(cells.slice(start, end)) + (end < cells.length ? '…' : '')
  const before = cutLeft.length + widthOf(cells.slice(start, from))
  const marked = width === undefined ? 1 : Math.max(1, widthOf(cells.slice(from, Math.min(to, end))))
  return { text: text.trimEnd(), indent: ' '.repeat(before), marked: '^'.repeat(marked) }
}

/** Which cells to show: all if they fit, else a window that begins a third of its width before the fault. */
function window(cells: readonly Cell[], from: number): { readonly start: number; readonly end: number } {
  if (widthOf(cells) <= WINDOW) return { start: 0, end: cells.length }
  const fits = (start: number, end: number): boolean => widthOf(cells.slice(start, end)) < WINDOW
  let start = Math.min(from, cells.length)
  while (start > 0 && widthOf(cells.slice(start - 1, from)) <= WINDOW / 3) start--
  let end = start
  while (end < cells.length && fits(start, end + 1)) end++
  // near the end of the line, fill the window on the left
  while (start > 0 && end === cells.length && fits(start - 1, end)) start--
  return { start, end }
}

const textOf = (cells: readonly Cell[]): string => cells.map(({ shown }) => shown).join('')
const widthOf = (cells: readonly Cell[]): number => cells.reduce((sum, { columns }) => sum + columns, 0)

function cellOf(character: string, at: number): Cell {
  if (character === '\t') {
    const columns = TAB - (at % TAB)
    return { shown: ' '.repeat(columns), columns }
  }
  const shown = inLine(character)
  return { shown, columns: /^\p{M}$/u.test(shown) ? 0 : WIDE.test(shown) ? 2 : 1 }
}

/** Characters that take two columns: East Asian Wide and Fullwidth (UAX #11) by blocks, and emoji. */
const WIDE =
  /^[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6\u{16FE0}-\u{18DFF}\u{1B000}-\u{1B2FF}\u{20000}-\u{3FFFD}\p{Emoji_Presentation}]$/u

/**
 * Formats problems as GitHub's workflow commands, one each. Annotations need paths relative to the top of the work
 * tree. https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
export class GithubWriter {
  readonly #top: string

  /** `folder`: any folder of the work tree. */
  constructor(folder: string) {
    this.#top = findWorkTree(folder)?.top ?? process.cwd()
  }

  /** A problem as one workflow command. */
  format({ code, severity, file, line, column, width, message, hint }: Problem): string {
    const properties = {
      // a setting may come from a variable or a flag, not from a file
      ...(existsSync(file) && { file: pathWithin(this.#top, file) }),
      ...(line > 0 && { line, col: column, endColumn: column + (width ?? 1) }),
      title: code,
    }
    const written = Object.entries(properties).map(([key, value]) => `${key}=${escapeProperty(String(value))}`)
    return `::${severity} ${written.join()}::${escapeData(hint === undefined ? message : `${message}\n${hint}`)}`
  }
}

/** Escapes the message of a workflow command. */
export const escapeData = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')

/** Escapes a property of a workflow command. */
export const escapeProperty = (text: string): string => escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C')

/** The path relative to the top, with links above the file resolved as git does; a path outside stays absolute. */
function pathWithin(top: string, file: string): string {
  let real = resolve(file)
  try {
    real = join(realpathSync(dirname(real)), basename(real))
  } catch {
    // as it is
  }
  const way = relative(top, real)
  return way.startsWith('..') ? real : way
}
