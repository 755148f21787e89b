/** Which generation of the World each reader has adopted, so that the memory of older ones can be used again. */
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
