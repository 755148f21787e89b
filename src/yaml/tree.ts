/**
 * The YAML parser: text → a tree in which every node knows its offset. Used for zone files and for meridian.yaml.
 *
 * Scalars are their source text: `010`, `1e3` and `1.10` are texts until a reader asks for a number. Mappings keep
 * their order. What would make a file ambiguous (duplicate keys, anchors, aliases, tags, several documents) is a
 * Problem. The work is linear in the length of the text.
 *
 * If the caller can find other files (for zones, not for settings), `!include` is replaced by their trees, as in
 * octoDNS. So a tree may come from many texts. In a Source they follow each other, and an offset is a place in all of
 * them:
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
import type { ProblemCode, Report } from '../problem.ts'
import type { DecodedText } from '../text.ts'
import { type Entry, isEmpty, type Mapping, type Node, type Scalar, Source, type SourceText } from './source.ts'
import { explainSyntax } from './syntax.ts'

interface IncludedFile extends DecodedText {
  readonly file: string
  /** The path with all links resolved: the same for one file, by whatever path it was named. */
  readonly id: string
}

/** The file that an `!include` names, or what is wrong with it. */
export type IncludeResult =
  | IncludedFile
  | { readonly code: ProblemCode; readonly message: string; readonly hint?: string }

/** Finds the file `name` that the file `from` includes; undefined where there are no includes. */
export type Include = (name: string, from: string) => IncludeResult

/** How deep includes may nest; octoDNS advises to keep them shallow. */
const MAX_DEPTH = 16
/** The most includes of one tree: files that include others twice double with each level. */
const MAX_INCLUDES = 100_000
const MAX_INCLUDED_CHARACTERS = 64_000_000
const INCLUDE = 'Write `!include FILE` or `!include [FILE, FILE]`'
/** A name has at most 1,020 characters. Keys occur in messages, of which there may be a thousand. */
const MAX_KEY_CHARACTERS = 4096
/** The most values of one file; each takes some 200 bytes while it is parsed. A million names have 6 million values. */
const MAX_VALUES = 12_000_000

/**
 * Parses a file: the tree of its only document, or an empty mapping for an empty file. undefined when it is no YAML,
 * which is reported. `part`: the text in the source; `id`: the file's own, see IncludeResult.
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
  const root = new TreeBuilder(source, part, events, report, include, [id]).document()
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
    const { code, at, message, hint } = explainSyntax(text, error.mark?.position ?? 0, error.reason)
    report(source.problem(code, base + at, message, hint))
    return undefined
  }
}

/**
 * Characters of which at least one comes before each value but the first; counting them gives an upper bound of values.
 */
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

class TreeBuilder {
  readonly #source: Source
  readonly #text: string
  readonly #file: string
  /** Where the text begins in the source. */
  readonly #base: number
  readonly #events: readonly Event[]
  readonly #report: Report
  readonly #include: Include | undefined
  /** Ids of the files that include each other down to this one. */
  readonly #chain: readonly string[]
  #next = 0
  /** The place, in the text, for a node that has no text. */
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
        return isInclude ? this.#refused(mapping.offset, 'a mapping names no file to include', INCLUDE) : mapping
      }
      case EVENT_ID.ALIAS: {
        const offset = this.#base + event.anchorStart - 1
        const hint = 'Write the value out; a name or text that begins with * needs quotes: "*.apps"'
        this.#unsupported(offset, 'aliases are not supported', hint)
        return this.#source.standIn(offset)
      }
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
      default:
        throw new Error(`YAML event ${event.type} where a node is due`)
    }
  }

  #includeOne(name: Scalar): Node {
    const { offset } = name
    if (isEmpty(name)) return this.#refused(offset, '`!include` names no file', INCLUDE)
    if (this.#chain.length > MAX_DEPTH) {
      return this.#refused(offset, `includes go ${MAX_DEPTH} files deep at most`, 'Include what is deeper from here')
    }
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

  #treeOf({ file, text, fault, id }: IncludedFile): Node | undefined {
    const part = this.#source.add(file, text)
    if (fault !== undefined) {
      this.#report(this.#source.notUtf8(part, fault))
      return undefined
    }
    const events = parse(this.#source, part, this.#report)
    if (events === undefined) return undefined
    return new TreeBuilder(this.#source, part, events, this.#report, this.#include, [...this.#chain, id]).document()
  }

  /**
   * `!include [a, b]`: joins mappings into one, in which later keys override, or lists into one list; of none: a
   * missing value.
   */
  #includeAll(names: readonly Node[], offset: number): Node {
    const members: Node[] = []
    for (const name of names) {
      if (name.kind !== 'scalar') return this.#refused(name.offset, '`!include` takes names of files', INCLUDE)
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

  #refused(offset: number, message: string, hint: string): Node {
    this.#report(this.#source.problem('include-invalid', offset, message, hint))
    return this.#source.standIn(offset)
  }

  #scalar(event: ScalarEvent): Scalar {
    const { valueStart, style } = event
    const quoted = style !== SCALAR_STYLE.PLAIN
    const flow = style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED
    const offset = this.#base + (valueStart < 0 ? this.#last : flow ? valueStart - 1 : valueStart)
    const scalar: Scalar = { kind: 'scalar', text: getScalarValue(this.#text, event), quoted, offset }
    // an escape can write what UTF-8 has no bytes for
    if (style === SCALAR_STYLE.DOUBLE_QUOTED && !scalar.text.isWellFormed()) {
      const hint = 'Write the character itself, or its escape \\U with eight digits'
      this.#report(this.#source.problem('value-invalid', scalar, 'this text has half of a surrogate pair', hint))
    }
    return scalar
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
      if (this.#source.isIncomplete && this.#source.isFaulty(key)) continue
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
        this.#source.isIncomplete = true
      }
    }
    const offset = this.#base + start
    return { kind: 'mapping', entries: merged === undefined ? entries : this.#merge(merged, entries), offset }
  }

  /**
   * YAML's merge key, `<<: !include common.yaml`: the mapping's own keys win, then those of the first of several
   * mappings.
   */
  #merge(merged: Node, own: readonly Entry[]): readonly Entry[] {
    if (isEmpty(merged)) return own // a missing value, an empty file, or a fault that is reported already
    const sources = merged.kind === 'list' ? merged.items : [merged]
    const odd = sources.find(({ kind }) => kind !== 'mapping')
    if (odd === undefined) return overlaid([...sources.toReversed(), { kind: 'mapping', entries: own, offset: 0 }])
    if (this.#source.isFaulty(odd)) return own
    this.#refused(odd.offset, '`<<` takes a mapping, or a list of mappings', '<<: !include common.yaml')
    return own
  }

  #popped(): boolean {
    if (this.#events[this.#next]!.type !== EVENT_ID.POP) return false
    this.#next++
    return true
  }

  /** Reports anchors and unknown tags; true when the tag is `!include`. */
  #properties(event: { readonly anchorStart: number; readonly tagStart: number; readonly tagEnd: number }): boolean {
    const { anchorStart, tagStart, tagEnd } = event
    if (anchorStart >= 0) {
      this.#unsupported(
        this.#base + anchorStart - 1,
        'anchors are not supported',
        'Write the value out; a text that begins with & needs quotes',
      )
    }
    if (tagStart < 0) return false
    if (this.#include !== undefined && this.#text.slice(tagStart, tagEnd) === '!include') return true
    const known = this.#include === undefined ? '' : '`!include` is the only one. '
    const hint = `${known}Leave it out; a text that begins with ! needs quotes`
    this.#unsupported(this.#base + tagStart, 'tags are not supported', hint)
    return false
  }

  #unsupported(offset: number, message: string, hint: string): void {
    this.#report(this.#source.problem('yaml-unsupported', offset, message, hint))
  }
}

/** The entries of several mappings; of equal keys the last one wins. */
function overlaid(mappings: readonly Node[]): readonly Entry[] {
  const entries = new Map<string, Entry>()
  for (const mapping of mappings) {
    if (mapping.kind === 'mapping') for (const entry of mapping.entries) entries.set(entry.key.text, entry)
  }
  return [...entries.values()]
}
