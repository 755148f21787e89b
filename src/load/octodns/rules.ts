/**
 * The rules of a dynamic record, validated as octoDNS does it (octodns/record/dynamic.py; docs/dynamic_records.rst,
 * “Rule ordering”): from the most specific to the least specific, no geo or subnet after a broader one that contains
 * it, and a catch-all at the end. In that order the first rule that matches is also the one that Meridian's own
 * precedence picks: subnets, then geos in the order of the file.
 */
import { formatPrefix, maskAddress, parsePrefix, type Prefix } from '../../dns/address.ts'
import { foldPrefix } from '../../geo/fold.ts'
import { didYouMean } from '../../problem.ts'
import type { Reader } from '../../yaml/read.ts'
import type { Entry, Node } from '../../yaml/source.ts'
import type { Geo } from '../../zone/model.ts'
import { readKeys } from '../forms.ts'
import { DYNAMIC_RULE } from '../keys.ts'
import { parseGeo } from '../rules.ts'
import { prefixFault } from '../subnets.ts'

/** A value, its text, and where it is written. */
interface ValueNode<T> {
  readonly value: T
  readonly text: string
  readonly node: Node
}

/** A rule as written. */
export interface DynamicRule {
  readonly node: Node
  /** An existing pool; undefined if the key is missing or faulty. */
  readonly pool: string | undefined
  readonly subnets: readonly ValueNode<Prefix>[]
  readonly geos: readonly ValueNode<Geo>[]
  /** It has neither subnets nor geos, not even faulty ones. As in octoDNS, an empty list counts as none. */
  readonly isCatchAll: boolean
  /** Its place in octoDNS's order: 0 = subnets alone, 1 = subnets and geos, 2 = geos alone, 3 = neither. */
  readonly rank: 0 | 1 | 2 | 3
}

/** Reads `rules` of a dynamic record. undefined: there is no usable rule, which is reported. */
export function readDynamicRules(
  read: Reader,
  entry: Entry | undefined,
  pools: ReadonlyMap<string, unknown>,
): readonly DynamicRule[] | undefined {
  if (entry === undefined) return undefined
  const nodes = read.filledItems(entry.value, '“rules”', 'rules: [{geos: [EU], pool: eu}, {pool: na}]')
  const seen = new Set<string>()
  const rules = nodes.flatMap((node) => readRule(read, node, pools, seen) ?? [])
  if (rules.length === 0) return undefined
  checkOrder(read, rules)
  checkGeos(read, rules)
  checkSubnets(read, rules)
  return rules
}

/** Reads one rule. `seen`: pools of the rules before it. */
function readRule(
  read: Reader,
  node: Node,
  pools: ReadonlyMap<string, unknown>,
  seen: Set<string>,
): DynamicRule | undefined {
  const { fields, values } = readKeys(read, node, 'a rule', DYNAMIC_RULE)
  if (fields === undefined) return undefined
  const { pool, subnets, geos } = values
  const [hasSubnets, hasGeos] = [isThere(subnets), isThere(geos)]
  const isCatchAll = !hasSubnets && !hasGeos
  const name = fields.get('pool')
  if (name !== undefined && pool !== undefined) {
    if (!pools.has(pool)) {
      read.fault(
        'pool-unknown',
        name.value,
        `there is no pool “${pool}” in this record`,
        didYouMean(pool, pools.keys()) ?? 'Pools are written under `pools` of the record',
      )
    } else if (seen.has(pool) && !isCatchAll) {
      const hint = 'Put its geos and subnets into that rule; only the catch-all names a pool again'
      read.fault('pool-reused', name.value, `an earlier rule has pool ${pool} already`, hint)
    }
    seen.add(pool)
  }
  return {
    node,
    pool: pool !== undefined && pools.has(pool) ? pool : undefined,
    subnets: readEach(read, subnets, SUBNETS, readSubnet),
    geos: readEach(read, geos, GEOS, readGeo),
    isCatchAll,
    rank: isCatchAll ? 3 : !hasSubnets ? 2 : !hasGeos ? 0 : 1,
  }
}

const SUBNETS = 'subnets: [10.0.0.0/8]'
const GEOS = 'geos: [AS, AS-CN, NA-US-CA]'

const isThere = (entry: Entry | undefined): boolean =>
  entry !== undefined && (entry.value.kind !== 'list' || entry.value.items.length > 0)

function readEach<T>(
  read: Reader,
  entry: Entry | undefined,
  example: string,
  one: (read: Reader, node: Node) => T | undefined,
): readonly T[] {
  const nodes = entry === undefined ? [] : read.items(entry.value, `“${entry.key.text}”`, example)
  return nodes.flatMap((node) => one(read, node) ?? [])
}

function readSubnet(read: Reader, node: Node): ValueNode<Prefix> | undefined {
  const text = read.scalar(node, 'an entry of “subnets”', SUBNETS)?.text
  if (text === undefined) return undefined
  const value = parsePrefix(text)
  if (value !== undefined) return { value, text, node }
  read.fault('value-invalid', node, ...prefixFault(text))
  return undefined
}

function readGeo(read: Reader, node: Node): ValueNode<Geo> | undefined {
  const text = read.scalar(node, 'an entry of “geos”', GEOS)?.text
  if (text === undefined) return undefined
  const value = parseGeo(text)
  if (value !== undefined) return { value, text, node }
  const hint = 'Continent, country and subdivision: AS, AS-CN, NA-US-CA'
  read.fault('value-invalid', node, `“${text}” is no geo code of a place there is`, hint)
  return undefined
}

const RANKS = ['subnets alone', 'subnets and geos', 'geos alone']

function checkOrder(read: Reader, rules: readonly DynamicRule[]): void {
  let broadest = 0
  for (const [i, { node, rank, isCatchAll }] of rules.entries()) {
    if (isCatchAll && i < rules.length - 1) {
      const message = `rule ${i + 1} matches all clients, so the rules after it never match`
      read.fault('rule-order', node, message, 'Put the catch-all last; there is one')
    }
    if (isCatchAll) continue
    if (rank < broadest) {
      const message = `rule ${i + 1} has ${RANKS[rank]}, and is after a rule with ${RANKS[broadest]}`
      read.fault('rule-order', node, message, 'First subnets alone, then subnets with geos, geos alone, the catch-all')
    }
    broadest = Math.max(broadest, rank)
  }
  if (!rules.some(({ isCatchAll }) => isCatchAll)) {
    const hint = 'End with a rule that has a pool and nothing else, for all other clients'
    read.fault('catchall-missing', rules.at(-1)!.node, 'no rule matches all clients', hint)
  }
}

/** Reports geos that a broader geo of the same rule, or of an earlier one, contains. */
function checkGeos(read: Reader, rules: readonly DynamicRule[]): void {
  const seen = new Map<string, number>()
  for (const [i, { geos }] of rules.entries()) {
    for (const { text, node } of geos.toSorted((a, b) => a.text.length - b.text.length)) {
      const parts = text.split('-')
      const broader = parts.map((_, n) => parts.slice(0, n + 1).join('-')).find((code) => seen.has(code))
      if (broader !== undefined) {
        const rule = seen.get(broader)!
        read.fault('geo-covered', node, ...coverage(text, broader, rule, rule === i))
      }
      if (!seen.has(text)) seen.set(text, i)
    }
  }
}

/**
 * The same for subnets. IPv6 subnets that embed IPv4 addresses are compared as IPv4: their clients are looked up as
 * IPv4.
 */
function checkSubnets(read: Reader, rules: readonly DynamicRule[]): void {
  const seen = new Map<string, { readonly rule: number; readonly text: string }>()
  for (const [rule, { subnets }] of rules.entries()) {
    const folded = subnets.map((one) => ({ ...one, ...foldPrefix(one.value) }))
    for (const { family, bytes, bits, text, node } of folded.toSorted((a, b) => a.bits - b.bits)) {
      const around = Array.from({ length: bits + 1 }, (_, length) =>
        formatPrefix({ family, bytes: maskAddress(bytes, length), bits: length }),
      )
      const broader = around.map((prefix) => seen.get(prefix)).find((one) => one !== undefined)
      if (broader !== undefined) {
        read.fault('subnet-covered', node, ...coverage(text, broader.text, broader.rule, broader.rule === rule))
      }
      if (!seen.has(around[bits]!)) seen.set(around[bits]!, { rule, text })
    }
  }
}

function coverage(text: string, broader: string, rule: number, isSame: boolean): [message: string, hint: string] {
  const hint = isSame || text === broader ? `Leave ${text} out` : `Put ${text} into a rule before that, or leave it out`
  return [`${text} is ${text === broader ? '' : `within ${broader}, which is `}in rule ${rule + 1} already`, hint]
}
