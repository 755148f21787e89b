/**
 * Names of sites, checks and services that are used in one file and should be in another, and are not. They are
 * collected while files are read, and reported at the end, when it is known what the other files have. Called by
 * load.ts.
 *
 * - An unknown name is one mistake, however often it is used: it is reported once.
 * - If the file that should have it could not be read whole, nothing is reported: that file's own faults are.
 */
import type { Problem, Report } from '../problem.ts'
import { grouped } from '../units.ts'

/** What a name can refer to. */
export type Referent = 'site' | 'check' | 'service'

/** The unknown names of a load. */
export class References {
  readonly #unknown = new Map<string, { readonly kind: Referent; readonly problem: Problem; uses: number }>()

  /** Notes a use of an unknown name. `problem`: called for the first use, to say what is wrong there. */
  addUnknown(kind: Referent, name: string, problem: () => Problem): void {
    const key = `${kind} ${name}`
    const known = this.#unknown.get(key)
    if (known === undefined) this.#unknown.set(key, { kind, problem: problem(), uses: 1 })
    else known.uses++
  }

  /** Reports the unknown names. `isWhole`: whether all sites, checks or services that are written could be read. */
  report(report: Report, isWhole: Readonly<Record<Referent, boolean>>): void {
    for (const { kind, problem, uses } of this.#unknown.values()) {
      if (!isWhole[kind]) continue
      const others = uses === 1 ? '' : `: it is named ${grouped(uses)} times, here first`
      report({ ...problem, message: `${problem.message}${others}` })
    }
  }
}
