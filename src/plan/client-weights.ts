/**
 * Reads what `plan` weights clients by, from CSV: a weight for each country, or a number of clients for each prefix.
 * Reports all faults at once.
 */
import { readFileSync } from 'node:fs'
import { parsePrefix } from '../dns/address.ts'
import { messageOf, type Problem, type Report } from '../problem.ts'
import { decodeText } from '../text.ts'
import { ClientCounts } from '../traffic/flows.ts'
import { Source } from '../yaml/source.ts'

/** The limit of faults that are reported for a file; further ones are only counted. */
const MOST_FAULTS = 1_000

/** Reads lines `country,weight`: ISO 3166-1 codes, each once; weights in any unit. */
export function readPopulation(file: string, report: Report): ReadonlyMap<string, number> {
  const weights = new Map<string, number>()
  readLines(file, report, isCountry, 'a country’s code of two letters', (country, weight) => {
    if (weights.has(country)) return `${country} is already in the file`
    weights.set(country, weight)
    return undefined
  })
  return weights
}

/** Reads lines `prefix,count`. Prefixes may overlap; each line counts by itself. */
export function readClients(file: string, report: Report): ClientCounts {
  const counts = new ClientCounts()
  readLines(file, report, isPrefix, 'a prefix, like 192.0.2.0/24 or 2001:db8::/48', (prefix, count) => {
    counts.add(parsePrefix(prefix)!, count)
    return undefined
  })
  return counts
}

const isPrefix = (text: string): boolean => parsePrefix(text) !== undefined
const isCountry = (text: string): boolean => /^[A-Z]{2}$/.test(text)
const isNumber = (text: string): boolean => /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text))

/**
 * Reads lines of two cells. The first line may be a header; empty lines and lines that begin with `#` are skipped.
 * `take`: returns what is wrong with a line, if anything.
 */
function readLines(
  file: string,
  report: Report,
  isKey: (text: string) => boolean,
  keyInWords: string,
  take: (key: string, number: number) => string | undefined,
): void {
  let faults = 0
  const fault = (line: number, column: number, width: number, message: string): void => {
    if (++faults > MOST_FAULTS) return
    const hint = `Each line has ${keyInWords}, a comma, and a number`
    report({ code: 'value-invalid', severity: 'error', file, line, column, width, message, hint })
  }
  const text = readText(file, report)
  if (text === undefined) return
  let number = 0
  for (let from = text.startsWith('\u{feff}') ? 1 : 0; from < text.length;) {
    const found = text.indexOf('\n', from)
    const end = found < 0 ? text.length : found
    const line = text.slice(from, end).trimEnd()
    from = end + 1
    number++
    if (line.trim() === '' || line.startsWith('#')) continue
    const cells = cellsOf(line)
    const [key, value] = cells
    const isHeader = number === 1 && cells.length === 2 && !isKey(key!.text) && !isNumber(value!.text)
    if (isHeader) continue
    if (cells.length !== 2) fault(number, 1, line.length, `a line of ${cells.length} cells, where two are wanted`)
    else if (!isKey(key!.text)) fault(number, key!.column, key!.width, `“${key!.text}” is not ${keyInWords}`)
    else if (!isNumber(value!.text))
      fault(number, value!.column, value!.width, `“${value!.text}” is no number from 0 up`)
    else {
      const wrong = take(key!.text, Number(value!.text))
      if (wrong !== undefined) fault(number, key!.column, key!.width, wrong)
    }
  }
  if (faults > MOST_FAULTS) {
    const message = `and ${faults - MOST_FAULTS} more lines like these`
    report({ code: 'value-invalid', severity: 'error', file, line: 0, column: 0, message })
  }
}

function readText(file: string, report: Report): string | undefined {
  try {
    const { text, fault } = decodeText(readFileSync(file))
    if (fault === undefined) return text
    const source = new Source(file, text)
    report(source.notUtf8(source.first, fault))
    return undefined
  } catch (error) {
    const message = messageOf(error)
    const problem: Problem = { code: 'file-unreadable', severity: 'error', file, line: 0, column: 0, message }
    report(problem)
    return undefined
  }
}

interface Cell {
  readonly text: string
  /** 1-based. */
  readonly column: number
  readonly width: number
}

/** Splits a line at its commas: no value of either column contains a comma or a quote. */
function cellsOf(line: string): readonly Cell[] {
  let column = 1
  return line.split(',').map((raw) => {
    const start = column + raw.length - raw.trimStart().length
    column += raw.length + 1
    const trimmed = raw.trim()
    return { text: trimmed.replace(/^"(.*)"$/, '$1'), column: start, width: Math.max(1, trimmed.length) }
  })
}
