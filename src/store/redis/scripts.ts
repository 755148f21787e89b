/**
 * The atomic steps in Redis: the files of lua/, whose names carry the number of keys. A script is sent once and then
 * called by its hash. Read-only scripts use EVALSHA_RO, for users with read access only; Redis before 7 lacks it.
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

  /** Runs the script. Arguments go as one list: 10,000 votes are too many for the call stack. */
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

  /** Runs a script that answers with a list of texts. */
  async list(client: Client, keys: readonly string[], args: readonly string[]): Promise<readonly string[]> {
    return listOf(await this.run(client, keys, args))
  }
}

/** An answer as a list of texts. */
export const listOf = (answer: unknown): readonly string[] =>
  Array.isArray(answer) ? answer.map(String) : [String(answer)]

/** Writes the hash of a prober or node. */
export const WRITE = new Script('write.1-2.lua')
/** Reads what hashes have beyond known points. */
export const SINCE = new Script('since.n.lua', READING)
/** Reads all overrides, and Redis's clock. */
export const OVERRIDES = new Script('overrides.1.lua', READING)
/** Writes overrides; the newest of each pattern wins. */
export const OVERRIDE = new Script('override.1.lua')
/** Removes a decommissioned prober or node. */
export const FORGET = new Script('forget.3.lua')
/** Writes live probers to the index. */
export const ADMIT = new Script('admit.2.lua')
/** Adds what a node saw to the events of the fleet. */
export const EVENT = new Script('event.2.lua')
/** Reads events that are new. */
export const EVENTS = new Script('events.2.lua', READING)
/** Claims changes for a message, and finds the messages that tell of them. */
export const CLAIM = new Script('claim.2.lua')
/** Writes who sends a message. */
export const SENDING = new Script('sending.1.lua')
/** Says that a node is announced, or takes that back, and finds the others. */
export const ANNOUNCED = new Script('announced.1.lua')
