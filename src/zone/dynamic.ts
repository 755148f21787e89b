/**
 * octoDNS's dynamic records (A, AAAA) → services of Meridian: a pool is a site, its values are the VIPs, its chain of
 * fallbacks an order, a rule a fence over that order, and the record's `values` the last resort, which nobody probes.
 */
import type { ServiceModel } from './model.ts'
import type { Fields, Reader } from './read.ts'
import type { Node } from './yaml.ts'

export interface DynamicRecord {
  /** Lower-case wire form. */
  readonly owner: Uint8Array
  /** TYPE.A or TYPE.AAAA. */
  readonly type: number
  readonly node: Node
  /** All that the record has, its `type` and `ttl` included. */
  readonly fields: Fields
  readonly ttlSeconds: number
}

/** Its service is named like `www.example.com:A`, which no service of services.yaml can be. undefined: faulty, and reported. */
export function readDynamic(read: Reader, { fields }: DynamicRecord): ServiceModel | undefined {
  read.fault('not-supported', fields.get('dynamic')!.key, '“dynamic” is not supported yet')
  return undefined
}
