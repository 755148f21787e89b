/**
 * Names of sites, checks and services that are used in one file and should be in another, and are not. They are
 * collected while files are read, and reported at the end, when it is known what the other files have. Called by
 * load.ts.
 *
 * - An unknown name is one mistake, however often it is used: it is reported once.
 * - If it is used several times, and one that is like it never, then that one is mistyped: it is reported there.
 * - If the file that should have it could not be read whole, nothing is reported: that file's own faults are.
 */
import { nearestWord, type Position, type Problem, type Report } from '../problem.ts'
import { grouped } from '../units.ts'

/** What a name can refer to. */
export type Referent = 'site' | 'check' | 'service'

/** The names that there are. */
export interface Declared {
  /** Gives where each is written. */
  readonly places: () => ReadonlyMap<string, Position>
  /** Whether all that are written could be read. */
  readonly isWhole: boolean
}

interface Unknown {
  readonly kind: Referent
  readonly name: string
  readonly problem: Problem
  uses: number
}

/** The names of a load that are used. */
export class References {
  readonly #unknown = new Map<string, Unknown>()
  readonly #known = new Set<string>()

  /** Notes that a name is used which there is. */
  add(kind: Referent, name: string): void {
    this.#known.add(`${kind} ${name}`)
  }

  /** Notes a use of an unknown name. `problem`: called for the first use, to say what is wrong there. */
  addUnknown(kind: Referent, name: string, problem: () => Problem): void {
    const key = `${kind} ${name}`
    const known = this.#unknown.get(key)
    if (known === undefined) this.#unknown.set(key, { kind, name, problem: problem(), uses: 1 })
    else known.uses++
  }

  /** Reports the unknown names. */
  report(report: Report, declared: Readonly<Record<Referent, Declared>>): void {
    for (const one of this.#unknown.values()) {
      const { places, isWhole } = declared[one.kind]
      if (isWhole) report(one.uses === 1 ? one.problem : this.#problemOf(one, places()))
    }
  }

  /** The problem of a name that is used several times. */
  #problemOf({ kind, name, problem, uses }: Unknown, places: ReadonlyMap<string, Position>): Problem {
    const idle = [...places.keys()].filter((one) => !this.#known.has(`${kind} ${one}`))
    const mistyped = nearestWord(name, idle)
    const at = mistyped === undefined ? undefined : places.get(mistyped)
    const times = `${grouped(uses)} times`
    if (at === undefined) return { ...problem, message: `${problem.message}: it is named ${times}, here first` }
    const { file, line, code, severity } = problem
    const message = `nothing names ${kind} ${mistyped}, and “${name}”, which there is not, is named ${times}, first at ${file}:${line}`
    return { code, severity, ...at, message, hint: `Did you mean ${name}?` }
  }
}
