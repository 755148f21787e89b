/**
 * Networks that have proven their address: a query came from them over a transport with a handshake, so that
 * somebody there receives what is sent to them. One table for all answering threads, in shared memory:
 * the TCP thread writes most of it, the threads of UDP read it.
 *
 *   proofs[hash's low 16 bits] = hash's high bits (never 0) << 16 | minute of the proof
 *
 * Of two networks with one slot the later stands. Whoever loses its proof gives it anew with its next truncated answer.
 */
import { mix } from '../../hash.ts'

const SLOTS = 1 << 16
/** How long a proof is valid. */
const VALID_MINUTES = 60

/** An empty table. */
export const makeProofs = (): Int32Array => new Int32Array(new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT))

/**
 * Hash, 32 bits, of the /24 (family 4) or /56 (family 6) of the address at `bytes[at…]`. Nobody who does not know the
 * seed can choose networks that collide.
 */
export function networkHash(seed: number, family: 4 | 6, bytes: Uint8Array, at: number): number {
  const first = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8)
  if (family === 4) return mix(first ^ seed)
  const second = (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8)
  return mix(mix(first ^ bytes[at + 3]! ^ seed) ^ (second | 6))
}

const slotOf = (hash: number): number => hash & (SLOTS - 1)
const tagOf = (hash: number): number => hash >>> 16 || 1

/** Whether the network has proven its address within the last hour. `minute`: of Unix time. */
export function isProven(proofs: Int32Array, hash: number, minute: number): boolean {
  const proof = proofs[slotOf(hash)]!
  return proof >>> 16 === tagOf(hash) && ((minute - proof) & 0xffff) < VALID_MINUTES
}

/** Notes that the network has proven its address. */
export function prove(proofs: Int32Array, hash: number, minute: number): void {
  const proof = (tagOf(hash) << 16) | (minute & 0xffff)
  if (proofs[slotOf(hash)] !== proof) proofs[slotOf(hash)] = proof // threads do not contend for what is there
}
