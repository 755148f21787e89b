/**
 * The Store of one process: `serve` that probes for itself. The prober lives in a thread of its own, so its side of the
 * board is one end of a MessagePort (portBoard), and the other end belongs to the store (connect).
 */
import type { MessagePort } from 'node:worker_threads'
import type { Audience, Board, Heartbeat, ProberIdentity, Store, Vote } from './store.ts'

export class MemoryStore implements Store {
  readonly shared = false
  board(_prober: ProberIdentity): Board {
    throw new Error('being written')
  }
  /** Takes what portBoard() at the other end of the channel says, until the port closes. */
  connect(_port: MessagePort): void {
    throw new Error('being written')
  }
  async listen(_audience: Audience, _signal: AbortSignal): Promise<void> {
    throw new Error('being written')
  }
  async close(): Promise<void> {}
}

/** A prober's side of a MemoryStore in another thread. */
export function portBoard(_port: MessagePort, _prober: ProberIdentity): Board {
  throw new Error('being written')
}

export type { Heartbeat, Vote }
