/**
 * Memory of compiled arrays: typed arrays of a fixed length over SharedArrayBuffers. They are posted to threads by
 * reference and fast to read, unlike views of growable buffers.
 */

/**
 * Gives memory: in `serve` from a pool (world/pool.ts). The buffer may be longer than `bytes`, and need not be zero.
 */
export type Allocate = (bytes: number) => SharedArrayBuffer

/** Gives new memory. */
export const allocateShared: Allocate = (bytes) => new SharedArrayBuffer(bytes)

/** An array of `length` ints, not zeroed. */
export const shareInts = (allocate: Allocate, length: number): Int32Array =>
  new Int32Array(allocate(length * 4), 0, length)

/**
 * Frees an array's memory at once; the array is empty afterwards. Garbage collection comes late: with a city database
 * it would leave hundreds of megabytes, and need twice the memory.
 */
export function free({ buffer }: Int32Array | Uint8Array): void {
  try {
    if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  } catch {
    // a part of Node's pool for small buffers, which cannot be freed
  }
}

/** A copy of twice the length, for arrays that grow. */
export function doubled(ints: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * ints.length)
  larger.set(ints)
  return larger
}

/** A copy of the first `length` ints in shared memory. */
export function copyInts(allocate: Allocate, from: Int32Array, length = from.length): Int32Array {
  const copy = shareInts(allocate, length)
  copy.set(from.subarray(0, length))
  return copy
}
