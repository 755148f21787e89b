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

const input = new Uint8Array(HASHED_BYTES + 16)
const hash = new Uint8Array(8)

/**
 * Judges the first `bytes` bytes of `cookie` (8, or 16–40) and turns it into the reply's: its first COOKIE_BYTES. The
 * client's address is address[at … at + size). `secrets`: the first makes cookies, all verify them. `nowSeconds`: Unix
 * time, modulo 2³².
 */
export function judgeCookie(
  secrets: readonly SipKey[],
  cookie: Uint8Array,
  bytes: number,
  address: Uint8Array,
  at: number,
  size: number,
  nowSeconds: number,
): number {
  for (let i = 0; i < size; i++) input[HASHED_BYTES + i] = address[at + i]!
  let verdict = bytes === CLIENT_COOKIE_BYTES ? COOKIE_NEW : COOKIE_BAD
  if (bytes === COOKIE_BYTES && cookie[CLIENT_COOKIE_BYTES] === VERSION) {
    const ageSeconds = (nowSeconds - timestampOf(cookie)) | 0 // RFC 1982: the clock may wrap around
    if (ageSeconds <= OLDEST_SECONDS && ageSeconds >= -FUTURE_SECONDS) {
      for (let i = 0; i < secrets.length && verdict === COOKIE_BAD; i++) {
        if (!isHashOf(secrets[i]!, cookie, size)) continue
        verdict = COOKIE_VALID
        if (i === 0 && ageSeconds <= RENEWED_SECONDS) return verdict
      }
    }
  }
  cookie[CLIENT_COOKIE_BYTES] = VERSION
  cookie.fill(0, CLIENT_COOKIE_BYTES + 1, TIMESTAMP_AT)
  for (let i = 0; i < 4; i++) cookie[TIMESTAMP_AT + i] = nowSeconds >>> (24 - 8 * i)
  hashCookie(secrets[0]!, cookie, size)
  for (let i = 0; i < 8; i++) cookie[HASHED_BYTES + i] = hash[i]!
  return verdict
}

const timestampOf = (cookie: Uint8Array): number =>
  (cookie[TIMESTAMP_AT]! << 24) |
  (cookie[TIMESTAMP_AT + 1]! << 16) |
  (cookie[TIMESTAMP_AT + 2]! << 8) |
  cookie[TIMESTAMP_AT + 3]!

function hashCookie(secret: SipKey, cookie: Uint8Array, addressBytes: number): void {
  for (let i = 0; i < HASHED_BYTES; i++) input[i] = cookie[i]!
  sipHash(secret, input, HASHED_BYTES + addressBytes, hash, 0)
}

/** Compares all bytes, so that time tells nothing. */
function isHashOf(secret: SipKey, cookie: Uint8Array, addressBytes: number): boolean {
  hashCookie(secret, cookie, addressBytes)
  let differing = 0
  for (let i = 0; i < 8; i++) differing |= hash[i]! ^ cookie[HASHED_BYTES + i]!
  return differing === 0
}
