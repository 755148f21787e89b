/**
 * The atomic steps: files of lua/, whose names carry the number of keys. They are sent once and then named by their hash.
 * Those that only read are called so (EVAL_RO), for a user who may only read the keys; before Redis 7 there is no such call.
 */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Client } from './connect.ts'

interface Calls {
  readonly named: string
  readonly sent: string
}
const WRITING: Calls = { named: 'evalsha', sent: 'eval' }
const READING: Calls = { named: 'evalsha_ro', sent: 'eval_ro' }

class Script {
  readonly #text: string
  readonly #sha: string
  #calls: Calls

  constructor(file: string, calls: Calls = WRITING) {
    this.#calls = calls
    this.#text = readFileSync(new URL(`./lua/${file}`, import.meta.url), 'utf8')
    this.#sha = hash('sha1', this.#text, 'hex')
  }

  /** Arguments go as one list: 10,000 votes are too many for a call's stack. */
  async run(client: Client, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys].concat(args)
    const { named, sent } = this.#calls
    try {
      return await client.call(named, [this.#sha].concat(rest))
    } catch (error) {
      if (!(error instanceof Error)) throw error
      if (error.message.includes('NOSCRIPT')) return await client.call(sent, [this.#text].concat(rest))
      if (this.#calls === WRITING || !/unknown command/i.test(error.message)) throw error
      this.#calls = WRITING
      return this.run(client, keys, args)
    }
  }

  /** Where the answer is a list of texts. */
  async list(client: Client, keys: readonly string[], args: readonly string[]): Promise<readonly string[]> {
    return listOf(await this.run(client, keys, args))
  }
}

export const listOf = (answer: unknown): readonly string[] =>
  Array.isArray(answer) ? answer.map(String) : [String(answer)]

export const WRITE = new Script('write.1-2.lua')
export const SINCE = new Script('since.n.lua', READING)
export const OVERRIDE = new Script('override.1.lua')
export const FORGET = new Script('forget.3.lua')
export const ADMIT = new Script('admit.2.lua')
