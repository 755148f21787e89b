/** Specs, models and votes for the tests of health. */
import {
  type HealthSpec,
  hashTargets,
  type MemberSpec,
  type ServiceSpec,
  type Target,
} from '../../src/health/target.ts'
import type { Vote } from '../../src/health/vote.ts'
import type { CheckModel, ServiceModel, SiteModel } from '../../src/zone/model.ts'

const at = { file: 'services.yaml', line: 1, column: 1 }

export const timing = { intervalMs: 5000, timeoutMs: 2000, fastMs: 1000, fall: 3, rise: 2 }

export const httpCheck = (more: Partial<Extract<CheckModel, { type: 'http' | 'https' }>> = {}): CheckModel => ({
  ...timing,
  type: 'http',
  port: 80,
  method: 'GET',
  path: '/healthz',
  statuses: [200],
  verify: true,
  ...more,
})

type TcpCheck = Extract<CheckModel, { type: 'tcp' }>
export const tcpCheck = (more: Partial<TcpCheck> = {}): TcpCheck => ({
  ...timing,
  type: 'tcp',
  port: 443,
  ...more,
})

export const site = (name: string, more: Partial<SiteModel> = {}): SiteModel => ({
  name,
  latitude: 0,
  longitude: 0,
  region: 'eu',
  capacity: 100,
  declaresCapacity: false,
  drained: false,
  at,
  ...more,
})

export const service = (more: Partial<ServiceModel> = {}): ServiceModel => ({
  name: 'web',
  sites: [],
  order: { kind: 'nearest' },
  spreadKm: 0,
  candidates: 4,
  spill: 1,
  rules: [],
  pick: 'hash',
  answers: 8,
  minVips: 1,
  ttl: { maxSeconds: 60, minSeconds: 15, settleMs: 300_000 },
  lastResort: { kind: 'all' },
  checks: [],
  probers: 3,
  regions: 1,
  keepPercent: 25,
  rampUpMs: 0,
  at,
  ...more,
})

export const target = (id: string, check: CheckModel = tcpCheck()): Target => ({
  id,
  check,
  address: '192.0.2.1',
  port: check.port,
  probers: 3,
})

export const member = (name: string, targets: readonly string[], more: Partial<MemberSpec> = {}): MemberSpec => {
  const [siteName = '', serviceName = '', address = ''] = name.split('/')
  const place = { site: siteName, service: serviceName, address }
  return { name, ...place, targets, drained: false, manual: false, settleMs: 300_000, probers: 3, regions: 1, ...more }
}

export const serviceSpec = (name: string, more: Partial<ServiceSpec> = {}): ServiceSpec => ({
  name,
  keepPercent: 0,
  rampUpMs: 0,
  minVips: 1,
  ttlMaxSeconds: 60,
  capacity: {},
  ...more,
})

/** Services without a brake and a ramp, unless `services` says otherwise. */
export const specOf = (members: readonly MemberSpec[], services: readonly ServiceSpec[] = []): HealthSpec => {
  const ids = [...new Set(members.flatMap((one) => one.targets))]
  const known = new Map(services.map((one) => [one.name, one]))
  const names = [...new Set(members.map((one) => one.service))]
  return {
    members,
    targets: ids.map((id) => target(id)),
    services: names.map((name) => known.get(name) ?? serviceSpec(name)),
    hash: hashTargets(ids),
  }
}

export const spec = (...members: readonly MemberSpec[]): HealthSpec => specOf(members)

export const vote = (id: string, value: Vote['value'], more: Partial<Vote> = {}): Vote => ({
  target: id,
  value,
  moving: false,
  reason: value === 'up' ? '200' : value === 'down' ? 'connection refused' : 'no route',
  rttMs: 3,
  share: 1000,
  ...more,
})
