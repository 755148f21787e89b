/**
 * YAML with positions: text → a tree whose every node knows its offset. Zone files and node settings are read with it.
 *
 * Scalars are their source text: `010`, `1e3` and `1.10` stay names until a schema asks for a number. Mappings keep their
 * order. What would make one file mean two things (duplicate keys, anchors, aliases, tags, several documents) is a
 * Problem. Work is linear in the text's length.
 *
 * Where the caller can find other files (zones, not settings), `!include` puts their trees in its own place, as octoDNS
 * does. A tree may so come from many texts; in a Source they lie one behind the other, and an offset is a place among all
 * of them:
 *
 *   example.com.yaml        common/apex.yaml        …
 *   0                       base                    base
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
import type { Position } from '../zone/model.ts'

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

/** With all that it includes itself. */
interface IncludedTree {
  readonly root: Node
  readonly files: number
  readonly characters: number
}

/** The texts that a tree was read from, for turning offsets into positions. */
export class Source {
  readonly first: SourceText
  readonly #texts: SourceText[]
  readonly #lines: (Uint32Array | undefined)[] = []
  readonly #faulty = new Set<Node>()
  /** Trees of included files by their path: each is parsed once, and stands wherever it is included. */
  readonly trees = new Map<string, IncludedTree>()
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

/** Nobody underlines more. */
const MAX_WIDTH = 4096
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

const LF = 10
const CR = 13

interface IncludedFile {
  readonly file: string
  readonly text: string
  /** The same for one file, by whatever path it was named. */
  readonly id: string
}

/** What an `!include` named. */
export type Included = IncludedFile | { readonly code: ProblemCode; readonly message: string; readonly hint?: string }

/** Finds the file `name` that the file `from` includes; undefined where there are no includes. */
export type Include = (name: string, from: string) => Included

/** octoDNS's own advice is to keep them shallow; recursion must end. */
const MAX_DEPTH = 16
/** Of one tree: files that include each other twice would double with each level. */
const MAX_INCLUDES = 100_000
const MAX_INCLUDED_CHARACTERS = 64_000_000
/** A name has 1,020 at most. Messages tell the keys around a fault, and there may be a thousand. */
const MAX_KEY_CHARACTERS = 4096
/** Of one file; each takes some 200 bytes while it is read. A million names have 6 million values. */
const MAX_VALUES = 12_000_000

/**
 * The tree of a file's only document; an empty mapping for an empty file; undefined after a syntax error was reported.
 * `part`: which of the source's texts; `id`: the file's own, see Included.
 */
export function parseYaml(
  source: Source,
  report: Report,
  include?: Include,
  part = source.first,
  id = part.file,
): Node | undefined {
  const events = parse(source, part, report)
  if (events === undefined) return undefined
  const root = new Walk(source, part, events, report, include, [id]).document()
  return isEmpty(root) && !source.isFaulty(root) ? { kind: 'mapping', entries: [], offset: part.base } : root
}

function parse(source: Source, { file, text, base }: SourceText, report: Report): readonly Event[] | undefined {
  if (hasTooMany(text)) {
    const message = `this file has more than ${MAX_VALUES / 1e6} million values and lines`
    const hint = 'Split it: a zone can be a folder of files'
    report({ code: 'yaml-unsupported', severity: 'error', file, line: 0, column: 0, message, hint })
    return undefined
  }
  try {
    return parseEvents(text, { filename: file })
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    report(source.problem('yaml-syntax', base + (error.mark?.position ?? 0), error.reason))
    return undefined
  }
}

/** Before each value stands one of these, or nothing at all. */
const BEFORE_VALUES = new Uint8Array(128)
for (const character of ',:[{?-\n\r') BEFORE_VALUES[character.charCodeAt(0)] = 1

function hasTooMany(text: string): boolean {
  if (text.length <= MAX_VALUES) return false
  let count = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 128) count += BEFORE_VALUES[code]!
  }
  return count > MAX_VALUES
}

class Walk {
  readonly #source: Source
  readonly #text: string
  readonly #file: string
  /** Where the text begins in the source. */
  readonly #base: number
  readonly #events: readonly Event[]
  readonly #report: Report
  readonly #include: Include | undefined
  /** The files that include each other down to this one. */
  readonly #chain: readonly string[]
  #next = 0
  /** Where a node is, in the text, that has no text of its own. */
  #last = 0

  constructor(
    source: Source,
    { text, file, base }: SourceText,
    events: readonly Event[],
    report: Report,
    include: Include | undefined,
    chain: readonly string[],
  ) {
    this.#source = source
    this.#text = text
    this.#file = file
    this.#base = base
    this.#events = events
    this.#report = report
    this.#include = include
    this.#chain = chain
  }

  document(): Node {
    if (this.#events.length === 0) return { kind: 'scalar', text: '', quoted: false, offset: this.#base }
    this.#next = 1
    const root = this.#node()
    const second = this.#events[this.#next + 1]
    if (second?.type === EVENT_ID.DOCUMENT) {
      this.#next += 2
      const { offset } = this.#node()
      this.#unsupported(offset, 'a file holds one document', 'Write a file for each')
    }
    return root
  }

  #node(): Node {
    const event = this.#events[this.#next++]!
    switch (event.type) {
      case EVENT_ID.SCALAR: {
        const isInclude = this.#properties(event)
        const scalar = this.#scalar(event)
        return isInclude ? this.#includeOne(scalar) : scalar
      }
      case EVENT_ID.SEQUENCE: {
        const isInclude = this.#properties(event)
        const items: Node[] = []
        this.#last = event.start
        while (!this.#popped()) items.push(this.#node())
        const offset = this.#base + event.start
        return isInclude ? this.#includeAll(items, this.#base + event.tagStart) : { kind: 'list', items, offset }
      }
      case EVENT_ID.MAPPING: {
        const isInclude = this.#properties(event)
        const mapping = this.#mapping(event.start)
        return isInclude ? this.#refused(mapping.offset, 'a mapping names no file to include') : mapping
      }
      case EVENT_ID.ALIAS: {
        const offset = this.#base + event.anchorStart - 1
        this.#unsupported(offset, 'aliases are not supported', 'Write the value out')
        return { kind: 'scalar', text: '', quoted: false, offset }
      }
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
      default:
        throw new Error(`YAML event ${event.type} where a node is due`)
    }
  }

  #includeOne(name: Scalar): Node {
    const { offset } = name
    if (isEmpty(name)) return this.#refused(offset, '`!include` names no file')
    if (this.#chain.length > MAX_DEPTH) return this.#refused(offset, `includes go ${MAX_DEPTH} files deep at most`)
    const found = this.#include!(name.text, this.#file)
    if ('code' in found) {
      this.#report(this.#source.problem(found.code, offset, found.message, found.hint))
      return this.#source.standIn(offset)
    }
    if (this.#chain.includes(found.id)) {
      const way = this.#chain.length === 1 ? 'this file includes itself' : `${found.file} includes this file`
      this.#report(this.#source.problem('include-loop', offset, way, 'Take one of these includes out'))
      return this.#source.standIn(offset)
    }
    const { included, trees } = this.#source
    const known = trees.get(found.file)
    const files = known?.files ?? 1
    const characters = known?.characters ?? found.text.length
    if (included.files + files > MAX_INCLUDES || included.characters + characters > MAX_INCLUDED_CHARACTERS) {
      return this.#refused(offset, 'this file includes too much', 'Files that include each other grow with each level')
    }
    const before = { ...included }
    included.files += files
    included.characters += characters
    if (known !== undefined) return known.root
    const root = this.#treeOf(found) ?? this.#source.standIn(offset)
    trees.set(found.file, {
      root,
      files: included.files - before.files,
      characters: included.characters - before.characters,
    })
    return root
  }

  #treeOf({ file, text, id }: IncludedFile): Node | undefined {
    const part = this.#source.add(file, text)
    const events = parse(this.#source, part, this.#report)
    if (events === undefined) return undefined
    return new Walk(this.#source, part, events, this.#report, this.#include, [...this.#chain, id]).document()
  }

  /** `!include [a, b]`: mappings become one, in which later keys override, or lists one list. Of none: nothing. */
  #includeAll(names: readonly Node[], offset: number): Node {
    const members: Node[] = []
    for (const name of names) {
      if (name.kind !== 'scalar') return this.#refused(name.offset, '`!include` takes names of files')
      members.push(this.#includeOne(name))
    }
    if (members.some((member) => this.#source.isFaulty(member))) return this.#source.standIn(offset)
    const [first] = members
    if (first === undefined) return { kind: 'scalar', text: '', quoted: false, offset }
    const odd = members.findIndex(({ kind }) => kind === 'scalar' || kind !== first.kind)
    if (odd >= 0) {
      const wanted = first.kind === 'scalar' || odd === 0 ? 'mappings or lists' : `${first.kind}s, like the first`
      const hint = 'What is one text or number is included alone, without a list'
      return this.#refused(names[odd]!.offset, `files that are put together are all ${wanted}`, hint)
    }
    if (first.kind === 'list') {
      return { kind: 'list', items: members.flatMap((member) => (member.kind === 'list' ? member.items : [])), offset }
    }
    return { kind: 'mapping', entries: overlaid(members), offset }
  }

  #refused(offset: number, message: string, hint?: string): Node {
    this.#report(this.#source.problem('include-invalid', offset, message, hint))
    return this.#source.standIn(offset)
  }

  #scalar(event: ScalarEvent): Scalar {
    const { valueStart, style } = event
    const quoted = style !== SCALAR_STYLE.PLAIN
    const flow = style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED
    const offset = this.#base + (valueStart < 0 ? this.#last : flow ? valueStart - 1 : valueStart)
    return { kind: 'scalar', text: getScalarValue(this.#text, event), quoted, offset }
  }

  #mapping(start: number): Mapping {
    const entries: Entry[] = []
    const seen = new Map<string, number>()
    let merged: Node | undefined
    this.#last = start
    while (!this.#popped()) {
      const key = this.#node()
      this.#last = key.offset - this.#base
      const value = this.#node()
      if (key.kind !== 'scalar') {
        this.#unsupported(
          key.offset,
          'a key is a text, never a list or a mapping',
          'Put it in quotes if it is meant as text',
        )
        continue
      }
      if (key.text.length > MAX_KEY_CHARACTERS) {
        this.#unsupported(key.offset, `a key is longer than ${MAX_KEY_CHARACTERS} characters`, 'A name has 255 bytes')
        continue
      }
      const first = seen.get(key.text)
      if (first === undefined) {
        seen.set(key.text, key.offset)
        if (key.text === '<<' && !key.quoted && this.#include !== undefined) merged = value
        else entries.push({ key, value })
      } else {
        const message = `“${key.text}” is there twice; first in line ${this.#source.locate(first).line}`
        this.#report(this.#source.problem('duplicate-key', key, message, 'Merge the two'))
      }
    }
    const offset = this.#base + start
    return { kind: 'mapping', entries: merged === undefined ? entries : this.#merge(merged, entries), offset }
  }

  /** YAML's merge key, `<<: !include common.yaml`: what the mapping has itself stands, of several the first. */
  #merge(merged: Node, own: readonly Entry[]): readonly Entry[] {
    if (isEmpty(merged)) return own // left out, an empty file, or reported
    const sources = merged.kind === 'list' ? merged.items : [merged]
    const odd = sources.find(({ kind }) => kind !== 'mapping')
    if (odd === undefined) return overlaid([...sources.toReversed(), { kind: 'mapping', entries: own, offset: 0 }])
    if (!this.#source.isFaulty(odd)) this.#refused(odd.offset, '`<<` takes a mapping, or a list of mappings')
    return own
  }

  #popped(): boolean {
    if (this.#events[this.#next]!.type !== EVENT_ID.POP) return false
    this.#next++
    return true
  }

  /** Reports what has no place here; true of `!include`. */
  #properties(event: { readonly anchorStart: number; readonly tagStart: number; readonly tagEnd: number }): boolean {
    const { anchorStart, tagStart, tagEnd } = event
    if (anchorStart >= 0) {
      this.#unsupported(this.#base + anchorStart - 1, 'anchors are not supported', 'Write the value out')
    }
    if (tagStart < 0) return false
    if (this.#include !== undefined && this.#text.slice(tagStart, tagEnd) === '!include') return true
    const hint = this.#include === undefined ? 'Leave it out' : 'Leave it out; `!include` is the only one'
    this.#unsupported(this.#base + tagStart, 'tags are not supported', hint)
    return false
  }

  #unsupported(offset: number, message: string, hint: string): void {
    this.#report(this.#source.problem('yaml-unsupported', offset, message, hint))
  }
}

/** The mappings' entries, a key of several as the last has it. */
function overlaid(mappings: readonly Node[]): readonly Entry[] {
  const entries = new Map<string, Entry>()
  for (const mapping of mappings) {
    if (mapping.kind === 'mapping') for (const entry of mapping.entries) entries.set(entry.key.text, entry)
  }
  return [...entries.values()]
}
