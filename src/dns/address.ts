/**
 * IP addresses and prefixes: text ⇄ bytes in network order. IPv6 text has the form of RFC 5952. Parsers give undefined
 * for text that is none, and never throw.
 */

/** A prefix of IPv4 or IPv6. */
export interface Prefix {
  readonly family: 4 | 6
  /** 4 or 16 bytes, zero behind `bits`. */
  readonly bytes: Uint8Array
  readonly bits: number
}

/** `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`. */
const MAX_CHARACTERS = 45

/** `192.0.2.1` → 4 bytes. Four decimal numbers without leading zeros, nothing else. */
export function parseIPv4(text: string): Uint8Array | undefined {
  if (text.length > MAX_CHARACTERS) return undefined
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

/** `2001:db8::1`, `::ffff:192.0.2.1` → 16 bytes. No zone identifiers. */
export function parseIPv6(text: string): Uint8Array | undefined {
  if (text.length > MAX_CHARACTERS) return undefined
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = groups(halves[0]!, halves.length === 1)
  const tail = halves.length === 1 ? [] : groups(halves[1]!, true)
  if (head === undefined || tail === undefined) return undefined
  const missing = 16 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** Bytes of the groups between colons. `ends`: the text ends the address, so its last group may be an IPv4 address. */
function groups(text: string, ends: boolean): number[] | undefined {
  const bytes: number[] = []
  if (text === '') return bytes
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      const group = Number.parseInt(part, 16)
      bytes.push(group >>> 8, group & 255)
      continue
    }
    const last = ends && i === parts.length - 1 ? parseIPv4(part) : undefined
    if (last === undefined) return undefined
    bytes.push(...last)
  }
  return bytes
}

/** An address of either family → 4 or 16 bytes; undefined when it is none. */
export const parseAddress = (text: string): Uint8Array | undefined =>
  text.includes(':') ? parseIPv6(text) : parseIPv4(text)

/** The family of a valid address, 4 or 6. */
export const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4)

/**
 * The remote address of a socket, without the zone of link-local ones (`fe80::1%eth0`); undefined when it is closed.
 */
export const parsePeer = (text = ''): Uint8Array | undefined => parseAddress(text.split('%', 1)[0]!)

/** An address and, behind it, a port: two bytes, the high one first. */
export const withPort = (address: Uint8Array, port: number): Uint8Array =>
  Uint8Array.of(...address, port >>> 8, port & 255)

/** The client that an address counts as for limits, as a key: one IPv4 address, or one IPv6 /64. */
export const clientKey = (bytes: Uint8Array): string => bytes.subarray(0, 8).join('.')

/** Canonical text of the address at `bytes[at…]`: `size` bytes, 4 or 16, by default all that follow. */
export function formatAddress(bytes: Uint8Array, at = 0, size = bytes.length - at): string {
  return size === 4 ? bytes.subarray(at, at + 4).join('.') : formatIPv6(bytes, at)
}

/** RFC 5952 §4: lower case, no leading zeros, the longest (then first) run of two zero groups or more as `::`. */
function formatIPv6(bytes: Uint8Array, at: number): string {
  const words: number[] = []
  for (let i = 0; i < 16; i += 2) words.push((bytes[at + i]! << 8) | bytes[at + i + 1]!)
  // §5: addresses known to carry an IPv4 address show it
  const mapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff
  if (mapped) return `::ffff:${bytes.subarray(at + 12, at + 16).join('.')}`
  let best = 0
  let bestLength = 1
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && words[i + length] === 0) length++
    if (length > bestLength) [best, bestLength] = [i, length]
    i += length
  }
  const text = words.map((word) => word.toString(16))
  if (bestLength < 2) return text.join(':')
  return `${text.slice(0, best).join(':')}::${text.slice(best + bestLength).join(':')}`
}

/**
 * `10.0.0.0/8`, `2001:db8::/32`, or an address alone, which means all of its bits. undefined when malformed or host
 * bits are set.
 */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/')
  const bytes = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (bytes === undefined) return undefined
  const length = slash < 0 ? String(bytes.length * 8) : text.slice(slash + 1)
  const bits = /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : 129
  if (bits > bytes.length * 8 || !isZeroBehind(bytes, bits)) return undefined
  return { family: bytes.length === 4 ? 4 : 6, bytes, bits }
}

/** A prefix as text: `10.0.0.0/8`. */
export const formatPrefix = (prefix: Prefix): string => `${formatAddress(prefix.bytes)}/${prefix.bits}`

/** True when no bit behind the first `bits` is set. */
export function isZeroBehind(bytes: Uint8Array, bits: number): boolean {
  for (let bit = bits; bit < bytes.length * 8; bit++) {
    if ((bytes[bit >> 3]! & (128 >> (bit & 7))) !== 0) return false
  }
  return true
}

/** A copy with every bit behind the first `bits` cleared. */
export function maskAddress(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))))
}
