/**
 * Tokens of the API: how one is made, the file of their hashes (setting `http.tokens`), and whose a secret is. A secret has
 * 256 random bits, so a hash of it can be neither guessed nor looked up, and needs no salt. Called by node/tokens.ts and by
 * `meridian token`.
 *
 *   # name, hash of the secret, scopes
 *   ops    sha256:3f0c…  read drain force
 *   board  sha256:91ab…  read
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { isName, type Scope, SCOPES } from '../config.ts'
import { count } from '../units.ts'

/** A token as its file has it. */
export interface Token {
  readonly name: string
  /** SHA-256 of the secret, 32 bytes. */
  readonly hash: Uint8Array
  readonly scopes: readonly Scope[]
}

/** The name of the setting `http.token`, as that of a token. */
export const SETTING_TOKEN = 'http.token'

const MOST_TOKENS = 1000
const SECRET_BYTES = 32
/** Lets a search for secrets in files, as hosts of git run it, tell one. */
const SECRET_PREFIX = 'meridian_'

/** The hash of a secret. */
export const hashSecret = (secret: string): Uint8Array => createHash('sha256').update(secret).digest()

/** A new secret, and the line of the file for it. */
export function makeToken(name: string, scopes: readonly Scope[]): { readonly secret: string; readonly line: string } {
  const secret = SECRET_PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
  return { secret, line: `${name} sha256:${Buffer.from(hashSecret(secret)).toString('hex')} ${scopes.join(' ')}` }
}

/** Why a text is no name of a token, in words; undefined: it is one. */
export const tokenNameFault = (name: string): string | undefined =>
  !isName(name)
    ? 'a token’s name has letters, digits, “.”, “_” and “-”, at most 63'
    : name === SETTING_TOKEN
      ? `${SETTING_TOKEN} is the name of the setting of that name`
      : undefined

const isScope = (word: string): word is Scope => SCOPES.some((scope) => scope === word)

/** Reads the text of a file of tokens. Throws, with the number of the line and without its secrets. */
export function parseTokens(text: string): readonly Token[] {
  const tokens = new Map<string, Token>()
  for (const [i, line] of text.split('\n').entries()) {
    const [name, written = '', ...scopes] = line.trim().split(/\s+/)
    if (name === undefined || name === '' || name.startsWith('#')) continue
    const fault = (what: string): Error => new Error(`line ${i + 1}: ${what}`)
    const wrongName = tokenNameFault(name)
    if (wrongName !== undefined) throw fault(wrongName)
    const hex = /^sha256:([0-9a-f]{64})$/.exec(written)?.[1]
    if (hex === undefined) throw fault(`${name} has no hash: sha256: and 64 hexadecimal digits`)
    const unknown = scopes.find((scope) => !isScope(scope))
    if (unknown !== undefined || scopes.length === 0)
      throw fault(
        `${name} has ${unknown === undefined ? 'no scope' : 'a scope that there is not'}: ${SCOPES.join(', ')}`,
      )
    if (tokens.has(name)) throw fault(`${name} is there twice`)
    if (tokens.size === MOST_TOKENS) throw fault(`there are more than ${count(MOST_TOKENS, 'token')}`)
    tokens.set(name, { name, hash: Buffer.from(hex, 'hex'), scopes: scopes.filter(isScope) })
  }
  return [...tokens.values()]
}

/** Whose secret it is; undefined: nobody's. It takes as long for each secret: all hashes are compared, each whole. */
export function tokenOf(tokens: readonly Token[], secret: string): Token | undefined {
  const hash = hashSecret(secret)
  let found: Token | undefined
  for (const token of tokens) if (timingSafeEqual(token.hash, hash)) found = token
  return found
}
