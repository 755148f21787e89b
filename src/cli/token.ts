/**
 * `meridian token`: makes a token of the HTTP API. The secret goes to stdout, for a file or a pipe; the line with its hash,
 * for the file of `http.tokens`, to stderr.
 */
import { makeToken, tokenNameFault } from '../api/token.ts'
import { type Scope, SCOPES } from '../config.ts'
import { nearest } from '../problem.ts'
import { UsageError } from './control.ts'
import type { Output } from './output.ts'

/** Which token to make. */
export interface TokenOptions {
  readonly name: string
  /** As written: `read,drain`. */
  readonly scopes: string
  readonly json: boolean
}

/** Prints a new token; returns the exit code 0. Throws UsageError. */
export function token({ name, scopes, json }: TokenOptions, output: Output): number {
  const fault = tokenNameFault(name)
  if (fault !== undefined) throw new UsageError(`“${name}” is no name of a token: ${fault}`)
  const made = makeToken(name, scopesOf(scopes))
  if (json) {
    output.out(JSON.stringify(made))
    return 0
  }
  output.out(made.secret)
  output.err(`The secret is shown this once. Its line for the file of the setting http.tokens:\n    ${made.line}`)
  return 0
}

function scopesOf(written: string): readonly Scope[] {
  const words = written.split(',').map((word) => word.trim())
  const unknown = words.find((word) => !SCOPES.some((scope) => scope === word))
  if (unknown === undefined) return SCOPES.filter((scope) => words.includes(scope))
  const hint = nearest(unknown, SCOPES) ?? `The scopes are ${SCOPES.join(', ')}`
  throw new UsageError(`there is no scope “${unknown}”\n    ${hint}`)
}
