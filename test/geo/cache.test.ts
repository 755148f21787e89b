import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCache } from '../../src/geo/cache.ts'
import { openDatabases } from '../../src/geo/database.ts'
import { allocateShared } from '../../src/geo/memory.ts'
import { loadPlaces } from '../../src/geo/place.ts'
import { writeTestDatabase } from '../support/mmdb.ts'

const INTS = Int32Array.from({ length: 1000 }, (_, i) => i * i - 7)
const DOUBLES = Float64Array.of(0.5, Number.NaN, -1e300)

let folder = ''
let warnings: string[] = []
const open = (at = folder): ReturnType<typeof openCache> => openCache(at, (message) => void warnings.push(message))

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-cache-'))
  warnings = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('what was written is read back into shared memory, by another process too', () => {
  open().write('a key', [INTS, DOUBLES, new Int32Array(0)])
  const [ints, doubles, none] = open().read('a key', (bytes) => new SharedArrayBuffer(bytes + 64)) ?? []
  expect(ints).toEqual(INTS)
  expect(ints!.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(new Float64Array(doubles!.buffer, 0, doubles!.length / 2)).toEqual(DOUBLES)
  expect(none).toHaveLength(0)
  expect(open().read('another key', allocateShared)).toBeUndefined()
  expect(warnings).toEqual([])
})

test('writing again replaces', () => {
  open().write('a key', [INTS])
  open().write('a key', [Int32Array.of(1)])
  expect(open().read('a key', allocateShared)).toEqual([Int32Array.of(1)])
  expect(readdirSync(folder)).toHaveLength(1)
})

test('a damaged file is as good as none, wherever the damage is', () => {
  open().write('a key', [INTS, DOUBLES])
  const path = join(folder, readdirSync(folder)[0]!)
  const good = readFileSync(path)
  for (let i = 0; i < good.length; i += i < 200 ? 1 : 97) {
    const bad = Buffer.from(good)
    bad[i]! ^= 1 + (i % 255)
    writeFileSync(path, bad)
    expect(open().read('a key', allocateShared)).toBeUndefined()
  }
  for (const length of [0, 7, 16, 40, 1000, good.length - 1]) {
    writeFileSync(path, good.subarray(0, length))
    expect(open().read('a key', allocateShared)).toBeUndefined()
  }
  writeFileSync(path, Buffer.concat([good, Buffer.alloc(1)]))
  expect(open().read('a key', allocateShared)).toBeUndefined()
  writeFileSync(path, good)
  expect(open().read('a key', allocateShared)).toBeDefined()
})

test('a file of another key under the name of this one is foreign', () => {
  open().write('a key', [INTS])
  const [mine] = readdirSync(folder)
  open().write('another key', [INTS])
  const other = readdirSync(folder).find((file) => file !== mine)!
  writeFileSync(join(folder, other), readFileSync(join(folder, mine!)))
  expect(open().read('another key', allocateShared)).toBeUndefined()
})

test('what is no longer wanted goes; strangers stay', () => {
  const cache = open()
  cache.write('old', [INTS])
  cache.write('new', [INTS])
  const kept = readdirSync(folder).length - 1
  writeFileSync(join(folder, 'README'), '')
  cache.retain(['new'])
  expect(readdirSync(folder).filter((file) => /^[^.]{32}\.cache$/.test(file))).toHaveLength(kept)
  expect(
    readdirSync(folder)
      .filter((file) => !/^[^.]{32}\.cache$/.test(file))
      .toSorted(),
  ).toEqual(['README'])
  expect(cache.read('old', allocateShared)).toBeUndefined()
  expect(cache.read('new', allocateShared)).toEqual([INTS])
})

test('a folder that takes nothing is a warning', () => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const cache = open(join(file, 'below'))
  cache.write('a key', [INTS])
  cache.retain([])
  expect(cache.read('a key', allocateShared)).toBeUndefined()
  expect(warnings).toEqual([expect.stringMatching(/could not be kept.*ENOTDIR/)])
})

test('a disk that fills up while writing is a warning, and what was there stays', () => {
  // a limit on the size of files makes this process's writes fall short as a full disk does
  open().write('a key', [INTS])
  const script = `
    import { openCache } from ${JSON.stringify(join(import.meta.dirname, '../../src/geo/cache.ts'))}
    process.on('SIGXFSZ', () => {})
    openCache(${JSON.stringify(folder)}, console.log).write('a key', [new Int32Array(1e6)])`
  const limited = ['-c', 'ulimit -f 64; exec "$0" --input-type=module-typescript -e "$1"', process.execPath, script]
  expect(spawnSync('bash', limited, { encoding: 'utf8' }).stdout).toMatch(/could not be kept.*EFBIG/)
  expect(open().read('a key', allocateShared)).toEqual([INTS])
  expect(readdirSync(folder)).toHaveLength(1)
})

const unexpected = (problem: unknown): void => expect.fail(JSON.stringify(problem))

test('places come back as they were', () => {
  const path = join(folder, 'city.mmdb')
  writeTestDatabase(path, { schema: 'maxmind', aliases: true })
  const databases = openDatabases([path], unexpected)!
  const state = join(folder, 'state')
  const made = loadPlaces(databases, open(state), unexpected)
  const [file] = readdirSync(state)
  chmodSync(join(state, file!), 0o400)
  const read = loadPlaces(databases, open(state), unexpected)
  expect(read).toEqual(made)
  expect(read!.v4.nodes.buffer).toBeInstanceOf(SharedArrayBuffer)
})
