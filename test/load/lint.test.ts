/** What works but hurts: each of the linter's codes by a folder and its twin, and where it must keep quiet. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lint } from '../../src/load/lint.ts'
import { loadFolder } from '../../src/load/load.ts'
import type { Problem } from '../../src/problem.ts'
import type { ServiceModel } from '../../src/zone/model.ts'

const repository = resolve(import.meta.dirname, '../..')
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-lint-'))
  cpSync(join(repository, 'test/zones'), folder, { recursive: true, verbatimSymlinks: true })
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Where each folder hurts. */
const PLACES: Readonly<Record<string, string>> = {
  'budget-long': 'example.com.yaml:2:6',
  'check-slow': 'services.yaml:1:1',
  'drill-never': 'drills.yaml:2:3',
  'name-doubled': 'example.com.yaml:2:18',
  'ns-one-network': 'example.com.yaml:1:5',
  'regions-few': 'services.yaml:1:1',
  'service-unused': 'services.yaml:6:1',
  'single-site': 'services.yaml:1:1',
  'site-far': 'sites.yaml:2:1',
  'spread-unused': 'services.yaml:6:3',
  'weight-unused': 'services.yaml:4:34',
}

async function lintFolder(path: string): Promise<readonly Problem[]> {
  const { model, problems } = await loadFolder(path)
  if (model === undefined) throw new Error(problems[0]?.message)
  return lint(model)
}

describe.each(Object.entries(PLACES))('%s', (code, place) => {
  test('the folder loads, and the linter warns of it, and of nothing else', async () => {
    const path = join(folder, code, 'bad')
    expect((await loadFolder(path)).problems).toEqual([])
    const found = (await lintFolder(path)).map(({ file, line, column, severity, code: told }) => [
      `${relative(path, file)}:${line}:${column}`,
      severity,
      told,
    ])
    expect(found).toEqual([[place, 'warning', code]])
  })

  test('its twin is quiet', async () => {
    expect(await lintFolder(join(folder, code, 'good'))).toEqual([])
  })
})

test('the valid twins of faults are free of warnings, and so is the example', async () => {
  for (const code of readdirSync(folder)) {
    const good = join(folder, code, 'good')
    const { model } = await loadFolder(good)
    if (model !== undefined) expect([code, ...lint(model)]).toEqual([code])
  }
  expect(await lintFolder(join(repository, 'zones'))).toEqual([])
})

const SITES = `fra: {location: [50.11, 8.68]}
ams: {location: [52.31, 4.76]}
iad: {location: [38.95, -77.45]}
`
const NS = '"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n'

/** Codes and messages for a service with three sites and what stands behind them. */
async function lintService(
  rest: string,
  zone = 'www: {type: GSLB, service: web}\n',
  ns = NS,
): Promise<readonly Problem[]> {
  const path = mkdtempSync(join(folder, 'one-'))
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'defaults.yaml'), 'soa: {serial: 1}\n')
  writeFileSync(join(path, 'sites.yaml'), SITES)
  writeFileSync(join(path, 'services.yaml'), `web:\n${rest}`)
  writeFileSync(join(path, 'example.com.yaml'), ns + zone)
  return lintFolder(path)
}

const sites = (fra = '', ams = '', iad = ''): string => `  sites:
    fra: {vips: [192.0.2.10]${fra}}
    ams: {vips: [192.0.2.20]${ams}}
    iad: {vips: [198.51.100.10]${iad}}
  check: none
`

test.each([
  // a spread makes one group of near sites, and clients between any two see both as near
  [`${sites('', ', weight: 30')}  spread: 500km\n`, []],
  [sites('', ', weight: 30'), ['weight-unused']],
  // 0 is passed over while another is usable: it always decides
  [sites('', ', weight: 0'), []],
  // a weight like all the others' says nothing wrong
  [sites(', weight: 100', ', weight: 100'), []],
  [`${sites('', ', weight: 30')}  order: [[fra, ams], iad]\n`, []],
  [`${sites('', '', ', weight: 30')}  order: [[fra, ams], iad]\n`, ['weight-unused']],
  // an inner list of a rule is a group too
  [`${sites('', ', weight: 30')}  rules: [{geos: [EU], order: [[fra, ams]]}]\n`, []],
  [`${sites('', ', weight: 30')}  rules: [{geos: [EU], order: [fra, ams]}]\n`, ['weight-unused']],
  [`${sites(', bias: 20')}  order: [fra, ams]\n`, ['spread-unused']],
  [sites(', bias: 20'), []],
  [`${sites(', bias: 0')}  order: [fra, ams]\n`, []],
  [`${sites()}  candidates: 2\n  order: [fra]\n`, ['spread-unused']],
  [`${sites()}  candidates: 200\n`, []],
  ['  sites: {fra: {vips: [192.0.2.10]}}\n  check: none\n  spread: 500km\n', ['single-site', 'spread-unused']],
])('%j', async (rest, codes) => {
  expect((await lintService(rest)).map(({ code }) => code)).toEqual(codes)
})

test('a service of one site is not told to be what it is already', async () => {
  const found = await lintService('  sites: {fra: {vips: [192.0.2.10]}}\n  check: none\n  spread: 500km\n')
  const hints = found.filter(({ code }) => code === 'spread-unused')
  expect(hints.map(({ hint }) => hint)).toEqual(['It is about distances: leave it out'])
})

test('a name’s own TTL counts for its failover: only those that live long are told', async () => {
  const slow = sites().replace('check: none', 'check: {type: tcp, port: 443}') + '  ttl: 10m\n'
  const long = await lintService(
    slow,
    'a: {type: GSLB, service: web, ttl: 60}\nb: {type: GSLB, service: web}\nc: {type: GSLB, service: web}\n',
  )
  expect(long.map(({ message }) => message)).toEqual([
    'the failover of b.example.com. and 1 more can take long: detection 11.1 s + spread 0.5 s + TTL 600 s = 611.6 s',
  ])
  expect(await lintService(slow, 'a: {type: GSLB, service: web, ttl: 60}\n')).toEqual([])
  expect(await lintService(`${slow}  budget: 11m\n`)).toEqual([])
})

const within = (...addresses: string[]): string => {
  const names = addresses.map((_, i) => `ns${i}.example.com.`)
  const records = addresses.map(
    (address, i) => `ns${i}: {type: ${address.includes(':') ? 'AAAA' : 'A'}, values: ["${address}"]}\n`,
  )
  return `"": {type: NS, values: [${names.join(', ')}]}\n${records.join('')}`
}

test.each([
  ['"": {type: NS, values: [ns1.example.net.]}\n', ['ns-one-network']],
  [within('192.0.2.1'), ['ns-one-network']],
  [within('192.0.2.1', '192.0.2.254'), ['ns-one-network']],
  [within('192.0.2.1', '192.0.3.1'), []],
  [within('2001:db8::1', '2001:db8:0:ffff::1'), ['ns-one-network']],
  [within('2001:db8::1', '2001:db8:1::1'), []],
  // nobody here knows where the second one is
  [within('192.0.2.1').replace('values: [', 'values: [NS1.example.net., '), []],
  // in upper case it is the same server
  [within('192.0.2.1', '192.0.2.2').replace('ns1.example.com.', 'NS1.EXAMPLE.COM.'), ['ns-one-network']],
])('name servers %j', async (ns, codes) => {
  expect((await lintService(sites(), undefined, ns)).map(({ code }) => code)).toEqual(codes)
})

test('a dynamic record is no service that somebody wrote: its values are its places, and no name must name it', async () => {
  const { model } = await loadFolder(join(folder, 'weight-unused/bad'))
  const { written: _, ...web } = model!.services[0]!
  const pool = web.sites[0]!
  const record = (...addresses: readonly string[]): ServiceModel => ({
    ...web,
    name: 'a.example.com:A',
    order: { kind: 'listed', groups: [[pool.site]], only: true },
    sites: addresses.map((address, i) => ({ ...pool, site: `pool${i}`, vips: [{ ...pool.vips[0]!, address }] })),
  })
  const zones = model!.zones.map((zone) => ({ ...zone, services: ['a.example.com:A'] }))
  const codes = (service: ServiceModel) => lint({ ...model!, zones, services: [service] }).map(({ code }) => code)
  expect(codes(record('192.0.2.1', '192.0.2.2'))).toEqual([])
  expect(codes(record('192.0.2.1'))).toEqual(['single-site'])
  expect(codes(record('192.0.2.1', '192.0.2.1'))).toEqual(['single-site'])
})

/** Codes and hints of a folder whose sites are in these places, by region. */
async function lintPlaces(places: Readonly<Record<string, readonly (readonly [number, number])[]>>): Promise<string[]> {
  const path = mkdtempSync(join(folder, 'places-'))
  const lines = Object.entries(places).flatMap(([region, those]) =>
    those.map((place, i) => `${region}${i}: {location: [${place.join(', ')}], region: ${region}}\n`),
  )
  writeFileSync(join(path, 'defaults.yaml'), 'soa: {serial: 1}\n')
  writeFileSync(join(path, 'sites.yaml'), lines.join(''))
  writeFileSync(join(path, 'example.com.yaml'), NS)
  return (await lintFolder(path)).map(({ line, code, hint }) => `${line} ${code} ${hint?.slice(0, 44)}`)
}

const [FRA, AMS, LON] = [
  [50.11, 8.68],
  [52.31, 4.76],
  [51.51, -0.13],
] as const
const [TYO, SYD, SIN, AKL] = [
  [35.68, 139.69],
  [-33.87, 151.21],
  [1.35, 103.82],
  [-36.85, 174.76],
] as const

test.each<[string, Parameters<typeof lintPlaces>[0], string[]]>([
  [
    'regions as they are',
    {
      eu: [FRA, AMS, LON],
      us: [
        [38.95, -77.45],
        [37.77, -122.42],
      ],
      ap: [TYO, SYD, SIN, AKL],
    },
    [],
  ],
  ['one site of a region', { eu: [[8.68, 50.11]] }, []],
  [
    'sites that lie far apart in truth',
    {
      us: [
        [21.31, -157.86],
        [38.95, -77.45],
        [37.77, -122.42],
      ],
    },
    [],
  ],
  ['swapped', { eu: [FRA, [4.76, 52.31], LON] }, ['2 site-far Did you mean location: [52.31, 4.76]?']],
  [
    'without its minus',
    {
      us: [
        [38.95, 77.45],
        [37.77, -122.42],
        [41.88, -87.63],
      ],
    },
    ['1 site-far Did you mean location: [38.95, -77.45]?'],
  ],
  [
    'of two nobody knows which',
    { eu: [[8.68, 50.11], AMS] },
    ['1 site-far One of them seems to be turned round. Latitu'],
  ],
  ['elsewhere', { eu: [FRA, AMS, [-33.92, 18.42]] }, ['3 site-far Latitude comes first; west and south have a ']],
])('places of sites: %s', async (_, places, expected) => {
  expect(await lintPlaces(places)).toEqual(expected)
})

test('names that end with the name of their zone twice are told once, and names that only look like it never', async () => {
  const names = ['www.example.com', 'a.www.example.com', 'example.com', 'www.example', 'xexample.com', 'com']
  const zone = names.map((name) => `${name}: {type: A, value: 192.0.2.1}\n`).join('')
  const found = await lintService(sites(), `www: {type: GSLB, service: web}\n${zone}`)
  expect(found.map(({ line, code, message }) => `${line} ${code} ${message}`)).toEqual([
    '3 name-doubled www.example.com.example.com. ends with the name of its zone twice, and so do 2 more names of this zone',
  ])
})

test('regions that must agree: compared with the probers, and with the regions that are known', async () => {
  const { model } = await loadFolder(join(folder, 'regions-few/bad'))
  const few = (regions?: readonly string[]): (string | undefined)[] =>
    lint(model!, regions && new Set(regions)).map(({ message }) => /of which .*/.exec(message)?.[0])
  expect(few()).toEqual(['of which 2 are known: eu, us'])
  expect(few(['eu', 'us', 'ap'])).toEqual([])
  expect(few(['eu'])).toEqual(['of which 1 is known: eu'])
  const services = model!.services.map((service) => ({ ...service, probers: 2 }))
  expect(lint({ ...model!, services }, new Set(['eu', 'us', 'ap'])).map(({ message }) => message)).toEqual([
    'service web wants DOWN from 3 regions, and 2 probers check a site of it: it may never go DOWN',
  ])
})
