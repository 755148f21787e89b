/**
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed hash of short inputs, 64 bits,
 * in 32-bit arithmetic. Allocates nothing. Called by cookie.ts.
 */

/** A key of 128 bits: four words, little endian. See sipKey(). */
export type SipKey = Int32Array

/** The key of 16 bytes. */
export function sipKey(bytes: Uint8Array): SipKey {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  return Int32Array.from([0, 4, 8, 12], (at) => view.getInt32(at, true))
}

/** Hashes the first `size` bytes of `data` (at most 255) and writes the 8 bytes of the hash to out[at …]. */
export function sipHash(key: SipKey, data: Uint8Array, size: number, out: Uint8Array, at: number): void {
  const k0 = key[0]!
  const k1 = key[1]!
  const k2 = key[2]!
  const k3 = key[3]!
  // four words of 64 bits, each in two halves
  let low0 = k0 ^ 0x70736575
  let high0 = k1 ^ 0x736f6d65
  let low1 = k2 ^ 0x6e646f6d
  let high1 = k3 ^ 0x646f7261
  let low2 = k0 ^ 0x6e657261
  let high2 = k1 ^ 0x6c796765
  let low3 = k2 ^ 0x79746573
  let high3 = k3 ^ 0x74656462
  const words = size >>> 3
  // the last word has the size and what is left of the data; behind it comes the finalization, of four rounds
  for (let word = 0; word <= words + 1; word++) {
    const from = word << 3
    let low = 0
    let high = 0
    let rounds = 2
    if (word < words) {
      low = data[from]! | (data[from + 1]! << 8) | (data[from + 2]! << 16) | (data[from + 3]! << 24)
      high = data[from + 4]! | (data[from + 5]! << 8) | (data[from + 6]! << 16) | (data[from + 7]! << 24)
    } else if (word === words) {
      high = size << 24
      for (let i = from; i < size; i++) {
        if (i - from < 4) low |= data[i]! << ((i - from) << 3)
        else high |= data[i]! << ((i - from - 4) << 3)
      }
    } else {
      low2 ^= 0xff
      rounds = 4
    }
    low3 ^= low
    high3 ^= high
    for (; rounds > 0; rounds--) {
      let sum = (low0 + low1) | 0
      high0 = (high0 + high1 + (sum >>> 0 < low1 >>> 0 ? 1 : 0)) | 0
      low0 = sum
      let swap = (low1 << 13) | (high1 >>> 19)
      high1 = ((high1 << 13) | (low1 >>> 19)) ^ high0
      low1 = swap ^ low0
      swap = low0
      low0 = high0
      high0 = swap

      sum = (low2 + low3) | 0
      high2 = (high2 + high3 + (sum >>> 0 < low3 >>> 0 ? 1 : 0)) | 0
      low2 = sum
      swap = (low3 << 16) | (high3 >>> 16)
      high3 = ((high3 << 16) | (low3 >>> 16)) ^ high2
      low3 = swap ^ low2

      sum = (low0 + low3) | 0
      high0 = (high0 + high3 + (sum >>> 0 < low3 >>> 0 ? 1 : 0)) | 0
      low0 = sum
      swap = (low3 << 21) | (high3 >>> 11)
      high3 = ((high3 << 21) | (low3 >>> 11)) ^ high0
      low3 = swap ^ low0

      sum = (low2 + low1) | 0
      high2 = (high2 + high1 + (sum >>> 0 < low1 >>> 0 ? 1 : 0)) | 0
      low2 = sum
      swap = (low1 << 17) | (high1 >>> 15)
      high1 = ((high1 << 17) | (low1 >>> 15)) ^ high2
      low1 = swap ^ low2
      swap = low2
      low2 = high2
      high2 = swap
    }
    low0 ^= low
    high0 ^= high
  }
  const low = low0 ^ low1 ^ low2 ^ low3
  const high = high0 ^ high1 ^ high2 ^ high3
  for (let i = 0; i < 4; i++) {
    out[at + i] = low >>> (i << 3)
    out[at + 4 + i] = high >>> (i << 3)
  }
}
