/** Services and client maps without YAML or databases: what the steering tests walk over. */
import { parseAddress } from '../../src/dns/address.ts'
import { type ClientMap, FENCE, PICK_HASH, PICK_RANDOM } from '../../src/policy/map.ts'
import type { ServiceModel, SiteModel } from '../../src/zone/model.ts'

const at = { file: 'test.yaml', line: 1, column: 1 }

export const site = (name: string, more: Partial<SiteModel> = {}): SiteModel => ({
  name,
  latitude: 0,
  longitude: 0,
  region: 'test',
  capacity: 100,
  declaresCapacity: false,
  drained: false,
  at,
  ...more,
})

export interface SiteSpec {
  readonly site: string
  readonly vips: readonly string[]
  readonly weight?: number
}

export const service = (sites: readonly SiteSpec[], more: Partial<ServiceModel> = {}): ServiceModel => ({
  name: 'web',
  sites: sites.map(({ site: name, vips, weight = 100 }) => ({
    site: name,
    vips: vips.map((address) => ({ address, bytes: parseAddress(address)! })),
    weight,
    bias: 0,
    drained: false,
  })),
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

export interface ClassSpec {
  readonly fence?: boolean
  /** Of the class's rule. */
  readonly pick?: 'hash' | 'random' | undefined
  /** Site numbers. */
  readonly groups: readonly (readonly number[])[]
  /** The last group is the tail: divided by capacity. */
  readonly tail?: boolean
}

const everybody = new Int32Array(65_536).fill(~0)

/** A map whose every client is of class 0, with these classes. */
export function mapOf(classes: readonly ClassSpec[]): ClientMap {
  const groups: number[] = []
  const starts = classes.map((spec) => {
    const start = groups.length
    const pick = spec.pick === undefined ? 0 : spec.pick === 'hash' ? PICK_HASH : PICK_RANDOM
    groups.push(0, (spec.fence === true ? FENCE : 0) | pick, spec.groups.length)
    for (const [i, group] of spec.groups.entries()) {
      const tail = spec.tail === true && i === spec.groups.length - 1
      groups.push(tail ? -group.length : group.length, ...group)
    }
    return start
  })
  return {
    v4: everybody,
    v6: everybody,
    borrowedV4: null,
    borrowedV6: null,
    classes: Int32Array.from(starts),
    groups: Int32Array.from(groups),
  }
}
