/**
 * Memory of Worlds. V8 never frees a SharedArrayBuffer that a thread without garbage has seen, so the compile thread
 * takes a World's arrays from this pool of fixed-length buffers, and a buffer is used again when no World that any
 * thread may still read holds it. A buffer that the made World doesn't hold was never shared: the pool forgets it.
 */
import type { World } from '../answer/world.ts'

/**
 * One cell for each reader of Worlds: the generation it has adopted. Cell 0 is the main thread's, 0 until it publishes;
 * the others belong to answering threads, ABSENT while there is none.
 */
export type Adoption = Int32Array

export const ABSENT = 0x7fffffff
export const MOST_THREADS = 255

export const makeAdoption = (): Adoption => {
  const cells = new Int32Array(new SharedArrayBuffer((MOST_THREADS + 1) * Int32Array.BYTES_PER_ELEMENT))
  return cells.fill(ABSENT, 1)
}

/** Lowest generation that any reader may still read. */
export function adoptedGeneration(cells: Adoption): number {
  let lowest = ABSENT
  for (let i = 0; i < cells.length; i++) lowest = Math.min(lowest, Atomics.load(cells, i))
  return lowest
}

export interface Pool {
  /** At least so many bytes, with whatever they held before. */
  allocate(bytes: number): SharedArrayBuffer
  /** Ends a build: `world` (with its generation) keeps what it holds; undefined when none came of it. */
  seal(world: World | undefined): void
  /** Bytes in Worlds that may be read, and bytes waiting to be used again. */
  size(): { readonly used: number; readonly free: number }
}

export function makePool(_adoption: Adoption): Pool {
  throw new Error('not yet')
}
