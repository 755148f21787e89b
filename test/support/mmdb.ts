/**
 * Writes small MMDB files for tests, after the MaxMind DB specification 2.0: in both schemas, with every record size, IPv4
 * alone or IPv6 with IPv4 inside and, on wish, the aliases that MaxMind's own writer adds. Debian's mmdblookup reads them.
 */
import { writeFileSync } from 'node:fs'
import { parsePrefix } from '../../src/dns/address.ts'

/** A network of an ASN database, in the schema that MaxMind and ip-location-db share. */
export interface TestSystem {
  readonly prefix: string
  readonly asn: number
}

export interface TestNetwork {
  readonly prefix: string
  readonly continent: string
  readonly country: string
  /** ISO 3166-2 code behind the country; MaxMind's schema only. */
  readonly subdivision?: string
  /** Its name: in the flat schema, and in MaxMind's where there is no code, as DB-IP does. */
  readonly state?: string
  readonly city?: string
  /** Both undefined: a record without coordinates. */
  readonly latitude?: number
  readonly longitude?: number
}

/** A network whose record is as it is written here. */
export interface TestRecord {
  readonly prefix: string
  readonly record: Value
}

export interface TestDatabase {
  readonly schema: 'flat' | 'maxmind'
  readonly ipVersion?: 4 | 6
  readonly recordSize?: 24 | 28 | 32
  readonly networks?: readonly (TestNetwork | TestSystem | TestRecord)[]
  /** How coordinates are encoded: as doubles unless given. `double of 7 bytes` breaks the format. */
  readonly coordinates?: CoordinateForm
  /** IPv6 only: the IPv4 tree again at ::ffff:0:0/96, 2002::/16 and 2001::/32. */
  readonly aliases?: boolean
  /** Seconds. */
  readonly buildEpoch?: number
}

export type CoordinateForm = 'double' | 'float' | 'int32' | 'text' | 'double of 7 bytes'

/** A Buffer is a value that is encoded already. */
export type Value = string | number | boolean | Buffer | readonly Value[] | { readonly [key: string]: Value }
type Entry = Node | Buffer | null
type Node = [Entry, Entry]

const DOUBLE = 3
const UINT32 = 6
/** Type and bytes of the numbers under these keys; all others are UINT32. */
const NUMBERS: Readonly<Record<string, readonly [number, number]>> = {
  binary_format_major_version: [5, 2],
  binary_format_minor_version: [5, 2],
  ip_version: [5, 2],
  record_size: [5, 2],
  build_epoch: [9, 8],
}

function control(type: number, size: number): number[] {
  const extended = type > 7
  const head = (extended ? 0 : type) << 5
  const more = extended ? [type - 7] : []
  if (size < 29) return [head | size, ...more]
  if (size < 285) return [head | 29, ...more, size - 29]
  return [head | 30, ...more, (size - 285) >> 8, (size - 285) & 255]
}

function encode(value: Value, key = ''): Buffer {
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'string')
    return Buffer.concat([Buffer.from(control(2, Buffer.byteLength(value))), Buffer.from(value)])
  if (typeof value === 'boolean') return Buffer.from(control(14, value ? 1 : 0))
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(BigInt(value))
    const [type, size] = NUMBERS[key] ?? [UINT32, 4]
    return Buffer.concat([Buffer.from(control(type, size)), bytes.subarray(8 - size)])
  }
  if (Array.isArray(value))
    return Buffer.concat([Buffer.from(control(11, value.length)), ...value.map((one: Value) => encode(one))])
  const entries = Object.entries(value)
  return Buffer.concat([
    Buffer.from(control(7, entries.length)),
    ...entries.flatMap(([k, v]) => [encode(k), encode(v, k)]),
  ])
}

/** A coordinate, encoded. */
export function degrees(value: number, form: CoordinateForm = 'double'): Value {
  const bytes = Buffer.alloc(8)
  switch (form) {
    case 'double':
      bytes.writeDoubleBE(value)
      return Buffer.concat([Buffer.from(control(DOUBLE, 8)), bytes])
    case 'double of 7 bytes':
      bytes.writeDoubleBE(value)
      return Buffer.concat([Buffer.from(control(DOUBLE, 7)), bytes.subarray(0, 7)])
    case 'float':
      bytes.writeFloatBE(value)
      return Buffer.concat([Buffer.from(control(15, 4)), bytes.subarray(0, 4)])
    case 'int32':
      bytes.writeInt32BE(Math.round(value))
      return Buffer.concat([Buffer.from(control(8, 4)), bytes.subarray(0, 4)])
    case 'text':
      return String(value)
    default:
      return form satisfies never
  }
}

function record(
  network: TestNetwork | TestSystem | TestRecord,
  schema: 'flat' | 'maxmind',
  form: CoordinateForm,
): Value {
  if ('record' in network) return network.record
  if ('asn' in network) {
    // a network that is announced by nobody has the other key alone
    const number = network.asn === 0 ? {} : { autonomous_system_number: network.asn }
    return { ...number, autonomous_system_organization: `AS ${network.asn}` }
  }
  const { continent, country, subdivision, state, city, latitude, longitude } = network
  const location =
    latitude === undefined || longitude === undefined
      ? {}
      : { latitude: degrees(latitude, form), longitude: degrees(longitude, form) }
  if (schema === 'flat')
    return { city: city ?? '', country_code: country, ...location, state1: state ?? '', state2: '' }
  return {
    city: { names: { en: city ?? '' } },
    continent: { code: continent, geoname_id: 1 },
    country: { geoname_id: 2, is_in_european_union: continent === 'EU', iso_code: country },
    location: { accuracy_radius: 10, ...location },
    ...(subdivision || state
      ? { subdivisions: [{ ...(subdivision && { iso_code: subdivision }), names: { en: state ?? '' } }] }
      : {}),
  }
}

/** Puts the entry at the prefix; what was there stays around it. */
function insert(root: Node, bytes: Uint8Array, bits: number, entry: Entry): void {
  let node = root
  for (let depth = 0; ; depth++) {
    const bit = (bytes[depth >> 3]! >> (7 - (depth & 7))) & 1
    if (depth === bits - 1) {
      node[bit] = entry
      return
    }
    const next = node[bit]!
    node = node[bit] = Array.isArray(next) ? next : [next, next]
  }
}

/** A node's two records. */
function pair(left: number, right: number, recordSize: 24 | 28 | 32): Buffer {
  const half = recordSize >> 3
  const bytes = Buffer.alloc(recordSize / 4)
  if (recordSize === 28) {
    bytes.writeUIntBE(left & 0xffffff, 0, 3)
    bytes[3] = ((left >>> 24) << 4) | (right >>> 24)
    bytes.writeUIntBE(right & 0xffffff, 4, 3)
  } else {
    bytes.writeUIntBE(left, 0, half)
    bytes.writeUIntBE(right, half, half)
  }
  return bytes
}

/** The file's bytes. Of networks that overlap, the longest wins. */
export function encodeTestDatabase(database: TestDatabase): Buffer {
  const {
    schema,
    ipVersion = 6,
    recordSize = 28,
    networks = FIXTURE,
    aliases = false,
    buildEpoch = 1_790_000_000,
    coordinates = 'double',
  } = database
  const root: Node = [null, null]
  const data = new Map<string, Buffer>()
  const parsed = networks.map((network) => ({ network, prefix: parsePrefix(network.prefix)! }))
  const longestLast = parsed
    .filter(({ prefix }) => ipVersion === 6 || prefix.family === 4)
    .toSorted((a, b) => a.prefix.bits - b.prefix.bits)
  for (const { network, prefix } of longestLast) {
    const encoded = encode(record(network, schema, coordinates))
    const shared = data.get(encoded.toString('latin1')) ?? encoded
    data.set(encoded.toString('latin1'), shared)
    if (prefix.family === 6 || ipVersion === 4) insert(root, prefix.bytes, prefix.bits, shared)
    else insert(root, new Uint8Array([...new Uint8Array(12), ...prefix.bytes]), 96 + prefix.bits, shared)
  }
  if (aliases) {
    let v4: Entry = root
    for (let depth = 0; depth < 96 && Array.isArray(v4); depth++) v4 = v4[0]
    for (const alias of ['::ffff:0:0/96', '2002::/16', '2001::/32'])
      insert(root, parsePrefix(alias)!.bytes, parsePrefix(alias)!.bits, v4)
  }
  const numbers = new Map<Node, number>()
  const number = (node: Node): void => {
    if (numbers.has(node)) return
    numbers.set(node, numbers.size)
    for (const child of node) if (Array.isArray(child)) number(child)
  }
  number(root)
  const at = new Map<Buffer, number>()
  let size = 0
  for (const encoded of data.values()) {
    at.set(encoded, size)
    size += encoded.length
  }
  const value = (entry: Entry): number => {
    if (entry === null) return numbers.size
    return Array.isArray(entry) ? numbers.get(entry)! : numbers.size + 16 + at.get(entry)!
  }
  const tree = [...numbers.keys()].map(([left, right]) => pair(value(left), value(right), recordSize))
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: buildEpoch,
    database_type: `test ${schema}`,
    description: { en: 'test' },
    ip_version: ipVersion,
    languages: ['en'],
    node_count: numbers.size,
    record_size: recordSize,
  })
  const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
  return Buffer.concat([...tree, Buffer.alloc(16), ...data.values(), marker, metadata])
}

export const writeTestDatabase = (path: string, database: TestDatabase): void =>
  writeFileSync(path, encodeTestDatabase(database))

/** Cities of the fixture, with a real client of each that its network below holds. */
export const CLIENTS = {
  paris: { v4: '82.64.1.1', v6: '2a01:e0a:1::1' },
  newYork: { v4: '24.90.1.1', v6: '2604:2000:1::1' },
  losAngeles: { v4: '76.80.1.1', v6: '2603:8000:1::1' },
  jakarta: { v4: '114.120.1.1', v6: '2404:c0:1::1' },
  tokyo: { v4: '126.1.1.1', v6: '2400:2000:1::1' },
  /** In no network. */
  nowhere: { v4: '198.51.100.1', v6: '2001:db8::1' },
} as const

/** Continent, country, subdivision, its name, city, latitude, longitude; the last has no coordinates. */
const CITIES: readonly Omit<TestNetwork, 'prefix'>[] = `
  EU|FR|IDF|Ile-de-France|Paris|48.86|2.35
  NA|US|NY|New York|New York|40.71|-74.01
  NA|US|CA|California|Los Angeles|34.05|-118.24
  AS|ID|JK|Jakarta|Jakarta|-6.21|106.85
  AS|JP|13|Tokyo|Tokyo|35.68|139.69
  EU|DE|BE|Berlin|Berlin|52.52|13.41
  EU|GB|ENG|England|London|51.51|-0.13
  SA|BR|SP|Sao Paulo|Sao Paulo|-23.55|-46.63
  AF|ZA|GP|Gauteng|Johannesburg|-26.2|28.05
  AF|EG|C|Cairo|Cairo|30.04|31.24
  OC|AU|NSW|New South Wales|Sydney|-33.87|151.21
  OC|FJ|C|Central|Suva|-18.14|178.44
  AS|CN|BJ|Beijing|Beijing|39.9|116.4
  AS|IN|MH|Maharashtra|Mumbai|19.08|72.88
  NA|CA|ON|Ontario|Toronto|43.65|-79.38
  AN|AQ|||McMurdo|-77.85|166.67
  EU|RU|CHU|Chukotka|Uelen|66.16|-169.81
  EU|IT`
  .trim()
  .split('\n')
  .map((line) => {
    const [continent = '', country = '', subdivision = '', state = '', city = '', latitude, longitude] = line
      .trim()
      .split('|')
    const location = latitude === undefined ? {} : { latitude: Number(latitude), longitude: Number(longitude) }
    return { continent, country, ...(subdivision === '' ? {} : { subdivision }), state, city, ...location }
  })

const named: readonly TestNetwork[] = Object.entries({
  '82.64.0.0/14': 0,
  '2a01:e00::/26': 0,
  '24.90.0.0/15': 1,
  '2604:2000::/28': 1,
  '76.80.0.0/13': 2,
  '2603:8000::/28': 2,
  '114.120.0.0/13': 3,
  '2404:c0::/32': 3,
  '126.0.0.0/8': 4,
  '2400:2000::/20': 4,
}).map(([prefix, city]) => ({ prefix, ...CITIES[city]! }))

const hex = (word: number): string => word.toString(16)

/** 290 more over the cities above, neighbours and nested ones among them, always the same, beside the named ones. */
function generated(): TestNetwork[] {
  let seed = 7
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const networks: TestNetwork[] = []
  for (let i = 0; i < 290; i++) {
    const city = CITIES[next(CITIES.length)]!
    // few first bytes, so that networks are often neighbours or nested; none of the named ones is touched
    const bits = 10 + next(20)
    const address = (([5, 31, 177, 203][next(4)]! << 24) | (next(4) << 22) | next(2 ** 22)) & (-1 << (32 - bits))
    const v4 = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
    const [a, b, c] = [0x2c00 + next(2), next(8) << 13, next(2 ** 16)]
    const v6 = [
      `${hex(a)}:${hex(b)}::/19`,
      `${hex(a)}:${hex(b)}:${hex(c)}::/48`,
      `${hex(a)}:${hex(b)}:1:${hex(c)}::/64`,
    ]
    networks.push({ ...city, prefix: i % 2 === 0 ? `${v4}/${bits}` : v6[next(3)]! })
  }
  return networks
}

/** Systems of some of those networks, of parts of them, and of more than them; 64500 twice. */
export const SYSTEMS: readonly TestSystem[] = Object.entries({
  '82.64.0.0/15': 64500,
  '82.66.7.0/24': 64501,
  '24.90.0.0/15': 64501,
  '76.80.0.0/14': 64502,
  '76.84.0.0/14': 0,
  '198.51.100.0/24': 64500,
  '5.0.0.0/10': 4_200_000_000,
  '31.128.0.0/12': 64502,
  '31.130.0.0/17': 64500,
  '2a01:e00::/27': 64500,
  '2604:2000::/29': 64501,
  '2c00:4000::/20': 64502,
  '2c01::/16': 4_200_000_000,
  '2002:8000::/17': 64500,
}).map(([prefix, asn]) => ({ prefix, asn }))

/** Countries and American states by their geo code, for rules that name them: each has 198.18.N.0/24 and 2001:2:0:N::/64. */
const BY_CODE =
  `AF-EG AF-ZA AN-AQ AS-CN AS-CY AS-IN AS-JP AS-SG EU-DE EU-FR EU-GB EU-XK NA-CA-ON NA-US-CA NA-US-KY NA-US-NC NA-US-NY NA-US-OR
  NA-US-WA NA-MX NA-PR OC-AU OC-GU SA-BR SA-GS`.split(/\s+/)
/** Continents as databases have them, where octoDNS differs. */
const TOLD: Readonly<Record<string, string>> = { 'AS-CY': 'EU', 'SA-GS': 'AN' }

/** Countries of the fixture, and the continent that octoDNS has them on, where that is not what the database says. */
export const ELSEWHERE: ReadonlyMap<string, string> = new Map(
  Object.keys(TOLD).map((code) => [code.slice(3), code.slice(0, 2)]),
)

/** A client at each of those codes. */
export const CLIENTS_AT: ReadonlyMap<string, { readonly v4: string; readonly v6: string }> = new Map(
  BY_CODE.map((code, n) => [code, { v4: `198.18.${n}.1`, v6: `2001:2:0:${hex(n)}::1` }]),
)

const coded: readonly TestNetwork[] = BY_CODE.flatMap((code, n) => {
  const [continent = '', country = '', subdivision = ''] = code.split('-')
  const place = {
    continent: TOLD[code] ?? continent,
    country,
    ...(subdivision !== '' && { subdivision }),
    latitude: 10 + n,
    longitude: 10,
  }
  return [`198.18.${n}.0/24`, `2001:2:0:${hex(n)}::/64`].map((prefix) => ({ prefix, ...place }))
})

export const FIXTURE: readonly TestNetwork[] = [...named, ...coded, ...generated()]

/** The same networks as a database of countries has them: without coordinates. */
export const COUNTRIES: readonly TestNetwork[] = FIXTURE.map(({ prefix, continent, country }): TestNetwork => ({
  prefix,
  continent,
  country,
}))
