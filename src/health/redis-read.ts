/**
 * Reads of the board: a few at a time, each until it succeeds. Equal ones that wait are one, so that several who listen in
 * one process read once; and those of a large board wait a random moment, so that 50 nodes don't read it all at once.
 */
import { hashKey, HEAD_FIELDS, indexKey, type Kind, OVERRIDES_KEY } from './keys.ts'
import { type Client, hgetall } from './redis-connect.ts'
import type { Fields } from './redis-text.ts'

/** At once, so that what comes is taken in before more is asked for. */
const AT_ONCE = 2
const RETRY_MS = 500

/** boot id, region, n, heartbeat; of a poster that is there. */
export type Head = readonly [name: string, boot: string, region: string, n: string, beat: string]

export interface ReaderSettings {
  readonly client: Client
  readonly ready: () => boolean
  /** undefined: reading works. */
  readonly onTrouble: (error: unknown) => void
}

export class Reader {
  readonly #settings: ReaderSettings
  /** Reads of hashes that were not begun yet, by key. */
  readonly #waiting = new Map<string, Promise<Fields>>()
  readonly #queue: (() => Promise<void>)[] = []
  /** Rejects when the connection ends. */
  #ended = ending()
  #running = 0
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(settings: ReaderSettings) {
    this.#settings = settings
  }

  /** All that one says; empty = it is not there. */
  post(kind: Kind, name: string, spreadMs = 0): Promise<Fields> {
    return this.#hash(hashKey(kind, name), spreadMs)
  }

  overrides(): Promise<Fields> {
    return this.#hash(OVERRIDES_KEY, 0)
  }

  /** Of all posters of the kind that are there. */
  heads(kind: Kind): Promise<readonly Head[]> {
    return this.#ask(async (client) => {
      const names = await client.zrange(indexKey(kind), '0', '-1')
      const found = await Promise.all(names.map((name) => client.hmget(hashKey(kind, name), ...HEAD_FIELDS)))
      return names.flatMap((name, index) => {
        const [boot, region, n, beat] = found[index]!
        return typeof boot === 'string' ? [[name, boot, region ?? '', n ?? '0', beat ?? ''] as const] : []
      })
    })
  }

  /** Who was there in the last two days, and how long before the one that was heard last; so no clock is compared with another. */
  seen(kind: Kind): Promise<ReadonlyMap<string, number>> {
    return this.#ask(async (client) => {
      const list = await client.zrange(indexKey(kind), '0', '-1', 'WITHSCORES')
      const newestMs = Number(list.at(-1) ?? 0)
      return new Map(list.flatMap((name, i) => (i % 2 === 0 ? [[name, newestMs - Number(list[i + 1])] as const] : [])))
    })
  }

  /** The connection is there. */
  pump(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    while (this.#running < AT_ONCE && this.#queue.length > 0 && !this.#closed && this.#settings.ready()) {
      this.#running++
      void this.#queue.shift()!()
    }
  }

  /** The connection has ended: ioredis answers nothing that was asked on it, so it is asked again. */
  lost(): void {
    const { reject } = this.#ended
    this.#ended = ending()
    reject(new Error('Connection is closed'))
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#queue.length = 0
  }

  #hash(key: string, spreadMs: number): Promise<Fields> {
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) return waiting
    const read = (client: Client) => {
      this.#waiting.delete(key) // what changes from now on may be missing in it
      return hgetall(client, key)
    }
    const asked = this.#ask(read, spreadMs)
    this.#waiting.set(key, asked)
    return asked
  }

  #ask<T>(read: (client: Client) => Promise<T>, spreadMs = 0): Promise<T> {
    return new Promise<T>((resolve) => {
      const enqueue = () => {
        this.#queue.push(() => this.#run(read, resolve))
        this.pump()
      }
      if (spreadMs > 0) setTimeout(enqueue, Math.random() * spreadMs).unref()
      else queueMicrotask(enqueue) // not before #hash() has noted it
    })
  }

  async #run<T>(read: (client: Client) => Promise<T>, resolve: (value: T) => void): Promise<void> {
    try {
      const value = await Promise.race([read(this.#settings.client), this.#ended.promise])
      this.#settings.onTrouble(undefined)
      resolve(value)
    } catch (error) {
      if (this.#closed) return
      this.#settings.onTrouble(error)
      this.#queue.push(() => this.#run(read, resolve))
      this.#retry ??= setTimeout(() => this.pump(), RETRY_MS).unref()
    } finally {
      this.#running--
    }
    if (this.#retry === undefined) this.pump()
  }
}

function ending(): PromiseWithResolvers<never> {
  const made = Promise.withResolvers<never>()
  made.promise.catch(() => {}) // nobody may be reading then
  return made
}
