/**
 * Delivers messages to one receiver, in order, one at a time, each until the receiver has it:
 *
 *   waiting ─▶ attempt ─┬─ taken ──────────────────────────────▶ done
 *              ▲        ├─ refused for good (400, 413, 422) ───▶ done, counted as refused
 *              └─ wait ─┴─ no, or no response: 1, 2, 4 … 60 s, of which a random half is left out
 *
 * At most MOST_WAITING messages wait, with MOST_WAITING_ITEMS events: then the oldest is dropped, and the next one that
 * is sent says how many were.
 */
import type { Receiver } from '../../config/receivers.ts'
import { formatAge } from '../../units.ts'
import { type Message, partFor, summaryOf } from './message.ts'
import type { Outcome } from './webhook.ts'

/** Times that tests shorten. */
export interface DeliveryTiming {
  readonly firstWaitMs: number
  readonly mostWaitMs: number
}

export const DELIVERY_TIMING: DeliveryTiming = { firstWaitMs: 1_000, mostWaitMs: 60_000 }
/** Messages that may wait for one receiver, and events in them. */
export const MOST_WAITING = 1_000
const MOST_WAITING_ITEMS = 20_000
/** A receiver that has failed for so long is a trouble of the node. */
const TROUBLE_MS = 30_000

/** What a Delivery needs. */
export interface DeliverySettings {
  readonly name: string
  readonly receiver: Receiver
  readonly send: (receiver: Receiver, message: Message, lost: number) => Promise<Outcome>
  /** The receiver has it, has refused it, or it was dropped. */
  readonly onDone: (message: Message) => void
  readonly log: (level: 'info' | 'warn', line: string) => void
  readonly timing?: DeliveryTiming
  /** MOST_WAITING, except in tests. */
  readonly mostWaiting?: number
}

/** How telling one receiver goes. */
export interface DeliveryStats {
  readonly receiver: string
  readonly type: Receiver['type']
  /** Messages that the receiver has; attempts that failed; messages that it refused, and (dropped) that were too many. */
  readonly sent: number
  readonly failed: number
  readonly refused: number
  readonly dropped: number
  /** Messages that wait, and the time since the oldest of them began to. */
  readonly queued: number
  readonly oldestSeconds: number
  /** Why the last attempt failed, in words; null: it did not, or there was none. */
  readonly trouble: string | null
}

interface Waiting {
  readonly message: Message
  readonly sinceMs: number
}

/** Delivers to one receiver. */
export class Delivery {
  readonly #settings: DeliverySettings
  readonly #timing: DeliveryTiming
  readonly #queue: Waiting[] = []
  /** Events in it. */
  #items = 0
  #sent = 0
  #failed = 0
  #refused = 0
  #dropped = 0
  /** Messages that were dropped since the receiver took one. */
  #lost = 0
  /** Attempts that failed in a row, and since when. */
  #failures = 0
  #failingMs = 0
  #why: string | undefined
  #timer: NodeJS.Timeout | undefined
  /** The message on its way that another node sends. */
  #given: Waiting | undefined
  #sending: Promise<void> | undefined
  #stopped = false

  constructor(settings: DeliverySettings) {
    this.#settings = settings
    this.#timing = settings.timing ?? DELIVERY_TIMING
  }

  /** Adds a message; at the end, whatever its age. */
  add(message: Message): void {
    const { name, onDone, log, mostWaiting = MOST_WAITING } = this.#settings
    this.#queue.push({ message, sinceMs: performance.now() })
    this.#items += message.items.length
    while (this.#queue.length > 1 && (this.#queue.length > mostWaiting || this.#items > MOST_WAITING_ITEMS)) {
      // not the first one: it may be on its way
      const [dropped] = this.#queue.splice(1, 1)
      if (this.#lost === 0) log('warn', `notify.${name}: too many messages wait, so the oldest are dropped`)
      this.#items -= dropped!.message.items.length
      this.#dropped++
      this.#lost++
      onDone(dropped!.message)
    }
    this.#pump()
  }

  /** Forgets a message that another node sends; one that is on its way when that is over. */
  remove(id: string): void {
    const at = this.#queue.findIndex(({ message }) => message.id === id)
    if (at === 0 && this.#sending !== undefined) this.#given = this.#queue[0]
    if (at < 0 || this.#given === this.#queue[at]) return
    this.#items -= this.#queue[at]!.message.items.length
    this.#queue.splice(at, 1)
  }

  get stats(): DeliveryStats {
    const { name, receiver } = this.#settings
    const [oldest] = this.#queue
    return {
      receiver: name,
      type: receiver.type,
      sent: this.#sent,
      failed: this.#failed,
      refused: this.#refused,
      dropped: this.#dropped,
      queued: this.#queue.length,
      oldestSeconds: oldest === undefined ? 0 : Math.round((performance.now() - oldest.sinceMs) / 1000),
      trouble: this.#why ?? null,
    }
  }

  /** What an operator should mend, in words; undefined: nothing. */
  get trouble(): string | undefined {
    const forMs = performance.now() - this.#failingMs
    if (this.#why === undefined || (this.#failures > 0 && forMs < TROUBLE_MS && this.#lost === 0)) return undefined
    const waiting = this.#failures === 0 ? '' : ` (for ${formatAge(forMs)}; ${this.#queue.length} waiting)`
    const lost = this.#lost === 0 ? '' : `; ${this.#lost} were dropped, because too many waited`
    return `notify.${this.#settings.name} can’t be told: ${this.#why}${waiting}${lost}`
  }

  /** Ends. The attempt that is running may go on for so long, in ms. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    if (this.#sending === undefined) return
    let timer: NodeJS.Timeout | undefined
    await Promise.race([this.#sending, new Promise<void>((resolve) => (timer = setTimeout(resolve, patienceMs)))])
    clearTimeout(timer)
  }

  #pump(): void {
    if (this.#sending !== undefined || this.#timer !== undefined || this.#stopped || this.#queue.length === 0) return
    this.#sending = this.#attempt(this.#queue[0]!).finally(() => {
      this.#sending = undefined
      this.#pump()
    })
  }

  async #attempt(waiting: Waiting): Promise<void> {
    const { receiver, send } = this.#settings
    const part = partFor(receiver, waiting.message)
    const outcome = part === undefined ? { sent: true as const } : await send(receiver, part, this.#lost)
    if (this.#queue[0] !== waiting) return
    if (outcome.sent) this.#taken(part !== undefined)
    else if (outcome.isFinal) this.#refuse(waiting.message, outcome.why)
    else {
      this.#fail(outcome.why, outcome.waitMs)
      if (this.#given !== waiting) return
    }
    this.#queue.shift()
    this.#items -= waiting.message.items.length
    this.#settings.onDone(waiting.message)
  }

  #taken(isSent: boolean): void {
    const { name, log } = this.#settings
    if (this.#failures > 0) log('info', `notify.${name}: the receiver is told again`)
    if (isSent) this.#sent++
    this.#failures = 0
    this.#lost = 0
    this.#why = undefined
  }

  #refuse(message: Message, why: string): void {
    this.#refused++
    this.#failures = 0
    this.#why = `it refused a message: ${why}`
    this.#settings.log('warn', `notify.${this.#settings.name}: the receiver refuses “${summaryOf(message)}”: ${why}`)
  }

  #fail(why: string, waitMs: number | undefined): void {
    const { name, log } = this.#settings
    const { firstWaitMs, mostWaitMs } = this.#timing
    this.#failed++
    if (this.#failures++ === 0) this.#failingMs = performance.now()
    if (this.#why !== why) log('warn', `notify.${name}: the receiver can’t be told, and is tried again: ${why}`)
    this.#why = why
    const most = Math.min(mostWaitMs, firstWaitMs * 2 ** Math.min(this.#failures - 1, 20))
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#pump()
      },
      Math.max(waitMs ?? 0, most * (0.5 + Math.random() / 2)),
    ).unref()
  }
}
