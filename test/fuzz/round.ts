/** What the fuzzers of all transports share. */
import type { NextQuery } from './messages.ts'
import type { Random } from './packets.ts'

/** A run, with its findings. */
export interface Run {
  readonly random: Random
  readonly next: NextQuery
  readonly tell: (what: string, bytes: Uint8Array) => void
}

/** Batches over one transport. */
export interface Round {
  /** Sends one and judges what comes; resolves with its number of packets. */
  batch(): Promise<number>
  end(): void
}

/** No clock of the server is further from ours while a batch is answered. */
export const SLACK_SECONDS = 60
export const nowSeconds = (): number => Math.floor(Date.now() / 1000)
