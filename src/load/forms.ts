/**
 * The forms of values in zone files: each form reads a value from YAML, and describes it in JSON Schema. A row is a key
 * with its form, meaning and default. From the rows of a mapping, readKeys() reads it and mapping() makes its schema.
 *
 *   keys.ts: the rows ──┬─▶ readKeys() and readRows()   values, and Problems for the rest
 *                       └─▶ mapping()                   JSON Schema (schema.ts), docs/zones.md
 */
import { parseDistanceKm, parseDurationMs } from '../units.ts'
import type { Fields, Reader } from '../yaml/read.ts'
import type { Entry, Node } from '../yaml/source.ts'

/** A JSON Schema. */
export type Json = Readonly<Record<string, unknown>>

export interface Form<T> {
  /** Reads the value of an entry; undefined when it is faulty, which is reported. */
  readonly read: (read: Reader, entry: Entry) => T | undefined
  readonly json: Json
}

/** A form whose values are written as one text, so that a default can be written the same way. */
export interface TextForm<T> extends Form<T> {
  readonly parse: (text: string) => T | undefined
}

/** A key of a mapping. `missing`: its value when it is not written, or faulty. */
export interface Row<T = unknown, M = unknown> {
  readonly form: Form<T>
  /** Its meaning, in the words of docs/zones.md. */
  readonly meaning: string
  /** Its default, in the words of docs/zones.md; empty if there is nothing to say. */
  readonly unless: string
  readonly missing: M
  /** readKeys() reports a mapping without this key. Other required keys are reported by a reader of their own. */
  readonly needed?: { readonly hint: string }
}
export type Rows = Readonly<Record<string, Row>>

/** The values that are written, by key. */
export type Written<R extends Rows> = {
  readonly [K in keyof R]?: (R[K] extends Row<infer T> ? T : never) | undefined
}
/** The values of all keys, with defaults. */
export type Values<R extends Rows> = {
  readonly [K in keyof R]: R[K] extends Row<infer T, infer M> ? T | M : never
}

export const REQUIRED = 'must be there'

/** A key with a default, which is written as in YAML. */
export function defaulted<T>(form: TextForm<T>, meaning: string, unless: string): Row<T, T> {
  const missing = form.parse(unless)
  if (missing === undefined) throw new Error(`“${unless}” is no default of what has this meaning: ${meaning}`)
  return { form, meaning, unless, missing }
}

/** A key without a default; or with one that depends on other things, or cannot be written in YAML. */
export function optional<T>(form: Form<T>, meaning: string, unless?: string): Row<T, undefined>
export function optional<T>(form: Form<T>, meaning: string, unless: string, missing: T): Row<T, T>
export function optional<T>(form: Form<T>, meaning: string, unless = '', missing?: T): Row<T, T | undefined> {
  return { form, meaning, unless, missing }
}

/** A required key. */
export function needed<T>(form: Form<T>, meaning: string, hint: string, unless = REQUIRED): Row<T, undefined> {
  return { form, meaning, unless, missing: undefined, needed: { hint } }
}

/** `A, AAAA or TXT` */
export const orWords = (words: readonly string[]): string => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`

/** The defaults of a mapping: `{max: 60, min: 15}`. */
export const defaultsInWords = (rows: Rows): string =>
  `{${Object.entries(rows)
    .map(([name, { unless }]) => `${name}: ${unless}`)
    .join(', ')}}`

/** How readKeys() reports a key that is missing: where, and who needs it. */
interface Lacking {
  readonly at: Node
  readonly what: string
  /** Whether a key stands elsewhere, which is reported there. */
  readonly isMisplaced?: (key: string) => boolean
}

/**
 * Reads a mapping, and reports unknown keys, faulty values and missing keys, the last at `lacking.at`. If the node is
 * no mapping, which is reported too, `fields` is undefined and all values are defaults.
 */
export function readKeys<R extends Rows>(
  read: Reader,
  node: Node,
  what: string,
  rows: R,
  lacking: Lacking = { at: node, what },
): { readonly fields: Fields | undefined; readonly values: Values<R> } {
  const fields = read.fields(node, what, Object.keys(rows))
  if (fields === undefined) return { fields, values: withDefaults(rows, {}) }
  for (const name in rows) {
    const hint = rows[name]!.needed
    if (hint === undefined || fields.has(name) || lacking.isMisplaced?.(name) === true) continue
    read.missing(node, { ...lacking, keys: [name], known: Object.keys(rows), hint: hint.hint })
  }
  return { fields, values: withDefaults(rows, readRows(read, fields, rows)) }
}

/** Reads the values of fields; where one is not written, or faulty, it is taken from `like`. */
export function readRows<R extends Rows>(read: Reader, fields: Fields, rows: R, like?: Written<R>): Written<R>
export function readRows(read: Reader, fields: Fields, rows: Rows, like?: object): object {
  const written: Record<string, unknown> = { ...like }
  for (const [name, entry] of fields) {
    const value = rows[name]?.form.read(read, entry)
    if (value !== undefined) written[name] = value
  }
  return written
}

export function withDefaults<R extends Rows>(rows: R, written: Written<R>): Values<R>
export function withDefaults(rows: Rows, written: Readonly<Record<string, unknown>>): object {
  const values: Record<string, unknown> = {}
  for (const name in rows) values[name] = written[name] === undefined ? rows[name]!.missing : written[name]
  return values
}

// JSON Schema

export const TEXT: Json = { type: 'string', minLength: 1 }
/** A text, also where an editor takes it for a number or a boolean because it has no quotes. */
export const SCALAR: Json = { anyOf: [TEXT, { type: 'number' }, { type: 'boolean' }] }
/** A mapping with any keys. */
export const LOOSE: Json = { type: 'object', properties: {}, additionalProperties: {} }
/**
 * Names of sites, pools, services, checks and commands. They are parts of members' names, metrics and patterns, so they
 * have no blanks, slashes or stars.
 */
export const IDENTIFIER = /^[A-Za-z0-9][\w.-]{0,62}$/

export const constant = (value: string): Json => ({ type: 'string', const: value })
export const choice = (values: readonly string[]): Json => ({ type: 'string', enum: values })
export const pattern = (expression: RegExp): Json => ({ type: 'string', pattern: expression.source })
export const list = (items: Json, least = 1): Json => ({ type: 'array', ...(least > 0 && { minItems: least }), items })
export const either = (...anyOf: readonly Json[]): Json => ({ anyOf })
export const oneOrList = (one: Json): Json => either(one, list(one))
/** A mapping whose keys are names that the operator chooses. */
export const named = (additionalProperties: Json, propertyNames = pattern(IDENTIFIER)): Json => ({
  type: 'object',
  propertyNames,
  additionalProperties,
})

/** A mapping with these keys and no others. */
export function mapping(rows: Rows): Json {
  const properties = Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, described(row)]))
  const required = Object.keys(rows).filter((name) => rows[name]!.unless === REQUIRED || rows[name]!.needed)
  return { type: 'object', properties, ...(required.length > 0 && { required }), additionalProperties: false }
}

/** A mapping with at least one of the keys. */
export const withAny = (one: Json, ...keys: readonly string[]): Json => ({
  ...one,
  anyOf: keys.map((name) => ({ required: [name] })),
})

/** The schema with the description that editors show beside the key. */
function described({ form, meaning, unless }: Row): Json {
  const rest = unless === '' ? '' : unless === REQUIRED ? ` (${REQUIRED})` : `\n\nUnless written: ${unless}`
  return { ...form.json, description: meaning + rest }
}

// forms

const valueForm = <T>(wanted: string, parse: (text: string) => T | undefined, json: Json): TextForm<T> => ({
  read: (read, entry) => read.value(entry, wanted, parse),
  parse,
  json,
})

/** A whole number. */
export const integer = (least: number, most: number): TextForm<number> =>
  valueForm(
    `a whole number from ${least} to ${most}`,
    (text) => within(/^-?\d{1,10}$/.test(text) ? Number(text) : undefined, least, most),
    { type: 'integer', minimum: least, maximum: most },
  )

const DURATION = pattern(/^(\d+(\.\d+)?(ms|s|m|h|d))+$/)

/** Milliseconds. */
export const duration = (least: number, most: number): TextForm<number> =>
  valueForm(
    `a duration from ${least} ms to ${most / 1000} s, like 5s or 250ms`,
    (text) => within(parseDurationMs(text), least, most),
    DURATION,
  )

const MOST_SECONDS = 0x7fffffff

/** DNS's own unit: `60`, or a duration of whole seconds. At most 2^31 − 1 (RFC 2181 §8). */
export const seconds = (least: number): TextForm<number> =>
  valueForm(
    `seconds, ${least} or more, like 60 or 1h`,
    (text) => {
      const value = /^\d{1,10}$/.test(text) ? Number(text) : (parseDurationMs(text) ?? Number.NaN) / 1000
      return Number.isInteger(value) ? within(value, least, MOST_SECONDS) : undefined
    },
    either(integer(least, MOST_SECONDS).json, DURATION),
  )

const within = (value: number | undefined, least: number, most: number): number | undefined =>
  value !== undefined && value >= least && value <= most ? value : undefined

/** Kilometres. */
export const distance = valueForm('a distance like 500km', parseDistanceKm, pattern(/^\d+(\.\d+)?\s*km$/))

export const percent = valueForm(
  'a percentage from 0% to 100%, like 25%',
  (text) => within(Number(/^(\d{1,3})%$/.exec(text)?.[1] ?? Number.NaN), 0, 100),
  pattern(/^(\d{1,2}|100)%$/),
)

export const flag = valueForm(
  'true or false',
  (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
  { type: 'boolean' },
)

/** One of some words. `shown`: those that editors offer. */
export const oneOf = <const T extends string>(choices: readonly T[], shown: Json = choice(choices)): TextForm<T> =>
  valueForm(`one of ${choices.join(', ')}`, (text) => choices.find((one) => one === text), shown)

/** A text that `parse` turns into a value. `wanted`: what it must be, as messages name it. */
export const parsed = <T>(wanted: string, parse: (text: string) => T | undefined, json: Json): TextForm<T> => ({
  read(read, entry) {
    const text = read.text(entry)
    if (text === undefined) return undefined
    const value = parse(text)
    if (value === undefined) read.notWanted(entry, text, wanted)
    return value
  },
  parse,
  json,
})

export const matching = (wanted: string, isValid: (text: string) => boolean, json: Json): TextForm<string> =>
  parsed(wanted, (text) => (isValid(text) ? text : undefined), json)

export const text: TextForm<string> = matching('a text', (given) => given !== '', TEXT)
export const scalar: TextForm<string> = { ...text, json: SCALAR }

/** One value, or a list of them. `example`: stands for faulty items, and is in the hint. */
export const oneOrMore = <T>(form: TextForm<T>, example: string): TextForm<readonly T[]> => ({
  read(read, { key: name, value }) {
    const nodes = value.kind === 'list' ? value.items : [value]
    if (nodes.length === 0) {
      read.fault('value-kind', value, `“${name.text}” is empty`, `Write what means up: ${name.text}: [${example}]`)
    }
    return nodes.map((node) => form.read(read, { key: name, value: node }) ?? form.parse(example)!)
  },
  parse(given) {
    const one = form.parse(given)
    return one === undefined ? undefined : [one]
  },
  json: oneOrList(form.json),
})

/** The form with a placeholder for faulty values, so that the key is not reported as missing too. */
export const standIn = <T>(form: Form<T>, value: T): Form<T> => ({
  ...form,
  read: (read, entry) => form.read(read, entry) ?? value,
})

/** A structure with a reader of its own: its value is the entry. */
export const structure = (json: Json): Form<Entry> => ({ read: (_, entry) => entry, json })
