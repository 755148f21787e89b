/**
 * The model: what an operator's YAML says, checked and typed, before it is compiled. Made by zone/load.ts; read by
 * zone/image.ts (zones), policy/ (services, sites), health/ (checks) and the commands. Plain, frozen by convention.
 *
 * Names of zones and owners are kept in lower-case wire form beside nothing else: text is made when a human asks.
 */
import type { Prefix } from '../dns/address.ts'

export interface Model {
  readonly zones: readonly ZoneModel[]
  /** By name. */
  readonly sites: ReadonlyMap<string, SiteModel>
  /** Sorted by name, so that the order of files decides nothing. */
  readonly services: readonly ServiceModel[]
}

/** Where something was written; for problems that are found after the file was read. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface SiteModel {
  readonly name: string
  /** Degrees. */
  readonly latitude: number
  readonly longitude: number
  readonly region: string
  /** Relative to other sites; 100 when not written. */
  readonly capacity: number
  readonly drained: boolean
  readonly at: Position
}

/**
 * One zone as the linker's object file: RRsets as ints (Z_*), names and records as bytes, in the order of the file. A
 * million names are some 70 MB this way, and an Image only copies and relocates. Read it with recordsOf() where time
 * does not matter.
 */
export interface ZoneModel {
  /** Apex, lower-case wire form, with the root label. */
  readonly apex: Uint8Array
  /** Z_INTS for each RRset and each steered entry. */
  readonly sets: Int32Array
  /** Owner names (lower-case wire form) and records (see zone/image.ts for their form). */
  readonly bytes: Uint8Array
  /** Services that steered entries name. */
  readonly services: readonly string[]
  /** Where the zone begins: its file, 1:1. */
  readonly at: Position
}

/** First byte of the owner in `bytes`, and its bytes. RRsets of one name share them. */
export const Z_OWNER = 0
export const Z_OWNER_BYTES = 1
/** RR type number (or NEGATIVE_SOA); 0 for a steered entry. */
export const Z_TYPE = 2
/** Records in the set; a steered entry's type bits. */
export const Z_COUNT = 3
/** First byte in `bytes` of the records; a steered entry's index into `services`. */
export const Z_AT = 4
/** Bytes of the records; a steered entry's TTL cap in seconds, 0 = none. */
export const Z_SIZE = 5
export const Z_LINE = 6
export const Z_COLUMN = 7
export const Z_INTS = 8

/** Type bits of steered names: which of A and AAAA a name has. Never depends on the client or on health. */
export const STEERS_A = 1
export const STEERS_AAAA = 2

/** One RRset, or one steered entry when `steered` is set (then type is 0 and rdata is empty). */
export interface RecordModel {
  /** Owner, lower-case wire form. */
  readonly owner: Uint8Array
  readonly type: number
  readonly ttlSeconds: number
  /** Wire RDATA of each RR, names uncompressed. */
  readonly rdata: readonly Uint8Array[]
  readonly steered?: {
    readonly service: string
    /** Bits STEERS_*. */
    readonly types: number
    /** Caps the service's ttl.max and ttl.min; 0 = the service's own. */
    readonly ttlSeconds: number
  }
  readonly at: Position
}

/** The RRsets and steered entries of a zone, as objects over its bytes. */
export function* recordsOf(zone: ZoneModel): Generator<RecordModel> {
  const { sets, bytes } = zone
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let i = 0; i < sets.length; i += Z_INTS) {
    const type = sets[i + Z_TYPE]!
    const count = sets[i + Z_COUNT]!
    const from = sets[i + Z_AT]!
    const owner = bytes.subarray(sets[i + Z_OWNER]!, sets[i + Z_OWNER]! + sets[i + Z_OWNER_BYTES]!)
    const at = { file: zone.at.file, line: sets[i + Z_LINE]!, column: sets[i + Z_COLUMN]! }
    if (type === 0) {
      const ttlSeconds = sets[i + Z_SIZE]!
      const steered = { service: zone.services[from]!, types: count, ttlSeconds }
      yield { owner, type, ttlSeconds, rdata: [], steered, at }
      continue
    }
    const rdata: Uint8Array[] = []
    for (let record = from; rdata.length < count;) {
      const end = record + RECORD_HEAD + view.getUint16(record + 10)
      rdata.push(bytes.subarray(record + RECORD_HEAD, end))
      record = end
    }
    yield { owner, type, ttlSeconds: view.getUint32(from + 6), rdata, at }
  }
}

/** Bytes of a record before its RDATA: C0 0C, type, class, TTL, RDLENGTH. */
export const RECORD_HEAD = 12

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
  readonly geos: readonly Geo[]
  readonly order: Groups
  /** A fence: these sites and no others, even when they are dead. */
  readonly only: boolean
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
  readonly order: { readonly kind: 'nearest' } | { readonly kind: 'listed'; readonly groups: Groups }
  readonly spreadKm: number
  readonly candidates: number
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
  /** Percent of capacity that the brake keeps in service. */
  readonly keepPercent: number
  readonly rampUpMs: number
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
  /** undefined = the kind's own (80, 443). */
  readonly port: number
  /** Probed instead of the VIP, when written. */
  readonly address?: string
} & CheckKind

/** What is asked of the target; the canonical form of it (without timing) is part of the target's id. */
export type CheckKind =
  | { readonly type: 'tcp' }
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
