/**
 * LOC (RFC 1876): octoDNS's mapping → wire, wire → presentation text. Used by rdata.ts.
 *
 *   version (1 byte, 0), size, horizontal and vertical precision (1 each), latitude, longitude, altitude (4 each)
 *
 * A size is one digit and a power of ten, in centimetres; an angle is thousandths of a second of arc from 2^31, the
 * equator or the meridian of Greenwich; an altitude is centimetres from 100 km below the reference spheroid.
 */
import type { RdataValue } from './fields.ts'
import type { Fault } from './name.ts'

const BYTES = 16
const ZERO = 2 ** 31
const BELOW_CM = 10_000_000
const MS_PER_DEGREE = 3_600_000

/** Bounds of the numbers (RFC 1876 §2, §3); altitude and sizes in metres. */
const NUMBERS = {
  lat_degrees: [0, 90],
  lat_minutes: [0, 59],
  lat_seconds: [0, 59.999],
  long_degrees: [0, 180],
  long_minutes: [0, 59],
  long_seconds: [0, 59.999],
  altitude: [-100_000, 42_849_672.95],
  size: [0, 90_000_000],
  precision_horz: [0, 90_000_000],
  precision_vert: [0, 90_000_000],
} as const
type NumberKey = keyof typeof NUMBERS
const NUMBER_KEYS: readonly string[] = Object.keys(NUMBERS)
const isNumberKey = (key: string): key is NumberKey => NUMBER_KEYS.includes(key)
const DIRECTIONS: Readonly<Record<string, readonly string[]>> = {
  lat_direction: ['N', 'S'],
  long_direction: ['E', 'W'],
}
/** octoDNS's keys, all of which must be there. */
export const LOC_KEYS: readonly string[] = [...NUMBER_KEYS, ...Object.keys(DIRECTIONS)]
const NOTHING: Readonly<Record<NumberKey, number>> = {
  lat_degrees: 0,
  lat_minutes: 0,
  lat_seconds: 0,
  long_degrees: 0,
  long_minutes: 0,
  long_seconds: 0,
  altitude: 0,
  size: 0,
  precision_horz: 0,
  precision_vert: 0,
}

/** A LOC value with all of octoDNS's keys → wire RDATA. A fault names the key. */
export function encodeLoc(value: { readonly [key: string]: RdataValue }): Uint8Array | Fault {
  const numbers: Record<NumberKey, number> = { ...NOTHING }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') return { fault: 'a text is wanted', field: key }
    const fault = isNumberKey(key) ? readNumber(key, text, numbers) : directionFault(key, text)
    if (fault !== undefined) return { fault, field: key }
  }
  const missing = LOC_KEYS.find((key) => !Object.hasOwn(value, key))
  if (missing !== undefined) return { fault: `“${missing}” is missing` }
  const latitude = angle(numbers.lat_degrees, numbers.lat_minutes, numbers.lat_seconds)
  const longitude = angle(numbers.long_degrees, numbers.long_minutes, numbers.long_seconds)
  if (latitude > 90 * MS_PER_DEGREE) return { fault: 'beyond the pole', field: 'lat_minutes' }
  if (longitude > 180 * MS_PER_DEGREE) return { fault: 'beyond 180 degrees', field: 'long_minutes' }
  const wire = new DataView(new ArrayBuffer(BYTES))
  wire.setUint8(1, encodeSize(numbers.size))
  wire.setUint8(2, encodeSize(numbers.precision_horz))
  wire.setUint8(3, encodeSize(numbers.precision_vert))
  wire.setUint32(4, ZERO + (value['lat_direction'] === 'S' ? -latitude : latitude))
  wire.setUint32(8, ZERO + (value['long_direction'] === 'W' ? -longitude : longitude))
  wire.setUint32(12, BELOW_CM + Math.round(numbers.altitude * 100))
  return new Uint8Array(wire.buffer)
}

/** Reads a number into `into`; returns what is wrong with it, if anything. */
function readNumber(key: NumberKey, text: string, into: Record<NumberKey, number>): string | undefined {
  const [least, most] = NUMBERS[key]
  const isWhole = /_(degrees|minutes)$/.test(key)
  const number = (isWhole ? /^\d{1,3}$/ : /^-?\d{1,9}(\.\d{1,9})?$/).test(text) ? Number(text) : Number.NaN
  if (!(number >= least && number <= most))
    return `“${text}” is no ${isWhole ? 'whole ' : ''}number from ${least} to ${most}`
  into[key] = number
  return undefined
}

function directionFault(key: string, text: string): string | undefined {
  const directions = Object.hasOwn(DIRECTIONS, key) ? DIRECTIONS[key]! : undefined
  if (directions === undefined) return `“${key}” is no key of LOC`
  return directions.includes(text) ? undefined : `“${text}” is neither ${directions.join(' nor ')}`
}

const angle = (degrees: number, minutes: number, seconds: number): number =>
  degrees * MS_PER_DEGREE + minutes * 60_000 + Math.round(seconds * 1000)

/** A size in the form of RFC 1876 §2, one digit and a power of ten in centimetres: further digits are lost. */
function encodeSize(metres: number): number {
  let exponent = 0
  let digit = Math.round(metres * 100)
  for (; digit > 9; exponent++) digit = Math.floor(digit / 10)
  return (digit << 4) | exponent
}

/** LOC RDATA → presentation text: `31 58 52.100 S 115 49 11.700 E 20.00m 10m 10m 2m`. */
export function formatLoc(bytes: Uint8Array): string | Fault {
  if (bytes.length !== BYTES) return { fault: `LOC: its RDATA has ${bytes.length} bytes, not ${BYTES}` }
  const wire = new DataView(bytes.buffer, bytes.byteOffset)
  if (wire.getUint8(0) !== 0) return { fault: `LOC: version ${wire.getUint8(0)} is not known` }
  const latitude = wire.getUint32(4) - ZERO
  const longitude = wire.getUint32(8) - ZERO
  if (Math.abs(latitude) > 90 * MS_PER_DEGREE || Math.abs(longitude) > 180 * MS_PER_DEGREE) {
    return { fault: 'LOC: it is beyond the globe' }
  }
  const sizes = [1, 2, 3].map((at) => formatSize(wire.getUint8(at)))
  if (sizes.includes(undefined)) return { fault: 'LOC: a size is no digit and power of ten' }
  const altitude = ((wire.getUint32(12) - BELOW_CM) / 100).toFixed(2)
  return [
    formatAngle(Math.abs(latitude)),
    latitude < 0 ? 'S' : 'N',
    formatAngle(Math.abs(longitude)),
    longitude < 0 ? 'W' : 'E',
    `${altitude}m`,
    ...sizes,
  ].join(' ')
}

function formatAngle(ms: number): string {
  const degrees = Math.floor(ms / MS_PER_DEGREE)
  const minutes = Math.floor((ms % MS_PER_DEGREE) / 60_000)
  return `${degrees} ${minutes} ${((ms % 60_000) / 1000).toFixed(3)}`
}

function formatSize(byte: number): string | undefined {
  const [digit, exponent] = [byte >> 4, byte & 15]
  if (digit > 9 || exponent > 9) return undefined
  return exponent > 1 ? `${digit * 10 ** (exponent - 2)}m` : `0.${String(digit * 10 ** exponent).padStart(2, '0')}m`
}
