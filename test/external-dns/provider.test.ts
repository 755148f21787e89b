/** What external-dns asks for, in the folder of zones: by a naive model, beside other clusters and hands, and when it is refused. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Changes, type Endpoint, keyOfEndpoint } from '../../src/external-dns/endpoint.ts'
import { Provider, type ProviderOptions, RefusedError } from '../../src/external-dns/provider.ts'
import { loadFolder } from '../../src/load/load.ts'
import type { ServiceModel } from '../../src/zone/model.ts'
import { DEFAULTS, masterLines, writeZones } from '../support/folder.ts'
import { recordsOf } from '../support/records.ts'
import { formatName } from '../../src/dns/name.ts'

const BY_HAND = {
  'defaults.yaml': `${DEFAULTS['defaults.yaml']}checks: {healthz: {type: http, path: /healthz}}\n`,
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml': 'hand: {sites: {fra: {vips: [192.0.2.9]}}, check: none}\n',
  'example.com.yaml':
    '"": {type: NS, values: [ns1.example.net.]}\nhand: {type: A, value: 192.0.2.1}\nsteered: {type: GSLB, service: hand}\n',
  'example.org.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
}

const NONE: Changes = { create: [], updateOld: [], updateNew: [], delete: [] }
const creating = (...create: readonly Endpoint[]): Changes => ({ ...NONE, create })
const a = (dnsName: string, ...targets: readonly string[]): Endpoint => ({ dnsName, targets, recordType: 'A' })
const set = (
  endpoint: Endpoint,
  setIdentifier: string,
  properties: Readonly<Record<string, string>> = {},
): Endpoint => ({
  ...endpoint,
  setIdentifier,
  ...(Object.keys(properties).length > 0 && {
    providerSpecific: Object.entries(properties).map(([name, value]) => ({ name, value })),
  }),
})

const open = (folder: string, options: Partial<ProviderOptions> = {}): Promise<Provider> =>
  Provider.open({ folder, cluster: 'fra', domains: [], onWarn: (said) => warned.push(said), ...options })
const warned: string[] = []

/** All files of the folder with their texts; hidden ones too. */
function textsOf(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return Object.fromEntries(
    files
      .filter((file) => statSync(join(folder, file)).isFile())
      .map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  )
}
const unhidden = (texts: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(texts).filter(([path]) => !path.startsWith('.')))

/** What the folder serves: records as lines, and the services of names. */
async function served(folder: string) {
  const { model, problems } = await loadFolder(folder)
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  const services = new Map(model!.services.map((service) => [service.name, service]))
  const steered = new Map<string, ServiceModel>()
  for (const zone of model!.zones) {
    for (const record of recordsOf(zone))
      if (record.steered !== undefined)
        steered.set(
          `${formatName(record.owner).slice(0, -1)} ${record.steered.types}`,
          services.get(record.steered.service)!,
        )
  }
  return { lines: model!.zones.flatMap(masterLines).toSorted(), steered }
}
const sitesOf = (service: ServiceModel | undefined) =>
  service?.sites.map((site): readonly [string, number, readonly string[]] => [
    site.site,
    site.weight,
    site.vips.map(({ address: vip }) => vip),
  ])

test('records of all types are served as they were put, with the TTL that they say', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  const endpoints: readonly Endpoint[] = [
    { ...a('app.example.com', '192.0.2.10', '192.0.2.11'), recordTTL: 60 },
    { dnsName: 'app.example.com', recordType: 'AAAA', targets: ['2001:db8::1'] },
    { dnsName: 'alias.example.com', recordType: 'CNAME', targets: ['lb.example.net'] },
    { dnsName: '*.wild.example.org', recordType: 'A', targets: ['192.0.2.12'] },
    { dnsName: 'a-app.example.com', recordType: 'TXT', targets: ['"heritage=external-dns,external-dns/owner=fra"'] },
    { dnsName: 'spf.example.com', recordType: 'TXT', targets: ['v=spf1 -all; "quoted" \\ back'] },
    { dnsName: 'mail.example.com', recordType: 'MX', targets: ['10 mx.example.net'] },
    { dnsName: '_sip._udp.example.com', recordType: 'SRV', targets: ['1 2 5060 sip.example.com'] },
    { dnsName: 'sub.example.com', recordType: 'NS', targets: ['ns1.example.net'] },
    { dnsName: '1.example.org', recordType: 'PTR', targets: ['host.example.com'] },
    { dnsName: 'n.example.com', recordType: 'NAPTR', targets: ['100 10 "u" "E2U+sip" "!^.*$!sip:i@example.com!" .'] },
  ]
  await provider.apply(creating(...endpoints))
  const { lines } = await served(folder)
  expect(lines).toEqual(
    [
      'hand.example.com. 3600 A 192.0.2.1',
      'app.example.com. 60 A 192.0.2.10',
      'app.example.com. 60 A 192.0.2.11',
      'app.example.com. 300 AAAA 2001:db8::1',
      'alias.example.com. 300 CNAME lb.example.net.',
      '*.wild.example.org. 300 A 192.0.2.12',
      'a-app.example.com. 300 TXT "heritage=external-dns,external-dns/owner=fra"',
      'spf.example.com. 300 TXT "v=spf1 -all; \\"quoted\\" \\\\ back"',
      'mail.example.com. 300 MX 10 mx.example.net.',
      '_sip._udp.example.com. 300 SRV 1 2 5060 sip.example.com.',
      '1.example.org. 300 PTR host.example.com.',
      'n.example.com. 300 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:i@example.com!" .',
    ].toSorted(),
  )
  const read = new Map((await provider.records()).map((one) => [keyOfEndpoint(one), one]))
  expect(read).toEqual(new Map(endpoints.map((one) => [keyOfEndpoint(one), one])))
})

const of = (name: string) =>
  [a(`${name}.example.com`, '192.0.2.20'), a(`${name}.example.com`, '198.51.100.20', '198.51.100.21')] as const

test('sets become a service: by weight, failover and place; the nearest where nothing is said', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  const [w, f, g, n, m] = ['w', 'f', 'g', 'n', 'm'].map(of)
  await provider.apply(
    creating(
      set(w![0], 'fra', { 'aws/weight': '10' }),
      set(w![1], 'iad', { 'webhook/weight': '30', 'webhook/check': 'healthz' }),
      set({ ...w![0], recordType: 'AAAA', targets: ['2001:db8::20'] }, 'fra', { 'aws/weight': '10' }),
      set({ ...w![1], recordType: 'AAAA', targets: ['2001:db8::21'] }, 'iad', { 'webhook/weight': '30' }),
      { dnsName: 'a-w.example.com', recordType: 'TXT', targets: ['"heritage=external-dns"'], setIdentifier: 'fra' },
      set(f![0], 'sin', { 'aws/failover': 'SECONDARY' }),
      set(f![1], 'z-blue', { 'aws/failover': 'PRIMARY', 'webhook/site': 'iad' }),
      set(g![0], 'fra', { 'aws/geolocation-continent-code': 'EU' }),
      set(g![1], 'iad', { 'aws/geolocation-country-code': '*' }),
      set(n![0], 'fra'),
      { ...set(n![1], 'iad'), recordTTL: 20 },
      set(m![0], 'fra', { 'aws/multi-value-answer': 'true' }),
      set(m![1], 'sin', { 'aws/multi-value-answer': 'true' }),
    ),
  )
  const { steered, lines } = await served(folder)
  const service = (name: string): ServiceModel =>
    [...steered].find(([key]) => key.startsWith(`${name}.example.com `))![1]
  expect(sitesOf(service('w'))).toEqual([
    ['fra', 10, ['192.0.2.20', '2001:db8::20']],
    ['iad', 30, ['198.51.100.20', '198.51.100.21', '2001:db8::21']],
  ])
  expect(service('w')).toMatchObject({
    pick: 'random',
    order: { kind: 'listed', groups: [['fra', 'iad']] },
    ttl: { maxSeconds: 60 },
  })
  expect(service('w').checks).toMatchObject([{ type: 'http', path: '/healthz' }])
  expect(sitesOf(service('f'))!.map(([site]) => site)).toEqual(['iad', 'sin'])
  expect(service('f').order).toMatchObject({ kind: 'listed', groups: [['iad'], ['sin']] })
  expect(service('g').rules).toMatchObject([{ geos: [{ continent: 'EU' }], order: [['fra'], ['iad']] }])
  expect(service('n')).toMatchObject({ order: { kind: 'nearest' }, ttl: { maxSeconds: 20 }, checks: [] })
  expect(service('m')).toMatchObject({ order: { groups: [['fra', 'sin']] }, pick: 'random' })
  expect(lines).toContain('a-w.example.com. 300 TXT "heritage=external-dns"')
  expect(await provider.records()).toHaveLength(13)
})

test('a name keeps its service whether a wildcard below it comes or not', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  await provider.apply(creating(set(a('x.example.com', '192.0.2.50'), 'fra', { 'aws/weight': '1' })))
  const nameOf = async (owner: string): Promise<string | undefined> =>
    [...(await served(folder)).steered].find(([key]) => key.startsWith(`${owner} `))?.[1].name
  const before = await nameOf('x.example.com')
  await provider.apply(creating(set(a('*.x.example.com', '192.0.2.51'), 'fra', { 'aws/weight': '1' })))
  expect([before, await nameOf('x.example.com')]).toEqual(['x.example.com', 'x.example.com'])
  expect(await nameOf('*.x.example.com')).toBe('wildcard_.x.example.com')
})

test('all spellings of a name are one endpoint', () => {
  const keys = ['www.example.com', 'WWW.Example.com.', '\\119ww.example.com'].map((name) =>
    keyOfEndpoint(a(name, '192.0.2.1')),
  )
  expect(new Set(keys)).toEqual(new Set(['www.example.com A ']))
})

/** Names, some of which are each other's parents, and what may be there. */
const NAMES = ['a.example.com', 'b.example.com', 'x.b.example.com', '*.c.example.org', 'example.org', 'd.example.org']
const address = fc.integer({ min: 1, max: 250 }).map((last) => `203.0.113.${last}`)
const endpointArb: fc.Arbitrary<Endpoint> = fc.record({
  dnsName: fc.constantFrom(...NAMES),
  recordType: fc.constant('A'),
  targets: fc.uniqueArray(address, { minLength: 1, maxLength: 3 }),
  recordTTL: fc.constantFrom(0, 30, 600),
})
const weightedArb: fc.Arbitrary<Endpoint> = fc
  .tuple(endpointArb, fc.constantFrom('fra', 'iad', 'sin'), fc.integer({ min: 1, max: 1000 }))
  .map(([endpoint, site, weight]) =>
    set(
      {
        ...endpoint,
        dnsName: `s-${endpoint.dnsName.replace('*', 'w')}`.replace('s-example.org', 's.example.org'),
        targets: [`198.51.100.${['fra', 'iad', 'sin'].indexOf(site) * 80 + 1 + (weight % 80)}`],
      },
      site,
      { 'aws/weight': String(weight) },
    ),
  )

test('after any changes the folder serves what a naive model of them has, also to whoever starts anew', async () => {
  const anyEndpoint = fc.oneof(endpointArb, weightedArb)
  const step = fc.record({
    put: fc.array(anyEndpoint, { maxLength: 4 }),
    drop: fc.array(fc.nat(20), { maxLength: 3 }),
    restart: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      const folder = writeZones(BY_HAND)
      let provider = await open(folder)
      const model = new Map<string, Endpoint>()
      for (const { put, drop, restart } of steps) {
        const gone = [...model.values()].filter((_, i) => drop.includes(i))
        const wanted = new Map(put.map((one) => [keyOfEndpoint(one), one]))
        const updated = gone.flatMap((one) => wanted.get(keyOfEndpoint(one)) ?? [])
        for (const one of gone) model.delete(keyOfEndpoint(one))
        for (const [key, one] of wanted) model.set(key, one)
        await provider.apply({
          create: [...wanted.values()].filter((one) => !updated.includes(one)),
          updateOld: gone.filter((one) => wanted.has(keyOfEndpoint(one))),
          updateNew: updated,
          delete: gone.filter((one) => !wanted.has(keyOfEndpoint(one))),
        })
        if (restart) provider = await open(folder)
        expect(new Map((await provider.records()).map((one) => [keyOfEndpoint(one), one]))).toEqual(model)
        const { lines, steered } = await served(folder)
        const alone = [...model.values()].filter(({ setIdentifier }) => setIdentifier === undefined)
        expect(lines).toEqual(
          [
            'hand.example.com. 3600 A 192.0.2.1',
            ...alone.flatMap(({ dnsName, targets, recordTTL }) =>
              targets.map((target) => `${dnsName}. ${recordTTL === 0 ? 300 : recordTTL} A ${target}`),
            ),
          ].toSorted(),
        )
        const sets = Map.groupBy(
          [...model.values()].filter(({ setIdentifier }) => setIdentifier !== undefined),
          ({ dnsName }) => dnsName,
        )
        const found = [...steered].filter(([key]) => !key.startsWith('steered.'))
        expect(new Set(found.map(([key]) => key.split(' ')[0]))).toEqual(new Set(sets.keys()))
        for (const [key, service] of found) {
          const own = sets.get(key.split(' ')[0]!)!
          expect(new Map(sitesOf(service)!.map(([site, , vips]) => [site, vips]))).toEqual(
            new Map(own.map(({ setIdentifier, targets }) => [setIdentifier, targets])),
          )
          const weights = new Map(sitesOf(service)!.map(([site, weight]) => [site, weight]))
          const least = own.map(({ providerSpecific }) => Number(providerSpecific![0]!.value))
          const isEven = new Set(least).size === 1
          for (const [i, { setIdentifier }] of own.entries())
            expect(weights.get(setIdentifier!)).toBe(isEven ? 100 : least[i])
        }
      }
    }),
    { numRuns: 15 },
  )
})

test('two clusters keep to their own files, and to neither what is written by hand', async () => {
  const folder = writeZones(BY_HAND)
  const [fra, iad] = [await open(folder), await open(folder, { cluster: 'iad' })]
  await fra.apply(creating(a('x.example.com', '192.0.2.30'), set(a('s.example.com', '192.0.2.31'), 'fra')))
  const before = textsOf(folder)
  await iad.apply(creating(a('y.example.com', '192.0.2.32')))
  const after = textsOf(folder)
  expect(after).toEqual({
    ...before,
    'example.com./external-dns-iad.yaml': after['example.com./external-dns-iad.yaml'],
    '.external-dns/iad.json': after['.external-dns/iad.json'],
  })
  for (const [file, text] of Object.entries(BY_HAND)) expect(after[file]).toBe(text)
  // a name of another cluster, and one that is written by hand, stay theirs
  for (const name of ['x.example.com', 'hand.example.com']) {
    await expect(iad.apply(creating(a(name, '192.0.2.33')))).rejects.toBeInstanceOf(RefusedError)
  }
  expect(textsOf(folder)).toEqual(after)
  expect((await iad.records()).map(({ dnsName }) => dnsName)).toEqual(['y.example.com'])
  await fra.apply({ ...NONE, delete: await fra.records() })
  await iad.apply({ ...NONE, delete: await iad.records() })
  expect(unhidden(textsOf(folder))).toEqual(BY_HAND)
})

test.each([
  ['a name of no zone', a('app.example.net', '192.0.2.1'), /no zone of the folder/],
  ['a site that there is not', set(a('s.example.com', '192.0.2.1'), 'lhr'), /no site “lhr” in sites.yaml/],
  [
    'two sets at one site',
    set(a('s.example.com', '192.0.2.1'), 'other', { 'webhook/site': 'fra' }),
    /at the site fra, too/,
  ],
  ['an address of two sites', set(a('s.example.com', '192.0.2.41'), 'iad'), /set “fra” has 192\.0\.2\.41, too/],
  ['no address', a('app.example.com', 'lb.example.net'), /app\.example\.com A/],
  [
    'a CNAME beside other records',
    { ...a('good.example.com', 'x.example.net'), recordType: 'CNAME' },
    /external-dns-fra\.yaml/,
  ],
  [
    'a CNAME with two targets',
    { ...a('c.example.com', 'x.example.net', 'y.example.net'), recordType: 'CNAME' },
    /one target/,
  ],
  ['a check that there is not', set(a('c.example.com', '192.0.2.1'), 'iad', { 'webhook/check': 'nosuch' }), /nosuch/],
  ['another type', { ...a('c.example.com', 'x'), recordType: 'TLSA' }, /TLSA/],
  [
    'an unknown country',
    set(a('c.example.com', '192.0.2.1'), 'iad', { 'aws/geolocation-country-code': 'ZZ' }),
    /place ZZ/,
  ],
  [
    'an unknown continent',
    set(a('c.example.com', '192.0.2.1'), 'iad', { 'aws/geolocation-continent-code': 'XX' }),
    /place XX/,
  ],
  [
    'sets of another type',
    set({ dnsName: 'c.example.com', targets: ['1 x.example.net'], recordType: 'MX' }, 'iad'),
    /not MX/,
  ],
  ['no weight', set(a('c.example.com', '192.0.2.1'), 'iad', { 'aws/weight': 'much' }), /is no weight/],
] as const)('a change with %s is refused whole, and adjusting leaves that alone out', async (_, wrong, why) => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  await provider.apply(creating(a('good.example.com', '192.0.2.40'), set(a('s.example.com', '192.0.2.41'), 'fra')))
  const before = textsOf(folder)
  const error = await provider
    .apply(creating(a('other.example.com', '192.0.2.42'), wrong))
    .catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(RefusedError)
  expect(String(error)).toMatch(why)
  expect(textsOf(folder)).toEqual(before)
  expect(await provider.records()).toHaveLength(2)
  warned.length = 0
  const other = a('other.example.com', '192.0.2.42')
  const wanted = [...(await provider.records()), other, wrong]
  expect(await provider.adjust(wanted)).toEqual([...(await provider.records()), other])
  expect(warned.join('\n')).toMatch(why)
  await provider.apply(creating(other))
  expect(provider.counts).toMatchObject({ endpoints: 3, changes: 2, refused: 1, leftOut: 1 })
})

test('what is served stays where what is wanted in its place cannot be served', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  const now = a('app.example.com', '192.0.2.50')
  await provider.apply(creating(now))
  expect(await provider.adjust([a('app.example.com', 'not an address')])).toEqual([now])
})

test('two sets for one place are one too many', async () => {
  const provider = await open(writeZones(BY_HAND))
  const eu = { 'webhook/geolocation-continent-code': 'EU' }
  const both = [set(a('g.example.com', '192.0.2.1'), 'fra', eu), set(a('g.example.com', '192.0.2.2'), 'iad', eu)]
  await expect(provider.apply(creating(...both))).rejects.toThrow(/set “fra” is for EU, too/)
})

test('only names of --domain are taken, and external-dns is told of them', async () => {
  const folder = writeZones(BY_HAND)
  expect(await (await open(folder)).domains()).toEqual(['example.com', 'example.org'])
  const provider = await open(folder, { domains: ['apps.example.com'] })
  expect(await provider.domains()).toEqual(['apps.example.com'])
  await provider.apply(creating(a('apps.example.com', '192.0.2.1'), a('x.apps.example.com', '192.0.2.1')))
  // the second is one label, x.apps, of example.com
  for (const name of ['xapps.example.com', 'x\\.apps.example.com'])
    await expect(provider.apply(creating(a(name, '192.0.2.1')))).rejects.toThrow(/--domain/)
})

test('a name that is taken is left out alone, however it is escaped', async () => {
  const provider = await open(writeZones(BY_HAND))
  const other = a('other.example.com', '192.0.2.60')
  expect(await provider.adjust([a(String.raw`\104and.example.com`, '192.0.2.61'), other])).toEqual([other])
})

test('that an endpoint is left out is said once, and again when it was well in between', async () => {
  const provider = await open(writeZones(BY_HAND))
  const wrong = a('app.example.com', 'not an address')
  warned.length = 0
  for (const wanted of [wrong, wrong, a('app.example.com', '192.0.2.1'), wrong]) await provider.adjust([wanted])
  expect(warned).toHaveLength(2)
  expect(provider.counts.leftOut).toBe(3)
})

test('where only the endpoints are lost, what is served stays until they are put again', async () => {
  const folder = writeZones(BY_HAND)
  const app = a('app.example.com', '192.0.2.1')
  await (await open(folder)).apply(creating(app))
  const before = textsOf(folder)
  rmSync(join(folder, '.external-dns'), { recursive: true })
  const provider = await open(folder)
  expect(unhidden(textsOf(folder))).toEqual(unhidden(before))
  expect(await provider.records()).toEqual([])
  await provider.apply(creating(app))
  expect(textsOf(folder)).toEqual(before)
})

test('while the folder is broken by hand, nothing is changed; a start leaves it as it is', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  await provider.apply(creating(a('app.example.com', '192.0.2.1')))
  const before = textsOf(folder)
  writeFileSync(join(folder, 'sites.yaml'), 'fra: {\n')
  await expect(provider.apply(creating(a('new.example.com', '192.0.2.1')))).rejects.toBeInstanceOf(RefusedError)
  const again = await open(folder)
  expect(await again.records()).toHaveLength(1)
  writeFileSync(join(folder, 'sites.yaml'), BY_HAND['sites.yaml'])
  await again.apply(NONE)
  expect(textsOf(folder)).toEqual(before)
})

test('a start makes the files again that a crash has left half written, and those that somebody has changed', async () => {
  const folder = writeZones(BY_HAND)
  await (
    await open(folder)
  ).apply(creating(a('app.example.com', '192.0.2.1'), set(a('s.example.com', '192.0.2.2'), 'fra')))
  const before = textsOf(folder)
  rmSync(join(folder, 'services/external-dns-fra.yaml'))
  writeFileSync(join(folder, 'example.com./external-dns-fra.yaml'), 'evil: {type: A, value: 192.0.2.66}\n')
  writeFileSync(join(folder, '.external-dns/external-dns-fra.yaml.99999999.01234567.new'), 'half')
  await open(folder)
  expect(textsOf(folder)).toEqual(before)
  writeFileSync(join(folder, '.external-dns/fra.json'), '{"format": "other"}')
  await expect(open(folder)).rejects.toThrow(/damaged or foreign/)
})

test('a disk on which not all files can be written keeps those that were there', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  await provider.apply(creating(a('app.example.com', '192.0.2.1')))
  const before = textsOf(folder)
  // the second file cannot be written: where its folder would be made is a link into nowhere
  symlinkSync('/nonexistent/nowhere', join(folder, 'services'))
  await expect(
    provider.apply(creating(a('new.example.com', '192.0.2.1'), set(a('s.example.com', '192.0.2.2'), 'fra'))),
  ).rejects.toThrow()
  rmSync(join(folder, 'services'))
  expect(textsOf(folder)).toEqual(before)
  expect(await provider.records()).toHaveLength(1)
  mkdirSync(join(folder, 'services'))
  await provider.apply(creating(set(a('s.example.com', '192.0.2.2'), 'fra')))
})

test('files may be read by whoever runs a node, and the same endpoints in another order give the same bytes', async () => {
  const endpoints = [
    a('b.example.com', '192.0.2.2'),
    a('a.example.com', '192.0.2.1'),
    set(a('s.example.com', '192.0.2.3'), 'fra'),
  ]
  const [one, other] = [writeZones(BY_HAND), writeZones(BY_HAND)]
  await (await open(one)).apply(creating(...endpoints))
  await (await open(other)).apply(creating(...endpoints.toReversed()))
  expect(textsOf(one)).toEqual(textsOf(other))
  expect(statSync(join(one, 'example.com./external-dns-fra.yaml')).mode & 0o777).toBe(0o644)
})

test('in the folder that nodes watch a file is only ever whole: it is written in the hidden one', async () => {
  const folder = writeZones(BY_HAND)
  const provider = await open(folder)
  await provider.apply(creating(a('app.example.com', '192.0.2.1')))
  const watcher = watch(join(folder, 'example.com.'))
  const names = new Set<string>()
  const seen = new Promise<void>((done) => {
    watcher.on('change', (_, name) => {
      names.add(String(name))
      if (name === 'external-dns-fra.yaml') done()
    })
  })
  await provider.apply(creating(a('new.example.com', '192.0.2.1')))
  await seen
  watcher.close()
  expect([...names]).toEqual(['external-dns-fra.yaml'])
})

test('two processes of one cluster, as at an update of a Deployment, start from what the other has written', async () => {
  const folder = writeZones(BY_HAND)
  const [one, other] = [await open(folder), await open(folder)]
  await one.apply(creating(a('one.example.com', '192.0.2.1')))
  await other.apply(creating(a('other.example.com', '192.0.2.2')))
  expect((await one.records()).map(({ dnsName }) => dnsName)).toEqual(['one.example.com', 'other.example.com'])
  const { lines } = await served(folder)
  expect(lines).toHaveLength(3)
})
