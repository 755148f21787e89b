/**
 * Transaction signatures (TSIG, RFC 8945): the record at the end of a message, its verification, and the signing of
 * messages. A signature covers the message without the record, the record's own fields, and in a reply the signature
 * before it: that of the query, or of the message before in a reply of many messages.
 *
 * Called by answer/signed.ts and server/notify.ts. Nothing here reads a clock; times are Unix seconds.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { concat } from './fields.ts'
import { isFault, keyOf, lowerName, parseName, readName } from './name.ts'
import { CLASS, TYPE } from './types.ts'

/** The algorithms that keys may have (RFC 8945 §6), by their names. */
export const ALGORITHMS = ['hmac-sha256', 'hmac-sha512'] as const

/** A key that both sides know. */
export interface TsigKey {
  /** Lower-case wire form. */
  readonly name: Uint8Array
  readonly algorithm: (typeof ALGORITHMS)[number]
  readonly secret: Uint8Array
}

/** Errors in a TSIG record (RFC 8945 §3, §4.3). */
export const TSIG_ERROR = { BADSIG: 16, BADKEY: 17, BADTIME: 18, BADTRUNC: 22 } as const

/** A TSIG record as it was received. */
export interface Tsig {
  /** Where the record begins in the message. */
  readonly at: number
  /** Names of key and algorithm, lower-case wire form. */
  readonly key: Uint8Array
  readonly algorithm: Uint8Array
  readonly signedAt: number
  readonly fudgeSeconds: number
  readonly mac: Uint8Array
  readonly originalId: number
  readonly error: number
  readonly other: Uint8Array
}

/** How far the clocks of both sides may be apart, as signed by this side (RFC 8945 §10). */
export const FUDGE_SECONDS = 300

const HASHES = { 'hmac-sha256': 'sha256', 'hmac-sha512': 'sha512' } as const
const MAC_BYTES = { 'hmac-sha256': 32, 'hmac-sha512': 64 } as const
const NAMES = new Map(ALGORITHMS.map((algorithm) => [algorithm, wireOf(algorithm)]))
/** Of a record without its names, MAC and other data: type, class, TTL, RDLENGTH and the RDATA's numbers. */
const FIXED_BYTES = 10 + 16
const LEAST_MAC_BYTES = 10

function wireOf(text: string): Uint8Array {
  const name = parseName(text)
  if (isFault(name)) throw new Error(name.fault)
  return name
}

/** A key's algorithm as a name in wire form. */
const algorithmName = ({ algorithm }: TsigKey): Uint8Array => NAMES.get(algorithm)!

/** The most bytes that signing with a key adds to a message; of an error, the time in its other data included. */
export const tsigBytes = (key: TsigKey): number =>
  key.name.length + algorithmName(key).length + FIXED_BYTES + MAC_BYTES[key.algorithm] + TIME_BYTES

const TIME_BYTES = 6

/** Reads the TSIG record at message[at …], which must end the message; undefined: it is malformed (§5.2: FORMERR). */
export function readTsig(message: Uint8Array, at: number): Tsig | undefined {
  const owner = readName(message, at)
  if (isFault(owner)) return undefined
  const fixed = owner.next
  const rdata = fixed + 10
  if (rdata > message.length || u16(message, fixed) !== TYPE.TSIG || u16(message, fixed + 2) !== CLASS.ANY)
    return undefined
  if (u16(message, fixed + 4) !== 0 || u16(message, fixed + 6) !== 0) return undefined // §4.2: TTL 0
  if (rdata + u16(message, fixed + 8) !== message.length) return undefined
  const algorithm = readName(message, rdata)
  if (isFault(algorithm)) return undefined
  const numbers = algorithm.next
  if (numbers + 10 > message.length) return undefined
  const mac = numbers + 10
  const macEnd = mac + u16(message, numbers + 8)
  if (macEnd + 6 > message.length || macEnd + 6 + u16(message, macEnd + 4) !== message.length) return undefined
  return {
    at,
    key: lowerName(owner.name),
    algorithm: lowerName(algorithm.name),
    signedAt: u16(message, numbers) * 2 ** 32 + u16(message, numbers + 2) * 65_536 + u16(message, numbers + 4),
    fudgeSeconds: u16(message, numbers + 6),
    mac: copy(message, mac, macEnd),
    originalId: u16(message, macEnd),
    error: u16(message, macEnd + 2),
    other: copy(message, macEnd + 6, message.length),
  }
}

/** What comes over TCP is a Buffer, whose slice() would be a view of it. */
const copy = (bytes: Uint8Array, at: number, end: number): Uint8Array => new Uint8Array(bytes.subarray(at, end))

/** A message as it was before its TSIG record was added: without the record, with its first id (§5.2). */
export function unsigned(message: Uint8Array, { at, originalId }: Tsig): Uint8Array {
  const bare = copy(message, 0, at)
  const additional = u16(bare, 10) - 1
  bare.set([originalId >>> 8, originalId & 255])
  bare.set([additional >>> 8, additional & 255], 10)
  return bare
}

/** Whether a key is the one that a record names, with its algorithm. */
export const isKeyOf = (key: TsigKey, tsig: Tsig): boolean =>
  keyOf(key.name) === keyOf(tsig.key) && keyOf(algorithmName(key)) === keyOf(tsig.algorithm)

/**
 * What is wrong with a signed message: FORMERR for a MAC of an impossible size, an error of TSIG_ERROR, or 0 = nothing.
 * In the order of §5.2: key (the caller found it), signature, time, truncation. `bare`: see unsigned(). `prior`: of a
 * reply, the MAC of its query.
 */
export function verify(bare: Uint8Array, tsig: Tsig, key: TsigKey, nowSeconds: number, prior?: Uint8Array): number {
  const whole = MAC_BYTES[key.algorithm]
  const { length } = tsig.mac
  if (length > whole || length < Math.max(LEAST_MAC_BYTES, whole / 2)) return -1 // §5.2.2.1
  const mac = macOf(key, prior, bare, variables(key, tsig)).subarray(0, length)
  if (!timingSafeEqual(mac, tsig.mac)) return TSIG_ERROR.BADSIG
  if (Math.abs(nowSeconds - tsig.signedAt) > tsig.fudgeSeconds) return TSIG_ERROR.BADTIME
  return length < whole ? TSIG_ERROR.BADTRUNC : 0 // §5.2.4: no truncated MAC is accepted
}

/** What the response to a signed query is signed with. */
export interface Signature {
  readonly key: TsigKey
  readonly nowSeconds: number
  /** The MAC of the query, or of the message before in the same response. */
  readonly prior: Uint8Array
}

/** How a message is signed; a query has no `prior`. */
export interface Signing extends Omit<Signature, 'prior'>, Partial<Pick<Signature, 'prior'>> {
  /** It is not the first message of its reply: the signature covers only the times of the record (§5.3.1). */
  readonly follows?: boolean
  /** With its data; 0 unless given. */
  readonly error?: number
  readonly other?: Uint8Array
}

/**
 * Signs the message out[at … at + size): adds the TSIG record behind it, for which there must be tsigBytes(). Returns
 * the new size and the MAC.
 */
export function sign(
  out: Uint8Array,
  at: number,
  size: number,
  { key, nowSeconds, prior, follows = false, error = 0, other = NONE }: Signing,
): { readonly size: number; readonly mac: Uint8Array } {
  const message = out.subarray(at, at + size)
  const fields = { signedAt: nowSeconds, fudgeSeconds: FUDGE_SECONDS, error, other }
  const mac = macOf(key, prior, message, follows ? timers(fields) : variables(key, fields))
  const originalId = u16(message, 0)
  const names = { key: key.name, algorithm: algorithmName(key) }
  return { size: size + append(out, at, size, { ...fields, ...names, mac, originalId }), mac }
}

/**
 * Adds the TSIG record of an error that cannot be signed, BADKEY or BADSIG, to the reply out[at … at + size) (§5.3.2).
 * Returns the new size; the same as before if it does not fit `room`.
 */
export function markError(
  out: Uint8Array,
  at: number,
  size: number,
  room: number,
  { key, algorithm, signedAt, fudgeSeconds, originalId }: Tsig,
  error: number,
): number {
  if (size + key.length + algorithm.length + FIXED_BYTES > room) return size
  return (
    size + append(out, at, size, { key, algorithm, signedAt, fudgeSeconds, originalId, mac: NONE, error, other: NONE })
  )
}

const NONE = new Uint8Array(0)

/** A time in 48 bits. */
const time = (seconds: number): Uint8Array =>
  concat([word(Math.floor(seconds / 2 ** 32)), word((seconds / 65_536) & 0xffff), word(seconds & 0xffff)])

/** The other data of BADTIME: this side's time (§5.2.3). */
export const timeData = time

type Times = Pick<Tsig, 'signedAt' | 'fudgeSeconds'>

const timers = ({ signedAt, fudgeSeconds }: Times): Uint8Array => concat([time(signedAt), word(fudgeSeconds)])

/** The fields of the record that its signature covers (§4.3.3). */
const variables = (key: TsigKey, fields: Times & Pick<Tsig, 'error' | 'other'>): Uint8Array =>
  concat([
    key.name,
    Uint8Array.of(0, CLASS.ANY, 0, 0, 0, 0),
    algorithmName(key),
    timers(fields),
    word(fields.error),
    word(fields.other.length),
    fields.other,
  ])

function macOf(key: TsigKey, prior: Uint8Array | undefined, message: Uint8Array, fields: Uint8Array): Buffer {
  const hmac = createHmac(HASHES[key.algorithm], key.secret)
  if (prior !== undefined) hmac.update(word(prior.length)).update(prior)
  return hmac.update(message).update(fields).digest()
}

/** Writes a TSIG record behind a message, and counts it in the header. Returns its size. */
function append(out: Uint8Array, start: number, size: number, tsig: Omit<Tsig, 'at'>): number {
  const { key, algorithm, mac, originalId, error, other } = tsig
  const rdata = [
    algorithm,
    timers(tsig),
    word(mac.length),
    mac,
    word(originalId),
    word(error),
    word(other.length),
    other,
  ]
  const bytes = rdata.reduce((sum, { length }) => sum + length, 0)
  const record = concat([key, Uint8Array.of(0, TYPE.TSIG, 0, CLASS.ANY, 0, 0, 0, 0), word(bytes), ...rdata])
  out.set(record, start + size)
  const additional = u16(out, start + 10) + 1
  out[start + 10] = additional >>> 8
  out[start + 11] = additional & 255
  return record.length
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
const word = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255)

/** Algorithm, name and secret of a key as it is written. */
type KeyForm = readonly [algorithm: string, name: string, secret: string]

/** The first line `algorithm:name:secret`; keymgr puts a # ahead of it. */
function keyOfLine(text: string): KeyForm | undefined {
  for (const line of text.split('\n')) {
    const [algorithm = '', name, secret, ...rest] = line.trim().split(':')
    if (name !== undefined && secret !== undefined && rest.length === 0)
      return [algorithm.replace('#', '').trim(), name, secret]
  }
  return undefined
}

/** `key "name" { algorithm …; secret "…"; };` */
function keyOfBlock(text: string): KeyForm | undefined {
  const words = text.replaceAll(/[{};]/g, ' $& ').replaceAll('"', '').trim().split(/\s+/)
  const [key, name, open, algorithm, hmac, end, secret, base64, ends, close] = words
  const isBlock = `${key}${open}${algorithm}${end}${secret}${ends}${close}` === 'key{algorithm;secret;}'
  return isBlock ? [hmac!, name!, base64!] : undefined
}

/**
 * The key in the text of a file, in one of two forms: `algorithm:name:secret`, as kdig and keymgr write it, or BIND's
 * `key "name" { algorithm …; secret "…"; };`, as tsig-keygen writes it. A text says what is wrong, without the secret.
 */
export function parseKey(text: string): TsigKey | string {
  const form = keyOfLine(text) ?? keyOfBlock(text)
  if (form === undefined) return 'it has no key: algorithm:name:secret, or what tsig-keygen writes'
  const [first, second, third] = form
  const algorithm = ALGORITHMS.find((one) => one === first.toLowerCase())
  if (algorithm === undefined) return `its algorithm is not ${ALGORITHMS.join(' or ')}`
  const name = parseName(second)
  if (isFault(name)) return name.fault
  const secret = Buffer.from(third, 'base64')
  if (secret.toString('base64').replaceAll('=', '') !== third.replaceAll('=', '')) return 'its secret is not base64'
  if (secret.length < LEAST_SECRET_BYTES) return `its secret has ${secret.length} bytes; at least ${LEAST_SECRET_BYTES}`
  return { name: lowerName(name), algorithm, secret: new Uint8Array(secret) }
}

/** Shorter secrets can be guessed (RFC 8945 §8 recommends the length of the hash's output). */
const LEAST_SECRET_BYTES = 16
