/**
 * Reading a YAML tree by a schema: typed values out, Problems for the rest. Every method reports what is wrong and gives
 * the value that stands for a missing one, so that reading never stops at the first fault.
 */
import { didYouMean, type Position, type ProblemCode, type Report, type Severity } from '../problem.ts'
import { parseDistanceKm, parseDurationMs } from '../units.ts'
import { type Entry, isEmpty, type Node, type Scalar, type Source } from './source.ts'

/** A mapping's entries by key; unknown ones are reported and left out. */
export type Fields = ReadonlyMap<string, Entry>

const KINDS = { scalar: 'a text or number', list: 'a list', mapping: 'a mapping' } as const

export class Reader {
  readonly #source: Source
  readonly #report: Report

  constructor(source: Source, report: Report) {
    this.#source = source
    this.#report = report
  }

  at(node: Node): Position {
    return this.#source.place(node)
  }

  fault(code: ProblemCode, node: Node, message: string, hint?: string, severity: Severity = 'error'): void {
    this.#report(this.#source.problem(code, node, message, hint, severity))
  }

  /** `later`: keys that later versions may know. undefined when it is no mapping. */
  fields(node: Node, what: string, known: readonly string[], later: readonly string[] = []): Fields | undefined {
    if (node.kind !== 'mapping') {
      this.#wrongKind(node, what, 'mapping')
      return undefined
    }
    const fields = new Map<string, Entry>()
    for (const entry of node.entries) {
      const key = entry.key.text
      if (known.includes(key)) fields.set(key, entry)
      else if (later.includes(key)) this.fault('not-supported', entry.key, `“${key}” is not supported yet`)
      else this.fault('key-unknown', entry.key, `${what} has no key “${key}”`, didYouMean(key, known))
    }
    return fields
  }

  /** All entries of a mapping whose keys are the operator's own names. */
  entries(node: Node, what: string): readonly Entry[] {
    if (node.kind === 'mapping') return node.entries
    this.#wrongKind(node, what, 'mapping')
    return []
  }

  items(node: Node, what: string): readonly Node[] {
    if (node.kind === 'list') return node.items
    this.#wrongKind(node, what, 'list')
    return []
  }

  /** The same of a list that must not be empty. */
  filledItems(node: Node, what: string): readonly Node[] {
    const items = this.items(node, what)
    if (node.kind === 'list' && items.length === 0) this.fault('value-kind', node, `${what} is empty`)
    return items
  }

  /** A non-empty scalar. */
  scalar(node: Node, what: string): Scalar | undefined {
    if (node.kind === 'scalar' && !isEmpty(node)) return node
    this.#wrongKind(node, what, 'scalar')
    return undefined
  }

  /** Reports a key that must be there, at the mapping that lacks it. */
  missing(node: Node, what: string, key: string, hint?: string): void {
    this.fault('key-missing', node, `${what} needs “${key}”`, hint)
  }

  text<M>(entry: Entry | undefined, missing: M): string | M {
    return this.#value(entry, missing, 'a text', (text) => (text === '' ? undefined : text))
  }

  /** A whole number. */
  integer<M>(entry: Entry | undefined, min: number, max: number, missing: M): number | M {
    return this.#value(entry, missing, `a whole number from ${min} to ${max}`, (text) => {
      const value = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN
      return value >= min && value <= max ? value : undefined
    })
  }

  durationMs<M>(entry: Entry | undefined, min: number, max: number, missing: M): number | M {
    const what = `a duration from ${min} ms to ${max / 1000} s, like 5s or 250ms`
    return this.#value(entry, missing, what, (text) => {
      const value = parseDurationMs(text) ?? Number.NaN
      return value >= min && value <= max ? value : undefined
    })
  }

  /** DNS's own unit: `60`, or a duration of whole seconds. At most 2^31 − 1 (RFC 2181 §8). */
  seconds<M>(entry: Entry | undefined, min: number, missing: M): number | M {
    return this.#value(entry, missing, `seconds, ${min} or more, like 60 or 1h`, (text) => {
      const value = /^\d{1,10}$/.test(text) ? Number(text) : (parseDurationMs(text) ?? Number.NaN) / 1000
      return Number.isInteger(value) && value >= min && value <= 0x7fffffff ? value : undefined
    })
  }

  distanceKm(entry: Entry | undefined, missing: number): number {
    return this.#value(entry, missing, 'a distance like 500km', parseDistanceKm)
  }

  percent(entry: Entry | undefined, missing: number): number {
    return this.#value(entry, missing, 'a percentage from 0% to 100%, like 25%', (text) => {
      const value = /^(\d{1,3})%$/.exec(text)?.[1]
      return value !== undefined && Number(value) <= 100 ? Number(value) : undefined
    })
  }

  flag<M>(entry: Entry | undefined, missing: M): boolean | M {
    return this.#value(entry, missing, 'true or false', (text) =>
      text === 'true' ? true : text === 'false' ? false : undefined,
    )
  }

  /** The words that octoDNS's YAML has for true and false. */
  yamlFlag(entry: Entry): boolean {
    return this.#value(entry, false, 'true or false', (text) =>
      /^(true|yes|on)$/i.test(text) ? true : /^(false|no|off)$/i.test(text) ? false : undefined,
    )
  }

  oneOf<T extends string, M>(entry: Entry | undefined, choices: readonly T[], missing: M): T | M {
    return this.#value(entry, missing, `one of ${choices.join(', ')}`, (text) => choices.find((one) => one === text))
  }

  #value<T, M>(entry: Entry | undefined, missing: M, what: string, parse: (text: string) => T | undefined): T | M {
    if (entry === undefined) return missing
    const { key, value } = entry
    if (value.kind !== 'scalar' || isEmpty(value)) {
      this.#wrongKind(value, `“${key.text}”`, 'scalar')
      return missing
    }
    const parsed = parse(value.text)
    if (parsed !== undefined) return parsed
    this.fault('value-invalid', value, `“${key.text}” is “${value.text}” where ${what} is wanted`)
    return missing
  }

  #wrongKind(node: Node, what: string, wanted: keyof typeof KINDS): void {
    if (this.#source.isFaulty(node)) return
    const given = isEmpty(node) ? 'nothing' : KINDS[node.kind]
    this.fault('value-kind', node, `${what} is ${given} where ${KINDS[wanted]} is wanted`)
  }
}
