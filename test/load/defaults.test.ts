/** defaults.yaml: name servers for zones that have none, and what is one zone's alone. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { formatName } from '../../src/dns/name.ts'
import { TYPE, typeName } from '../../src/dns/types.ts'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { formatProblem } from '../../src/problem.ts'
import { briefsOf, emptyFolder, presented, writeZones } from '../support/folder.ts'
import { recordsOf } from '../support/records.ts'

/** The zones' own records: name, TTL, type and value. */
const apexes = ({ model }: LoadResult): string[] =>
  model!.zones.flatMap((zone) =>
    [...recordsOf(zone)].flatMap(({ owner, type, ttlSeconds, rdata }) =>
      type !== TYPE.SOA && type !== TYPE.NS
        ? []
        : rdata.map((bytes) => `${formatName(owner)} ${ttlSeconds} ${typeName(type)} ${presented(type, bytes)}`),
    ),
  )

const HOST = 'www: {type: A, value: 192.0.2.1}\n'

test('a zone without NS at its apex has those of defaults.yaml, or its own there; one with NS keeps them', async () => {
  const loaded = await loadFolder(
    writeZones({
      'defaults.yaml': `soa: {serial: 1, rname: dns.example.net.}
ns: [ns1.example.net., NS2.example.net.]
ttl: 600
zones:
  example.org: {ns: [ns1.example.org.], ttl: 60, soa: {minimum: 5}}
`,
      'example.com.yaml': HOST,
      'example.net.yaml': `"": {type: NS, value: ns1.example.com.}\n${HOST}`,
      'example.org.yaml': `ns1: {type: A, value: 192.0.2.53}\n"": {type: TXT, value: x}\n`,
    }),
  )
  expect(loaded.problems.map(formatProblem)).toEqual([])
  expect(apexes(loaded)).toEqual([
    'example.com. 600 SOA ns1.example.net. dns.example.net. 1 7200 900 1209600 60',
    'example.com. 600 NS ns1.example.net.',
    'example.com. 600 NS NS2.example.net.',
    'example.net. 600 SOA ns1.example.com. dns.example.net. 1 7200 900 1209600 60',
    'example.net. 600 NS ns1.example.com.',
    'example.org. 60 SOA ns1.example.org. dns.example.net. 1 7200 900 1209600 5',
    'example.org. 60 NS ns1.example.org.',
  ])
  expect(loaded.model!.zones.map(({ soa }) => soa.negativeTtlSeconds)).toEqual([60, 60, 5])
})

const DEFAULTS = 'soa: {serial: 1}\nns: [ns1.example.com.]\n'

test.each<[string, Readonly<Record<string, string>>, string[]]>([
  [
    'a server within the zone without an address',
    { 'example.com.yaml': HOST },
    ['example.com.yaml:1:1 ns-without-address'],
  ],
  ['a server within another zone', { 'example.org.yaml': HOST }, []],
  [
    'no NS anywhere',
    { 'defaults.yaml': 'soa: {serial: 1}\n', 'example.org.yaml': HOST },
    ['example.org.yaml:1:1 ns-missing'],
  ],
  [
    'a faulty server: the zones that lack it are not to blame',
    { 'defaults.yaml': 'soa: {serial: 1}\nns: [ns1.example.net]\n', 'example.org.yaml': HOST },
    ['defaults.yaml:2:6 rdata-invalid'],
  ],
  [
    'the same server twice',
    { 'defaults.yaml': 'soa: {serial: 1}\nns: [ns1.example.net., NS1.example.net.]\n', 'example.org.yaml': HOST },
    ['defaults.yaml:2:24 rdata-duplicate'],
  ],
  [
    'transfers: networks, servers, a key, a site and an “allow” that are none',
    {
      'defaults.yaml': `soa: {serial: 1}
ns: [ns1.example.com.]
transfer: {allow: [192.0.2.1/24], notify: [ns1], key: a..b, steered: {site: nowhere}}
zones:
  example.org: {transfer: {notify: [192.0.2.53]}}
  example.net: {transfer: {allow: [192.0.2.53], steered: all}}
`,
      'example.org.yaml': HOST,
      'example.net.yaml': HOST,
    },
    [
      'defaults.yaml:3:20 value-invalid',
      'defaults.yaml:3:44 value-invalid',
      'defaults.yaml:3:55 value-invalid',
      'defaults.yaml:5:27 key-missing',
      'defaults.yaml:6:58 value-invalid',
    ],
  ],
  [
    'transfers of a site that there is not',
    { 'defaults.yaml': `${DEFAULTS}transfer: {key: xfr, steered: {site: nowhere}}\n`, 'example.org.yaml': HOST },
    ['defaults.yaml:3:38 site-unknown'],
  ],
  [
    'one server without a list',
    { 'defaults.yaml': 'soa: {serial: 1}\nns: ns1.example.net.\n', 'example.org.yaml': HOST },
    ['defaults.yaml:2:5 value-kind'],
  ],
  [
    'settings of a zone that there is not',
    { 'defaults.yaml': `${DEFAULTS}zones: {example.con: {ttl: 5}}\n`, 'example.org.yaml': HOST },
    ['defaults.yaml:3:9 key-unknown'],
  ],
  [
    'a serial of one zone: it is one for all',
    { 'defaults.yaml': `${DEFAULTS}zones: {example.org: {soa: {serial: 5}}}\n`, 'example.org.yaml': HOST },
    ['defaults.yaml:3:29 key-unknown'],
  ],
  [
    'a mailbox without its last dot',
    { 'defaults.yaml': `${DEFAULTS}zones: {example.org: {soa: {rname: dns.example.org}}}\n`, 'example.org.yaml': HOST },
    ['defaults.yaml:3:36 rdata-invalid'],
  ],
])('%s', async (_, files, expected) => {
  expect(await briefsOf({ 'defaults.yaml': DEFAULTS, ...files })).toEqual(expected)
})

test('zones are read again when the servers that they lack change', async () => {
  const folder = emptyFolder()
  writeZones({ 'defaults.yaml': DEFAULTS, 'example.org.yaml': HOST }, folder)
  const first = await loadFolder(folder)
  writeZones({ 'defaults.yaml': DEFAULTS.replace('ns1', 'ns7') }, folder)
  const second = await loadFolder(folder, first)
  expect([first, second].map((loaded) => apexes(loaded).at(-1))).toEqual([
    'example.org. 3600 NS ns1.example.com.',
    'example.org. 3600 NS ns7.example.com.',
  ])
  rmSync(join(folder, 'defaults.yaml'))
  expect((await loadFolder(folder, second)).problems.map(({ code }) => code)).toContain('ns-missing')
})
