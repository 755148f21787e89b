/**
 * The tree that YAML text becomes, and the texts behind it: each node knows its offset, and a Source turns offsets into
 * files, lines and columns for problems.
 */
import type { Position, Problem, ProblemCode, Severity } from '../problem.ts'

export interface Scalar {
  readonly kind: 'scalar'
  readonly text: string
  /** Written in quotes or as a block: text for certain. An empty unquoted scalar is a value that was left out. */
  readonly quoted: boolean
  readonly offset: number
}

export interface Sequence {
  readonly kind: 'list'
  readonly items: readonly Node[]
  readonly offset: number
}

export interface Mapping {
  readonly kind: 'mapping'
  readonly entries: readonly Entry[]
  readonly offset: number
}

export interface Entry {
  readonly key: Scalar
  readonly value: Node
}

export type Node = Scalar | Sequence | Mapping

/** True of a value that was left out: `key:` and nothing behind it. */
export const isEmpty = (node: Node): boolean => node.kind === 'scalar' && node.text === '' && !node.quoted

/** True of what YAML takes for null, too. */
export const isNull = (node: Node): boolean =>
  node.kind === 'scalar' && !node.quoted && /^(?:~|null|Null|NULL)?$/.test(node.text)

/** One file's text within a Source. */
export interface SourceText {
  readonly file: string
  readonly text: string
  /** What is added to an offset within it. */
  readonly base: number
}

/** The texts that a tree was read from, for turning offsets into positions. */
export class Source {
  readonly first: SourceText
  readonly #texts: SourceText[]
  readonly #lines: (Uint32Array | undefined)[] = []
  readonly #faulty = new Set<Node>()
  /** Trees of included files by their path: each is parsed once, and stands wherever it is included. */
  readonly trees = new Map<string, IncludeTree>()
  /** What was included, as often as it was. */
  readonly included = { files: 0, characters: 0 }

  constructor(file: string, text: string) {
    this.first = { file, text, base: 0 }
    this.#texts = [this.first]
  }

  /** Puts another text behind those that are there. */
  add(file: string, text: string): SourceText {
    const added = { file, text, base: this.size }
    this.#texts.push(added)
    return added
  }

  get file(): string {
    return this.first.file
  }

  get texts(): readonly SourceText[] {
    return this.#texts
  }

  /** Characters in all, the place behind each text's end counted: the end of one is not the next one's begin. */
  get size(): number {
    const { text, base } = this.#texts.at(-1)!
    return base + text.length + 1
  }

  /** 1-based line and column, in UTF-16 units; an offset past the end is the end's. */
  locate(offset: number): { readonly file: string; readonly line: number; readonly column: number } {
    const index = this.#indexAt(offset)
    const { file, text, base } = this.#texts[index]!
    const lines = (this.#lines[index] ??= lineStarts(text))
    const at = Math.min(offset - base, text.length)
    const line = lastNotAbove(lines.length, (i) => lines[i]!, at)
    return { file, line: line + 1, column: at - lines[line]! + 1 }
  }

  /** The first text's line, 1-based, without what ends it; undefined when there are not so many. */
  line(number: number): string | undefined {
    const { text } = this.first
    const lines = (this.#lines[0] ??= lineStarts(text))
    const start = lines[number - 1]
    return start === undefined ? undefined : text.slice(start, lines[number]).replace(/(\r\n|\n|\r)$/, '')
  }

  /** UTF-16 units that a scalar takes in the line where it begins; undefined of other nodes and of blocks. */
  widthOf(node: Node): number | undefined {
    if (node.kind !== 'scalar' || isEmpty(node)) return undefined
    const { text, base } = this.#textAt(node.offset)
    const at = node.offset - base
    // a long one is not read again: regular expressions keep a stack
    const rest = text.slice(at, at + Math.min(2 * node.text.length + 64, MAX_WIDTH))
    const written = node.quoted ? /^"(?:[^"\\\r\n]|\\.)*"?|^'(?:[^'\r\n]|'')*'?/.exec(rest)?.[0] : node.text
    return written !== undefined && rest.startsWith(written) ? written.length : undefined
  }

  problem(code: ProblemCode, at: Node | number, message: string, hint?: string, severity: Severity = 'error'): Problem {
    const place = typeof at === 'number' ? this.locate(at) : this.place(at)
    return { code, severity, ...place, message: clipped(message), ...(hint !== undefined && { hint: clipped(hint) }) }
  }

  /** Where a node begins, and how wide it is if that is known. */
  place(node: Node): Position {
    const width = this.widthOf(node)
    return { ...this.locate(node.offset), ...(width !== undefined && { width }) }
  }

  #indexAt(offset: number): number {
    return this.#texts.length === 1 ? 0 : lastNotAbove(this.#texts.length, (i) => this.#texts[i]!.base, offset)
  }

  #textAt(offset: number): SourceText {
    return this.#texts[this.#indexAt(offset)]!
  }

  /** A node in place of an `!include` that was reported: whoever finds it of the wrong kind has nothing to add. */
  standIn(offset: number): Node {
    const node: Node = { kind: 'scalar', text: '', quoted: false, offset }
    this.#faulty.add(node)
    return node
  }

  isFaulty(node: Node): boolean {
    return this.#faulty.has(node)
  }

  get hasFaulty(): boolean {
    return this.#faulty.size > 0
  }
}

const MAX_MESSAGE = 1200

/** What an operator wrote may stand in a message, but not all of a large file. */
const clipped = (message: string): string =>
  message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE / 2)} … ${message.slice(-MAX_MESSAGE / 2)}` : message

/** The last index whose value is not above `wanted`; values ascend, and the first is not above it. */
function lastNotAbove(count: number, valueOf: (index: number) => number, wanted: number): number {
  let low = 0
  let high = count
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (valueOf(middle) <= wanted) low = middle
    else high = middle
  }
  return low
}

/** `\n`, `\r` and both together end a line. */
function lineStarts(text: string): Uint32Array {
  let starts = new Uint32Array(1024)
  let count = 1
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== LF && (code !== CR || text.charCodeAt(at + 1) === LF)) continue
    if (count === starts.length) {
      const more = new Uint32Array(2 * count)
      more.set(starts)
      starts = more
    }
    starts[count++] = at + 1
  }
  return starts.subarray(0, count)
}

/** With all that it includes itself. */
interface IncludeTree {
  readonly root: Node
  readonly files: number
  readonly characters: number
}

/** Nobody underlines more. */
const MAX_WIDTH = 4096

const LF = 10

const CR = 13
