/**
 * Attacks that were once seen to succeed, each a file NAME.attack.ts beside this one that exports `attack`. `npm run attack`
 * runs them at full scale (minutes, real processes, namespaces where needed); smoke.test.ts runs each for seconds in
 * `npm test`. SECURITY.md has a row for each: what was tried, what is promised, what is not.
 */
import { readdirSync } from 'node:fs'

/** `smoke`: a few seconds that still fail where the defence is missing; `full`: the scale that SECURITY.md states. */
export type Scale = 'smoke' | 'full'

export interface Attack {
  /** What is tried, in one line. */
  readonly tries: string
  /** It makes network namespaces, mounts or users. */
  readonly needsRoot?: true
  /** Rejects, saying what was lost, when the attack succeeds. `print` takes figures, a line each. */
  readonly run: (scale: Scale, print: (line: string) => void) => Promise<void>
}

/** All attacks by name, in alphabetical order. */
export async function loadAttacks(): Promise<ReadonlyMap<string, Attack>> {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.attack.ts'))
  const attacks = new Map<string, Attack>()
  for (const file of files.toSorted()) {
    const { attack }: { readonly attack: Attack } = await import(`./${file}`)
    attacks.set(file.slice(0, -'.attack.ts'.length), attack)
  }
  return attacks
}

export const isRoot = (): boolean => process.getuid?.() === 0
