/**
 * The tree that a YAML text becomes, and the texts behind it. Each node knows its offset, and a Source turns offsets
 * into files, lines and columns, for Problems. Trees are made by tree.ts and read by read.ts.
 */
import type { Position, Problem, ProblemCode, Severity } from '../problem.ts'
import { faultInWords, type TextFault } from '../text.ts'

/** A scalar: its source text, whatever it looks like. */
export interface Scalar {
  readonly kind: 'scalar'
  readonly text: string
  /**
   * Written in quotes or as a block, so it is certainly text. An empty scalar that is not quoted is a missing value.
   */
  readonly quoted: boolean
  readonly offset: number
}

/** A list. */
export interface Sequence {
  readonly kind: 'list'
  readonly items: readonly Node[]
  readonly offset: number
}

/** A mapping, in the order of the file. */
export interface Mapping {
  readonly kind: 'mapping'
  readonly entries: readonly Entry[]
  readonly offset: number
}

/** An entry of a mapping. */
export interface Entry {
  readonly key: Scalar
  readonly value: Node
}

/** A node of the tree. */
export type Node = Scalar | Sequence | Mapping

/** Whether a value is missing: `key:` with nothing behind it. */
export const isEmpty = (node: Node): boolean => node.kind === 'scalar' && node.text === '' && !node.quoted

/** Whether a value is missing, or null in YAML. */
export const isNull = (node: Node): boolean =>
  node.kind === 'scalar' && !node.quoted && /^(?:~|null|Null|NULL)?$/.test(node.text)

/** One file's text within a Source. */
export interface SourceText {
  readonly file: string
  readonly text: string
  /** Added to an offset in this text, it gives the offset in the Source. */
  readonly base: number
}

/** The texts that a tree was read from: its file, other files of the same zone, and included files. */
export class Source {
  readonly first: SourceText
  readonly #texts: SourceText[]
  readonly #lines: (Uint32Array | undefined)[] = []
  readonly #faulty = new Set<Node>()
  /**
   * Something that is written is in no tree: a faulty include, or a key that was there already. It is reported; what
   * seems to be missing may be in it.
   */
  isIncomplete = false
  /** Trees of included files, by path: each is parsed once and used wherever it is included. */
  readonly trees = new Map<string, IncludeTree>()
  /** How much was included; a file counts as often as it was included. */
  readonly included = { files: 0, characters: 0 }

  constructor(file: string, text: string) {
    this.first = { file, text, base: 0 }
    this.#texts = [this.first]
  }

  /** Adds a text behind the others. */
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

  /**
   * The number of offsets: all characters, and one behind the end of each text, so that an end is not the next text's
   * start.
   */
  get size(): number {
    const { text, base } = this.#texts.at(-1)!
    return base + text.length + 1
  }

  /** The file, line and column of an offset: 1-based, in UTF-16 units. An offset past the end counts as the end. */
  locate(offset: number): { readonly file: string; readonly line: number; readonly column: number } {
    const index = this.#indexAt(offset)
    const { file, text, base } = this.#texts[index]!
    const lines = (this.#lines[index] ??= lineStarts(text))
    const at = Math.min(offset - base, text.length)
    const line = lastNotAbove(lines.length, (i) => lines[i]!, at)
    return { file, line: line + 1, column: at - lines[line]! + 1 }
  }

  /** A line of the first text, 1-based, without its line end; undefined when there is no such line. */
  line(number: number): string | undefined {
    const { text } = this.first
    const lines = (this.#lines[0] ??= lineStarts(text))
    const start = lines[number - 1]
    return start === undefined ? undefined : text.slice(start, lines[number]).replace(/(\r\n|\n|\r)$/, '')
  }

  /** How many UTF-16 units a scalar takes in its first line; undefined for blocks and other nodes. */
  widthOf(node: Node): number | undefined {
    if (node.kind !== 'scalar' || isEmpty(node)) return undefined
    const { text, base } = this.#textAt(node.offset)
    const at = node.offset - base
    // limited, because regular expressions on long texts need much stack
    const rest = text.slice(at, at + Math.min(2 * node.text.length + 64, MAX_WIDTH))
    const written = node.quoted ? /^"(?:[^"\\\r\n]|\\.)*"?|^'(?:[^'\r\n]|'')*'?/.exec(rest)?.[0] : node.text
    return written !== undefined && rest.startsWith(written) ? written.length : undefined
  }

  problem(code: ProblemCode, at: Node | number, message: string, hint?: string, severity: Severity = 'error'): Problem {
    const place = typeof at === 'number' ? this.locate(at) : this.place(at)
    return { code, severity, ...place, message: clipped(message), ...(hint !== undefined && { hint: clipped(hint) }) }
  }

  /** The problem of a text that is no UTF-8. */
  notUtf8({ base }: SourceText, fault: TextFault): Problem {
    return this.problem('text-encoding', base + fault.at, ...faultInWords(fault))
  }

  /** Where a node begins, and how wide it is, if that is known. */
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

  /** A node in place of a faulty `!include`, which is reported already: the reader must not report its kind again. */
  standIn(offset: number): Node {
    const node: Node = { kind: 'scalar', text: '', quoted: false, offset }
    this.#faulty.add(node)
    this.isIncomplete = true
    return node
  }

  isFaulty(node: Node): boolean {
    return this.#faulty.has(node)
  }
}

const MAX_MESSAGE = 1200

/** Shortens a message, which may have texts of any length from a file. */
const clipped = (message: string): string =>
  message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE / 2)} … ${message.slice(-MAX_MESSAGE / 2)}` : message

/**
 * The last index whose value is at most `wanted`, by binary search; values ascend, and the first is at most `wanted`.
 */
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

/** The offsets of the lines of a text. `\n`, `\r` and `\r\n` end a line. */
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

/** The tree of an included file, and the number of files and characters in it, with all that it includes itself. */
interface IncludeTree {
  readonly root: Node
  readonly files: number
  readonly characters: number
}

/** The most UTF-16 units that widthOf() gives. */
const MAX_WIDTH = 4096

const LF = 10

const CR = 13
