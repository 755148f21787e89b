/** A guard over TCP, with tokens that a test knows. */
import type { TcpGuard } from '../../src/api/app.ts'
import type { Refused } from '../../src/api/contract.ts'
import { hashSecret, tokenOf } from '../../src/api/token.ts'
import { type Scope, SCOPES } from '../../src/config.ts'

/** The secret of a token of guardOf(). */
export const secretOf = (name: string): string => `the-secret-of-${name}`

/** The header of a token of guardOf(). */
export const bearer = (name: string): string => `Bearer ${secretOf(name)}`

/** `tokens`: by name, what they may be used for. `refusals`: gets what is counted. */
export function guardOf(
  tokens: Readonly<Record<string, readonly Scope[]>> = {},
  { names = [], refusals = [] }: { readonly names?: readonly string[]; readonly refusals?: Refused[] } = {},
): TcpGuard {
  const all = Object.entries(tokens).map(([name, scopes]) => ({ name, hash: hashSecret(secretOf(name)), scopes }))
  return {
    names: new Set(names),
    hasTokens: () => all.length > 0,
    callerOf: (secret) => {
      const token = tokenOf(all, secret)
      return token && { token: token.name, scopes: token.scopes }
    },
    onRefused: (refused) => void refusals.push(refused),
  }
}

/** A guard with a token for each scope, called as it, and one for all. */
export const EACH_SCOPE: Readonly<Record<string, readonly Scope[]>> = {
  ...Object.fromEntries(SCOPES.map((scope) => [scope, [scope]])),
  all: SCOPES,
  none: [],
}
