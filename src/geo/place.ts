/**
 * Places: where networks are, according to the databases, decoded once and merged. Two binary tries have place numbers
 * as leaves; places with equal fields have one number. Read by policy/ (maps), traffic/ and `explain`.
 *
 * IPv6 networks that embed IPv4 addresses are carved out: a client there is looked up by its IPv4 address, unless too
 * few bits of that are known (fold.ts). They are leaves of their own, PLACE_FOLDED, and never merge with a neighbour,
 * so that the scope of a neighbour's answer does not cover them. What a database has below them (usually the IPv4 tree
 * again) is left out.
 */
import type { Report } from '../problem.ts'
import type { Asns } from './asn.ts'
import { type BinaryTrie, descend } from './binary.ts'
import type { Cache } from './cache.ts'
import { continentOf, namesStates, stateOf, unpackCode } from './codes.ts'
import type { Database, Section } from './database.ts'
import { foldToIPv4 } from './fold.ts'
import { Interner } from './intern.ts'
import { allocateShared, free, shareInts } from './memory.ts'
import { hasRoom } from './room.ts'
import {
  buildsKey,
  cachedTries,
  cacheTries,
  type FamilyTries,
  LEAF_FOLDED,
  LEAF_UNKNOWN,
  readTries,
  type RecordTable,
} from './tree.ts'

/** The places of some databases. */
export interface Places {
  /** Builds of the databases: equal ids mean equal places. */
  readonly id: string
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
  /** Three ints for each place: continent, country and subdivision, packed (codes.ts). */
  readonly codes: Int32Array
  /** Two numbers for each place: latitude and longitude in degrees; NaN = unknown. */
  readonly coordinates: Float64Array
  /** AS numbers, if an ASN database is loaded too. */
  readonly asns?: Asns
}

/** The place of networks of which nothing is known. */
export const PLACE_UNKNOWN = LEAF_UNKNOWN
/**
 * The place of IPv6 networks whose clients fold; nothing is known about clients there that send too few bits to fold.
 */
export const PLACE_FOLDED = LEAF_FOLDED

/** What the databases have for an address. */
export interface Place {
  /** Codes; empty = unknown. */
  readonly continent: string
  readonly country: string
  readonly subdivision: string
  /** Degrees; NaN = unknown. */
  readonly latitude: number
  readonly longitude: number
  /** Length of the widest prefix with this place, in bits of the family that was looked up. */
  readonly depth: number
  /** AS number; 0 = unknown. */
  readonly asn: number
  /** Length of the widest prefix with this AS number; 0 without an ASN database. */
  readonly asnDepth: number
}

/** One more whenever other places are made of the same databases: old cache files are then ignored. */
const FORMAT = 'places-3'

/** The id of the places of these databases, and their key in the cache. */
export const placesKey = (databases: readonly Database[]): string => buildsKey(FORMAT, databases)

/**
 * The places of databases, from the cache, or decoded and written to it; decoding frees the databases' bytes. undefined
 * when one is corrupt or unsuitable, or memory is short, which is reported.
 */
export function loadPlaces(databases: readonly Database[], cache: Cache, report: Report): Places | undefined {
  const key = placesKey(databases)
  const cached = cachedPlaces(key, cache)
  if (cached !== undefined) return cached
  if (!hasRoom(databases, report)) return undefined
  const places = buildPlaces(databases, report, ({ bytes }) => free(bytes))
  if (places !== undefined) cacheTries(cache, key, places, [places.codes, places.coordinates])
  return places
}

/** Places from the cache alone, for databases that may be gone from the disk; undefined if they are not cached. */
export function cachedPlaces(key: string, cache: Cache): Places | undefined {
  if (key !== FORMAT && !key.startsWith(`${FORMAT} | `)) return undefined
  const { tries, rest: [codes, doubles] = [] } = cachedTries(cache, key) ?? {}
  if (!tries || !codes || !doubles) return undefined
  return { id: key, ...tries, codes, coordinates: new Float64Array(doubles.buffer, 0, doubles.length / 2) }
}

/** Whether the places come from any database. */
export const hasPlaces = ({ id }: Places): boolean => id !== FORMAT

/**
 * Decodes and verifies databases. undefined when one is corrupt or has no places, which is reported. `consumed`: called
 * when a database is not needed any more.
 */
export function buildPlaces(
  databases: readonly Database[],
  report: Report,
  consumed?: (database: Database) => void,
): Places | undefined {
  const table = new PlaceTable()
  const tries = readTries(databases, table, report, consumed)
  return tries && table.done(placesKey(databases), tries)
}

/** The place of an address, 4 or 16 bytes. An IPv6 address that embeds an IPv4 address is looked up by that. */
export function placeOf(places: Places, bytes: Uint8Array): Place {
  const folded = new Uint8Array(4)
  const isFolded = bytes.length === 16 && foldToIPv4(bytes, 0, 128, folded) >= 0
  return isFolded ? placeAt(places, 4, folded) : placeAt(places, bytes.length === 4 ? 4 : 6, bytes)
}

/** The place of an address that has been folded already, if it folds. */
export function placeAt(places: Places, family: 4 | 6, bytes: Uint8Array): Place {
  const find = ({ v4, v6 }: FamilyTries): number => descend(family === 4 ? v4 : v6, bytes)
  const leaf = find(places)
  const place = Math.floor(leaf / 256)
  const asnLeaf = places.asns === undefined ? 0 : find(places.asns)
  return {
    continent: unpackCode(places.codes[3 * place]!),
    country: unpackCode(places.codes[3 * place + 1]!),
    subdivision: unpackCode(places.codes[3 * place + 2]!),
    latitude: places.coordinates[2 * place]!,
    longitude: places.coordinates[2 * place + 1]!,
    depth: leaf % 256,
    asn: places.asns?.numbers[Math.floor(asnLeaf / 256)] ?? 0,
    asnDepth: asnLeaf % 256,
  }
}

/** The packed country (codes.ts) of an address that has been folded already, if it folds; 0 = unknown. */
export const countryAt = (places: Places, family: 4 | 6, bytes: Uint8Array): number =>
  places.codes[3 * valueAt(places, family, bytes) + 1]!

/** The AS number of an address that has been folded already, if it folds; 0 = unknown. */
export const asnAt = (asns: Asns, family: 4 | 6, bytes: Uint8Array): number =>
  asns.numbers[valueAt(asns, family, bytes)]!

const valueAt = ({ v4, v6 }: FamilyTries, family: 4 | 6, bytes: Uint8Array): number =>
  Math.floor(descend(family === 4 ? v4 : v6, bytes) / 256)

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

class PlaceTable implements RecordTable {
  tells = false
  readonly lacks = 'neither countries nor coordinates'
  readonly hint = 'take a City database: GeoLite2, GeoIP2 or DB-IP'
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

  /** The number of the place in a record. */
  read(data: Section, record: number): number {
    const at = data.record(record)
    const flat = data.field(at, COUNTRY_CODE)
    if (flat >= 0) this.#readFlat(data, at, data.code(flat))
    else this.#readNested(data, at)
    return this.#interner.add(this.#record, 8)
  }

  /** Reads the flat schema: `{country_code, state1, latitude, longitude}`, with a state's name and no continent. */
  #readFlat(data: Section, at: number, country: number): void {
    const state = this.#byName(data, country, data.field(at, STATE1))
    const latitude = data.number(data.field(at, LATITUDE))
    this.#put(continentOf(country), country, state, latitude, data.number(data.field(at, LONGITUDE)))
  }

  /**
   * MaxMind's: `{continent: {code}, country: {iso_code}, subdivisions: [{iso_code, names}], location: {latitude, …}}`.
   */
  #readNested(data: Section, at: number): void {
    const country = data.code(data.field(data.field(at, COUNTRY), ISO_CODE))
    // databases differ over the continents of some countries: octoDNS's table wins
    const continent = continentOf(country) || data.code(data.field(data.field(at, CONTINENT), CODE))
    const first = data.first(data.field(at, SUBDIVISIONS))
    const subdivision =
      data.code(data.field(first, ISO_CODE)) || this.#byName(data, country, data.field(data.field(first, NAMES), EN))
    const location = data.field(at, LOCATION)
    const latitude = data.number(data.field(location, LATITUDE))
    this.#put(continent, country, subdivision, latitude, data.number(data.field(location, LONGITUDE)))
  }

  /** The subdivision by its name. For countries whose names are not known, the name is not even read. */
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

  done(id: string, { v4, v6 }: FamilyTries): Places {
    const { ints, count } = this.#interner
    const doubles = new Float64Array(ints.buffer)
    const codes = shareInts(allocateShared, 3 * count)
    const coordinates = new Float64Array(allocateShared(16 * count))
    for (let i = 0; i < count; i++) {
      codes.set(ints.subarray(8 * i, 8 * i + 3), 3 * i)
      coordinates.set(doubles.subarray(4 * i + 2, 4 * i + 4), 2 * i)
    }
    return { id, v4, v6, codes, coordinates }
  }
}
