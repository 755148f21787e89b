/** Packed zones as objects, for tests that look at their records. */
import { TYPE } from '../../src/dns/types.ts'
import type { Position } from '../../src/problem.ts'
import {
  ownerAt,
  positionOf,
  rdataOf,
  recordTtl,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_SIZE,
  Z_TYPE,
  type ZoneModel,
} from '../../src/zone/pack.ts'

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

/** The SOA, RRsets and steered entries of a zone, as objects over its bytes. */
export function* recordsOf(zone: ZoneModel): Generator<RecordModel> {
  const { sets, bytes, soa } = zone
  yield { owner: zone.apex, type: TYPE.SOA, ttlSeconds: soa.ttlSeconds, rdata: [soa.rdata], at: zone.at }
  for (let i = 0; i < sets.length; i += Z_INTS) {
    const type = sets[i + Z_TYPE]!
    const count = sets[i + Z_COUNT]!
    const from = sets[i + Z_AT]!
    const owner = ownerAt(zone, i)
    const at = positionOf(zone, i)
    if (type === 0) {
      const ttlSeconds = sets[i + Z_SIZE]!
      const steered = { service: zone.services[from]!, types: count, ttlSeconds }
      yield { owner, type, ttlSeconds, rdata: [], steered, at }
      continue
    }
    yield { owner, type, ttlSeconds: recordTtl(bytes, from), rdata: rdataOf(zone, i), at }
  }
}
