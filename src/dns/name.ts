/**
 * Domain names: text ⇄ wire form (RFC 1035 §2.3.4, §5.1; RFC 4343), and the hash under which the Image files them.
 *
 *   text   www.example.com.     with \. \\ and \DDD; a final dot is allowed and never needed
 *   wire   03 w w w 07 e x a m p l e 03 c o m 00     at most 255 bytes, labels of 1–63, uncompressed
 *
 * Case: only A–Z fold (RFC 4343 §2). The hash reads lower-case bytes from right to left, so each suffix's hash is a
 * by-product; parseQuery and the Image's builder must agree on it, which is why it lives here.
 */

/**
 * What is wrong with an input, in words that fit into a sentence. `field`: for structured values, the key that has the
 * fault.
 */
export interface Fault {
  readonly fault: string
  readonly field?: string
}

/** Whether a result is a Fault. */
export const isFault = (value: object): value is Fault => 'fault' in value

export const MAX_NAME_BYTES = 255
/** The same in text: a byte takes at most four characters (`\\DDD`). */
const MAX_NAME_CHARACTERS = 4 * MAX_NAME_BYTES
const MAX_LABEL_BYTES = 63
/** 127 labels of one byte fill a name. */
export const MAX_LABELS = 127

/** The root's wire form. */
export const ROOT = new Uint8Array(1)

/** Lower case of each byte: A–Z only. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte))

const DOT = 46
const BACKSLASH = 92

/**
 * A name from text → wire form, with its case and the root label. Characters beyond ASCII are a Fault; see idna.ts.
 */
export function parseName(text: string): Uint8Array | Fault {
  if (text === '') return { fault: 'a name is empty' }
  if (text === '.') return ROOT
  if (isTooLong(text)) return TOO_LONG
  const wire = new Uint8Array(MAX_NAME_BYTES)
  let start = 0 // of the label being read: its length byte
  let at = 1
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i)
    if (code === DOT) {
      const fault = labelFault(text, at - start - 1)
      if (fault !== undefined) return fault
      wire[start] = at - start - 1
      start = at++
      continue
    }
    if (code === BACKSLASH) {
      const escape = /^\\(?:(\d{3})|[!-/:-~])/.exec(text.slice(i, i + 4))
      code = escape === null ? 256 : Number(escape[1] ?? text.charCodeAt(i + 1))
      if (code > 255) return { fault: `“${text}” has an escape that says no byte` }
      i += escape![0].length - 1
    } else if (code <= 32 || code > 126) {
      return { fault: `“${text}” has a space or a character beyond ASCII` }
    }
    if (at >= MAX_NAME_BYTES) return { fault: `“${text}” is longer than 255 bytes` }
    wire[at++] = code
  }
  if (at - start > 1) {
    const fault = labelFault(text, at - start - 1)
    if (fault !== undefined) return fault
    wire[start] = at - start - 1
    start = at++
  }
  return at > MAX_NAME_BYTES ? { fault: `“${text}” is longer than 255 bytes` } : wire.slice(0, at)
}

function labelFault(text: string, bytes: number): Fault | undefined {
  if (bytes === 0) return { fault: `“${text}” has an empty label` }
  if (bytes > MAX_LABEL_BYTES) return { fault: `“${text}” has a label longer than 63 bytes` }
  return undefined
}

/** Whether a text is too long to be a name, so that it need not be parsed. */
export const isTooLong = (text: string): boolean => text.length > MAX_NAME_CHARACTERS
export const TOO_LONG: Fault = {
  fault: `a name of more than ${MAX_NAME_CHARACTERS} characters is longer than 255 bytes`,
}

/** Whether a name ends with an unescaped dot, so that it is fully qualified. */
export function isAbsolute(text: string): boolean {
  let backslashes = 0
  while (text.charCodeAt(text.length - 2 - backslashes) === BACKSLASH) backslashes++
  return text.endsWith('.') && backslashes % 2 === 0
}

/** A name read out of a message. */
export interface DecodedName {
  /** Wire form, uncompressed, case kept. */
  readonly name: Uint8Array
  /** Index behind it in the message. */
  readonly next: number
}

/**
 * Reads the name at message[at…], which may be compressed (RFC 1035 §4.1.4) and must end before `end`. Each pointer
 * must point to before the part that it ends, and a name may have at most as many pointers as labels, so there are no
 * loops and no long chains.
 */
export function readName(message: Uint8Array, at: number, end = message.length): DecodedName | Fault {
  const wire = new Uint8Array(MAX_NAME_BYTES)
  let bytes = 0
  let next = -1
  let part = at
  let limit = end
  let pointers = 0
  for (let i = at; ;) {
    if (i >= limit) return { fault: `the name at byte ${at} is cut short` }
    const size = message[i]!
    if (size >= 0xc0) {
      if (i + 1 >= limit) return { fault: `the name at byte ${at} is cut short` }
      const target = ((size & 0x3f) << 8) | message[i + 1]!
      if (target >= part) return { fault: `the name at byte ${at} has a pointer that leads forward` }
      if (++pointers > MAX_LABELS) return { fault: `the name at byte ${at} is a chain of pointers` }
      if (next < 0) next = i + 2
      limit = part
      i = part = target
      continue
    }
    if (size > MAX_LABEL_BYTES) return { fault: `the name at byte ${at} has a label of no known kind` }
    if (i + 1 + size > limit) return { fault: `the name at byte ${at} is cut short` }
    if (bytes + 1 + size > MAX_NAME_BYTES - (size === 0 ? 0 : 1)) {
      return { fault: `the name at byte ${at} is longer than 255 bytes` }
    }
    for (let k = 0; k <= size; k++) wire[bytes++] = message[i + k]!
    i += 1 + size
    if (size === 0) return { name: wire.slice(0, bytes), next: next < 0 ? i : next }
  }
}

/** The valid, uncompressed name at `wire[at…]` → text with the final dot; the root is `.`. */
export function formatName(wire: Uint8Array, at = 0): string {
  if (wire[at] === 0) return '.'
  let text = ''
  for (let i = at, size; (size = wire[i] ?? 0) > 0; i += 1 + size) text += formatLabel(wire, i) + '.'
  return text
}

/** The label whose length byte is `wire[at]`, escaped as in master files (RFC 1035 §5.1, RFC 4343 §2.1). */
function formatLabel(wire: Uint8Array, at: number): string {
  let text = ''
  for (let i = at + 1; i <= at + wire[at]!; i++) {
    const byte = wire[i]!
    if (byte <= 32 || byte >= 127) text += `\\${String(byte).padStart(3, '0')}`
    else if (SPECIAL[byte] === 1) text += `\\${String.fromCharCode(byte)}`
    else text += String.fromCharCode(byte)
  }
  return text
}

const SPECIAL = new Uint8Array(128)
for (const character of '."\\;()@$') SPECIAL[character.charCodeAt(0)] = 1

/** Lower-cases four bytes of a name in wire form at once: those from A to Z, of which length bytes, below 64, are none. */
export function lowerWord(word: number): number {
  const low = word & 0x7f7f7f7f // from here on no sum carries into the next byte
  const upper = (low + 0x3f3f3f3f) & ~(low + 0x25252525) & ~word & 0x80808080
  return word | (upper >>> 2)
}

/** A lower-case copy of a name. Length bytes are below 64 and do not change. */
export const lowerName = (wire: Uint8Array): Uint8Array => wire.map((byte) => LOWER[byte]!)

/** Joins `prefix`, without its root label, and `origin`; a Fault when the result is longer than 255 bytes. */
export function joinName(prefix: Uint8Array, origin: Uint8Array): Uint8Array | Fault {
  const size = prefix.length - 1 + origin.length
  if (size > MAX_NAME_BYTES) return { fault: `“${formatName(prefix)}${formatName(origin)}” is longer than 255 bytes` }
  const wire = new Uint8Array(size)
  wire.set(prefix)
  wire.set(origin, prefix.length - 1)
  return wire
}

/** The number of labels of a name, without the root. */
export function countLabels(wire: Uint8Array): number {
  let count = 0
  for (let i = 0, size; (size = wire[i] ?? 0) > 0; i += 1 + size) count++
  return count
}

/** Size in bytes of the uncompressed name at wire[at …]. */
export function wireBytes(wire: Uint8Array, at: number): number {
  let i = at
  while (wire[i]! > 0) i += 1 + wire[i]!
  return i + 1 - at
}

/** The name without its first label, as a view; for the root, the root. */
export const parentName = (wire: Uint8Array): Uint8Array => (wire[0] === 0 ? wire : wire.subarray(1 + wire[0]!))

/** Whether the first `bytes` bytes at a[atA …] and b[atB …] are equal. */
export function sameBytes(a: Uint8Array, atA: number, b: Uint8Array, atB: number, bytes: number): boolean {
  for (let i = 0; i < bytes; i++) if (a[atA + i] !== b[atB + i]) return false
  return true
}

/** Whether `name` is `zone` or below it; both in lower case. */
export function isWithin(name: Uint8Array, zone: Uint8Array): boolean {
  let suffix = name
  while (suffix.length > zone.length && suffix[0] !== 0) suffix = parentName(suffix)
  return suffix.length === zone.length && sameBytes(suffix, 0, zone, 0, zone.length)
}

/**
 * The hash of `label.suffix`, from the hash of the suffix and the label whose length byte is at `wire[at]`, in lower
 * case. It costs one multiplication for each byte and little for each label, for a name may have 127. Use mix() of it
 * as an index.
 */
export function hashLabel(suffix: number, wire: Uint8Array, at: number): number {
  const end = at + wire[at]!
  let hash = suffix
  for (let i = at; i <= end; i++) hash = Math.imul(hash ^ wire[i]!, 0x9e3779b1)
  return hash ^ (hash >>> 15)
}

/**
 * Fills `starts` with the offset from `at` of each label of the name at wire[at …], the root's included. Returns the
 * number of labels without the root.
 */
export function labelStarts(wire: Uint8Array, at: number, starts: Uint8Array): number {
  let labels = 0
  let i = 0
  for (let size; (size = wire[at + i]!) > 0; i += 1 + size) starts[labels++] = i
  starts[labels] = i
  return labels
}

/**
 * Fills `hashes` with the hashes of the suffixes of the lower-case name at wire[at …]; the hash of the root is the
 * seed.
 */
export function hashSuffixes(
  wire: Uint8Array,
  at: number,
  starts: Uint8Array,
  labels: number,
  hashes: Int32Array,
  seed: number,
): void {
  let hash = seed
  hashes[labels] = hash
  for (let label = labels - 1; label >= 0; label--) {
    hash = hashLabel(hash, wire, at + starts[label]!)
    hashes[label] = hash
  }
}

/**
 * The hashes of all suffixes of a lower-case name, from the name itself to the root: labels + 1 signed 32-bit numbers.
 * `seed`: the hash of the root. Each Image has its own seed, so that nobody can write names that collide in its hash
 * table.
 */
export function suffixHashes(wire: Uint8Array, seed: number): Int32Array {
  const starts = new Uint8Array(MAX_LABELS + 1)
  const labels = labelStarts(wire, 0, starts)
  const hashes = new Int32Array(labels + 1)
  hashSuffixes(wire, 0, starts, labels, hashes, seed)
  return hashes
}

/** The hash of a lower-case name in wire form: a signed 32-bit number, as in Query.hashes. */
export const hashName = (wire: Uint8Array, seed: number): number => suffixHashes(wire, seed)[0]!

/** A name's bytes as a string, for keys of Maps and Sets. */
export const keyOf = (wire: Uint8Array): string =>
  Buffer.from(wire.buffer, wire.byteOffset, wire.length).toString('latin1')
