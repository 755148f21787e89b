/**
 * The World's builder: YAML and databases in, a World out, or Problems. Runs in the compile thread of `serve` and in the
 * process of `check`: the same code, so check is load without run. Keeps what it has parsed, for the next build.
 */
import type { HealthPlan } from '../health/target.ts'
import type { Problem } from '../problem.ts'
import type { World } from './world.ts'

export interface BuildSettings {
  /** Folder of the YAML files. */
  readonly zones: string
  /** MMDB files; more than one where IPv4 and IPv6 are apart. None: no client has a place. */
  readonly city: readonly string[]
  /** Where compiled tries are kept over a restart; undefined = nowhere. */
  readonly cache?: string
  /** Site whose place clients have that the databases do not know. */
  readonly nodeSite?: string
}

export interface Built {
  /** undefined when there is an error among the problems: the old World goes on. */
  readonly made?: {
    /** Generation 0; slots and counters all 0: the main thread gives them. */
    readonly world: World
    readonly plan: HealthPlan
    /** Hash of (version, zones, database builds, ECS setting): nodes that serve alike have the same. */
    readonly view: string
    readonly zoneCount: number
    readonly nameCount: number
  }
  readonly problems: readonly Problem[]
  /** How long each stage took, for logs and benches. */
  readonly stagesMs: Readonly<Record<string, number>>
}

export interface Builder {
  /** Reads everything that changed, compiles, and tells all problems at once. Never throws for what an operator wrote. */
  build(): Promise<Built>
}
