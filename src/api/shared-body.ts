/**
 * A costly body that many callers watch: it is made once for all of them, kept while nothing changes, and made again at
 * most for a small part of the time, however many ask. Callers that have it already may wait for the next one, so that a
 * change reaches them at once and calm costs nothing. Used by RunningNode for the board.
 *
 *   callers ─ have none ─▶ the body that is kept, if it is fresh; else a new one
 *           ─ have it, and wait ─▶ the next one: after a change, or when it is old
 */
/** A body as it is sent. */
export interface MadeBody {
  /** With its quotes, as the header ETag has it (RFC 9110 §8.8.3). */
  readonly etag: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

interface Kept extends MadeBody {
  readonly changes: string
  readonly atMs: number
  readonly tookMs: number
}

/** How often a change is looked for while callers wait, and how long they wait at most: a connection times out at 10 s. */
const LOOK_MS = 50
const WAIT_MS = 8_000
/** A body without a change is this old at most: rates and ages in it are. */
const OLD_MS = 5_000
/** To make it may take one part in so many of the time: after changes, and without any. */
const CHANGE_PARTS = 100
const CALM_PARTS = 400
/** But a busy machine must not make it older than this: after changes, and without any. */
const LATEST_MS = 2_000
const OLDEST_MS = 20_000

/** A body that callers share. */
export class SharedBody {
  readonly #make: () => object
  readonly #changes: () => string
  readonly #process = Date.now().toString(36)
  #number = 0
  #kept: Kept | undefined
  #next: Promise<void> | undefined

  /** `changes`: a text that differs when the body does, other than by time. */
  constructor(make: () => object, changes: () => string) {
    this.#make = make
    this.#changes = changes
  }

  /**
   * The body. `known`: the etag of the one that the caller has. `waits`: it wants the next one, and gets the same again if
   * there is none within some seconds.
   */
  async get(known: string | undefined, waits: boolean): Promise<MadeBody> {
    const body = this.#fresh()
    if (!waits || body.etag !== known) return body
    await (this.#next ??= this.#watch())
    return this.#kept!
  }

  /** Resolves when there is another body, or after WAIT_MS. */
  async #watch(): Promise<void> {
    const before = this.#kept
    const endMs = performance.now() + WAIT_MS
    try {
      while (this.#fresh() === before && performance.now() < endMs) await sleep(LOOK_MS)
    } finally {
      this.#next = undefined
    }
  }

  #fresh(): Kept {
    const kept = this.#kept
    const changes = this.#changes()
    const ageMs = performance.now() - (kept?.atMs ?? -Infinity)
    if (kept !== undefined) {
      const oldMs =
        kept.changes === changes
          ? Math.min(Math.max(OLD_MS, CALM_PARTS * kept.tookMs), OLDEST_MS)
          : Math.min(CHANGE_PARTS * kept.tookMs, LATEST_MS)
      if (ageMs < oldMs) return kept
    }
    const beganMs = performance.now()
    const bytes = new TextEncoder().encode(JSON.stringify(this.#make()))
    const etag = `"${this.#process}-${++this.#number}"`
    const atMs = performance.now()
    this.#kept = { etag, bytes, changes, atMs, tookMs: atMs - beganMs }
    return this.#kept
  }
}

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms).unref())
