/**
 * Reads from Redis, each repeated until it succeeds. Equal pending reads are merged, so several listeners of a process
 * read once. Short reads share one script call at a time (lua/since.n.lua); whole hashes are read a few at a time on a
 * connection of their own, and large ones after a random delay, so that 50 nodes do not read the same hash at once.
 */
import { type Client, hgetall } from './connect.ts'
import type { Fields } from './fields.ts'
import { FORGOTTEN_KEY, hashKey, indexKey, type Kind, OVERRIDES_KEY, REV_FIELD } from './keys.ts'
import { listOf, OVERRIDES, SINCE } from './scripts.ts'

/** Whole reads at a time, so that each result is taken in before more is requested. */
const AT_ONCE = 2
const RETRY_MS = 500
/** Hashes in one call of since.n.lua. */
const TOGETHER = 100
/** Names read of an index, the latest first. */
const MOST_NAMES = 1000

/** What a hash has beyond the known (boot id, n); `refused`: Redis does not hand it out, `why` says why not. */
export type Since =
  | { readonly state: 'absent' }
  | { readonly state: 'refused'; readonly why: string }
  | {
      /** Nothing new but perhaps the heartbeat, the lines, or its hash has to be read. */
      readonly state: 'same' | 'some' | 'whole'
      /** Fields of its hash. */
      readonly size: number
      /** Values of HEAD_FIELDS. */
      readonly head: readonly string[]
      /** Lines of its log. */
      readonly lines: readonly string[]
    }

/** What a Reader needs of its Store. */
export interface ReaderSettings {
  /** For short reads, and (`slow`) for whole hashes. */
  readonly quick: Client
  readonly slow: Client
  readonly ready: (client: Client) => boolean
  readonly leaseMs: number
  /** Called after each read: the error, or undefined when it succeeded. */
  readonly onTrouble: (error: unknown) => void
}

interface SinceRequest {
  readonly key: string
  readonly boot: string
  readonly n: string
  readonly promise: Promise<Since>
  readonly resolve: (since: Since) => void
}

/** All reads of one Store. */
export class Reader {
  readonly #settings: ReaderSettings
  /** Requests that are not sent yet. */
  #requests = new Map<string, SinceRequest>()
  #requesting = false
  /** Reads of hashes that were not begun yet, by key. */
  readonly #waiting = new Map<string, Promise<Fields>>()
  readonly #queue: (() => Promise<void>)[] = []
  /** Reject when a connection ends: ioredis answers nothing that was asked on it, so it is asked again. */
  #lostQuick = ending()
  #lostSlow = ending()
  #running = 0
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(settings: ReaderSettings) {
    this.#settings = settings
  }

  /** What a hash has beyond that boot id and n; '' and '' for everything. */
  since(kind: Kind, name: string, boot: string, n: string): Promise<Since> {
    const key = hashKey(kind, name)
    const id = `${key} ${boot} ${n}`
    const known = this.#requests.get(id)
    if (known !== undefined) return known.promise
    const { promise, resolve } = Promise.withResolvers<Since>()
    this.#requests.set(id, { key, boot, n, promise, resolve })
    if (!this.#requesting) queueMicrotask(() => void this.#sendRequests())
    this.#requesting = true
    return promise
  }

  /** A whole hash; no fields: it does not exist. */
  hash(kind: Kind, name: string, spreadMs = 0): Promise<Fields> {
    return this.#whole(hashKey(kind, name), hgetall, spreadMs)
  }

  /** All overrides, and NOW_FIELD. */
  overrides(): Promise<Fields> {
    return this.#whole(OVERRIDES_KEY, (client, key) => OVERRIDES.list(client, [key], []))
  }

  forgotten(): Promise<Fields> {
    return this.#whole(FORGOTTEN_KEY, hgetall)
  }

  /** Revision of the overrides, new after each change; '' = there are none. */
  rev(): Promise<string> {
    return this.#enqueue(async (client) => (await client.hget(OVERRIDES_KEY, REV_FIELD)) ?? '')
  }

  /** Names in the index, the latest first; anyone may have written them. */
  names(kind: Kind): Promise<readonly string[]> {
    return this.#enqueue((client) => client.zrange(indexKey(kind), '0', String(MOST_NAMES - 1), 'REV'))
  }

  /** Names seen in the last two days, and how long ago in ms, both by Redis's clock. */
  seen(kind: Kind): Promise<ReadonlyMap<string, number>> {
    return this.#enqueue(async (client) => {
      const [seconds = 0, micros = 0] = (await client.time()).map(Number)
      const list = await client.zrange(indexKey(kind), '0', String(MOST_NAMES - 1), 'REV', 'WITHSCORES')
      const nowMs = seconds * 1000 + micros / 1000
      const age = (at: number) => Math.max(0, nowMs - Number(list[at + 1]))
      return new Map(list.flatMap((name, i) => (i % 2 === 0 ? [[name, age(i)] as const] : [])))
    })
  }

  /** Starts pending reads; called when a connection is ready. */
  pump(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    while (this.#running < AT_ONCE && this.#queue.length > 0 && !this.#closed && this.#isReady(this.#settings.slow)) {
      this.#running++
      void this.#queue.shift()!()
    }
    if (!this.#requesting && this.#requests.size > 0) void this.#sendRequests()
  }

  /** Called when a connection has closed: its pending reads are repeated. */
  lost(client: Client): void {
    const isQuick = client === this.#settings.quick
    const { reject } = isQuick ? this.#lostQuick : this.#lostSlow
    if (isQuick) this.#lostQuick = ending()
    else this.#lostSlow = ending()
    reject(new Error('Connection is closed'))
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#queue.length = 0
  }

  #isReady(client: Client): boolean {
    return this.#settings.ready(client)
  }

  async #sendRequests(): Promise<void> {
    const { quick, leaseMs, onTrouble } = this.#settings
    this.#requesting = true
    try {
      while (this.#requests.size > 0 && !this.#closed && this.#isReady(quick)) {
        const batch = [...this.#requests].slice(0, TOGETHER)
        for (const [id] of batch) this.#requests.delete(id)
        const requests = batch.map(([, request]) => request)
        const args = [String(leaseMs), ...requests.flatMap(({ boot, n }) => [boot, n])]
        try {
          const pending = SINCE.run(
            quick,
            requests.map(({ key }) => key),
            args,
          )
          const answers = await Promise.race([pending, this.#lostQuick.promise])
          onTrouble(undefined)
          for (const [i, { resolve }] of requests.entries())
            resolve(readSince(Array.isArray(answers) ? answers[i] : []))
        } catch (error) {
          this.#requests = new Map([...batch, ...this.#requests])
          this.#failed(error)
          return
        }
      }
    } finally {
      this.#requesting = false
    }
  }

  #whole(key: string, read: (client: Client, key: string) => Promise<Fields>, spreadMs = 0): Promise<Fields> {
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) return waiting
    const begin = (client: Client) => {
      this.#waiting.delete(key) // what changes from now on may be missing in it
      return read(client, key)
    }
    const pending = this.#enqueue(begin, spreadMs)
    this.#waiting.set(key, pending)
    return pending
  }

  #enqueue<T>(read: (client: Client) => Promise<T>, spreadMs = 0): Promise<T> {
    return new Promise<T>((resolve) => {
      const enqueue = () => {
        this.#queue.push(() => this.#run(read, resolve))
        this.pump()
      }
      if (spreadMs > 0) setTimeout(enqueue, Math.random() * spreadMs).unref()
      else queueMicrotask(enqueue) // not before #whole() has noted it
    })
  }

  async #run<T>(read: (client: Client) => Promise<T>, resolve: (value: T) => void): Promise<void> {
    try {
      const value = await Promise.race([read(this.#settings.slow), this.#lostSlow.promise])
      this.#settings.onTrouble(undefined)
      resolve(value)
    } catch (error) {
      this.#queue.push(() => this.#run(read, resolve))
      this.#failed(error)
    } finally {
      this.#running--
    }
    if (this.#retry === undefined) this.pump()
  }

  #failed(error: unknown): void {
    if (this.#closed) return
    this.#settings.onTrouble(error)
    this.#retry ??= setTimeout(() => this.pump(), RETRY_MS).unref()
  }
}

/** Parses an answer of since.n.lua for one hash. */
function readSince(answer: unknown): Since {
  const [state, size, ...texts] = listOf(answer)
  if (state === undefined) return { state: 'absent' }
  if (state !== 'same' && state !== 'some' && state !== 'whole') return { state: 'refused', why: state }
  return { state, size: Number(size), head: texts.slice(0, 6), lines: texts.slice(6) }
}

function ending(): PromiseWithResolvers<never> {
  const made = Promise.withResolvers<never>()
  made.promise.catch(() => {}) // nobody may be reading then
  return made
}
