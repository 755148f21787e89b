/**
 * octoDNS's documentation of dynamic records, page by page and section by section, asked over the wire: its examples load
 * as they stand there (with documentation addresses), and each kind of client gets what the page says, with pools up, partly
 * down, a whole chain down, and everything down. `rst` is docs/dynamic_records.rst of octodns/octodns; `yaml` its
 * tests/config/dynamic.tests.yaml.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import { DOWN, healthWord, UP } from '../../../src/health/table.ts'
import { makeNode, type TestNode } from '../../answer/fixture.ts'
import { makeAsk, memory } from '../../support/ask.ts'
import { CLIENTS, CLIENTS_AT } from '../../support/mmdb.ts'

const DEFAULTS = 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 300}\n'
const NS = '"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n'
const UNKNOWN = 'a client that no database places'

const load = (records: string): Promise<TestNode> =>
  makeNode({ 'defaults.yaml': DEFAULTS, 'example.com.yaml': NS + records })

/** A client's network as its resolver tells it. */
const ecsOf = (client: string, family: 4 | 6 = 4): string => {
  const { v4, v6 } = client === UNKNOWN ? CLIENTS.nowhere : CLIENTS_AT.get(client)!
  return family === 4 ? `${v4.replace(/\d+$/, '0')}/24` : `${v6.replace(/::1$/, '::')}/64`
}

interface Named {
  readonly values: readonly string[]
  readonly ttls: readonly number[]
  readonly scope: number
}

async function named(node: TestNode, q: string, ecs: string): Promise<Named> {
  const message = await makeAsk(memory(node.responder))({ q, ecs, rcode: 'NOERROR', aa: true })
  const values = message.answer.map(({ rdata }) => rdata).toSorted()
  return { values, ttls: message.answer.map(({ ttlSeconds }) => ttlSeconds), scope: message.edns!.ecs!.scope }
}

/** One value of these and no other, with that TTL. */
async function expectOneOf(node: TestNode, q: string, client: string, pool: readonly string[], ttl: number) {
  const family = q.endsWith('AAAA') ? 6 : 4
  const { values, ttls, scope } = await named(node, q, ecsOf(client, family))
  expect(values, client).toHaveLength(1)
  expect(pool, client).toContain(values[0])
  expect(ttls, client).toEqual([ttl])
  // by a hash of the /24 or /56 where several could be
  if (pool.length > 1) expect(scope, client).toBeGreaterThanOrEqual(family === 4 ? 24 : 56)
  expect(scope, client).toBeLessThanOrEqual(family === 4 ? 24 : 64)
}

/** All of these: the record's own values. */
async function expectAll(node: TestNode, q: string, client: string, values: readonly string[], ttl: number) {
  const found = await named(node, q, ecsOf(client))
  expect(found.values, client).toEqual(values.toSorted())
  expect(found.ttls, client).toEqual(values.map(() => ttl))
}

function setAll(node: TestNode, state: typeof UP | typeof DOWN, which = /./): void {
  for (const member of node.slots.keys()) if (which.test(member)) node.set(member, healthWord(state, 1000, true))
}

describe('rst, “An Annotated Example” and “Visual Representation of the Rules and Pools”', async () => {
  const node = await load(`
test:
  dynamic:
    pools:
      apac:
        fallback: na
        values:
        - value: 192.0.2.1
        - value: 192.0.2.2
      eu:
        fallback: na
        values:
        - value: 192.0.2.3
          weight: 2
        - value: 192.0.2.4
          weight: 3
      na:
        values:
        - value: 192.0.2.5
        - value: 192.0.2.6
        - value: 192.0.2.7
    rules:
    - geos:
      - AF-ZA
      - AS
      - OC
      pool: apac
    - geos:
      - AF
      - EU
      pool: eu
    - pool: na
  ttl: 60
  type: A
  values:
  - 192.0.2.3
  - 192.0.2.4
  - 192.0.2.5
  - 192.0.2.6
  - 192.0.2.7
`)
  const q = 'test.example.com A'
  const APAC = ['192.0.2.1', '192.0.2.2']
  const EU = ['192.0.2.3', '192.0.2.4']
  const NA = ['192.0.2.5', '192.0.2.6', '192.0.2.7']
  const VALUES = [...EU, ...NA]
  const AT_APAC = ['AF-ZA', 'AS-SG', 'AS-JP', 'AS-CY', 'OC-AU', 'OC-GU']
  const AT_EU = ['AF-EG', 'EU-FR', 'EU-DE', 'EU-GB', 'EU-XK']
  const AT_NA = ['NA-US-KY', 'NA-CA-ON', 'NA-MX', 'SA-BR', 'SA-GS', 'AN-AQ', UNKNOWN]
  beforeEach(() => setAll(node, UP))

  test('all up: each client in the pool of its rule; the rest of AF behind AF-ZA; nobody’s in the catch-all’s', async () => {
    for (const client of AT_APAC) await expectOneOf(node, q, client, APAC, 60)
    for (const client of AT_EU) await expectOneOf(node, q, client, EU, 60)
    for (const client of AT_NA) await expectOneOf(node, q, client, NA, 60)
  })

  test('a pool partly down: what is left of it, not its fallback', async () => {
    setAll(node, DOWN, /192\.0\.2\.1$|192\.0\.2\.4$|192\.0\.2\.[56]$/)
    for (const client of AT_APAC) await expectOneOf(node, q, client, ['192.0.2.2'], 60)
    for (const client of AT_EU) await expectOneOf(node, q, client, ['192.0.2.3'], 60)
    for (const client of AT_NA) await expectOneOf(node, q, client, ['192.0.2.7'], 60)
  })

  test('a pool wholly down: its fallback, and nobody else moves', async () => {
    setAll(node, DOWN, /^apac\//)
    for (const client of AT_APAC) await expectOneOf(node, q, client, NA, 60)
    for (const client of AT_EU) await expectOneOf(node, q, client, EU, 60)
    for (const client of AT_NA) await expectOneOf(node, q, client, NA, 60)
  })

  test('a whole chain down: the record’s values, though another pool is up; that one’s clients keep it', async () => {
    setAll(node, DOWN, /^(apac|na)\//)
    for (const client of AT_APAC) await expectAll(node, q, client, VALUES, 60)
    for (const client of AT_NA) await expectAll(node, q, client, VALUES, 60)
    for (const client of AT_EU) await expectOneOf(node, q, client, EU, 60)
  })

  test('everything down: the record’s values for everybody, and they are probed by nobody', async () => {
    setAll(node, DOWN)
    for (const client of [...AT_APAC, ...AT_EU, ...AT_NA]) await expectAll(node, q, client, VALUES, 60)
    expect([...node.slots.keys()].toSorted()).toEqual([
      ...APAC.map((value) => `apac/test.example.com:A/${value}`),
      ...EU.map((value) => `eu/test.example.com:A/${value}`),
      ...NA.map((value) => `na/test.example.com:A/${value}`),
    ])
  })

  /** Share of the networks of Paris that get each value. */
  async function shares(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (let i = 0; i < 1024; i++) {
      const { values } = await named(node, q, `82.${64 + (i >> 8)}.${i & 255}.0/24`)
      counts.set(values[0]!, (counts.get(values[0]!) ?? 0) + 1 / 1024)
    }
    return counts
  }

  test('weights 2 and 3: two fifths and three fifths of the clients, who keep theirs', async () => {
    const found = await shares()
    // three standard deviations of 1,024 draws
    expect(Math.abs(found.get('192.0.2.3')! - 2 / 5)).toBeLessThan(0.046)
    expect(found.get('192.0.2.3')! + found.get('192.0.2.4')!).toBeCloseTo(1)
    expect(await shares()).toEqual(found)
  })

  test('without weights all alike, whoever is behind in the chain', async () => {
    setAll(node, DOWN, /^eu\//)
    const found = await shares()
    for (const value of NA) expect(Math.abs(found.get(value)! - 1 / 3)).toBeLessThan(0.046)
  })
})

const pools = (names: readonly string[]): string =>
  names.map((name, n) => `      ${name}: {values: [{value: 192.0.2.${n}}]}\n`).join('')

describe('rst, “Geo Codes”', async () => {
  const CONTINENTS = ['af', 'an', 'as', 'eu', 'na', 'oc', 'sa']
  const node = await load(`
codes:
  type: A
  ttl: 300
  value: 192.0.2.80
  dynamic:
    pools:
${pools(['ky', 'us', 'na', 'all'])}    rules:
      - {geos: [NA-US-KY], pool: ky}
      - {geos: [NA-US], pool: us}
      - {geos: [NA], pool: na}
      - {pool: all}
continents:
  type: A
  value: 192.0.2.80
  dynamic:
    pools:
${pools([...CONTINENTS, 'none'])}    rules:
${CONTINENTS.map((code) => `      - {geos: [${code.toUpperCase()}], pool: ${code}}\n`).join('')}      - {pool: none}
territories:
  type: A
  value: 192.0.2.80
  dynamic:
    pools:
${pools(['pr', 'gu', 'us', 'all'])}    rules:
      - {geos: [NA-US-PR], pool: pr}
      - {geos: [NA-US-GU], pool: gu}
      - {geos: [NA-US], pool: us}
      - {pool: all}
`)

  test('one to three parts: Kentucky, the rest of the United States, the rest of North America', async () => {
    const q = 'codes.example.com A'
    await expectOneOf(node, q, 'NA-US-KY', ['192.0.2.0'], 300)
    for (const client of ['NA-US-NY', 'NA-US-CA']) await expectOneOf(node, q, client, ['192.0.2.1'], 300)
    for (const client of ['NA-CA-ON', 'NA-MX', 'NA-PR']) await expectOneOf(node, q, client, ['192.0.2.2'], 300)
    for (const client of ['OC-GU', 'EU-FR', UNKNOWN]) await expectOneOf(node, q, client, ['192.0.2.3'], 300)
  })

  test('the seven continents: each country where octoDNS has it, whatever the database says', async () => {
    const q = 'continents.example.com A'
    for (const client of CLIENTS_AT.keys()) {
      const n = CONTINENTS.indexOf(client.slice(0, 2).toLowerCase())
      await expectOneOf(node, q, client, [`192.0.2.${n}`], 3600)
    }
    await expectOneOf(node, q, UNKNOWN, ['192.0.2.7'], 3600)
  })

  test('territories are subdivisions of the US, and countries to databases', async () => {
    const q = 'territories.example.com A'
    await expectOneOf(node, q, 'NA-PR', ['192.0.2.0'], 3600)
    await expectOneOf(node, q, 'OC-GU', ['192.0.2.1'], 3600)
    await expectOneOf(node, q, 'NA-US-OR', ['192.0.2.2'], 3600)
    await expectOneOf(node, q, 'NA-CA-ON', ['192.0.2.3'], 3600)
  })
})

describe('rst, “Subnets” and “Rule ordering”', async () => {
  const node = await load(`
subnets:
  type: A
  ttl: 30
  values: [192.0.2.80]
  dynamic:
    pools:
      apac: {values: [{value: 192.0.2.1}]}
      na: {values: [{value: 192.0.2.2}]}
    rules:
    - geos:
      - AS
      - OC
      subnets:
      - 5.149.176.0/24
      pool: apac
    - pool: na
ordered:
  type: A
  ttl: 30
  values: [192.0.2.80]
  dynamic:
    pools:
      subnet: {values: [{value: 192.0.2.1}]}
      both: {values: [{value: 192.0.2.2}]}
      geo: {values: [{value: 192.0.2.3}]}
      all: {values: [{value: 192.0.2.4}]}
    rules:
    - {pool: subnet, subnets: [198.51.100.0/24, ${ecsOf('EU-FR')}]}
    - {pool: both, subnets: [203.0.113.0/24, ${ecsOf('EU-DE')}, ${ecsOf('AS-JP')}], geos: [EU-FR, AF]}
    - {pool: geo, geos: [EU, AS]}
    - {pool: all}
`)
  const at = async (q: string, ecs: string): Promise<string> => (await named(node, q, ecs)).values.join()

  test('subnets and geos of one rule are alternatives', async () => {
    const q = 'subnets.example.com A'
    expect(await at(q, '5.149.176.0/24')).toBe('192.0.2.1')
    expect(await at(q, '5.149.177.0/24')).toBe(await at(q, '5.149.175.0/24'))
    for (const client of ['AS-SG', 'OC-AU']) expect(await at(q, ecsOf(client))).toBe('192.0.2.1')
    for (const client of ['EU-FR', UNKNOWN]) expect(await at(q, ecsOf(client))).toBe('192.0.2.2')
  })

  test('a subnet goes before a geo, in whichever rule that is', async () => {
    const q = 'ordered.example.com A'
    expect(await at(q, '198.51.100.0/24')).toBe('192.0.2.1')
    expect(await at(q, '203.0.113.0/24')).toBe('192.0.2.2')
    expect(await at(q, ecsOf('EU-FR'))).toBe('192.0.2.1') // its geo is the second rule’s
    expect(await at(q, '82.64.1.0/24')).toBe('192.0.2.2') // as is another French network
    for (const client of ['EU-DE', 'AS-JP', 'AF-ZA']) expect(await at(q, ecsOf(client))).toBe('192.0.2.2')
    for (const client of ['EU-GB', 'AS-SG']) expect(await at(q, ecsOf(client))).toBe('192.0.2.3')
    for (const client of ['NA-MX', 'SA-BR']) expect(await at(q, ecsOf(client))).toBe('192.0.2.4')
  })
})

describe('rst, “Health Checks”', async () => {
  const dynamic = '{pools: {na: {values: [{value: 192.0.2.1}, {value: 192.0.2.2}]}}, rules: [{pool: na}]}'
  const record = (name: string, octodns: string): string =>
    `${name}: {type: A, value: 192.0.2.80, dynamic: ${dynamic}${octodns}}\n`
  const node = await load(
    [
      record('plain', ''),
      record(
        'custom',
        ', octodns: {healthcheck: {host: my-host-name, path: /dns-health-check, port: 443, protocol: HTTPS}}',
      ),
      record('http', ', octodns: {healthcheck: {protocol: HTTP, port: 8080}}'),
      record('slashless', ', octodns: {healthcheck: {path: _dns}}'),
      record('hostless', ', octodns: {healthcheck: {host: }}'),
      record('tcp', ', octodns: {healthcheck: {protocol: TCP}}'),
      record('icmp', ', octodns: {healthcheck: {protocol: ICMP}}'),
      `status:
  type: A
  value: 192.0.2.80
  dynamic:
    pools:
      na:
        values:
          - value: 192.0.2.1
            status: down
          - value: 192.0.2.2
            status: up
          - value: 192.0.2.3
      never:
        fallback: na
        values: [{value: 192.0.2.9, status: down}]
    rules:
      - {geos: [EU], pool: never}
      - {pool: na}
`,
    ].join(''),
  )

  /** What is dialled for a name's first value, and what is said there. */
  function checkOf(name: string): Record<string, unknown> {
    const { plan } = node.made
    const member = plan.members.find((one) => one.service === `${name}.example.com:A`)!
    const { check, address, port } = plan.targets.find(({ id }) => id === member.targets[0])!
    return { ...check, address, port }
  }

  const timing = { intervalMs: 5000, timeoutMs: 2000, fastMs: 1000, fall: 3, rise: 2 }
  const get = { ...timing, method: 'GET', statuses: [200], address: '192.0.2.1' }

  test('https://<ip_address>/_dns for a 200, with the record’s name; certificates aren’t looked at', () => {
    const https = { ...get, type: 'https', port: 443, path: '/_dns', verify: false }
    expect(checkOf('plain')).toMatchObject({ ...https, host: 'plain.example.com' })
    expect(checkOf('slashless')).toMatchObject({ ...https, host: 'slashless.example.com' })
    expect(checkOf('custom')).toMatchObject({ ...https, host: 'my-host-name', path: '/dns-health-check' })
    expect(checkOf('hostless')).toMatchObject(https)
    expect(checkOf('hostless')).not.toHaveProperty('host') // that of the address
  })

  test('the other protocols; HTTP stays on 443 unless another port is written', () => {
    expect(checkOf('http')).toMatchObject({ ...get, type: 'http', port: 8080, path: '/_dns', host: 'http.example.com' })
    expect(checkOf('tcp')).toMatchObject({ ...timing, type: 'tcp', port: 443 })
    expect(checkOf('icmp')).toMatchObject({ ...timing, type: 'icmp', port: 0 })
  })

  test('status: down is never served nor probed, up always and not probed, obey as its check says', async () => {
    const q = 'status.example.com A'
    const members = node.made.plan.members.filter(({ service }) => service === 'status.example.com:A')
    expect(members.map(({ name, targets }) => [name, targets.length])).toEqual([
      ['na/status.example.com:A/192.0.2.2', 0],
      ['na/status.example.com:A/192.0.2.3', 1],
    ])
    const networks = Array.from({ length: 64 }, (_, i) => `82.64.${i}.0/24`)
    const seen = async (): Promise<string[]> =>
      [
        ...new Set((await Promise.all(networks.map((ecs) => named(node, q, ecs)))).flatMap(({ values }) => values)),
      ].toSorted()
    setAll(node, UP)
    // EU's own pool has nothing that may be served: its fallback does
    expect(await seen()).toEqual(['192.0.2.2', '192.0.2.3'])
    node.set('na/status.example.com:A/192.0.2.3', healthWord(DOWN, 1000, true))
    expect(await seen()).toEqual(['192.0.2.2'])
  })
})

const regional = (type: string, address: (n: number) => string): string => `
  type: ${type}
  values: ["${address(2)}", "${address(3)}"]
  dynamic:
    pools:
      ams: {values: [{value: "${address(1)}"}]}
      iad: {values: [{value: "${address(2)}"}, {value: "${address(3)}"}]}
      lax: {values: [{value: "${address(4)}"}]}
      sea: {values: [{value: "${address(6)}", weight: 10}, {value: "${address(5)}", weight: 15}]}
    rules:
      - {geos: [EU-GB], pool: lax}
      - {geos: [EU], pool: ams}
      - {geos: [NA-US-CA, NA-US-NC, NA-US-OR, NA-US-WA], pool: sea}
      - {pool: iad}
`
const zones = (region: string, second: number): string =>
  `      ${region}: {values: [${[1, 2, 3].flatMap((zone) => [1, 2].map((n) => `{value: 198.51.${second}.${zone}${n}${region === 'ap-southeast-1' && zone === 1 ? ', weight: 2' : ''}}`)).join(', ')}]}\n`

const addressesOf = (second: number): readonly string[] =>
  [11, 12, 21, 22, 31, 32].map((last) => `198.51.${second}.${last}`)

describe('yaml, the records of octoDNS’s own tests', async () => {
  const node = await load(`
a:${regional('A', (n) => `192.0.2.${n}`)}
aaaa:${regional('AAAA', (n) => `2001:db8::${n}`)}
pool-only-in-fallback:
  dynamic:
    pools:
      one: {fallback: two, values: [{value: 192.0.2.1}]}
      three: {values: [{value: 192.0.2.3}]}
      two: {values: [{value: 192.0.2.2}]}
    rules:
      - {geos: [NA-US], pool: one}
      - {geos: [AS-SG], pool: three}
      - {pool: one}
  ttl: 300
  type: A
  values: [192.0.2.4]
real-ish-a:
  type: A
  values: [198.51.100.11, 198.51.100.12]
  dynamic:
    pools:
${['ap-southeast-1', 'eu-central-1', 'us-east-1', 'us-west-2'].map((region, n) => zones(region, 100 + n)).join('')}    rules:
      - {geos: [NA-US-CA, NA-US-NC, NA-US-OR, NA-US-WA], pool: us-west-2}
      - {geos: [AS-CN], pool: ap-southeast-1}
      - {geos: [AF, EU], pool: eu-central-1}
      - {pool: us-east-1}
`)
  beforeEach(() => setAll(node, UP))

  test.each([
    ['a.example.com A', (n: number) => `192.0.2.${n}`],
    ['aaaa.example.com AAAA', (n: number) => `2001:db8::${n}`],
  ])('%s', async (q, address) => {
    await expectOneOf(node, q, 'EU-GB', [address(4)], 3600)
    for (const client of ['EU-FR', 'EU-DE']) await expectOneOf(node, q, client, [address(1)], 3600)
    for (const state of ['CA', 'NC', 'OR', 'WA']) {
      await expectOneOf(node, q, `NA-US-${state}`, [address(5), address(6)], 3600)
    }
    for (const client of ['NA-US-KY', 'SA-BR']) await expectOneOf(node, q, client, [address(2), address(3)], 3600)
    setAll(node, DOWN, /^lax\//)
    if (q.endsWith(' A')) await expectAll(node, q, 'EU-GB', [address(2), address(3)], 3600)
  })

  test('pool-only-in-fallback', async () => {
    const q = 'pool-only-in-fallback.example.com A'
    for (const client of ['NA-US-CA', 'EU-FR']) await expectOneOf(node, q, client, ['192.0.2.1'], 300)
    await expectOneOf(node, q, 'AS-SG', ['192.0.2.3'], 300)
    setAll(node, DOWN, /^(one|three)\/pool-only/)
    for (const client of ['NA-US-CA', 'EU-FR']) await expectOneOf(node, q, client, ['192.0.2.2'], 300)
    await expectAll(node, q, 'AS-SG', ['192.0.2.4'], 300)
    setAll(node, DOWN, /\/pool-only/)
    for (const client of ['NA-US-CA', 'EU-FR', 'AS-SG']) await expectAll(node, q, client, ['192.0.2.4'], 300)
  })

  test('real-ish-a', async () => {
    const q = 'real-ish-a.example.com A'
    await expectOneOf(node, q, 'NA-US-OR', addressesOf(103), 3600)
    await expectOneOf(node, q, 'AS-CN', addressesOf(100), 3600)
    for (const client of ['AF-EG', 'EU-GB']) await expectOneOf(node, q, client, addressesOf(101), 3600)
    for (const client of ['AS-JP', 'NA-US-NY', UNKNOWN]) await expectOneOf(node, q, client, addressesOf(102), 3600)
  })
})
