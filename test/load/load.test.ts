/** The loader: what YAML becomes, the defaults, serials, and reloads that parse only what changed. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { formatName } from '../../src/dns/name.ts'
import { formatRdata } from '../../src/dns/rdata.ts'
import { typeName } from '../../src/dns/types.ts'
import { makeHealthSpec } from '../../src/health/target.ts'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { formatProblem } from '../../src/problem.ts'
import type { ServiceModel } from '../../src/zone/model.ts'
import type { ZoneModel } from '../../src/zone/pack.ts'
import { recordsOf } from '../support/records.ts'

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-load-'))
  folders.push(folder)
  write(folder, files)
  return folder
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

const SITES =
  'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45], region: us, capacity: 200, drained: true}\n'
const NS = '"": {type: NS, values: [ns1.example.net.]}\n'
const DEFAULTS = 'soa: {serial: 7}\n'
const WEB = 'web:\n  sites: {fra: {vips: [192.0.2.10]}}\n  check: none\n'

async function load(files: Readonly<Record<string, string>>): Promise<LoadResult> {
  const loaded = await loadFolder(folderOf({ 'defaults.yaml': DEFAULTS, ...files }))
  expect(loaded.problems.map(formatProblem)).toEqual([])
  return loaded
}

/** A zone as master file lines. */
const lines = (zone: ZoneModel): string[] =>
  [...recordsOf(zone)].flatMap(({ owner, type, ttlSeconds, rdata, steered }) => {
    const head = `${formatName(owner)} ${ttlSeconds}`
    if (steered) return [`${head} GSLB ${steered.service} ${steered.types}`]
    return rdata.map((bytes) => `${head} ${typeName(type)} ${presented(type, bytes)}`)
  })

function presented(type: number, bytes: Uint8Array): string {
  const text = formatRdata(type, bytes)
  return typeof text === 'string' ? text : text.fault
}

async function service(body: string, files: Readonly<Record<string, string>> = {}): Promise<ServiceModel> {
  const { model } = await load({ 'sites.yaml': SITES, 'example.com.yaml': NS, 'services.yaml': body, ...files })
  return model!.services[0]!
}

describe('zones', () => {
  test('every type, one record or a list, value or values, names of all kinds', async () => {
    const { model } = await load({
      'sites.yaml': SITES,
      'services.yaml': WEB,
      'Example.com.yaml': `
"":
  - {type: NS, values: [NS1.example.net., ns2.example.com.]}
  - {type: MX, ttl: 1h, values: [{preference: 10, exchange: mail.example.net.}, {priority: 20, value: mx.example.net.}]}
  - {type: TXT, value: "v=spf1 -all"}
  - {type: CAA, value: {flags: 0, tag: issue, value: ca.example.net}}
ns2: {type: A, ttl: 300, values: [192.0.2.1, 192.0.2.2]}
WWW:
  type: AAAA
  values: ["2001:DB8::1"]
"*": {type: CNAME, value: www.example.com.}
a.b.c: {type: PTR, value: host.example.net.}
_sip._tcp: {type: SRV, value: {priority: 1, weight: 2, port: 5060, target: sip.example.net.}}
010: {type: A, value: 192.0.2.3}
1e3: {type: GSLB, service: web, ttl: 20}
`,
    })
    expect(lines(model!.zones[0]!)).toEqual([
      'example.com. 3600 SOA ns1.example.net. hostmaster.example.com. 7 7200 900 1209600 60',
      'example.com. 3600 NS NS1.example.net.',
      'example.com. 3600 NS ns2.example.com.',
      'example.com. 3600 MX 10 mail.example.net.',
      'example.com. 3600 MX 20 mx.example.net.',
      'example.com. 3600 TXT "v=spf1 -all"',
      'example.com. 3600 CAA 0 issue "ca.example.net"',
      'ns2.example.com. 300 A 192.0.2.1',
      'ns2.example.com. 300 A 192.0.2.2',
      'www.example.com. 3600 AAAA 2001:db8::1',
      '*.example.com. 3600 CNAME www.example.com.',
      'a.b.c.example.com. 3600 PTR host.example.net.',
      '_sip._tcp.example.com. 3600 SRV 1 2 5060 sip.example.net.',
      '010.example.com. 3600 A 192.0.2.3',
      '1e3.example.com. 20 GSLB web 1',
    ])
  })

  test('SOA and TTL from defaults.yaml; the TTL of negative answers is the lesser of the two', async () => {
    const soa =
      'soa: {mname: a.example., rname: b.example., serial: 4294967295, refresh: 1h, retry: 2, expire: 3, minimum: 90}'
    const { model } = await load({ 'defaults.yaml': `${soa}\nttl: 30\n`, 'example.com.yaml': NS })
    const [zone] = model!.zones
    expect(lines(zone!)).toEqual([
      'example.com. 30 SOA a.example. b.example. 4294967295 3600 2 3 90',
      'example.com. 30 NS ns1.example.net.',
    ])
    expect(zone!.soa.negativeTtlSeconds).toBe(30)
    const other = await load({ 'defaults.yaml': 'soa: {serial: 1, minimum: 20}\nttl: 30\n', 'example.com.yaml': NS })
    expect(other.model!.zones[0]!.soa.negativeTtlSeconds).toBe(20)
  })

  test('40,000 values in one record are judged by their size, and soon', async () => {
    const values = Array.from({ length: 40_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    const before = process.cpuUsage().user
    const zone = `${NS}many: {type: A, values: [${values.join(', ')}]}\n`
    const { problems } = await loadFolder(folderOf({ 'defaults.yaml': DEFAULTS, 'example.com.yaml': zone }))
    expect(problems.map(({ code }) => code)).toContain('rrset-too-large')
    expect(process.cpuUsage().user - before).toBeLessThan(10e6) // quadratic it is 34 s
  })

  test('types of a steered name: its own, or all that its service has', async () => {
    const both = 'web: {sites: {fra: {vips: [192.0.2.1]}, iad: {vips: ["2001:db8::1"]}}, check: none}\n'
    const zone = `${NS}all: {type: GSLB, service: web}\nsix: {type: GSLB, service: web, types: [AAAA]}\n`
    const { model } = await load({ 'sites.yaml': SITES, 'services.yaml': both, 'example.com.yaml': zone })
    expect(lines(model!.zones[0]!).slice(2)).toEqual(['all.example.com. 0 GSLB web 3', 'six.example.com. 0 GSLB web 2'])
  })

  test('zones may nest, and name servers may live in the inner one', async () => {
    const { model } = await load({
      'example.com.yaml':
        '"": {type: NS, values: [ns1.sub.example.com.]}\nsub: {type: NS, values: [ns1.sub.example.com.]}\nns1.sub: [{type: A, value: 192.0.2.1}, {type: AAAA, value: "2001:db8::1"}]\n',
      'sub.example.com.yaml': '"": {type: NS, values: [ns1.sub.example.com.]}\nns1: {type: A, value: 192.0.2.1}\n',
    })
    expect(model!.zones.map(({ apex }) => formatName(apex))).toEqual(['example.com.', 'sub.example.com.'])
    await load({
      'example.com.yaml': '"": {type: NS, values: [ns1.sub.example.com.]}\n',
      'sub.example.com.yaml': '"": {type: NS, values: [ns1.sub.example.com.]}\nns1: {type: A, value: 192.0.2.1}\n',
    })
  })

  test('what an outer zone delegates below an inner apex belongs to the inner one', async () => {
    const { problems } = await loadFolder(
      folderOf({
        'defaults.yaml': DEFAULTS,
        'example.com.yaml': `${NS}a.sub: {type: NS, values: [ns1.example.net.]}\n`,
        'sub.example.com.yaml': NS,
      }),
    )
    expect(problems.map(({ code, line }) => [code, line])).toEqual([['zone-overlap', 2]])
  })

  test('words of a megabyte that are nearly alike end', async () => {
    const word = 'x'.repeat(1_000_000)
    const pools = `{"${word}a": {values: [{value: 192.0.2.1}]}}`
    const record = `{type: A, value: 192.0.2.9, dynamic: {pools: ${pools}, rules: [{pool: "${word}b"}]}}`
    const { problems } = await loadFolder(
      folderOf({ 'defaults.yaml': DEFAULTS, 'example.com.yaml': `${NS}www: ${record}\n` }),
    )
    expect(problems.map(({ code }) => code)).toContain('pool-unknown')
    expect(Math.max(...problems.map(({ hint = '' }) => hint.length))).toBeLessThan(2000)
  })

  test('DS of an inner zone is told to be left out, and not to be moved where it may not be either', async () => {
    const ds = `{type: DS, value: {key_tag: 1, algorithm: 13, digest_type: 2, digest: ${'00'.repeat(32)}}}`
    const sub = `sub: [{type: NS, values: [ns1.example.net.]}, ${ds}]\n`
    const zones = { 'defaults.yaml': DEFAULTS, 'example.com.yaml': NS + sub, 'sub.example.com.yaml': NS }
    const { problems } = await loadFolder(folderOf(zones))
    expect(problems.map(({ code, line, hint }) => [code, line, hint?.slice(0, 12)])).toEqual([
      ['zone-overlap', 2, 'Leave it out'],
    ])
  })

  test.each([
    ['covered', 'ns1.a', ''],
    ['shadowed by its own name', 'ns1', 'ns1: {type: TXT, value: x}\n'],
    ['shadowed by a name above it', 'ns1.a', 'a: {type: TXT, value: x}\n'],
  ])('a wildcard gives a name server its address where it applies: %s', async (what, server, more) => {
    const zone = `"": {type: NS, values: [${server}.example.com.]}\n"*": {type: A, value: 192.0.2.1}\n${more}`
    const { problems } = await loadFolder(folderOf({ 'defaults.yaml': DEFAULTS, 'example.com.yaml': zone }))
    expect(problems.map(({ code }) => code)).toEqual(what === 'covered' ? [] : ['ns-without-address'])
  })
})

describe('sites and services', () => {
  test('everything that a service can say', async () => {
    const model = await service(
      `
web:
  sites:
    iad: {vips: [198.51.100.10, {address: "2001:DB8::0:10", check: {address: 10.0.0.1}}], weight: 0, bias: -50, drained: true}
    fra: {vips: ["2001:db8:1::10", 192.0.2.10, 192.0.2.11]}
  order: [[iad, fra]]
  spread: 500km
  candidates: 2
  rules:
    - {subnets: [10.0.0.0/8, "2001:db8::/32"], geos: [AS, AS-CN, NA-US-CA], order: [fra, iad], only: true}
  pick: random
  answers: 2
  minVips: 2
  ttl: {max: 120, min: 10, settle: 1m}
  lastResort: {values: [192.0.2.99, "2001:db8::99"]}
  check: [{use: site, path: /deep, interval: 10s}, {type: tcp, port: 25, address: 10.0.0.2}]
  probers: 5
  regions: 2
`,
      {
        'defaults.yaml':
          'soa: {serial: 7}\nchecks: {site: {type: https, port: 8443, host: www.example.com, method: GET, verify: false, expect: {status: [200, 204], body: ok}, interval: 2s, timeout: 900ms, fast: 300ms, fall: 4, rise: 5}}\n',
      },
    )
    expect(model).toMatchObject({
      name: 'web',
      sites: [
        { site: 'iad', weight: 0, bias: -50, drained: true },
        { site: 'fra', weight: 100, bias: 0, drained: false },
      ],
      order: { kind: 'listed', groups: [['iad', 'fra']] },
      spreadKm: 500,
      candidates: 2,
      pick: 'random',
      answers: 2,
      minVips: 2,
      ttl: { maxSeconds: 120, minSeconds: 10, settleMs: 60_000 },
      probers: 5,
      regions: 2,
    })
    expect(model.sites.map(({ vips }) => vips.map(({ address }) => address))).toEqual([
      ['198.51.100.10', '2001:db8::10'],
      ['2001:db8:1::10', '192.0.2.10', '192.0.2.11'],
    ])
    expect(model.sites[0]!.vips.map(({ checkAddress }) => checkAddress)).toEqual([undefined, '10.0.0.1'])
    expect(model.sites[1]!.vips[1]!.bytes).toEqual(Uint8Array.of(192, 0, 2, 10))
    expect(model.lastResort).toMatchObject({ kind: 'values', values: [Uint8Array.of(192, 0, 2, 99), { length: 16 }] })
    expect(model.rules).toMatchObject([
      {
        subnets: [
          { family: 4, bits: 8 },
          { family: 6, bits: 32 },
        ],
        geos: [
          { continent: 'AS' },
          { continent: 'AS', country: 'CN' },
          { continent: 'NA', country: 'US', subdivision: 'CA' },
        ],
        order: [['fra'], ['iad']],
        only: true,
        at: { line: 10, column: 7 },
      },
    ])
    const https = {
      type: 'https',
      method: 'GET',
      path: '/deep',
      host: 'www.example.com',
      statuses: [200, 204],
      body: 'ok',
    }
    expect(model.checks).toEqual([
      { ...https, verify: false, port: 8443, intervalMs: 10_000, timeoutMs: 900, fastMs: 300, fall: 4, rise: 5 },
      { type: 'tcp', port: 25, address: '10.0.0.2', intervalMs: 5000, timeoutMs: 2000, fastMs: 1000, fall: 3, rise: 2 },
    ])
  })

  test('and what stands for all that it leaves out', async () => {
    const model = await service('web: {sites: {fra: {vips: [192.0.2.10]}}, check: {type: http, interval: 1s}}\n')
    expect(model).toMatchObject({
      order: { kind: 'nearest' },
      spreadKm: 0,
      candidates: 4,
      rules: [],
      pick: 'hash',
      answers: 8,
      minVips: 1,
      ttl: { maxSeconds: 60, minSeconds: 15, settleMs: 300_000 },
      lastResort: { kind: 'all' },
      probers: 3,
      regions: 1,
    })
    const timing = { intervalMs: 1000, timeoutMs: 400, fastMs: 200, fall: 3, rise: 2 }
    const http = { type: 'http', method: 'GET', path: '/', statuses: [200], verify: true, port: 80 }
    expect(model.checks).toEqual([{ ...http, ...timing }])
    const { model: whole } = await load({ 'sites.yaml': SITES, 'services.yaml': WEB, 'example.com.yaml': NS })
    expect([...whole!.sites.values()]).toMatchObject([
      { name: 'fra', latitude: 50.11, longitude: 8.68, region: '', capacity: 100, drained: false },
      { name: 'iad', latitude: 38.95, longitude: -77.45, region: 'us', capacity: 200, drained: true },
    ])
  })

  test('spill is 2 where a site declares its capacity, and 1 else; a budget is none unless written', async () => {
    const two = 'web:\n  sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [192.0.2.20]}}\n  check: none\n'
    expect(await service(WEB)).toMatchObject({ spill: 1 })
    expect(await service(two)).toMatchObject({ spill: 2 })
    expect(await service(`${two}  spill: 1\n  budget: 90s\n`)).toMatchObject({ spill: 1, budgetMs: 90_000 })
    expect('budgetMs' in (await service(two))).toBe(false)
  })

  test('a rule has numbers of systems and a pick of its own', async () => {
    const { rules } = await service(`${WEB}  rules: [{asns: [64500, AS4294967295], order: [fra], pick: random}]\n`)
    expect(rules).toMatchObject([{ subnets: [], asns: [64_500, 4_294_967_295], geos: [], pick: 'random' }])
  })

  const timing = { intervalMs: 5000, timeoutMs: 2000, fastMs: 1000, fall: 3, rise: 2 }
  test.each([
    ['{type: tls}', { type: 'tls', port: 443, verify: true }],
    [
      '{type: tls, port: 993, host: mx.example.com, verify: false, validFor: 14d}',
      { type: 'tls', port: 993, host: 'mx.example.com', verify: false, validFor: { warnMs: 1_209_600_000, failMs: 0 } },
    ],
    [
      '{type: tls, ca: lab, validFor: {fail: 1d}}',
      { type: 'tls', port: 443, verify: true, ca: 'lab', validFor: { failMs: 86_400_000 } },
    ],
    [
      '{type: http, follow: 3, headers: {Authorization: token}, expect: {status: [200-202, 204, 201], matches: "^(ok|well)$"}}',
      {
        type: 'http',
        port: 80,
        method: 'GET',
        path: '/',
        headers: { Authorization: 'token' },
        follow: 3,
        statuses: [200, 201, 202, 204],
        matches: '^(ok|well)$',
        verify: true,
      },
    ],
    ['{type: grpc, port: 50051}', { type: 'grpc', port: 50_051, tls: false, verify: true, service: '' }],
    [
      '{type: grpc, tls: true, host: a.example, verify: false, service: shop.Cart}',
      { type: 'grpc', port: 443, tls: true, host: 'a.example', verify: false, service: 'shop.Cart' },
    ],
    [
      '{type: dns, name: WWW.Example.com}',
      { type: 'dns', port: 53, name: 'www.example.com.', rrtype: 'A', rcodes: ['NOERROR'] },
    ],
    [
      '{type: dns, name: ., port: 5353, rrtype: NS, expect: {rcode: [NOERROR], value: A.Root}}',
      { type: 'dns', port: 5353, name: '.', rrtype: 'NS', rcodes: ['NOERROR'], value: 'a.root.' },
    ],
    [
      '{type: dns, name: a.example., rrtype: AAAA, expect: {value: "2001:DB8:0::1"}}',
      { type: 'dns', port: 53, name: 'a.example.', rrtype: 'AAAA', rcodes: ['NOERROR'], value: '2001:db8::1' },
    ],
    [
      '{type: dns, name: a.example., rrtype: MX, expect: {value: "010  M.example"}}',
      { type: 'dns', port: 53, name: 'a.example.', rrtype: 'MX', rcodes: ['NOERROR'], value: '10 m.example.' },
    ],
    [
      '{type: dns, name: a.example., rrtype: TXT, expect: {value: "Up  now"}}',
      { type: 'dns', port: 53, name: 'a.example.', rrtype: 'TXT', rcodes: ['NOERROR'], value: 'Up  now' },
    ],
    // as dig prints it: in quotes, escaped, in several strings
    [
      String.raw`{type: dns, name: a.example., rrtype: TXT, expect: {value: '"Up \"now\"" "\195\169"'}}`,
      { type: 'dns', port: 53, name: 'a.example.', rrtype: 'TXT', rcodes: ['NOERROR'], value: 'Up "now"é' },
    ],
    [
      '{type: dns, name: a.example., expect: {rcode: NXDOMAIN}}',
      { type: 'dns', port: 53, name: 'a.example.', rrtype: 'A', rcodes: ['NXDOMAIN'] },
    ],
    ['{type: icmp}', { type: 'icmp', port: 0 }],
    ['{type: exec, command: login}', { type: 'exec', port: 0, command: 'login' }],
    ['{type: exec, command: login, port: 8443}', { type: 'exec', port: 8443, command: 'login' }],
    ['{type: agent, port: 9707}', { type: 'agent', port: 9707 }],
    [
      String.raw`{type: agent, port: 9707, send: "web", address: 10.0.0.1}`,
      { type: 'agent', port: 9707, send: 'web', address: '10.0.0.1' },
    ],
  ])('check: %s', async (check, expected) => {
    const { checks } = await service(`web: {sites: {fra: {vips: [192.0.2.10]}}, check: ${check}}\n`)
    expect(checks).toEqual([{ ...expected, ...timing }])
  })

  test('a named check of any kind takes keys beside `use`, and another type drops what it has no use for', async () => {
    const defaults = `soa: {serial: 7}
checks:
  ns: {type: dns, name: www.example.com, expect: {value: 192.0.2.1}}
  mail: {type: tls, port: 993, validFor: 3d}
`
    const text = `web:
  sites: {fra: {vips: [192.0.2.10]}}
  check: [{use: ns, expect: {value: 192.0.2.2}}, {use: mail, validFor: 0s}, {use: mail, type: icmp}]
`
    const { checks } = await service(text, { 'defaults.yaml': defaults })
    expect(checks).toEqual([
      {
        type: 'dns',
        port: 53,
        name: 'www.example.com.',
        rrtype: 'A',
        rcodes: ['NOERROR'],
        value: '192.0.2.2',
        ...timing,
      },
      { type: 'tls', port: 993, verify: true, validFor: { warnMs: 0, failMs: 0 }, ...timing },
      { type: 'icmp', port: 0, ...timing },
    ])
  })

  test.each([
    ['ttl: 30', { maxSeconds: 30, minSeconds: 30, settleMs: 300_000 }],
    ['ttl: {max: 10}', { maxSeconds: 10, minSeconds: 10, settleMs: 300_000 }],
    ['ttl: {min: 90}', { maxSeconds: 90, minSeconds: 90, settleMs: 300_000 }],
    ['ttl: {max: 5m, settle: 0s}', { maxSeconds: 300, minSeconds: 15, settleMs: 0 }],
  ])('%s', async (ttl, expected) => {
    expect((await service(`${WEB}  ${ttl}\n`)).ttl).toEqual(expected)
  })

  test('services come from one file and a folder, sorted by name', async () => {
    const { model } = await load({
      'sites.yaml': SITES,
      'services.yaml': WEB,
      'services/more.yaml':
        'api: {sites: {fra: {vips: [192.0.2.1]}}, check: none}\nzoo: {sites: {fra: {vips: [192.0.2.2]}}, check: none}\n',
      'example.com.yaml': NS,
    })
    expect(model!.services.map(({ name }) => name)).toEqual(['api', 'web', 'zoo'])
  })
})

function git(folder: string, ...args: string[]): void {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_COMMITTER_DATE: '1700000000 +0000' }
  const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.com']
  execFileSync('git', [...who, ...args], { cwd: folder, env })
}

describe('serials', () => {
  test('the last commit that touched the folder gives it', async () => {
    const folder = folderOf({ 'zones/example.com.yaml': NS, 'other.txt': 'x' })
    git(folder, 'init', '-q')
    git(folder, 'add', '.')
    git(folder, 'commit', '-q', '-m', 'zones')
    const { model, problems } = await loadFolder(join(folder, 'zones'))
    expect(problems).toEqual([])
    expect(lines(model!.zones[0]!)[0]).toContain(' 1700000000 ')
  })

  test('without git it is 1, with a warning; as written, without', async () => {
    const bare = await loadFolder(folderOf({ 'example.com.yaml': NS }))
    expect(bare.problems.map(({ code, severity }) => [code, severity])).toEqual([['serial-unknown', 'warning']])
    expect(lines(bare.model!.zones[0]!)[0]).toContain(' 1 7200 ')
    const { model } = await load({ 'example.com.yaml': NS })
    expect(lines(model!.zones[0]!)[0]).toContain(' 7 7200 ')
  })
})

const files = { 'example.com.yaml': NS, 'example.org.yaml': NS, 'sites.yaml': SITES, 'services.yaml': WEB }
const hash = async (more: Readonly<Record<string, string>> = {}): Promise<string> =>
  (await load({ ...files, ...more })).hash

describe('reloads', () => {
  test('only what changed is parsed again', async () => {
    const folder = folderOf({ 'defaults.yaml': DEFAULTS, ...files })
    const first = await loadFolder(folder)
    write(folder, { 'example.org.yaml': `${NS}www: {type: GSLB, service: web}\n` })
    const second = await loadFolder(folder, first)
    const kept = [...second.files].filter(([path, file]) => first.files.get(path) === file).map(([path]) => path)
    expect(kept.toSorted()).toEqual(['defaults.yaml', 'example.com.yaml', 'services.yaml', 'sites.yaml'])
    expect(second.model!.zones[0]!.sets).toBe(first.model!.zones[0]!.sets)
    expect(lines(second.model!.zones[1]!).at(-1)).toBe('www.example.org. 0 GSLB web 1')
    expect(second.model).toEqual((await loadFolder(folder)).model)
  })

  test('what a file depends on counts as its own: default TTL, services, serial', async () => {
    const folder = folderOf({
      'defaults.yaml': DEFAULTS,
      ...files,
      'example.com.yaml': `${NS}www: {type: GSLB, service: web}\n`,
    })
    const first = await loadFolder(folder)
    write(folder, {
      'defaults.yaml': 'soa: {serial: 8}\nttl: 99\n',
      'services.yaml': WEB.replace('192.0.2.10', '"2001:db8::1"'),
    })
    const second = await loadFolder(folder, first)
    expect(lines(second.model!.zones[0]!)).toEqual([
      'example.com. 99 SOA ns1.example.net. hostmaster.example.com. 8 7200 900 1209600 60',
      'example.com. 99 NS ns1.example.net.',
      'www.example.com. 0 GSLB web 2',
    ])
    write(folder, { 'services.yaml': WEB })
    const third = await loadFolder(folder, second)
    expect(lines(third.model!.zones[0]!).at(-1)).toBe('www.example.com. 0 GSLB web 1')
    expect(lines(second.model!.zones[0]!).at(-1)).toBe('www.example.com. 0 GSLB web 2')
    expect(lines(first.model!.zones[0]!).at(-1)).toBe('www.example.com. 0 GSLB web 1')
  })

  test('problems of unchanged files are told again, and go when they are mended', async () => {
    const folder = folderOf({
      'defaults.yaml': DEFAULTS,
      ...files,
      'example.com.yaml': `${NS}api: {type: A, values: [x]}\n`,
    })
    const first = await loadFolder(folder)
    expect(first.model).toBeUndefined()
    const second = await loadFolder(folder, first)
    expect(second.problems).toEqual(first.problems)
    expect(second.problems).toHaveLength(1)
    write(folder, { 'example.com.yaml': NS })
    const third = await loadFolder(folder, second)
    expect(third.problems).toEqual([])
    expect(third.model!.zones).toHaveLength(2)
    unlinkSync(join(folder, 'example.com.yaml'))
    expect((await loadFolder(folder, third)).model!.zones).toHaveLength(1)
  })

  test('equal folders have equal hashes, wherever they are; others have not', async () => {
    const one = await hash()
    expect(await hash()).toBe(one)
    expect(await hash({ 'example.com.yaml': `${NS}# more\n` })).not.toBe(one)
    expect(await hash({ 'example.info.yaml': NS })).not.toBe(one)
    expect(await hash({ 'defaults.yaml': 'soa: {serial: 8}\n' })).not.toBe(one)
  })
})

test('a folder as Kubernetes mounts it: every file a link into a hidden folder', async () => {
  const folder = folderOf({
    '..2026/defaults.yaml': DEFAULTS,
    '..2026/example.com.yaml': NS,
    '..2026/sites.yaml': SITES,
    '..2026/services/web.yaml': WEB,
  })
  symlinkSync('..2026', join(folder, '..data'))
  for (const name of ['defaults.yaml', 'example.com.yaml', 'sites.yaml', 'services']) {
    symlinkSync(`..data/${name}`, join(folder, name))
  }
  const { problems, model } = await loadFolder(folder)
  expect(problems.map(formatProblem)).toEqual([])
  expect(model!.services).toHaveLength(1)
})

test('what editors put beside a file keeps nothing from loading, and is no zone', async () => {
  const good = { 'defaults.yaml': DEFAULTS, 'sites.yaml': SITES, 'services/web.yaml': WEB, 'example.com.yaml': NS }
  const left = {
    'example.com.yaml~': 'old',
    '#example.com.yaml#': 'x',
    '.example.com.yaml.swp': 'x',
    'services/web.yaml~': 'x',
  }
  const { problems, model } = await loadFolder(folderOf({ ...good, ...left }))
  expect(problems.map(formatProblem)).toEqual([])
  expect(model!.zones).toHaveLength(1)
  const { problems: others } = await loadFolder(folderOf({ ...good, 'example.com.yaml.bak': 'old' }))
  expect(others.map(({ code }) => code)).toEqual(['file-unknown'])
})

test.each([
  ['site.yaml', 'Did you mean sites.yaml?'],
  ['test.yaml', /^A zone is a file .* one of a single label is always a folder: test\.\/$/],
  ['example.com', /^A zone is a file named like example\.com\.yaml, or a folder .*\)$/],
  ['example.com.yml', 'Rename it to .yaml'],
])('a file that is none of this folder: %s', async (file, hint) => {
  const good = { 'defaults.yaml': DEFAULTS, 'sites.yaml': SITES, 'services.yaml': WEB, 'example.org.yaml': NS }
  const { problems } = await loadFolder(folderOf({ ...good, [file]: 'x' }))
  const told = problems.find(({ code }) => code === 'file-unknown')
  expect(told?.hint).toMatch(hint)
})

test('a zone of a single label is a folder', async () => {
  const good = { 'defaults.yaml': DEFAULTS, 'sites.yaml': SITES, 'services.yaml': WEB, 'test./all.yaml': NS }
  const { problems, model } = await loadFolder(folderOf(good))
  expect(problems.filter(({ severity }) => severity === 'error').map(formatProblem)).toEqual([])
  expect(model!.zones).toHaveLength(1)
})

test('the example in the root is valid, without a warning', async () => {
  const { problems, model } = await loadFolder(resolve(import.meta.dirname, '../../zones'))
  expect(problems.filter(({ code }) => code !== 'serial-unknown').map(formatProblem)).toEqual([]) // a copy outside git
  expect(model!.services.map(({ name }) => name)).toEqual(['web'])
})

const atTwo = (name: string, more: string): string =>
  `${name}:\n  sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [192.0.2.20]}}\n  check: none\n${more}`

test('failback is manual where the service, or the site, says so', async () => {
  const sites = 'fra: {location: [50.11, 8.68], failback: manual}\niad: {location: [38.95, -77.45], failback: auto}\n'
  const services = [atTwo('api', ''), atTwo('mail', '  failback: auto\n'), atTwo('web', '  failback: manual\n')].join(
    '',
  )
  const { model } = await load({ 'sites.yaml': sites, 'example.com.yaml': NS, 'services.yaml': services })
  const manual = makeHealthSpec(model!).members.filter((one) => one.manual)
  expect(manual.map(({ site, service: its }) => `${site}/${its}`)).toEqual([
    'fra/api',
    'fra/mail',
    'fra/web',
    'iad/web',
  ])
})
