/** What the zones need of the databases, told at each load for each family; and a new database that has lost it waits. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAddress } from '../../src/dns/address.ts'
import { coverageOf } from '../../src/geo/coverage.ts'
import { placeOf } from '../../src/geo/place.ts'
import {
  type BuildReport,
  type BuildResult,
  type BuildSettings,
  makeBuilder,
  type WorldBuild,
} from '../../src/world/build.ts'
import { acceptBuild } from '../../src/world/geo-hold.ts'
import { madeOf } from '../support/build.ts'
import {
  CLIENTS,
  COUNTRIES,
  FIXTURE,
  SYSTEMS,
  type TestDatabase,
  type TestNetwork,
  writeTestDatabase,
} from '../support/mmdb.ts'

const SITES = 'sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}}'
const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
  'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
}
const NEAREST = `web: {${SITES}, check: none}\n`
const BY_COUNTRY = `web: {${SITES}, check: none, order: [iad, fra], rules: [{geos: [EU], order: [fra]}]}\n`
const BY_ASN = `web: {${SITES}, check: none, order: [iad, fra], rules: [{asns: [64500], order: [fra]}]}\n`

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-coverage-'))
  mkdirSync(join(folder, 'zones'))
  for (const [file, text] of Object.entries(ZONES)) writeFileSync(join(folder, 'zones', file), text)
})
afterEach(() => rmSync(folder, { recursive: true }))

let epoch = 1_790_000_000
/** Writes a database of a later build. */
function write(name: string, database: Omit<TestDatabase, 'schema'> = {}): string {
  writeTestDatabase(join(folder, name), { schema: 'maxmind', buildEpoch: ++epoch, ...database })
  return join(folder, name)
}

const settings = (services: string, more: Partial<BuildSettings> = {}): BuildSettings => {
  writeFileSync(join(folder, 'zones/services.yaml'), services)
  return { zones: join(folder, 'zones'), city: [], listens: [4, 6], ...more }
}
const told = ({ problems }: BuildReport): string[] =>
  problems.map(({ code, severity, file, line }) => `${relative(folder, file)}:${line} ${severity} ${code}`)
const problemsOf = async (services: string, more: Partial<BuildSettings> = {}): Promise<string[]> =>
  told(await makeBuilder(settings(services, more)).build())

describe('without a database', () => {
  test('orders by distance and rules by geos are a warning where they are written', async () => {
    expect(await problemsOf(`${NEAREST}${BY_COUNTRY.replace('web', 'api')}`)).toEqual([
      'zones/services.yaml:2 warning geo-missing',
      'zones/services.yaml:1 warning geo-missing',
    ])
    const { problems } = await makeBuilder(settings(NEAREST)).build()
    expect(problems[0]!.message).toBe(
      'there is no city database for `order: nearest` of web: all clients get the first site',
    )
  })

  test('zones that are checked by themselves get a notice', async () => {
    expect(await problemsOf(NEAREST, { listens: [] })).toEqual(['zones/services.yaml:1 notice geo-missing'])
  })

  test.each([
    ['a listed order', NEAREST.replace('check', 'order: [iad, fra], check'), {}],
    ['one site', 'web: {sites: {fra: {vips: [192.0.2.1]}}, check: none}\n', {}],
    ['the site of the node', NEAREST, { nodeSite: 'fra' }],
  ])('%s needs none', async (_, services, more) => {
    expect(await problemsOf(services, more)).toEqual([])
  })
})

describe('a database without what is needed', () => {
  test('IPv4 alone, where IPv6 is listened on', async () => {
    const city = [write('v4.mmdb', { ipVersion: 4 })]
    expect(await problemsOf(NEAREST, { city })).toEqual(['v4.mmdb:0 warning geo-coverage'])
    expect(await problemsOf(NEAREST, { city, listens: [4] })).toEqual([])
    const { problems } = await makeBuilder(settings(NEAREST, { city })).build()
    expect(problems[0]!.message).toBe(
      'the databases have coordinates for 0 % of the IPv6 addresses, for `order: nearest` of web: the other IPv6 clients get the first site',
    )
    const both = [...city, write('v6.mmdb')]
    expect(await problemsOf(NEAREST, { city: both })).toEqual([])
  })

  test('countries without coordinates: for orders by distance, not for rules', async () => {
    const city = [write('country.mmdb', { networks: COUNTRIES })]
    const both = 'country.mmdb:0 warning geo-coverage'
    expect(await problemsOf(NEAREST, { city })).toEqual([both, both])
    expect(await problemsOf(BY_COUNTRY, { city })).toEqual([])
  })

  test('coordinates without countries: for rules, not for orders by distance', async () => {
    const networks = FIXTURE.map((network): TestNetwork => ({
      ...network,
      continent: '',
      country: '',
      subdivision: '',
    }))
    const city = [write('bare.mmdb', { networks })]
    expect(await problemsOf(NEAREST, { city })).toEqual([])
    const both = 'bare.mmdb:0 warning geo-coverage'
    expect(await problemsOf(BY_COUNTRY, { city })).toEqual([both, both])
  })

  test('AS numbers of IPv4 alone', async () => {
    const city = [write('city.mmdb')]
    const networks = [...SYSTEMS, { prefix: '126.0.0.0/7', asn: 64503 }]
    const asn = [write('asn.mmdb', { networks, ipVersion: 4 })]
    expect(await problemsOf(BY_ASN, { city, asn })).toEqual(['asn.mmdb:0 warning geo-coverage'])
    expect(await problemsOf(BY_ASN, { city, asn: [write('asn.mmdb', { networks })] })).toEqual([])
  })

  test('unusable databases have one problem, not two', async () => {
    const broken = join(folder, 'broken.mmdb')
    writeFileSync(broken, 'none')
    const city = [write('city.mmdb')]
    const state = { state: folder, cache: join(folder, 'cache') }
    expect(await problemsOf(BY_ASN, { city, asn: [broken], ...state })).toEqual(['broken.mmdb:0 error geo-corrupt'])
    expect(await problemsOf(NEAREST, { city: [broken], state: join(folder, 'new') })).toEqual([
      'broken.mmdb:0 error geo-corrupt',
    ])
  })

  test('and no zone that needs it', async () => {
    const city = [write('v4.mmdb', { ipVersion: 4 })]
    expect(await problemsOf(NEAREST.replace('check', 'order: [iad, fra], check'), { city })).toEqual([])
  })
})

test('the share is of addresses: of all of IPv4, of 2000::/3 of IPv6', async () => {
  const there = { continent: 'EU', country: 'FR', latitude: 1, longitude: 1 }
  const nowhere = { continent: 'EU', country: 'DE' }
  const networks: TestNetwork[] = [
    { prefix: '64.0.0.0/2', ...there },
    { prefix: '128.0.0.0/3', ...there },
    { prefix: '96.0.0.0/4', ...nowhere },
    { prefix: '3000::/4', ...there },
    { prefix: '2400::/8', ...nowhere },
    { prefix: '4000::/3', ...there },
  ]
  const { places } = madeOf(
    await makeBuilder(settings(NEAREST, { city: [write('c.mmdb', { networks })] })).build(),
  ).context
  const shares = ([4, 6] as const).map((family) => [
    coverageOf(places, 'coordinates', family),
    coverageOf(places, 'countries', family),
    coverageOf(places, 'asns', family),
  ])
  expect(shares).toEqual([
    [1 / 4 - 1 / 16 + 1 / 8, 1 / 4 + 1 / 8, 0],
    [1 / 2, 1 / 2 + 1 / 32, 0],
  ])
})

const countryOf = (built: BuildResult<WorldBuild>, address: string): string =>
  placeOf(madeOf(built).context.places, parseAddress(address)!).country

describe('a new database that has lost what is needed', () => {
  test.each<[string, Omit<TestDatabase, 'schema'>, RegExp]>([
    [
      'IPv6',
      { ipVersion: 4 },
      /^new databases are not used: the databases have coordinates for 0 % of the IPv6 addresses, those before for [\d.]+ %\. They move [\d.]+ % of the IPv6/,
    ],
    ['coordinates', { networks: COUNTRIES }, /coordinates for 0 % of the IPv4 addresses/],
    ['all but one network', { networks: FIXTURE.slice(0, 1) }, /coordinates for [\d.]+ % of the IPv4 addresses/],
  ])('%s: it waits without any limit, over a restart too, until it is accepted', async (_, database, message) => {
    const city = [write('city.mmdb')]
    const node = settings(NEAREST, { city, state: folder, cache: join(folder, 'cache') })
    const builder = makeBuilder(node)
    expect(told(await builder.build())).toEqual([])
    write('city.mmdb', database)
    for (const held of [await builder.build(), await makeBuilder(node).build()]) {
      expect(madeOf(held).held).not.toBeNull()
      const problem = held.problems.find(({ code }) => code === 'geo-held')!
      expect(problem.message).toMatch(message)
      expect(countryOf(held, CLIENTS.tokyo.v6)).toBe('JP')
    }
    acceptBuild(folder, madeOf(await builder.build()).held!.build)
    expect(madeOf(await builder.build()).held).toBeNull()
  })

  test('zones that do not need it take it', async () => {
    const city = [write('city.mmdb')]
    const builder = makeBuilder(settings(BY_COUNTRY, { city, state: folder, cache: join(folder, 'cache') }))
    await builder.build()
    write('city.mmdb', { networks: COUNTRIES })
    const taken = await builder.build()
    expect([madeOf(taken).held, told(taken)]).toEqual([null, []])
  })

  test('a smaller loss is taken', async () => {
    const city = [write('city.mmdb')]
    const builder = makeBuilder(settings(NEAREST, { city, state: folder, cache: join(folder, 'cache') }))
    await builder.build()
    write('city.mmdb', { networks: FIXTURE.filter(({ country: code }) => code !== 'FR') })
    const taken = await builder.build()
    expect([madeOf(taken).held, told(taken)]).toEqual([null, []])
  })
})
