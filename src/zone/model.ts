/**
 * The model: the operator's YAML, checked and typed, before it is compiled. Made by load/load.ts; read by zone/image.ts
 * (zones), policy/ (services, sites), health/ (checks) and the commands. Plain objects that nobody changes.
 */
import type { Prefix } from '../dns/address.ts'
import type { PrefixTable } from '../geo/prefixes.ts'
import type { Position } from '../problem.ts'
import type { DrillsModel } from './drills.ts'
import { STEERS_A, STEERS_AAAA, STEERS_NAME, type ZoneModel } from './pack.ts'

/** All that a folder of zones says. */
export interface Model {
  readonly zones: readonly ZoneModel[]
  /** By name. */
  readonly sites: ReadonlyMap<string, SiteModel>
  /** Sorted by name, so that the order of files changes nothing. */
  readonly services: readonly ServiceModel[]
  readonly drills: DrillsModel
}

/** A site of sites.yaml, or a pool of a dynamic record that is named like none of them. */
export interface SiteModel {
  readonly name: string
  /** Degrees; NaN: no location, for it is a pool of a dynamic record. */
  readonly latitude: number
  readonly longitude: number
  readonly region: string
  /** Relative to other sites; 100 unless written. */
  readonly capacity: number
  readonly declaresCapacity: boolean
  readonly drained: boolean
  /** As a service's, for all its services. */
  readonly failback?: 'manual'
  readonly at: Position
}

/** Sites in the order of preference. Each inner list is one group, whose sites share clients by weight. */
export type Groups = readonly (readonly string[])[]

/** A continent, country or subdivision where clients are, as octoDNS's geo codes: `AS`, `AS-CN`, `NA-US-CA`. */
export interface Geo {
  readonly continent: string
  readonly country?: string
  readonly subdivision?: string
}

/** A rule of a service: which clients get another order of sites. */
export interface RuleModel {
  readonly subnets: readonly Prefix[]
  /** Subnets from files; absent: none. */
  readonly subnetFiles?: readonly PrefixTable[]
  /** Numbers of autonomous systems, 32 bits. */
  readonly asns: readonly number[]
  readonly geos: readonly Geo[]
  readonly order: Groups
  /** A fence: the clients get these sites and no others, even when all of them are down. */
  readonly only: boolean
  /** In place of the service's `pick`; undefined = the service's. */
  readonly pick: 'hash' | 'random' | undefined
  readonly at: Position
}

/** What is answered when no member of the service is usable. */
export type LastResort =
  | { readonly kind: 'all' }
  | { readonly kind: 'nodata' }
  /** Addresses in network order: 4 or 16 bytes each. */
  | { readonly kind: 'values'; readonly values: readonly Uint8Array[] }
  /** A CNAME to this name, in wire form. */
  | { readonly kind: 'name'; readonly name: Uint8Array }

/** An address of a service at a site, or a name. All VIPs of a service are one or the other. */
export interface VipModel {
  /** Canonical text; a name in lower case with its last dot. The member's name is `site/service/address`. */
  readonly address: string
  /** 4 or 16 bytes, network order; of a name none. */
  readonly bytes: Uint8Array
  /** A name in wire form; undefined: it is an address. */
  readonly name?: Uint8Array
  /** The address that is probed in place of the VIP. */
  readonly checkAddress?: string
  /**
   * Weight among the VIPs of its site where an answer cannot hold all of them, 0–1000; 1 unless written. Of dynamic
   * records.
   */
  readonly weight?: number
  /** Never probed, and always up: `status: up` of dynamic records. */
  readonly unchecked?: true
}

/** A site of a service. */
export interface ServiceSiteModel {
  readonly site: string
  readonly vips: readonly VipModel[]
  /** 0–1000. */
  readonly weight: number
  /** Percent, below 100: biased distance = great circle × (1 − bias / 100). */
  readonly bias: number
  readonly drained: boolean
}

/** A service of services.yaml, or a dynamic record, which is a service of its own (load/octodns/dynamic.ts). */
export interface ServiceModel {
  readonly name: string
  /** In the order of the file, which is the order for clients without a place. */
  readonly sites: readonly ServiceSiteModel[]
  readonly order:
    | { readonly kind: 'nearest' }
    /** `only`: a fence, as in a rule, for all clients that no rule matches. Of dynamic records. */
    | { readonly kind: 'listed'; readonly groups: Groups; readonly only?: true }
  readonly spreadKm: number
  readonly candidates: number
  /** How many of the next sites share the clients whose first group of sites is dead; 1–255. */
  readonly spill: number
  readonly rules: readonly RuleModel[]
  readonly pick: 'hash' | 'random'
  /** The most addresses in an answer, 1–8. */
  readonly answers: number
  readonly minVips: number
  readonly ttl: { readonly maxSeconds: number; readonly minSeconds: number; readonly settleMs: number }
  readonly lastResort: LastResort
  /** All must pass. Empty = `check: none`: its members count as up. */
  readonly checks: readonly CheckModel[]
  readonly probers: number
  readonly regions: number
  /** The brake: the percentage of capacity that DOWN verdicts must leave up; 0 = no brake. */
  readonly keepPercent: number
  /** Time in which a site that comes back takes its full share again; 0 = at once. */
  readonly rampUpMs: number
  /** A site that has failed over has its clients again once an operator returns it (`meridian return`); absent: by its verdict. */
  readonly failback?: 'manual'
  /**
   * The longest that a failover may take, from a site's death to the last client's new answer; undefined = not written.
   */
  readonly budgetMs?: number
  /**
   * Where the keys `spread`, `candidates`, `budget`, `SITE.weight` and `SITE.bias` are written. A key that is missing
   * here has its default. Absent for dynamic records, which have no such keys.
   */
  readonly written?: ReadonlyMap<string, Position>
  readonly at: Position
}

interface CheckTiming {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Interval between rechecks after a result differs from the track's state. */
  readonly fastMs: number
  readonly fall: number
  readonly rise: number
}

/** A check with all its defaults filled in. */
export type CheckModel = CheckTiming & {
  /** 0 = none: for icmp, and for exec unless written. */
  readonly port: number
  /** The address that is probed in place of the VIP. */
  readonly address?: string
} & CheckKind

/** How long from now a site's certificate must hold yet, in ms. */
export interface ValidFor {
  /** Less is a warning; undefined: a fifth of the certificate's lifetime, at most 14 days. */
  readonly warnMs?: number
  /** Less is a failure; 0: only what verification itself refuses is. */
  readonly failMs: number
}

/** How a check over TLS judges the site's certificate. */
export interface CertificateCheck {
  /** Verify the chain and the name; true unless written otherwise. */
  readonly verify: boolean
  /** A name in the node setting `probe.ca`, whose authorities count in place of the machine's; undefined: those. */
  readonly ca?: string
  /** undefined: `{failMs: 0}`. */
  readonly validFor?: ValidFor
}

/** RR types that a check of type dns may ask for. */
export const CHECK_RRTYPES = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const

/** The kind of a check and its parameters. Their canonical form, without timing, is part of a target's id. */
export type CheckKind =
  | { readonly type: 'tcp' }
  | { readonly type: 'icmp' }
  | ({
      readonly type: 'http' | 'https'
      readonly method: 'GET' | 'HEAD'
      readonly path: string
      /** Host header, and SNI and certificate name for https; undefined = the VIP's address. */
      readonly host?: string
      /** By the header's name, the name of its value in the node setting `probe.headers`. */
      readonly headers?: Readonly<Record<string, string>>
      /** Most redirects that are followed; undefined = none. */
      readonly follow?: number
      readonly statuses: readonly number[]
      /** Text that must occur within the first 64 KiB of the body. */
      readonly body?: string
      /** A regular expression (regex.ts) that must match within the first 16 KiB of the body. */
      readonly matches?: string
    } & CertificateCheck) // of http: of what it is redirected to
  | ({
      readonly type: 'tls'
      /** SNI and certificate name; undefined = the VIP's address. */
      readonly host?: string
    } & CertificateCheck)
  | ({
      readonly type: 'grpc'
      readonly tls: boolean
      /** :authority, and with TLS the SNI and certificate name; undefined = the VIP's address. */
      readonly host?: string
      /** Empty = the server as a whole. */
      readonly service: string
    } & CertificateCheck) // of no meaning without TLS
  | {
      readonly type: 'dns'
      /** Text, lower case, with the final dot. */
      readonly name: string
      readonly rrtype: (typeof CHECK_RRTYPES)[number]
      /** Mnemonics; the response must have one of them. */
      readonly rcodes: readonly string[]
      /** Presentation text of RDATA that the answer must have; names and hexadecimal digits in lower case. */
      readonly value?: string
    }
  | {
      readonly type: 'exec'
      /** A name in the node setting `probe.exec`. */
      readonly command: string
    }
  | {
      readonly type: 'agent'
      /** A line that is sent to the agent before its own line is read; the prober adds the line end. */
      readonly send?: string
    }

/** Whether a service's VIPs are names. */
export const isOfNames = ({ sites }: Pick<ServiceModel, 'sites'>): boolean =>
  sites.some(({ vips }) => vips.some(({ name }) => name !== undefined))

/** The types, as bits STEERS_*, of which a service has VIPs. `only`: count these sites alone. */
export function typesOf({ sites }: Pick<ServiceModel, 'sites'>, only?: ReadonlySet<string>): number {
  let types = 0
  for (const { site, vips } of sites) {
    if (only !== undefined && !only.has(site)) continue
    for (const { bytes, name } of vips) {
      types |= name !== undefined ? STEERS_NAME : bytes.length === 4 ? STEERS_A : STEERS_AAAA
    }
  }
  return types
}
