import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { makeHealthSpec } from '../../src/health/target.ts'
import type { CheckModel, Model, ServiceModel, ServiceSiteModel, VipModel } from '../../src/zone/model.ts'
import { httpCheck, service, site, tcpCheck, timing } from '../support/specs.ts'

const vip = (address: string, checkAddress?: string): VipModel => ({
  address,
  bytes: Uint8Array.from(address.split('.').map(Number)),
  ...(checkAddress === undefined ? {} : { checkAddress }),
})
const at = (name: string, vips: VipModel[], drained = false): ServiceSiteModel => ({
  site: name,
  vips,
  weight: 100,
  bias: 0,
  drained,
})
const model = (services: ServiceModel[], drainedSites: string[] = []): Model => {
  const names = new Set(services.flatMap((one) => one.sites.map((s) => s.site)))
  return {
    zones: [],
    drills: { drills: [], blocked: [] },
    sites: new Map([...names].map((name) => [name, site(name, { drained: drainedSites.includes(name) })])),
    services,
  }
}
const one = (name: string, checks: CheckModel[], address = '192.0.2.1'): ServiceModel =>
  service({ name, checks, sites: [at('fra', [vip(address)])] })

type Of<T extends CheckModel['type']> = Extract<CheckModel, { type: T }>
const tls = (more: Partial<Of<'tls'>> = {}): CheckModel => ({
  ...timing,
  type: 'tls',
  port: 443,
  verify: true,
  validFor: { failMs: 86_400_000 },
  ...more,
})
const grpc = (more: Partial<Of<'grpc'>> = {}): CheckModel => ({
  ...timing,
  type: 'grpc',
  port: 80,
  tls: false,
  verify: true,
  service: '',
  ...more,
})
const dns = (more: Partial<Of<'dns'>> = {}): CheckModel => ({
  ...timing,
  type: 'dns',
  port: 53,
  name: 'a.example.',
  rrtype: 'A',
  rcodes: ['NOERROR'],
  ...more,
})
const icmp = (more: Partial<Of<'icmp'>> = {}): CheckModel => ({ ...timing, type: 'icmp', port: 0, ...more })
const exec = (more: Partial<Of<'exec'>> = {}): CheckModel => ({
  ...timing,
  type: 'exec',
  port: 0,
  command: 'a',
  ...more,
})
const agent = (more: Partial<Of<'agent'>> = {}): CheckModel => ({ ...timing, type: 'agent', port: 80, ...more })

const pair = (type: 'http' | 'https') => [
  one('a', [httpCheck({ type })]),
  one('b', [httpCheck({ type, verify: false })]),
]

describe('the plan of what is probed', () => {
  test('equal checks of one address are one target, with the strictest timing', () => {
    const slow = httpCheck({ intervalMs: 30_000, timeoutMs: 5000, fastMs: 3000, fall: 2, rise: 5 })
    const quick = httpCheck({ intervalMs: 5000, timeoutMs: 1000, fastMs: 4000, fall: 4, rise: 1 })
    const { targets, members } = makeHealthSpec(model([one('a', [slow]), one('b', [quick])]))
    expect(targets).toHaveLength(1)
    expect(targets[0]!.check).toMatchObject({ intervalMs: 5000, timeoutMs: 1000, fastMs: 3000, fall: 2, rise: 5 })
    expect(members.map((m) => m.targets)).toEqual([[targets[0]!.id], [targets[0]!.id]])
    expect(members.map((m) => m.name)).toEqual(['fra/a/192.0.2.1', 'fra/b/192.0.2.1'])
  })

  test('the order of services and statuses decides no id', () => {
    const a = httpCheck({ statuses: [200, 204] })
    const b = httpCheck({ statuses: [204, 200] })
    const forth = makeHealthSpec(model([one('a', [a]), one('b', [tcpCheck()])]))
    const back = makeHealthSpec(model([one('b', [tcpCheck()]), one('a', [b])]))
    expect(forth.targets.map((t) => t.id)).toEqual(back.targets.map((t) => t.id))
  })

  test.each<[string, CheckModel]>([
    ['path', httpCheck({ path: '/' })],
    ['port', httpCheck({ port: 8080 })],
    ['host', httpCheck({ host: 'a.example' })],
    ['statuses', httpCheck({ statuses: [204] })],
    ['body', httpCheck({ body: 'ok' })],
    ['expression', httpCheck({ matches: 'ok' })],
    ['number of redirects', httpCheck({ follow: 1 })],
    ['header', httpCheck({ headers: { Accept: 'json' } })],
    ['method', httpCheck({ method: 'HEAD' })],
    ['kind', tcpCheck({ port: 80 })],
    ['https', httpCheck({ type: 'https' })],
  ])('another %s is another target', (_, other) => {
    expect(makeHealthSpec(model([one('a', [httpCheck()]), one('b', [other])])).targets).toHaveLength(2)
  })

  test('only https tells verified from unverified', () => {
    expect(makeHealthSpec(model(pair('https'))).targets).toHaveLength(2)
    expect(makeHealthSpec(model(pair('http'))).targets).toHaveLength(1)
  })

  const kinds: readonly (readonly CheckModel[])[] = [
    // all of a row are different targets
    [
      tls(),
      tls({ host: 'a.example' }),
      tls({ verify: false }),
      tls({ validFor: { failMs: 0 } }),
      tls({ ca: 'lab' }),
      tls({ port: 993 }),
      httpCheck({ type: 'https', port: 443 }),
      tcpCheck({ port: 443 }),
    ],
    [
      grpc(),
      grpc({ host: 'a.example' }),
      grpc({ service: 'a' }),
      grpc({ port: 81 }),
      grpc({ tls: true }),
      grpc({ tls: true, verify: false }),
    ],
    [
      dns(),
      dns({ name: 'b.example.' }),
      dns({ rrtype: 'AAAA' }),
      dns({ rcodes: ['NXDOMAIN'] }),
      dns({ rcodes: ['NOERROR', 'NXDOMAIN'] }),
      dns({ value: '192.0.2.1' }),
      dns({ port: 5353 }),
    ],
    [icmp(), icmp({ address: '192.0.2.7' }), tcpCheck({ port: 1 })],
    [exec(), exec({ command: 'b' }), exec({ port: 80 })],
    [agent(), agent({ send: 'a' }), agent({ port: 81 })],
  ]
  test.each(kinds.map((row) => [row[0]!.type, row] as const))(
    'of type %s, all that changes what is asked is in the id',
    (_, row) => {
      const slower = row.map((check) => ({
        ...check,
        intervalMs: 9000,
        timeoutMs: 3000,
        fastMs: 900,
        fall: 1,
        rise: 9,
      }))
      const { targets } = makeHealthSpec(model([one('a', [...row]), one('b', slower)]))
      expect(targets).toHaveLength(row.length)
    },
  )

  test('what changes nothing is not in the id', () => {
    const same: [CheckModel, CheckModel][] = [
      [grpc(), grpc({ verify: false })],
      [grpc(), grpc({ ca: 'lab', validFor: { failMs: 1 } })],
      [tls(), tls({ validFor: { warnMs: 1, failMs: 86_400_000 } })],
      [httpCheck({ headers: { A: 'a', B: 'b' } }), httpCheck({ headers: { B: 'b', A: 'a' } })],
      [dns({ rcodes: ['NOERROR', 'NXDOMAIN'] }), dns({ rcodes: ['NXDOMAIN', 'NOERROR', 'NOERROR'] })],
    ]
    for (const [a, b] of same) expect(makeHealthSpec(model([one('a', [a]), one('b', [b])])).targets).toHaveLength(1)
  })

  test('checks that are written as before keep their ids, whatever keys there are now', () => {
    const { targets } = makeHealthSpec(model([one('a', [httpCheck({ type: 'https', port: 443 })])]))
    const written = ['https', '192.0.2.1', 443, 'GET', '/healthz', '', [200], '', true]
    expect(targets[0]!.id).toBe(hash('sha256', JSON.stringify(written), 'hex').slice(0, 16))
  })

  test('of two that warn of the end of a certificate, the one that warns earlier counts', () => {
    const both = [tls({ validFor: { warnMs: 5, failMs: 3 } }), tls({ validFor: { warnMs: 7, failMs: 3 } })]
    const { targets } = makeHealthSpec(model([one('a', [both[0]!]), one('b', [both[1]!])]))
    expect(targets.map(({ check }) => check)).toMatchObject([{ validFor: { warnMs: 7, failMs: 3 } }])
  })

  test('of every kind with a host, the VIP is the default also where another address is dialled', () => {
    const sites = [at('fra', [vip('192.0.2.1', '10.0.0.1')])]
    const checks = [tls(), grpc(), tls({ host: 'a.example' }), dns(), icmp(), exec(), agent()]
    const { targets } = makeHealthSpec(model([service({ sites, checks })]))
    expect(new Set(targets.map(({ address }) => address))).toEqual(new Set(['10.0.0.1']))
    const hosts = targets.flatMap(({ check }) => ('host' in check ? [`${check.type} ${check.host}`] : []))
    expect(hosts.toSorted()).toEqual(['grpc 192.0.2.1', 'tls 192.0.2.1', 'tls a.example'])
  })

  test('another address is dialled where the files say so, and the VIP stays the default host', () => {
    const sites = [at('fra', [vip('192.0.2.1', '10.0.0.1'), vip('192.0.2.2')])]
    const { targets, members } = makeHealthSpec(
      model([service({ sites, checks: [httpCheck({ address: '10.9.9.9' })] })]),
    )
    const of = (index: number) => targets.find((t) => t.id === members[index]!.targets[0])!
    expect(of(0)).toMatchObject({ address: '10.0.0.1', check: { host: '192.0.2.1' } })
    expect(of(1)).toMatchObject({ address: '10.9.9.9', check: { host: '192.0.2.2' } })
    expect(members.map((m) => m.address)).toEqual(['192.0.2.1', '192.0.2.2'])
  })

  test('no check, several checks, the same check twice', () => {
    const { members } = makeHealthSpec(
      model([one('a', []), one('b', [httpCheck(), tcpCheck()]), one('c', [tcpCheck(), tcpCheck()])]),
    )
    expect(members.map((m) => m.targets.length)).toEqual([0, 2, 1])
  })

  test('drained at the site or at the service', () => {
    const sites = [at('fra', [vip('192.0.2.1')]), at('iad', [vip('192.0.2.2')], true), at('sin', [vip('192.0.2.3')])]
    const { members } = makeHealthSpec(model([service({ sites })], ['sin']))
    expect(members.map((m) => [m.site, m.drained])).toEqual([
      ['fra', false],
      ['iad', true],
      ['sin', true],
    ])
  })
})

const named = (checkAddress?: string): VipModel => ({
  ...vip('fra.cdn.example.', checkAddress),
  bytes: new Uint8Array(),
  name: Uint8Array.of(0),
})
const ofNamed = (own: VipModel, check: CheckModel) => {
  const { targets, members } = makeHealthSpec(
    model([service({ name: 'cdn', checks: [check], sites: [at('fra', [own])] })]),
  )
  return { ...targets[0]!, member: members[0]!.name }
}

test('a VIP that is a name is dialled by its name, which is also Host and SNI, unless `check.address` says otherwise', () => {
  expect(ofNamed(named(), httpCheck())).toMatchObject({
    member: 'fra/cdn/fra.cdn.example.',
    address: 'fra.cdn.example.',
    check: { host: 'fra.cdn.example' },
  })
  expect(ofNamed(named('192.0.2.9'), tls())).toMatchObject({ address: '192.0.2.9', check: { host: 'fra.cdn.example' } })
  expect(ofNamed(named(), httpCheck({ host: 'www.example.com' }))).toMatchObject({ check: { host: 'www.example.com' } })
})
