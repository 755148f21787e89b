/**
 * Rules that can never match: an error, because their author thinks they do. Subnets go before geos and the longest one
 * wins wherever its rule stands; among geos the first rule wins (DESIGN §7).
 */
import { type BinaryTrie, descend, trieOf } from '../geo/binary.ts'
import { foldPrefix } from '../geo/fold.ts'
import type { Geo, RuleModel } from './model.ts'

type RuleKeys = Pick<RuleModel, 'subnets' | 'geos'>

export interface DeadRule {
  /** Indexes into the rules: the dead one, and one that takes clients of it. */
  readonly index: number
  readonly by: number
}

/** Rules that have keys but lose every client by them: subnets to longer ones or earlier equal ones, geos to earlier ones. */
export function deadRules(rules: readonly RuleKeys[]): readonly DeadRule[] {
  const tries = new Map(([4, 6] as const).map((family) => [family, subnetTrie(rules, family)]))
  const reached = new Set([...tries.values()].flatMap(leaves))
  const dead: DeadRule[] = []
  for (const [index, rule] of rules.entries()) {
    if (reached.has(index)) continue
    const takers = rule.geos.map((geo) =>
      rules.findIndex((other, i) => i < index && other.geos.some((one) => holds(one, geo))),
    )
    const subnet = rule.subnets[0] && foldPrefix(rule.subnets[0])
    const by = subnet ? Math.floor(descend(tries.get(subnet.family)!, subnet.bytes) / 256) : takers[0]
    if (by !== undefined && !takers.includes(-1)) dead.push({ index, by })
  }
  return dead
}

const NONE = 0x7fffff

function subnetTrie(rules: readonly RuleKeys[], family: 4 | 6): BinaryTrie {
  const prefixes = rules.flatMap(({ subnets }, index) =>
    subnets
      .map(foldPrefix)
      .filter((prefix) => prefix.family === family)
      .map(({ bytes, bits }) => ({ bytes, bits, value: index })),
  )
  return trieOf(prefixes, NONE)
}

const leaves = ({ nodes, root }: BinaryTrie): number[] =>
  [root, ...nodes].filter((entry) => entry < 0).map((leaf) => ~leaf)

const holds = (outer: Geo, inner: Geo): boolean =>
  outer.continent === inner.continent &&
  (outer.country === undefined || outer.country === inner.country) &&
  (outer.subdivision === undefined || outer.subdivision === inner.subdivision)
