/**
 * Inputs from outside: whatever bytes they are, an import ends, throws nothing, and what it calls whole is taken by the loader
 * or refused with a Problem. Configurations of the other tests, with bytes changed, cut out, doubled and swapped.
 */
import { expect, test } from 'vitest'
import { seeded } from '../answer/fixture.ts'
import { MORE, ZONE as BIND } from './bind/zones.ts'
import { config, NETS, ZONE } from './gdnsd/zones.ts'
import { imported } from './imported.ts'
import { ZONES } from './powerdns/zones.ts'

const SETS = JSON.stringify({
  ResourceRecordSets: [
    { Name: 'a.', Type: 'SOA', TTL: 9, ResourceRecords: [{ Value: 'b. c. 1 2 3 4 5' }] },
    { Name: 'a.', Type: 'NS', TTL: 9, ResourceRecords: [{ Value: 'b.' }] },
    { Name: 'w.a.', Type: 'A', SetIdentifier: 'x', Weight: 3, TTL: 9, ResourceRecords: [{ Value: '192.0.2.1' }] },
    {
      Name: 'g.a.',
      Type: 'A',
      SetIdentifier: 'x',
      GeoLocation: { CountryCode: 'DE' },
      TTL: 9,
      HealthCheckId: 'h',
      ResourceRecords: [{ Value: '192.0.2.1' }],
    },
    {
      Name: 'r.a.',
      Type: 'AAAA',
      SetIdentifier: 'x',
      Region: 'eu-west-1',
      TTL: 9,
      ResourceRecords: [{ Value: '2001:db8::1' }],
    },
  ],
  HealthChecks: [{ Id: 'h', HealthCheckConfig: { Type: 'HTTP', IPAddress: '192.0.2.1', RequestInterval: 30 } }],
})

const CASES = {
  bind: { file: 'db.example.com', files: { 'db.example.com': BIND, 'more/more.inc': MORE }, path: 'db.example.com' },
  gdnsd: {
    file: 'config',
    files: { config: config('x', 53, '/'), 'zones/example.com': ZONE, 'geoip/nets-file': NETS },
  },
  powerdns: { file: 'geo.yaml', files: { 'geo.yaml': ZONES }, path: 'geo.yaml' },
  route53: { file: 'sets.json', files: { 'sets.json': SETS } },
} as const

/** A text with some of its bytes changed. */
function damaged(text: string, next: () => number): string {
  let bytes = text
  for (let count = 1 + (next() % 3); count > 0; count--) {
    const at = next() % bytes.length
    const end = Math.min(bytes.length, at + 1 + (next() % 40))
    const part = bytes.slice(at, end)
    const kinds = [
      '',
      part + part,
      String.fromCharCode(next() & 255),
      part.split('').toReversed().join(''),
      '{',
      '"',
      '$',
      '\\',
      '\n',
      '%',
    ]
    bytes = bytes.slice(0, at) + kinds[next() % kinds.length]! + bytes.slice(end)
  }
  return bytes
}

test.each(['bind', 'gdnsd', 'powerdns', 'route53'] as const)('%s, damaged', { timeout: 60_000 }, async (format) => {
  const next = seeded(format.length)
  const { file, files, ...more } = CASES[format]
  const texts: Readonly<Record<string, string>> = files
  let failed = 0
  for (let i = 0; i < 150; i++) {
    const name = i % 3 === 0 ? (Object.keys(texts)[next() % Object.keys(texts).length] ?? file) : file
    const told = await imported(format, { ...texts, [name]: damaged(texts[name]!, next) }, more)
    if (told.failed) failed++
    expect(told.failed ? told.notes.some((note) => note.includes('error: ')) : true).toBe(true)
  }
  // some are damaged, and some are not
  expect(failed).toBeGreaterThan(10)
  expect(failed).toBeLessThan(150)
})

test.each([
  ['bind', { 'db.a.b': '('.repeat(100_000) }],
  ['bind', { 'db.a.b': `a TXT ${'"'.repeat(100_001)}` }],
  ['bind', { 'db.a.b': `a TXT ${'x '.repeat(100_000)}` }],
  ['bind', { 'db.a.b': `${'a.'.repeat(100_000)} A 192.0.2.1` }],
  ['bind', { 'db.a.b': `$GENERATE 1-60000 a A ${'$'.repeat(4000)}\n` }],
  ['gdnsd', { config: '{'.repeat(100_000) }],
  ['gdnsd', { config: `a => ${'[ '.repeat(100_000)}` }],
  ['gdnsd', { config: '\\'.repeat(100_001) }],
  ['gdnsd', { config: `plugins => { $include{${'*'.repeat(1000)}x} }`, 'zones/a.b': '' }],
  ['powerdns', { 'geo.yaml': `domains: ${'['.repeat(2000)}` }],
  ['route53', { 'sets.json': '['.repeat(2000) }],
] as const)('%s: an input that grows ends', { timeout: 60_000 }, async (format, files) => {
  const [first] = Object.keys(files)
  const { failed } = await imported(format, files, format === 'powerdns' ? { path: first! } : {})
  expect(failed).toBe(true)
})
