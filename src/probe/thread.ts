/**
 * The prober's thread, both sides of it: startProber() in the main thread, and the worker's entry below. A flood of
 * queries starves no check, and a bug in a check kills no answer: a thread that dies or falls silent is replaced.
 */
import type { Heartbeat } from '../health/store.ts'
import type { MemoryStore } from '../health/memory.ts'
import type { Target } from '../health/target.ts'

export interface ProberSettings {
  readonly name: string
  readonly region: string
  readonly store: MemoryStore
  /** `address:port` each, reached over TCP: while all of a family fail, the prober abstains for that family. */
  readonly canaries?: readonly string[]
  /** The thread died or fell silent and is being replaced, or something else that an operator should read. */
  readonly onTrouble?: (trouble: string) => void
}

export interface ProberThread {
  /** Replaces what is probed; targets that stay keep their state. */
  setTargets(targets: readonly Target[]): void
  /** The thread's last sign of life; undefined before the first. */
  readonly lastHeartbeat: Heartbeat | undefined
  /** How often the thread was replaced. */
  readonly restarts: number
  stop(): Promise<void>
}

export function startProber(_settings: ProberSettings): ProberThread {
  throw new Error('being written')
}
