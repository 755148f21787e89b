/**
 * What is probed (targets) and which members depend on it: the health part of a World. makeHealthSpec() runs in the
 * compile thread; NodeHealth uses the members, the prober the targets. Equal checks of one address are one target,
 * however many services use it: its id excludes the timing, and the strictest timing of all its services applies.
 */
import { hash } from 'node:crypto'
import { formatEndpoint } from '../units.ts'
import type { CertificateCheck, CheckModel, Model, ServiceModel, ValidFor, VipModel } from '../zone/model.ts'

/** One check of one address and port. */
export interface Target {
  /** Hash of the canonical check without its timing, the address and the port: equal checks are probed once. */
  readonly id: string
  readonly check: CheckModel
  /**
   * Address that is dialled: the VIP, or the one that the zone files name instead. Of a VIP that is a name, the name with
   * its last dot: one of its addresses is dialled.
   */
  readonly address: string
  readonly port: number
  /** Number of probers that check it: the highest that any dependent service asks for. */
  readonly probers: number
}

/** The type of the record that has a member's address. */
export type AddressType = 'A' | 'AAAA'
export const addressTypeOf = ({ address }: Pick<MemberSpec, 'address'>): AddressType =>
  address.includes(':') ? 'AAAA' : 'A'

/** A member as the zone files define it. */
export interface MemberSpec {
  /** `site/service/address`: the identity that health, overrides and saved state belong to. */
  readonly name: string
  readonly site: string
  readonly service: string
  readonly address: string
  /** All must pass; empty = `check: none`, or `status: up` of a pool's value: always up. */
  readonly targets: readonly string[]
  /** Drained by the files, at its site or its service. */
  readonly drained: boolean
  /** `failback: manual`, of its service or its site. */
  readonly manual: boolean
  readonly settleMs: number
  readonly probers: number
  readonly regions: number
}

/** The settings of a service that health needs. */
export interface ServiceSpec {
  readonly name: string
  /** The brake: percent of capacity that DOWN verdicts must leave up. 0 = none, also where `lastResort` isn't `all`. */
  readonly keepPercent: number
  /** Time in which a member that comes back takes its full share again; 0 = at once. */
  readonly rampUpMs: number
  readonly minVips: number
  readonly ttlMaxSeconds: number
  /** Capacity by site; 100 where a site has none. */
  readonly capacity: Readonly<Record<string, number>>
}

/** All members, targets and services of one World. */
export interface HealthSpec {
  readonly members: readonly MemberSpec[]
  readonly targets: readonly Target[]
  /** In the model's order; one for each service of a member. */
  readonly services: readonly ServiceSpec[]
  /** Hash of the targets' ids; nodes and probers with equal hashes have the same targets. */
  readonly hash: string
}

/** A target in words: `https 192.0.2.1:443 /healthz`. */
export const targetInWords = ({ check, address, port }: Pick<Target, 'check' | 'address' | 'port'>): string =>
  `${check.type} ${formatEndpoint({ address, port })}${'path' in check ? ` ${check.path}` : ''}`

/** The identity of a member in YAML, metrics, logs and the Store: `site/service/address`. */
export const memberName = (site: string, service: string, address: string): string => `${site}/${service}/${address}`

/** The health part of a model: members in the model's order, targets sorted by id. */
export function makeHealthSpec(model: Model): HealthSpec {
  const targets = new Map<string, Target>()
  const members: MemberSpec[] = []
  for (const service of model.services) {
    for (const { site, vips, drained } of service.sites) {
      for (const vip of vips) {
        const checks = vip.unchecked === true ? [] : service.checks
        const wanted = checks.map((check) => makeTarget(check, vip, service.probers))
        for (const target of wanted) {
          const known = targets.get(target.id)
          targets.set(target.id, known === undefined ? target : merge(known, target))
        }
        members.push({
          ...memberIdentity(site, service, vip),
          targets: [...new Set(wanted.map((target) => target.id))],
          drained: drained || model.sites.get(site)?.drained === true,
          manual: service.failback === 'manual' || model.sites.get(site)?.failback === 'manual',
          settleMs: service.ttl.settleMs,
          probers: service.probers,
          regions: service.regions,
        })
      }
    }
  }
  const sorted = [...targets.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const services = model.services.map((service) => serviceSpec(service, model))
  return { members, targets: sorted, services, hash: hashTargets(sorted.map(({ id }) => id)) }
}

/** 16 hex digits over target ids, whatever their order. */
export const hashTargets = (ids: readonly string[]): string =>
  hash('sha256', ids.toSorted().join(' '), 'hex').slice(0, 16)

function serviceSpec(service: ServiceModel, { sites }: Model): ServiceSpec {
  return {
    name: service.name,
    keepPercent: service.lastResort.kind === 'all' ? service.keepPercent : 0,
    rampUpMs: service.rampUpMs,
    minVips: service.minVips,
    ttlMaxSeconds: service.ttl.maxSeconds,
    capacity: Object.fromEntries(service.sites.map(({ site }) => [site, sites.get(site)?.capacity ?? 100])),
  }
}

const merge = (a: Target, b: Target): Target => ({
  ...a,
  check: strictest(a.check, b.check),
  probers: Math.max(a.probers, b.probers),
})

const memberIdentity = (site: string, service: ServiceModel, vip: VipModel) => ({
  name: memberName(site, service.name, vip.address),
  site,
  service: service.name,
  address: vip.address,
})

function makeTarget(check: CheckModel, vip: VipModel, probers: number): Target {
  const address = vip.checkAddress ?? check.address ?? vip.address
  // a name is dialled at one of its addresses, and is itself the Host and SNI
  const isName = vip.name !== undefined
  const host = isName ? vip.address.slice(0, -1) : vip.address
  const whole = address === vip.address && !isName ? check : withHost(check, host)
  return {
    id: hash('sha256', canonical(whole, address), 'hex').slice(0, 16),
    check: whole,
    address,
    port: check.port,
    probers,
  }
}

/** The check with its default Host or SNI, which is the VIP's also when another address is dialled. */
function withHost(check: CheckModel, host: string): CheckModel {
  const { type } = check
  const names = type === 'http' || type === 'https' || type === 'tls' || type === 'grpc'
  return names ? { ...check, host: check.host ?? host } : check
}

/** The check and address as text: equal texts are one target. */
function canonical(check: CheckModel, address: string): string {
  return JSON.stringify([check.type, address, check.port, ...probeFields(check)])
}

/** Everything of a check that changes the request or the expected reply; timing excluded. */
function probeFields(check: CheckModel): readonly unknown[] {
  switch (check.type) {
    case 'tcp':
    case 'icmp':
      return []
    case 'http':
    case 'https': {
      const { type, method, path, host, body, matches, headers = {}, follow = 0, verify } = check
      const statuses = [...new Set(check.statuses)].toSorted((a, b) => a - b)
      const more = {
        ...(matches !== undefined && { matches }),
        ...(follow > 0 && { follow }),
        ...(Object.keys(headers).length > 0 && { headers: Object.entries(headers).toSorted(byName) }),
        ...(type === 'https' && certificateFields(check)),
      }
      return [method, path, host ?? '', statuses, body ?? '', type === 'https' && verify, ...written(more)]
    }
    case 'tls':
      return [check.host ?? '', check.verify, ...written(certificateFields(check))]
    case 'grpc':
      return [
        check.tls,
        check.host ?? '',
        check.tls && check.verify,
        check.service,
        ...written(check.tls ? certificateFields(check) : {}),
      ]
    case 'dns':
      return [check.name, check.rrtype, [...new Set(check.rcodes)].toSorted(), check.value ?? '']
    case 'exec':
      return [check.command]
    case 'agent':
      return [check.send ?? '']
    default:
      return check satisfies never
  }
}

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1)

/** Beside `verify`. What only warns is no part of the result. */
const certificateFields = ({ ca, validFor }: Pick<CertificateCheck, 'ca' | 'validFor'>): object => ({
  ...(ca !== undefined && { ca }),
  ...(validFor !== undefined && validFor.failMs > 0 && { failMs: validFor.failMs }),
})

/** None, so that checks without these fields keep the ids that they had before there were any; or all of them. */
const written = (fields: object): readonly object[] => (Object.keys(fields).length > 0 ? [fields] : [])

/**
 * The check with the strictest timing of both: failover is as fast as either service asks. The certificate's warning
 * comes as early as either does.
 */
const strictest = (a: CheckModel, b: CheckModel): CheckModel => ({
  ...a,
  ...earliestWarning(a, b),
  intervalMs: Math.min(a.intervalMs, b.intervalMs),
  timeoutMs: Math.min(a.timeoutMs, b.timeoutMs),
  fastMs: Math.min(a.fastMs, b.fastMs),
  fall: Math.min(a.fall, b.fall),
  rise: Math.max(a.rise, b.rise),
})

function earliestWarning(a: CheckModel, b: CheckModel): { readonly validFor?: ValidFor } {
  const [validFor, other] = [a, b].map((check) => ('validFor' in check ? check.validFor : undefined))
  const warnings = [validFor?.warnMs, other?.warnMs].filter((ms) => ms !== undefined)
  return warnings.length === 0 ? {} : { validFor: { failMs: validFor?.failMs ?? 0, warnMs: Math.max(...warnings) } }
}
