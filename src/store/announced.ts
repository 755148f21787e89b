/**
 * The AnnounceBoard contract within one process: the same rules as lua/announced.1.lua, by this process's clock. One board
 * serves all nodes of a MemoryStore.
 */
import type { AnnounceBoard, NodeIdentity } from '../health/store.ts'

/** All nodes of one process that are announced. */
export class MemoryAnnounced {
  readonly #leaseMs: number
  /** By name: when it said so last, by performance.now(). */
  readonly #saidMs = new Map<string, number>()

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  /** The board as one node sees it. */
  board({ name }: NodeIdentity): AnnounceBoard {
    return {
      announced: async () => {
        this.#saidMs.set(name, performance.now())
        return this.#others(name)
      },
      leave: async () => {
        this.#saidMs.delete(name)
        return this.#others(name)
      },
    }
  }

  #others(name: string): number {
    const oldestMs = performance.now() - this.#leaseMs
    return [...this.#saidMs].filter(([other, saidMs]) => other !== name && saidMs > oldestMs).length
  }
}
