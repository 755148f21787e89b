/**
 * Reads the rules of a service: subnets and files of subnets, AS numbers, geos, and the order of sites of each rule.
 * Called by services.ts.
 */
import { dirname, resolve } from 'node:path'
import { parsePrefix, type Prefix } from '../dns/address.ts'
import { isCountryOf, mayBeSubdivision } from '../geo/codes.ts'
import type { PrefixTable } from '../geo/prefixes.ts'
import { didYouMean, type ProblemCode } from '../problem.ts'
import type { Reader } from '../yaml/read.ts'
import type { Entry, Node } from '../yaml/source.ts'
import type { Geo, Groups, RuleModel } from '../zone/model.ts'
import { deadRules, hasSubnets, type RuleKeys } from '../zone/rules.ts'
import { readKeys } from './forms.ts'
import { GEO_CODE, RULE, SUBNET_FILE } from './keys.ts'
import { prefixFault } from './subnets.ts'

/**
 * Reads a file of subnets by its path. undefined when it is faulty: faults of the path go to `fault`, faults of its
 * lines are reported at the lines.
 */
export type PrefixReader = (
  file: string,
  fault: (code: ProblemCode, message: string, hint: string) => void,
) => PrefixTable | undefined

/** What reading a rule needs to know of its service. */
export interface RuleContext {
  /** Names of the service's sites. */
  readonly sites: ReadonlySet<string>
  /** The service as messages name it: `service web`. */
  readonly what: string
  readonly prefixes: PrefixReader
}

/** Reads `rules` of a service, and reports rules that can never match. */
export function readRules(read: Reader, entry: Entry | undefined, context: RuleContext): RuleModel[] {
  if (entry === undefined) return []
  const nodes = read.items(entry.value, '“rules”', 'rules: [{subnets: [10.0.0.0/8], order: [fra]}]')
  if (nodes.length > MOST_RULES) {
    const hint = 'Rules with the same order can be one; many subnets are best in a file'
    read.fault('value-invalid', entry.key, `a service has ${MOST_RULES} rules at most; here are ${nodes.length}`, hint)
    return []
  }
  const rules = nodes.flatMap((node) => readRule(read, node, context) ?? [])
  const isWhole = rules.length === nodes.length && rules.every(hasKeys)
  if (!isWhole) return rules
  for (const { index, by } of deadRules(rules)) {
    const message = `this rule can never match: rule ${by + 1} takes its clients`
    read.fault('rule-dead', nodes[index]!, message, `Remove it, or narrow rule ${by + 1}`)
  }
  return rules
}

function readRule(read: Reader, node: Node, { sites, what, prefixes }: RuleContext): RuleModel | undefined {
  const { fields, values } = readKeys(read, node, 'a rule', RULE)
  if (fields === undefined) return undefined
  const { subnets, asns, geos, order, only, pick } = values
  if ((subnets ?? asns ?? geos) === undefined) {
    read.fault('rule-empty', node, 'a rule needs subnets, asns or geos', 'subnets: [10.0.0.0/8]')
  }
  return {
    ...readSubnetKey(read, subnets, prefixes),
    asns: readEach(read, asns, 'no number of an autonomous system', 'asns: [64500, AS64501]', parseAsn),
    geos: readEach(read, geos, 'no geo code of a place there is', 'geos: [AS, AS-CN, NA-US-CA]', parseGeo),
    order: order === undefined ? [] : readGroups(read, order.value, sites, what),
    only,
    pick,
    at: read.at(node),
  }
}

/** Reads `subnets`: `[10.0.0.0/8, {file: offices.txt}]`, or `{file: offices.txt}` alone. */
function readSubnetKey(
  read: Reader,
  entry: Entry | undefined,
  prefixes: PrefixReader,
): Pick<RuleModel, 'subnets' | 'subnetFiles'> {
  const subnets: Prefix[] = []
  const subnetFiles: PrefixTable[] = []
  for (const node of itemsOf(read, entry, SUBNETS)) {
    if (node.kind === 'mapping') {
      const table = readSubnetFile(read, node, prefixes)
      if (table !== undefined) subnetFiles.push(table)
      continue
    }
    const text = read.scalar(node, 'an entry of “subnets”', SUBNETS)?.text
    const prefix = text === undefined ? undefined : parsePrefix(text)
    if (prefix !== undefined) subnets.push(prefix)
    else if (text !== undefined) read.fault('value-invalid', node, ...prefixFault(text))
  }
  return { subnets, ...(subnetFiles.length > 0 && { subnetFiles }) }
}

function readSubnetFile(read: Reader, node: Node, prefixes: PrefixReader): PrefixTable | undefined {
  const { fields, values } = readKeys(read, node, 'a file of subnets', SUBNET_FILE)
  const file = fields?.get('file')
  const path = values.file
  if (file === undefined || path === undefined) return undefined
  return prefixes(resolve(dirname(read.at(node).file), path), (code, message, hint) =>
    read.fault(code, file.value, message, hint),
  )
}

const SUBNETS = 'subnets: [10.0.0.0/8, {file: offices.txt}]'
const ORDER = 'order: [fra, iad]'

/** Reads an order: a list of sites, in which an inner list is one group. `what`: the service as messages name it. */
export function readGroups(read: Reader, node: Node, sites: ReadonlySet<string>, what: string): Groups {
  const items = read.filledItems(node, 'an order', ORDER)
  const seen = new Set<string>()
  const site = (item: Node): string[] => {
    const scalar = read.scalar(item, 'a site in an order', ORDER)
    if (scalar === undefined) return []
    const { text } = scalar
    if (!sites.has(text)) {
      const hint = didYouMean(text, sites) ?? `Write it under \`sites\` of ${what}`
      read.fault('site-unknown', item, `${what} has no site “${text}”`, hint)
    } else if (seen.has(text))
      read.fault('site-duplicate', item, `“${text}” is twice in this order`, 'Remove one of them')
    else {
      seen.add(text)
      return [text]
    }
    return []
  }
  return items.map((item) => (item.kind === 'list' ? item.items.flatMap(site) : site(item)))
}

/** The items of a list, which must not be empty; of a mapping, the mapping itself. */
function itemsOf(read: Reader, entry: Entry | undefined, example: string): readonly Node[] {
  if (entry === undefined) return []
  if (entry.value.kind === 'mapping') return [entry.value]
  const nodes = read.items(entry.value, `“${entry.key.text}”`, example)
  if (entry.value.kind === 'list' && nodes.length === 0) {
    read.fault('rule-empty', entry.value, `“${entry.key.text}” is empty: it matches nothing`, example)
  }
  return nodes
}

function readEach<T>(
  read: Reader,
  entry: Entry | undefined,
  what: string,
  example: string,
  parse: (text: string) => T | undefined,
): readonly T[] {
  return itemsOf(read, entry, example).flatMap((node) => {
    const scalar = read.scalar(node, `an entry of “${entry!.key.text}”`, example)
    const value = scalar && parse(scalar.text)
    if (value !== undefined) return [value]
    if (scalar !== undefined) read.fault('value-invalid', node, `“${scalar.text}” is ${what}`, example)
    return []
  })
}

/**
 * Parses octoDNS's geo code: continent, country, subdivision: `AS`, `AS-CN`, `NA-US-CA`. undefined when there is no
 * such place.
 */
export function parseGeo(text: string): Geo | undefined {
  if (!GEO_CODE.test(text)) return undefined
  const [continent, country, subdivision] = text.split('-')
  if (country !== undefined && !isCountryOf(continent!, country)) return undefined
  if (subdivision !== undefined && !mayBeSubdivision(country!, subdivision)) return undefined
  return { continent: continent!, ...(country && { country }), ...(subdivision && { subdivision }) }
}

/** Parses an AS number, 1 to 2^32 − 1 (RFC 6793; 0 is reserved, RFC 7607). */
function parseAsn(text: string): number | undefined {
  const number = Number(/^(?:AS)?([1-9]\d{0,9})$/.exec(text)?.[1])
  return number <= 0xffffffff ? number : undefined
}

/** The most rules of one service: the compiler tries all of them for each place of the databases. */
const MOST_RULES = 1000

const hasKeys = (rule: RuleKeys): boolean => hasSubnets(rule) || rule.asns.length + rule.geos.length > 0
