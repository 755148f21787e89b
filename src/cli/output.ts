/** Where commands write, so that tests can read it; and tables of text. */
import { printable } from '../problem.ts'
import { formatAge, grouped } from '../units.ts'

export interface Output {
  /** A line of result. */
  out(line: string): void
  /** A line about trouble. */
  err(line: string): void
  /** What `err` writes to, when somebody sits there. */
  readonly terminal?: Terminal
}

export interface Terminal {
  readonly columns: number
  /** Unless the environment has NO_COLOR (no-color.org). */
  readonly colours: boolean
  /** As it is, control characters too: what comes from elsewhere must have gone through printable(). */
  write(text: string): void
}

export const consoleOutput: Output = {
  // some CI systems have a terminal too, and nobody in front of it
  ...(process.stderr.isTTY && !process.env['CI'] && { terminal: terminalOf(process.stderr, process.env) }),
  out: (line) => void process.stdout.write(`${printable(line)}\n`),
  err: (line) => void process.stderr.write(`${printable(line)}\n`),
}

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

/** Columns as wide as their widest cell, two blanks between. */
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

/** `… and 12 more`, behind a list that is cut; nothing where it is whole. */
export const restInWords = (left: number): readonly string[] => (left > 0 ? [`… and ${grouped(left)} more`] : [])

/** The text, or its begin where it has more than `most` characters. */
export const clip = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text)

/** How wide a terminal at the other end of a night may be. */
const WIDTH = 100

/** A text of words, broken at WIDTH; its first line begins with the indent, those after it two blanks further in, or as said. */
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

/** A number stays with its %. */
function wordsOf(text: string): readonly string[] {
  const words: string[] = []
  for (const word of text.split(/\s+/)) {
    if (word.startsWith('%') && words.length > 0) words.push(`${words.pop()} ${word}`)
    else words.push(word)
  }
  return words
}

/** An end on the wall clock: `2026-11-25 14:30 UTC (in 25 min)`; null = until undone. */
export function untilInWords(untilMs: number | null, nowMs = Date.now()): string {
  if (untilMs === null) return 'until undone'
  const at = new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ')
  return `until ${at} UTC (${untilMs > nowMs ? `in ${formatAge(untilMs - nowMs)}` : 'over'})`
}
