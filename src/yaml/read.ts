/**
 * Reads a YAML tree: values out, Problems for the rest. Each method reports what is wrong and then gives undefined or
 * nothing, so that reading never stops at the first fault. Each refusal says what would be right. The values that a key
 * may have are in load/forms.ts.
 */
import {
  didYouMean,
  isNear,
  type Position,
  type Problem,
  type ProblemCode,
  type Report,
  type Severity,
} from '../problem.ts'
import { type Entry, isEmpty, type Node, type Scalar, type Source } from './source.ts'

/** The entries of a mapping by key, without unknown keys. */
export type Fields = ReadonlyMap<string, Entry>

const KINDS = { scalar: 'a text or number', list: 'a list', mapping: 'a mapping' } as const

/** A key that is not there: who needs it, and what to write. */
export interface MissingKey {
  /** The key; if others do as well, they follow. */
  readonly keys: readonly [string, ...string[]]
  /** The keys that the mapping may have. */
  readonly known: readonly string[]
  readonly what: string
  readonly hint: string
  /** Where it is reported; unless given, at the mapping. */
  readonly at?: Node
}

/** Reads the nodes of one source. */
export class Reader {
  readonly #source: Source
  readonly #report: Report
  #errors = 0

  constructor(source: Source, report: Report) {
    this.#source = source
    this.#report = report
  }

  /**
   * How many errors there were so far, those included that are reported elsewhere. What is read while it grows is not
   * what the operator meant: nothing may be concluded from it.
   */
  get errors(): number {
    return this.#errors
  }

  /** Counts an error that is reported elsewhere, in what a value refers to. */
  countError(): void {
    this.#errors++
  }

  at(node: Node): Position {
    return this.#source.place(node)
  }

  /** A problem at a node, which is not reported yet. */
  problem(code: ProblemCode, node: Node, message: string, hint: string, severity: Severity = 'error'): Problem {
    return this.#source.problem(code, node, message, hint, severity)
  }

  /** Reports a fault. `hint`: what would be right, best with an example. */
  fault(code: ProblemCode, node: Node, message: string, hint: string, severity: Severity = 'error'): void {
    if (severity === 'error') this.#errors++
    this.#report(this.problem(code, node, message, hint, severity))
  }

  /**
   * The entries of a mapping, by key; undefined when it is none. Unknown keys are reported. `later`: keys that are not
   * supported yet; `what`: the mapping as messages name it.
   */
  fields(node: Node, what: string, known: readonly string[], later: readonly string[] = []): Fields | undefined {
    if (node.kind !== 'mapping') {
      this.#wrongKind(node, what, KINDS.mapping, `{${known.map((key) => `${key}: …`).join(', ')}}`)
      return undefined
    }
    const fields = new Map<string, Entry>()
    for (const entry of node.entries) {
      const key = entry.key.text
      if (known.includes(key)) fields.set(key, entry)
      else if (later.includes(key))
        this.fault('not-supported', entry.key, `“${key}” is not supported yet`, 'Leave it out')
      else this.#unknown(entry.key, what, known)
    }
    return fields
  }

  /** All entries of a mapping whose keys are names that the operator chooses. */
  entries(node: Node, what: string, example: string): readonly Entry[] {
    if (node.kind === 'mapping') return node.entries
    this.#wrongKind(node, what, KINDS.mapping, example)
    return []
  }

  /** The items of a list. */
  items(node: Node, what: string, example: string): readonly Node[] {
    if (node.kind === 'list') return node.items
    this.#wrongKind(node, what, KINDS.list, example)
    return []
  }

  /** The items of a list that must not be empty. */
  filledItems(node: Node, what: string, example: string): readonly Node[] {
    const items = this.items(node, what, example)
    if (node.kind === 'list' && items.length === 0) {
      this.fault('value-kind', node, `${what} is empty`, `Write it like this: ${example}`)
    }
    return items
  }

  /** A scalar that is not empty. */
  scalar(node: Node, what: string, example: string): Scalar | undefined {
    if (node.kind === 'scalar' && !isEmpty(node)) return node
    this.#wrongKind(node, what, KINDS.scalar, example)
    return undefined
  }

  /**
   * Reports a key that must be there. If an unknown key of the mapping is most likely that one, mistyped, then that key
   * is reported, unless fields() has done so: `isRead`.
   */
  missing(node: Node, { keys, known, what, hint, at = node }: MissingKey, isRead = true): void {
    const isMeant = ({ key: { text } }: Entry): boolean =>
      !known.includes(text) && keys.some((key) => isNear(text, key) || text.startsWith(`${key}:`))
    const mistyped = node.kind === 'mapping' ? node.entries.find(isMeant) : undefined
    if (mistyped === undefined) this.fault('key-missing', at, `${what} needs “${keys[0]}”`, hint)
    else if (!isRead) this.#unknown(mistyped.key, what, keys)
  }

  /** A text that is not empty. */
  text(entry: Entry | undefined): string | undefined {
    return entry && this.value(entry, 'a text', (text) => (text === '' ? undefined : text))
  }

  /** A scalar, parsed by `parse`; undefined when that gives undefined. `wanted`: what it must be, in words. */
  value<T>(entry: Entry, wanted: string, parse: (text: string) => T | undefined): T | undefined {
    const { key, value } = entry
    if (value.kind !== 'scalar' || isEmpty(value)) {
      this.#wrongKind(value, `“${key.text}”`, wanted)
      return undefined
    }
    const parsed = parse(value.text)
    if (parsed === undefined) this.notWanted(entry, value.text, wanted)
    return parsed
  }

  notWanted({ key, value }: Entry, text: string, wanted: string, hint?: string): void {
    this.#errors++
    const message = `“${key.text}” is “${text}” where ${wanted} is wanted`
    this.#report(this.#source.problem('value-invalid', value, message, hint))
  }

  #unknown(key: Scalar, what: string, known: readonly string[]): void {
    const meant = known.find((one) => key.text.startsWith(`${one}:`))
    const hint = meant === undefined ? didYouMean(key.text, known) : `A blank belongs behind the colon: \`${meant}: …\``
    this.fault('key-unknown', key, `${what} has no key “${key.text}”`, hint ?? 'Remove it')
  }

  /** `example`: what would be right; unless given, `wanted` says enough. */
  #wrongKind(node: Node, what: string, wanted: string, example?: string): void {
    this.#errors++
    if (this.#source.isFaulty(node)) return
    const given = isEmpty(node) ? 'nothing' : KINDS[node.kind]
    const otherwise = isEmpty(node) ? 'Write it behind the colon' : 'Write one value'
    const hint = example === undefined ? otherwise : `Write it like this: ${example}`
    this.#report(this.#source.problem('value-kind', node, `${what} is ${given} where ${wanted} is wanted`, hint))
  }
}
