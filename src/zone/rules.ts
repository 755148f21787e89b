/**
 * The rules of a service as tries, for policy/ and `explain`; and which rules can never match, which the loader reports
 * as an error. Subnets come first: the longest that contains the client wins, in whatever rule it is. Then come AS
 * numbers, then geos. Of equal ones the first rule wins.
 */
import { maskAddress, type Prefix } from '../dns/address.ts'
import { type BinaryTrie, descend, trieOfRuns } from '../geo/binary.ts'
import { isTerritory } from '../geo/codes.ts'
import { addressOf, pack, type PackedPrefixes } from '../geo/prefixes.ts'
import type { Geo, RuleModel } from './model.ts'

/** The keys by which a rule matches clients. */
export type RuleKeys = Pick<RuleModel, 'subnets' | 'subnetFiles' | 'asns' | 'geos'>

/** Whether a rule has subnets, written in it or in files. */
export const hasSubnets = ({ subnets, subnetFiles }: RuleKeys): boolean =>
  subnets.length > 0 || subnetFiles !== undefined

/**
 * The trie of all rules' subnets of a family: leaves are 1 + the index of the rule, 0 = none. IPv6 subnets that embed
 * IPv4 addresses are in the IPv4 trie.
 */
export const subnetTrie = (rules: readonly RuleKeys[], family: 4 | 6): BinaryTrie =>
  trieOfRuns(
    rules.flatMap((rule, index) => subnetsOf(rule, family).map((packed) => ({ ...packed, value: index + 1 }))),
    0,
  )

const subnetsOf = ({ subnets, subnetFiles = [] }: RuleKeys, family: 4 | 6): readonly PackedPrefixes[] => [
  pack(subnets, family),
  ...subnetFiles.map((table) => (family === 4 ? table.v4 : table.v6)),
]

/**
 * For `explain`: the longest subnet of a rule, from files too, that contains the address. `bytes`: folded where it
 * folds.
 */
export function subnetHolding(rule: RuleKeys, bytes: Uint8Array): Prefix | undefined {
  const family = bytes.length === 4 ? 4 : 6
  let best: Prefix | undefined
  for (const packed of subnetsOf(rule, family)) {
    for (const [i, bits] of packed.bits.entries()) {
      if (best !== undefined && bits <= best.bits) continue
      const network = addressOf(packed, i)
      if (Buffer.compare(maskAddress(bytes, bits), network) === 0) best = { family, bytes: network, bits }
    }
  }
  return best
}

/** A rule that can never match. */
export interface DeadRule {
  /** Indexes into the rules: the dead one, and one that takes clients of it. */
  readonly index: number
  readonly by: number
}

/**
 * The rules that can never match: each of their subnets is covered by longer ones or an earlier equal one, each AS
 * number and geo by an earlier rule.
 */
export function deadRules(rules: readonly RuleKeys[]): readonly DeadRule[] {
  // if only one rule has subnets, it loses none; building the trie of half a million at every load would be wasted work
  const holders = rules.flatMap((rule, index) => (hasSubnets(rule) ? [index + 1] : []))
  const rivals = holders.length > 1 ? rules : []
  const tries = { 4: subnetTrie(rivals, 4), 6: subnetTrie(rivals, 6) }
  const reached = new Set(rivals.length > 0 ? [...leavesOf(tries[4]), ...leavesOf(tries[6])] : holders)
  const dead: DeadRule[] = []
  /** By key: the first rule that has it. */
  const asns = new Map<number, number>()
  const geos = new Map<string, { readonly geo: Geo; readonly index: number }>()
  for (const [index, rule] of rules.entries()) {
    const takers = [
      ...rule.asns.map((asn) => asns.get(asn) ?? -1),
      ...rule.geos.map((geo) => {
        const outer = partsOf(geo).flatMap((part) => geos.get(part) ?? [])
        const first = outer.filter((one) => holds(one.geo, geo)).map((one) => one.index)
        return first.length === 0 ? -1 : Math.min(...first)
      }),
    ]
    for (const asn of rule.asns) if (!asns.has(asn)) asns.set(asn, index)
    for (const geo of rule.geos) {
      const key = partsOf(geo)[0]!
      if (!geos.has(key)) geos.set(key, { geo, index })
    }
    if (reached.has(index + 1)) continue
    for (const family of [4, 6] as const) {
      const lost = subnetsOf(rule, family).find(({ bits }) => bits.length > 0)
      if (lost !== undefined) takers.unshift(Math.floor(descend(tries[family], addressOf(lost, 0)) / 256) - 1)
    }
    if (takers.length > 0 && !takers.includes(-1)) dead.push({ index, by: takers[0]! })
  }
  return dead
}

/** A geo and the broader ones that contain it, as keys: `NA-US-CA`, `NA-US`, `NA`. */
function partsOf({ continent, country, subdivision }: Geo): readonly string[] {
  if (country === undefined) return [continent]
  const parts = [`${continent}-${country}`, continent]
  return subdivision === undefined ? parts : [`${parts[0]}-${subdivision}`, ...parts]
}

function leavesOf({ nodes, root }: BinaryTrie): ReadonlySet<number> {
  const leaves = new Set([~root])
  for (const entry of nodes) if (entry < 0) leaves.add(~entry)
  return leaves
}

/**
 * Whether `outer` contains all clients of `inner`. Clients of a US territory may be placed in a country of their own.
 */
const holds = (outer: Geo, inner: Geo): boolean =>
  outer.continent === inner.continent &&
  (!isTerritory(inner.country, inner.subdivision) || outer.subdivision === inner.subdivision) &&
  (outer.country === undefined || outer.country === inner.country) &&
  (outer.subdivision === undefined || outer.subdivision === inner.subdivision)
