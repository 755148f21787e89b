/** gdnsd's configuration: what becomes of each plugin and service type, and what is told. server.test.ts asks gdnsd. */
import { expect, test } from 'vitest'
import { imported, type Told } from '../imported.ts'

const HEAD = '@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n'
const of = async (config: string, zone: string, more: Readonly<Record<string, string>> = {}): Promise<Told> =>
  imported('gdnsd', { config, 'zones/example.com': HEAD + zone, ...more })
/** The services that a configuration of plugins makes for `w DYNA …`. */
const services = async (plugins: string, rr: string, types = ''): Promise<string> => {
  const { files, notes, errors } = await of(`plugins => { ${plugins} } service_types => { ${types} }`, `w ${rr}`)
  expect([...notes, ...errors]).toEqual([])
  return files['services.yaml']!
}

test('the language: comments, quotes, escapes, commas or none, both arrows', async () => {
  const config = `"plugins" = { multifo { # none
  } } `
  expect((await of(config, '')).notes).toEqual(['config:1: error: behind the key “multifo” is no =>'])
  const yaml = await services('multifo={w=>["192.0.2.7" 192.0.2\\.8,]; a comment\n}', 'DYNA multifo!w')
  expect(yaml).toContain('vips: [192.0.2.7, 192.0.2.8]')
})

test('includes: a file, a folder, a pattern, in place of a value; none outside of the folder', async () => {
  const files = {
    'parts/a.cfg': 'w => [ 192.0.2.7 ]',
    'parts/b.cfg': 'v => $include{ "../list" }',
    list: '[ 192.0.2.8 ]',
  }
  const zone = 'w DYNA multifo!w\nv DYNA multifo!v\n'
  for (const name of ['parts', 'parts/*.cfg']) {
    const { files: made, notes } = await of(`plugins => { multifo => { $include{${name}} } }`, zone, files)
    expect(notes).toEqual([])
    expect(made['services.yaml']).toMatch(/192\.0\.2\.7[^]*192\.0\.2\.8/)
  }
  expect((await of('plugins => { $include{/etc/hosts} }', '')).notes).toEqual([
    expect.stringContaining('config:1: error: /etc/hosts cannot be read: it is outside of '),
  ])
  expect((await of('plugins => { $include{x*} }', '')).notes).toEqual(['config:1: error: $include{x*} fits no file'])
  expect((await of('$include{config}', '')).failed).toBe(true)
})

test('service types become checks', async () => {
  const types = `
    web => { plugin => http_status, port => 8080, url_path => /up, vhost => www.example.com, ok_codes => [ 200, 301 ], interval => 5, down_thresh => 4, up_thresh => 7 }
    tcp => { plugin => tcp_connect, port => 5222, timeout => 3 }`
  const { files, notes, errors } = await of(
    `service_types => { ${types} } plugins => { multifo => { w => { service_types => [ web, tcp ], a => 192.0.2.7 } } }`,
    'w DYNA multifo!w',
  )
  expect([...notes, ...errors]).toEqual([])
  expect(files['services.yaml']).toContain('check: [{use: web}, {use: tcp}]')
  expect(files['defaults.yaml']!.split('checks:\n')[1]).toBe(`  web:
    type: http
    port: 8080
    path: '/up'
    host: www.example.com
    expect: {status: [200, 301]}
    interval: 5s
    timeout: 2500ms
    fall: 4
    rise: 7
  tcp: {type: tcp, port: 5222, interval: 10s, timeout: 3s, fall: 10, rise: 20}
`)
})

test.each([
  ['ext', 'plugin => extmon, cmd => [ /bin/check, %%ITEM%% ]', 'the command of ext belongs into each prober'],
  [
    'f',
    'plugin => extfile, file => x',
    'f is not taken over, and what it monitored is not checked: it reads states from a file',
  ],
  ['w', 'plugin => http_status, up_thresh => 500', 'up_thresh of w is 100, the most that Meridian counts, and not 500'],
  ['w', 'plugin => http_status, ok_thresh => 5', 'ok_thresh of w is left out'],
])('of the service type %s { %s } it is told: %s', async (name, type, message) => {
  const config = `service_types => {\n ${name} => { ${type} } }\nplugins => { multifo => { w => { service_types => ${name}, a => 192.0.2.7 } } }`
  const { notes, errors } = await of(config, 'w DYNA multifo!w')
  expect(notes).toEqual([expect.stringContaining(`config:2: warning: ${message}`)])
  expect(errors).toEqual([])
})

test('what is always down is drained', async () => {
  const yaml = await services(
    'metafo => { resources => { w => { datacenters => [ a, b ], dcmap => { a => { service_types => down, l => 192.0.2.7 }, b => 192.0.2.8 } } } }',
    'DYNA metafo!w',
  )
  expect(yaml).toContain('a: {vips: [192.0.2.7], drained: true}')
  expect(yaml).toContain('check: none')
})

test('TTLs: min is half of max; names that a service cannot have at once get one of their own', async () => {
  const { files, notes } = await of(
    'plugins => { multifo => { w => [ 192.0.2.7 ] } }',
    'a 600 DYNA multifo!w\nb 600/30 DYNA multifo!w\nc 200/30 DYNA multifo!w\nd 2/1 DYNA multifo!w\n',
  )
  expect(files['example.com.yaml']).toContain('d: {type: GSLB, service: w, ttl: 5}')
  expect(files['example.com.yaml']).toContain(`a: {type: GSLB, service: w}
b: {type: GSLB, service: w-ttl-600-30}
c: {type: GSLB, service: w-ttl-600-30, ttl: 200}`)
  expect(files['services.yaml']).toContain('ttl: {max: 600, min: 300}')
  expect(files['services.yaml']).toContain('ttl: {max: 600, min: 30}')
  expect(notes).toEqual([
    'zones/example.com:7: warning: the TTL is 5 s, as that server has it: 1 is out of its bounds',
    'zones/example.com:7: warning: the TTL is 5 s, as that server has it: 2 is out of its bounds',
  ])
})

test('places: rules from the smallest on, each country where MaxMind has it', async () => {
  const map = `geoip2_db => x, datacenters => [ a, b ], map => { EU => { default => [ b ], DE => [ a, b ] }, AS => [ a ], SA => { GS => [ b ] } }
    nets => { 10.0.0.0/8 => b, ::C000:0200/120 => b }`
  const plugins = `geoip => { maps => { m => { ${map} } } resources => { w => { map => m, dcmap => { a => 192.0.2.7, b => 192.0.2.8 } } } }`
  const { files, notes } = await of(`plugins => { ${plugins} }`, 'w DYNA geoip!w')
  expect(files['services.yaml']).toContain(`  order: [a, b]
  rules:
    - {subnets: [10.0.0.0/8, 192.0.2.0/24], order: [b], only: true}
    - {geos: [EU-DE], order: [a, b]}
    - {geos: [AS-CY], order: [b], only: true}
    - {geos: [AS-TL], order: [a, b]}
    - {geos: [AS], order: [a], only: true}
    - {geos: [EU], order: [b], only: true}
`)
  expect(notes).toEqual(['config:1: warning: left out: MaxMind has GS in AN, and so never here'])
})

test('distance: only places with lists are rules; a continent leaves out its automatic countries', async () => {
  const map = `datacenters => [ a, b ], auto_dc_coords => { a => [ 1, 2 ], b => [ -3.5, 4 ] }, map => { default => [ a ], AN => auto, OC => { NZ => auto, default => [ b ] } }`
  const plugins = `geoip => { maps => { m => { ${map} } } resources => { w => { map => m, dcmap => { a => 192.0.2.7, b => 192.0.2.8 } } } }`
  const { files, notes } = await of(`plugins => { ${plugins} }`, 'w DYNA geoip!w')
  expect(notes).toEqual([])
  expect(files['sites.yaml']).toBe('a: {location: [1, 2]}\nb: {location: [-3.5, 4]}\n')
  const yaml = files['services.yaml']!
  expect(yaml).not.toContain('  order: [')
  expect(yaml).toContain('{geos: [AF], order: [a], only: true}')
  expect(yaml).not.toMatch(/\[AN\]|OC-NZ/)
  expect(yaml).toMatch(/geos: \[OC-AS, OC-AU.*OC-NU, OC-PF.*order: \[b\], only: true\}/)
})

test.each([
  ['EU => { DE => { Berlin => [ b ] } }', 'left out: Berlin is a city'],
  ['EU => { DE => { BE => { X => [ b ] } } }', 'left out: X is below the subdivision BE'],
  ['EU => []', 'an empty list, no answer for these clients, is left out'],
  ['EU => { ZZ => [ b ] }', 'left out: Meridian knows no country “ZZ”'],
])('of the map %s it is told: %s', async (tree, message) => {
  const plugins = `geoip => { maps => { m => { datacenters => [ a, b ], map => { ${tree} } } } resources => { w => { map => m, dcmap => { a => 192.0.2.7, b => 192.0.2.8 } } } }`
  const { notes, failed } = await of(`plugins => { ${plugins} }`, 'w DYNA geoip!w')
  expect(notes).toContainEqual(expect.stringContaining(`config:1: warning: ${message}`))
  expect(failed).toBe(false)
})

test.each([
  [
    'weighted => { w => { multi => true, a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 2 ] } }',
    'weighted!w',
    'an answer has all addresses, and not addresses by chance',
  ],
  [
    'weighted => { w => { g => { a => [ 192.0.2.7, 1 ], b => [ 192.0.2.8, 2 ] } } }',
    'weighted!w',
    'an answer has all addresses of g',
  ],
  [
    'weighted => { w => { a => [ 192.0.2.7, 1999 ], b => [ 192.0.2.8, 2 ] } }',
    'weighted!w',
    'weights are rounded: 1999 is 1000',
  ],
  [
    'multifo => { w => [ 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8, 10.0.0.9 ] }',
    'multifo!w',
    'an answer has 8 of these 9 addresses',
  ],
  ['multifo => { w => { ignore_health => true, a => 192.0.2.7 } }', 'multifo!w', 'ignore_health is left out'],
  [
    'metafo => { resources => { w => { datacenters => [ a, b ], dcmap => { a => x.example.net., b => 192.0.2.7 } } } }',
    'metafo!w',
    'x.example.net. left out: a service has names or addresses',
  ],
  [
    'metafo => { resources => { w => { datacenters => [ a, b ], dcmap => { a => 192.0.2.7, b => 192.0.2.7 } } } }',
    'metafo!w',
    '192.0.2.7 stays at a alone',
  ],
  [
    'metafo => { resources => { w => { datacenters => [ a, b ], dcmap => { a => [ 192.0.2.7, 192.0.2.8, 192.0.2.9 ], b => 192.0.2.10 } } } }',
    'metafo!w',
    'up_thresh: a site is passed over when none of its addresses is up',
  ],
  ['reflect => {}', 'reflect', 'left out: reflect answers with the client'],
  ['other => { w => 192.0.2.7 }', 'other!w', 'other!w is not taken over: plugin other has no counterpart in Meridian'],
])('of %s it is told', async (plugins, resource, message) => {
  const { notes, errors, failed } = await of(`plugins => { ${plugins} }`, `w DYNA ${resource}`)
  expect(notes).toContainEqual(expect.stringContaining(message))
  expect(notes.every((note) => /:\d+: warning: /.test(note))).toBe(true)
  expect(errors).toEqual([])
  expect(failed).toBe(false)
})

test.each([
  ['plugins => { multifo => {} }', 'w DYNA multifo!w', 'zones/example.com:4: error: there is no resource multifo!w'],
  [
    'plugins => { multifo => { w => 192.0.2.300 } }',
    'w DYNA multifo!w',
    'config:1: warning: “192.0.2.300” is neither an address nor a name with its last dot',
  ],
  [
    'plugins => { geoip => { resources => { w => { map => m } } } }',
    'w DYNA geoip!w',
    'config:1: error: there is no map “m”',
  ],
  [
    'plugins => { metafo => { resources => { w => { datacenters => [ a ], dcmap => { a => %metafo!w } } } } }',
    'w DYNA metafo!w',
    'config:1: warning: metafo!w refers to itself',
  ],
  ['plugins => {\n a => b\n', '', 'config:3: error: a hash is never closed'],
  ['plugins => { a => "b }', '', 'config:1: error: a quoted string is never closed'],
  [`plugins => ${'['.repeat(100)}`, '', 'config:1: error: more than 64 levels'],
  ['a => {}', '', "config:1: error: there is no “a” in gdnsd's configuration"],
  ['', 'w 60/x DYNA multifo!w', 'zones/example.com:4: error: “60/x” is no type of a record'],
  ['', 'w 60/30 A 192.0.2.7', 'zones/example.com:4: error: only DYNA and DYNC have two TTLs'],
])('%j with %j: %s', async (config, zone, note) => {
  expect((await of(config, zone)).notes).toContain(note)
})

test('names that are no names of sites, and two of one name, are told apart', async () => {
  const yaml = await services(
    'metafo => { resources => { "w w" => { datacenters => [ "a/b", "a b" ], dcmap => { "a/b" => 192.0.2.7, "a b" => 192.0.2.8 } } } }',
    'DYNA "metafo!w w"',
  )
  expect(yaml).toContain('w-w:\n  sites: {a-b: {vips: [192.0.2.7]}, a-b-2: {vips: [192.0.2.8]}}')
})
