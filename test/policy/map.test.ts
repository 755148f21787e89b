/** Client maps against the naive reference, over a database small enough to look at every edge. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { type AsnResponse, type CityResponse, open } from 'maxmind'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { borrowedClass } from '../../src/answer/client.ts'
import {
  formatAddress,
  formatPrefix,
  maskAddress,
  parseAddress,
  parsePrefix,
  type Prefix,
} from '../../src/dns/address.ts'
import { loadAsns } from '../../src/geo/asn.ts'
import { openCache } from '../../src/geo/cache.ts'
import { openDatabases } from '../../src/geo/database.ts'
import { allocateShared } from '../../src/geo/memory.ts'
import { buildPlaces, type Places } from '../../src/geo/place.ts'
import { type PrefixTable, PrefixTableBuilder } from '../../src/geo/prefixes.ts'
import { leafDepth, leafValue, walk } from '../../src/geo/trie.ts'
import { loadMap, mapKey } from '../../src/policy/cached-map.ts'
import { compileMap, mapDefinition, siteNames } from '../../src/policy/compile.ts'
import { CLASS_UNPLACED, type ClientMap, groupsOf } from '../../src/policy/map.ts'
import type { RuleModel, ServiceModel, SiteModel } from '../../src/zone/model.ts'
import { ELSEWHERE, CLIENTS, FIXTURE, SYSTEMS, writeTestDatabase } from '../support/mmdb.ts'
import { service, site } from './fixture.ts'
import { referenceOrder, type ReferencePlace, type SubnetFiles } from './reference.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-map-'))
const path = join(folder, 'city.mmdb')
const asnPath = join(folder, 'asn.mmdb')
const unexpected = (problem: unknown): void => expect.fail(JSON.stringify(problem))
let places: Places
let placeOf: (address: string) => ReferencePlace | undefined
let asnOf: (address: string) => number

beforeAll(async () => {
  writeTestDatabase(path, { schema: 'maxmind', aliases: true })
  writeTestDatabase(asnPath, { schema: 'maxmind', networks: SYSTEMS, aliases: true })
  const noCache = openCache(undefined, unexpected)
  const asns = loadAsns(openDatabases([asnPath], unexpected)!, noCache, unexpected)!
  places = { ...buildPlaces(openDatabases([path], unexpected)!, unexpected)!, asns }
  const asnReader = await open<AsnResponse>(asnPath)
  asnOf = (address) => asnReader.get(address)?.autonomous_system_number ?? 0
  const reader = await open<CityResponse>(path)
  placeOf = (address) => {
    const found = reader.get(address)
    const { latitude, longitude } = found?.location ?? {}
    const country = found?.country?.iso_code ?? ''
    return found
      ? {
          continent: ELSEWHERE.get(country) ?? found.continent?.code ?? '',
          country,
          subdivision: found.subdivisions?.[0]?.iso_code ?? '',
          latitude,
          longitude,
        }
      : undefined
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const at = { file: 'test.yaml', line: 1, column: 1 }
const FOLDING = ['::ffff:0:0/96', '64:ff9b::/96', '2002::/16', '2001::/32']
/** Reads as unplaced, whatever stands there. */
const IPV4_IN_IPV6 = '::/96'

const toInteger = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
const toBytes = (address: bigint, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Number((address >> BigInt(8 * (size - 1 - i))) & 255n))

/** The first address of a prefix and the one behind its last. */
function range(prefix: string): [bigint, bigint] {
  const { bytes, bits } = parsePrefix(prefix)!
  const first = toInteger(bytes)
  return [first, first + (1n << BigInt(8 * bytes.length - bits))]
}

const isIn = (prefix: string, bytes: Uint8Array): boolean => {
  const [from, to] = range(prefix)
  return bytes.length === 16 && toInteger(bytes) >= from && toInteger(bytes) < to
}

interface Compiled {
  readonly map: ClientMap
  readonly names: readonly string[]
}

function compile(model: ServiceModel, sites: ReadonlyMap<string, SiteModel>, home?: SiteModel): Compiled {
  return { map: compileMap(mapDefinition(model, sites, home), places, allocateShared), names: siteNames(model) }
}

const find = ({ map }: Compiled, bytes: Uint8Array): number => walk(bytes.length === 4 ? map.v4 : map.v6, bytes, 0)

/** `1 fra | ams iad … sin`: rule 1, then groups, the tail behind dots. */
function order(compiled: Compiled, address: string): string {
  const { rule, fence, groups, tail } = groupsOf(compiled.map, leafValue(find(compiled, parseAddress(address)!)))
  const texts = groups.map((group) => group.map((number) => compiled.names[number]).join(' '))
  const last = tail ? ` … ${texts.pop()}` : ''
  return `${rule < 0 ? '' : `${fence ? 'fence' : 'rule'} ${rule}: `}${texts.join(' | ')}${last}`
}

/** The service with rules that look at places alone: what a resolver lends to its clients without a place. */
const byGeosAlone = (model: ServiceModel): ServiceModel => ({
  ...model,
  rules: model.rules.map((rule) => ({ ...rule, subnets: [], subnetFiles: [], asns: [] })),
})

/** Every value of one family by the reference, at every address where it can change. */
function compare(
  compiled: Compiled,
  model: ServiceModel,
  sites: ReadonlyMap<string, SiteModel>,
  home: SiteModel | undefined,
  family: 4 | 6,
  files: SubnetFiles,
): void {
  const size = family === 4 ? 4 : 16
  const subnets = [...model.rules.flatMap((rule) => rule.subnets), ...files.flat()].map(formatPrefix)
  const known = [...FIXTURE, ...SYSTEMS].map(({ prefix }) => prefix)
  const prefixes = [...known, ...subnets, ...FOLDING, IPV4_IN_IPV6]
  const edges = [...new Set([0n, ...prefixes.filter((one) => parsePrefix(one)!.family === family).flatMap(range)])]
    .filter((edge) => edge < 1n << BigInt(8 * size))
    .toSorted((a, b) => (a < b ? -1 : 1))
  const expected = edges.map((edge) => {
    const bytes = toBytes(edge, size)
    const folds = FOLDING.some((prefix) => isIn(prefix, bytes))
    const isKnown = !folds && !isIn(IPV4_IN_IPV6, bytes)
    const place = isKnown ? placeOf(formatAddress(bytes)) : undefined
    const asn = isKnown ? asnOf(formatAddress(bytes)) : 0
    const expects = referenceOrder(model, sites, home, place, bytes, asn, files)
    const lends = folds ? undefined : referenceOrder(byGeosAlone(model), sites, home, place, bytes)
    return { bytes, expects, lends, text: JSON.stringify([folds, expects]) }
  })
  const isUniform = (start: bigint, end: bigint): boolean => {
    let i = edges.findLastIndex((edge) => edge <= start)
    const { text } = expected[i]!
    while (++i < edges.length && edges[i]! < end) if (expected[i]!.text !== text) return false
    return true
  }
  for (const { bytes, expects, lends } of expected) {
    const { rule, fence, pick, groups, tail, unplaced } = expects
    const leaf = find(compiled, bytes)
    const found = groupsOf(compiled.map, leafValue(leaf))
    const where = formatAddress(bytes)
    expect([where, found.rule, found.fence, found.pick, found.tail]).toEqual([where, rule, fence, pick, tail])
    expect([where, found.groups.map((group) => group.map((number) => compiled.names[number]))]).toEqual([where, groups])
    expect([where, leafValue(leaf) === CLASS_UNPLACED]).toEqual([where, unplaced])
    if (lends !== undefined) {
      const lent = groupsOf(compiled.map, borrowedClass(compiled.map, family, bytes, 0))
      const named = lent.groups.map((group) => group.map((number) => compiled.names[number]))
      expect([where, lent.rule, lent.fence, named]).toEqual([where, lends.rule, lends.fence, lends.groups])
    }
    const depth = leafDepth(leaf)
    const width = (bits: number): [bigint, bigint] => {
      const span = 1n << BigInt(8 * size - bits)
      const start = (toInteger(bytes) / span) * span
      return [start, start + span]
    }
    expect([where, depth, isUniform(...width(depth))]).toEqual([where, depth, true])
    if (depth > 0) expect([where, depth, isUniform(...width(depth - 1))]).toEqual([where, depth, false])
  }
}

const NAMES = ['ams', 'fra', 'iad', 'lax', 'nrt', 'sin', 'syd', 'zrh']
/** Whole degrees, which no client of the fixture is on: rounding decides nothing. */
const coordinate = (limit: number): fc.Arbitrary<number> => fc.integer({ min: -limit, max: limit })

const SUBNETS = [
  '10.0.0.0/8',
  '10.1.0.0/16',
  '82.64.0.0/15',
  '82.64.128.0/17',
  '5.0.0.0/8',
  '31.0.0.0/9',
  '177.64.0.0/10',
  '0.0.0.0/0',
]
  .concat([
    '2a01:e00::/28',
    '2a01:e00::/27',
    '2c00::/16',
    '2001:db8::/32',
    '2001::/16',
    '2000::/4',
    '::/0',
    '2002:8000::/17',
  ])
  .map((text) => parsePrefix(text)!)
const GEOS = [
  { continent: 'EU' },
  { continent: 'AS' },
  { continent: 'NA', country: 'US' },
  { continent: 'EU', country: 'IT' },
  { continent: 'NA', country: 'US', subdivision: 'CA' },
  { continent: 'AS', country: 'JP' },
]

const groupsArbitrary = (names: readonly string[]): fc.Arbitrary<string[][]> =>
  fc
    .tuple(
      fc.shuffledSubarray([...names], { minLength: 1 }),
      fc.array(fc.boolean(), { minLength: names.length, maxLength: names.length }),
    )
    .map(([chosen, joins]) =>
      chosen.reduce<string[][]>((groups, name, i) => {
        if (i > 0 && joins[i]) groups.at(-1)!.push(name)
        else groups.push([name])
        return groups
      }, []),
    )

/** Of a file: few first bytes and all lengths, so that they nest, adjoin each other and the networks of the databases. */
const filePrefixes: fc.Arbitrary<Prefix[]> = fc.array(
  fc.oneof(
    fc
      .tuple(
        fc.constantFrom(5, 10, 31, 82, 198),
        fc.constantFrom(0, 64, 128, 255),
        fc.nat(255),
        fc.integer({ min: 1, max: 32 }),
      )
      .map(([a, b, c, bits]) => prefixAt([a, b, c, 128], bits)),
    fc
      .tuple(
        fc.constantFrom(0x2a, 0x2c, 0x20),
        fc.nat(1),
        fc.constantFrom(0x0e, 0x40, 0x80),
        fc.integer({ min: 3, max: 64 }),
      )
      .map(([a, b, c, bits]) => prefixAt([a, b, c, ...Array.from({ length: 13 }, () => 0x81)], bits)),
  ),
  { maxLength: 40 },
)

const prefixAt = (bytes: readonly number[], bits: number): Prefix => ({
  family: bytes.length === 4 ? 4 : 6,
  bytes: maskAddress(Uint8Array.from(bytes), bits),
  bits,
})

function tableOf(prefixes: readonly Prefix[]): PrefixTable {
  const builder = new PrefixTableBuilder()
  for (const prefix of prefixes) builder.add(prefix)
  return builder.done()
}

const scene = fc.integer({ min: 1, max: NAMES.length }).chain((count) => {
  const names = NAMES.slice(0, count)
  const rule: fc.Arbitrary<RuleModel> = fc.record({
    subnets: fc.subarray(SUBNETS, { maxLength: 4 }),
    asns: fc.subarray([64500, 64501, 64502, 4_200_000_000, 64999], { maxLength: 2 }),
    geos: fc.subarray(GEOS, { maxLength: 2 }),
    order: groupsArbitrary(names),
    only: fc.boolean(),
    pick: fc.constantFrom(undefined, 'hash', 'random'),
    at: fc.constant(at),
  })
  return fc.record({
    sites: fc.tuple(
      ...names.map((name) =>
        fc.record({ latitude: coordinate(89), longitude: coordinate(179) }).map((where) => site(name, where)),
      ),
    ),
    named: fc.shuffledSubarray(names, { minLength: count }),
    bias: fc.array(fc.constantFrom(0, 0, 30, -50, 99), { minLength: count, maxLength: count }),
    listed: fc.option(groupsArbitrary(names), { freq: 2 }),
    spreadKm: fc.constantFrom(0, 0, 500, 3000),
    candidates: fc.integer({ min: 1, max: 8 }),
    rules: fc.array(rule, { maxLength: 4 }),
    files: fc.array(fc.option(filePrefixes, { freq: 2, nil: [] }), { minLength: 4, maxLength: 4 }),
    closed: fc.boolean(),
    home: fc.option(
      fc.record({ latitude: coordinate(89), longitude: coordinate(179) }).map((where) => site('home', where)),
    ),
  })
})

test('any service: order, class and scope of every network equal the reference', () => {
  fc.assert(
    fc.property(scene, ({ sites, named, bias, listed, closed, spreadKm, candidates, rules, files, home }) => {
      const base = service(named.map((name) => ({ site: name, vips: [] })))
      const model: ServiceModel = {
        ...base,
        sites: base.sites.map((one, i) => ({ ...one, bias: bias[i]! })),
        order:
          listed === null
            ? { kind: 'nearest' }
            : { kind: 'listed', groups: listed, ...(closed && { only: true as const }) },
        spreadKm,
        candidates,
        rules: rules.map((one, i) => (files[i]!.length === 0 ? one : { ...one, subnetFiles: [tableOf(files[i]!)] })),
      }
      const byName = new Map(sites.map((one) => [one.name, one]))
      const compiled = compile(model, byName, home ?? undefined)
      compare(compiled, model, byName, home ?? undefined, 4, files)
      compare(compiled, model, byName, home ?? undefined, 6, files)
    }),
    { numRuns: 40, endOnFailure: true },
  )
})

const SITES = new Map(
  [
    site('fra', { latitude: 50.11, longitude: 8.68 }),
    site('ams', { latitude: 52.31, longitude: 4.76 }),
    site('iad', { latitude: 38.95, longitude: -77.45 }),
    site('sin', { latitude: 1.36, longitude: 103.99 }),
  ].map((one) => [one.name, one]),
)
const web = (more: Partial<ServiceModel> = {}): ServiceModel =>
  service(
    ['fra', 'iad', 'sin', 'ams'].map((name) => ({ site: name, vips: [] })),
    more,
  )
const orders = (model: ServiceModel, ...addresses: string[]): string[] => {
  const compiled = compile(model, SITES)
  return addresses.map((address) => order(compiled, address))
}

describe('by hand', () => {
  test('nearest', () => {
    const found = orders(web(), CLIENTS.paris.v4, CLIENTS.newYork.v6, CLIENTS.jakarta.v4, CLIENTS.nowhere.v4)
    expect(found).toEqual([
      'ams | fra | iad | sin',
      'iad | ams | fra | sin',
      'sin | fra | ams | iad',
      'fra | iad | sin | ams',
    ])
  })

  test('candidates and the tail', () => {
    expect(orders(web({ candidates: 2 }), CLIENTS.newYork.v4)).toEqual(['iad | ams … fra sin'])
    expect(orders(web({ candidates: 1 }), CLIENTS.tokyo.v4)).toEqual(['sin … ams fra iad'])
  })

  test('spread groups what is near the anchor, not near each other; a group is never cut', () => {
    expect(orders(web({ spreadKm: 500 }), CLIENTS.paris.v4, CLIENTS.tokyo.v4)).toEqual([
      'ams fra | iad | sin',
      'sin | ams fra | iad',
    ])
    expect(orders(web({ spreadKm: 500, candidates: 1 }), CLIENTS.paris.v4)).toEqual(['ams fra … iad sin'])
  })

  test('bias moves borders', () => {
    const base = web()
    const biased = { ...base, sites: base.sites.map((one) => (one.site === 'fra' ? { ...one, bias: 50 } : one)) }
    expect(orders(biased, CLIENTS.paris.v4)).toEqual(['fra | ams | iad | sin'])
  })

  test('sites in one place are ranked by name', () => {
    const twin = { ...SITES.get('fra')!, name: 'zrh' }
    const model = service(['zrh', 'fra', 'iad'].map((name) => ({ site: name, vips: [] })))
    expect(order(compile(model, new Map([...SITES, ['zrh', twin]])), CLIENTS.newYork.v4)).toBe('iad | fra | zrh')
  })

  test('listed, and what the list leaves out', () => {
    const listed = web({ order: { kind: 'listed', groups: [['sin', 'iad'], ['ams']] } })
    expect(orders(listed, CLIENTS.paris.v4, CLIENTS.nowhere.v6)).toEqual(['iad sin | ams | fra', 'iad sin | ams | fra'])
    expect(leafDepth(find(compile(listed, SITES), parseAddress(CLIENTS.paris.v4)!))).toBe(0)
  })

  test('a rule is a preference, a fence is a fence, and a subnet reaches clients that nobody can place', () => {
    const rules: RuleModel[] = [
      {
        subnets: [parsePrefix('198.51.0.0/16')!],
        asns: [],
        geos: [],
        order: [['sin']],
        only: true,
        pick: undefined,
        at,
      },
      {
        subnets: [parsePrefix('198.51.100.0/24')!],
        asns: [],
        geos: [{ continent: 'EU' }],
        order: [['iad', 'sin']],
        only: false,
        pick: undefined,
        at,
      },
    ]
    const found = orders(web({ rules }), '198.51.100.1', '198.51.101.1', CLIENTS.paris.v4, CLIENTS.jakarta.v4)
    expect(found).toEqual([
      'rule 1: iad sin | fra | ams',
      'fence 0: sin',
      'rule 1: iad sin | ams | fra',
      'sin | fra | ams | iad',
    ])
  })

  test('a subnet written as IPv6 that carries IPv4 is that IPv4 subnet', () => {
    const rules: RuleModel[] = [
      {
        subnets: [parsePrefix('2002:c633:6400::/40')!],
        asns: [],
        geos: [],
        order: [['sin']],
        only: true,
        pick: undefined,
        at,
      },
    ]
    expect(orders(web({ rules }), '198.51.100.1', '198.51.101.1')).toEqual(['fence 0: sin', 'fra | iad | sin | ams'])
  })

  test("the node's site stands in for a place that nobody knows", () => {
    const compiled = compile(web({ spreadKm: 500 }), SITES, site('nyc', { latitude: 40.7, longitude: -74 }))
    expect(order(compiled, CLIENTS.nowhere.v4)).toBe('iad | ams fra | sin')
    expect(leafValue(find(compiled, parseAddress(CLIENTS.nowhere.v4)!))).toBe(CLASS_UNPLACED)
    expect(leafValue(find(compiled, parseAddress(CLIENTS.newYork.v4)!))).not.toBe(CLASS_UNPLACED)
  })
})

const key = (model: ServiceModel, sites = SITES, home?: SiteModel): string => mapDefinition(model, sites, home).key

const NO_KEYS: RuleModel = { subnets: [], asns: [], geos: [], order: [['fra']], only: true, pick: undefined, at }

describe('definitions', () => {
  test('a new ASN database changes the maps that look at it, and no other', () => {
    const renewed = { ...places, asns: { ...places.asns!, id: 'asns of tomorrow' } }
    const keys = (rules: readonly RuleModel[]): string[] =>
      [places, renewed].map((one) => mapKey(mapDefinition(web({ rules }), SITES), one))
    expect(new Set(keys([{ ...NO_KEYS, geos: [{ continent: 'EU' }] }])).size).toBe(1)
    expect(new Set(keys([{ ...NO_KEYS, asns: [64500] }])).size).toBe(2)
  })

  test('what does not change the map does not change the key', () => {
    expect(key({ ...web(), name: 'api', pick: 'random', minVips: 3 })).toBe(key(web()))
    expect(key(web({ candidates: 4 }))).toBe(key(web({ candidates: 9 })))
    const moved = { ...SITES.get('fra')!, capacity: 7, drained: true, at: { ...at, line: 9 } }
    expect(key(web(), new Map([...SITES, ['fra', moved]]))).toBe(key(web()))
    const listed = web({ order: { kind: 'listed', groups: [['sin']] } })
    expect(key({ ...listed, spreadKm: 5 })).toBe(key(listed))
  })

  test('what does, does', () => {
    const base = web()
    const variants: ServiceModel[] = [
      base,
      { ...base, spreadKm: 1 },
      { ...base, candidates: 3 },
      { ...base, sites: base.sites.toReversed() },
      { ...base, sites: base.sites.slice(1) },
      { ...base, sites: base.sites.map((one) => ({ ...one, bias: 5 })) },
      { ...base, order: { kind: 'listed', groups: [['fra'], ['ams']] } },
      { ...base, order: { kind: 'listed', groups: [['fra', 'ams']] } },
      { ...base, order: { kind: 'listed', groups: [['fra'], ['ams']], only: true } },
      ...[
        { subnets: [parsePrefix('10.0.0.0/8')!] },
        { subnets: [parsePrefix('10.0.0.0/9')!] },
        { subnetFiles: [tableOf([parsePrefix('10.0.0.0/8')!])] },
        { subnetFiles: [tableOf([parsePrefix('10.0.0.0/9')!])] },
        { asns: [64500] },
        { asns: [64501] },
        { pick: 'hash' as const },
        { pick: 'random' as const },
      ].map((keys) => ({ ...base, rules: [{ ...NO_KEYS, ...keys }] })),
    ]
    const keys = [...variants.map((model) => key(model)), key(base, SITES, SITES.get('sin'))]
    expect(new Set(keys).size).toBe(keys.length)
    const moved = new Map([...SITES, ['fra', site('fra', { latitude: 50.12, longitude: 8.68 })]])
    expect(keys).not.toContain(key(base, moved))
  })

  test('a map comes back from the cache as it was compiled, and not for other places', () => {
    const cache = openCache(join(folder, 'cache'), unexpected)
    const definition = mapDefinition(web(), SITES)
    const made = loadMap(definition, places, cache, allocateShared)
    expect(readdirSync(join(folder, 'cache'))).toHaveLength(1)
    const empty: Places = {
      ...places,
      v4: { nodes: new Int32Array(0), root: ~0 },
      v6: { nodes: new Int32Array(0), root: ~0 },
    }
    expect(loadMap(definition, empty, cache, allocateShared)).toEqual(made)
    const other = loadMap(definition, { ...empty, id: 'other' }, cache, allocateShared)
    expect(leafDepth(walk(other.v4, parseAddress(CLIENTS.paris.v4)!, 0))).toBe(0)
    expect(mapKey(definition, places)).not.toBe(mapKey(definition, { ...places, id: 'other' }))
  })
})
