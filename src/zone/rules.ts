/**
 * Rules that can never match: an error, because their author thinks they do.
 */
import type { RuleModel } from './model.ts'

export interface DeadRule {
  /** Indexes into the rules: the dead one, and one that takes its clients. */
  readonly index: number
  readonly by: number
}

/** Rules all of whose subnets are covered by longer (or the same, earlier) ones and whose geos by earlier ones. */
export declare function deadRules(rules: readonly Pick<RuleModel, 'subnets' | 'geos'>[]): readonly DeadRule[]
