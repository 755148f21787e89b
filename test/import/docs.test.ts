/**
 * The tables of docs/import.md: each row has a case here, whose import has what the row says: in files where it is taken over, in
 * words where it is not.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { imported, type Told } from './imported.ts'

const DOCS = readFileSync(resolve(import.meta.dirname, '../../docs/import.md'), 'utf8')
const sectionOf = (title: string): string => DOCS.split(/^## /m).find((section) => section.startsWith(`${title}\n`))!

/** The rows of a section's two tables. */
function rowsOf(section: string): { readonly taken: readonly string[]; readonly left: readonly [string, string][] } {
  const [before = '', after = ''] = section.split('| not taken over | what is told |\n|---|---|\n')
  const taken = [...before.matchAll(/^\| (.*?) \| .* \|$/gm)].map(([, first]) => first!).slice(1)
  const left = [...after.matchAll(/^\| (.*) \| `([^`]*)` \|$/gm)].map(([, first, told]): [string, string] => [
    first!,
    told!,
  ])
  return { taken, left }
}

type Case = readonly [run: () => Promise<Told>, holds: RegExp]

/** Holds a section to its cases: what is taken over by the files, what is left by the notes. */
function hold(
  section: string,
  taken: Readonly<Record<string, Case>>,
  left: Readonly<Record<string, () => Promise<Told>>>,
): void {
  const rows = rowsOf(section)
  test('each row has a case, and each case its row', () => {
    expect(rows.taken.filter((row) => !/^-+$/.test(row))).toEqual(Object.keys(taken))
    expect(rows.left.map(([row]) => row)).toEqual(Object.keys(left))
  })
  test.each(Object.entries(taken))('%s', async (_, [run, holds]) => {
    const { files, errors, failed } = await run()
    expect(errors).toEqual([])
    expect(failed).toBe(false)
    expect(Object.values(files).join('\n')).toMatch(holds)
  })
  test.each(rows.left)('%s is told: %s', async (row, told) => {
    const { notes, failed } = await left[row]!()
    expect(notes.join('\n')).toContain(told)
    expect(failed).toBe(false)
  })
}

describe('gdnsd', () => {
  const HEAD = '@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n'
  const of = (config: string, zone: string) => () => imported('gdnsd', { config, 'zones/example.com': HEAD + zone })
  const w = (plugins: string, resource: string, types = '') =>
    of(`plugins => { ${plugins} } service_types => { ${types} }`, `w 600/30 DYNA ${resource}\n`)
  const metafo = (dcs: string, more = '') =>
    w(`metafo => { resources => { w => { datacenters => [ a, b ], ${more} dcmap => { ${dcs} } } } }`, 'metafo!w')
  const geoip = (map: string, dcmap = 'a => 192.0.2.7, b => 192.0.2.8', more = '', resource = 'geoip!w') =>
    w(
      `geoip => { maps => { m => { datacenters => [ a, b ], ${map} } } resources => { w => { map => m, ${more} dcmap => { ${dcmap} } } } }`,
      resource,
    )
  const coordinates = 'auto_dc_coords => { a => [ 1, 2 ], b => [ 3, 4 ] }'
  const typed = (type: string) =>
    w('multifo => { w => { service_types => w, a => 192.0.2.7 } }', 'multifo!w', `w => { ${type} }`)

  hold(
    sectionOf('gdnsd'),
    {
      'zone files: `$TTL`, `$ORIGIN`, `$INCLUDE`, `@Z`, `@F`, all types, `TYPE65280 \\# …`': [
        of('', '$TTL 60\n$ORIGIN b.example.com.\na A 192.0.2.2\nx TYPE65280 \\# 2 ABCD\ny CNAME a.b.@Z\n'),
        /a\.b: \{type: A, [^]*type: TYPE65280[^]*y\.b: \{type: CNAME, .*value: a\.b\.example\.com\.\}/,
      ],
      '`DYNA`, `DYNC` with `MAX/MIN`': [
        w('multifo => { w => [ 192.0.2.7 ] }', 'multifo!w'),
        /w: \{type: GSLB, service: w\}[^]*ttl: \{max: 600, min: 30\}/,
      ],
      multifo: [w('multifo => { w => [ 192.0.2.7, 192.0.2.8 ] }', 'multifo!w'), /vips: \[192\.0\.2\.7, 192\.0\.2\.8\]/],
      simplefo: [
        w('simplefo => { w => { primary => 192.0.2.7, secondary => 192.0.2.8 } }', 'simplefo!w'),
        /order: \[w-primary, w-secondary\]/,
      ],
      'weighted, one of several': [
        w('weighted => { w => { a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 2 ] } }', 'weighted!w'),
        /weight: 2[^]*order: \[\[.*\]\]\n +pick: random/,
      ],
      'weighted, groups with equal weights': [
        w(
          'weighted => { w => { g => { a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 1 ] } h => { c => [ 192.0.2.9, 1 ] } } }',
          'weighted!w',
        ),
        /g: \{vips: \[192\.0\.2\.7, 192\.0\.2\.8\]/,
      ],
      'weighted with `multi`, equal weights': [
        w('weighted => { w => { multi => true, a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 1 ] } }', 'weighted!w'),
        /vips: \[192\.0\.2\.7, 192\.0\.2\.8\]/,
      ],
      metafo: [metafo('a => 192.0.2.7, b => 192.0.2.8'), /order: \[a, b\]/],
      'metafo or geoip with a name as the last datacenter': [
        metafo('a => 192.0.2.7, b => static.example.net.'),
        /lastResort: \{name: static\.example\.net\.\}/,
      ],
      'datacenters that are all names': [
        of(
          'plugins => { metafo => { resources => { w => { datacenters => [ a, b ], dcmap => { a => a.example.net., b => b.example.net. } } } } }',
          'w 600/30 DYNC metafo!w\n',
        ),
        /vips: \[\{name: a\.example\.net\.\}\]/,
      ],
      '`geoip!resource/datacenter`': [
        geoip(coordinates, undefined, '', 'geoip!w/b'),
        /sites: \{b: \{vips: \[192\.0\.2\.8\]\}\}/,
      ],
      'geoip: `auto_dc_coords`': [geoip(coordinates), /a: \{location: \[1, 2\]\}/],
      'geoip: `map` with continents, countries, subdivisions, `default`, `auto`': [
        geoip('map => { default => [ a ], EU => { DE => [ b ] }, NA => { US => { CA => [ b ] } } }'),
        /geos: \[(?:NA-US-CA|EU-DE)/,
      ],
      'geoip: `nets`, also in a file': [
        geoip('map => { default => [ a, b ] }, nets => { 10.0.0.0/8 => b }'),
        /\{subnets: \[10\.0\.0\.0\/8\], order: \[b\], only: true\}/,
      ],
      'geoip: `skip_first`, `undefined_datacenters_ok`': [
        geoip('map => { default => [ a, b ] }', 'a => 192.0.2.7, b => 192.0.2.8', 'skip_first => true,'),
        /order: \[b\]/,
      ],
      'service types http_status, tcp_connect': [
        typed('plugin => http_status, down_thresh => 4, up_thresh => 7'),
        /type: http[^]*fall: 4[^]*rise: 7/,
      ],
      'service type extmon': [typed('plugin => extmon, cmd => [ /bin/check ]'), /type: exec/],
      'service types `up`, `down`; static, null': [
        metafo('a => { service_types => down, l => 192.0.2.7 }, b => 192.0.2.8'),
        /drained: true/,
      ],
      'plugins static, null': [w('static => { w => 192.0.2.7 }', 'static!w'), /w: \{type: A, .*value: 192\.0\.2\.7\}/],
    },
    {
      'plugin reflect': w('reflect => {}', 'reflect'),
      'other plugins': w('other => { w => 192.0.2.7 }', 'other!w'),
      'service type extfile': typed('plugin => extfile, file => x'),
      '`ok_thresh`': typed('plugin => http_status, ok_thresh => 5'),
      '`ignore_health`': w('multifo => { w => { ignore_health => true, a => 192.0.2.7 } }', 'multifo!w'),
      '`edns_client_subnet` (ignore_ecs)': of('options => { edns_client_subnet => false }', ''),
      'cities in a `map`': geoip('map => { EU => { DE => { Berlin => [ b ] } } }'),
      'subdivisions below the first': geoip('map => { EU => { DE => { BE => { X => [ b ] } } } }'),
      'empty lists (no answer)': geoip('map => { EU => [] }'),
      '`multi` with unequal weights': w(
        'weighted => { w => { multi => true, a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 2 ] } }',
        'weighted!w',
      ),
      'groups with unequal weights within': w(
        'weighted => { w => { g => { a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 2 ] } } }',
        'weighted!w',
      ),
      'weights above 1,000': w(
        'weighted => { w => { a => [ 192.0.2.7, 1999 ], b => [ 192.0.2.8, 2 ] } }',
        'weighted!w',
      ),
      'more than eight addresses': w(
        `multifo => { w => [ ${Array.from({ length: 9 }, (_, i) => `192.0.2.${i + 1}`).join(', ')} ] }`,
        'multifo!w',
      ),
      'names among addresses, not as the last resort': metafo('a => x.example.net., b => 192.0.2.7'),
      'an address at two datacenters': metafo('a => 192.0.2.7, b => 192.0.2.7'),
    },
  )

  test('notes have the column of what they are about', async () => {
    const config =
      'plugins => {\n  metafo => { resources => { w => {\n    datacenters => [ a ], dcmap => { a => [ 192.0.2.300 ] } } } } }\n'
    const { places, notes } = await imported('gdnsd', { config, 'zones/example.com': `${HEAD}w DYNA metafo!w\n` })
    expect(notes.join()).toContain('192.0.2.300')
    expect(places).toContain(`config:3:${config.split('\n')[2]!.indexOf('[ 192.0.2.300') + 1}`)
    const broken = await imported('gdnsd', { config: 'plugins => {\n  a => "b\\999" }', 'zones/example.com': HEAD })
    expect(broken.places).toEqual(['config:2:10'])
  })
})

describe('master files', () => {
  const HEAD = '$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n  NS ns1\nns1 A 192.0.2.1\n'
  const of = (zone: string) => () => imported('bind', { 'db.example.com': `${HEAD}${zone}\n` })
  hold(
    sectionOf('Master files'),
    {},
    {
      'data that a delegation hides': of('s NS ns1\nx.s TXT x'),
      'data that a DNAME hides': of('d DNAME x.\nx.d A 192.0.2.2'),
      'classes other than IN': of('a CH TXT x'),
      'records outside of the zone': of('a.example.net. A 192.0.2.2'),
      'keys and signatures': of('a RRSIG A x'),
      'another TTL in a set': of('a 60 A 192.0.2.2\na 90 A 192.0.2.3'),
    },
  )
})

describe('PowerDNS', () => {
  const HEAD = `domains:
- domain: example.com
  ttl: 30
  records:
    example.com: [{soa: ns1.example.com host.example.com 1 2 3 4 5}, {ns: ns1.example.com}]
    ns1.example.com: [{a: 192.0.2.1}]
    de.w.example.com: [{a: 192.0.2.2}]
    us.w.example.com: [{a: 192.0.2.3}]
    o.example.com: [{a: 192.0.2.4}]
`
  const of = (text: string) => () => imported('powerdns', { 'geo.yaml': HEAD + text }, { path: 'geo.yaml' })
  const service = (line: string, more = '') => of(`${more}  services:\n    ${line}\n`)
  hold(
    sectionOf('PowerDNS, geoip backend'),
    {
      '`records`': [of('    a.example.com: [{mx: 10 o.example.com}]\n'), /a: \{type: MX/],
      'several addresses, one with a `weight`': [
        of('    a.example.com: [{a: {content: 192.0.2.8, weight: 30}}, {a: 192.0.2.9}]\n'),
        /weight: 30\}, a-192\.0\.2\.9: \{vips: \[192\.0\.2\.9\]\}\}[^]*pick: random/,
      ],
      'a service of names made of `%cc`, `%co`, `%cn`, `%re`, `%mp`': [
        service("w.example.com: ['%cc.w.example.com', o.example.com]"),
        /\{geos: \[EU-DE\], order: \[de\.w\], only: true\}/,
      ],
      'several names': [
        service("w.example.com: ['%cc.none.example.com', o.example.com]"),
        /w: \{type: (?:GSLB|A|CNAME)/,
      ],
      'networks of a service': [
        service('w.example.com: {default: o.example.com, 10.0.0.0/8: de.w.example.com}'),
        /subnets: \[10\.0\.0\.0\/8\], order: \[de\.w\]/,
      ],
      'names with a CNAME, or of other zones': [
        service(
          "w.example.com: ['%cc.c.example.com', o.example.net]",
          '    fr.c.example.com: [{cname: x.example.net}]\n',
        ),
        /\{name: [xo]\.example\.net\.\}/,
      ],
      '`mapping_lookup_formats`, `custom_mapping`': [
        service(
          "w.example.com: ['%mp.w.example.com', o.example.com]\n  mapping_lookup_formats: ['%cc']\n  custom_mapping: {fr: de}",
        ),
        /geos: \[EU-FR\], order: \[de\.w\]/,
      ],
      'other types at all names alike': [
        service('w.example.com: [t.example.com]', '    t.example.com: [{a: 192.0.2.8}, {txt: hi}]\n'),
        /w:[^]*type: TXT, value: hi/,
      ],
    },
    {
      'placeholders that go by anything but the place (`%ip`, `%as`, `%ci`, times …), in services': service(
        "w.example.com: ['%ci.w.example.com', o.example.com]",
      ),
      'such placeholders in records': of('    a.example.com: [{txt: "you are %ip"}]\n'),
      'placeholders in names of records': of("    '%cc.example.com': [{a: 192.0.2.9}]\n"),
      'Lua records': of('    a.example.com: [{lua: A "x"}]\n'),
      'a family that only some of the names have': service(
        "w.example.com: ['%cc.w.example.com', b.example.com]",
        '    b.example.com: [{a: 192.0.2.8}, {aaaa: "2001:db8::2"}]\n',
      ),
      'weights of records that are no addresses': of('    a.example.com: [{txt: {content: x, weight: 1}}, {txt: y}]\n'),
      'three letters for `%co`': service("w.example.com: ['%co.w.example.com', o.example.com]"),
      'a service without names for all clients': service('w.example.com: {10.0.0.0/8: o.example.com}'),
      'records beside a service': service("ns1.example.com: ['%cc.w.example.com', o.example.com]"),
    },
  )

  test('notes have the column of what they are about', async () => {
    const { places } = await of('    a.example.com: [{txt: y}, {lua: A "x"}]\n')()
    expect(places).toEqual(['geo.yaml:10:32'])
  })
})

/** Fields of Route 53's record sets. */
type Fields = Readonly<Record<string, unknown>>
const alias = (name: string, DNSName: string): Fields => ({
  Name: `${name}example.com.`,
  Type: 'A',
  AliasTarget: { HostedZoneId: 'Z1', DNSName, EvaluateTargetHealth: false },
})
const near = (region: string, bias: number): Fields => ({ GeoProximityLocation: { AWSRegion: region, Bias: bias } })
const check = (config: Fields): Fields => ({ Id: 'one', HealthCheckConfig: config })
const record = (name: string, Type: string, values: readonly string[], more: Fields = {}): Fields => ({
  Name: `${name}example.com.`,
  Type,
  TTL: 60,
  ResourceRecords: values.map((Value) => ({ Value })),
  ...more,
})
const set = (id: string, value: string, more: Fields): Fields =>
  record('w.', value.includes(':') ? 'AAAA' : /[a-z]/.test(value) ? 'CNAME' : 'A', [value], {
    SetIdentifier: id,
    ...more,
  })

describe('Route 53', () => {
  const HEAD = [
    record('', 'NS', ['ns1.example.net.']),
    record('', 'SOA', ['ns1.example.net. host.example.net. 1 7200 900 1209600 300']),
  ]
  const of =
    (sets: readonly Fields[], checks: readonly Fields[] = []) =>
    () =>
      imported('route53', {
        'sets.json': JSON.stringify({ ResourceRecordSets: [...HEAD, ...sets] }),
        ...(checks.length > 0 && { 'checks.json': JSON.stringify({ HealthChecks: checks }) }),
      })
  const PRIMARY = { Failover: 'PRIMARY', HealthCheckId: 'one' }
  const [A, B] = ['192.0.2.1', '192.0.2.2']
  hold(
    sectionOf('Route 53'),
    {
      alone: [of([record('a.', 'A', [A])]), /a: \{type: A, value: 192\.0\.2\.1\}/],
      weighted: [of([set('a', A, { Weight: 3 }), set('b', B, { Weight: 1 })]), /weight: 3[^]*pick: random/],
      failover: [
        of([set('s', B, { Failover: 'SECONDARY' }), set('p', A, { Failover: 'PRIMARY' })]),
        /order: \[w-p, w-s\]/,
      ],
      multivalue: [
        of([set('1', A, { MultiValueAnswer: true }), set('2', B, { MultiValueAnswer: true })]),
        /vips: \[192\.0\.2\.1, 192\.0\.2\.2\]/,
      ],
      geolocation: [
        of([
          set('any', A, { GeoLocation: { CountryCode: '*' } }),
          set('de', B, { GeoLocation: { CountryCode: 'DE' } }),
        ]),
        /\{geos: \[EU-DE\], order: \[w-de, w-any\]\}/,
      ],
      latency: [
        of([set('x', A, { Region: 'eu-central-1' }), set('y', B, { Region: 'us-east-1' })]),
        /eu-central-1: \{location: \[/,
      ],
      geoproximity: [
        of([set('a', A, near('eu-west-1', 20)), set('b', B, near('us-east-1', -20))]),
        /bias: 20[^]*bias: -25/,
      ],
      'sets of A and AAAA that are chosen alike': [
        of([
          set('a', A, { Weight: 1 }),
          set('b', B, { Weight: 1 }),
          set('a', '2001:db8::1', { Weight: 1 }),
          set('b', '2001:db8::2', { Weight: 1 }),
        ]),
        /w-a: \{vips: \[192\.0\.2\.1, '2001:db8::1'\]/,
      ],
      'CNAME sets': [
        of([set('1', 'a.example.net', { Weight: 1 }), set('2', 'b.example.net', { Weight: 1 })]),
        /\{name: a\.example\.net\.\}/,
      ],
      'alias of a name of the zone': [
        of([record('a.', 'A', [A]), alias('b.', 'a.example.com.')]),
        /b: \{type: A, value: 192\.0\.2\.1\}/,
      ],
      'health checks HTTP, HTTPS, TCP, with a string or without': [
        of(
          [set('p', A, PRIMARY)],
          [
            check({
              Type: 'HTTPS_STR_MATCH',
              SearchString: 'ok',
              FailureThreshold: 2,
              IPAddress: '198.51.100.1',
              Port: 443,
            }),
          ],
        ),
        /check: \{address: 198\.51\.100\.1\}[^]*type: https[^]*body: ok[^]*fall: 2\n +rise: 2/,
      ],
    },
    {
      "aliases of AWS's resources": of([alias('lb.', 'lb-1.eu-west-1.elb.amazonaws.com.')]),
      'CIDR routing': of([set('a', A, { CidrRoutingConfig: { CollectionId: 'x', LocationName: 'y' } })]),
      'sets of other types than A, AAAA and CNAME': of([
        record('t.', 'TXT', ['"a"'], { SetIdentifier: 'a', Weight: 1 }),
      ]),
      'calculated and CloudWatch health checks': of([set('p', A, PRIMARY)], [check({ Type: 'CALCULATED' })]),
      'inverted health checks': of([set('p', A, PRIMARY)], [check({ Type: 'TCP', Port: 1, Inverted: true })]),
      'health checks that are not in the folder': of([set('p', A, PRIMARY)]),
      'different health checks within one name': of(
        [set('p', A, PRIMARY), set('s', B, { Failover: 'SECONDARY' })],
        [check({ Type: 'TCP', Port: 1 })],
      ),
      'a missing default of geolocation (no answer there)': of([set('de', A, { GeoLocation: { CountryCode: 'DE' } })]),
      'regions that are not known here': of([set('a', A, { Region: 'xx-west-9' })]),
      'a bias below what Meridian has': of([set('a', A, near('eu-west-1', -80))]),
    },
  )

  test('notes have the column of what they are about', async () => {
    const sets = JSON.stringify({ ResourceRecordSets: [...HEAD, alias('lb.', 'lb-1.eu-west-1.elb.amazonaws.com.')] })
    const { places } = await imported('route53', { 'sets.json': sets })
    expect(places).toEqual([`sets.json:1:${sets.indexOf('{"HostedZoneId') + 1}`])
  })
})
