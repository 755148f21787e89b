/**
 * An MMDB file (MaxMind DB file format 2.0), opened and verified: search tree, 16 zero bytes, data, marker, metadata.
 *
 * This reader decodes only the fields that are needed, checks each offset against the end of its section, and follows
 * pointers once. So a corrupt file is an error and never a loop or a crash.
 */
import { closeSync, readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { Report } from '../problem.ts'
import { openRegular } from '../state.ts'

/** An open database. */
export interface Database {
  readonly path: string
  /** Identifies the content: type, build time, size and checksum. */
  readonly id: string
  /** The type in its metadata, such as `GeoLite2-City`. */
  readonly type: string
  /** Unix time of its build; NaN = unknown. */
  readonly builtSeconds: number
  readonly ipVersion: 4 | 6
  readonly nodeCount: number
  /** Bits of a record; a node of the search tree has two. */
  readonly recordSize: 24 | 28 | 32
  readonly bytes: Buffer
  readonly data: Section
}

/** Thrown within geo/ when a file is inconsistent; readTries() and openDatabases() turn it into a Problem. */
export class CorruptDatabase extends Error {}
/** A value of another type than the schema has there: the file is whole, and another writer's. */
class StrangeValue extends CorruptDatabase {}

const MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
const METADATA_BYTES_MAX = 128 * 1024
const SEPARATOR_BYTES = 16
/** The latest time that a Date can have (ECMA-262 §21.4.1.1). */
const MOST_SECONDS = 8.64e12

const POINTER = 1
const STRING = 2
const DOUBLE = 3
const UINT16 = 5
const UINT32 = 6
const MAP = 7
const INT32 = 8
const UINT64 = 9
const UINT128 = 10
const ARRAY = 11
const BOOLEAN = 14
const FLOAT = 15
/** By type: its name, and for numbers the most bytes of a value. Floating-point numbers have no fewer. */
const TYPES: readonly string[] =
  'extended pointer text double bytes uint16 uint32 map int32 uint64 uint128 array cache end boolean float'.split(' ')
const MOST_BYTES: ReadonlyMap<number, number> = new Map([
  [DOUBLE, 8],
  [UINT16, 2],
  [UINT32, 4],
  [INT32, 4],
  [UINT64, 8],
  [UINT128, 16],
  [FLOAT, 4],
])

/** Opens databases, at most one for each IP version. undefined when one is unreadable or corrupt, which is reported. */
export function openDatabases(paths: readonly string[], report: Report): readonly Database[] | undefined {
  const databases = paths.map((path) => openDatabase(path, report)).filter((one) => one !== undefined)
  let sound = databases.length === paths.length
  for (const [i, { path, ipVersion }] of databases.entries()) {
    const first = databases.findIndex((one) => one.ipVersion === ipVersion)
    if (first === i) continue
    sound = false
    const message = `this database is for IPv${ipVersion}, as ${databases[first]!.path} is`
    const hint = 'Name one database, or two: one for IPv4 and one for IPv6'
    report({ code: 'geo-schema', severity: 'error', file: path, line: 0, column: 0, message, hint })
  }
  return sound ? databases : undefined
}

function openDatabase(path: string, report: Report): Database | undefined {
  const problem = { severity: 'error', file: path, line: 0, column: 0 } as const
  let bytes: Buffer
  try {
    bytes = readRegular(path)
  } catch (error) {
    const message = `cannot read the database: ${String(error)}`
    report({ ...problem, code: 'geo-unreadable', message, hint: 'The path of an MMDB file that the process may read' })
    return undefined
  }
  try {
    return parse(path, bytes)
  } catch (error) {
    if (!(error instanceof CorruptDatabase)) throw error
    reportCorrupt(path, error, report)
    return undefined
  }
}

/** Reads a regular file; a FIFO would never end, and is refused. */
function readRegular(path: string): Buffer {
  const file = openRegular(path)
  try {
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

/** Reports a corrupt database, or one of another schema. */
export function reportCorrupt(path: string, error: CorruptDatabase, report: Report): void {
  if (error instanceof StrangeValue) {
    const hint = 'take a database of GeoLite2, GeoIP2, DB-IP or ip-location-db, or write the values in their types'
    report({ code: 'geo-schema', severity: 'error', file: path, line: 0, column: 0, message: error.message, hint })
    return
  }
  const hint = 'take a whole, uncompressed .mmdb file; write it under another name first, then rename it into place'
  const message = `no usable MMDB file: ${error.message}`
  report({ code: 'geo-corrupt', severity: 'error', file: path, line: 0, column: 0, message, hint })
}

function parse(path: string, bytes: Buffer): Database {
  const marker = bytes.lastIndexOf(MARKER)
  if (marker < 0 || marker < bytes.length - METADATA_BYTES_MAX - MARKER.length) {
    throw new CorruptDatabase('its metadata is missing; it is truncated or something else')
  }
  const metadata = new Section(bytes, marker + MARKER.length, bytes.length)
  const number = (key: string): number =>
    metadata.number(metadata.field(metadata.start, Buffer.from(key))) ?? Number.NaN
  const major = number('binary_format_major_version')
  if (major !== 2) throw new CorruptDatabase(`its format version is ${major}, not 2`)
  const ipVersion = number('ip_version')
  const recordSize = number('record_size')
  const nodeCount = number('node_count')
  if (ipVersion !== 4 && ipVersion !== 6) throw new CorruptDatabase(`its IP version is ${ipVersion}`)
  if (recordSize !== 24 && recordSize !== 28 && recordSize !== 32)
    throw new CorruptDatabase(`its record size is ${recordSize}`)
  const treeBytes = (nodeCount * recordSize) / 4
  const dataStart = treeBytes + SEPARATOR_BYTES
  if (!(nodeCount >= 1 && dataStart <= marker)) {
    throw new CorruptDatabase(`a search tree of ${nodeCount} nodes does not fit into its ${bytes.length} bytes`)
  }
  for (let i = treeBytes; i < dataStart; i++) {
    if (bytes[i] !== 0) throw new CorruptDatabase('its search tree does not end where the metadata says')
  }
  const type = metadata.text(metadata.field(metadata.start, Buffer.from('database_type'))) ?? 'unknown'
  const built = number('build_epoch')
  const id = `${type} ${built} ${bytes.length} ${crc32(bytes).toString(16).padStart(8, '0')}`
  return {
    path,
    id,
    type,
    builtSeconds: built <= MOST_SECONDS ? built : Number.NaN,
    ipVersion,
    nodeCount,
    recordSize,
    bytes,
    data: new Section(bytes, dataStart, marker),
  }
}

/** A section of encoded values. Offsets are those in the file; −1 means that there is no such value. */
export class Section {
  readonly start: number
  readonly end: number
  readonly #bytes: Buffer
  // what the last #read() found
  #type = 0
  #size = 0
  #body = 0

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.start = start
    this.end = end
  }

  /** The offset of the map that a record of the search tree leads to. Throws CorruptDatabase when it is no map. */
  record(at: number): number {
    const map = this.#follow(at)
    if (this.#type !== MAP) throw new CorruptDatabase(`the record at ${at} is no map`)
    return map
  }

  /** The offset of the value of a key of the map at `at`, with pointers followed; −1 when there is no such key. */
  field(at: number, key: Buffer): number {
    if (at < 0) return -1
    this.#read(at)
    if (this.#type !== MAP) return -1
    let next = this.#body
    for (let left = this.#size; left > 0; left--) {
      const value = this.#behind(next)
      if (this.#isText(next, key)) return this.#follow(value)
      next = this.#behind(value)
    }
    return -1
  }

  /** The offset of the first element of the array at `at`; −1 when it is no array, or empty. */
  first(at: number): number {
    if (at < 0) return -1
    this.#read(at)
    return this.#type === ARRAY && this.#size > 0 ? this.#follow(this.#body) : -1
  }

  text(at: number): string | undefined {
    if (at < 0) return undefined
    this.#read(at)
    return this.#type === STRING ? this.#bytes.toString('utf8', this.#body, this.#body + this.#size) : undefined
  }

  /**
   * A text of at most three bytes as one int, its last byte lowest; 0 for a longer one. Throws CorruptDatabase when it
   * is no text.
   */
  code(at: number): number {
    if (at < 0) return 0
    this.#read(at)
    if (this.#type !== STRING) throw this.#strange(at, 'a text')
    if (this.#size > 3) return 0
    let code = 0
    for (let i = 0; i < this.#size; i++) code = (code << 8) | this.#bytes[this.#body + i]!
    return code
  }

  /** The number at `at`. Throws CorruptDatabase when it is none, or one of a size that its type does not have. */
  number(at: number): number | undefined {
    if (at < 0) return undefined
    this.#read(at)
    const [type, size, body] = [this.#type, this.#size, this.#body]
    const most = MOST_BYTES.get(type)
    if (most === undefined) throw this.#strange(at, 'a number')
    const isWhole = type === DOUBLE || type === FLOAT ? size === most : size <= most
    if (!isWhole) throw new CorruptDatabase(`the ${TYPES[type]} at ${at} has ${size} bytes, not ${most}`)
    if (type === DOUBLE) return this.#bytes.readDoubleBE(body)
    if (type === FLOAT) return this.#bytes.readFloatBE(body)
    // signed numbers of fewer bytes are positive
    if (type === INT32 && size === 4) return this.#bytes.readInt32BE(body)
    let number = 0
    for (let i = 0; i < size; i++) number = number * 256 + this.#bytes[body + i]!
    return number
  }

  #strange(at: number, wanted: string): StrangeValue {
    return new StrangeValue(
      `the value at ${at} is of type ${TYPES[this.#type] ?? this.#type}, where ${wanted} is wanted`,
    )
  }

  #isText(at: number, text: Buffer): boolean {
    this.#follow(at)
    if (this.#type !== STRING || this.#size !== text.length) return false
    for (let i = 0; i < text.length; i++) if (this.#bytes[this.#body + i] !== text[i]) return false
    return true
  }

  /** Reads the value at `at`, following a pointer, and returns its offset. A pointer to a pointer is forbidden. */
  #follow(at: number): number {
    this.#read(at)
    if (this.#type !== POINTER) return at
    const target = this.start + this.#size
    this.#read(target)
    if (this.#type === POINTER) throw new CorruptDatabase(`the pointer at ${at} leads to another`)
    return target
  }

  /** The offset behind the value at `at`. */
  #behind(at: number): number {
    let next = at
    for (let left = 1; left > 0; left--) {
      this.#read(next)
      next = this.#body
      if (this.#type === MAP) left += 2 * this.#size
      else if (this.#type === ARRAY) left += this.#size
      else if (this.#type !== POINTER && this.#type !== BOOLEAN) next += this.#size
    }
    return next
  }

  /** Reads the control bytes at `at`: type, size (for a pointer its target), and where the content begins. */
  #read(at: number): void {
    const bytes = this.#bytes
    if (at >= this.end) throw new CorruptDatabase(`a value at ${at} lies outside of its section`)
    const control = bytes[at]!
    let type = control >>> 5
    let size = control & 31
    let body = at + 1
    if (type === POINTER) {
      const more = size >>> 3
      const top = more === 3 ? 0 : size & 7
      if (body + more + 1 > this.end) throw new CorruptDatabase(`a pointer at ${at} is cut off`)
      this.#size =
        top * 256 ** (more + 1) + bytes.readUIntBE(body, more + 1) + (more === 1 ? 2048 : more === 2 ? 526_336 : 0)
      this.#type = type
      this.#body = body + more + 1
      return
    }
    if (type === 0) type = 7 + bytes[body++]!
    if (size >= 29) {
      const more = size - 28
      if (body + more > this.end) throw new CorruptDatabase(`a value at ${at} is cut off`)
      size = (more === 1 ? 29 : more === 2 ? 285 : 65_821) + bytes.readUIntBE(body, more)
      body += more
    }
    const length = type === MAP || type === ARRAY || type === BOOLEAN ? 0 : size
    if (body + length > this.end) throw new CorruptDatabase(`a value at ${at} reaches beyond its section`)
    this.#type = type
    this.#size = size
    this.#body = body
  }
}
