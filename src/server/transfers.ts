/**
 * The zone transfers that a thread sends (answer/transfer.ts makes their messages): how many at once, and with which
 * Worlds. Messages have 16 KB and costly turns (connections.ts), so that however many transfers there are, answers wait
 * for one message.
 */
import type { Responder, Transfer, TransferRefusal } from '../answer/responder.ts'
import { T_AXFR, T_IXFR, T_TRANSFERRING, T_TRANSFERS_BROKEN, T_TRANSFERS_REFUSED } from './connections.ts'

/** What became of a zone transfer. */
export interface TransferNews {
  readonly zone: string
  readonly client: string
  /** What was sent, or why the transfer was refused or broken off. */
  readonly result:
    | (Pick<Transfer, 'kind' | 'serial' | 'messages' | 'records' | 'bytes'> & { readonly ms: number })
    | { readonly refused: string }
    | { readonly broken: string }
}

/** A transfer that is being sent. */
export interface Sending {
  readonly transfer: Transfer
  /** The secondary's address, for the log. */
  readonly client: string
  readonly sinceMs: number
  /** When its World was last the newest. */
  freshMs: number
  /** Closes its connection. */
  readonly close: () => void
}

/** How many transfers may be sent at once; more are refused. */
const MOST_TRANSFERS = 64
/**
 * How long a transfer may go on with a World that has been replaced, whose memory it keeps. The secondary asks again,
 * and gets the new one.
 */
const MOST_STALE_MS = 30_000
const SWEEP_MS = 250

/** All transfers of one thread. */
export class Transfers {
  readonly #responder: Responder
  readonly #cells: Float64Array
  readonly #sending = new Set<Sending>()
  readonly #onTransfer: (news: TransferNews) => void
  readonly #onAdopted: () => void
  /** While anything is sent. */
  #sweeping: NodeJS.Timeout | undefined

  /** `onTransfer`: takes what became of each transfer; `onAdopted`: called when oldestGeneration may have changed. */
  constructor(
    responder: Responder,
    cells: Float64Array,
    onTransfer: (news: TransferNews) => void = () => {},
    onAdopted: () => void = () => {},
  ) {
    this.#responder = responder
    this.#cells = cells
    this.#onTransfer = onTransfer
    this.#onAdopted = onAdopted
    responder.transfersLeft = MOST_TRANSFERS
  }

  /** The generation of the oldest World that is still read: the Responder's, or that of a transfer. */
  get oldestGeneration(): number {
    let oldest = this.#responder.world.generation
    for (const { transfer } of this.#sending) oldest = Math.min(oldest, transfer.world.generation)
    return oldest
  }

  /** Begins a transfer; `close`: closes its connection. */
  begin(transfer: Transfer, client: string, close: () => void): Sending {
    const nowMs = performance.now()
    const sending = { transfer, client, sinceMs: nowMs, freshMs: nowMs, close }
    this.#sending.add(sending)
    this.#count()
    return sending
  }

  /** Notes that a transfer has been sent, or why it was broken off. */
  end(sending: Sending, broken?: string): void {
    if (!this.#sending.delete(sending)) return
    this.#count()
    const { transfer, client, sinceMs } = sending
    const { zone, kind, serial, messages, records, bytes } = transfer
    this.#cells[broken !== undefined ? T_TRANSFERS_BROKEN : kind === 'AXFR' ? T_AXFR : T_IXFR]!++
    const ms = Math.round(performance.now() - sinceMs)
    const result = broken === undefined ? { kind, serial, messages, records, bytes, ms } : { broken }
    this.#onTransfer({ zone, client, result })
    this.#onAdopted()
  }

  /** Notes that a transfer was refused. */
  refuse({ zone, why }: TransferRefusal, client: string): void {
    this.#cells[T_TRANSFERS_REFUSED]!++
    this.#onTransfer({ zone, client, result: { refused: why } })
  }

  #count(): void {
    this.#cells[T_TRANSFERRING] = this.#sending.size
    this.#responder.transfersLeft = MOST_TRANSFERS - this.#sending.size
    if (this.#sending.size > 0) this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
    else {
      clearInterval(this.#sweeping)
      this.#sweeping = undefined
    }
  }

  #sweep(): void {
    const nowMs = performance.now()
    for (const sending of this.#sending) {
      if (sending.transfer.world === this.#responder.world) sending.freshMs = nowMs
      else if (nowMs - sending.freshMs > MOST_STALE_MS) {
        this.end(sending, `it took longer than ${MOST_STALE_MS / 1000} s after a reload`)
        sending.close()
      }
    }
  }
}
