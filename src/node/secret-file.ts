/** Files of secrets that settings name: keys of TSIG, and the secrets of DNS cookies. */
import { readFileSync, statSync } from 'node:fs'
import { codeOf, messageOf } from '../problem.ts'

/** Others may not read the file, nor the group write it: who can read it can sign. */
const FORBIDDEN = 0o037

/** The text of the file, as Latin-1. Throws, in words that show nothing of it, if it can't be read or others can read it. */
export function readSecretFile(file: string): string {
  let mode: number
  let text: string
  try {
    mode = statSync(file).mode & 0o777
    text = readFileSync(file, 'latin1')
  } catch (error) {
    throw new Error(`${file} can't be read: ${codeOf(error) ?? messageOf(error)}`, { cause: error })
  }
  if ((mode & FORBIDDEN) === 0) return text
  const octal = mode.toString(8).padStart(4, '0')
  throw new Error(`${file} has mode ${octal}: others can read it, or its group write it (use chmod 640)`)
}
