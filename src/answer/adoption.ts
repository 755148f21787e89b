/**
 * Which generation of the World each thread reads. The main thread publishes a World; every answering thread adopts it
 * between two queries and says so here. Memory that only older Worlds use is free once no thread reads them
 * (world/pool.ts, health slots).
 */

/**
 * Shared memory with one cell for each reader of Worlds: the generation it has adopted. Cell 0 is the main thread's, 0
 * until it publishes; the others belong to answering threads, ABSENT while the thread is not running.
 */
export type Adoption = Int32Array

/** In place of a generation: there is no such reader. */
export const ABSENT = 0x7fffffff

/** The largest number of answering threads, TCP's included. */
export const MOST_THREADS = 255

/** The cells of all readers; no answering thread has adopted anything yet. */
export const makeAdoption = (): Adoption => {
  const cells = new Int32Array(new SharedArrayBuffer((MOST_THREADS + 1) * Int32Array.BYTES_PER_ELEMENT))
  return cells.fill(ABSENT, 1)
}

/** The lowest generation that any reader may still read. */
export function adoptedGeneration(cells: Adoption): number {
  let lowest = ABSENT
  for (let i = 0; i < cells.length; i++) lowest = Math.min(lowest, Atomics.load(cells, i))
  return lowest
}
