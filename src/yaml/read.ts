/**
 * Reads a YAML tree: values out, Problems for the rest. Each method reports what is wrong and then gives undefined or
 * nothing, so that reading never stops at the first fault. The values that a key may have are in load/forms.ts.
 */
import { didYouMean, type Position, type ProblemCode, type Report, type Severity } from '../problem.ts'
import { type Entry, isEmpty, type Node, type Scalar, type Source } from './source.ts'

/** The entries of a mapping by key, without unknown keys. */
export type Fields = ReadonlyMap<string, Entry>

const KINDS = { scalar: 'a text or number', list: 'a list', mapping: 'a mapping' } as const

/** Reads the nodes of one source. */
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

  /**
   * The entries of a mapping, by key; undefined when it is none. Unknown keys are reported. `later`: keys that are not
   * supported yet; `what`: the mapping as messages name it.
   */
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

  /** All entries of a mapping whose keys are names that the operator chooses. */
  entries(node: Node, what: string): readonly Entry[] {
    if (node.kind === 'mapping') return node.entries
    this.#wrongKind(node, what, 'mapping')
    return []
  }

  /** The items of a list. */
  items(node: Node, what: string): readonly Node[] {
    if (node.kind === 'list') return node.items
    this.#wrongKind(node, what, 'list')
    return []
  }

  /** The items of a list that must not be empty. */
  filledItems(node: Node, what: string): readonly Node[] {
    const items = this.items(node, what)
    if (node.kind === 'list' && items.length === 0) this.fault('value-kind', node, `${what} is empty`)
    return items
  }

  /** A scalar that is not empty. */
  scalar(node: Node, what: string): Scalar | undefined {
    if (node.kind === 'scalar' && !isEmpty(node)) return node
    this.#wrongKind(node, what, 'scalar')
    return undefined
  }

  /** Reports a key that must be there, at the mapping that lacks it. */
  missing(node: Node, what: string, key: string, hint?: string): void {
    this.fault('key-missing', node, `${what} needs “${key}”`, hint)
  }

  /** A text that is not empty. */
  text(entry: Entry | undefined): string | undefined {
    return entry && this.value(entry, 'a text', (text) => (text === '' ? undefined : text))
  }

  /** A scalar, parsed by `parse`; undefined when that gives undefined. `wanted`: what it must be, in words. */
  value<T>(entry: Entry, wanted: string, parse: (text: string) => T | undefined): T | undefined {
    const { key, value } = entry
    if (value.kind !== 'scalar' || isEmpty(value)) {
      this.#wrongKind(value, `“${key.text}”`, 'scalar')
      return undefined
    }
    const parsed = parse(value.text)
    if (parsed === undefined) this.notWanted(entry, value.text, wanted)
    return parsed
  }

  notWanted({ key, value }: Entry, text: string, wanted: string): void {
    this.fault('value-invalid', value, `“${key.text}” is “${text}” where ${wanted} is wanted`)
  }

  #wrongKind(node: Node, what: string, wanted: keyof typeof KINDS): void {
    if (this.#source.isFaulty(node)) return
    const given = isEmpty(node) ? 'nothing' : KINDS[node.kind]
    this.fault('value-kind', node, `${what} is ${given} where ${KINDS[wanted]} is wanted`)
  }
}
