/**
 * AS numbers of networks, for rules with `asns`. They have tries of their own beside those of places; the leaves are
 * indexes into a list of AS numbers. A client map keeps only the numbers that its rules name.
 */
import type { Report } from '../problem.ts'
import type { BinaryTrie } from './binary.ts'
import type { Cache } from './cache.ts'
import type { Database, Section } from './database.ts'
import { Interner } from './intern.ts'
import { allocateShared, free } from './memory.ts'
import { hasRoom } from './room.ts'
import { buildsKey, cachedTries, cacheTries, LEAF_FOLDED, LEAF_UNKNOWN, readTries, type RecordTable } from './tree.ts'

/** AS numbers by network. */
export interface Asns {
  /** Builds of the databases: equal ids mean equal content. */
  readonly id: string
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
  /** By leaf; 0 = unknown. */
  readonly numbers: Uint32Array
}

/** One more whenever other numbers are made of the same databases: old cache files are then ignored. */
const FORMAT = 'asns-1'

/** The id of the AS numbers of these databases, and their key in the cache. */
export const asnsKey = (databases: readonly Database[]): string => buildsKey(FORMAT, databases)

/**
 * The AS numbers of databases, from the cache, or decoded and written to it; decoding frees the databases' bytes.
 * undefined when one is corrupt or unsuitable, or memory is short, which is reported.
 */
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

/** AS numbers from the cache alone, for databases that may be gone from the disk; undefined if they are not cached. */
export function cachedAsns(id: string, cache: Cache): Asns | undefined {
  if (!id.startsWith(`${FORMAT} | `)) return undefined
  const { tries, rest: [ints] = [] } = cachedTries(cache, id) ?? {}
  return tries && ints && { id, ...tries, numbers: new Uint32Array(ints.buffer, 0, ints.length) }
}

/** The key of the AS number in all known schemas: GeoLite2-ASN, GeoIP2-ISP, DB-IP ASN, iptoasn. */
const NUMBER = Buffer.from('autonomous_system_number')

class AsnTable implements RecordTable {
  tells = false
  readonly lacks = 'no numbers of autonomous systems'
  readonly hint = 'take an ASN database: GeoLite2-ASN, or one of DB-IP or ip-location-db'
  readonly #interner = new Interner()
  /** An AS number, and an int that distinguishes LEAF_UNKNOWN and LEAF_FOLDED. */
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

  /** AS numbers by leaf, in shared memory. */
  numbers(): Int32Array<SharedArrayBuffer> {
    const { ints, count } = this.#interner
    const numbers = new Int32Array(allocateShared(4 * count), 0, count)
    for (let i = 0; i < count; i++) numbers[i] = ints[2 * i]!
    return numbers
  }
}
