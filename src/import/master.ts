/**
 * Master files (RFC 1035 §5.1) → records, one after the other: $ORIGIN, $TTL (RFC 2308 §4), $INCLUDE, BIND's $GENERATE,
 * parentheses, quoted strings, escapes, units of time. Read by bind.ts and gdnsd/, whose files have a little more
 * (`Dialect`). What cannot be read is a Note with file and line, and the next line is read.
 *
 *   www  600  IN  A  192.0.2.1          owner, TTL and class may be left out; a blank first stands for the owner before
 *
 * Text is one character for each byte. Words keep their quotes and escapes; rdata.ts reads them.
 */
import { type Fault, isAbsolute, isFault, isWithin, joinName, lowerName, parseName } from '../dns/name.ts'
import { classNumber, typeNumber } from '../dns/types.ts'
import { Input } from './input.ts'
import type { Notes, Place } from './notes.ts'

/** A record as it is written. */
export interface MasterRecord extends Place {
  /** In lower case. */
  readonly owner: Uint8Array
  readonly ttlSeconds: number
  /** The second number of `300/30`, or undefined. */
  readonly minSeconds: number | undefined
  /** A type's number, or a word of the dialect. */
  readonly type: number | string
  /** Of its RDATA, with their quotes and escapes. */
  readonly words: readonly string[]
  /** What completes its relative names. */
  readonly complete: (name: string) => Uint8Array | Fault
}

/** How files of a server differ from RFC 1035. */
export interface Dialect {
  /** Types of its own, in upper case; their TTLs may be `MAX/MIN`. */
  readonly types: ReadonlySet<string>
  /** `@Z` and `@F`, the zone and the first origin of the file, also as last labels. */
  readonly marks: boolean
  /** A $TTL of an included file holds behind its $INCLUDE too, as BIND has it. */
  readonly keepsTtl: boolean
  /** The TTL of records without one, before any $TTL; undefined: the SOA's last number, as BIND has it. */
  readonly ttlSeconds: number | undefined
  /** The least and the most that a TTL is, and the most that the SOA's last number is: others are brought within. */
  readonly ttlBounds: readonly [least: number, most: number]
  readonly mostNegative: number
}

const MOST_TTL = 2 ** 31 - 1
export const RFC_1035: Dialect = {
  types: new Set(),
  marks: false,
  keepsTtl: true,
  ttlSeconds: undefined,
  ttlBounds: [0, MOST_TTL],
  mostNegative: MOST_TTL,
}

/** What one import reads at most: no zone of a GSLB comes near. */
const MOST_RECORDS = 2_000_000
const MOST_WORDS = 65_536
const MOST_DEPTH = 16
/** Of one $GENERATE. */
const MOST_GENERATED = 65_536
/** Of all of them: a short line can make long ones. */
const MOST_GENERATED_CHARACTERS = 8_000_000

/** Reads a zone's file and what it includes, and calls `onRecord` for each record of class IN within the zone. */
export class MasterReader {
  readonly #input: Input
  readonly #notes: Notes
  readonly #dialect: Dialect
  readonly #zone: Uint8Array
  readonly #onRecord: (record: MasterRecord) => void
  #records = 0
  #generated = 0
  #lastTtl: number | undefined
  #soaMinimum: number | undefined

  constructor(
    input: Input,
    notes: Notes,
    zone: { readonly apex: Uint8Array; readonly dialect: Dialect },
    onRecord: (record: MasterRecord) => void,
  ) {
    this.#input = input
    this.#notes = notes
    this.#zone = zone.apex
    this.#dialect = zone.dialect
    this.#onRecord = onRecord
  }

  read(file: string): void {
    this.#file(file, this.#zone, undefined, 0, { file, line: 0 })
  }

  /** Reads a file; returns the TTL of records without one, as it is at its end. */
  #file(file: string, origin: Uint8Array, ttl: number | undefined, depth: number, from: Place): number | undefined {
    const read = this.#input.read(file)
    if ('why' in read) {
      this.#notes.error(from, `${file} cannot be read: ${read.why}`)
      return ttl
    }
    const scope: Scope = { file, first: origin, origin, ttl, owner: undefined, depth }
    for (const line of linesOf(read.bytes.toString('latin1'))) {
      if (line.fault !== undefined) this.#notes.error({ file, line: line.line }, line.fault)
      else if (line.words.length > 0) this.#line(scope, line)
      if (this.#records > MOST_RECORDS) break
    }
    return scope.ttl
  }

  #line(scope: Scope, line: Line): void {
    const [first] = line.words
    const place = { file: scope.file, line: line.line }
    if (!line.isIndented && first!.startsWith('$')) this.#directive(scope, line, place)
    else this.#record(scope, line, place)
  }

  #directive(scope: Scope, { words }: Line, place: Place): void {
    const [name, argument, second] = words
    switch (name!.toUpperCase()) {
      case '$ORIGIN': {
        const origin = argument === undefined ? { fault: 'a name is missing' } : this.#name(scope, argument)
        if (isFault(origin)) this.#notes.error(place, `$ORIGIN: ${origin.fault}`)
        else scope.origin = origin
        return
      }
      case '$TTL': {
        const seconds = parseTtl(argument ?? '')
        if (seconds === undefined) this.#notes.error(place, `$TTL: “${argument ?? ''}” is no TTL`)
        else scope.ttl = seconds
        return
      }
      case '$INCLUDE': {
        if (argument === undefined) return this.#notes.error(place, '$INCLUDE: a file is missing')
        const origin = second === undefined ? scope.origin : this.#name(scope, second)
        if (isFault(origin)) return this.#notes.error(place, `$INCLUDE: ${origin.fault}`)
        if (scope.depth >= MOST_DEPTH) return this.#notes.error(place, `$INCLUDE: more than ${MOST_DEPTH} files deep`)
        const file = Input.beside(unquoted(argument), scope.file)
        const ttl = this.#file(file, origin, scope.ttl, scope.depth + 1, place)
        if (this.#dialect.keepsTtl) scope.ttl = ttl
        return
      }
      case '$GENERATE':
        return this.#generate(scope, words, place)
      default:
        this.#notes.error(place, `${name} is no directive that is known here`)
    }
  }

  /** BIND's `$GENERATE 1-10 host-$ A 192.0.2.$`: a record for each number. */
  #generate(scope: Scope, [, range = '', ...words]: readonly string[], place: Place): void {
    const [, start = '', stop = '', step = '1'] = /^(\d{1,9})-(\d{1,9})(?:\/(\d{1,9}))?$/.exec(range) ?? []
    const count = (Number(stop) - Number(start)) / Math.max(1, Number(step))
    if (start === '' || step === '0' || count < 0 || words.length < 3) {
      return this.#notes.error(place, '$GENERATE takes FROM-TO[/STEP], a name, a type and data')
    }
    if (count >= MOST_GENERATED) return this.#notes.error(place, `$GENERATE: more than ${MOST_GENERATED} records`)
    for (let number = Number(start); number <= Number(stop); number += Number(step)) {
      const written = words.flatMap((word) => generated(word, number) ?? [])
      this.#generated += written.join('').length
      if (this.#generated > MOST_GENERATED_CHARACTERS) {
        return this.#notes.error(place, `$GENERATE: more than ${MOST_GENERATED_CHARACTERS / 1e6} million characters`)
      }
      if (written.length < words.length) {
        return this.#notes.error(place, '$GENERATE: ${OFFSET,WIDTH,BASE} is wrong; BASE is one of d, o, x, X')
      }
      const last = written.at(-1)!
      // quoted data is all of it, and quoted no more
      const data = last.startsWith('"') ? [...linesOf(unquoted(last))].flatMap((line) => line.words) : [last]
      this.#record(scope, { isIndented: false, line: place.line, words: [...written.slice(0, -1), ...data] }, place)
    }
  }

  #record(scope: Scope, { isIndented, words }: Line, place: Place): void {
    this.#records++
    if (this.#records === MOST_RECORDS) this.#notes.error(place, `there are more than ${MOST_RECORDS} records`)
    let at = 0
    if (!isIndented) {
      const owner = this.#name(scope, words[at++]!)
      if (isFault(owner)) {
        scope.owner = undefined
        return this.#notes.error(place, owner.fault)
      }
      scope.owner = lowerName(owner)
    }
    const { owner } = scope
    if (owner === undefined) return this.#notes.error(place, 'this line has no name, and there is none before it')
    let ttl: readonly [number, number | undefined] | undefined
    let isForeign = false
    for (; at < words.length; at++) {
      const word = words[at]!
      const seconds = ttl === undefined ? this.#ttl(word) : undefined
      if (seconds !== undefined) ttl = seconds
      else if (classNumber(word) === undefined || typeNumber(word) !== undefined) break
      else if (classNumber(word) !== 1) isForeign = true
    }
    const name = (words[at] ?? '').toUpperCase()
    const type = this.#dialect.types.has(name) ? name : typeNumber(name)
    if (type === undefined) return this.#notes.error(place, `“${words[at] ?? ''}” is no type of a record`)
    if (isForeign) return this.#notes.warn(place, 'left out: Meridian serves class IN alone')
    if (ttl?.[1] !== undefined && typeof type === 'number')
      return this.#notes.error(place, 'only DYNA and DYNC have two TTLs')
    const data = words.slice(at + 1)
    if (type === SOA && data.length === 7) this.#soaMinimum ??= parseTtl(data[6]!)
    const ttlSeconds = ttl?.[0] ?? scope.ttl ?? this.#dialect.ttlSeconds ?? this.#lastTtl ?? this.#soaMinimum
    if (ttlSeconds === undefined)
      return this.#notes.error(place, 'this record has no TTL, and there is no $TTL before it')
    if (ttl !== undefined) this.#lastTtl = ttlSeconds
    if (!isWithin(owner, lowerName(this.#zone)))
      return this.#notes.warn(place, 'left out: its name is outside of the zone')
    const within = (seconds: number): number => this.#within(seconds, place)
    const { origin, first } = scope
    const complete = (word: string): Uint8Array | Fault => this.#name({ origin, first }, word)
    const minSeconds = ttl?.[1] === undefined ? undefined : within(ttl[1])
    this.#onRecord({ ...place, owner, ttlSeconds: within(ttlSeconds), minSeconds, type, words: data, complete })
  }

  #within(seconds: number, place: Place): number {
    const [least, most] = this.#dialect.ttlBounds
    const bounded = Math.min(most, Math.max(least, seconds))
    if (bounded !== seconds)
      this.#notes.warn(place, `the TTL is ${bounded} s, as that server has it: ${seconds} is out of its bounds`)
    return bounded
  }

  /** `3600`, `1h30m`, and in dialects `300/30`. */
  #ttl(word: string): readonly [number, number | undefined] | undefined {
    const [most = '', least] = this.#dialect.types.size > 0 ? word.split('/', 2) : [word]
    const [max, min] = [parseTtl(most), least === undefined ? undefined : parseTtl(least)]
    return max === undefined || (least !== undefined && min === undefined) ? undefined : [max, min]
  }

  /** A name as it stands in the file → the whole name, with its case. */
  #name({ origin, first }: Pick<Scope, 'origin' | 'first'>, word: string): Uint8Array | Fault {
    if (word === '@') return origin
    const [, before = '', mark = ''] = (this.#dialect.marks && /^((?:[^@\\]|\\.)*)@([ZF])$/.exec(word)) || []
    const base = mark === 'Z' ? this.#zone : mark === 'F' ? first : origin
    if (mark !== '' && before === '') return base
    const text = escaped(mark === '' ? word : before.replace(/\.$/, ''))
    const name = parseName(text)
    return isFault(name) || (mark === '' && isAbsolute(text)) ? name : joinName(name, base)
  }
}

const SOA = 6

/** What directives change while a file is read. */
interface Scope {
  readonly file: string
  readonly depth: number
  /** The origin at the start of the file. */
  readonly first: Uint8Array
  origin: Uint8Array
  ttl: number | undefined
  owner: Uint8Array | undefined
}

/** The words of a line, or of several within parentheses. */
interface Line {
  /** Of the first word, from 1 on. */
  readonly line: number
  readonly isIndented: boolean
  readonly words: readonly string[]
  readonly fault?: string
}

/** Cuts a text into lines of words; a line with a fault has no words. */
export function* linesOf(text: string): Generator<Line> {
  let number = 1
  for (let i = 0; i < text.length;) {
    const isIndented = text[i] === ' ' || text[i] === '\t'
    const words: string[] = []
    let line = number
    let depth = 0
    let fault: string | undefined
    for (; i < text.length && (text[i] !== '\n' || depth > 0);) {
      const character = text[i]!
      if (character === '\n') number++
      if (BLANK.has(character)) i++
      else if (character === ';') i = endOfLine(text, i)
      else if (character === '(' || character === ')') {
        depth += character === '(' ? 1 : -1
        if (depth < 0) fault = 'a parenthesis closes that none has opened'
        i++
      } else {
        const end = endOfWord(text, i)
        if (words.length === 0) line = number
        if (words.length >= MOST_WORDS) fault = `a record has more than ${MOST_WORDS} words`
        if (end < 0) fault = 'a quoted string has no end on its line'
        else if (fault === undefined) words.push(text.slice(i, end))
        i = end < 0 ? endOfLine(text, i) : end
      }
    }
    if (depth > 0) fault = 'a parenthesis is never closed'
    if (i < text.length) number++
    i++
    yield fault === undefined ? { line, isIndented, words } : { line, isIndented, words: [], fault }
  }
}

const BLANK: ReadonlySet<string> = new Set([' ', '\t', '\r', '\n', '\f'])
const ENDS: ReadonlySet<string> = new Set([...BLANK, ';', '(', ')', '"'])

const endOfLine = (text: string, from: number): number => {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

/** Where the word at `from` ends; −1 if a quoted string in it does not. Quotes may follow a `=`, as in `alpn="h2,h3"`. */
function endOfWord(text: string, from: number): number {
  let i = from
  while (i < text.length) {
    const character = text[i]!
    if (character === '"' && (i === from || text[i - 1] === '=')) {
      for (i++; i < text.length && text[i] !== '"'; i++) {
        if (text[i] === '\n') return -1
        if (text[i] === '\\' && text[i + 1] !== '\n') i++
      }
      if (i >= text.length) return -1
      if (i++ > from && text[from] === '"') return i
    } else if (i > from && ENDS.has(character)) return i
    else i += character === '\\' && text[i + 1] !== '\n' ? 2 : 1
  }
  return Math.min(i, text.length)
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** `3600`, `1h30m`, `2W` → seconds; undefined for what is none, or beyond 2^31 − 1 (RFC 2181 §8). */
export function parseTtl(word: string): number | undefined {
  if (word.length > 32 || !/^(?:\d+|(?:\d+[smhdw])+)$/i.test(word)) return undefined
  if (/^\d+$/.test(word)) return Number(word) < 2 ** 31 ? Number(word) : undefined
  let seconds = 0
  for (const [, number, unit] of word.matchAll(/(\d{1,10})([a-z])/gi))
    seconds += Number(number) * UNITS[unit!.toLowerCase()]!
  return seconds < 2 ** 31 ? seconds : undefined
}

/** A word without the quotes around it; its escapes stay. */
export const unquoted = (word: string): string =>
  word.length > 1 && word.startsWith('"') && word.endsWith('"') ? word.slice(1, -1) : word

/** Bytes beyond ASCII as escapes: what is read later takes characters for UTF-8. */
export const escaped = (word: string): string =>
  word.replaceAll(/[^\0-\x7f]/g, (character) => `\\${String(character.charCodeAt(0)).padStart(3, '0')}`)

/** One word of a $GENERATE for a number: `$`, `${offset,width,base}`, `$$` and `\$`. undefined: it is wrong. */
function generated(word: string, number: number): string | undefined {
  let isWrong = false
  const text = word.replaceAll(/\\\$|\$\$|\$(?:\{([^{}]*)\})?/g, (found, modifier: string | undefined) => {
    if (found === '\\$' || found === '$$') return '$'
    const [, offset, width, base] = /^(-?\d{1,9})(?:,(\d{1,3})(?:,([doxX]))?)?$/.exec(modifier ?? '0') ?? []
    const shifted = number + Number(offset)
    if (offset === undefined || shifted < 0) {
      isWrong = true
      return ''
    }
    const digits = shifted.toString(base === 'o' ? 8 : base === undefined || base === 'd' ? 10 : 16)
    return (base === 'X' ? digits.toUpperCase() : digits).padStart(Number(width ?? 0), '0')
  })
  return isWrong ? undefined : text
}
