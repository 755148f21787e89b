/**
 * What is wrong with a text that is no YAML, in the words of the person who wrote it. A parser stops where it can't go
 * on, which is often far from the mistake: a bracket that is never closed shows itself at the end of the file. This
 * looks for the mistake itself. Called by tree.ts for texts that did not parse; the work is linear.
 */
import type { ProblemCode } from '../problem.ts'

/** The mistake. */
export interface SyntaxFault {
  readonly code: Extract<ProblemCode, 'yaml-syntax' | 'merge-conflict'>
  /** Index of its first character in the text. */
  readonly at: number
  /** Words of the text are between “ and ”: a file of settings may hold passwords. */
  readonly message: string
  /** What would be right; without words of the text. */
  readonly hint: string
}

type Found = Omit<SyntaxFault, 'code'>

/** Explains why a text is no YAML. `at`, `reason`: where the parser stopped, and what it said. */
export function explainSyntax(text: string, at: number, reason: string): SyntaxFault {
  const conflict = findConflict(text)
  if (conflict !== undefined) return { code: 'merge-conflict', ...conflict }
  const open = findUnclosed(text)
  const found = tabAt(text, at) ?? (open !== undefined && open.at <= at ? open : undefined) ?? atLine(text, at, reason)
  return { code: 'yaml-syntax', ...(found ?? { at, message: reason, hint: COMPARE }) }
}

const COMPARE = 'Compare it with the lines above: brackets, quotes, the space behind a colon, indentation'
const INDENT = 'Keys of one mapping begin in the same column'

// conflicts

const MARKER = /^(?:<{7}|\|{7}|={7}|>{7})(?:[ \r\n]|$)/gm

/** Finds git's conflict markers, which begin a line. For files of all kinds. */
export function findConflict(text: string): Found | undefined {
  const markers = Array.from(text.matchAll(MARKER), ({ 0: marker, index }) => ({ index, marker: marker.slice(0, 7) }))
  const [first] = markers
  if (first === undefined) return undefined
  const conflicts = markers.filter(({ marker }) => marker === first.marker).length
  const many = conflicts === 1 ? '' : `, the first of ${conflicts} in this file`
  return {
    at: first.index,
    message: `“${first.marker}” is a conflict marker of git: a merge or rebase is unfinished${many}`,
    hint: 'Keep one of the two sides, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>',
  }
}

// brackets and quotes

/** A bracket or quote that is open. */
interface Opener {
  readonly at: number
  readonly mark: string
}

const CLOSERS: Readonly<Record<string, string>> = { '[': ']', '{': '}' }
const isBlank = (character: string | undefined): boolean => character === ' ' || character === '\t'
const isEnd = (character: string | undefined): boolean =>
  character === undefined || character === '\n' || character === '\r'

/**
 * Finds the first bracket or quote that is never closed, or that closes nothing. What is open ends at the latest where
 * a line is indented no further than the line that it began in.
 */
function findUnclosed(text: string): Found | undefined {
  const open: Opener[] = []
  /** The indentation of the line in which the outermost opener is, or of this line. */
  let indent = 0
  /** A value, key or item may begin here. */
  let isStart = true
  let at = 0
  const lineStart = (): void => {
    at = nextLine(text, at)
    if (open.length === 0) {
      indent = indentAt(text, at)
      isStart = true
    }
  }
  if (text.charCodeAt(0) === BYTE_ORDER_MARK) at = 1
  at = skipBlankLines(text, at)
  indent = indentAt(text, at)
  while (at < text.length) {
    const mark = text[at]!
    if (isEnd(mark)) {
      lineStart()
      const inner = open.at(-1)
      if (inner === undefined || at >= text.length || indentAt(text, at) > indent) continue
      const first = at + indentAt(text, at)
      return text[first] === CLOSERS[inner.mark] ? shallow(text, first, inner) : unclosed(inner)
    }
    if (isBlank(mark)) at++
    else if (mark === '#' && (at === 0 || isBlank(text[at - 1]) || isEnd(text[at - 1]))) at = endOfLine(text, at)
    else if ((mark === '"' || mark === "'") && isStart) {
      const end = endOfQuoted(text, at, indent)
      if (end === undefined) return unclosed({ at, mark })
      at = end
      isStart = false
    } else if ((mark === '!' || mark === '&') && isStart) {
      while (!isBlank(text[at]) && !isEnd(text[at])) at++
    } else if ((mark === '[' || mark === '{') && (isStart || open.length > 0)) {
      open.push({ at: at++, mark })
      isStart = true
    } else if ((mark === ']' || mark === '}') && open.length > 0) {
      const inner = open.pop()!
      if (CLOSERS[inner.mark] !== mark) {
        return open.some((outer) => CLOSERS[outer.mark] === mark) ? unclosed(inner) : closesNothing(at, mark)
      }
      isStart = false
      at++
    } else if (open.length === 0 && isStart && (mark === '|' || mark === '>')) {
      at = endOfBlock(text, at, indent)
    } else {
      const next = text[at + 1]
      const isAfter = isBlank(next) || isEnd(next) || (open.length > 0 && next !== undefined && ',[]{}'.includes(next))
      if (mark === ',' && open.length > 0) isStart = true
      else if (mark === ':' && isAfter) isStart = true
      else isStart = isStart && open.length === 0 && (mark === '-' || mark === '?') && isAfter
      at++
    }
  }
  const inner = open.at(-1)
  return inner && unclosed(inner)
}

const BYTE_ORDER_MARK = 0xfeff

const unclosed = ({ at, mark }: Opener): Found => ({
  at,
  message: `this ${mark} is never closed`,
  hint: `Write the ${CLOSERS[mark] ?? mark} that ends it`,
})

const closesNothing = (at: number, mark: string): Found => ({
  at,
  message: `this ${mark} closes nothing`,
  hint: `Remove it, or write the ${mark === ']' ? '[' : '{'} that it ends`,
})

function shallow(text: string, at: number, { mark }: Opener): Found {
  return {
    at,
    message: `this ${text[at]} must be indented further than the line of its ${mark}`,
    hint: 'Indent it, or put it at the end of the line above',
  }
}

const endOfLine = (text: string, at: number): number => {
  while (!isEnd(text[at])) at++
  return at
}

/** The start of the next line that is neither empty nor a comment; the text's end when there is none. */
function nextLine(text: string, at: number): number {
  return skipBlankLines(text, afterBreak(text, at))
}

const afterBreak = (text: string, at: number): number => (text[at] === '\r' && text[at + 1] === '\n' ? at + 2 : at + 1)

function skipBlankLines(text: string, at: number): number {
  while (at < text.length) {
    const first = at + indentAt(text, at)
    if (text[first] !== '#' && !isEnd(text[first])) return at
    at = afterBreak(text, endOfLine(text, first))
  }
  return text.length
}

/** How many blanks the line that begins here is indented by. */
function indentAt(text: string, at: number): number {
  let end = at
  while (isBlank(text[end])) end++
  return end - at
}

/** The index behind a quoted text; undefined: it does not end before a line that is indented no further than `indent`. */
function endOfQuoted(text: string, start: number, indent: number): number | undefined {
  const quote = text[start]!
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) {
      if (quote === '"' || text[at + 1] !== quote) return at + 1
      at++
    } else if (text[at] === '\\' && quote === '"') at++
    if (!isEnd(text[at])) continue
    const next = nextLine(text, at)
    if (next >= text.length || indentAt(text, next) <= indent) return undefined
    at = next - 1
  }
  return undefined
}

/** The end of a block of text, behind `|` or `>`: the break before the first line that is indented no further. */
function endOfBlock(text: string, start: number, indent: number): number {
  let end = endOfLine(text, start)
  while (end < text.length) {
    const line = afterBreak(text, end)
    const first = line + indentAt(text, line)
    if (line >= text.length || (!isEnd(text[first]) && first - line <= indent)) break
    end = endOfLine(text, first)
  }
  return end
}

// what can be told from the line where the parser stopped, and from the one above

/** A line, as far as it is examined. */
interface Line {
  readonly start: number
  readonly text: string
  readonly indent: number
}

/** A line may be a whole file. */
const MOST_CHARACTERS = 4096

function lineOf(text: string, at: number): Line {
  let start = Math.min(at, text.length)
  while (start > 0 && !isEnd(text[start - 1])) start--
  const end = Math.min(endOfLine(text, start), start + MOST_CHARACTERS)
  return { start, text: text.slice(start, end), indent: indentAt(text, start) }
}

/** The last line above that is neither empty nor a comment. */
function lineAbove(text: string, { start }: Line): Line | undefined {
  for (let at = start - 1; at >= 0; at--) {
    const line = lineOf(text, at)
    if (!/^\s*(?:#|$)/.test(line.text)) return line
    at = line.start
  }
  return undefined
}

function tabAt(text: string, at: number): Found | undefined {
  const { start, text: line } = lineOf(text, at)
  const tab = /^ *\t/.exec(line)
  if (tab === null || isEnd(line.trimStart()[0])) return undefined
  const message = 'a tab indents this line, and YAML takes spaces alone'
  return { at: start + tab[0].length - 1, message, hint: 'Write spaces instead, as many as the lines beside it have' }
}

/** Names and texts may not begin with these without quotes. */
const RESERVED = /^[*@%`]/

function atLine(text: string, at: number, reason: string): Found | undefined {
  const line = lineOf(text, at)
  const above = lineAbove(text, line)
  const first = line.start + line.indent
  const before = text.slice(Math.max(line.start, at - MOST_CHARACTERS), at)
  const mark = text[at]
  for (const one of [line, ...(above === undefined ? [] : [above])]) {
    const key = /^\s*(?:- +)*([*@%`][^\s:]*):(?:\s|$)/.exec(one.text)?.[1]
    if (key !== undefined) return reserved(one.start + one.text.indexOf(key), key)
  }
  if (reason === 'unknown escape sequence') {
    const message = `“\\${mark}” means nothing between double quotes`
    return { at: at - 1, message, hint: `Write \\\\${mark}, or put the text in single quotes` }
  }
  if (text.includes('\u0000')) {
    const message = 'there is a zero byte: this file is no text in UTF-8'
    return { at: text.indexOf('\u0000'), message, hint: 'Save it as UTF-8' }
  }
  if (reason.includes('non-printable')) {
    const message = 'there is a control character'
    return { at, message, hint: 'Remove it, or write it as an escape between double quotes: "\\u0007"' }
  }
  if (mark === ']' || mark === '}') return closesNothing(at, mark)
  if (mark !== undefined && RESERVED.test(mark)) {
    return reserved(at, /^[^\s,\]}]*/.exec(text.slice(at, at + 80))![0])
  }
  const isQuoted = /["']\s*$/.test(before) && mark !== ':'
  if (reason.includes('missed comma') && mark !== ':' && !(isQuoted && /["']/.test(mark ?? ''))) {
    return { at, message: 'a comma is missing before this', hint: 'Entries between brackets are separated by commas' }
  }
  if (isQuoted) return behindQuotes(at, before, mark)
  if (mark === ':' && /:\s|[[{,]/.test(before)) {
    const message = 'a colon with a blank behind it ends a key, so a text that has one needs quotes'
    return { at, message, hint: 'Put the whole text in quotes: "one: two"' }
  }
  const glued = above && /^\s*(?:- +)*[\w."'*-]+:[^\s:]/.exec(above.text)
  if (mark === ':' && glued && !/:\s/.test(above.text)) {
    const message = 'a colon needs a blank behind it to end a key'
    return { at: above.start + glued[0].length - 2, message, hint: 'Write `key: value`' }
  }
  if (/multiline key|^end of the stream or/.test(reason) && above !== undefined && !/:(?:\s|$)/.test(above.text)) {
    return withoutColon(above)
  }
  if (reason.startsWith("expected ':'")) return withoutColon(line)
  if (reason.includes('indentation') && (at === first || mark === ':')) return misplaced(line, above)
  return undefined
}

const reserved = (at: number, text: string): Found => ({
  at,
  message: `“${shown(text)}” begins with ${text[0]}, which means something of its own in YAML`,
  hint: text === '@' ? 'The zone itself is ""' : `Put it in quotes: "${text[0]}…"`,
})

/** Words of the text, for a message: short, and without quotes. */
const shown = (words: string): string => words.slice(0, 40).replaceAll(/["'“”]/g, '_')

function behindQuotes(at: number, before: string, mark: string | undefined): Found {
  const quote = before.trimEnd().at(-1)!
  const message = 'the quoted text ends before this, and nothing may follow it'
  if (mark === '"') return { at, message, hint: `Put the whole into single quotes: '"one" "two"'` }
  return {
    at,
    message,
    hint: quote === "'" ? "Within single quotes, ' is written ''" : 'Within quotes, " is written \\"',
  }
}

function withoutColon({ start, indent, text }: Line): Found {
  const message = `“${shown(text.trim())}” has no colon where a key is wanted`
  return { at: start + indent, message, hint: 'Write `key: value`, or `- value` for an item of a list' }
}

function misplaced({ start, indent, text }: Line, above: Line | undefined): Found {
  const at = start + indent
  if (above?.text.trimStart().startsWith('- ') && !text.trimStart().startsWith('- ') && indent === above.indent) {
    return {
      at,
      message: 'this line is no item of the list above it',
      hint: 'Begin it with `- `, or indent it further',
    }
  }
  if (above !== undefined && indent > above.indent) {
    return { at, message: 'this line is indented further than the one above, which has a value already', hint: INDENT }
  }
  return { at, message: `no line above is indented like this one, by ${indent}`, hint: INDENT }
}
