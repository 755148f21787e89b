/**
 * JSON with the place of each value: JSON is YAML, and that reader knows places. Values of the shapes that AWS's commands
 * print; what is not there is undefined.
 */
import type { Place } from '../notes.ts'
import type { Node, Source } from '../../yaml/source.ts'

/** A value of a document. */
export class Json {
  readonly #source: Source
  readonly #node: Node

  constructor(source: Source, node: Node) {
    this.#source = source
    this.#node = node
  }

  get at(): Place {
    const { file, line, column } = this.#source.place(this.#node)
    return { file, line, column }
  }

  /** The value of a key; undefined if this is no object, or has it not. */
  get(key: string): Json | undefined {
    const entry = this.#node.kind === 'mapping' ? this.#node.entries.find((one) => one.key.text === key) : undefined
    return entry && new Json(this.#source, entry.value)
  }

  /** The items of an array; none if this is none. */
  items(): readonly Json[] {
    return this.#node.kind === 'list' ? this.#node.items.map((item) => new Json(this.#source, item)) : []
  }

  /** The text of a key: a string, a number or a boolean, as it is written. */
  text(key: string): string | undefined {
    const value = this.get(key)
    return value === undefined || value.#node.kind !== 'scalar' ? undefined : value.#node.text
  }

  number(key: string): number | undefined {
    const text = this.text(key)
    return text === undefined || text === '' || Number.isNaN(Number(text)) ? undefined : Number(text)
  }

  isTrue(key: string): boolean {
    return this.text(key) === 'true'
  }
}
