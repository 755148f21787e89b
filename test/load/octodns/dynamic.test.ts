/** Dynamic records as they are written: every fault with its code, and the service that comes out of a sound one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { canonicalPattern, effectiveOverride, mergeOverrides, type Override } from '../../../src/health/override.ts'
import { makeHealthSpec } from '../../../src/health/target.ts'
import { type LoadResult, loadFolder } from '../../../src/load/load.ts'
import { mapDefinition } from '../../../src/policy/compile.ts'
import { layOutService } from '../../../src/policy/service.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-dynamic-'))
afterAll(() => rmSync(folder, { recursive: true }))

const NS = '"": {type: NS, values: [ns1.example.net.]}\n'

function load(records: string, others: Readonly<Record<string, string>> = {}): Promise<LoadResult> {
  const path = mkdtempSync(join(folder, 'zone-'))
  const files = { 'defaults.yaml': 'soa: {serial: 1}\n', 'example.com.yaml': NS + records, ...others }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return loadFolder(path)
}

/** Severity where it is none of an error. */
const codesOf = ({ problems }: LoadResult): readonly string[] =>
  problems.map(({ code, severity }) => (severity === 'error' ? code : `${code} (${severity})`))

const POOLS = '{eu: {fallback: na, values: [{value: 192.0.2.1}]}, na: {values: [{value: 192.0.2.2}]}}'
const RULES = '[{geos: [EU], pool: eu}, {pool: na}]'
const whole = (pools: string, rules: string, more = ''): string =>
  `www: {type: A, value: 192.0.2.80, dynamic: {pools: ${pools}, rules: ${rules}}${more}}`
const pools = (na: string): string => whole(`{na: ${na}}`, '[{pool: na}]')
const value = (one: string): string => pools(`{values: [${one}, {value: 192.0.2.9}]}`)
const rules = (list: string): string =>
  whole(
    '{a: {fallback: b, values: [{value: 192.0.2.1}]}, b: {fallback: c, values: [{value: 192.0.2.2}]}, c: {values: [{value: 192.0.2.3}]}}',
    list,
  )
const check = (healthcheck: string): string => whole(POOLS, RULES, `, octodns: {healthcheck: ${healthcheck}}`)

test.each([
  [whole(POOLS, RULES), []],
  // the record
  ['www: {type: A, dynamic: {pools: {a: {values: [{value: 192.0.2.1}]}}, rules: [{pool: a}]}}', ['key-missing']],
  [whole(POOLS, RULES, ', values: [192.0.2.80]'), ['value-kind']],
  [whole(POOLS, RULES).replace('value: 192.0.2.80', 'values: []'), ['value-kind']],
  [whole(POOLS, RULES).replace('value: 192.0.2.80', 'values: [192.0.2.80, 192.0.2.80]'), ['rdata-duplicate']],
  [whole(POOLS, RULES).replace('value: 192.0.2.80', 'value: "2001:db8::1"'), ['rdata-invalid']],
  [whole(POOLS, RULES, ', geo: {EU: [192.0.2.3]}'), ['not-supported']],
  [whole(POOLS, RULES, ', weight: 3'), ['key-unknown']],
  [whole(POOLS, RULES, ', ttl: -1'), ['value-invalid']],
  ['www: {type: A, value: 192.0.2.80, dynamic: text}', ['value-kind']],
  ['www: {type: A, value: 192.0.2.80, dynamic: {}}', ['key-missing', 'key-missing']],
  ['www: {type: CNAME, value: a.example.net., dynamic: {}}', ['not-supported']],
  [`www: {type: A, value: 192.0.2.80, dynamic: {pools: ${POOLS}}}`, ['key-missing']],
  [whole(POOLS, RULES).replace('rules:', 'regels:'), ['key-missing', 'key-unknown']],
  // pools
  [whole('{}', '[]'), ['value-kind', 'value-kind']],
  [whole('[]', RULES), ['value-kind', 'pool-unknown', 'pool-unknown']],
  [pools('text'), ['value-kind']],
  [pools('{}'), ['key-missing']],
  [pools('{values: []}'), ['value-kind']],
  [pools('{values: 192.0.2.1}'), ['value-kind']],
  [pools('{values: [192.0.2.1]}'), ['value-kind']],
  [pools('{values: [{value: 192.0.2.1}], region: eu}'), ['key-unknown']],
  [whole('{"n/a": {values: [{value: 192.0.2.1}]}}', '[{pool: "n/a"}]'), ['value-invalid']],
  [value('{weight: 2}'), ['key-missing']],
  [value('{value: 192.0.2}'), ['rdata-invalid']],
  [value('{value: "2001:db8::1"}'), ['rdata-invalid']],
  [value('{value: 192.0.2.9}'), ['vip-duplicate']],
  [value('{value: 192.0.2.9, status: down}'), ['vip-duplicate']],
  [value('{value: 192.0.2.1, weight: 0}'), []],
  [value('{value: 192.0.2.1, weight: 1000}'), []],
  [value('{value: 192.0.2.1, weight: 1001}'), ['value-invalid']],
  [value('{value: 192.0.2.1, weight: -1}'), ['value-invalid']],
  [value('{value: 192.0.2.1, weight: 1.5}'), ['value-invalid']],
  [value('{value: 192.0.2.1, status: dwon}'), ['value-invalid']],
  [value('{value: 192.0.2.1, port: 80}'), ['key-unknown']],
  [pools('{values: [{value: 192.0.2.1, weight: 1}]}'), []],
  [pools('{values: [{value: 192.0.2.1, weight: 5}]}'), ['weight-unused (warning)']],
  // fallbacks
  [pools('{fallback: , values: [{value: 192.0.2.1}]}'), []],
  [pools('{fallback: ~, values: [{value: 192.0.2.1}]}'), []],
  [pools('{fallback: [na], values: [{value: 192.0.2.1}]}'), ['value-kind']],
  [pools('{fallback: eu, values: [{value: 192.0.2.1}]}'), ['pool-unknown']],
  [pools('{fallback: na, values: [{value: 192.0.2.1}]}'), ['pool-loop']],
  [pools('{fallback: default, values: [{value: 192.0.2.1}]}'), ['pool-unknown']],
  [
    whole(
      '{a: {fallback: default, values: [{value: 192.0.2.1}]}, default: {values: [{value: 192.0.2.2}]}}',
      '[{pool: a}]',
    ),
    ['pool-unknown (warning)'],
  ],
  // two loops, and a chain that leads into one
  [
    whole(
      `{${['a: b', 'b: a', 'c: a', 'd: e', 'e: d'].map((pair, n) => `${pair.slice(0, 1)}: {fallback: ${pair.slice(-1)}, values: [{value: 192.0.2.${n}}]}`).join(', ')}}`,
      '[{geos: [EU], pool: c}, {pool: d}]',
    ),
    ['pool-loop', 'pool-loop'],
  ],
  // rules
  [rules('text'), ['value-kind']],
  [rules('[{pool: a}]'), []],
  [rules('[{geos: [], subnets: [], pool: a}]'), []],
  [rules('[{geos: EU, pool: a}, {pool: b}]'), ['value-kind']],
  [rules('[a]'), ['value-kind']],
  [rules('[{geos: [EU]}, {pool: a}]'), ['key-missing']],
  [rules('[{pool: d}]'), ['pool-unknown']],
  [rules('[{pool: a, asns: [64500]}]'), ['key-unknown']],
  [rules('[{geos: [EU], pool: a}, {geos: [AS], pool: a}, {pool: a}]'), ['pool-reused']],
  [rules('[{geos: [EU], pool: b}, {pool: a}, {pool: c}]'), ['rule-order']],
  [rules('[{pool: a}, {geos: [EU], pool: b}]'), ['rule-order']],
  [rules('[{geos: [EU], pool: a}]'), ['catchall-missing']],
  [rules('[{geos: [EU, XX], pool: a}, {pool: b}]'), ['value-invalid']],
  [rules('[{geos: [EU-US], pool: a}, {pool: b}]'), ['value-invalid']],
  [rules('[{geos: [EU-CY], pool: a}, {pool: b}]'), ['value-invalid']],
  [rules('[{geos: [AS-CY, SA-GS, AS-TL, EU-XK, NA-US-GU, EU-FR-IDF], pool: a}, {pool: b}]'), []],
  [rules('[{geos: [NA-US-ON], pool: a}, {pool: b}]'), ['value-invalid']],
  [rules('[{geos: [EU, EU], pool: a}, {pool: b}]'), ['geo-covered']],
  [rules('[{geos: [EU-FR, EU], pool: a}, {pool: b}]'), ['geo-covered']],
  [rules('[{geos: [EU-FR], pool: a}, {geos: [EU], pool: b}, {pool: c}]'), []],
  [rules('[{geos: [EU], pool: a}, {geos: [EU-FR-IDF, AS], pool: b}, {pool: c}]'), ['geo-covered']],
  [rules('[{geos: [EU-FR], pool: a}, {geos: [EU-FR], pool: b}, {pool: c}]'), ['geo-covered']],
  [rules('[{geos: [EU-GB-E], pool: a}, {geos: [EU-GB-ENG], pool: b}, {pool: c}]'), []],
  [rules('[{subnets: [10.0.0.1/8], pool: a}, {pool: b}]'), ['value-invalid']],
  [rules('[{subnets: [10.0.0.1], pool: a}, {pool: b}]'), []],
  [rules('[{subnets: [10.1.0.0/16], pool: a}, {subnets: [10.0.0.0/8], pool: b}, {pool: c}]'), []],
  [rules('[{subnets: [10.1.0.0/16, 10.0.0.0/8], pool: a}, {pool: b}]'), ['subnet-covered']],
  [rules('[{subnets: [10.0.0.0/8, 10.0.0.0/8], pool: a}, {pool: b}]'), ['subnet-covered']],
  [
    rules('[{subnets: ["2001:db8::/32"], pool: a}, {subnets: ["2001:db8::1"], pool: b}, {pool: c}]'),
    ['subnet-covered'],
  ],
  [
    rules('[{subnets: [10.0.0.0/8], pool: a}, {subnets: ["::ffff:10.1.0.0/112"], pool: b}, {pool: c}]'),
    ['subnet-covered'],
  ],
  [rules('[{subnets: [0.0.0.0/0], pool: a}, {subnets: ["::/0"], pool: b}, {pool: c}]'), []],
  // every order of subnets alone, both, and geos alone but the right one
  [
    rules(
      '[{subnets: [10.0.0.0/8], pool: a}, {subnets: [192.0.2.0/24], geos: [AS], pool: b}, {geos: [EU], pool: c}, {pool: a}]',
    ),
    [],
  ],
  [
    rules('[{subnets: [10.0.0.0/8], geos: [AS], pool: a}, {subnets: [192.0.2.0/24], pool: b}, {pool: c}]'),
    ['rule-order'],
  ],
  [rules('[{geos: [AS], pool: a}, {subnets: [192.0.2.0/24], pool: b}, {pool: c}]'), ['rule-order']],
  [rules('[{geos: [AS], pool: a}, {subnets: [192.0.2.0/24], geos: [EU], pool: b}, {pool: c}]'), ['rule-order']],
  // health checks
  [check('{}'), []],
  [check('text'), ['value-kind']],
  [check('{protocol: https}'), ['value-invalid']],
  [check('{protocol: UDP}'), ['not-supported']],
  [check('{port: 0}'), ['value-invalid']],
  [check('{port: http}'), ['value-invalid']],
  [check('{path: "/a b"}'), ['value-invalid']],
  [check('{host: "a:80"}'), ['value-invalid']],
  [check('{host: }'), []],
  [check('{interval: 5s}'), ['key-unknown']],
  [check('{protocol: TCP, path: /}'), ['key-unknown (warning)']],
  [check('{protocol: ICMP, port: 80}'), ['key-unknown (warning)']],
  // what else the name has
  [`www:\n  - ${whole(POOLS, RULES).slice(5)}\n  - {type: A, value: 192.0.2.1}`, ['gslb-conflict']],
  [`www:\n  - ${whole(POOLS, RULES).slice(5)}\n  - {type: CNAME, value: a.example.net.}`, ['gslb-conflict']],
  [`www:\n  - ${whole(POOLS, RULES).slice(5)}\n  - ${whole(POOLS, RULES).slice(5)}`, ['rrset-duplicate']],
  [
    `www:\n  - ${whole(POOLS, RULES).slice(5)}\n  - {type: AAAA, value: "2001:db8::1"}\n  - {type: TXT, value: text}`,
    [],
  ],
  [`lab: {type: NS, values: [ns1.example.net.]}\na.lab: ${whole(POOLS, RULES).slice(5)}`, ['below-cut']],
  // it is an address like any
  [`www: ${whole(POOLS, RULES).slice(5)}\nlab: {type: NS, values: [www.example.com.]}`, []],
])('%s', async (records, codes) => {
  const loaded = await load(`${records}\n`)
  expect([...codesOf(loaded)].toSorted()).toEqual([...codes].toSorted())
  expect(loaded.model !== undefined).toBe(codes.every((code) => code.endsWith(')')))
})

const WEB = {
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10, "2001:db8::10"]}}, check: none}\n',
}
const aaaa = whole(POOLS, RULES)
  .slice(5)
  .replace('type: A', 'type: AAAA')
  .replaceAll(/192\.0\.2\.(\d+)/g, '"2001:db8::$1"')

test.each([
  [`[${whole(POOLS, RULES).slice(5)}, ${aaaa}]`, []],
  [`[{type: GSLB, service: web, types: [A]}, ${aaaa}]`, []],
  [`[{type: GSLB, service: web, types: [A]}, {type: AAAA, value: "2001:db8::1"}]`, []],
  [`[{type: GSLB, service: web, types: [A]}, {type: GSLB, service: web, types: [AAAA]}]`, []],
  [`[{type: GSLB, service: web, types: [AAAA]}, {type: AAAA, value: "2001:db8::1"}]`, ['gslb-conflict']],
  [`[{type: GSLB, service: web}, {type: AAAA, value: "2001:db8::1"}]`, ['gslb-conflict']],
  [`[{type: GSLB, service: web}, ${aaaa}]`, ['rrset-duplicate']],
  [`[{type: GSLB, service: web}, {type: GSLB, service: web, types: [A]}]`, ['rrset-duplicate']],
])('two types at one name: %s', async (records, codes) => {
  expect(codesOf(await load(`www: ${records}\n`, WEB))).toEqual(codes)
})

describe('the service', () => {
  test('of an example, whole', async () => {
    const { model } = await load(`
www:
  type: A
  ttl: 30
  values: [192.0.2.80, 192.0.2.81]
  dynamic:
    pools:
      na: {values: [{value: 192.0.2.2, weight: 7}, {value: 192.0.2.3, status: up}, {value: 192.0.2.4, status: down}]}
      eu: {fallback: as, values: [{value: 192.0.2.1}]}
      as: {fallback: na, values: [{value: 192.0.2.5}]}
    rules:
      - {geos: [EU, AF-ZA], subnets: [10.0.0.0/8], pool: eu}
      - {pool: na}
`)
    const [service] = model!.services
    expect(service).toMatchObject({
      name: 'www.example.com:A',
      order: { kind: 'listed', groups: [['na']], only: true },
      rules: [{ asns: [], order: [['eu'], ['as'], ['na']], only: true, at: { line: 13, column: 9 } }],
      pick: 'hash',
      answers: 1,
      minVips: 1,
      spill: 1,
      ttl: { maxSeconds: 30, minSeconds: 30 },
      lastResort: { kind: 'values', values: [Uint8Array.of(192, 0, 2, 80), Uint8Array.of(192, 0, 2, 81)] },
      at: { line: 4, column: 3 },
    })
    expect(service!.rules[0]!.geos).toEqual([{ continent: 'EU' }, { continent: 'AF', country: 'ZA' }])
    expect(
      service!.sites.map(({ site, vips }) => [
        site,
        vips.map(({ address, weight, unchecked }) => [address, weight, unchecked]),
      ]),
    ).toEqual([
      ['as', [['192.0.2.5', undefined, undefined]]],
      ['eu', [['192.0.2.1', undefined, undefined]]],
      [
        'na',
        [
          ['192.0.2.2', 7, undefined],
          ['192.0.2.3', undefined, true],
        ],
      ],
    ])
    expect(makeHealthSpec(model!).services[0]!.keepPercent).toBe(0) // no brake: the values are there
  })

  test('a pool named like a site is that site; another is one without a place', async () => {
    const { model, problems } = await load(`${whole(POOLS, RULES)}\n`, {
      'sites.yaml': 'eu: {location: [50.11, 8.68], region: europe, capacity: 300, drained: true}\n',
    })
    expect(problems).toEqual([])
    expect(model!.sites.get('eu')).toMatchObject({ latitude: 50.11, region: 'europe', capacity: 300, drained: true })
    expect(model!.sites.get('na')).toMatchObject({ latitude: Number.NaN, region: '', capacity: 100 })
    expect(makeHealthSpec(model!).members.map(({ name, drained }) => [name, drained])).toEqual([
      ['eu/www.example.com:A/192.0.2.1', true],
      ['na/www.example.com:A/192.0.2.2', false],
    ])
  })

  test('one address in pools of two names: no slip, unless those are sites', async () => {
    const other = whole('{x: {values: [{value: 192.0.2.1}]}}', '[{pool: x}]').replace('www', 'api')
    const records = `${whole(POOLS, RULES)}\n${other}\n`
    expect(codesOf(await load(records))).toEqual([])
    const sites = { 'sites.yaml': 'eu: {location: [50, 8]}\nx: {location: [50, 8]}\n' }
    expect(codesOf(await load(records, sites))).toEqual(['vip-shared (warning)'])
    const twice = whole(
      '{eu: {fallback: x, values: [{value: 192.0.2.1}]}, x: {values: [{value: 192.0.2.1}]}}',
      '[{pool: eu}]',
    )
    expect(codesOf(await load(`${twice}\n`, sites))).toEqual([])
  })

  test('names: a wildcard’s, one with a slash, an apex’s; overrides meet their members', async () => {
    const record = whole(POOLS, RULES).slice(5)
    const { model } = await load(`"*": ${record}\n"a/b": ${aaaa}\n`, {
      'example.org.yaml': `"":\n  - {type: NS, value: ns1.example.net.}\n  - ${record}\n`,
    })
    const names = model!.services.map(({ name }) => name)
    expect(names).toEqual(['*.example.com:A', 'a\\047b.example.com:AAAA', 'example.org:A'])
    const members = model!.services.flatMap((service) => layOutService(service, model!.sites, 0).members)
    for (const member of members) {
      expect(member.split('/')).toHaveLength(3)
      expect(canonicalPattern(member)).toBe(member)
      const [site = '', service = '', address = ''] = member.split('/')
      const override: Override = {
        pattern: member,
        action: 'drain',
        version: 1,
        node: 'n',
        who: 'w',
        why: 'y',
        madeMs: 0,
        forMs: null,
        setMs: 0,
      }
      expect(effectiveOverride(mergeOverrides(new Map(), [override]), { site, service, address }, 0)).toBe(override)
    }
  })
})

test('1,000 records with the same rules are one client map, in whatever order their pools are written', async () => {
  const swapped =
    '{na: {values: [{value: 192.0.2.2}]}, eu: {fallback: na, values: [{value: 192.0.2.1}, {value: 192.0.2.3}]}}'
  const records = Array.from({ length: 1000 }, (_, i) =>
    whole(i % 2 === 0 ? POOLS : swapped, RULES).replace('www', `www${i}`),
  )
  const { model } = await load(records.join('\n'))
  const keys = new Set(model!.services.map((service) => mapDefinition(service, model!.sites).key))
  expect(model!.services).toHaveLength(1000)
  expect(keys.size).toBe(1)
})
