/**
 * Places: what the databases say about where networks are, decoded once and merged. Two binary tries whose leaves are
 * place numbers; places that agree in all their fields are one.
 *
 * IPv6 networks that carry IPv4 addresses are carved out: a client there is looked up by its IPv4 address, unless too few
 * bits of that are known (fold.ts). They are leaves of their own, PLACE_FOLDED, that merge with no neighbour, so an answer
 * for a neighbour never covers them; what a database says below them (usually the IPv4 tree again) is left out.
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

export interface Places {
  /** Builds of the databases: what is compiled from equal ones is equal. */
  readonly id: string
  readonly v4: BinaryTrie
  readonly v6: BinaryTrie
  /** Three ints a place: continent, country, subdivision as packCode() has them. */
  readonly codes: Int32Array
  /** Two numbers a place: latitude, longitude in degrees; NaN = unknown. */
  readonly coordinates: Float64Array
  /** Whose networks they are, where a database of that is loaded too. */
  readonly asns?: Asns
}

/** Nothing is known. */
export const PLACE_UNKNOWN = LEAF_UNKNOWN
/** An IPv6 network whose clients fold; nothing is known about those that can't. */
export const PLACE_FOLDED = LEAF_FOLDED

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
  /** Number of the autonomous system; 0 = unknown. */
  readonly asn: number
  /** Bits of the widest prefix that has this number; 0 without a database of them. */
  readonly asnDepth: number
}

/** Counted up whenever equal databases come to other places. */
const FORMAT = 'places-3'

export const placesKey = (databases: readonly Database[]): string => buildsKey(FORMAT, databases)

/** From the cache where it has them, else decoded and put there: then their bytes are gone. undefined as buildPlaces(). */
export function loadPlaces(databases: readonly Database[], cache: Cache, report: Report): Places | undefined {
  const key = placesKey(databases)
  const cached = cachedPlaces(key, cache)
  if (cached !== undefined) return cached
  if (!hasRoom(databases, report)) return undefined
  const places = buildPlaces(databases, report, ({ bytes }) => free(bytes))
  if (places !== undefined) cacheTries(cache, key, places, [places.codes, places.coordinates])
  return places
}

/** Of databases that may be gone from the disk: what the cache has of them. Not of another version's places. */
export function cachedPlaces(key: string, cache: Cache): Places | undefined {
  if (key !== FORMAT && !key.startsWith(`${FORMAT} | `)) return undefined
  const { tries, rest: [codes, doubles] = [] } = cachedTries(cache, key) ?? {}
  if (!tries || !codes || !doubles) return undefined
  return { id: key, ...tries, codes, coordinates: new Float64Array(doubles.buffer, 0, doubles.length / 2) }
}

/** Whether they come from any database. */
export const hasPlaces = ({ id }: Places): boolean => id !== FORMAT

/** Decodes and verifies. undefined when a database is corrupt or tells no places: that has been reported. */
export function buildPlaces(
  databases: readonly Database[],
  report: Report,
  consumed?: (database: Database) => void,
): Places | undefined {
  const table = new PlaceTable()
  const tries = readTries(databases, table, report, consumed)
  return tries && table.done(placesKey(databases), tries)
}

/** The place of an address (4 or 16 bytes); an IPv6 address that folds is looked up by its IPv4 address. */
export function placeOf(places: Places, bytes: Uint8Array): Place {
  const folded = new Uint8Array(4)
  const isFolded = bytes.length === 16 && foldToIPv4(bytes, 0, 128, folded) >= 0
  return isFolded ? placeAt(places, 4, folded) : placeAt(places, bytes.length === 4 ? 4 : 6, bytes)
}

/** The place of an address that is folded already where it folds. */
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
    // databases differ over some: a country is where octoDNS has it
    const continent = continentOf(country) || data.code(data.field(data.field(at, CONTINENT), CODE))
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
