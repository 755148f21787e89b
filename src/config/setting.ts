/**
 * What a row of a table of settings is, and a Secret among their values. The tables are in config.ts and receivers.ts.
 */
import { inspect } from 'node:util'

/** A setting: a row of the table. */
export interface Setting<T> {
  /** The type in words, with bounds and unit. */
  readonly type: string
  /** It may have more than one value. */
  readonly list: boolean
  /** The default as an operator would write it; empty = none. */
  readonly default: readonly string[]
  /** For the docs: a default that depends on the machine, in words. */
  readonly defaultInWords?: string
  readonly meaning: string
  /** Reads one value; undefined = it is not of the type. `folder`: see RawSetting; `words`: see RawValue. */
  readonly read: (text: string, folder: string, words?: readonly string[]) => unknown
  /** Of a list: more values are a fault. */
  readonly most?: number
  /** In the file it is a mapping from names to lists of words. */
  readonly named?: true
  /** Its value is a Secret, and never shown, not even when it is wrong. */
  readonly secret?: true
  /**
   * In the file it is a mapping from names to mappings with these keys: each is a setting of its own, `notify.NAME.url`.
   */
  readonly keys?: Readonly<Record<string, Setting<unknown>>>
  /** Only for the type of Config. */
  readonly result?: T
}

/** A password, or what holds one: whatever prints, logs or serializes it writes `(secret)`. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** For the one place where it is used. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '(secret)'
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}

/** A setting with a list of values. */
export const list = <T>(rest: Omit<Setting<readonly T[]>, 'list' | 'result'>): Setting<readonly T[]> => ({
  ...rest,
  list: true,
})
/** A setting with one value. */
export const one = <T>(rest: Omit<Setting<T>, 'list' | 'result'>): Setting<T> => ({ ...rest, list: false })
