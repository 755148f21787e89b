/**
 * The names of one zone, and the checks that need all of them: delegations (zone cuts), what may stand at and below
 * them, and the addresses of name servers. Called by records.ts once the zone is read.
 */
import { formatName, isWithin, keyOf, parentName } from '../dns/name.ts'
import { TYPE, typeName } from '../dns/types.ts'
import type { Problem } from '../problem.ts'
import { count } from '../units.ts'
import type { Reader } from '../yaml/read.ts'
import type { Node } from '../yaml/source.ts'

/** A steered entry among the types of a name. */
export const GSLB = 0

/** One record of a name. */
export interface RecordEntry {
  readonly type: number
  /** Bits STEERS_*: which of A and AAAA it answers, steered or not. A GSLB without `types` may answer both. */
  readonly addresses: number
  readonly node: Node
}

/** A name and its records. */
export interface Owner {
  /** Lower-case wire form. */
  readonly wire: Uint8Array
  readonly node: Node
  readonly records: RecordEntry[]
  /** It has a record whose type could not be told. */
  isFaulty: boolean
}

/** A name server: the target of an NS record. */
export interface ServerTarget {
  readonly owner: Owner
  /** Lower-case wire form. */
  readonly wire: Uint8Array
  readonly node: Node
}

/** A name server within the zone without an address in it: a fault, unless an inner zone contains it. */
export interface UnresolvedServer {
  readonly target: Uint8Array
  readonly problem: Problem
}

/** A zone as far as it could be read. */
export interface ZoneNames {
  readonly apex: Uint8Array
  /** By key of their names. */
  readonly owners: ReadonlyMap<string, Owner>
  readonly servers: readonly ServerTarget[]
  /** Something that is written is in no name: what seems to be missing may be in it. */
  readonly hasLoss: boolean
}

/** The delegations of a zone. */
export class Cuts {
  readonly #zone: ZoneNames
  readonly #read: Reader
  /** Owners of NS below the apex, by key. */
  readonly #cuts = new Map<string, Owner>()

  constructor(zone: ZoneNames, read: Reader) {
    this.#zone = zone
    this.#read = read
    for (const { owner } of zone.servers) {
      if (owner.wire.length > zone.apex.length) this.#cuts.set(keyOf(owner.wire), owner)
    }
  }

  /** Reports what does not belong at or below a cut, and DS where there is none. */
  check(): void {
    /** By cut: what does not belong there. */
    const strange = new Map<Owner, RecordEntry[]>()
    for (const owner of this.#zone.owners.values()) {
      const cut = this.#cutOf(owner.wire)
      if (cut === undefined) {
        this.#checkSigned(owner)
        continue
      }
      const isWildcard = owner.wire[0] === 1 && owner.wire[1] === 42
      for (const record of owner.records) {
        const { type } = record
        const isGlue = (type === TYPE.A || type === TYPE.AAAA) && !isWildcard
        if (isGlue || (type === TYPE.NS && (owner === cut || isWildcard)) || (type === TYPE.DS && owner === cut))
          continue
        const records = strange.get(cut)
        if (records === undefined) strange.set(cut, [record])
        else records.push(record)
      }
    }
    for (const [cut, records] of strange) this.#reportBelow(cut, records)
  }

  /** Name servers within the zone without an address in it. */
  unresolved(): readonly UnresolvedServer[] {
    const { apex, servers, hasLoss } = this.#zone
    if (hasLoss) return []
    return servers.flatMap(({ owner, wire, node }) => {
      const cut = isWithin(wire, apex) ? this.#cutOf(wire) : undefined
      // below another cut the servers of that zone have its address
      if (!isWithin(wire, apex) || (cut !== undefined && cut !== owner) || this.#hasAddress(wire)) return []
      const message = `${formatName(wire)} is a name server within the zone and has no address here`
      const hint = `Add an A or AAAA record for it${cut === undefined ? '' : ': glue'}`
      return [{ target: wire, problem: this.#read.problem('ns-without-address', node, message, hint) }]
    })
  }

  /** The highest cut at or above a name within the zone. */
  #cutOf(wire: Uint8Array): Owner | undefined {
    const cuts = this.#cuts
    let cut: Owner | undefined
    if (cuts.size === 0) return undefined
    const { length } = this.#zone.apex
    for (let name = wire; name.length > length; name = parentName(name)) cut = cuts.get(keyOf(name)) ?? cut
    return cut
  }

  #checkSigned({ wire, records, isFaulty }: Owner): void {
    const signed = records.find(({ type }) => type === TYPE.DS)
    if (signed === undefined || isFaulty || this.#zone.hasLoss) return
    if (wire.length > this.#zone.apex.length && records.some(({ type }) => type === TYPE.NS)) return // its NS has faults
    const message = 'DS stands where a zone is delegated (RFC 4035 §2.4), and there is no NS here'
    this.#read.fault('below-cut', signed.node, message, 'Write the NS of that zone at the same name, or remove the DS')
  }

  /** Reports records at or below a cut that do not belong there: one mistake, however many they are. */
  #reportBelow(cut: Owner, [first, ...others]: readonly RecordEntry[]): void {
    const what = first!.type === GSLB ? 'a steered name' : typeName(first!.type)
    const name = formatName(cut.wire)
    const more = others.length === 0 ? '' : ` and ${count(others.length, 'more record')}`
    const message = `${what}${more} at or below the delegation of ${name}: only its NS and DS, and addresses of name servers, belong here`
    const { file, line } = this.#read.at(cut.node)
    const hint = `Move it into the zone ${name}, or remove the NS at ${file}:${line}`
    this.#read.fault('below-cut', first!.node, message, hint)
  }

  /** Whether a name has an address in this zone, of its own or by the wildcard that matches it. */
  #hasAddress(wire: Uint8Array): boolean {
    const { apex, owners } = this.#zone
    const own = owners.get(keyOf(wire))
    if (own !== undefined) return hasAddress(own)
    for (let above = parentName(wire); above.length >= apex.length; above = parentName(above)) {
      const key = keyOf(above)
      const wildcard = owners.get(`\u0001*${key}`)
      if (wildcard !== undefined) return hasAddress(wildcard)
      if (owners.has(key)) return false
    }
    return false
  }
}

/** Whether a name has an address, or may have been meant to. */
const hasAddress = ({ records, isFaulty }: Owner): boolean =>
  isFaulty || records.some(({ addresses }) => addresses !== 0)
