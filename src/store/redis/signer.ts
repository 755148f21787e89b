/**
 * Signatures of what is written to Redis, with the setting `redis.secret`: HMAC-SHA256 (RFC 2104) over votes,
 * heartbeats, overrides, forgotten probers and who tells receivers of what, who is announced, each with its author's name and boot id. Whoever can write to Redis but
 * lacks the secret is not believed. With two secrets the first signs and both verify. Without one nothing is signed and
 * everything is accepted.
 *
 * Votes are not signed one by one: 10,000 signatures take 50 ms, and an old one could be replayed. A change is signed
 * as its log line; the whole hash by a Sum, which the head's signature covers together with n and the heartbeat.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { Fields } from './fields.ts'

/** What a signature covers; one kind is never valid as another. */
export type SignatureKind =
  | 'head'
  | 'change'
  | 'override'
  | 'forgotten'
  | 'event'
  | 'witness'
  | 'told'
  | 'sending'
  | 'announced'

/** Signs and verifies with the secrets of the settings. */
export class Signer {
  readonly #secrets: readonly string[]

  constructor(secrets: readonly string[] = []) {
    this.#secrets = secrets
  }

  /** Whether there is a secret. */
  get signs(): boolean {
    return this.#secrets.length > 0
  }

  /** The signature in base64url; empty without a secret. */
  sign(kind: SignatureKind, parts: readonly unknown[]): string {
    const [secret] = this.#secrets
    return secret === undefined ? '' : macOf(secret, kind, parts)
  }

  /** Whether a signature is valid by any secret; always true without one. */
  verify(mac: string, kind: SignatureKind, parts: readonly unknown[]): boolean {
    if (!this.signs) return true
    const given = Buffer.from(mac)
    return this.#secrets.some((secret) => {
      const expected = Buffer.from(macOf(secret, kind, parts))
      return given.length === expected.length && timingSafeEqual(given, expected)
    })
  }
}

const macOf = (secret: string, kind: SignatureKind, parts: readonly unknown[]): string =>
  createHmac('sha256', secret)
    .update(JSON.stringify([kind, ...parts]))
    .digest('base64url')

const BUCKETS = 64

/**
 * A hash over all fields and values, whatever their order, that is cheap to update: fields are hashed in buckets by
 * name, then the buckets.
 */
export class Sum {
  readonly #buckets = Array.from({ length: BUCKETS }, () => new Map<string, string>())
  readonly #hashes: (string | undefined)[] = Array.from({ length: BUCKETS }, () => undefined)

  static of(fields: Fields): string {
    const sum = new Sum()
    for (let i = 0; i + 1 < fields.length; i += 2) sum.set(fields[i]!, fields[i + 1])
    return sum.text
  }

  /** Sets a field; undefined removes it. */
  set(field: string, value: string | undefined): void {
    const at = bucketOf(field)
    if (value === undefined) this.#buckets[at]!.delete(field)
    else this.#buckets[at]!.set(field, value)
    this.#hashes[at] = undefined
  }

  clear(): void {
    for (const bucket of this.#buckets) bucket.clear()
    this.#hashes.fill(undefined)
  }

  /** The hash in base64url. */
  get text(): string {
    for (const [at, bucket] of this.#buckets.entries()) {
      if (this.#hashes[at] !== undefined) continue
      const fields = [...bucket.keys()].toSorted()
      this.#hashes[at] = digest(JSON.stringify(fields.map((field) => [field, bucket.get(field)])))
    }
    return digest(this.#hashes.join(''))
  }
}

const digest = (text: string): string => hash('sha256', text, 'base64url')

function bucketOf(field: string): number {
  let mixed = 0
  for (let i = 0; i < field.length; i++) mixed = (Math.imul(mixed, 31) + field.charCodeAt(i)) | 0
  return mixed & (BUCKETS - 1)
}
