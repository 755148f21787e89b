/**
 * A second reader of DNS messages, for the oracle: written from the RFCs and sharing nothing with src/dns. It reads structure
 * only; RDATA is for others. Also a second SipHash-2-4, in 64-bit numbers, and a second TSIG digest.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'

/** One record: where it begins, where its type is, and its RDATA as a range. */
export interface WireRecord {
  readonly section: 0 | 1 | 2
  readonly at: number
  /** Where its type is: behind the owner. */
  readonly fixed: number
  readonly type: number
  readonly dataAt: number
  readonly end: number
}

/** As far as a message can be read. */
export interface Wire {
  readonly questions: number
  /** Behind the only question; 12 if there is none, 0 if it can't be read. */
  readonly questionEnd: number
  readonly records: readonly WireRecord[]
  /** What is wrong with it. */
  readonly fault: string | undefined
}

export const u16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

/** The index behind the name at `at`; −1: it isn't within the message. Pointers end it, wherever they lead. */
export function skip(bytes: Uint8Array, at: number): number {
  while (at < bytes.length) {
    const size = bytes[at]!
    if (size === 0) return at + 1
    if (size >= 0xc0) return at + 2 <= bytes.length ? at + 2 : -1
    if (size > 63) return -1
    at += 1 + size
  }
  return -1
}

/**
 * The name at `at` in lower case and without pointers; undefined: it is malformed. A pointer leads to an earlier name, which
 * ends before the part with the pointer begins (RFC 1035 §4.1.4: “a prior occurrence”).
 */
export function expand(bytes: Uint8Array, at: number): Uint8Array | undefined {
  const name: number[] = []
  let part = at
  let limit = bytes.length
  for (;;) {
    if (at >= limit) return undefined
    const size = bytes[at]!
    if (size >= 0xc0) {
      const to = u16(bytes, at) & 0x3fff
      if (at + 1 >= limit || to >= part) return undefined
      limit = part
      at = part = to
      continue
    }
    if (size > 63 || at + 1 + size > limit || name.length + 1 + size > 255) return undefined
    name.push(size)
    for (let i = at + 1; i <= at + size; i++) name.push(bytes[i]! >= 65 && bytes[i]! <= 90 ? bytes[i]! + 32 : bytes[i]!)
    if (size === 0) return Uint8Array.from(name)
    at += 1 + size
  }
}

/** Reads a message of at least 12 bytes. A query's name may not be compressed: nothing is before it. */
export function readWire(bytes: Uint8Array): Wire {
  const questions = u16(bytes, 4)
  const records: WireRecord[] = []
  let questionEnd = 12
  const done = (fault?: string): Wire => ({ questions, questionEnd, records, fault })
  if (questions > 1) return done('questions')
  let at = 12
  if (questions === 1) {
    questionEnd = 0
    let name = 0
    for (;;) {
      const size = bytes[at + name]
      if (size === undefined || size > 63) return done('name')
      name += 1 + size
      if (size === 0) break
    }
    if (name > 255 || at + name + 4 > bytes.length) return done('question')
    at = questionEnd = 12 + name + 4
  }
  for (const section of [0, 1, 2] as const) {
    for (let n = u16(bytes, 6 + 2 * section); n > 0; n--) {
      const fixed = skip(bytes, at)
      if (fixed < 0 || fixed + 10 > bytes.length) return done('record')
      const dataAt = fixed + 10
      const end = dataAt + u16(bytes, fixed + 8)
      if (end > bytes.length) return done('data')
      records.push({ section, at, fixed, type: u16(bytes, fixed), dataAt, end })
      at = end
    }
  }
  return done(at === bytes.length ? undefined : 'bytes behind the last record')
}

let last: { key: Uint8Array; data: Uint8Array; hash: Uint8Array } = {
  key: new Uint8Array(0),
  data: new Uint8Array(0),
  hash: new Uint8Array(0),
}

/** SipHash-2-4 of `data` with a key of 16 bytes: 8 bytes. What is hashed twice in a row is computed once. */
export function sip(key: Uint8Array, data: Uint8Array): Uint8Array {
  if (last.key !== key || Buffer.compare(last.data, data) !== 0) last = { key, data, hash: sipHash(key, data) }
  return last.hash
}

/** As in the paper (Aumasson and Bernstein, 2012). */
function sipHash(key: Uint8Array, data: Uint8Array): Uint8Array {
  const mask = 0xffff_ffff_ffff_ffffn
  const rotate = (v: bigint, by: bigint): bigint => ((v << by) | (v >> (64n - by))) & mask
  const view = new DataView(key.buffer, key.byteOffset, 16)
  const k0 = view.getBigUint64(0, true)
  const k1 = view.getBigUint64(8, true)
  let [a, b, c, d] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint]
  const round = (): void => {
    a = (a + b) & mask
    b = rotate(b, 13n) ^ a
    a = rotate(a, 32n)
    c = (c + d) & mask
    d = rotate(d, 16n) ^ c
    a = (a + d) & mask
    d = rotate(d, 21n) ^ a
    c = (c + b) & mask
    b = rotate(b, 17n) ^ c
    c = rotate(c, 32n)
  }
  const padded = new Uint8Array((Math.floor(data.length / 8) + 1) * 8)
  padded.set(data)
  padded[padded.length - 1] = data.length & 255
  const words = new DataView(padded.buffer)
  for (let at = 0; at < padded.length; at += 8) {
    const word = words.getBigUint64(at, true)
    d ^= word
    round()
    round()
    a ^= word
  }
  c ^= 0xffn
  for (let i = 0; i < 4; i++) round()
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, a ^ b ^ c ^ d, true)
  return out
}

/** A TSIG record's fields (RFC 8945 §4.2), names in lower case. */
export interface WireTsig {
  readonly at: number
  readonly key: Uint8Array
  readonly algorithm: Uint8Array
  /** Time and fudge as they stand in it: 8 bytes. */
  readonly times: Uint8Array
  readonly signedAt: number
  readonly fudge: number
  readonly mac: Uint8Array
  readonly originalId: number
  readonly error: number
  readonly other: Uint8Array
}

/** The fields of this record, which ends the message; undefined: it is malformed. */
export function readSignature(bytes: Uint8Array, { at, fixed, dataAt, end }: WireRecord): WireTsig | undefined {
  const key = expand(bytes, at)
  const algorithm = expand(bytes, dataAt)
  if (key === undefined || algorithm === undefined || u16(bytes, fixed + 2) !== 255) return undefined
  if (u16(bytes, fixed + 4) !== 0 || u16(bytes, fixed + 6) !== 0) return undefined
  const numbers = skip(bytes, dataAt)
  const mac = numbers + 10
  if (numbers < 0 || mac > end) return undefined
  const macEnd = mac + u16(bytes, numbers + 8)
  if (macEnd + 6 > end || macEnd + 6 + u16(bytes, macEnd + 4) !== end) return undefined
  return {
    at,
    key,
    algorithm,
    times: bytes.slice(numbers, numbers + 8),
    signedAt: u16(bytes, numbers) * 2 ** 32 + u16(bytes, numbers + 2) * 65_536 + u16(bytes, numbers + 4),
    fudge: u16(bytes, numbers + 6),
    mac: bytes.slice(mac, macEnd),
    originalId: u16(bytes, macEnd),
    error: u16(bytes, macEnd + 2),
    other: bytes.slice(macEnd + 6, end),
  }
}

/** The message without the record that ends it, with the id that was signed (RFC 8945 §4.3.2). */
export function bareOf(bytes: Uint8Array, { at, originalId }: WireTsig): Uint8Array {
  const bare = new Uint8Array(bytes.subarray(0, at)) // slice() of a Buffer copies nothing
  const count = u16(bare, 10) - 1
  bare.set([originalId >> 8, originalId & 255], 0)
  bare.set([count >> 8, count & 255], 10)
  return bare
}

const keys = new WeakMap<Uint8Array, KeyObject>()

/** A secret as node:crypto takes it at less cost. */
export function keyOf(secret: Uint8Array): KeyObject {
  const known = keys.get(secret) ?? createSecretKey(secret)
  keys.set(secret, known)
  return known
}

/** The digest of RFC 8945 §4.3. `prior`: the MAC before; `follows`: only the times are covered. */
export function digest(
  secret: Uint8Array,
  bare: Uint8Array,
  { key, algorithm, times, error, other }: WireTsig,
  prior?: Uint8Array,
  follows = false,
): Uint8Array {
  const hash = createHmac(algorithm[0] === 11 && algorithm[9] === 53 ? 'sha512' : 'sha256', keyOf(secret))
  if (prior !== undefined) hash.update(Uint8Array.of(prior.length >> 8, prior.length & 255)).update(prior)
  hash.update(bare)
  if (follows) return hash.update(times).digest()
  return hash
    .update(key)
    .update(Uint8Array.of(0, 255, 0, 0, 0, 0))
    .update(algorithm)
    .update(times)
    .update(Uint8Array.of(error >> 8, error & 255, other.length >> 8, other.length & 255))
    .update(other)
    .digest()
}
