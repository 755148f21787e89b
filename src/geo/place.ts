/**
 * Places: what the databases say about where networks are, decoded once and merged. Two binary tries whose leaves are
 * place numbers; places that agree in all their fields are one.
 *
 * IPv6 networks that carry IPv4 addresses are carved out: a client there is looked up by its IPv4 address, unless too few
 * bits of that are known (fold.ts). They are leaves of their own, PLACE_FOLDED, that merge with no neighbour, so an answer
 * for a neighbour never covers them; what a database says below them (usually the IPv4 tree again) is left out.
 */
import type { Report } from '../problem.ts'
import { type BinaryTrie, descend, leafTrie, TrieBuilder, trieOf } from './binary.ts'
import { continentOf, namesStates, stateOf, unpackCode } from './codes.ts'
import { Corrupt, type Database, reportCorrupt, type Section } from './database.ts'
import { FOLDING, foldToIPv4 } from './fold.ts'
import { Interner } from './intern.ts'
import type { Cache } from './cache.ts'
import { allocateShared, copyInts, shareInts } from './memory.ts'

export interface Places {
  /** Builds of the databases: what is compiled from equal ones is equal. */
  readonly id: string
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
  /** Three ints a place: continent, country, subdivision as packCode() has them. */
  readonly codes: Int32Array
  /** Two numbers a place: latitude, longitude in degrees; NaN = unknown. */
  readonly coordinates: Float64Array
}

/** Nothing is known. */
export const PLACE_UNKNOWN = 0
/** An IPv6 network whose clients fold; nothing is known about those that can't. */
export const PLACE_FOLDED = 1

export interface Place {
  /** Codes; empty = unknown. */
  readonly continent: string
  readonly country: string
  readonly subdivision: string
  /** Degrees; NaN = unknown. */
  readonly latitude: number
  readonly longitude: number
  /** Bits of the widest prefix that has this place, in the family that was looked up. */
  readonly depth: number
}

/** Counted up whenever equal databases come to other places. */
const FORMAT = 'places-2'

export const placesKey = (databases: readonly Database[]): string =>
  [FORMAT, ...databases.map(({ id }) => id)].join(' | ')

/** From the cache where it has them, else decoded and put there. undefined as buildPlaces(). */
export function loadPlaces(databases: readonly Database[], cache: Cache, report: Report): Places | undefined {
  const key = placesKey(databases)
  const [v4, v6, kept, codes, coordinates] = cache.read(key, allocateShared) ?? []
  if (v4 && v6 && kept && codes && coordinates) {
    return {
      id: key,
      v4: { nodes: v4, root: kept[0]! },
      v6: { nodes: v6, root: kept[1]! },
      codes,
      coordinates: new Float64Array(coordinates.buffer, 0, coordinates.length / 2),
    }
  }
  const places = buildPlaces(databases, report)
  if (places !== undefined) {
    const roots = Int32Array.of(places.v4.root, places.v6.root)
    cache.write(key, [places.v4.nodes, places.v6.nodes, roots, places.codes, places.coordinates])
  }
  return places
}

/** Decodes and verifies. undefined when a database is corrupt or tells no places: that has been reported. */
export function buildPlaces(databases: readonly Database[], report: Report): Places | undefined {
  const table = new PlaceTable()
  // IPv4 from the file that has nothing else, if there is one
  const apart = databases.some(({ ipVersion }) => ipVersion === 4)
  let v4 = leafTrie(PLACE_UNKNOWN)
  let v6 = carve(Int32Array.of(~PLACE_UNKNOWN, ~PLACE_UNKNOWN))
  for (const database of databases) {
    try {
      const tree = readTree(database, table)
      if (database.ipVersion === 6) v6 = carve(tree)
      if (database.ipVersion === 4 || !apart) v4 = ipv4Trie(database, tree)
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error
      reportCorrupt(database.path, error, report)
      return undefined
    }
    if (!table.tells) {
      const message = 'this database has neither countries nor coordinates'
      report({ code: 'geo-schema', severity: 'error', file: database.path, line: 0, column: 0, message, hint: HINT })
      return undefined
    }
  }
  return table.done(placesKey(databases), v4, v6)
}

const HINT = 'take a City database: GeoLite2, GeoIP2 or DB-IP'

/** The place of an address (4 or 16 bytes); an IPv6 address that folds is looked up by its IPv4 address. */
export function placeOf(places: Places, bytes: Uint8Array): Place {
  const folded = new Uint8Array(4)
  const isFolded = bytes.length === 16 && foldToIPv4(bytes, 0, 128, folded) >= 0
  return isFolded ? placeAt(places, 4, folded) : placeAt(places, bytes.length === 4 ? 4 : 6, bytes)
}

/** The place of an address that is folded already where it folds. */
export function placeAt(places: Places, family: 4 | 6, bytes: Uint8Array): Place {
  const leaf = descend(family === 4 ? places.v4 : places.v6, bytes)
  const place = Math.floor(leaf / 256)
  return {
    continent: unpackCode(places.codes[3 * place]!),
    country: unpackCode(places.codes[3 * place + 1]!),
    subdivision: unpackCode(places.codes[3 * place + 2]!),
    latitude: places.coordinates[2 * place]!,
    longitude: places.coordinates[2 * place + 1]!,
    depth: leaf % 256,
  }
}

const COUNTRY_CODE = Buffer.from('country_code')
const STATE1 = Buffer.from('state1')
const CONTINENT = Buffer.from('continent')
const CODE = Buffer.from('code')
const COUNTRY = Buffer.from('country')
const ISO_CODE = Buffer.from('iso_code')
const SUBDIVISIONS = Buffer.from('subdivisions')
const NAMES = Buffer.from('names')
const EN = Buffer.from('en')
const LOCATION = Buffer.from('location')
const LATITUDE = Buffer.from('latitude')
const LONGITUDE = Buffer.from('longitude')

class PlaceTable {
  /** Whether any record so far told a country or coordinates. */
  tells = false
  readonly #interner = new Interner()
  // a place's record: three codes, then two doubles as four ints
  readonly #record = new Int32Array(8)
  readonly #coordinates = new Float64Array(this.#record.buffer, 16, 2)

  constructor() {
    for (const number of [PLACE_UNKNOWN, PLACE_FOLDED]) {
      this.#put(0, 0, 0, undefined, undefined)
      this.#record[3] = number // keeps the two apart
      this.#interner.add(this.#record, 8)
    }
    this.#record[3] = 0
  }

  /** The number of the place that a record tells. */
  read(data: Section, record: number): number {
    const at = data.record(record)
    const flat = data.field(at, COUNTRY_CODE)
    if (flat >= 0) this.#readFlat(data, at, data.code(flat))
    else this.#readNested(data, at)
    return this.#interner.add(this.#record, 8)
  }

  /** `{country_code, state1, latitude, longitude}`: no continent, and the state by its name. */
  #readFlat(data: Section, at: number, country: number): void {
    const state = this.#byName(data, country, data.field(at, STATE1))
    const latitude = data.number(data.field(at, LATITUDE))
    this.#put(continentOf(country), country, state, latitude, data.number(data.field(at, LONGITUDE)))
  }

  /** MaxMind's: `{continent: {code}, country: {iso_code}, subdivisions: [{iso_code, names}], location: {latitude, …}}`. */
  #readNested(data: Section, at: number): void {
    const country = data.code(data.field(data.field(at, COUNTRY), ISO_CODE))
    const continent = data.code(data.field(data.field(at, CONTINENT), CODE)) || continentOf(country)
    const first = data.first(data.field(at, SUBDIVISIONS))
    const subdivision =
      data.code(data.field(first, ISO_CODE)) || this.#byName(data, country, data.field(data.field(first, NAMES), EN))
    const location = data.field(at, LOCATION)
    const latitude = data.number(data.field(location, LATITUDE))
    this.#put(continent, country, subdivision, latitude, data.number(data.field(location, LONGITUDE)))
  }

  /** Most records are of countries whose states' names say nothing: those are not even read. */
  #byName(data: Section, country: number, at: number): number {
    return namesStates(country) ? stateOf(country, data.text(at) ?? '') : 0
  }

  #put(continent: number, country: number, subdivision: number, latitude = Number.NaN, longitude = Number.NaN): void {
    this.#record[0] = continent
    this.#record[1] = country
    this.#record[2] = subdivision
    const known = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180
    this.#coordinates[0] = known ? latitude : Number.NaN
    this.#coordinates[1] = known ? longitude : Number.NaN
    this.tells ||= known || country !== 0
  }

  done(id: string, v4: BinaryTrie, v6: BinaryTrie): Places {
    const { ints, count } = this.#interner
    const doubles = new Float64Array(ints.buffer)
    const codes = shareInts(allocateShared, 3 * count)
    const coordinates = new Float64Array(allocateShared(16 * count))
    for (let i = 0; i < count; i++) {
      codes.set(ints.subarray(8 * i, 8 * i + 3), 3 * i)
      coordinates.set(doubles.subarray(4 * i + 2, 4 * i + 4), 2 * i)
    }
    return { id, v4: share(v4), v6: share(v6), codes, coordinates }
  }
}

const share = ({ nodes, root }: BinaryTrie): BinaryTrie => ({ nodes: copyInts(allocateShared, nodes), root })

/** The whole search tree, two entries a node as in BinaryTrie (but in the file's order), leaves = places. */
function readTree(database: Database, places: PlaceTable): Int32Array {
  const { bytes, nodeCount, recordSize, data } = database
  const tree = new Int32Array(2 * nodeCount)
  // place + 1 by offset into the data, 0 = not yet read
  const known = new Int32Array(data.end - data.start)
  const entry = (record: number): number => {
    if (record < nodeCount) return record
    if (record === nodeCount) return ~PLACE_UNKNOWN
    const offset = record - nodeCount - 16
    if (offset < 0 || offset >= known.length) throw new Corrupt(`a record of its search tree leads to offset ${offset}`)
    let place = known[offset]! - 1
    if (place < 0) known[offset] = 1 + (place = places.read(data, data.start + offset))
    return ~place
  }
  const step = recordSize / 4
  const half = recordSize >>> 3
  for (let n = 0, at = 0; n < nodeCount; n++, at += step) {
    let left = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    const from = recordSize === 24 ? at + 3 : at + 4
    let right = (bytes[from]! << 16) | (bytes[from + 1]! << 8) | bytes[from + 2]!
    if (recordSize === 28) {
      left += (bytes[at + 3]! >>> 4) * 2 ** 24
      right += (bytes[at + 3]! & 15) * 2 ** 24
    } else if (recordSize === 32) {
      left = left * 256 + bytes[at + 3]!
      right = right * 256 + bytes[at + half + 3]!
    }
    tree[2 * n] = entry(left)
    tree[2 * n + 1] = entry(right)
  }
  return tree
}

/** Copies a subtree into post-order; `bits` of the address are left below `entry`. */
function copySubtree(tree: Int32Array, builder: TrieBuilder, entry: number, bits: number): number {
  // a tree visits each node once; sharing is allowed for, endless growth is not
  let visits = 4 * tree.length
  const copy = (e: number, left: number): number => {
    if (e < 0) return e
    if (left === 0) throw new Corrupt('its search tree is deeper than an address')
    if (--visits < 0) throw new Corrupt('its search tree is no tree')
    const zero = copy(tree[2 * e]!, left - 1)
    return builder.join(zero, copy(tree[2 * e + 1]!, left - 1))
  }
  return copy(entry, bits)
}

/** IPv4 inside an IPv6 file begins below 96 zero bits. */
function ipv4Trie(database: Database, tree: Int32Array): BinaryTrie {
  let entry = 0
  for (let depth = 0; database.ipVersion === 6 && depth < 96 && entry >= 0; depth++) entry = tree[2 * entry]!
  const builder = new TrieBuilder(tree.length / 2)
  return builder.done(copySubtree(tree, builder, entry, 32))
}

const KEEP = 0
const FOLDS = 1
const IPV4 = 2
const CARVED = trieOf(
  [...FOLDING.map((prefix) => ({ ...prefix, value: FOLDS })), { bytes: new Uint8Array(16), bits: 96, value: IPV4 }],
  KEEP,
)

/** The IPv6 trie of a file's tree, without what is told of networks that fold and of the IPv4 tree at its zero end. */
function carve(tree: Int32Array): BinaryTrie {
  const builder = new TrieBuilder(tree.length / 2)
  const copy = (entry: number, carved: number, bits: number): number => {
    if (carved === ~FOLDS) return ~PLACE_FOLDED
    if (carved === ~IPV4) return ~PLACE_UNKNOWN
    if (carved < 0) return copySubtree(tree, builder, entry, bits)
    const zero = copy(entry < 0 ? entry : tree[2 * entry]!, CARVED.nodes[2 * carved]!, bits - 1)
    return builder.join(zero, copy(entry < 0 ? entry : tree[2 * entry + 1]!, CARVED.nodes[2 * carved + 1]!, bits - 1))
  }
  return builder.done(copy(0, CARVED.root, 128))
}
