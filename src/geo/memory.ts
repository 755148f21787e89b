/**
 * Where compiled arrays live. Typed arrays of a fixed length over SharedArrayBuffers: posted to threads by reference,
 * and fast to read (views of growable buffers are not).
 */

/** A pool in `serve`, plain new memory elsewhere. The buffer may be longer than asked; its bytes may be old. */
export type Allocate = (bytes: number) => SharedArrayBuffer

export const allocateShared: Allocate = (bytes) => new SharedArrayBuffer(bytes)

/** Room for `length` ints, not cleared. */
export const shareInts = (allocate: Allocate, length: number): Int32Array =>
  new Int32Array(allocate(length * 4), 0, length)

/**
 * Gives an array's memory back at once. Collection takes its time, and a city database that leaves hundreds of megabytes to
 * it needs twice the memory. The array is empty from then on.
 */
export function free({ buffer }: Int32Array | Uint8Array): void {
  try {
    if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  } catch {
    // a piece of the memory that Node keeps for small buffers
  }
}

/** A copy with as much room again, for what grows. */
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
