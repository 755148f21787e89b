/**
 * What changed in zones from serial to serial, for incremental transfers (RFC 1995): kept by the compile thread for
 * zones that may be transferred, bounded, and gone with it. What is not known here is transferred whole.
 *
 * All zones of a folder have one serial, which most changes do not concern. So a zone keeps only the differences that
 * it had, and the list of serials is one for all: a difference leads from a serial to the next that changed the zone,
 * and for every serial between the zone is the same.
 */
import { keyOf, sameBytes } from '../dns/name.ts'
import { isNewerSerial } from '../dns/serial.ts'
import { ownerAt, recordEnd, Z_AT, Z_INTS, Z_OWNER, Z_OWNER_BYTES, Z_SIZE, Z_TYPE, type ZoneModel } from './pack.ts'

/** Packed RRsets: a zone's own, or the records that its steered names have in a copy. */
export type Packed = Pick<ZoneModel, 'sets' | 'bytes'>

/** Records of one owner, in the form of the Image. */
export interface OwnedRecords {
  readonly owner: Uint8Array
  readonly records: Uint8Array
}

/** What changed in a zone: its content up to `to` becomes its content from `to` on. */
export interface Difference {
  readonly to: number
  readonly removed: readonly OwnedRecords[]
  readonly added: readonly OwnedRecords[]
}

/** A zone as it is copied. */
export interface CopiedZone {
  readonly model: ZoneModel
  /** What its steered names have in a copy. */
  readonly steered: Packed
}

/** What is known of a zone's changes. */
export interface ZoneHistory {
  /** The first serial from which on all changes are known; undefined: not even the one now. */
  readonly since: number | undefined
  /** In the order of their serials. */
  readonly differences: readonly Difference[]
}

/** How many serials are remembered, and how much may change in a zone for one of them: RRsets compared, bytes. */
const MOST_SERIALS = 64
const MOST_SETS = 20_000
const MOST_BYTES = 1 << 20

interface State {
  readonly zone: CopiedZone
  readonly since: number | undefined
  readonly differences: readonly Difference[]
}

/** The changes of all zones that may be transferred, since the start. */
export class History {
  /** By apex. */
  #zones = new Map<string, State>()
  #serials: readonly number[] = []

  /** Notes what will be served with a serial. Called for each build, in order. */
  note(serial: number, zones: readonly CopiedZone[]): void {
    const before = this.#serials.at(-1)
    if (before !== serial) {
      // a serial that went backwards, by a restart of the world's clock, begins anew
      const isNext = before !== undefined && isNewerSerial(serial, before)
      this.#serials = isNext ? [...this.#serials, serial].slice(-MOST_SERIALS) : [serial]
      if (!isNext) this.#zones.clear()
    }
    const first = this.#serials[0]!
    this.#zones = new Map(
      zones.map((zone) => {
        const key = keyOf(zone.model.apex)
        return [key, nextState(this.#zones.get(key), zone, serial, before, first)]
      }),
    )
  }

  /** The serials that were served, the newest last. */
  get serials(): readonly number[] {
    return this.#serials
  }

  of(apex: Uint8Array): ZoneHistory {
    return this.#zones.get(keyOf(apex)) ?? { since: undefined, differences: [] }
  }
}

function nextState(
  state: State | undefined,
  zone: CopiedZone,
  serial: number,
  before: number | undefined,
  first: number,
): State {
  if (state === undefined) return { zone, since: serial, differences: [] }
  const change = isSameSoa(state.zone.model, zone.model) ? changeOf(state.zone, zone) : undefined
  if (change !== undefined && change.removed.length + change.added.length === 0) {
    const since = state.since ?? (before === serial ? undefined : serial)
    return { zone, since, differences: state.differences.filter(({ to }) => isNewerSerial(to, first)) }
  }
  // another content with the same serial: what a secondary has by that serial is not known
  if (before === serial) return { zone, since: undefined, differences: [] }
  if (change === undefined || state.since === undefined) return { zone, since: serial, differences: [] }
  const differences = [...state.differences.filter(({ to }) => isNewerSerial(to, first)), { to: serial, ...change }]
  // RFC 1995 §5: older differences go, once they are more than a whole transfer would be worth
  let since = state.since
  const mostBytes = Math.min(MOST_BYTES, zone.model.bytes.length + zone.steered.bytes.length)
  let bytes = differences.reduce((sum, one) => sum + bytesOf(one), 0)
  while (differences.length > 0 && bytes > mostBytes) {
    const [oldest] = differences.splice(0, 1)
    bytes -= bytesOf(oldest!)
    since = oldest!.to
  }
  return { zone, since, differences }
}

const bytesOf = ({ removed, added }: Difference): number =>
  [...removed, ...added].reduce((sum, { owner, records }) => sum + owner.length + records.length, 0)

/** Whether two SOA differ in nothing but the serial, 20 bytes before the end of their RDATA. */
function isSameSoa({ soa: a }: ZoneModel, { soa: b }: ZoneModel): boolean {
  if (a.ttlSeconds !== b.ttlSeconds || a.rdata.length !== b.rdata.length) return false
  const serial = a.rdata.length - 20
  return sameBytes(a.rdata, 0, b.rdata, 0, serial) && sameBytes(a.rdata, serial + 4, b.rdata, serial + 4, 16)
}

type Change = Pick<Difference, 'removed' | 'added'>

/** What changed; undefined: too much. */
function changeOf(before: CopiedZone, after: CopiedZone): Change | undefined {
  const own = before.model.bytes === after.model.bytes ? NONE : compare(before.model, after.model)
  const steered = compare(before.steered, after.steered)
  if (own === undefined || steered === undefined) return undefined
  return { removed: [...own.removed, ...steered.removed], added: [...own.added, ...steered.added] }
}

const NONE: Change = { removed: [], added: [] }

/** The records of two lists of RRsets that differ; undefined: more than MOST_SETS may. Equal ends are skipped. */
function compare(before: Packed, after: Packed): Change | undefined {
  const [old, now] = [recordSets(before), recordSets(after)]
  let start = 0
  let [oldEnd, nowEnd] = [old.length, now.length]
  while (start < oldEnd && start < nowEnd && isSameSet(before, old[start]!, after, now[start]!)) start++
  while (oldEnd > start && nowEnd > start && isSameSet(before, old[oldEnd - 1]!, after, now[nowEnd - 1]!)) {
    oldEnd--
    nowEnd--
  }
  if (oldEnd - start + nowEnd - start > MOST_SETS) return undefined
  const were = recordsByOwner(before, old.subarray(start, oldEnd))
  const are = recordsByOwner(after, now.subarray(start, nowEnd))
  return { removed: without(were, are), added: without(are, were) }
}

/** Indexes into `sets` of the RRsets that are records, not steered. */
function recordSets({ sets }: Packed): Int32Array {
  const found = new Int32Array(sets.length / Z_INTS)
  let count = 0
  for (let i = 0; i < sets.length; i += Z_INTS) if (sets[i + Z_TYPE] !== 0) found[count++] = i
  return found.subarray(0, count)
}

function isSameSet(a: Packed, i: number, b: Packed, k: number): boolean {
  const [size, ownerBytes] = [a.sets[i + Z_SIZE]!, a.sets[i + Z_OWNER_BYTES]!]
  if (b.sets[k + Z_SIZE] !== size || b.sets[k + Z_OWNER_BYTES] !== ownerBytes) return false
  return (
    sameBytes(a.bytes, a.sets[i + Z_OWNER]!, b.bytes, b.sets[k + Z_OWNER]!, ownerBytes) &&
    sameBytes(a.bytes, a.sets[i + Z_AT]!, b.bytes, b.sets[k + Z_AT]!, size)
  )
}

/** Each record of some RRsets, by its bytes: copies, so that nothing else of the zone is kept. */
function recordsByOwner(zone: Packed, sets: Int32Array): ReadonlyMap<string, OwnedRecords> {
  const records = new Map<string, OwnedRecords>()
  for (const set of sets) {
    const owner = ownerAt(zone, set).slice()
    const end = zone.sets[set + Z_AT]! + zone.sets[set + Z_SIZE]!
    for (let at = zone.sets[set + Z_AT]!; at < end; at = recordEnd(zone.bytes, at)) {
      const record = zone.bytes.slice(at, recordEnd(zone.bytes, at))
      records.set(keyOf(owner) + keyOf(record), { owner, records: record })
    }
  }
  return records
}

const without = (
  some: ReadonlyMap<string, OwnedRecords>,
  others: ReadonlyMap<string, OwnedRecords>,
): readonly OwnedRecords[] => [...some].filter(([key]) => !others.has(key)).map(([, records]) => records)
