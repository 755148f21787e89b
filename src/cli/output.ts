/**
 * Where commands write, replaceable in tests; and the layout of text: tables, wrapped lines, times. Used by all
 * commands. Text from zones, sites and other hosts goes through printable(), so that it can't steer the terminal.
 */
import { printable } from '../problem.ts'
import { formatAge, grouped } from '../units.ts'

/** The output of one command. */
export interface Output {
  /** Writes a line of the result. */
  out(line: string): void
  /** Writes a line about a problem. */
  err(line: string): void
  /** The terminal that `err` writes to; undefined: it writes to a file, a pipe or CI. */
  readonly terminal?: Terminal
}

/** A terminal with a person in front of it. */
export interface Terminal {
  readonly columns: number
  /** Whether to use colours: not with NO_COLOR in the environment (no-color.org), and not on dumb terminals. */
  readonly colours: boolean
  /** Writes text unchanged, with its control characters: foreign text must have gone through printable(). */
  write(text: string): void
}

/** stdout and stderr. */
export const consoleOutput: Output = {
  // some CI systems provide a terminal, but nobody watches it
  ...(process.stderr.isTTY && !process.env['CI'] && { terminal: terminalOf(process.stderr, process.env) }),
  out: (line) => void process.stdout.write(`${printable(line)}\n`),
  err: (line) => void process.stderr.write(`${printable(line)}\n`),
}

/** The terminal on a stream. */
export function terminalOf(
  stream: { readonly columns?: number; write(text: string): unknown },
  env: Readonly<Record<string, string | undefined>>,
): Terminal {
  return {
    columns: stream.columns || 80, // a terminal may not know
    colours: (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
    write: (text) => void stream.write(text),
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

/** When an override ends: `until 2026-11-25 14:30 UTC (in 25 min)`, `until undone` (null). */
export function untilInWords(untilMs: number | null, nowMs = Date.now()): string {
  if (untilMs === null) return 'until undone'
  const at = new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ')
  return `until ${at} UTC (${untilMs > nowMs ? `in ${formatAge(untilMs - nowMs)}` : 'expired'})`
}
