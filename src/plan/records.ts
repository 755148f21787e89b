/**
 * Compares two states of the zones, set by set in their packed form (zone/pack.ts): a million names are two arrays and
 * a hash table of ints, and only differences become objects. Used by plan.ts.
 *
 * A steered entry is compared as an A, an AAAA, or both; one of names as a CNAME. So a static name that becomes steered is one difference, not a
 * removal and an addition. The SOA's serial is ignored.
 */
import { formatName, keyOf, sameBytes } from '../dns/name.ts'
import { formatRdata } from '../dns/rdata.ts'
import { TYPE } from '../dns/types.ts'
import {
  isHints,
  ownerAt,
  rdataOf,
  recordEnd,
  recordTtl,
  STEERS_A,
  STEERS_AAAA,
  STEERS_NAME,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_OWNER,
  Z_OWNER_BYTES,
  Z_SIZE,
  Z_TYPE,
  type ZoneModel,
} from '../zone/pack.ts'

/** An RRset, or one type of a steered entry, by its place in a zone. */
export interface SetAt {
  readonly zone: ZoneModel
  /** First int in the zone's sets; −1 = the SOA. */
  readonly set: number
  readonly type: number
}

/** Takes the results of compareZones(). */
export interface Comparison {
  /** The sets differ; one of them undefined: the set is new, or gone. */
  differs(before: SetAt | undefined, after: SetAt | undefined): void
  /** The name is steered for a type before and after, in the same way or not. */
  steered(before: SetAt, after: SetAt): void
}

/** Compares all zones; they are matched by apex. All sets of a zone that only one side has are new, or gone. */
export function compareZones(before: readonly ZoneModel[], after: readonly ZoneModel[], to: Comparison): void {
  const others = new Map(before.map((zone) => [apexKey(zone), zone]))
  for (const zone of after) {
    const other = others.get(apexKey(zone))
    others.delete(apexKey(zone))
    if (other === undefined) for (const own of setsOf(zone)) to.differs(undefined, own)
    else compareZone(other, zone, to)
  }
  for (const zone of others.values()) for (const own of setsOf(zone)) to.differs(own, undefined)
}

/** A zone's apex as a string, for keys. */
export const apexKey = ({ apex }: ZoneModel): string => keyOf(apex)

function* setsOf(zone: ZoneModel): Generator<SetAt> {
  yield { zone, set: -1, type: TYPE.SOA }
  for (let set = 0; set < zone.sets.length; set += Z_INTS) {
    for (const kind of kindsOf(zone, set)) yield at(zone, set, kind)
  }
}

// the kinds that an entry of a zone's sets is compared as
const PLAIN = 0
const STEERED_A = 1
const STEERED_AAAA = 2
const STEERED_NAME = 3
const KINDS = [[PLAIN], [STEERED_A], [STEERED_AAAA], [STEERED_A, STEERED_AAAA]] as const
const NAME_KINDS = [STEERED_NAME] as const

const kindsOf = ({ sets }: ZoneModel, set: number): readonly number[] => {
  if (sets[set + Z_TYPE] !== 0) return KINDS[PLAIN]
  if (sets[set + Z_COUNT] === STEERS_NAME) return NAME_KINDS
  return isHints(sets, set) ? [] : KINDS[sets[set + Z_COUNT]! & (STEERS_A | STEERS_AAAA)]!
}

/** The service that gives a set of HTTPS or SVCB records their hints, which is in the next entry; '' = none. */
const hintsOf = ({ sets, services }: ZoneModel, set: number): string =>
  isHints(sets, set + Z_INTS) ? services[sets[set + Z_INTS + Z_AT]!]! : ''

const typeOf = ({ sets }: ZoneModel, set: number, kind: number): number =>
  kind === PLAIN ? sets[set + Z_TYPE]! : kind === STEERED_NAME ? TYPE.CNAME : kind === STEERED_A ? TYPE.A : TYPE.AAAA

const at = (zone: ZoneModel, set: number, kind: number): SetAt => ({ zone, set, type: typeOf(zone, set, kind) })

/** Whether a set is a steered entry. */
export const isSteered = ({ zone, set }: SetAt): boolean => set >= 0 && zone.sets[set + Z_TYPE] === 0

function compareZone(before: ZoneModel, after: ZoneModel, to: Comparison): void {
  if (!isSameSoa(before, after)) {
    to.differs({ zone: before, set: -1, type: TYPE.SOA }, { zone: after, set: -1, type: TYPE.SOA })
  }
  const index = new SetIndex(before)
  for (let set = 0; set < after.sets.length; set += Z_INTS) {
    for (const kind of kindsOf(after, set)) {
      const found = index.take(after, set, typeOf(after, set, kind))
      if (found < 0) {
        to.differs(undefined, at(after, set, kind))
        continue
      }
      const [old, oldKind] = [(found >>> 2) * Z_INTS, found & 3]
      if (kind !== PLAIN && oldKind !== PLAIN) to.steered(at(before, old, oldKind), at(after, set, kind))
      else if (kind !== oldKind || !isSameSet(before, old, after, set)) {
        to.differs(at(before, old, oldKind), at(after, set, kind))
      }
    }
  }
  for (const left of index.left()) to.differs(at(before, (left >>> 2) * Z_INTS, left & 3), undefined)
}

/** A hash table of a zone's sets by owner and type. An entry is the set's number × 4 + its kind. */
class SetIndex {
  readonly #zone: ZoneModel
  /** Open addressing at load ≤ 0.5: entry + 1, 0 = free. */
  readonly #table: Int32Array
  readonly #entries: Int32Array
  readonly #taken: Uint8Array

  constructor(zone: ZoneModel) {
    this.#zone = zone
    const sets = zone.sets.length / Z_INTS
    const entries = new Int32Array(2 * sets)
    let count = 0
    for (let n = 0; n < sets; n++) for (const kind of kindsOf(zone, n * Z_INTS)) entries[count++] = n * 4 + kind
    this.#entries = entries.subarray(0, count)
    this.#taken = new Uint8Array(4 * sets)
    this.#table = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 2)))
    const mask = this.#table.length - 1
    for (const entry of this.#entries) {
      const set = (entry >>> 2) * Z_INTS
      let slot = hashOf(zone, set, typeOf(zone, set, entry & 3)) & mask
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask
      this.#table[slot] = entry + 1
    }
  }

  /** Takes the entry with this type and the owner of a set of another zone; −1 = none. */
  take(other: ZoneModel, set: number, type: number): number {
    const mask = this.#table.length - 1
    let slot = hashOf(other, set, type) & mask
    for (let found = this.#table[slot]!; found !== 0; found = this.#table[slot]!) {
      const own = ((found - 1) >>> 2) * Z_INTS
      if (typeOf(this.#zone, own, (found - 1) & 3) === type && isSameOwner(this.#zone, own, other, set)) {
        this.#taken[found - 1] = 1
        return found - 1
      }
      slot = (slot + 1) & mask
    }
    return -1
  }

  /** The entries that were not taken, in the order of the file. */
  *left(): Generator<number> {
    for (const entry of this.#entries) if (this.#taken[entry] === 0) yield entry
  }
}

function hashOf({ sets, bytes }: ZoneModel, set: number, type: number): number {
  const from = sets[set + Z_OWNER]!
  const end = from + sets[set + Z_OWNER_BYTES]!
  let h = Math.imul(type, 0x9e3779b1)
  for (let i = from; i < end; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193)
  return h ^ (h >>> 15)
}

function isSameOwner(a: ZoneModel, i: number, b: ZoneModel, j: number): boolean {
  const size = a.sets[i + Z_OWNER_BYTES]!
  if (size !== b.sets[j + Z_OWNER_BYTES]!) return false
  return sameBytes(a.bytes, a.sets[i + Z_OWNER]!, b.bytes, b.sets[j + Z_OWNER]!, size)
}

/** Whether two sets have the same records, TTL and hints, in any order (RFC 2181 §5). */
function isSameSet(a: ZoneModel, i: number, b: ZoneModel, j: number): boolean {
  const size = a.sets[i + Z_SIZE]!
  if (size !== b.sets[j + Z_SIZE]! || a.sets[i + Z_COUNT] !== b.sets[j + Z_COUNT]) return false
  if (hintsOf(a, i) !== hintsOf(b, j)) return false
  if (sameBytes(a.bytes, a.sets[i + Z_AT]!, b.bytes, b.sets[j + Z_AT]!, size)) return true
  const [records, others] = [recordsAt(a, i), recordsAt(b, j)]
  return records.every((record, n) => record === others[n])
}

/** The bytes of each record, TTL included, as strings, sorted. */
function recordsAt({ sets, bytes }: ZoneModel, set: number): string[] {
  const records: string[] = []
  const end = sets[set + Z_AT]! + sets[set + Z_SIZE]!
  for (let from = sets[set + Z_AT]!; from < end;) {
    const next = recordEnd(bytes, from)
    records.push(keyOf(bytes.subarray(from, next)))
    from = next
  }
  return records.toSorted()
}

const SERIAL_AT = 20
const SERIAL_BYTES = 4

function isSameSoa({ soa: a }: ZoneModel, { soa: b }: ZoneModel): boolean {
  if (a.ttlSeconds !== b.ttlSeconds || a.rdata.length !== b.rdata.length) return false
  if (a.negativeTtlSeconds !== b.negativeTtlSeconds) return false
  const serial = a.rdata.length - SERIAL_AT
  return a.rdata.every((byte, i) => byte === b.rdata[i] || (i >= serial && i < serial + SERIAL_BYTES))
}

/** A set as text. */
export interface SetInWords {
  readonly ttlSeconds: number
  /** Sorted; an SOA without its serial; empty for a steered name. */
  readonly values: readonly string[]
  /** The service of a steered name; `ttlSeconds` is then the name's own TTL, 0 = none. */
  readonly service?: string
}

/** The owner name of a set, as text. */
export const ownerOf = ({ zone, set }: SetAt): string =>
  set < 0 ? formatName(zone.apex) : formatName(zone.bytes, zone.sets[set + Z_OWNER])

/** The owner name of a set as a string of its bytes, for keys. */
export const ownerKey = ({ zone, set }: SetAt): string => keyOf(set < 0 ? zone.apex : ownerAt(zone, set))

/** A set as text, for the plan. */
export function inWords(where: SetAt): SetInWords {
  const { zone, set, type } = where
  const { sets, bytes, soa } = zone
  if (set < 0) {
    const words = textOf(type, soa.rdata).split(' ')
    return { ttlSeconds: soa.ttlSeconds, values: [words.filter((_, i) => i !== 2).join(' ')] }
  }
  if (isSteered(where)) {
    return { ttlSeconds: sets[set + Z_SIZE]!, values: [], service: zone.services[sets[set + Z_AT]!]! }
  }
  const hints = hintsOf(zone, set)
  const values = rdataOf(zone, set).map((rdata) => textOf(type, rdata) + (hints === '' ? '' : `, hints of ${hints}`))
  return { ttlSeconds: recordTtl(bytes, sets[set + Z_AT]!), values: values.toSorted() }
}

function textOf(type: number, rdata: Uint8Array): string {
  const text = formatRdata(type, rdata)
  return typeof text === 'string' ? text : text.fault
}
