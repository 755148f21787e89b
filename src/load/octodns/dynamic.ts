/**
 * octoDNS's dynamic records (A, AAAA) → services, so that they have the same health, maps and overrides as other
 * services. Called by load/records.ts.
 *
 *   pool                       a site of that name; its values are the VIPs, a client gets one by their weights
 *   pool, fallback, its …      an order with a fence: a client never gets a pool outside of its chain
 *   rule                       a rule with a fence; the catch-all is the service's own order
 *   the record's values        the last resort, which is not probed
 *   octodns.healthcheck        the check (healthcheck.ts)
 *
 * Records are validated as octoDNS does it (octodns/record/dynamic.py); rules are read in rules.ts.
 */
import { formatAddress } from '../../dns/address.ts'
import { formatName, isFault } from '../../dns/name.ts'
import { encodeRdata, exampleOf } from '../../dns/rdata.ts'
import { typeName } from '../../dns/types.ts'
import { didYouMean } from '../../problem.ts'
import type { Fields, Reader } from '../../yaml/read.ts'
import { type Entry, isNull, type Node, type Scalar } from '../../yaml/source.ts'
import type { Groups, ServiceModel, VipModel } from '../../zone/model.ts'
import { readKeys, withDefaults } from '../forms.ts'
import { DYNAMIC, DYNAMIC_RECORD, POOL, POOL_VALUE, SERVICE, SERVICE_SITE, TTL } from '../keys.ts'
import { isIdentifier } from '../services.ts'
import { readHealthcheck } from './healthcheck.ts'
import { readDynamicRules, type DynamicRule } from './rules.ts'

/** A dynamic record as it was found in a zone's file. */
export interface DynamicRecord {
  /** Lower-case wire form. */
  readonly owner: Uint8Array
  /** TYPE.A or TYPE.AAAA. */
  readonly type: number
  readonly node: Node
  /** All of its keys, `type` and `ttl` included. */
  readonly fields: Fields
  readonly ttlSeconds: number
}

interface Pool {
  readonly key: Scalar
  readonly vips: readonly VipModel[]
  /** As written; undefined = none. */
  readonly fallback: Scalar | undefined
  /** The next pool in its chain; undefined = it is the last. */
  readonly next: string | undefined
}

const POOLS = 'pools: {eu: {values: [{value: 192.0.2.1}]}}'
const POOL_VALUES = 'values: [{value: 192.0.2.1, weight: 2}]'

/** For what octoDNS has no key. */
const DEFAULTS = withDefaults(SERVICE, {})
const SITE_DEFAULTS = withDefaults(SERVICE_SITE, {})

/** By name, in the order of the file. */
type Pools = ReadonlyMap<string, Pool>

/**
 * The service of a dynamic record, named like `www.example.com:A`, which no service of services.yaml can be. undefined:
 * the record has too many faults to make one. Faults are reported; a service that is made in spite of some is
 * consistent.
 */
export function readDynamic(read: Reader, { owner, type, node, ttlSeconds }: DynamicRecord): ServiceModel | undefined {
  const fields = read.fields(node, `a dynamic record of type ${typeName(type)}`, Object.keys(DYNAMIC_RECORD), ['geo'])!
  const values = readResort(read, node, fields, type)
  const name = formatName(owner).slice(0, -1)
  const checks = readHealthcheck(read, fields.get('octodns'), name)
  const entry = fields.get('dynamic')!
  const lacking = { at: entry.key, what: '“dynamic”' }
  const { fields: dynamic, values: parts } = readKeys(read, entry.value, '“dynamic”', DYNAMIC, lacking)
  if (dynamic === undefined) return undefined
  const pools = readPools(read, parts.pools, type)
  const rules = readDynamicRules(read, parts.rules, pools)
  checkLoops(read, pools)
  if (rules === undefined) return undefined
  checkUsed(read, pools, rules)
  const catchAll = rules.findLast((rule) => rule.isCatchAll)
  if (catchAll?.pool === undefined) return undefined
  const { spread, candidates, pick, minVips, probers, regions, keep, rampUp } = DEFAULTS
  const { weight, bias, drained } = SITE_DEFAULTS
  return {
    // a member's name has slashes between site, service and VIP
    name: `${name.replaceAll('/', '\\047')}:${typeName(type)}`,
    // sorted, so that records which only differ in the order of their pools share a client map
    sites: [...pools]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([site, { vips }]) => ({ site, vips, weight, bias, drained })),
    order: { kind: 'listed', groups: chainOf(pools, catchAll.pool), only: true },
    spreadKm: spread,
    candidates,
    spill: 1,
    rules: rules.flatMap(({ isCatchAll, pool, subnets, geos, node: at }) =>
      isCatchAll || pool === undefined
        ? []
        : {
            subnets: subnets.map(({ value }) => value),
            asns: [],
            geos: geos.map(({ value }) => value),
            order: chainOf(pools, pool),
            only: true,
            pick: undefined,
            at: read.at(at),
          },
    ),
    pick,
    answers: 1,
    minVips,
    ttl: { maxSeconds: ttlSeconds, minSeconds: ttlSeconds, settleMs: TTL.settle.missing },
    lastResort: { kind: 'values', values },
    checks,
    probers,
    regions,
    keepPercent: keep,
    rampUpMs: rampUp,
    at: read.at(node),
  }
}

/** The record's own values: addresses in network order. */
function readResort(read: Reader, node: Node, fields: Fields, type: number): readonly Uint8Array[] {
  const one = fields.get('value')
  const many = fields.get('values')
  if (one !== undefined && many !== undefined) {
    read.fault('value-kind', many.key, '“value” and “values” cannot be used together', 'Write `values` alone')
  }
  if (one === undefined && many === undefined) {
    const hint = 'They answer when every pool of a client’s chain is down: values: [192.0.2.1]'
    const known = Object.keys(DYNAMIC_RECORD)
    read.missing(node, { keys: ['values', 'value'], known, what: 'a dynamic record', hint })
  }
  const nodes =
    many !== undefined
      ? read.filledItems(many.value, '“values”', 'values: [192.0.2.1]')
      : one !== undefined
        ? [one.value]
        : []
  const seen = new Set<string>()
  return nodes.flatMap((value) => {
    const bytes = readAddress(read, value, type)
    if (bytes === undefined) return []
    const address = formatAddress(bytes)
    if (seen.has(address)) read.fault('rdata-duplicate', value, 'this value is there twice', 'Remove one of them')
    seen.add(address)
    return [bytes]
  })
}

function readAddress(read: Reader, node: Node, type: number): Uint8Array | undefined {
  const scalar = read.scalar(node, 'a value', exampleOf(type))
  const bytes = scalar && encodeRdata(type, scalar.text)
  if (bytes === undefined || !isFault(bytes)) return bytes
  read.fault('rdata-invalid', node, bytes.fault, exampleOf(type))
  return undefined
}

function readPools(read: Reader, entry: Entry | undefined, type: number): Pools {
  const pools = new Map<string, Pool>()
  if (entry === undefined) return pools
  const entries = read.entries(entry.value, '“pools”', POOLS)
  if (entries.length === 0 && entry.value.kind === 'mapping') {
    read.fault('value-kind', entry.value, '“pools” is empty', POOLS)
  }
  const names = new Set(entries.map(({ key }) => key.text))
  for (const { key, value } of entries) {
    isIdentifier(read, key, 'a pool')
    const what = `pool ${key.text}`
    const { values, fallback: given } = readKeys(read, value, what, POOL, { at: key, what }).values
    const fallback = readFallback(read, given)
    pools.set(key.text, {
      key,
      vips: values === undefined ? [] : readValues(read, key, values, type),
      fallback,
      next: fallback && nextOf(read, fallback, names),
    })
  }
  return pools
}

function readFallback(read: Reader, entry: Entry | undefined): Scalar | undefined {
  if (entry === undefined || isNull(entry.value)) return undefined
  return read.scalar(entry.value, '“fallback”', 'fallback: na')
}

/**
 * The pool that `fallback` names. `default` means the record's own values, which follow the last pool of every chain
 * anyway.
 */
function nextOf(read: Reader, fallback: Scalar, pools: ReadonlySet<string>): string | undefined {
  const { text } = fallback
  const isDefault = text === 'default'
  if (pools.has(text) && !isDefault) return text
  if (pools.has(text)) {
    const message =
      '`fallback: default` means the record’s own values, here as in octoDNS, and not the pool of that name'
    read.fault('pool-unknown', fallback, message, 'Give the pool another name if it is meant', 'warning')
  } else {
    const hint = isDefault
      ? 'Leave `fallback` out: the record’s own values are behind the last pool of every chain'
      : (didYouMean(text, pools) ?? POOLS)
    read.fault('pool-unknown', fallback, `there is no pool “${text}” in this record`, hint)
  }
  return undefined
}

/** The values of a pool. Those with `status: down` are validated and then left out: they are never served. */
function readValues(read: Reader, pool: Scalar, entry: Entry, type: number): readonly VipModel[] {
  const nodes = read.items(entry.value, `“values” of pool ${pool.text}`, POOL_VALUES)
  if (entry.value.kind === 'list' && nodes.length === 0) {
    const hint = 'A pool that is not to be served has values with `status: down`'
    read.fault('value-kind', entry.value, `pool ${pool.text} has no values`, hint)
  }
  const seen = new Set<string>()
  const vips: VipModel[] = []
  for (const node of nodes) {
    const vip = readValue(read, node, type, nodes.length === 1)
    if (vip === undefined) continue
    const { address } = vip
    if (seen.has(address)) {
      const hint = 'Write it once, with the sum of their weights'
      read.fault('vip-duplicate', node, `${address} is twice in pool ${pool.text}`, hint)
    } else if (!vip.isDown) vips.push(vip.model)
    seen.add(address)
  }
  return vips
}

interface PoolValue {
  readonly address: string
  readonly model: VipModel
  readonly isDown: boolean
}

function readValue(read: Reader, node: Node, type: number, isAlone: boolean): PoolValue | undefined {
  if (node.kind !== 'mapping') {
    read.fault('value-kind', node, 'a value of a pool is a mapping with “value”', POOL_VALUES)
    return undefined
  }
  const { fields, values } = readKeys(read, node, 'a value of a pool', POOL_VALUE)
  const { value, weight, status } = values
  const weightEntry = fields?.get('weight')
  if (isAlone && weight !== 1 && weightEntry !== undefined) {
    const message = 'this weight has no effect: the pool has no other value'
    read.fault('weight-unused', weightEntry.value, message, 'Leave it out', 'warning')
  }
  const bytes = value && readAddress(read, value.value, type)
  if (bytes === undefined) return undefined
  const address = formatAddress(bytes)
  const model: VipModel = {
    address,
    bytes,
    ...(weight !== 1 && !isAlone && { weight }),
    ...(status === 'up' && { unchecked: true }),
  }
  return { address, model, isDown: status === 'down' }
}

/** A pool's chain: the pool, its fallback, the fallback's fallback …, each a group. A loop ends where it closes. */
function chainOf(pools: Pools, first: string): Groups {
  const chain = new Set<string>()
  for (let name: string | undefined = first; name !== undefined && !chain.has(name);) {
    chain.add(name)
    name = pools.get(name)?.next
  }
  return [...chain].map((name) => [name])
}

/** Reports each loop of fallbacks once, at its first pool in the file. */
function checkLoops(read: Reader, pools: Pools): void {
  const looping = new Set<string>()
  for (const [first, { fallback }] of pools) {
    const chain = chainOf(pools, first).flat()
    if (pools.get(chain.at(-1)!)?.next !== first || looping.has(first)) continue
    for (const name of chain) looping.add(name)
    const message = `the fallbacks of these pools are a loop: ${[...chain, first].join(' → ')}`
    const hint = 'A chain ends in a pool without `fallback`; behind it are the record’s own values'
    read.fault('pool-loop', fallback!, message, hint)
  }
}

/** Reports unused pools; not while any name is unknown, because that may be a mistyped name of the unused pool. */
function checkUsed(read: Reader, pools: Pools, rules: readonly DynamicRule[]): void {
  const fallbacks = [...pools.values()].flatMap(({ fallback }) => fallback?.text ?? [])
  const used = new Set([...rules.flatMap(({ pool }) => pool ?? []), ...fallbacks])
  if (rules.some(({ pool }) => pool === undefined) || fallbacks.some((name) => !pools.has(name))) return
  for (const [name, { key }] of pools) {
    if (used.has(name)) continue
    const hint = 'Give it to a rule or as another pool’s `fallback`, or take it out'
    read.fault('pool-unused', key, `no rule and no fallback names pool ${name}`, hint)
  }
}
