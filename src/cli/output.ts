/**
 * Where commands write, replaceable in tests; and the layout of text: tables, wrapped lines, times. Used by all
 * commands. Text from zones, sites and other hosts goes through printable(), so that it can't steer the terminal.
 */
import { fstatSync, writeSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { isatty } from 'node:tty'
import type { OverrideView } from '../health/override.ts'
import { codeOf, messageOf, printable } from '../problem.ts'
import { DAY_MS, formatAge, grouped } from '../units.ts'

/** The output of one command. */
export interface Output {
  /** Writes a line of the result. */
  out(line: string): void
  /** Writes a line about a problem. */
  err(line: string): void
  /** The terminal that `err` writes to; undefined: it writes to a file, a pipe or CI. */
  readonly terminal?: Terminal
  /** The same for `out`. */
  readonly screen?: Terminal
}

/** A terminal with a person in front of it. */
export interface Terminal {
  readonly columns: number
  readonly rows: number
  /** Whether to use colours: not with NO_COLOR in the environment (no-color.org), and not on dumb terminals. */
  readonly colours: boolean
  /** Writes text unchanged, with its control characters: foreign text must have gone through printable(). */
  write(text: string): void
}

/** stdout and stderr, where nothing is lost in silence. */
export class ConsoleOutput implements Output {
  readonly terminal?: Terminal
  readonly screen?: Terminal
  readonly #out = new Drain(1)
  readonly #err = new Drain(2)

  constructor() {
    if (!isWatched()) return
    if (isatty(2)) this.terminal = terminalOf(process.stderr, this.#err, process.env)
    if (isatty(1)) this.screen = terminalOf(process.stdout, this.#out, process.env)
  }

  out(line: string): void {
    this.#out.write(`${printable(line)}\n`)
  }

  err(line: string): void {
    this.#err.write(`${printable(line)}\n`)
  }

  /**
   * Waits until all that was written has left the process: what a pipe does not take at once waits in memory, and would
   * end with the process. False: a part of it is lost, as on a full disk; stderr says so.
   */
  async drained(): Promise<boolean> {
    const lost = await this.#out.drained()
    if (lost !== undefined) this.err(`meridian: the output can't be written: ${messageOf(lost)}`)
    return (await this.#err.drained()) === undefined && lost === undefined
  }
}

/** Some CI systems provide a terminal, but nobody watches it. */
const isWatched = (): boolean => !process.env['CI']

/**
 * stdout or stderr. A file is written at once and whole: Node's own stream ignores that a disk took only a part. A pipe or
 * terminal is a stream that is opened with the first write, because Node makes a pipe non-blocking then, which the log's
 * own writes need not meet. A reader that has left (`| head`) is no error.
 */
class Drain {
  readonly #fd: 1 | 2
  #stream: NodeJS.WriteStream | undefined
  #lost: Error | undefined

  constructor(fd: 1 | 2) {
    this.#fd = fd
  }

  write(text: string): void {
    if (this.#stream === undefined && isFile(this.#fd)) return this.#writeFile(Buffer.from(text))
    if (this.#stream === undefined) {
      this.#stream = this.#fd === 1 ? process.stdout : process.stderr
      this.#stream.on('error', (error) => this.#lose(error))
    }
    this.#stream.write(text)
  }

  #writeFile(bytes: Buffer): void {
    if (this.#lost !== undefined) return
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at)
    } catch (error) {
      this.#lose(error)
    }
  }

  #lose(error: unknown): void {
    if (codeOf(error) !== 'EPIPE') this.#lost ??= error instanceof Error ? error : new Error(String(error))
  }

  /** Resolves when all is written, to undefined; or when it can't be, to the error. */
  async drained(): Promise<Error | undefined> {
    const stream = this.#stream
    if (stream !== undefined) {
      // called after all that was written before it
      await new Promise<void>((done) => void stream.write('', () => done()))
      await setImmediate() // a stream tells its error after that
    }
    return this.#lost
  }
}

/** Neither a pipe, nor a socket, nor a terminal: a regular file, or a device such as /dev/full. */
function isFile(fd: number): boolean {
  const kind = fstatSync(fd)
  return kind.isFile() || (kind.isCharacterDevice() && !isatty(fd))
}

/** The rows of a screen where there is none to ask. */
export const SCREEN_ROWS = 24

/** The terminal on a stream. */
export function terminalOf(
  stream: { readonly columns?: number; readonly rows?: number },
  to: { write(text: string): void },
  env: Readonly<Record<string, string | undefined>>,
): Terminal {
  return {
    columns: stream.columns || 80, // a terminal may not know
    rows: stream.rows || SCREEN_ROWS,
    colours: (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
    write: (text) => to.write(text),
  }
}

/** Lays out a table: columns as wide as their widest cell, separated by two spaces. */
export function table(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  return rows
    .map(
      (row) =>
        indent +
        row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd(),
    )
    .join('\n')
}

/** The line `… and 12 more` below a list that is cut; no line if nothing is left out. */
export const restInWords = (left: number): readonly string[] => (left > 0 ? [`… and ${grouped(left)} more`] : [])

/** Cuts a text to at most `most` characters, the last of them `…`. */
export const clip = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text)

/** The most columns of a wrapped line. */
const WIDTH = 100

/** Wraps a text at WIDTH columns. The first line begins with `indent`, the others with `hanging`. */
export function wrap(text: string, indent = '', hanging = `${indent}  `): string {
  const lines: string[] = []
  let line = ''
  for (const word of wordsOf(text)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = `${hanging}${word}`
    } else line = line === '' ? `${indent}${word}` : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

/** The words of a text; a number and its % are one word. */
function wordsOf(text: string): readonly string[] {
  const words: string[] = []
  for (const word of text.split(/\s+/)) {
    if (word.startsWith('%') && words.length > 0) words.push(`${words.pop()} ${word}`)
    else words.push(word)
  }
  return words
}

/** Since when something is so: `02:14 UTC (2 h)`, with the date when it is longer than a day. */
export function sinceInWords(ageMs: number, nowMs = Date.now()): string {
  const at = new Date(nowMs - ageMs).toISOString()
  return `${ageMs < DAY_MS ? at.slice(11, 16) : at.slice(0, 16).replace('T', ' ')} UTC (${formatAge(ageMs)})`
}

/**
 * When an override ends, by the clock of the node that says so: `until 2026-11-25 14:30 UTC (in 25 min)`, `until
 * undone`.
 */
export function untilInWords({ untilMs, leftMs }: Pick<OverrideView, 'untilMs' | 'leftMs'>): string {
  if (untilMs === null || leftMs === null) return 'until undone'
  const at = new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ')
  return `until ${at} UTC (${leftMs > 0 ? `in ${formatAge(leftMs)}` : 'expired'})`
}
