/**
 * The model: what an operator's YAML says, checked and typed, before it is compiled. Made by load/load.ts; read by
 * zone/image.ts (zones), policy/ (services, sites), health/ (checks) and the commands. Plain, frozen by convention.
 */
import type { Prefix } from '../dns/address.ts'
import type { PrefixTable } from '../geo/prefixes.ts'
import type { Position } from '../problem.ts'
import { STEERS_A, STEERS_AAAA, type ZoneModel } from './pack.ts'

export interface Model {
  readonly zones: readonly ZoneModel[]
  /** By name. */
  readonly sites: ReadonlyMap<string, SiteModel>
  /** Sorted by name, so that the order of files decides nothing. */
  readonly services: readonly ServiceModel[]
}
export interface SiteModel {
  readonly name: string
  /** Degrees; NaN: it has no place, being a pool of dynamic records and nothing else. */
  readonly latitude: number
  readonly longitude: number
  readonly region: string
  /** Relative to other sites; 100 when not written. */
  readonly capacity: number
  readonly declaresCapacity: boolean
  readonly drained: boolean
  readonly at: Position
}

/** Sites in the order of preference; the inner list is one group whose members share by weight. */
export type Groups = readonly (readonly string[])[]

/** A place clients are in: `AS`, `AS-CN`, `NA-US-CA` (octoDNS's geo codes). */
export interface Geo {
  readonly continent: string
  readonly country?: string
  readonly subdivision?: string
}

export interface RuleModel {
  readonly subnets: readonly Prefix[]
  /** Those that come from files; absent: none do. */
  readonly subnetFiles?: readonly PrefixTable[]
  /** Numbers of autonomous systems, 32 bits. */
  readonly asns: readonly number[]
  readonly geos: readonly Geo[]
  readonly order: Groups
  /** A fence: these sites and no others, even when they are dead. */
  readonly only: boolean
  /** In place of the service's; undefined = as the service. */
  readonly pick: 'hash' | 'random' | undefined
  readonly at: Position
}

export type LastResort =
  | { readonly kind: 'all' }
  | { readonly kind: 'nodata' }
  /** Addresses in network order: 4 or 16 bytes each. */
  | { readonly kind: 'values'; readonly values: readonly Uint8Array[] }

export interface VipModel {
  /** Canonical text; with site and service it names the member: `site/service/address`. */
  readonly address: string
  /** 4 or 16 bytes, network order. */
  readonly bytes: Uint8Array
  /** What is probed instead of the VIP itself, when written. */
  readonly checkAddress?: string
  /** Share among its site's VIPs where an answer can't hold all of them, 0–1000; 1 when not written (dynamic records). */
  readonly weight?: number
  /** Never probed, and taken for up: `status: up` of dynamic records. */
  readonly unchecked?: true
}

export interface ServiceSiteModel {
  readonly site: string
  readonly vips: readonly VipModel[]
  /** 0–1000. */
  readonly weight: number
  /** Percent, below 100: biased distance = great circle × (1 − bias / 100). */
  readonly bias: number
  readonly drained: boolean
}

export interface ServiceModel {
  readonly name: string
  /** In the order of the file: the order of clients that nobody can place. */
  readonly sites: readonly ServiceSiteModel[]
  readonly order:
    | { readonly kind: 'nearest' }
    /** `only`: a fence like a rule's, for all clients without a rule; of dynamic records. */
    | { readonly kind: 'listed'; readonly groups: Groups; readonly only?: true }
  readonly spreadKm: number
  readonly candidates: number
  /** Over how many sites the clients are divided whose first group is dead; 1–255. */
  readonly spill: number
  readonly rules: readonly RuleModel[]
  readonly pick: 'hash' | 'random'
  /** How many addresses an answer holds at most; 1–8. */
  readonly answers: number
  readonly minVips: number
  readonly ttl: { readonly maxSeconds: number; readonly minSeconds: number; readonly settleMs: number }
  readonly lastResort: LastResort
  /** Empty = `check: none`: its members count as up. All must pass. */
  readonly checks: readonly CheckModel[]
  readonly probers: number
  readonly regions: number
  /** The brake: percent of capacity that DOWN verdicts must leave up; 0 = none. */
  readonly keepPercent: number
  /** 0 = at once. */
  readonly rampUpMs: number
  /** Most that a failover may take, from a site's death to the last client's new answer; undefined = not written. */
  readonly budgetMs?: number
  /**
   * Where `spread`, `candidates` and `budget` are written, and `SITE.weight` and `SITE.bias` of its sites; what is not in it
   * is a default. Nothing is in it of dynamic records, which write none of these for themselves.
   */
  readonly written?: ReadonlyMap<string, Position>
  readonly at: Position
}

interface CheckTiming {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Interval of rechecks after a change. */
  readonly fastMs: number
  readonly fall: number
  readonly rise: number
}

export type CheckModel = CheckTiming & {
  /** 0 = none: of icmp, and of exec where none is written. */
  readonly port: number
  /** Probed instead of the VIP, when written. */
  readonly address?: string
} & CheckKind

/** RR types that a check of type dns may ask for. */
export const CHECK_RRTYPES = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const

/** What is asked of the target; the canonical form of it (without timing) is part of the target's id. */
export type CheckKind =
  | { readonly type: 'tcp' }
  | { readonly type: 'icmp' }
  | {
      readonly type: 'http' | 'https'
      readonly method: 'GET' | 'HEAD'
      readonly path: string
      /** Host header, and SNI and certificate name for https; undefined = the VIP's address. */
      readonly host?: string
      readonly statuses: readonly number[]
      /** Text that must occur within the first 64 KiB of the body. */
      readonly body?: string
      /** https: verify the certificate; true unless written otherwise. */
      readonly verify: boolean
    }
  | {
      readonly type: 'tls'
      /** SNI and certificate name; undefined = the VIP's address. */
      readonly host?: string
      readonly verify: boolean
      /** The certificate must hold for so long from now. */
      readonly validForMs: number
    }
  | {
      readonly type: 'grpc'
      readonly tls: boolean
      /** :authority, and with TLS the SNI and certificate name; undefined = the VIP's address. */
      readonly host?: string
      /** Only of TLS. */
      readonly verify: boolean
      /** Empty = the server as a whole. */
      readonly service: string
    }
  | {
      readonly type: 'dns'
      /** Text, lower case, with the final dot. */
      readonly name: string
      readonly rrtype: (typeof CHECK_RRTYPES)[number]
      /** Mnemonics, one of which must come. */
      readonly rcodes: readonly string[]
      /** Presentation text of an answer that must be there; names and hexadecimal digits in lower case. */
      readonly value?: string
    }
  | {
      readonly type: 'exec'
      /** A name in the node setting `probe.exec`. */
      readonly command: string
    }
  | {
      readonly type: 'agent'
      /** Written to the agent before its line is read: one line, whose end the prober adds. */
      readonly send?: string
    }

/** Bits STEERS_*: the types that a service ever answers. */
export function typesOf({ sites }: Pick<ServiceModel, 'sites'>, only?: ReadonlySet<string>): number {
  let types = 0
  for (const { site, vips } of sites) {
    if (only !== undefined && !only.has(site)) continue
    for (const { bytes } of vips) types |= bytes.length === 4 ? STEERS_A : STEERS_AAAA
  }
  return types
}
