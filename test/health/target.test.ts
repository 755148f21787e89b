import { describe, expect, test } from 'vitest'
import { planHealth } from '../../src/health/target.ts'
import type { CheckModel, Model, ServiceModel, ServiceSiteModel, VipModel } from '../../src/zone/model.ts'
import { httpCheck, service, site, tcpCheck } from './plans.ts'

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
    sites: new Map([...names].map((name) => [name, site(name, { drained: drainedSites.includes(name) })])),
    services,
  }
}
const one = (name: string, checks: CheckModel[], address = '192.0.2.1'): ServiceModel =>
  service({ name, checks, sites: [at('fra', [vip(address)])] })

const pair = (type: 'http' | 'https') => [
  one('a', [httpCheck({ type })]),
  one('b', [httpCheck({ type, verify: false })]),
]

describe('the plan of what is probed', () => {
  test('equal checks of one address are one target, with the strictest timing', () => {
    const slow = httpCheck({ intervalMs: 30_000, timeoutMs: 5000, fastMs: 3000, fall: 2, rise: 5 })
    const quick = httpCheck({ intervalMs: 5000, timeoutMs: 1000, fastMs: 4000, fall: 4, rise: 1 })
    const { targets, members } = planHealth(model([one('a', [slow]), one('b', [quick])]))
    expect(targets).toHaveLength(1)
    expect(targets[0]!.check).toMatchObject({ intervalMs: 5000, timeoutMs: 1000, fastMs: 3000, fall: 2, rise: 5 })
    expect(members.map((m) => m.targets)).toEqual([[targets[0]!.id], [targets[0]!.id]])
    expect(members.map((m) => m.name)).toEqual(['fra/a/192.0.2.1', 'fra/b/192.0.2.1'])
  })

  test('the order of services and statuses decides no id', () => {
    const a = httpCheck({ statuses: [200, 204] })
    const b = httpCheck({ statuses: [204, 200] })
    const forth = planHealth(model([one('a', [a]), one('b', [tcpCheck()])]))
    const back = planHealth(model([one('b', [tcpCheck()]), one('a', [b])]))
    expect(forth.targets.map((t) => t.id)).toEqual(back.targets.map((t) => t.id))
  })

  test.each<[string, CheckModel]>([
    ['path', httpCheck({ path: '/' })],
    ['port', httpCheck({ port: 8080 })],
    ['host', httpCheck({ host: 'a.example' })],
    ['statuses', httpCheck({ statuses: [204] })],
    ['body', httpCheck({ body: 'ok' })],
    ['method', httpCheck({ method: 'HEAD' })],
    ['kind', tcpCheck({ port: 80 })],
    ['https', httpCheck({ type: 'https' })],
  ])('another %s is another target', (_, other) => {
    expect(planHealth(model([one('a', [httpCheck()]), one('b', [other])])).targets).toHaveLength(2)
  })

  test('only https tells verified from unverified', () => {
    expect(planHealth(model(pair('https'))).targets).toHaveLength(2)
    expect(planHealth(model(pair('http'))).targets).toHaveLength(1)
  })

  test('another address is dialled where the files say so, and the VIP stays the default host', () => {
    const sites = [at('fra', [vip('192.0.2.1', '10.0.0.1'), vip('192.0.2.2')])]
    const { targets, members } = planHealth(model([service({ sites, checks: [httpCheck({ address: '10.9.9.9' })] })]))
    const of = (index: number) => targets.find((t) => t.id === members[index]!.targets[0])!
    expect(of(0)).toMatchObject({ address: '10.0.0.1', check: { host: '192.0.2.1' } })
    expect(of(1)).toMatchObject({ address: '10.9.9.9', check: { host: '192.0.2.2' } })
    expect(members.map((m) => m.address)).toEqual(['192.0.2.1', '192.0.2.2'])
  })

  test('no check, several checks, the same check twice', () => {
    const { members } = planHealth(
      model([one('a', []), one('b', [httpCheck(), tcpCheck()]), one('c', [tcpCheck(), tcpCheck()])]),
    )
    expect(members.map((m) => m.targets.length)).toEqual([0, 2, 1])
  })

  test('drained at the site or at the service', () => {
    const sites = [at('fra', [vip('192.0.2.1')]), at('iad', [vip('192.0.2.2')], true), at('sin', [vip('192.0.2.3')])]
    const { members } = planHealth(model([service({ sites })], ['sin']))
    expect(members.map((m) => [m.site, m.drained])).toEqual([
      ['fra', false],
      ['iad', true],
      ['sin', true],
    ])
  })
})
