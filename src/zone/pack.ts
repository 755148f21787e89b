/**
 * A packed zone: what lies between YAML and Image, like a linker's object file. load/records.ts writes it through a
 * Packer, the loader keeps it from load to load, zone/image.ts copies and relocates it. A million names take some 70 MB
 * in this form, a tenth of what they would take as objects.
 */
import type { Prefix } from '../dns/address.ts'
import { CLASS } from '../dns/types.ts'
import { doubled } from '../geo/memory.ts'
import type { Position } from '../problem.ts'
import type { Endpoint } from '../units.ts'

/** One zone: RRsets as ints (Z_*), names and records as bytes, in the order of the file. */
export interface ZoneModel {
  /** Apex, lower-case wire form, with the root label. */
  readonly apex: Uint8Array
  /** Z_INTS ints for each RRset and each steered entry. */
  readonly sets: Int32Array
  /** Owner names (lower-case wire form) and records (see zone/image.ts for their form). */
  readonly bytes: Uint8Array
  readonly soa: SoaModel
  /** Who may take copies of it; undefined: nobody. */
  readonly transfer?: TransferModel
  /** Names of the services that its steered entries name. */
  readonly services: readonly string[]
  /** Line 1, column 1 of its first file. */
  readonly at: Position
  /** The files that it is written in; Z_FILE is an index into them. */
  readonly files: readonly string[]
}

/** The zone's SOA. It is kept apart from the sets, because its serial may change when nothing else does. */
export interface SoaModel {
  readonly rdata: Uint8Array
  readonly ttlSeconds: number
  /** TTL of negative answers: min(SOA TTL, minimum), RFC 2308 §5. */
  readonly negativeTtlSeconds: number
}

/** Who may take copies of a zone, and who is told of a new serial. Zones with the same settings share one. */
export interface TransferModel {
  /** Networks of clients; empty: any, with the key. */
  readonly allow: readonly Prefix[]
  /** The name of the key that queries must be signed with, in lower-case wire form; undefined: none is needed. */
  readonly key?: Uint8Array
  /** Where it is written. */
  readonly keyAt?: Position
  readonly notify: readonly Endpoint[]
  /** What a steered name has in a copy. */
  readonly steered: 'last-resort' | 'omit' | { readonly site: string }
  readonly at: Position
}

/** Index of the owner's first byte in `bytes`, and its size. RRsets of one name share it. */
export const Z_OWNER = 0
export const Z_OWNER_BYTES = 1
/** RR type number; 0 for a steered entry. */
export const Z_TYPE = 2
/** Records in the set; a steered entry's type bits. */
export const Z_COUNT = 3
/** First byte in `bytes` of the records; a steered entry's index into `services`. */
export const Z_AT = 4
/** Bytes of the records; a steered entry's TTL cap in seconds, 0 = none. */
export const Z_SIZE = 5
/** Where the set is written, 1-based. */
export const Z_LINE = 6
export const Z_COLUMN = 7
/** Index into the zone's files. */
export const Z_FILE = 8
export const Z_INTS = 9

/** Type bits of steered names: which of A and AAAA a name has. They depend neither on the client nor on health. */
export const STEERS_A = 1
export const STEERS_AAAA = 2
/**
 * Type bit of a name that may be answered with a CNAME: alone where the service's VIPs are names, beside the others where
 * its last resort is one. It stands alone at its name, for it answers all types.
 */
export const STEERS_NAME = 16
/** Type bits of entries for hints: the addresses in the HTTPS or SVCB records before the entry are its service's. */
export const HINTS_HTTPS = 4
export const HINTS_SVCB = 8

/** Whether the set that begins at sets[i] is a steered entry for hints. */
export const isHints = (sets: Int32Array, i: number): boolean =>
  sets[i + Z_TYPE] === 0 && (sets[i + Z_COUNT]! & (HINTS_HTTPS | HINTS_SVCB)) !== 0

/** Owner of the set whose first int is sets[i], as a view. */
export function ownerAt({ sets, bytes }: Pick<ZoneModel, 'sets' | 'bytes'>, i: number): Uint8Array {
  const from = sets[i + Z_OWNER]!
  return bytes.subarray(from, from + sets[i + Z_OWNER_BYTES]!)
}

/** RDATA of its records, as views. */
export function rdataOf({ sets, bytes }: Pick<ZoneModel, 'sets' | 'bytes'>, i: number): Uint8Array[] {
  const rdata: Uint8Array[] = []
  for (let at = sets[i + Z_AT]!; rdata.length < sets[i + Z_COUNT]!;) {
    const end = recordEnd(bytes, at)
    rdata.push(bytes.subarray(at + RECORD_HEAD, end))
    at = end
  }
  return rdata
}

/** Where the set that begins at sets[i] is written. */
export const positionOf = ({ sets, files }: Pick<ZoneModel, 'sets' | 'files'>, i: number): Position => ({
  file: files[sets[i + Z_FILE]!]!,
  line: sets[i + Z_LINE]!,
  column: sets[i + Z_COLUMN]!,
})

/** Bytes of a record before its RDATA: C0 0C, type, class, TTL, RDLENGTH. */
export const RECORD_HEAD = 12

/**
 * Writes a record in the form of the Image, whose owner is a pointer to the query name. Returns the index behind it.
 */
export function writeRecord(
  bytes: Uint8Array,
  at: number,
  type: number,
  ttlSeconds: number,
  rdata: Uint8Array,
): number {
  const head = [0xc0, 0x0c, type >>> 8, type, CLASS.IN >>> 8, CLASS.IN]
  head.push(ttlSeconds >>> 24, ttlSeconds >>> 16, ttlSeconds >>> 8, ttlSeconds, rdata.length >>> 8, rdata.length)
  bytes.set(head, at)
  bytes.set(rdata, at + RECORD_HEAD)
  return at + RECORD_HEAD + rdata.length
}

/** First byte behind the record at bytes[at …]. */
export const recordEnd = (bytes: Uint8Array, at: number): number =>
  at + RECORD_HEAD + ((bytes[at + 10]! << 8) | bytes[at + 11]!)

/** TTL of the record at bytes[at …]. */
export const recordTtl = (bytes: Uint8Array, at: number): number =>
  ((bytes[at + 6]! << 24) | (bytes[at + 7]! << 16) | (bytes[at + 8]! << 8) | bytes[at + 9]!) >>> 0

/** Builds a packed zone: collects its RRsets and steered entries in arrays that grow and are cut to size at the end. */
export class Packer {
  #sets = new Int32Array(64 * Z_INTS)
  #bytes = new Uint8Array(1024)
  #count = 0
  #used = 0
  #owner = 0
  #ownerBytes = 0
  /** Name → its index. */
  readonly #services = new Map<string, number>()
  readonly #files = new Map<string, number>()

  /** Begins a name (lower-case wire form): all sets added until the next begin() belong to it. */
  begin(owner: Uint8Array): void {
    this.#owner = this.#take(owner.length)
    this.#ownerBytes = owner.length
    this.#bytes.set(owner, this.#owner)
  }

  /** Adds an RRset. `rdata`: wire RDATA of each record, names uncompressed. */
  add(type: number, ttlSeconds: number, rdata: readonly Uint8Array[], at: Position): void {
    const size = rdata.reduce((sum, { length }) => sum + RECORD_HEAD + length, 0)
    const from = this.#take(size)
    let next = from
    for (const one of rdata) next = writeRecord(this.#bytes, next, type, ttlSeconds, one)
    this.#addSet(type, rdata.length, from, size, at)
  }

  /**
   * Adds a steered entry. `types`: bits STEERS_*, 0 = all that the service has, or of the hints for the set that was added
   * last; `ttlSeconds`: 0 = the service's TTLs.
   */
  addSteered(service: string, types: number, ttlSeconds: number, at: Position): void {
    const index = this.#services.get(service) ?? this.#services.size
    this.#services.set(service, index)
    this.#addSet(0, types, index, ttlSeconds, at)
  }

  finish(): Pick<ZoneModel, 'sets' | 'bytes' | 'services' | 'files'> {
    const sets = this.#sets.slice(0, this.#count * Z_INTS)
    const [services, files] = [[...this.#services.keys()], [...this.#files.keys()]]
    return { sets, bytes: this.#bytes.slice(0, this.#used), services, files }
  }

  #addSet(type: number, count: number, from: number, size: number, at: Position): void {
    const first = this.#count++ * Z_INTS
    if (first === this.#sets.length) this.#sets = doubled(this.#sets)
    const file = this.#files.get(at.file) ?? this.#files.size
    this.#files.set(at.file, file)
    this.#sets.set([this.#owner, this.#ownerBytes, type, count, from, size, at.line, at.column, file], first)
  }

  #take(size: number): number {
    const at = this.#used
    this.#used += size
    if (this.#used > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#used, this.#bytes.length * 2))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }
}
