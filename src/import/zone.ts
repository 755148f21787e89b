/**
 * The records of one zone while it is imported → the YAML of its file. What a master file may have and Meridian's zones
 * may not (data that a delegation hides, TTLs that differ within a set) is left out or levelled, with a Note.
 */
import type { RdataValue } from '../dns/fields.ts'
import { formatName, isWithin, keyOf, parentName } from '../dns/name.ts'
import { TYPE, typeName } from '../dns/types.ts'
import type { Notes, Place } from './notes.ts'
import type { RdataRead } from './rdata.ts'
import type { YamlMapping, YamlValue } from './yaml.ts'

interface RecordSet {
  readonly type: number
  readonly ttlSeconds: number
  readonly values: RdataValue[]
  readonly wires: Set<string>
  readonly at: Place
}

/** A name that a service answers for. */
export interface Steered {
  readonly service: string
  /** Caps the service's TTLs; undefined: it does not. */
  readonly ttlSeconds?: number
  /** undefined: all types of the service. */
  readonly types?: readonly string[]
  readonly at: Place
}

interface Owner {
  readonly wire: Uint8Array
  readonly sets: Map<number, RecordSet>
  readonly steered: Steered[]
}

/** What a zone becomes. */
export interface ZoneYaml {
  readonly name: string
  readonly soa: { readonly [key: string]: string } | undefined
  readonly ttlSeconds: number
  readonly serial: number
  readonly names: YamlMapping
  /** Where its SOA is. */
  readonly at: Place
}

/** Collects the records of a zone. Owners are in lower case. */
export class ZoneDraft {
  readonly apex: Uint8Array
  readonly name: string
  readonly #at: Place
  readonly #notes: Notes
  readonly #owners = new Map<string, Owner>()

  constructor(apex: Uint8Array, at: Place, notes: Notes) {
    this.apex = apex
    this.name = formatName(apex)
    this.#at = at
    this.#notes = notes
  }

  add(owner: Uint8Array, type: number, ttlSeconds: number, { value, wire }: RdataRead, at: Place): void {
    const { sets } = this.#owner(owner)
    const set = sets.get(type)
    if (set === undefined) {
      sets.set(type, { type, ttlSeconds, values: [value], wires: new Set([keyOf(wire)]), at })
      return
    }
    if (set.ttlSeconds !== ttlSeconds) {
      const message = `a set has one TTL (RFC 2181 §5.2): this record gets ${set.ttlSeconds}, that of line ${set.at.line}`
      this.#notes.warn(at, message)
    }
    if (set.wires.has(keyOf(wire))) return // the same record twice is one
    set.wires.add(keyOf(wire))
    set.values.push(value)
  }

  /** Takes records out again. */
  drop(owner: Uint8Array, type: number): void {
    this.#owner(owner).sets.delete(type)
  }

  steer(owner: Uint8Array, steered: Steered): void {
    this.#owner(owner).steered.push(steered)
  }

  #owner(wire: Uint8Array): Owner {
    const key = keyOf(wire)
    let owner = this.#owners.get(key)
    if (owner === undefined) this.#owners.set(key, (owner = { wire, sets: new Map(), steered: [] }))
    return owner
  }

  /** Reports what cannot be in a zone, and gives the rest. `zones`: the apexes of all zones, of which inner ones have their own data. */
  finish(zones: readonly Uint8Array[]): ZoneYaml {
    const inner = zones.filter((zone) => zone.length > this.apex.length && isWithin(zone, this.apex))
    const apex = this.#owner(this.apex)
    const soa = apex.sets.get(TYPE.SOA)
    const [values] = soa?.values ?? []
    const { serial = '0', ...keys } = isTexts(values) ? values : {}
    if (soa === undefined) this.#notes.error(this.#at, `zone ${this.name} has no SOA at its apex`)
    if (!apex.sets.has(TYPE.NS)) this.#notes.error(this.#at, `zone ${this.name} has no NS at its apex`)
    for (const owner of this.#owners.values()) this.#clean(owner, inner)
    const ttlSeconds = soa?.ttlSeconds ?? 3600
    return {
      name: this.name,
      soa: soa && keys,
      ttlSeconds,
      serial: Number(serial),
      names: this.names(ttlSeconds),
      at: soa?.at ?? this.#at,
    }
  }

  /** What has been added, as it is: for a part of a zone. `ttlSeconds`: the TTL that need not be written. */
  names(ttlSeconds?: number): YamlMapping {
    const names = new Map<string, YamlValue>()
    const apex = this.#owner(this.apex)
    const sorted = [apex, ...[...this.#owners.values()].filter((owner) => owner !== apex)]
    for (const owner of sorted) {
      const records = [
        ...[...owner.sets.values()].flatMap((set) => (set.type === TYPE.SOA ? [] : [recordOf(set, ttlSeconds)])),
        ...owner.steered.map(({ service, ttlSeconds: ttl, types }) => ({ type: 'GSLB', service, types, ttl })),
      ]
      if (records.length > 0) names.set(this.#relative(owner.wire), records.length === 1 ? records[0]! : records)
    }
    return names
  }

  /** The name below the apex, without it; '' for the apex. */
  #relative(wire: Uint8Array): string {
    if (wire.length === this.apex.length) return ''
    const prefix = new Uint8Array(wire.length - this.apex.length + 1)
    prefix.set(wire.subarray(0, prefix.length - 1))
    return formatName(prefix).slice(0, -1)
  }

  #clean(owner: Owner, inner: readonly Uint8Array[]): void {
    const { wire, sets, steered } = owner
    const isApex = wire.length === this.apex.length
    const name = formatName(wire)
    const drop = (type: number, why: string): void => {
      const set = sets.get(type)
      if (set === undefined) return
      this.#notes.warn(set.at, `${name} ${typeName(type)} is left out: ${why}`)
      sets.delete(type)
    }
    if (wire[0] === 1 && wire[1] === 42) drop(TYPE.NS, 'a wildcard cannot be delegated (RFC 4592 §4.2)')
    const zone = inner.find((apex) => isWithin(wire, apex))
    if (zone !== undefined) {
      for (const type of sets.keys()) {
        const isGlue = type === TYPE.A || type === TYPE.AAAA || (type === TYPE.NS && wire.length === zone.length)
        if (!isGlue) drop(type, `the zone ${formatName(zone)} has a file of its own`)
      }
      this.#dropSteered(owner, `the zone ${formatName(zone)} has a file of its own`)
    }
    const cut = this.#cutOf(wire)
    if (cut !== undefined) {
      const isCut = cut === owner
      const kept: readonly number[] = isCut ? [TYPE.NS, TYPE.DS, TYPE.A, TYPE.AAAA] : [TYPE.A, TYPE.AAAA]
      for (const type of sets.keys()) {
        if (!kept.includes(type)) drop(type, `${formatName(cut.wire)} is delegated, and only its glue is here`)
      }
      this.#dropSteered(owner, `${formatName(cut.wire)} is delegated`)
    } else drop(TYPE.DS, 'nothing is delegated there')
    const above = this.#ancestorWith(parentName(wire), TYPE.DNAME)
    if (above !== undefined && !isApex) {
      for (const type of sets.keys()) drop(type, `the DNAME of ${formatName(above.wire)} redirects it`)
      this.#dropSteered(owner, `the DNAME of ${formatName(above.wire)} redirects it`)
    }
    const alias = sets.get(TYPE.CNAME)
    if (alias !== undefined && (sets.size > 1 || steered.length > 0 || isApex)) {
      this.#notes.error(alias.at, `${name} has a CNAME beside other records`)
    }
    for (const type of [TYPE.CNAME, TYPE.DNAME, TYPE.SOA]) {
      const set = sets.get(type)
      if (set !== undefined && set.values.length > 1)
        this.#notes.error(set.at, `${name} has more than one ${typeName(type)}`)
    }
    if (!isApex && sets.has(TYPE.SOA)) drop(TYPE.SOA, 'an SOA is at the apex alone')
  }

  #dropSteered({ steered }: Owner, why: string): void {
    for (const { at } of steered.splice(0)) this.#notes.warn(at, `left out: ${why}`)
  }

  /** The delegation that a name is at or below; the uppermost, which hides the others. */
  #cutOf(wire: Uint8Array): Owner | undefined {
    let cut: Owner | undefined
    for (let at = wire; at.length > this.apex.length && isWithin(at, this.apex); at = parentName(at)) {
      const owner = this.#owners.get(keyOf(at))
      if (owner?.sets.has(TYPE.NS) === true) cut = owner
    }
    return cut
  }

  #ancestorWith(from: Uint8Array, type: number): Owner | undefined {
    for (let at = from; at.length >= this.apex.length && isWithin(at, this.apex); at = parentName(at)) {
      const owner = this.#owners.get(keyOf(at))
      if (owner?.sets.has(type) === true) return owner
      if (at.length === 1) return undefined
    }
    return undefined
  }
}

const isTexts = (value: RdataValue | undefined): value is { readonly [key: string]: string } =>
  typeof value === 'object' && !Array.isArray(value)

function recordOf({ type, ttlSeconds, values }: RecordSet, zoneTtl: number | undefined): YamlMapping {
  const [first] = values
  return {
    type: typeName(type),
    ...(ttlSeconds !== zoneTtl && { ttl: ttlSeconds }),
    ...(values.length === 1 ? { value: first! } : { values }),
  }
}
