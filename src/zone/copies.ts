/**
 * Copies of zones, as secondaries take them (RFC 5936, 1995): which RRsets a zone has, in the order of its file, and what
 * changed since earlier serials. Made by the compile thread with each Image; read by answer/transfer.ts. Nobody changes
 * it once it is published.
 *
 *   zones       COPY_INTS each, see C_*; sorted by apex
 *   sets        SET_INTS each, see SET_*: RRsets, in the order in which they are sent
 *   differences DIFFERENCE_INTS each, see D_*
 *   bytes       records that the Image does not have: those of steered names, and of differences
 *
 * A zone's own records are not in the Image's nodes if an inner zone hides them, and a secondary that takes the outer
 * zone alone needs them. The Image has the bytes of all, so a copy costs 16 bytes for each RRset.
 */
import { sameBytes } from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import type { Allocate } from '../geo/memory.ts'
import { type CopiedZone, History, type OwnedRecords, type Packed } from './differences.ts'
import type { Image } from './image.ts'
import { placesOf } from './link.ts'
import type { Model, ServiceModel } from './model.ts'
import {
  isHints,
  ownerAt,
  Packer,
  STEERS_A,
  STEERS_AAAA,
  type TransferModel,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_OWNER,
  Z_OWNER_BYTES,
  Z_SIZE,
  Z_TYPE,
  type ZoneModel,
} from './pack.ts'

/** The apex in Image.bytes, and its size. */
export const C_APEX = 0
export const C_APEX_BYTES = 1
/** The SOA record in Image.bytes. */
export const C_SOA = 2
/** Index into `policies`. */
export const C_POLICY = 3
/** Its first RRset in `sets`, and the one behind its last. */
export const C_FIRST = 4
export const C_END = 5
/** Its first difference, and the one behind its last. */
export const C_DIFFERENCE = 6
export const C_DIFFERENCES_END = 7
/** Index into `serials` of the first serial from which on all differences are known; that behind the last = none. */
export const C_SINCE = 8
export const COPY_INTS = 9

/** Owner name and records in Image.bytes, or as ~index in Copies.bytes; their sizes. */
export const SET_OWNER = 0
export const SET_OWNER_BYTES = 1
export const SET_AT = 2
export const SET_SIZE = 3
export const SET_INTS = 4

/** The serial that it leads to; its first removed RRset in `sets`, its first added one, and the one behind that. */
export const D_TO = 0
export const D_REMOVED = 1
export const D_ADDED = 2
export const D_END = 3
export const DIFFERENCE_INTS = 4

/** What the zones of a World are as copies. */
export interface Copies {
  /** Serials that were served, the newest last. */
  readonly serials: readonly number[]
  readonly policies: readonly TransferModel[]
  readonly zones: Int32Array
  readonly sets: Int32Array
  readonly differences: Int32Array
  readonly bytes: Uint8Array
}

/** No zone may be copied. */
export const NO_COPIES: Copies = {
  serials: [],
  policies: [],
  zones: new Int32Array(0),
  sets: new Int32Array(0),
  differences: new Int32Array(0),
  bytes: new Uint8Array(0),
}

/** The index in `zones` of the first int of a zone; −1: there is no such zone, or none that may be copied. */
export function findCopy({ zones }: Copies, { bytes }: Pick<Image, 'bytes'>, apex: Uint8Array, size: number): number {
  let low = 0
  let high = zones.length / COPY_INTS
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = middle * COPY_INTS
    const order = compareNames(bytes, zones[at + C_APEX]!, zones[at + C_APEX_BYTES]!, apex, 0, size)
    if (order === 0) return at
    if (order < 0) low = middle + 1
    else high = middle
  }
  return -1
}

/** Any total order of names: by size, then by bytes. */
function compareNames(a: Uint8Array, atA: number, sizeA: number, b: Uint8Array, atB: number, sizeB: number): number {
  if (sizeA !== sizeB) return sizeA - sizeB
  for (let i = 0; i < sizeA; i++) if (a[atA + i] !== b[atB + i]) return a[atA + i]! - b[atB + i]!
  return 0
}

/**
 * Makes the copies of the zones that may be transferred, and notes them in `history`. `zones`: those of the Image, in
 * its order.
 */
export function makeCopies(
  zones: Model['zones'],
  services: Model['services'],
  serial: number,
  history: History,
  allocate: Allocate,
): Copies {
  const byName = new Map(services.map((service) => [service.name, service]))
  const copied = zones.flatMap((model): (CopiedZone & { readonly transfer: TransferModel })[] =>
    model.transfer === undefined
      ? []
      : [{ model, transfer: model.transfer, steered: steeredRecords(model, byName, model.transfer) }],
  )
  history.note(serial, copied)
  if (copied.length === 0) return NO_COPIES
  copied.sort((a, b) => {
    const [one, other] = [a.model.apex, b.model.apex]
    return compareNames(one, 0, one.length, other, 0, other.length)
  })
  const { places } = placesOf(zones)
  const placeOf = new Map(zones.map((zone, i) => [zone, places[i]!]))
  const policies = [...new Set(copied.map(({ transfer }) => transfer))]
  const writer = new Writer(copied, history, allocate)
  const { serials } = history
  const rows = copied.flatMap(({ model, transfer, steered }) => {
    const { base, apexAt, soaAt } = placeOf.get(model)!
    const { since, differences } = history.of(model.apex)
    const first = writer.count
    writer.addImage(model, base)
    writer.addPacked(steered)
    const end = writer.count
    const difference = writer.differences
    for (const { to, removed, added } of differences) writer.addDifference(to, removed, added)
    const known = since === undefined ? -1 : serials.findIndex((one) => one === since)
    // a serial that is no longer in the list: the list has the oldest that is known
    const from = since === undefined ? serials.length : Math.max(0, known)
    return [
      apexAt,
      model.apex.length,
      soaAt,
      policies.indexOf(transfer),
      first,
      end,
      difference,
      writer.differences,
      from,
    ]
  })
  const table = new Int32Array(allocate(rows.length * 4), 0, rows.length)
  table.set(rows)
  return { serials, policies, zones: table, ...writer.finish() }
}

/** Writes RRsets and differences into arrays of their final size. */
class Writer {
  readonly #sets: Int32Array
  readonly #differences: Int32Array
  readonly #bytes: Uint8Array
  #used = 0
  /** How many RRsets and differences there are so far. */
  count = 0
  differences = 0

  constructor(zones: readonly CopiedZone[], history: History, allocate: Allocate) {
    let [sets, differences, bytes] = [0, 0, 0]
    for (const { model, steered } of zones) {
      sets += (model.sets.length + steered.sets.length) / Z_INTS
      bytes += steered.bytes.length
      for (const { removed, added } of history.of(model.apex).differences) {
        differences++
        sets += removed.length + added.length
        for (const { owner, records } of [...removed, ...added]) bytes += owner.length + records.length
      }
    }
    const ints = (length: number): Int32Array => new Int32Array(allocate(Math.max(4, length * 4)), 0, length)
    this.#sets = ints(sets * SET_INTS)
    this.#differences = ints(differences * DIFFERENCE_INTS)
    this.#bytes = new Uint8Array(allocate(Math.max(1, bytes)), 0, bytes)
  }

  /** Adds a zone's own records, whose bytes the Image has from `base` on. */
  addImage(zone: Packed, base: number): void {
    this.#add(zone, (at) => base + at)
  }

  /** Adds records that the Image does not have. */
  addPacked(zone: Packed): void {
    const base = this.#used
    this.#bytes.set(zone.bytes, base)
    this.#used += zone.bytes.length
    this.#add(zone, (at) => ~(base + at))
  }

  addDifference(to: number, removed: readonly OwnedRecords[], added: readonly OwnedRecords[]): void {
    const first = this.count
    for (const records of removed) this.#addOwned(records)
    const middle = this.count
    for (const records of added) this.#addOwned(records)
    this.#differences.set([to, first, middle, this.count], this.differences++ * DIFFERENCE_INTS)
  }

  finish(): Pick<Copies, 'sets' | 'differences' | 'bytes'> {
    return { sets: this.#sets, differences: this.#differences, bytes: this.#bytes }
  }

  #add({ sets }: Packed, place: (at: number) => number): void {
    for (let i = 0; i < sets.length; i += Z_INTS) {
      if (sets[i + Z_TYPE] === 0) continue
      const row = [place(sets[i + Z_OWNER]!), sets[i + Z_OWNER_BYTES]!, place(sets[i + Z_AT]!), sets[i + Z_SIZE]!]
      this.#sets.set(row, this.count++ * SET_INTS)
    }
  }

  #addOwned({ owner, records }: OwnedRecords): void {
    const ownerAtByte = this.#used
    const at = ownerAtByte + owner.length
    this.#bytes.set(owner, ownerAtByte)
    this.#bytes.set(records, at)
    this.#used = at + records.length
    this.#sets.set([~ownerAtByte, owner.length, ~at, records.length], this.count++ * SET_INTS)
  }
}

const NO_SETS = new Int32Array(0)

/** What the steered names of a zone have in a copy. */
function steeredRecords(
  zone: ZoneModel,
  services: ReadonlyMap<string, ServiceModel>,
  { steered: form }: TransferModel,
): Packed {
  const packer = new Packer()
  const sets = form === 'omit' ? NO_SETS : zone.sets
  for (let i = 0; i < sets.length; i += Z_INTS) {
    if (sets[i + Z_TYPE] !== 0 || isHints(sets, i)) continue // the records go without hints
    const service = services.get(zone.services[sets[i + Z_AT]!]!)!
    const addresses = addressesOf(service, form)
    const [types, cap] = [sets[i + Z_COUNT]!, sets[i + Z_SIZE]!]
    const ttl = cap > 0 ? Math.min(cap, service.ttl.minSeconds) : service.ttl.minSeconds
    const target = targetOf(service, form)
    if (target !== undefined) {
      packer.begin(ownerAt(zone, i))
      packer.add(TYPE.CNAME, ttl, [target], zone.at)
      continue
    }
    let isBegun = false
    for (const [bit, type, size] of ADDRESS_TYPES) {
      const rdata = types === 0 || (types & bit) !== 0 ? addresses.filter(({ length }) => length === size) : []
      if (rdata.length === 0) continue
      if (!isBegun) packer.begin(ownerAt(zone, i))
      isBegun = true
      packer.add(type, ttl, rdata, zone.at)
    }
  }
  return packer.finish()
}

/** The one name that a service is in a copy; undefined: it is addresses there, or nothing. */
function targetOf({ sites, lastResort }: ServiceModel, form: TransferModel['steered']): Uint8Array | undefined {
  const own = typeof form === 'object' ? sites.find(({ site }) => site === form.site) : undefined
  if (own !== undefined) return own.vips[0]!.name
  if (lastResort.kind === 'name') return lastResort.name
  return lastResort.kind === 'all' ? sites[0]!.vips[0]!.name : undefined
}

const ADDRESS_TYPES = [
  [STEERS_A, TYPE.A, 4],
  [STEERS_AAAA, TYPE.AAAA, 16],
] as const

/** The addresses of a service in a copy, each once. A site that it does not have: those of its last resort. */
function addressesOf({ sites, lastResort }: ServiceModel, form: TransferModel['steered']): readonly Uint8Array[] {
  const own = typeof form === 'object' ? sites.find(({ site }) => site === form.site) : undefined
  if (own !== undefined) return own.vips.map(({ bytes }) => bytes)
  if (lastResort.kind === 'nodata') return []
  const all =
    lastResort.kind === 'values' ? lastResort.values : sites.flatMap(({ vips }) => vips.map(({ bytes }) => bytes))
  return all.filter((one, i) => all.findIndex((other) => isSame(one, other)) === i)
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && sameBytes(a, 0, b, 0, a.length)
