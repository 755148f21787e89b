/** The view is of what is served: how it is written down does not change it, and all that answers depend on does. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeBuilder, type WorldBuild } from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { writeTestDatabase } from '../support/mmdb.ts'
import { writeFiles } from '../support/repository.ts'

const DEFAULTS = 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\nttl: 300\n'
const SITES = `fra: {location: [50.11, 8.68], capacity: 300}
iad: {location: [38.95, -77.45]}
`
const WEB = `web:
  sites: {fra: {vips: [192.0.2.1, 192.0.2.2]}, iad: {vips: [192.0.2.11]}}
  order: nearest
  rules: [{subnets: [10.0.0.0/8, 172.16.0.0/12], geos: [EU, AS-JP], order: [fra]}]
  check: {type: https, host: www.example.com, path: /up}
  ttl: 30
`
const API = 'api: {sites: {iad: {vips: [192.0.2.12]}}, check: none}\n'
const APEX = '"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n'
const HOSTS = `a: {type: A, ttl: 60, values: [192.0.2.80, 192.0.2.81]}
t: {type: TXT, value: two words}
`
const STEERED = 'www: {type: GSLB, service: web}\n'
const FILES: Readonly<Record<string, string>> = {
  'defaults.yaml': DEFAULTS,
  'sites.yaml': SITES,
  'services.yaml': WEB + API,
  'example.com.yaml': APEX + HOSTS + STEERED,
  'example.org.yaml': APEX,
}

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-view-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

let count = 0
/** A build of these files, of which `undefined` leaves one out. */
async function buildOf(
  changed: Readonly<Record<string, string | undefined>>,
  city: readonly string[] = [],
): Promise<WorldBuild> {
  const zones = join(folder, `${count++}`)
  const files = Object.entries({ ...FILES, ...changed }).flatMap(([file, text]) =>
    text === undefined ? [] : [[file, text]],
  )
  writeFiles(zones, Object.fromEntries(files))
  return madeOf(await makeBuilder({ zones, city }).build())
}

const lines = (text: string): readonly string[] => text.trimEnd().split('\n')
const reversed = (text: string): string => `${lines(text).toReversed().join('\n')}\n`

describe('the view stays', () => {
  test.each<[string, Readonly<Record<string, string | undefined>>]>([
    [
      'comments and empty lines',
      { 'example.com.yaml': `# hosts\n\n${FILES['example.com.yaml']}`, 'sites.yaml': `${SITES}# two\n` },
    ],
    ['CRLF', Object.fromEntries(Object.entries(FILES).map(([file, text]) => [file, text.replaceAll('\n', '\r\n')]))],
    ['names in another order', { 'example.com.yaml': STEERED + reversed(HOSTS) + APEX }],
    [
      'values in another order',
      { 'example.com.yaml': (APEX + HOSTS + STEERED).replace('192.0.2.80, 192.0.2.81', '192.0.2.81, 192.0.2.80') },
    ],
    ['sites and services in another order', { 'sites.yaml': reversed(SITES), 'services.yaml': API + WEB }],
    ['services in files of their own', { 'services.yaml': undefined, 'services/a.yaml': WEB, 'services/b.yaml': API }],
    ['a default that is not written', { 'services.yaml': WEB.replace('  order: nearest\n', '') + API }],
    [
      'keys in another order',
      {
        'services.yaml':
          WEB.replace('https, host: www.example.com, path: /up', 'https, path: /up, host: www.example.com') + API,
      },
    ],
    [
      'what a rule matches in another order',
      {
        'services.yaml':
          WEB.replace('10.0.0.0/8, 172.16.0.0/12', '172.16.0.0/12, 10.0.0.0/8').replace('EU, AS-JP', 'AS-JP, EU') + API,
      },
    ],
    ['another serial', { 'defaults.yaml': DEFAULTS.replace('serial: 1', 'serial: 2') }],
  ])('%s', async (_, changed) => {
    expect((await buildOf(changed)).view).toBe((await buildOf({})).view)
  })
})

const zone = (from: string, to: string): Readonly<Record<string, string>> => ({
  'example.com.yaml': (APEX + HOSTS + STEERED).replace(from, to),
})
const service = (from: string, to: string): Readonly<Record<string, string>> => ({
  'services.yaml': (WEB + API).replace(from, to),
})

describe('the view changes', () => {
  const VARIANTS: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
    nothing: {},
    'a value': zone('192.0.2.80', '192.0.2.82'),
    'a value less': zone('192.0.2.80, ', ''),
    'a TTL': zone('ttl: 60', 'ttl: 61'),
    'a type': zone('type: TXT', 'type: SPF'),
    'a name': zone('a: {', 'b: {'),
    'two words swapped': zone('t: {type: TXT, value: two words}', 't: {type: TXT, value: words two}'),
    'another name with the same value': zone(STEERED, `${STEERED}b: {type: A, value: 192.0.2.80}\n`),
    'the service of a name': zone('service: web', 'service: api'),
    'the cap of a name': zone('service: web', 'service: web, ttl: 5'),
    'a zone less': { 'example.org.yaml': undefined },
    'the SOA': { 'defaults.yaml': DEFAULTS.replace('h.example', 'i.example') },
    'the default TTL': { 'defaults.yaml': DEFAULTS.replace('300', '301') },
    coordinates: { 'sites.yaml': SITES.replace('50.11', '50.12') },
    'a capacity': { 'sites.yaml': SITES.replace('300', '301') },
    'a site drained': { 'sites.yaml': SITES.replace('-77.45]', '-77.45], drained: true') },
    'a VIP': service('192.0.2.12', '192.0.2.13'),
    'the order of sites, for clients without a place': service(
      'fra: {vips: [192.0.2.1, 192.0.2.2]}, iad: {vips: [192.0.2.11]}',
      'iad: {vips: [192.0.2.11]}, fra: {vips: [192.0.2.1, 192.0.2.2]}',
    ),
    'a subnet': service('172.16.0.0/12', '172.16.0.0/13'),
    'a geo': service('AS-JP', 'AS-CN'),
    'the order of a rule': service('order: [fra]', 'order: [iad]'),
    'the TTL of a service': service('ttl: 30', 'ttl: 31'),
    'a check': service('/up', '/down'),
  }

  test('with each thing that answers depend on', async () => {
    const views: Record<string, string> = {}
    for (const [what, changed] of Object.entries(VARIANTS)) views[what] = (await buildOf(changed)).view
    const seen = new Map<string, string>()
    for (const [what, view] of Object.entries(views)) {
      expect(seen.get(view), `${what} has the view of`).toBeUndefined()
      seen.set(view, what)
    }
  })
})

/** The views with two builds of one database. */
async function viewsOf(services: string): Promise<readonly string[]> {
  const views: string[] = []
  for (const buildEpoch of [1, 2]) {
    const city = join(folder, 'city.mmdb')
    writeTestDatabase(city, { schema: 'maxmind', buildEpoch })
    views.push((await buildOf({ 'services.yaml': services }, [city])).view)
  }
  return views
}

test('a database is part of it where a service looks at places', async () => {
  const listed =
    WEB.replace('nearest', '[fra, iad]').replace(/ {2}rules.*\n/, '') + API.replace('check', 'order: [iad], check')
  const ruled = `${listed}${API.replace('api', 'cdn').replace('check', 'order: [iad], rules: [{subnets: [10.0.0.0/8], order: [iad]}], check')}`
  const [one, two] = await viewsOf(listed)
  expect(one).toBe(two)
  for (const services of [ruled, WEB + API]) {
    const [before, after] = await viewsOf(services)
    expect(before).not.toBe(after)
  }
})

test('a comment is loaded all the same: explain tells the lines as they are now', async () => {
  const zones = join(folder, 'zones')
  writeFiles(zones, FILES)
  const builder = makeBuilder({ zones, city: [] })
  const before = madeOf(await builder.build())
  writeFiles(zones, { 'services.yaml': `# services\n${FILES['services.yaml']}` })
  const after = madeOf(await builder.build({ ifChanged: true }))
  expect(after.view).toBe(before.view)
  expect(after.context.services.find(({ name }) => name === 'web')!.at.line).toBe(2)
  expect((await builder.build({ ifChanged: true })).kind).toBe('unchanged')
})
