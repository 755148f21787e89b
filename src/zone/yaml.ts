/**
 * YAML with positions: text → a tree whose every node knows its offset. Zone files and node settings are read with it.
 *
 * Scalars are their source text: `010`, `1e3` and `1.10` stay names until a schema asks for a number. Mappings keep their
 * order. What would make one file mean two things (duplicate keys, anchors, aliases, tags, several documents) is a
 * Problem. Work is linear in the text's length.
 */
import {
  type Event,
  EVENT_ID,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml'
import type { Problem, ProblemCode, Report, Severity } from '../problem.ts'
import type { Position } from './model.ts'

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

/** A file's text, for turning offsets into positions. */
export class Source {
  readonly file: string
  readonly text: string
  #lines: readonly number[] | undefined

  constructor(file: string, text: string) {
    this.file = file
    this.text = text
  }

  /** 1-based line and column, in UTF-16 units; an offset past the end is the end's. */
  locate(offset: number): { readonly file: string; readonly line: number; readonly column: number } {
    const lines = (this.#lines ??= lineStarts(this.text))
    let low = 0
    let high = lines.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (lines[middle]! <= offset) low = middle
      else high = middle
    }
    return { file: this.file, line: low + 1, column: Math.min(offset, this.text.length) - lines[low]! + 1 }
  }

  /** The text of a line, 1-based, without what ends it; undefined when there are not so many. */
  line(number: number): string | undefined {
    const lines = (this.#lines ??= lineStarts(this.text))
    const start = lines[number - 1]
    return start === undefined ? undefined : this.text.slice(start, lines[number]).replace(/(\r\n|\n|\r)$/, '')
  }

  /** UTF-16 units that a scalar takes in the line where it begins; undefined of other nodes and of blocks. */
  widthOf(node: Node): number | undefined {
    if (node.kind !== 'scalar' || isEmpty(node)) return undefined
    const rest = this.text.slice(node.offset, node.offset + 2 * node.text.length + 64)
    const written = node.quoted ? /^"(?:[^"\\\r\n]|\\.)*"?|^'(?:[^'\r\n]|'')*'?/.exec(rest)?.[0] : node.text
    return written !== undefined && rest.startsWith(written) ? written.length : undefined
  }

  problem(code: ProblemCode, at: Node | number, message: string, hint?: string, severity: Severity = 'error'): Problem {
    const place = typeof at === 'number' ? this.locate(at) : this.place(at)
    return { code, severity, ...place, message, ...(hint !== undefined && { hint }) }
  }

  /** Where a node begins, and how wide it is if that is known. */
  place(node: Node): Position {
    const width = this.widthOf(node)
    return { ...this.locate(node.offset), ...(width !== undefined && { width }) }
  }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (const match of text.matchAll(/\r\n|\n|\r/g)) starts.push(match.index + match[0].length)
  return starts
}

/** The tree of a file's only document; an empty mapping for an empty file; undefined after a syntax error was reported. */
export function parseYaml(source: Source, report: Report): Node | undefined {
  let events: readonly Event[]
  try {
    events = parseEvents(source.text, { filename: source.file })
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    report(source.problem('yaml-syntax', error.mark?.position ?? 0, error.reason))
    return undefined
  }
  return new Walk(source, events, report).document()
}

class Walk {
  readonly #source: Source
  readonly #events: readonly Event[]
  readonly #report: Report
  #next = 0
  /** Where a node is that has no text of its own. */
  #last = 0

  constructor(source: Source, events: readonly Event[], report: Report) {
    this.#source = source
    this.#events = events
    this.#report = report
  }

  document(): Node {
    if (this.#events.length === 0) return { kind: 'mapping', entries: [], offset: 0 }
    this.#next = 1
    const root = this.#node()
    const second = this.#events[this.#next + 1]
    if (second?.type === EVENT_ID.DOCUMENT) {
      this.#next += 2
      const { offset } = this.#node()
      this.#unsupported(offset, 'a file holds one document', 'Write a file for each')
    }
    return isEmpty(root) ? { kind: 'mapping', entries: [], offset: 0 } : root
  }

  #node(): Node {
    const event = this.#events[this.#next++]!
    switch (event.type) {
      case EVENT_ID.SCALAR:
        this.#properties(event)
        return this.#scalar(event)
      case EVENT_ID.SEQUENCE: {
        this.#properties(event)
        const items: Node[] = []
        this.#last = event.start
        while (!this.#popped()) items.push(this.#node())
        return { kind: 'list', items, offset: event.start }
      }
      case EVENT_ID.MAPPING:
        this.#properties(event)
        return this.#mapping(event.start)
      case EVENT_ID.ALIAS:
        this.#unsupported(event.anchorStart - 1, 'aliases are not supported', 'Write the value out')
        return { kind: 'scalar', text: '', quoted: false, offset: event.anchorStart - 1 }
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
      default:
        throw new Error(`YAML event ${event.type} where a node is due`)
    }
  }

  #scalar(event: ScalarEvent): Scalar {
    const { valueStart, style } = event
    const quoted = style !== SCALAR_STYLE.PLAIN
    const flow = style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED
    const offset = valueStart < 0 ? this.#last : flow ? valueStart - 1 : valueStart
    return { kind: 'scalar', text: getScalarValue(this.#source.text, event), quoted, offset }
  }

  #mapping(offset: number): Mapping {
    const entries: Entry[] = []
    const seen = new Map<string, number>()
    this.#last = offset
    while (!this.#popped()) {
      const key = this.#node()
      this.#last = key.offset
      const value = this.#node()
      if (key.kind !== 'scalar') {
        this.#unsupported(
          key.offset,
          'a key is a text, never a list or a mapping',
          'Put it in quotes if it is meant as text',
        )
        continue
      }
      const first = seen.get(key.text)
      if (first === undefined) {
        seen.set(key.text, key.offset)
        entries.push({ key, value })
      } else {
        const message = `“${key.text}” is there twice; first in line ${this.#source.locate(first).line}`
        this.#report(this.#source.problem('duplicate-key', key, message, 'Merge the two'))
      }
    }
    return { kind: 'mapping', entries, offset }
  }

  #popped(): boolean {
    if (this.#events[this.#next]!.type !== EVENT_ID.POP) return false
    this.#next++
    return true
  }

  #properties(event: { readonly anchorStart: number; readonly tagStart: number }): void {
    if (event.anchorStart >= 0)
      this.#unsupported(event.anchorStart - 1, 'anchors are not supported', 'Write the value out')
    if (event.tagStart >= 0) this.#unsupported(event.tagStart, 'tags are not supported', 'Leave it out')
  }

  #unsupported(offset: number, message: string, hint: string): void {
    this.#report(this.#source.problem('yaml-unsupported', offset, message, hint))
  }
}
