/**
 * Reads what `plan` weights clients by, from CSV: a weight for each country, or a number of clients for each prefix; or
 * from a query log. Reports all faults at once.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { parsePrefix } from '../dns/address.ts'
import { messageOf, type Problem, type Report } from '../problem.ts'
import { decodeText } from '../text.ts'
import { ClientCounts } from '../traffic/flows.ts'
import { Source } from '../yaml/source.ts'
import { isQueryLog, readLoggedClients } from './logged-clients.ts'

/** The limit of faults that are reported for a file; further ones are only counted. */
const MOST_FAULTS = 1_000

/** Reads lines `country,weight`: ISO 3166-1 codes, each once; weights in any unit. */
export function readPopulation(file: string, report: Report): ReadonlyMap<string, number> {
  const weights = new Map<string, number>()
  readFile(file, report, (fd) =>
    readLines(file, readFileSync(fd), report, isCountry, 'a country’s code of two letters', (country, weight) => {
      if (weights.has(country)) return `${country} is already in the file`
      weights.set(country, weight)
      return undefined
    }),
  )
  return weights
}

/** Reads a query log, or lines `prefix,count`. Prefixes may overlap; each line counts by itself. */
export function readClients(file: string, report: Report): ClientCounts {
  const counted = readFile(file, report, (fd) => {
    const head = Buffer.alloc(HEAD_BYTES)
    const begin = head.subarray(0, readSync(fd, head))
    if (isCompressed(begin)) report(compressed(file))
    else return isQueryLog(begin) ? readLog(file, fd, begin, report) : readCounts(file, fd, begin, report)
    return undefined
  })
  return counted ?? new ClientCounts()
}

/** gzip (RFC 1952), as logrotate leaves logs. */
const isCompressed = (head: Uint8Array): boolean => head[0] === 0x1f && head[1] === 0x8b

const compressed = (file: string): Problem => ({
  code: 'file-unreadable',
  severity: 'error',
  file,
  line: 0,
  column: 0,
  message: 'this file is compressed',
  hint: `Use: zcat ${file} | meridian plan … --clients /dev/stdin`,
})

const HEAD_BYTES = 4_096

function readCounts(file: string, fd: number, head: Buffer, report: Report): ClientCounts {
  const counts = new ClientCounts()
  const bytes = Buffer.concat([head, readFileSync(fd)])
  readLines(file, bytes, report, isPrefix, 'a prefix, like 192.0.2.0/24 or 2001:db8::/48', (prefix, count) => {
    counts.add(parsePrefix(prefix)!, count)
    return undefined
  })
  return counts
}

function readLog(file: string, fd: number, head: Buffer, report: Report): ClientCounts {
  const faults = new Faults(file, report)
  const counts = readLoggedClients(fd, head, (line, message) =>
    faults.add({ line, column: line === 0 ? 0 : 1, message }),
  )
  faults.end()
  return counts
}

/** Opens a file for `read`; undefined if it can't be read, which is reported. */
function readFile<T>(file: string, report: Report, read: (fd: number) => T): T | undefined {
  let fd: number | undefined
  try {
    fd = openSync(file, 'r')
    return read(fd)
  } catch (error) {
    const message = messageOf(error)
    report({ code: 'file-unreadable', severity: 'error', file, line: 0, column: 0, message })
    return undefined
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** Reports the first MOST_FAULTS of a file, and how many more there are. */
class Faults {
  readonly #file: string
  readonly #report: Report
  #count = 0

  constructor(file: string, report: Report) {
    this.#file = file
    this.#report = report
  }

  add(fault: Pick<Problem, 'line' | 'column' | 'message'> & Partial<Pick<Problem, 'width' | 'hint'>>): void {
    if (++this.#count <= MOST_FAULTS)
      this.#report({ code: 'value-invalid', severity: 'error', file: this.#file, ...fault })
  }

  end(): void {
    if (this.#count <= MOST_FAULTS) return
    const message = `and ${this.#count - MOST_FAULTS} more lines like these`
    this.#report({ code: 'value-invalid', severity: 'error', file: this.#file, line: 0, column: 0, message })
  }
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
  bytes: Buffer,
  report: Report,
  isKey: (text: string) => boolean,
  keyInWords: string,
  take: (key: string, number: number) => string | undefined,
): void {
  const { text, fault: notUtf8 } = decodeText(bytes)
  if (notUtf8 !== undefined) {
    const source = new Source(file, text)
    return report(source.notUtf8(source.first, notUtf8))
  }
  const faults = new Faults(file, report)
  const fault = (line: number, column: number, width: number, message: string): void =>
    faults.add({ line, column, width, message, hint: `Each line has ${keyInWords}, a comma, and a number` })
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
  faults.end()
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
