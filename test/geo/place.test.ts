import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, type CityResponse, type Response } from 'maxmind'
import { afterAll, describe, expect, test } from 'vitest'
import { formatAddress, parseAddress, parsePrefix } from '../../src/dns/address.ts'
import { descend } from '../../src/geo/binary.ts'
import { openDatabases } from '../../src/geo/database.ts'
import { buildPlaces, PLACE_FOLDED, placeOf, type Places } from '../../src/geo/place.ts'
import type { Problem } from '../../src/problem.ts'
import {
  CLIENTS,
  type CoordinateForm,
  degrees,
  ELSEWHERE,
  encodeTestDatabase,
  FIXTURE,
  type TestDatabase,
  type TestNetwork,
  type TestRecord,
  writeTestDatabase,
} from '../support/mmdb.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-geo-'))
afterAll(() => rmSync(folder, { recursive: true }))

function load(...files: string[]): { places: Places | undefined; problems: readonly Problem[] } {
  const problems: Problem[] = []
  const report = (problem: Problem): void => void problems.push(problem)
  const databases = openDatabases(files, report)
  return { places: databases && buildPlaces(databases, report), problems }
}

let files = 0
function write(database: TestDatabase | Buffer): string {
  const path = join(folder, `${files++}.mmdb`)
  if (Buffer.isBuffer(database)) writeFileSync(path, database)
  else writeTestDatabase(path, database)
  return path
}

function placesFrom(...databases: TestDatabase[]): Places {
  const { places, problems } = load(...databases.map(write))
  expect(problems).toEqual([])
  return places!
}

/** First and last address of each network of the fixture, what is next to them, and everybody's clients. */
function addresses(): string[] {
  const found = Object.values(CLIENTS).flatMap(({ v4, v6 }) => [v4, v6] as string[])
  for (const { prefix } of FIXTURE) {
    const { bytes, bits } = parsePrefix(prefix)!
    const last = bytes.map((byte, i) => byte | (255 >> Math.min(8, Math.max(0, bits - 8 * i))))
    found.push(formatAddress(bytes), formatAddress(last), formatAddress(step(bytes, -1)), formatAddress(step(last, 1)))
  }
  return found
}

function step(bytes: Uint8Array, by: 1 | -1): Uint8Array {
  const next = bytes.slice()
  for (let i = next.length - 1; i >= 0; i--) {
    next[i]! += by
    if (next[i] !== (by === 1 ? 0 : 255)) break
  }
  return next
}

const SHAPES = (['flat', 'maxmind'] as const).flatMap((schema) =>
  ([24, 28, 32] as const).flatMap((recordSize) =>
    ([4, 6] as const).map((ipVersion) => ({ schema, recordSize, ipVersion, aliases: ipVersion === 6 })),
  ),
)

interface FlatResponse {
  readonly country_code?: string
  readonly latitude?: number
  readonly longitude?: number
}

describe.each(SHAPES)('$schema, records of $recordSize bits, IPv$ipVersion', (shape) => {
  const path = write(shape)

  test('every place is the one that another reader finds', async () => {
    const { places, problems } = load(path)
    expect(problems).toEqual([])
    const reader = await open<Response & Partial<CityResponse> & FlatResponse>(path)
    let placed = 0
    for (const address of addresses()) {
      // asking an IPv4 file about IPv6 gives that reader a wrong place
      if (shape.ipVersion === 4 && address.includes(':')) continue
      const [record] = reader.getWithPrefixLength(address)
      const { country, latitude, longitude, continent, subdivision } = placeOf(places!, parseAddress(address)!)
      if (record) placed++
      expect(country).toBe(record?.country_code ?? record?.country?.iso_code ?? '')
      expect([latitude, longitude]).toEqual([
        record?.latitude ?? record?.location?.latitude ?? Number.NaN,
        record?.longitude ?? record?.location?.longitude ?? Number.NaN,
      ])
      if (shape.schema === 'maxmind') {
        expect(continent).toBe(ELSEWHERE.get(country) ?? record?.continent?.code ?? '')
        expect(subdivision).toBe(record?.subdivisions?.[0]?.iso_code ?? '')
      }
    }
    expect(placed).toBeGreaterThan(shape.ipVersion === 4 ? 200 : 500)
  })

  test('mmdblookup reads the file too', () => {
    const keys = shape.schema === 'flat' ? ['country_code'] : ['country', 'iso_code']
    const lookUp = (address: string): string =>
      spawnSync('mmdblookup', ['-f', path, '-i', address, ...keys], { encoding: 'utf8' }).stdout.trim()
    expect(lookUp(CLIENTS.jakarta.v4)).toBe('"ID" <utf8_string>')
    if (shape.ipVersion === 6) expect(lookUp(CLIENTS.tokyo.v6)).toBe('"JP" <utf8_string>')
  })
})

test('a country is on the continent where octoDNS has it; without a country the database’s own word counts', () => {
  const networks = [
    { prefix: '192.0.2.0/25', continent: 'EU', country: 'CY' },
    { prefix: '192.0.2.128/25', continent: 'EU', country: '' },
    { prefix: '198.51.100.0/24', continent: 'AF', country: 'QQ' },
  ]
  const places = placesFrom({ schema: 'maxmind', networks })
  const continents = ['192.0.2.1', '192.0.2.129', '198.51.100.1'].map(
    (address) => placeOf(places, parseAddress(address)!).continent,
  )
  expect(continents).toEqual(['AS', 'EU', 'AF'])
})

test('the flat schema: continent by country, American and Canadian states by name', () => {
  const places = placesFrom({ schema: 'flat' })
  expect(placeOf(places, parseAddress(CLIENTS.losAngeles.v4)!)).toMatchObject({
    continent: 'NA',
    country: 'US',
    subdivision: 'CA',
  })
  expect(placeOf(places, parseAddress(CLIENTS.paris.v6)!)).toMatchObject({
    continent: 'EU',
    country: 'FR',
    subdivision: '',
  })
})

test("MaxMind's schema with names instead of codes, as DB-IP writes it", () => {
  const networks = FIXTURE.map((network) => ({ ...network, subdivision: '' }))
  const places = placesFrom({ schema: 'maxmind', networks })
  expect(placeOf(places, parseAddress(CLIENTS.losAngeles.v6)!).subdivision).toBe('CA')
  expect(placeOf(places, parseAddress(CLIENTS.paris.v6)!).subdivision).toBe('')
})

const location = (latitude: number, longitude: number) => ({
  latitude: degrees(latitude),
  longitude: degrees(longitude),
})

describe('records that lack what others have', () => {
  const DE = { iso_code: 'DE', is_in_european_union: true }
  const networks: readonly TestRecord[] = [
    {
      prefix: '6.0.0.0/16',
      record: {
        continent: { code: 'EU' },
        location: { accuracy_radius: 1000, ...location(47, 8) },
        registered_country: DE,
      },
    },
    { prefix: '7.0.0.0/16', record: { registered_country: DE, traits: { is_satellite_provider: true } } },
    { prefix: '8.0.0.0/16', record: { country: { iso_code: 'FR' }, location: location(95, -434) } },
    { prefix: '9.0.0.0/16', record: { country: { iso_code: 'FR' }, location: { latitude: degrees(1) } } },
  ]
  const places = placesFrom({ schema: 'maxmind', networks })
  const at = (address: string): unknown[] => {
    const { continent, country, latitude, longitude } = placeOf(places, parseAddress(address)!)
    return [continent, country, latitude, longitude]
  }

  test('a registered country is where nobody is: the continent and its centre count', () => {
    expect(at('6.0.1.1')).toEqual(['EU', '', 47, 8])
  })

  test('a satellite provider is nowhere', () => {
    expect(at('7.0.1.1')).toEqual(['', '', Number.NaN, Number.NaN])
  })

  test('coordinates out of bounds, or one alone, are none', () => {
    for (const address of ['8.0.1.1', '9.0.1.1']) expect(at(address)).toEqual(['EU', 'FR', Number.NaN, Number.NaN])
  })
})

describe('coordinates in other types than doubles', () => {
  const french: TestNetwork = { prefix: '82.64.0.0/14', continent: 'EU', country: 'FR', latitude: -48, longitude: 2 }
  const shape = (schema: 'flat' | 'maxmind', coordinates: CoordinateForm): string =>
    write({ schema, networks: [french], coordinates })

  test.each(['flat', 'maxmind'] as const)('floats and signed integers are coordinates: %s', (schema) => {
    for (const form of ['double', 'float', 'int32'] as const) {
      const { places, problems } = load(shape(schema, form))
      expect(problems).toEqual([])
      expect(placeOf(places!, parseAddress('82.64.1.1')!)).toMatchObject({ latitude: -48, longitude: 2 })
    }
  })

  test.each(['flat', 'maxmind'] as const)('texts are another schema, doubles of 7 bytes a fault: %s', (schema) => {
    expect(faultOf(shape(schema, 'text'))).toMatch(/^geo-schema .*of type text, where a number is wanted/)
    expect(faultOf(shape(schema, 'double of 7 bytes'))).toMatch(/^geo-corrupt .*the double at \d+ has 7 bytes, not 8/)
  })

  test('a code that is no text is another schema', () => {
    const record = { country: { iso_code: 250 }, location: { latitude: degrees(1), longitude: degrees(2) } }
    const path = write({ schema: 'maxmind', networks: [{ prefix: '82.64.0.0/14', record }] })
    expect(faultOf(path)).toMatch(/^geo-schema .*of type uint32, where a text is wanted/)
  })
})

test('IPv4 and IPv6 in files of their own, in any order; the IPv4 file wins over IPv4 inside the other', () => {
  const v4: TestDatabase = { schema: 'flat', ipVersion: 4 }
  const v6: TestDatabase = { schema: 'maxmind', networks: FIXTURE.map((one) => ({ ...one, subdivision: 'XX' })) }
  for (const places of [placesFrom(v4, v6), placesFrom(v6, v4)]) {
    expect(placeOf(places, parseAddress(CLIENTS.newYork.v4)!)).toMatchObject({ country: 'US', subdivision: 'NY' })
    expect(placeOf(places, parseAddress(CLIENTS.newYork.v6)!)).toMatchObject({ country: 'US', subdivision: 'XX' })
  }
})

test('depth is that of the widest prefix with the same place', () => {
  const there = { continent: 'EU', country: 'DE', latitude: 1, longitude: 2 }
  const networks: TestNetwork[] = ['10.0.0.0/9', '10.128.0.0/10', '10.192.0.0/10', '11.0.0.0/8'].map((prefix) => ({
    ...there,
    prefix,
  }))
  const places = placesFrom({ schema: 'flat', networks })
  expect(placeOf(places, parseAddress('10.200.0.1')!)).toMatchObject({ country: 'DE', depth: 7 })
  expect(placeOf(places, parseAddress('12.0.0.1')!)).toMatchObject({ country: '', depth: 6 })
})

test('without a database nobody has a place, and IPv6 networks that fold are still apart', () => {
  const places = buildPlaces([], () => {})!
  expect(placeOf(places, parseAddress(CLIENTS.paris.v4)!)).toMatchObject({ continent: '', depth: 0 })
  expect(descend(places.v6, parseAddress('2002::')!)).toBe(PLACE_FOLDED * 256 + 16)
  expect(descend(places.v6, parseAddress('2003::')!)).toBe(16)
})

test('networks that fold: their own leaves whatever the database says, and their clients are looked up as IPv4', () => {
  const inside: TestNetwork[] = ['::ffff:0:0/96', '2002::/15', '2001::/16', '64::/16'].map((prefix) => ({
    ...FIXTURE[0]!,
    prefix,
  }))
  for (const places of [
    placesFrom({ schema: 'flat', aliases: true }),
    placesFrom({ schema: 'flat', networks: [...FIXTURE, ...inside] }),
  ]) {
    const leaf = (address: string): [number, number] => {
      const found = descend(places.v6, parseAddress(address)!)
      return [Math.floor(found / 256), found % 256]
    }
    expect(leaf('::ffff:82.64.1.1')).toEqual([PLACE_FOLDED, 96])
    expect(leaf('2002:5240:101::1')).toEqual([PLACE_FOLDED, 16])
    expect(leaf('2001::1')).toEqual([PLACE_FOLDED, 32])
    expect(leaf('64:ff9b::5240:101')).toEqual([PLACE_FOLDED, 96])
    expect(leaf('::82.64.1.1')[0]).toBe(0)
    for (const address of [
      '::ffff:114.120.1.1',
      '2002:7278:101::1',
      '64:ff9b::7278:101',
      `2001::${hex(~0x72780101)}`,
    ]) {
      expect(placeOf(places, parseAddress(address)!).country).toBe('ID')
    }
  }
})

const hex = (word: number): string => `${((word >>> 16) & 0xffff).toString(16)}:${(word & 0xffff).toString(16)}`

/** The one problem of opening these, code and message. */
function faultOf(...paths: string[]): string {
  const { places, problems } = load(...paths)
  expect(places).toBeUndefined()
  expect(problems).toHaveLength(1)
  expect(problems[0]!.file).toBe(paths.at(-1))
  return `${problems[0]!.code} ${problems[0]!.message}`
}

/** Metadata with another number under a key. */
function lie(good: Buffer, key: string, value: number): Buffer {
  const bad = Buffer.from(good)
  const at = bad.indexOf(key) + key.length + 1
  bad[at + (bad[at - 1]! & 31) - 1] = value
  return bad
}

describe('a file that is none', () => {
  const good = encodeTestDatabase({ schema: 'maxmind' })
  test('missing, empty, a folder, something else', () => {
    expect(faultOf(join(folder, 'missing.mmdb'))).toMatch(/^geo-unreadable .*ENOENT/)
    expect(faultOf(folder)).toMatch(/^geo-unreadable .*it is a folder where a file must be/)
    expect(faultOf(write(Buffer.alloc(0)))).toMatch(/^geo-corrupt .*metadata is missing/)
    expect(faultOf(write(Buffer.alloc(5000, 7)))).toMatch(/^geo-corrupt .*metadata is missing/)
  })

  test('every fault of several files is told at once', () => {
    const { problems } = load(join(folder, 'missing.mmdb'), write(Buffer.alloc(3)))
    expect(problems.map(({ code }) => code)).toEqual(['geo-unreadable', 'geo-corrupt'])
  })

  test('cut short anywhere', () => {
    for (let length = 0; length < good.length; length += 211)
      expect(faultOf(write(good.subarray(0, length)))).toMatch(/^geo-corrupt/)
    for (let cut = 1; cut < 60; cut++)
      expect(faultOf(write(good.subarray(0, good.length - cut)))).toMatch(/^geo-corrupt/)
  })

  test('half written: a new beginning before an old end, a hole, a beginning lost', () => {
    const other = encodeTestDatabase({ schema: 'maxmind', recordSize: 32 })
    expect(
      faultOf(write(Buffer.concat([other.subarray(0, good.length >> 1), good.subarray(good.length >> 1)]))),
    ).toMatch(/^geo-corrupt/)
    const hole = Buffer.from(good)
    hole.fill(0, good.length >> 1, good.length - 400)
    expect(load(write(hole)).problems.length).toBeLessThan(2) // zeros are networks without a place where they are records
    expect(faultOf(write(good.subarray(4096)))).toMatch(/^geo-corrupt/)
  })

  test('any byte wrong: a Problem or other places, never an exception or a hang', () => {
    let rejected = 0
    for (let i = 0; i < good.length; i += 31) {
      const bad = Buffer.from(good)
      bad[i]! ^= 1 + ((i * 37) % 255)
      const { places, problems } = load(write(bad))
      expect(problems).toHaveLength(places === undefined ? 1 : 0)
      if (places === undefined) rejected++
    }
    expect(rejected).toBeGreaterThan(8)
  })

  test('metadata that lies about the tree', () => {
    expect(faultOf(write(lie(good, 'record_size', 29)))).toMatch(/record size is 29/)
    expect(faultOf(write(lie(good, 'ip_version', 5)))).toMatch(/IP version is 5/)
    expect(faultOf(write(lie(good, 'binary_format_major_version', 3)))).toMatch(/version is 3/)
    expect(faultOf(write(lie(good, 'node_count', 255)))).toMatch(/search tree/)
    expect(faultOf(write(lie(good, 'record_size', 32)))).toMatch(/search tree/)
  })

  test('a tree that loops, records that lead nowhere, pointers to pointers', () => {
    const treeBytes = good.indexOf(Buffer.alloc(16))
    const loop = Buffer.from(good)
    loop.fill(0, 0, 7) // both records of node 0 lead to node 0
    expect(faultOf(write(loop))).toMatch(/deeper than an address|no tree/)
    const nowhere = Buffer.from(good)
    nowhere.writeUIntBE(0xffffff, 0, 3)
    expect(faultOf(write(nowhere))).toMatch(/leads to offset/)
    const pointer = Buffer.from(good)
    pointer.fill(0x20, treeBytes + 16, treeBytes + 400)
    expect(faultOf(write(pointer))).toMatch(/leads to another/)
  })

  test('two for one family, and one that tells no places', () => {
    expect(faultOf(write(good), write(good))).toMatch(/^geo-schema .*IPv6/)
    const asn = write({ schema: 'maxmind', networks: [{ prefix: '10.0.0.0/8', continent: '', country: '' }] })
    expect(faultOf(asn)).toMatch(/^geo-schema .*neither countries nor coordinates/)
  })
})
