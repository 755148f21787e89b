/**
 * The view: a hash of all that answers depend on, except health and the SOA serial. Nodes compare their views, so only
 * what is served goes in: neither where things are written, nor in which order where order means nothing, nor comments
 * and line ends. Called by the builder.
 */
import { hash } from 'node:crypto'
import type { Places } from '../geo/place.ts'
import { mix } from '../hash.ts'
import { withSerial } from '../load/soa.ts'
import type { Model, RuleModel, ServiceModel } from '../zone/model.ts'
import {
  recordEnd,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_OWNER,
  Z_OWNER_BYTES,
  Z_SIZE,
  Z_TYPE,
  type ZoneModel,
} from '../zone/pack.ts'

/** Changes when a World's meaning changes, so that nodes of different versions have different views. */
const FORMAT = 'meridian-world-3'

/** The view of a model and the places of clients: 16 hex digits. */
export function viewOf({ zones, sites, services }: Model, { id, asns }: Places): string {
  // a database that no service looks at decides no answer and no scope
  const looksAtPlaces = services.some(({ order, rules }) => order.kind === 'nearest' || rules.length > 0)
  const looksAtAsns = services.some(({ rules }) => rules.some((rule) => rule.asns.length > 0))
  const parts = [
    FORMAT,
    withSerial(zones, 0).map(zoneInView).toSorted(),
    [...sites.values()].map(canonical).toSorted(),
    services.map(serviceInView),
    looksAtPlaces ? id : '',
    looksAtAsns ? (asns?.id ?? '') : '',
  ]
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 16)
}

const serviceInView = ({ rules, ...service }: ServiceModel): string =>
  canonical({ ...service, rules: rules.map(ruleInView) })

/** A rule, whose subnets, numbers and geos are alternatives in any order. */
const ruleInView = ({ subnets, subnetFiles = [], asns, geos, ...rule }: RuleModel): object => ({
  ...rule,
  subnets: unordered(subnets),
  subnetFiles: subnetFiles.map((table) => table.hash).toSorted(),
  asns: unordered(asns),
  geos: unordered(geos),
})

const unordered = (list: readonly unknown[]): readonly string[] => list.map(canonical).toSorted()

/** Keys of the model that say where something is written. */
const POSITIONS = new Set(['at', 'written'])

/** A value as JSON, whatever the order of its keys; without positions, and bytes as hexadecimal digits. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, part: unknown) => {
    if (POSITIONS.has(key)) return undefined
    if (part instanceof Uint8Array) return Buffer.from(part).toString('hex')
    const isMapping = typeof part === 'object' && part !== null && !Array.isArray(part)
    return isMapping ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1))) : part
  })
}

const zoneInView = (zone: ZoneModel): string => canonical({ apex: zone.apex, soa: zone.soa, sum: sumOf(zone) })

/** By sets: the sums of zones. Of a zone without steered names they are the same while its files are. */
const sums = new WeakMap<Int32Array, string>()

/** The sum of the hashes of a zone's records and steered names. A million names take 0.4 s. */
function sumOf({ sets, bytes, services }: Pick<ZoneModel, 'sets' | 'bytes' | 'services'>): string {
  const known = sums.get(sets)
  if (known !== undefined) return known
  const sum = new Sum()
  for (let set = 0; set < sets.length; set += Z_INTS) {
    const owner = sets[set + Z_OWNER]!
    const ownerEnd = owner + sets[set + Z_OWNER_BYTES]!
    const [count, at] = [sets[set + Z_COUNT]!, sets[set + Z_AT]!]
    if (sets[set + Z_TYPE] === 0) {
      const steered = Buffer.from(JSON.stringify([services[at], count, sets[set + Z_SIZE]]))
      sum.begin(bytes, owner, ownerEnd)
      sum.add(steered, 0, steered.length)
      continue
    }
    for (let record = 0, from = at; record < count; record++) {
      const end = recordEnd(bytes, from)
      sum.begin(bytes, owner, ownerEnd)
      sum.add(bytes, from, end)
      from = end
    }
  }
  sums.set(sets, sum.text)
  return sum.text
}

/** The sum of the hashes of some texts, 64 bits: the same in whatever order they are added. */
class Sum {
  // two hashes with a multiplier each (FNV-1a), and their sums
  #a = 0
  #b = 0
  #sumA = 0
  #sumB = 0

  /** Begins a text with bytes[from … to). */
  begin(bytes: Uint8Array, from: number, to: number): void {
    this.#a = 0x811c9dc5 | 0
    this.#b = to - from
    this.#hash(bytes, from, to)
  }

  /** Ends it with more bytes. */
  add(bytes: Uint8Array, from: number, to: number): void {
    this.#hash(bytes, from, to)
    this.#sumA = (this.#sumA + mix(this.#a)) | 0
    this.#sumB = (this.#sumB + mix(this.#b)) | 0
  }

  #hash(bytes: Uint8Array, from: number, to: number): void {
    let a = this.#a
    let b = this.#b
    for (let i = from; i < to; i++) {
      a = Math.imul(a ^ bytes[i]!, 0x01000193)
      b = Math.imul(b ^ bytes[i]!, 0x5bd1e995)
    }
    this.#a = a
    this.#b = b
  }

  get text(): string {
    return [this.#sumA, this.#sumB].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }
}
