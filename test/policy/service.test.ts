/** Services as they are laid out, and their health where nobody knows it. */
import { expect, test } from 'vitest'
import { isCalm, shareOf, stateOf } from '../../src/health/table.ts'
import { makeHealthSpec } from '../../src/health/target.ts'
import { allUp, layOutService } from '../../src/policy/service.ts'
import type { ServiceSiteModel } from '../../src/zone/model.ts'
import { service, site } from '../support/specs.ts'

const at = (name: string, vip: number, drained = false): ServiceSiteModel => {
  const vips = [{ address: `192.0.2.${vip}`, bytes: Uint8Array.of(192, 0, 2, vip) }]
  return { site: name, vips, weight: 100, bias: 0, drained }
}

test('all are up and calm, but those that the files drain: these are never calm, as in a node', () => {
  const sites = new Map([site('fra'), site('iad'), site('sin', { drained: true })].map((one) => [one.name, one]))
  const services = [
    service({ name: 'web', sites: [at('fra', 1), at('iad', 2, true), at('sin', 3)] }),
    service({ name: 'api', sites: [at('iad', 4)] }),
  ]
  const laid = services.map((one) => layOutService(one, sites, 0))
  const health = allUp(laid, makeHealthSpec({ sites, services, zones: [], drills: { drills: [], blocked: [] } }))
  const words = laid.flatMap(({ members, slot }) => members.map((name, vip) => [name, health[slot[vip]!]!] as const))
  expect(words.map(([name, word]) => [name, stateOf(word), shareOf(word), isCalm(word)])).toEqual([
    ['fra/web/192.0.2.1', 1, 1000, true],
    ['iad/web/192.0.2.2', 3, 1000, false],
    ['sin/web/192.0.2.3', 3, 1000, false],
    ['iad/api/192.0.2.4', 1, 1000, true],
  ])
})
