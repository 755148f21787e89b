/**
 * DNS cookies (RFC 7873) with the server cookie that all implementations make alike (RFC 9018 §4), so that the servers
 * of an anycast address, which share a secret, accept each other's. Called by answer/options.ts for queries that have a
 * cookie; allocates nothing.
 *
 *   client cookie 8 │ version 1 │ reserved 3 │ timestamp 4 │ hash 8      SipHash-2-4 of all before it and the client's
 *   ──────────────── 16 bytes of the hash's input ─────────┘             address
 */
import { type SipKey, sipHash } from './siphash.ts'

/** Bytes of the client's part, of a whole cookie as made here, and of the longest there may be (RFC 7873 §4). */
export const CLIENT_COOKIE_BYTES = 8
export const COOKIE_BYTES = 24
export const COOKIE_MOST_BYTES = 40

/** What a query's cookie proves. VALID: that its client address is not forged, or was not an hour ago. */
export const COOKIE_NONE = 0
/** The client's part alone: the client knows no cookie of this server yet. */
export const COOKIE_NEW = 1
/** The server's part is outdated, made with another secret, for another address, or invented. */
export const COOKIE_BAD = 2
export const COOKIE_VALID = 3

const VERSION = 1
const HASHED_BYTES = 16
const TIMESTAMP_AT = 12
/** RFC 9018 §4.3: how old a cookie may be, how far in the future, and how old it is when a new one is given. */
const OLDEST_SECONDS = 3600
const FUTURE_SECONDS = 300
const RENEWED_SECONDS = 1800

const input = new DataView(new ArrayBuffer(HASHED_BYTES + 16))
const inputBytes = new Uint8Array(input.buffer)
const hash = new DataView(new ArrayBuffer(8))
const hashBytes = new Uint8Array(hash.buffer)

/**
 * Cookies that were verified with the first secret: a resolver sends the same one for half an hour, which is hashed once. One
 * is kept where the last bits of its hash say, in a cache line: its 6 words, 4 words of the address, the address's size.
 */
const KEPT = 512
const LINE = 16
const COOKIE_WORDS = COOKIE_BYTES / 4
const kept = new Int32Array(KEPT * LINE)
let keptFor: SipKey | undefined

/**
 * Judges the first `bytes` bytes of `cookie` (8, or 16–40) and turns it into the reply's: its first COOKIE_BYTES. The
 * client's address is address[at … at + size). `secrets`: the first makes cookies, all verify them. `nowSeconds`: Unix
 * time, modulo 2³².
 */
export function judgeCookie(
  secrets: readonly SipKey[],
  cookie: DataView,
  bytes: number,
  address: Uint8Array,
  at: number,
  size: number,
  nowSeconds: number,
): number {
  for (let i = 0; i < size; i++) inputBytes[HASHED_BYTES + i] = address[at + i]!
  let verdict = bytes === CLIENT_COOKIE_BYTES ? COOKIE_NEW : COOKIE_BAD
  if (bytes === COOKIE_BYTES && cookie.getUint8(CLIENT_COOKIE_BYTES) === VERSION) {
    const ageSeconds = (nowSeconds - cookie.getInt32(TIMESTAMP_AT)) | 0 // RFC 1982: the clock may wrap around
    if (ageSeconds <= OLDEST_SECONDS && ageSeconds >= -FUTURE_SECONDS) {
      for (let i = 0; i < secrets.length && verdict === COOKIE_BAD; i++) {
        const valid = i === 0 ? isKept(secrets[0]!, cookie, size) : isHashOf(secrets[i]!, cookie, size)
        if (!valid) continue
        verdict = COOKIE_VALID
        if (i === 0 && ageSeconds <= RENEWED_SECONDS) return verdict
      }
    }
  }
  cookie.setInt32(CLIENT_COOKIE_BYTES, VERSION << 24)
  cookie.setInt32(TIMESTAMP_AT, nowSeconds)
  hashCookie(secrets[0]!, cookie, size)
  for (let i = 0; i < 8; i += 4) cookie.setInt32(HASHED_BYTES + i, hash.getInt32(i))
  return verdict
}

function hashCookie(secret: SipKey, cookie: DataView, addressBytes: number): void {
  for (let i = 0; i < HASHED_BYTES; i += 4) input.setInt32(i, cookie.getInt32(i))
  sipHash(secret, inputBytes, HASHED_BYTES + addressBytes, hashBytes, 0)
}

/** Compares all bytes, so that time tells nothing. */
function isHashOf(secret: SipKey, cookie: DataView, addressBytes: number): boolean {
  hashCookie(secret, cookie, addressBytes)
  const differing = hash.getInt32(0) ^ cookie.getInt32(HASHED_BYTES)
  return (differing | (hash.getInt32(4) ^ cookie.getInt32(HASHED_BYTES + 4))) === 0
}

/** isHashOf() for the first secret: a cookie that was verified before is only compared. */
function isKept(secret: SipKey, cookie: DataView, addressBytes: number): boolean {
  if (secret !== keptFor) {
    kept.fill(0)
    keptFor = secret
  }
  const line = (cookie.getInt32(COOKIE_BYTES - 4) & (KEPT - 1)) * LINE
  const words = addressBytes >>> 2
  let differing = kept[line + LINE - 1]! ^ addressBytes
  for (let i = 0; i < COOKIE_WORDS; i++) differing |= kept[line + i]! ^ cookie.getInt32(4 * i)
  for (let i = 0; i < words; i++) differing |= kept[line + COOKIE_WORDS + i]! ^ input.getInt32(HASHED_BYTES + 4 * i)
  if (differing === 0) return true
  if (!isHashOf(secret, cookie, addressBytes)) return false
  for (let i = 0; i < COOKIE_WORDS; i++) kept[line + i] = cookie.getInt32(4 * i)
  for (let i = 0; i < words; i++) kept[line + COOKIE_WORDS + i] = input.getInt32(HASHED_BYTES + 4 * i)
  kept[line + LINE - 1] = addressBytes
  return true
}
