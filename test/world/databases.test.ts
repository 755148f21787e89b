/**
 * Broken and strange databases, named like MaxMind's own test databases with the same defects: each is refused with its
 * reason, or used, and alike at a check, at a start and at a reload, where the places before stay.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAddress } from '../../src/dns/address.ts'
import { placeOf } from '../../src/geo/place.ts'
import { type BuildReport, type BuildResult, makeBuilder, type WorldBuild } from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { CLIENTS, COUNTRIES, encodeTestDatabase, FIXTURE, type TestDatabase } from '../support/mmdb.ts'

const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}}, check: none}\n',
  'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
}

const encode = (database: Omit<TestDatabase, 'schema'> = {}): Buffer =>
  encodeTestDatabase({ schema: 'maxmind', buildEpoch: 1_790_000_007, ...database })
const MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
/** The first byte of the data section. */
const dataOf = (bytes: Buffer): number => bytes.indexOf(Buffer.alloc(16)) + 16

/** The database with bytes changed. */
function changed(change: (bytes: Buffer, data: number) => void, bytes = encode()): Buffer {
  const copy = Buffer.from(bytes)
  change(copy, dataOf(copy))
  return copy
}

/** The database with another value in its metadata. `value`: encoded. */
function withMetadata(key: string, value: Buffer): Buffer {
  const bytes = encode()
  const at = bytes.indexOf(key, bytes.lastIndexOf(MARKER)) + key.length
  const size = (bytes[at]! & 31) + (bytes[at]! >> 5 === 0 ? 2 : 1)
  return Buffer.concat([bytes.subarray(0, at), value, bytes.subarray(at + size)])
}

/** Codes and messages of those that are refused. */
const REFUSED: Readonly<Record<string, readonly [database: () => Buffer, told: RegExp]>> = {
  'GeoIP2-City-Test-Broken-Double-Format': [
    () => encode({ coordinates: 'double of 7 bytes' }),
    /^geo-corrupt .*the double at \d+ has 7 bytes, not 8/,
  ],
  'GeoIP2-City-Test-Invalid-Node-Count': [
    () => withMetadata('node_count', Buffer.from([0xc4, 0, 1, 0x86, 0xa0])),
    /^geo-corrupt .*a search tree of 100000 nodes does not fit/,
  ],
  'MaxMind-DB-test-broken-pointers-24': [
    () => changed((bytes, data) => bytes.fill(0x3f, data, data + 400)),
    /^geo-corrupt .*a (value|pointer) at \d+|^geo-corrupt .*leads to another/,
  ],
  'MaxMind-DB-test-broken-search-tree-24': [
    () => changed((bytes) => bytes.writeUIntBE(0xffffff, 0, 3), encode({ recordSize: 24 })),
    /^geo-corrupt .*leads to offset/,
  ],
  'MaxMind-DB-string-value-entries': [
    () => encode({ networks: [{ prefix: '82.64.0.0/14', record: 'Paris' }] }),
    /^geo-corrupt .*is no map/,
  ],
  'MaxMind-DB-no-ipv4-search-tree': [
    () => encode({ networks: [{ prefix: '8000::/1', record: 'a text' }] }),
    /^geo-corrupt .*is no map/,
  ],
  'MaxMind-DB-test-decoder': [
    () => encode({ networks: [{ prefix: '82.64.0.0/14', record: { boolean: true, utf8_string: 'x', uint32: 1 } }] }),
    /^geo-schema .*neither countries nor coordinates/,
  ],
  'cyclic-data-structure': [
    // a pointer to itself in place of the first record
    () => changed((bytes, data) => bytes.writeUInt16BE(0x2000, data)),
    /^geo-corrupt .*leads to another/,
  ],
  'invalid-data-record-offset': [
    () => changed((bytes) => bytes.writeUIntBE(0xfffff0, 3, 3), encode({ recordSize: 24 })),
    /^geo-corrupt .*leads to offset/,
  ],
  'libmaxminddb-offset-integer-overflow': [
    () => changed((bytes, data) => bytes.set([0x38, 255, 255, 255, 255], data)),
    /^geo-corrupt .*a value at 4294\d+ lies outside/,
  ],
  'invalid-bytes-length': [
    () => Buffer.concat([Buffer.alloc(16), MARKER, Buffer.from([0xe1, 0x9f])]),
    /^geo-corrupt .*a value at \d+ is cut off/,
  ],
  'invalid-map-key-length': [
    () =>
      changed((bytes) => {
        bytes[bytes.indexOf('record_size', bytes.lastIndexOf(MARKER)) - 1] = 0x5c
      }),
    /^geo-corrupt .*a value at \d+ (reaches beyond|lies outside)/,
  ],
  'unexpected-bytes': [() => encode().subarray(0, -1), /^geo-corrupt .*a value at \d+ reaches beyond/],
  'invalid-string-length': [() => changed((bytes, data) => bytes.fill(0x5f, data + 1, data + 2)), /^geo-corrupt /],
  'metadata-is-an-uint128': [
    () => {
      const bytes = encode()
      const at = bytes.lastIndexOf(MARKER) + MARKER.length
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([0x10, 3]), Buffer.alloc(16, 1)])
    },
    /^geo-corrupt .*its format version is NaN, not 2/,
  ],
  'coordinates that are texts': [
    () => encode({ coordinates: 'text' }),
    /^geo-schema .*of type text, where a number is wanted/,
  ],
}

/** Those that are used. */
const USED: Readonly<Record<string, () => Buffer>> = {
  'uint64-max-epoch': () => withMetadata('build_epoch', Buffer.from([8, 2, 255, 255, 255, 255, 255, 255, 255, 255])),
  'coordinates that are signed integers': () => encode({ coordinates: 'int32' }),
  'coordinates that are floats': () => encode({ coordinates: 'float' }),
}

let folder = ''
let city = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-databases-'))
  city = join(folder, 'city.mmdb')
  mkdirSync(join(folder, 'zones'))
  for (const [file, text] of Object.entries(ZONES)) writeFileSync(join(folder, 'zones', file), text)
})
afterEach(() => rmSync(folder, { recursive: true }))

const checking = () => makeBuilder({ zones: join(folder, 'zones'), city: [city], listens: [4, 6] })
const serving = () =>
  makeBuilder({
    zones: join(folder, 'zones'),
    city: [city],
    listens: [4, 6],
    state: folder,
    cache: join(folder, 'cache'),
    tidiesCache: true,
  })
const told = ({ problems }: BuildReport): string[] => problems.map(({ code, message }) => `${code} ${message}`)
const tokyo = (built: BuildResult<WorldBuild>): string =>
  placeOf(madeOf(built).context.places, parseAddress(CLIENTS.tokyo.v4)!).country

describe.each(Object.entries(REFUSED))('%s', (_, [database, reason]) => {
  test('a check fails', async () => {
    writeFileSync(city, database())
    const result = await checking().build()
    expect([result.kind, told(result)]).toEqual(['refused', [expect.stringMatching(reason)]])
    expect(result.problems[0]).toMatchObject({ severity: 'error', file: city })
  })

  test('a first start serves the zones without places, and says so', async () => {
    writeFileSync(city, database())
    const result = await serving().build()
    expect(told(result)).toEqual([expect.stringMatching(reason)])
    expect([result.fallback, tokyo(result)]).toEqual([{ databases: 'none' }, ''])
  })

  test('a reload, and a start after it, go on with the places before', async () => {
    writeFileSync(city, encodeTestDatabase({ schema: 'maxmind' }))
    const node = serving()
    expect(told(await node.build())).toEqual([])
    writeFileSync(`${city}.new`, database())
    copyFileSync(`${city}.new`, city)
    // a zone of its own makes it another World
    writeFileSync(join(folder, 'zones/example.org.yaml'), ZONES['example.com.yaml'])
    for (const result of [await node.build({ inUse: true }), await serving().build()]) {
      expect(told(result)).toEqual([expect.stringMatching(reason)])
      expect([result.fallback, tokyo(result)]).toEqual([{ databases: 'last good' }, 'JP'])
    }
  })
})

describe.each(Object.entries(USED))('%s', (_, database) => {
  test('is used at a check, a start and a reload', async () => {
    writeFileSync(
      city,
      encodeTestDatabase({ schema: 'maxmind', networks: FIXTURE.slice(0, 3).concat(COUNTRIES.slice(3)) }),
    )
    const node = serving()
    await node.build()
    writeFileSync(city, database())
    const { latitude } = placeOf(madeOf(await checking().build()).context.places, parseAddress(CLIENTS.paris.v4)!)
    expect(Math.round(latitude)).toBe(49)
    for (const result of [await checking().build(), await serving().build(), await node.build()]) {
      expect([told(result), tokyo(result)]).toEqual([[], 'JP'])
    }
    const [source] = madeOf(await checking().build()).context.databases
    expect(source!.builtSeconds > 0 ? new Date(source!.builtSeconds * 1000).toISOString() : 'unknown').toBeTruthy()
  })
})
