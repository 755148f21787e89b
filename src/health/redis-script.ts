/** The atomic steps: files of lua/, whose names carry the number of keys. They are sent once and then named by their hash. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Client } from './redis-connect.ts'

class Script {
  readonly #text: string
  readonly #sha: string

  constructor(file: string) {
    this.#text = readFileSync(new URL(`./lua/${file}`, import.meta.url), 'utf8')
    this.#sha = hash('sha1', this.#text, 'hex')
  }

  /** Arguments go as one list: 10,000 votes are too many for a call's stack. */
  async run(client: Client, keys: readonly string[], args: readonly string[]): Promise<readonly string[]> {
    const rest = [String(keys.length), ...keys].concat(args)
    try {
      return listOf(await client.call('evalsha', [this.#sha].concat(rest)))
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('NOSCRIPT')) throw error
      return listOf(await client.call('eval', [this.#text].concat(rest)))
    }
  }
}

const listOf = (answer: unknown): readonly string[] => (Array.isArray(answer) ? answer.map(String) : [String(answer)])

export const POST = new Script('post.2-3.lua')
export const OVERRIDE = new Script('override.1.lua')
export const FORGET = new Script('forget.1.lua')
