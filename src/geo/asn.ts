/**
 * Autonomous systems: whose network an address is in, for rules with `asns`. Tries of their own beside the places', whose
 * leaves are indexes into the numbers that the databases have; a map keeps of them only those that its rules name.
 */
import type { Report } from '../problem.ts'
import type { BinaryTrie } from './binary.ts'
import type { Cache } from './cache.ts'
import type { Database, Section } from './database.ts'
import { Interner } from './intern.ts'
import { allocateShared, free } from './memory.ts'
import { hasRoom } from './room.ts'
import { buildsKey, cachedTries, cacheTries, LEAF_FOLDED, LEAF_UNKNOWN, readTries, type RecordTable } from './tree.ts'

export interface Asns {
  /** Builds of the databases: what is compiled from equal ones is equal. */
  readonly id: string
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
  /** By leaf; 0 = unknown. */
  readonly numbers: Uint32Array
}

/** Counted up whenever equal databases come to other numbers. */
const FORMAT = 'asns-1'

export const asnsKey = (databases: readonly Database[]): string => buildsKey(FORMAT, databases)

/** From the cache where it has them, else decoded and put there: then their bytes are gone. undefined as readTries(). */
export function loadAsns(databases: readonly Database[], cache: Cache, report: Report): Asns | undefined {
  const id = asnsKey(databases)
  const cached = cachedAsns(id, cache)
  if (cached !== undefined) return cached
  if (!hasRoom(databases, report)) return undefined
  const table = new AsnTable()
  const tries = readTries(databases, table, report, ({ bytes }) => free(bytes))
  if (tries === undefined) return undefined
  const ints = table.numbers()
  cacheTries(cache, id, tries, [ints])
  return { id, ...tries, numbers: new Uint32Array(ints.buffer, 0, ints.length) }
}

/** Of databases that may be gone from the disk: what the cache has of them. Not of another version's numbers. */
export function cachedAsns(id: string, cache: Cache): Asns | undefined {
  if (!id.startsWith(`${FORMAT} | `)) return undefined
  const { tries, rest: [ints] = [] } = cachedTries(cache, id) ?? {}
  return tries && ints && { id, ...tries, numbers: new Uint32Array(ints.buffer, 0, ints.length) }
}

/** MaxMind's and ip-location-db's schemas agree in this key (GeoLite2-ASN, GeoIP2-ISP, DB-IP ASN, iptoasn). */
const NUMBER = Buffer.from('autonomous_system_number')

class AsnTable implements RecordTable {
  tells = false
  readonly lacks = 'no numbers of autonomous systems'
  readonly hint = 'take an ASN database: GeoLite2-ASN, or one of DB-IP or ip-location-db'
  readonly #interner = new Interner()
  /** A number, and what keeps LEAF_UNKNOWN and LEAF_FOLDED apart. */
  readonly #record = new Int32Array(2)

  constructor() {
    for (const leaf of [LEAF_UNKNOWN, LEAF_FOLDED]) this.#intern(0, leaf)
  }

  read(data: Section, record: number): number {
    const number = data.number(data.field(data.record(record), NUMBER)) ?? 0
    this.tells ||= number > 0
    return this.#intern(number, 0)
  }

  #intern(number: number, leaf: number): number {
    this.#record[0] = number
    this.#record[1] = leaf
    return this.#interner.add(this.#record, 2)
  }

  /** By leaf, in shared memory. */
  numbers(): Int32Array<SharedArrayBuffer> {
    const { ints, count } = this.#interner
    const numbers = new Int32Array(allocateShared(4 * count), 0, count)
    for (let i = 0; i < count; i++) numbers[i] = ints[2 * i]!
    return numbers
  }
}
