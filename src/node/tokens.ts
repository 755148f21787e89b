/**
 * The tokens of the API in a running process: those of the file that `http.tokens` names, read again when it changes, and
 * `http.token`. A file that is of no use later leaves the tokens that were read before, with a warning: whoever is on call
 * must not be locked out by a typing error. Used by Doors.
 */
import type { Logger } from 'pino'
import type { Caller } from '../api/route.ts'
import { hashSecret, parseTokens, SETTING_TOKEN, type Token, tokenOf } from '../api/token.ts'
import { type Config, SCOPES } from '../config.ts'
import { messageOf } from '../problem.ts'
import { count } from '../units.ts'
import { type Watcher, watchPaths } from '../world/watch.ts'
import { readSecretFile } from './secret-file.ts'

/** Reads a file of tokens. Throws, in words that show nothing of its hashes, if it is of no use. */
export function readTokens(file: string): readonly Token[] {
  try {
    return parseTokens(readSecretFile(file))
  } catch (error) {
    const what = messageOf(error)
    throw new Error(what.startsWith('line ') ? `${file}, ${what}` : what, { cause: error })
  }
}

/** The tokens as they are now. */
export class Tokens {
  readonly #file: string | undefined
  readonly #log: Logger
  readonly #own: readonly Token[]
  #fromFile: readonly Token[] = []
  #trouble: string | undefined
  #watcher: Watcher | undefined

  constructor(config: Config, log: Logger) {
    const secret = config['http.token']?.reveal()
    this.#own = secret === undefined ? [] : [{ name: SETTING_TOKEN, hash: hashSecret(secret), scopes: SCOPES }]
    this.#file = config['http.tokens']
    this.#log = log
    this.read()
  }

  get #all(): readonly Token[] {
    return [...this.#own, ...this.#fromFile]
  }

  /** Whether there is any. */
  get areThere(): boolean {
    return this.#all.length > 0
  }

  /** Why what the file has now is not in force; undefined while it is. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Whose secret it is, and what they may do; undefined: nobody's. */
  callerOf(secret: string): Caller | undefined {
    const token = tokenOf(this.#all, secret)
    return token && { token: token.name, scopes: token.scopes }
  }

  /** Watches the file until stop(). */
  async watch(): Promise<void> {
    if (this.#file === undefined) return
    this.#watcher = await watchPaths([this.#file], {
      onChange: () => this.read(),
      onPolling: (why) => this.#log.warn(`${this.#file} is looked at every 2 s: ${why}`),
    })
    this.read() // it may have changed since the start
  }

  /** Reads the file again. */
  read(): void {
    if (this.#file === undefined) return
    try {
      const read = readTokens(this.#file)
      this.#trouble = undefined
      if (wordsOf(read) === wordsOf(this.#fromFile)) return
      this.#fromFile = read
      const names = read.map(({ name }) => name)
      this.#log.info({ tokens: names }, `${count(names.length, 'token')} of the API in force, from ${this.#file}`)
    } catch (error) {
      const trouble = `http.tokens: ${messageOf(error)}; the tokens before stay in force`
      if (trouble !== this.#trouble) this.#log.warn(trouble)
      this.#trouble = trouble
    }
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop()
  }
}

const wordsOf = (tokens: readonly Token[]): string =>
  tokens.map(({ name, hash, scopes }) => `${name} ${Buffer.from(hash).toString('hex')} ${scopes.join(' ')}`).join('\n')
