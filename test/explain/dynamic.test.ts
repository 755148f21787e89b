/**
 * Random dynamic records, random health and random clients, held against octoDNS's semantics as its documentation reads: the
 * interpreter below knows rules, pools, fallbacks and flags, and nothing of services, maps and classes.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest } from '../../src/answer/responder.ts'
import { parseAddress, parsePrefix } from '../../src/dns/address.ts'
import { decodeMessage, encodeQuery } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { DOWN, healthWord, UP } from '../../src/health/table.ts'
import { makeNode, seeded } from '../answer/fixture.ts'
import { CLIENTS_AT } from '../support/mmdb.ts'

interface Value {
  readonly value: string
  readonly weight: number
  readonly status: 'up' | 'down' | 'obey'
}

interface Pool {
  readonly fallback?: string
  readonly values: readonly Value[]
}

interface Rule {
  readonly pool: string
  readonly geos: readonly string[]
  readonly subnets: readonly string[]
}

interface Dynamic {
  readonly name: string
  readonly type: 'A' | 'AAAA'
  readonly ttl: number
  readonly values: readonly string[]
  readonly pools: ReadonlyMap<string, Pool>
  readonly rules: readonly Rule[]
}

interface Client {
  /** Of its place; the last is that of nowhere. */
  readonly code: string
  readonly address: string
}

const CLIENTS: readonly Client[] = [
  ...[...CLIENTS_AT].flatMap(([code, { v4, v6 }]) => [
    { code, address: v4 },
    { code, address: v6 },
  ]),
  { code: '', address: '198.51.100.1' },
  { code: '', address: '2001:db8::1' },
]

// each before what it is within, so that a record that keeps this order is one that octoDNS takes
const GEOS =
  'AF-ZA AF AS-SG AS-CY AS EU-GB EU-FR EU NA-US-CA NA-US-PR NA-US-OR NA-US NA-CA-ON NA-MX NA OC-GU OC SA AN'.split(' ')
const SUBNETS =
  '198.18.3.0/24 198.18.9.0/24 198.18.8.0/22 198.18.0.0/20 198.51.100.0/24 2001:2:0:4::/64 2001:2:0:8::/61 2001:2::/48 2001:db8::/32'.split(
    ' ',
  )

const isWithin = (inner: string, outer: string): boolean => {
  if (!outer.includes('/')) return inner === outer || inner.startsWith(`${outer}-`)
  const [a, b] = [parsePrefix(inner)!, parsePrefix(outer)!]
  return a.family === b.family && a.bits >= b.bits && holds(b.bytes, b.bits, a.bytes)
}

const bitsOf = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
const holds = (prefix: Uint8Array, bits: number, address: Uint8Array): boolean =>
  prefix.length === address.length && bitsOf(prefix).slice(0, bits) === bitsOf(address).slice(0, bits)

function randomRecord(seed: number): Dynamic {
  const next = seeded(Math.imul(seed + 1, 0x9e3779b1))
  const below = (n: number): number => (next() >>> 7) % n
  const type = below(3) > 0 ? 'A' : 'AAAA'
  const address = (n: number): string => (type === 'A' ? `192.0.2.${n}` : `2001:db8:2::${n.toString(16)}`)
  const names = ['one', 'two', 'three', 'four', 'five'].slice(0, 1 + below(5))
  const all = new Map<string, Pool>()
  for (const [i, name] of names.entries()) {
    const later = names.slice(i + 1)
    const fallback = later[below(later.length + 1)]
    const values = Array.from({ length: 1 + below(4) }, (_, n): Value => ({
      value: address(1 + below(40) * 5 + n),
      weight: [1, 1, 0, 3, 15][below(5)]!,
      status: (['obey', 'obey', 'obey', 'up', 'down'] as const)[below(5)]!,
    }))
    const alone = values.length === 1
    all.set(name, {
      ...(fallback !== undefined && { fallback }),
      values: values.map((one) => (alone ? { ...one, weight: 1 } : one)),
    })
  }
  // kinds of rules in the order that octoDNS demands; each its own pool
  const kinds = Array.from({ length: below(names.length) }, () => below(3)).toSorted((a, b) => a - b)
  const rules = kinds.map((kind, i) => ({
    kind,
    pool: names[(i + seed) % names.length]!,
    geos: [] as string[],
    subnets: [] as string[],
  }))
  const spread = (codes: readonly string[], of: 'geos' | 'subnets', kind: number): void => {
    for (const code of codes) {
      if (below(2) === 0) continue
      const inner = rules.findLastIndex((rule) => rule[of].some((one) => isWithin(one, code)))
      const free = rules.filter((rule, i) => i > inner && rule.kind !== kind)
      if (free.length > 0) free[below(free.length)]![of].push(code)
    }
  }
  spread(GEOS, 'geos', 0)
  spread(SUBNETS, 'subnets', 2)
  const whole = rules.filter(
    ({ kind, geos, subnets }) => (kind === 0 || geos.length > 0) && (kind === 2 || subnets.length > 0),
  )
  const targeted = whole.map(({ pool, geos, subnets }) => ({ pool, geos, subnets }))
  const catchAll = { pool: names[below(names.length)]!, geos: [], subnets: [] }
  const used = new Set([...targeted, catchAll].map(({ pool }) => pool))
  for (const [name, { fallback }] of all) if (used.has(name) && fallback !== undefined) used.add(fallback)
  const pools = new Map([...all].filter(([name]) => used.has(name)))
  return {
    name: `r${seed}`,
    type,
    ttl: 20 + below(300),
    values: [address(251), address(252)].slice(below(2)),
    pools,
    rules: [...targeted, catchAll],
  }
}

const yamlOf = ({ name, type, ttl, values, pools, rules }: Dynamic): string =>
  `${name}: ${JSON.stringify({ type, ttl, values, dynamic: { pools: Object.fromEntries(pools), rules } })}\n`

/** docs/dynamic_records.rst: the first rule that matches, subnets before geos; its pool, or the first fallback that has anything. */
function interpret({ pools, rules, values }: Dynamic, client: Client, isUp: (pool: string, value: string) => boolean) {
  const bytes = parseAddress(client.address)!
  const inSubnet = (subnet: string): boolean => {
    const prefix = parsePrefix(subnet)!
    return holds(prefix.bytes, prefix.bits, bytes)
  }
  const place = client.code.split('-')
  const inGeo = (geo: string): boolean => {
    const [continent, country, subdivision] = geo.split('-')
    if (country === undefined) return continent === place[0]
    if (subdivision === undefined) return country === place[1]
    const isTerritory = country === 'US' && ['AS', 'GU', 'MP', 'PR', 'UM', 'VI'].includes(subdivision)
    return (country === place[1] && subdivision === place[2]) || (isTerritory && subdivision === place[1])
  }
  const rule =
    rules.find(({ subnets }) => subnets.some(inSubnet)) ?? rules.find(({ geos }) => geos.some(inGeo)) ?? rules.at(-1)!
  for (let name: string | undefined = rule.pool; name !== undefined; name = pools.get(name)!.fallback) {
    const pool = name
    const live = pools
      .get(pool)!
      .values.filter(({ value, status }) => status === 'up' || (status === 'obey' && isUp(pool, value)))
    const weighty = live.filter(({ weight }) => weight > 0)
    if (live.length > 0) return { one: (weighty.length > 0 ? weighty : live).map(({ value }) => value) }
  }
  return { all: values.toSorted() }
}

const RECORDS = Array.from({ length: 150 }, (_, seed) => randomRecord(seed))
const node = await makeNode({
  'defaults.yaml': 'soa: {serial: 1}\n',
  'example.com.yaml': `"": {type: NS, values: [ns1.example.net.]}\n${RECORDS.map(yamlOf).join('')}`,
})
const out = new Uint8Array(4096)

interface Answer {
  readonly values: readonly string[]
  readonly ttls: readonly number[]
  readonly scope: number
}

function ask({ name, type }: Dynamic, address: string): Answer {
  const bits = address.includes(':') ? 128 : 32
  const query = encodeQuery({ name: `${name}.example.com.`, type, edns: { payload: 1232, ecs: `${address}/${bits}` } })
  const resolver = Uint8Array.of(127, 0, 0, 1)
  const size = respond(node.responder, makeRequest({ input: query, client: resolver, output: out }))
  const message = decodeMessage(out.subarray(0, size))
  if (isFault(message) || message.rcode !== 'NOERROR') throw new Error(`no answer for ${name}`)
  return {
    values: message.answer.map(({ rdata }) => rdata),
    ttls: message.answer.map(({ ttlSeconds }) => ttlSeconds),
    scope: message.edns!.ecs!.scope,
  }
}

/** Another address under the same scope. */
function neighbour(address: string, scope: number, bit: number): string {
  const bytes = parseAddress(address)!
  const at = scope + (bit % Math.max(1, bytes.length * 8 - scope))
  if (at < bytes.length * 8) bytes[at >> 3]! ^= 128 >> (at & 7)
  return bytes.length === 4
    ? bytes.join('.')
    : [...new Uint16Array(8).keys()].map((i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16)).join(':')
}

test('the records are worth asking: chains, rules of all kinds, both types, pools with nothing to serve', () => {
  const rules = RECORDS.flatMap((record) => record.rules)
  expect(rules.filter(({ geos, subnets }) => geos.length > 0 && subnets.length > 0).length).toBeGreaterThan(10)
  expect(rules.filter(({ geos, subnets }) => geos.length === 0 && subnets.length > 0).length).toBeGreaterThan(10)
  const pools = RECORDS.flatMap((record) => [...record.pools.values()])
  expect(pools.filter(({ fallback }) => fallback !== undefined).length).toBeGreaterThan(50)
  expect(pools.filter(({ values }) => values.every(({ status }) => status === 'down')).length).toBeGreaterThan(10)
  expect(RECORDS.filter(({ type }) => type === 'AAAA').length).toBeGreaterThan(30)
})

test('every client gets what the documentation says, and so does everybody under the scope of his answer', () => {
  const record = fc.nat({ max: RECORDS.length - 1 })
  const client = fc.nat({ max: CLIENTS.length - 1 })
  // how much is down: from nothing to everything
  const health = fc.tuple(fc.integer({ min: 0, max: 8 }), fc.integer())
  let [ones, alls] = [0, 0]
  fc.assert(
    fc.property(record, client, health, fc.nat({ max: 127 }), (r, c, [eighths, seed], bit) => {
      const chosen = RECORDS[r]!
      const who = CLIENTS[c]!
      const next = seeded(seed)
      const down = new Set<string>()
      for (const [pool, { values }] of chosen.pools) {
        for (const { value, status } of values) {
          if (status === 'down') continue
          const isDown = status === 'obey' && next() % 8 < eighths
          if (isDown) down.add(`${pool} ${value}`)
          node.set(
            `${pool}/${chosen.name}.example.com:${chosen.type}/${value}`,
            healthWord(isDown ? DOWN : UP, 1000, true),
          )
        }
      }
      const meant = interpret(chosen, who, (pool, value) => !down.has(`${pool} ${value}`))
      const { values, ttls, scope } = ask(chosen, who.address)
      expect(new Set(ttls)).toEqual(new Set([chosen.ttl]))
      if ('all' in meant) {
        alls++
        expect(values.toSorted()).toEqual(meant.all)
      } else {
        ones++
        expect(values).toHaveLength(1)
        expect(meant.one).toContain(values[0])
        expect(ask(chosen, neighbour(who.address, scope, bit)).values).toEqual(values)
      }
    }),
    { numRuns: 6000, seed: 4 },
  )
  expect(Math.min(ones, alls)).toBeGreaterThan(500)
})
