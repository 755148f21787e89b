/** Rules by autonomous system in a World: who matches, what `explain` and the scope say, and what a database has to be. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAddress } from '../../src/dns/address.ts'
import { explain, type Explanation } from '../../src/explain/explain.ts'
import { placeOf } from '../../src/geo/place.ts'
import { type BuildReport, type BuildSettings, makeBuilder } from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { encodeTestDatabase, SYSTEMS, writeTestDatabase } from '../support/mmdb.ts'
import { makeNode } from './fixture.ts'

const FILES: Readonly<Record<string, string>> = {
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7}\n',
  'sites.yaml': `fra: {location: [50.11, 8.68]}
iad: {location: [38.95, -77.45]}
sin: {location: [1.36, 103.99]}
`,
  'services.yaml': `web:
  sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [192.0.2.20]}, sin: {vips: [192.0.2.30]}}
  check: none
  rules:
    - {subnets: [198.51.100.128/25], order: [iad]}
    - {asns: [64500], geos: [AS], order: [sin]}
    - {asns: [64501], order: [[fra, iad]], pick: random}
    - {geos: [EU], order: [iad]}
api:
  sites: {fra: {vips: [192.0.2.11]}, iad: {vips: [192.0.2.21]}}
  check: none
  rules: [{geos: [AS], order: [iad]}]
`,
  'example.com.yaml': `"": {type: NS, values: [ns1.example.net.]}
www: {type: GSLB, service: web}
`,
}
const node = await makeNode(FILES)
const ask = (client: string, chance = 0): Explanation => {
  const question = { name: 'www.example.com', client, type: 'A', down: [], chance }
  const told = explain(node.made.world, node.health, node.made.context, question)
  if (typeof told === 'string') throw new Error(told)
  return told
}
/** Line of the rule in services.yaml, 0 without; first site of the order; scope. */
const brief = (client: string): readonly unknown[] => {
  const { steering, scope } = ask(client)
  return [Number(steering!.rule?.replace(/.*:/, '') ?? 0), steering!.sites[0]!.site, scope]
}

test('subnets go before numbers, numbers before geos, and the scope is the walk’s', () => {
  expect(brief('82.64.1.1')).toEqual([6, 'sin', 15]) // Paris, and 64500: not the rule for Europe
  expect(brief('198.51.100.1')).toEqual([6, 'sin', 25]) // nobody knows where, but whose
  expect(brief('198.51.100.200')).toEqual([5, 'iad', 25])
  expect(brief('82.67.1.1')).toEqual([8, 'iad', 16]) // Paris, of nobody's
  expect(brief('2a01:e00::1')).toEqual([6, 'sin', 27])
  expect(brief('2002:5240:0101::1')).toEqual([6, 'sin', 31]) // 6to4 of 82.64.1.1
  expect(brief('126.1.1.1')[0]).toBe(6) // Tokyo: the same rule by its other key
})

test('a rule that draws by chance has the whole width of its class for its scope, whatever the service does', () => {
  const answers = new Set(Array.from({ length: 64 }, (_, chance) => ask('24.90.1.1', chance).answer.join()))
  expect(answers.size).toBe(2)
  expect(brief('24.90.1.1')).toEqual([7, 'fra', 15])
})

test('a place has its number, and the prefix that has it', () => {
  const { places } = node.made.context
  const of = (address: string): readonly number[] => {
    const { asn, asnDepth } = placeOf(places, parseAddress(address)!)
    return [asn, asnDepth]
  }
  expect(of('82.66.7.1')).toEqual([64501, 24])
  expect(of('5.1.2.3')).toEqual([4_200_000_000, 10])
  expect(of('2604:2000::1')).toEqual([64501, 29])
  expect(of('::ffff:82.64.1.1')).toEqual([64500, 15])
  expect(of('76.84.1.1')[0]).toBe(0) // in the database, without a number
  expect(of('203.0.113.1')[0]).toBe(0)
  expect(ask('82.66.7.1').steering!.place).toMatchObject({
    asn: { number: 64501, prefix: '82.66.7.0/24' },
  })
})

let folder = ''
let settings: BuildSettings
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-asns-'))
  mkdirSync(join(folder, 'zones'))
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, 'zones', name), text)
  writeTestDatabase(join(folder, 'city.mmdb'), { schema: 'maxmind' })
  writeTestDatabase(join(folder, 'asn.mmdb'), { schema: 'maxmind', networks: SYSTEMS })
  settings = { zones: join(folder, 'zones'), city: [join(folder, 'city.mmdb')], asn: [join(folder, 'asn.mmdb')] }
})
afterEach(() => rmSync(folder, { recursive: true }))

const told = ({ problems }: BuildReport): string[] =>
  problems.map(({ code, severity, file, line }) => `${relative(folder, file)}:${line} ${severity} ${code}`)

describe('the builder', () => {
  test('without a database of numbers: an error where there is one of places, else a warning', async () => {
    const rules = ['zones/services.yaml:6', 'zones/services.yaml:7']
    const some = await makeBuilder({ ...settings, asn: [] }).build()
    expect(told(some)).toEqual(rules.map((at) => `${at} error asn-database-missing`))
    const none = await makeBuilder({ zones: settings.zones, city: [] }).build()
    expect(told(none)).toEqual(rules.map((at) => `${at} warning asn-database-missing`))
    expect([some.kind, none.kind]).toEqual(['refused', 'made'])
    expect(told(await makeBuilder(settings).build())).toEqual([])
  })

  test('a database of the other kind is told, both at once', async () => {
    const swapped = { ...settings, city: settings.asn!, asn: settings.city }
    const built = await makeBuilder(swapped).build()
    expect(told(built)).toEqual(['asn.mmdb:0 error geo-schema', 'city.mmdb:0 error geo-schema'])
    expect(built.problems.map(({ hint }) => hint)).toEqual([
      expect.stringContaining('City'),
      expect.stringContaining('ASN'),
    ])
  })

  test('a truncated one, and one that is not there', async () => {
    writeFileSync(settings.asn![0]!, encodeTestDatabase({ schema: 'flat', networks: SYSTEMS }).subarray(0, 400))
    expect(told(await makeBuilder(settings).build())).toEqual(['asn.mmdb:0 error geo-corrupt'])
    rmSync(settings.asn![0]!)
    expect(told(await makeBuilder(settings).build())).toEqual(['asn.mmdb:0 error geo-unreadable'])
  })

  test('IPv4 and IPv6 may be apart', async () => {
    const asn = ([4, 6] as const).map((ipVersion) => {
      const path = join(folder, `asn-${ipVersion}.mmdb`)
      writeTestDatabase(path, { schema: 'flat', networks: SYSTEMS, ipVersion })
      return path
    })
    const { places } = madeOf(await makeBuilder({ ...settings, asn }).build()).context
    const numbers = ['82.66.7.1', '2604:2000::1'].map((address) => placeOf(places, parseAddress(address)!).asn)
    expect(numbers).toEqual([64501, 64501])
  })

  test('a new database compiles the maps that look at it anew, and keeps the others', async () => {
    const builder = makeBuilder(settings)
    const [first, again] = [await builder.build(), await builder.build()]
    expect(madeOf(again).world.maps[0]).toBe(madeOf(first).world.maps[0])
    const moved = SYSTEMS.map((one) => ({ ...one, asn: one.asn === 64500 ? 64999 : one.asn }))
    writeTestDatabase(join(folder, 'new.mmdb'), { schema: 'maxmind', networks: moved, buildEpoch: 1_800_000_000 })
    copyFileSync(join(folder, 'new.mmdb'), settings.asn![0]!)
    const renewed = await builder.build()
    const same = madeOf(renewed).world.services.map(({ name, map }, i) => {
      const before = madeOf(first).world.maps[madeOf(first).world.services[i]!.map]
      return [name, madeOf(renewed).world.maps[map] === before]
    })
    expect(same).toEqual([
      ['api', true],
      ['web', false],
    ])
    expect(madeOf(renewed).view).not.toBe(madeOf(first).view)
  })

  test('a database that no rule looks at is no part of the view', async () => {
    const [head] = FILES['services.yaml']!.split('api:')
    writeFileSync(
      join(folder, 'zones/services.yaml'),
      head!.replaceAll(/asns: \[\d+\],/g, 'subnets: [10.0.0.0/8],').replace('10.0.0.0/8', '10.1.0.0/16'),
    )
    const views = [settings, { ...settings, asn: [] }].map(async (one) => madeOf(await makeBuilder(one).build()).view)
    const [one, other] = await Promise.all(views)
    expect(one).toBe(other)
  })

  test('from the cache they are as they were, and tidying keeps them', async () => {
    const cached = { ...settings, cache: join(folder, 'cache'), tidiesCache: true }
    const first = madeOf(await makeBuilder(cached).build())
    const files = readdirSync(cached.cache)
    expect(files).toHaveLength(4) // places, numbers, two maps
    const second = madeOf(await makeBuilder(cached).build())
    expect(second.context.places.asns).toEqual(first.context.places.asns)
    expect(second.world.maps).toEqual(first.world.maps)
    expect(readdirSync(cached.cache)).toEqual(files)
  })
})

/** One rule, by geos. */
const withGeos = (geos: string): void => {
  const rule = `  rules: [{geos: [${geos}], order: [iad]}]\n`
  writeFileSync(
    join(folder, 'zones/services.yaml'),
    FILES['services.yaml']!.split('api:')[0]!.split('  rules:')[0]! + rule,
  )
}

describe('subdivisions', () => {
  test('that the database has nowhere are a warning at their rule', async () => {
    withGeos('NA-US-CA, EU-FR-ZZZ, AS-CN-BJ, NA-US-TX, AS')
    const built = await makeBuilder(settings).build()
    expect(told(built)).toEqual(['zones/services.yaml:4 warning geo-unmatched'])
    expect(built.problems[0]!.message).toContain('of EU-FR-ZZZ, NA-US-TX,')
    expect(built.kind).toBe('made')
  })

  test('a flat database has those of the US and Canada, by their names, and no others', async () => {
    writeTestDatabase(settings.city[0]!, { schema: 'flat' })
    withGeos('NA-US-CA, NA-CA-ON, AS-CN-BJ, AS-JP')
    const built = await makeBuilder(settings).build()
    expect(built.problems.map(({ message }) => message)).toEqual([expect.stringContaining('of AS-CN-BJ,')])
  })

  test('are nobody’s affair without a database', async () => {
    withGeos('EU-FR-ZZZ')
    expect(told(await makeBuilder({ ...settings, city: [] }).build())).toEqual([])
  })
})
