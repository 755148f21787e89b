/**
 * Hashes that steer clients and spread checks over probers. All nodes must compute the same numbers, so only names and
 * addresses go in: no seed, no index, no order of files. 32 bits, integer operations only.
 */

/** Mixes all bits of a word (the finalizer of MurmurHash3, public domain by A. Appleby). */
export function mix(word: number): number {
  let h = word | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Hash of a string's UTF-16 units; for names of services, sites and addresses, at load. */
export function hashText(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = mix(h ^ text.charCodeAt(i)) + 0x9e3779b9
  return mix(h)
}
