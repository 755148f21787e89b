/** Route 53's record sets: what becomes of each routing policy and health check, and what is told. */
import { expect, test } from 'vitest'
import { imported, type Told } from '../imported.ts'

type Fields = Readonly<Record<string, unknown>>

const record = (name: string, type: string, values: readonly string[], more: Fields = {}): Fields => ({
  Name: name === '' ? 'example.com.' : `${name}.example.com.`,
  Type: type,
  TTL: 60,
  ResourceRecords: values.map((Value) => ({ Value })),
  ...more,
})
const routed = (name: string, id: string, value: string, more: Fields): Fields =>
  record(name, value.includes(':') ? 'AAAA' : /[a-z]/.test(value) ? 'CNAME' : 'A', [value], {
    SetIdentifier: id,
    ...more,
  })

const near = (region: string, bias: number): Fields => ({ GeoProximityLocation: { AWSRegion: region, Bias: bias } })

const alias = (name: string, target: string, type = 'A'): Fields => ({
  Name: `${name}example.com.`,
  Type: type,
  AliasTarget: { HostedZoneId: 'Z1', DNSName: target, EvaluateTargetHealth: false },
})

const HEAD = [
  record('', 'NS', ['ns1.example.net.'], { TTL: 300 }),
  record('', 'SOA', ['ns1.example.net. host.example.net. 1 7200 900 1209600 300'], { TTL: 900 }),
]

const of = async (sets: readonly Fields[], checks: readonly Fields[] = []): Promise<Told> => {
  const files: Record<string, string> = {
    'sets.json': JSON.stringify({ ResourceRecordSets: [...HEAD, ...sets] }, undefined, 2),
    ...(checks.length > 0 && { 'checks.json': JSON.stringify({ HealthChecks: checks }, undefined, 2) }),
  }
  return imported('route53', files)
}
/** services.yaml, of record sets that are taken over as they are. */
const services = async (sets: readonly Fields[], checks: readonly Fields[] = []): Promise<string> => {
  const { files, notes, errors } = await of(sets, checks)
  expect([...notes, ...errors]).toEqual([])
  return files['services.yaml']!
}

test('records that are alone are records; octal escapes are read', async () => {
  const { files, notes, errors } = await of([
    record('www', 'A', ['192.0.2.1', '192.0.2.2']),
    record('\\052', 'TXT', ['"caf\\303\\251" "\\\\303"']),
    record('', 'MX', ['10 mail.example.net']),
    record('_s._tcp', 'SRV', ['1 2 3 www.example.com'], { TTL: 900 }),
  ])
  expect([...notes, ...errors]).toEqual([])
  expect(files['example.com.yaml']).toBe(`'':
  - {type: NS, ttl: 300, value: ns1.example.net.}
  - {type: MX, ttl: 60, value: {preference: 10, exchange: mail.example.net.}}
www: {type: A, ttl: 60, values: [192.0.2.1, 192.0.2.2]}
'*': {type: TXT, ttl: 60, value: '"caf\\195\\169" "\\\\303"'}
_s._tcp: {type: SRV, value: {priority: 1, weight: 2, port: 3, target: www.example.com.}}
`)
})

test('weights: a site for each set, drawn; A and AAAA that are alike share sites', async () => {
  const sets = [
    routed('w', 'a', '192.0.2.1', { Weight: 3 }),
    routed('w', 'b', '192.0.2.2', { Weight: 1 }),
    routed('w', 'a', '2001:db8::1', { Weight: 3 }),
    routed('w', 'b', '2001:db8::2', { Weight: 1 }),
  ]
  expect(await services(sets)).toBe(`# w.example.com., weighted
w:
  sites:
    w-a: {vips: [192.0.2.1, '2001:db8::1'], weight: 3}
    w-b: {vips: [192.0.2.2, '2001:db8::2'], weight: 1}
  order: [[w-a, w-b]]
  pick: random
  ttl: 60
  check: none
`)
  const apart = await of([...sets.slice(0, 3), routed('w', 'b', '2001:db8::2', { Weight: 2 })])
  expect(apart.files['example.com.yaml']).toContain(
    'w: [{type: GSLB, service: w-A, types: [A]}, {type: GSLB, service: w-AAAA, types: [AAAA]}]',
  )
  expect(apart.errors).toEqual([])
})

test('latency is distance from AWS’s regions, and that is told', async () => {
  const { files, notes, errors } = await of([
    routed('l', 'x', '192.0.2.1', { Region: 'eu-central-1' }),
    routed('l', 'y', '192.0.2.2', { Region: 'us-east-1' }),
  ])
  expect(errors).toEqual([])
  expect(notes).toEqual([
    expect.stringMatching(/^sets\.json:\d+: warning: l\.example\.com\.: latency records become the nearest site/),
  ])
  expect(files['sites.yaml']).toBe('eu-central-1: {location: [50.11, 8.68]}\nus-east-1: {location: [39.04, -77.49]}\n')
  expect(files['services.yaml']).not.toContain('order')
})

test('geolocation: the smallest place first, what is around it behind it, the default last', async () => {
  const yaml = await services([
    routed('g', 'any', '192.0.2.1', { GeoLocation: { CountryCode: '*' } }),
    routed('g', 'eu', '192.0.2.2', { GeoLocation: { ContinentCode: 'EU' } }),
    routed('g', 'de', '192.0.2.3', { GeoLocation: { CountryCode: 'DE' } }),
    routed('g', 'ca', '192.0.2.4', { GeoLocation: { CountryCode: 'US', SubdivisionCode: 'CA' } }),
  ])
  expect(yaml).toContain(`  order: [g-any]
  rules:
    - {geos: [NA-US-CA], order: [g-ca, g-any], only: true}
    - {geos: [EU-DE], order: [g-de, g-eu, g-any], only: true}
    - {geos: [EU], order: [g-eu, g-any], only: true}
`)
})

test('geoproximity: the bias is that of the distance', async () => {
  const yaml = await services([
    routed('p', 'a', '192.0.2.1', near('eu-west-1', 20)),
    routed('p', 'b', '192.0.2.2', near('us-east-1', -20)),
    routed('p', 'c', '192.0.2.3', { GeoProximityLocation: { Coordinates: { Latitude: '1.5', Longitude: '-2' } } }),
  ])
  expect(yaml).toContain('p-a: {vips: [192.0.2.1], bias: 20}')
  expect(yaml).toContain('p-b: {vips: [192.0.2.2], bias: -25}') // a fifth less is a divisor of 0.8, and so 1.25 times as far
})

test('failover and health checks: primary first; the address that is probed may be another', async () => {
  const config = {
    Type: 'HTTPS_STR_MATCH',
    Port: 8443,
    ResourcePath: '/up',
    FullyQualifiedDomainName: 'www.example.com',
    SearchString: 'ok',
    RequestInterval: 10,
    FailureThreshold: 2,
  }
  const { files, notes, errors } = await of(
    [
      routed('f', 's', '192.0.2.2', { Failover: 'SECONDARY', HealthCheckId: 'two' }),
      routed('f', 'p', '192.0.2.1', { Failover: 'PRIMARY', HealthCheckId: 'one' }),
    ],
    [
      { Id: 'one', HealthCheckConfig: { ...config, IPAddress: '198.51.100.1' } },
      { Id: 'two', HealthCheckConfig: { ...config, IPAddress: '192.0.2.2' } },
    ],
  )
  expect([...notes, ...errors]).toEqual([])
  expect(files['services.yaml']).toBe(`# f.example.com., failover
f:
  sites: {f-p: {vips: [{address: 192.0.2.1, check: {address: 198.51.100.1}}]}, f-s: {vips: [192.0.2.2]}}
  order: [f-p, f-s]
  ttl: 60
  check:
    type: https
    port: 8443
    path: '/up'
    host: www.example.com
    expect: {status: [200-399], body: ok}
    verify: false
    interval: 10s
    fall: 2
    rise: 2
    timeout: 6s
`)
})

test('multivalue: a site with all values; weighted names: sites that are names', async () => {
  const yaml = await services([
    routed('m', '1', '192.0.2.1', { MultiValueAnswer: true }),
    routed('m', '2', '192.0.2.2', { MultiValueAnswer: true }),
    routed('c', '1', 'a.example.net', { Weight: 0 }),
    routed('c', '2', 'b.example.net', { Weight: 0 }),
  ])
  expect(yaml).toContain('m: {vips: [192.0.2.1, 192.0.2.2]}')
  expect(yaml).toContain('c-1: {vips: [{name: a.example.net.}]}')
})

test('aliases: of a record, of what is chosen, of AWS’s own', async () => {
  const { files, notes, errors } = await of([
    record('www', 'A', ['192.0.2.1']),
    routed('w', 'a', '192.0.2.2', { Weight: 1 }),
    routed('w', 'a', '2001:db8::2', { Weight: 1 }),
    alias('', 'www.example.com.'),
    alias('one.', 'w.example.com.'),
    alias('both.', 'w.example.com.'),
    alias('both.', 'w.example.com.', 'AAAA'),
    alias('lb.', 'dualstack.lb-1.eu-west-1.elb.amazonaws.com.'),
  ])
  expect(errors).toEqual([])
  expect(notes).toEqual([
    expect.stringMatching(
      /^sets\.json:\d+: warning: lb\.example\.com\. A is left out, an alias of dualstack\..*: only AWS knows its addresses/,
    ),
  ])
  const yaml = files['example.com.yaml']!
  expect(yaml).toContain('{type: A, ttl: 60, value: 192.0.2.1}]\nwww')
  expect(yaml).toContain('one: {type: GSLB, service: w, types: [A]}')
  expect(yaml).toContain('both: {type: GSLB, service: w}')
})

const GEO = { GeoLocation: { CountryCode: 'DE' } }
const CHECKED = { Failover: 'PRIMARY', HealthCheckId: 'one' }
test.each<[string, readonly Fields[], readonly Fields[], string]>([
  ['no default', [routed('g', 'de', '192.0.2.1', GEO)], [], 'there is no default set'],
  [
    'CIDR',
    [routed('g', 'a', '192.0.2.1', { CidrRoutingConfig: { CollectionId: 'x', LocationName: 'y' } })],
    [],
    'g.example.com. is left out: which networks its CIDR locations have',
  ],
  [
    'an unknown region',
    [routed('g', 'a', '192.0.2.1', { Region: 'xx-west-9' })],
    [],
    'it is not known where xx-west-9 is',
  ],
  [
    'other types',
    [record('t', 'TXT', ['"a"'], { SetIdentifier: 'a', Weight: 1 })],
    [],
    't.example.com. TXT is left out',
  ],
  [
    'no checks in the input',
    [routed('f', 'p', '192.0.2.1', CHECKED)],
    [],
    'health check one is left out: it is not in the input',
  ],
  [
    'a calculated check',
    [routed('f', 'p', '192.0.2.1', CHECKED)],
    [{ Id: 'one', HealthCheckConfig: { Type: 'CALCULATED' } }],
    'health check one is left out: Meridian has no check of type CALCULATED',
  ],
  [
    'an inverted check',
    [routed('f', 'p', '192.0.2.1', CHECKED)],
    [{ Id: 'one', HealthCheckConfig: { Type: 'TCP', Port: 1, Inverted: true } }],
    "health check one is left out: Meridian's checks are not inverted",
  ],
  [
    'one site without a check',
    [routed('f', 'p', '192.0.2.1', CHECKED), routed('f', 's', '192.0.2.2', { Failover: 'SECONDARY' })],
    [{ Id: 'one', HealthCheckConfig: { Type: 'TCP', Port: 1 } }],
    's is checked like the others',
  ],
  [
    'different TTLs',
    [routed('w', 'a', '192.0.2.1', { Weight: 1 }), routed('w', 'b', '192.0.2.2', { Weight: 1, TTL: 30 })],
    [],
    'the TTL of w.example.com. is 30',
  ],
  [
    'a bias',
    [routed('p', 'a', '192.0.2.1', { GeoProximityLocation: { AWSRegion: 'eu-west-1', Bias: -80 } })],
    [],
    'a bias of -80 is -99',
  ],
  [
    'a check of a record that is alone',
    [record('a', 'A', ['192.0.2.1'], { HealthCheckId: 'one' })],
    [],
    'the health check of a.example.com. is left out',
  ],
  ['AWS’s servers', [record('', 'NS', ['ns-1.awsdns-01.org.'])], [], 'the NS of example.com. are Route 53'],
])('of %s it is told', async (_, sets, checks, message) => {
  const { notes, errors, failed } = await of(sets, checks)
  expect(notes).toContainEqual(expect.stringMatching(/^(?:sets|checks)\.json:\d+: warning: /))
  expect(notes.join('\n')).toContain(message)
  expect(errors).toEqual([])
  expect(failed).toBe(false)
})

test.each([
  ['{', 'sets.json:'],
  ['{}', 'sets.json: error: there are no ResourceRecordSets'],
  ['{"ResourceRecordSets": [{"Name": "a.", "Type": "A"}]}', 'sets.json:1: error: these record sets have no SOA'],
])('%s is no input', async (text, message) => {
  const { notes, failed } = await imported('route53', { 'sets.json': text }, { path: 'sets.json' })
  expect(notes.join('\n')).toContain(message)
  expect(failed).toBe(true)
})

test('a wrong value is an error at its line; two policies at one name are', async () => {
  const wrong = await of([record('a', 'A', ['192.0.2.300'])])
  expect(wrong.notes).toEqual([
    expect.stringMatching(/^sets\.json:\d+: error: a\.example\.com\. A: “192\.0\.2\.300” is no IPv4 address$/),
  ])
  const mixed = await of([
    routed('w', 'a', '192.0.2.1', { Weight: 1 }),
    routed('w', 'b', '192.0.2.2', { Region: 'eu-west-1' }),
  ])
  expect(mixed.notes.join()).toContain(
    'error: the record sets of w.example.com. are of two policies, weighted and latency',
  )
})
