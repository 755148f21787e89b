/** What a process that goes on serves where the disk has errors: the last good zones and databases, each for itself. */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAddress } from '../../src/dns/address.ts'
import { placeOf } from '../../src/geo/place.ts'
import {
  type BuildReport,
  type BuildResult,
  makeBuilder,
  makeTargetBuilder,
  type WorldBuild,
  type WorldBuilder,
} from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { CLIENTS, FIXTURE, SYSTEMS, writeTestDatabase } from '../support/mmdb.ts'
import { writeFiles } from '../support/repository.ts'

const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: h.demo.example., serial: 7}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
  'services/web.yaml':
    'web:\n  sites:\n    fra: {vips: [192.0.2.1]}\n    iad: {vips: [192.0.2.2]}\n  rules: [{subnets: !include office.yaml, order: [iad]}]\n  check: none\n',
  'services/office.yaml': '[10.0.0.0/8]\n',
  'demo.example.yaml':
    '"": {type: NS, values: [ns1.demo.example.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n',
  'split.example./$apex.yaml': '"": !include ../../shared/ns.yaml\n',
  'split.example./www.yaml': 'www: {type: A, values: [192.0.2.80]}\n',
}

let folder = ''
let zones = ''
let city = ''
let epoch = 1_790_000_000
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-last-good-'))
  zones = join(folder, 'git', 'zones')
  city = join(folder, 'city.mmdb')
  mkdirSync(join(folder, 'git', '.git'), { recursive: true })
  writeFiles(join(folder, 'git'), { 'shared/ns.yaml': '{type: NS, values: [ns1.demo.example.]}\n' })
  writeFiles(zones, ZONES)
  writeCity()
})
afterEach(() => rmSync(folder, { recursive: true }))

const writeCity = (networks = FIXTURE): void =>
  writeTestDatabase(city, { schema: 'maxmind', networks, buildEpoch: ++epoch })
/** As after a restart. */
const restart = (state = join(folder, 'state'), asn: readonly string[] = []): WorldBuilder =>
  makeBuilder({ zones, city: [city], asn, cache: join(folder, 'cache'), tidiesCache: true, state })
/** Of a process that has served for a moment, and is gone. */
async function serveOnce(): Promise<BuildResult<WorldBuild>> {
  const builder = restart()
  const built = await builder.build()
  expect([codesOf(built, 'error'), built.fallback, builder.saveLastGood()]).toEqual([[], undefined, undefined])
  return built
}
const codesOf = ({ problems }: BuildReport, severity: string): readonly string[] =>
  problems.filter((problem) => problem.severity === severity).map(({ code }) => code)
const file = (): string => join(folder, 'state', 'last-good')
const truncate = (): void => truncateSync(city, 1000)
const paris = (built: BuildResult<WorldBuild>): string =>
  placeOf(madeOf(built).context.places, parseAddress(CLIENTS.paris.v4)!).country

describe('zones with errors', () => {
  const faults: readonly (readonly [string, () => void])[] = [
    ['no YAML', () => writeFiles(zones, { 'demo.example.yaml': '"": [\n' })],
    ['conflict markers', () => writeFiles(zones, { 'sites.yaml': '<<<<<<< HEAD\nfra: {}\n=======\n>>>>>>> x\n' })],
    ['no folder', () => rmSync(zones, { recursive: true })],
    ['an empty folder', () => (rmSync(zones, { recursive: true }), mkdirSync(zones))],
    ['an include that is gone', () => rmSync(join(folder, 'git/shared'), { recursive: true })],
    ['a folder of a zone that is gone', () => rmSync(join(zones, 'services'), { recursive: true })],
    ['a link to nowhere', () => (rmSync(zones, { recursive: true }), symlinkSync('gone', zones))],
  ]
  test.each(faults)('%s: a start has those before, and the view of nodes that never restarted', async (_, spoil) => {
    const before = await serveOnce()
    spoil()
    const node = restart()
    const built = await node.build({ serialFloor: 7 })
    expect(codesOf(built, 'error')).not.toEqual([])
    expect(madeOf(built)).toMatchObject({ view: madeOf(before).view, nameCount: madeOf(before).nameCount, serial: 7 })
    expect(madeOf(built).plan).toEqual(madeOf(before).plan)
    expect(built.fallback).toEqual({ zones: { revision: undefined, loadedMs: expect.any(Number) } })
    // again: the same, so nothing new; and what is good is not lost by what is not
    expect(await node.build({ ifChanged: false })).toMatchObject({ kind: 'unchanged', fallback: { zones: {} } })
    expect(node.saveLastGood()).toBe(undefined)
    writeFiles(join(folder, 'git'), { 'shared/ns.yaml': '{type: NS, values: [ns1.demo.example.]}\n' })
    rmSync(zones, { recursive: true, force: true })
    writeFiles(zones, ZONES)
    const repaired = await node.build({ ifChanged: true })
    expect([repaired.fallback, repaired.kind]).toEqual([undefined, 'unchanged'])
  })

  test('the first start there is has nothing good', async () => {
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    const built = await restart().build()
    expect([built.kind, built.fallback]).toEqual(['refused', undefined])
  })

  test('new databases are used with the zones before', async () => {
    const node = restart()
    expect(paris(await node.build())).toBe('FR')
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    writeCity(FIXTURE.map((network) => ({ ...network, country: 'BR' })))
    const built = await node.build({ ifChanged: true })
    expect([paris(built), built.fallback]).toEqual(['BR', { zones: expect.anything() }])
  })

  test('a serial that nobody wrote stays', async () => {
    writeFiles(zones, { 'defaults.yaml': '{}\n' })
    await serveOnce()
    const before = statSync(file()).ino
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    const built = await restart().build()
    expect(madeOf(built).serial).toBe(1)
    expect(statSync(file()).ino).toBe(before)
  })

  test('a prober goes on with the targets before', async () => {
    writeFiles(zones, {
      'services/web.yaml': ZONES['services/web.yaml'].replace('check: none', 'check: {type: tcp, port: 80}'),
    })
    const prober = () => makeTargetBuilder({ zones, state: join(folder, 'state') })
    const first = prober()
    const before = await first.build()
    first.saveLastGood()
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    const built = await prober().build()
    const { plan } = madeOf(before)
    expect(plan.targets).not.toEqual([])
    expect(built).toMatchObject({ made: { plan }, fallback: { zones: {} } })
  })
})

describe('what is kept', () => {
  test('is written once, and again only for other zones', async () => {
    const node = restart()
    await node.build()
    node.saveLastGood()
    const { ino } = statSync(file())
    await node.build()
    node.saveLastGood()
    const other = restart()
    await other.build()
    other.saveLastGood()
    expect(statSync(file()).ino).toBe(ino)
    writeFiles(zones, { 'split.example./www.yaml': 'www: {type: A, values: [192.0.2.81]}\n' })
    await other.build()
    other.saveLastGood()
    expect(statSync(file()).ino).not.toBe(ino)
  })

  test('is not what changed after it was loaded', async () => {
    const node = restart()
    await node.build()
    writeFiles(zones, { 'split.example./www.yaml': 'www: [\n' })
    expect(node.saveLastGood()).toMatch(/www\.yaml has changed meanwhile$/)
    await node.build()
    writeFiles(zones, ZONES)
    await node.build()
    expect(node.saveLastGood()).toBe(undefined)
  })

  test.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length - 20)],
    ['of another version', () => Buffer.from('meridian zones 0\n')],
    [
      'changed in the middle',
      (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 1 : byte))),
    ],
    ['empty', () => Buffer.alloc(0)],
  ])('%s is of no use, and says so', async (_, spoil) => {
    await serveOnce()
    writeFileSync(file(), spoil(readFileSync(file())))
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    const built = await restart().build()
    expect(built.kind).toBe('refused')
    expect(built.problems).toContainEqual(
      expect.objectContaining({
        severity: 'warning',
        file: file(),
        message: expect.stringContaining('served last can'),
      }),
    )
    // and is replaced by what is good
    writeFiles(zones, ZONES)
    await serveOnce()
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    expect((await restart().build()).kind).toBe('made')
  })

  test('is told when it can not be written', async () => {
    const node = restart(join(city, 'state'))
    expect((await node.build()).kind).toBe('made')
    expect(node.saveLastGood()).toMatch(
      /^the zones that are served can't be kept for the next start in .*(ENOTDIR|EEXIST)/,
    )
  })
})

describe('databases of no use', () => {
  test('block no zones: a reload goes on with those before', async () => {
    const node = restart()
    await node.build()
    truncate()
    writeFiles(zones, { 'split.example./www.yaml': 'new: {type: A, values: [192.0.2.81]}\n' })
    const built = await node.build({ ifChanged: true })
    expect([codesOf(built, 'error'), built.fallback]).toEqual([['geo-corrupt'], { databases: 'last good' }])
    expect([madeOf(built).zoneCount, paris(built)]).toEqual([2, 'FR'])
    expect(await node.build({ ifChanged: true })).toMatchObject({
      kind: 'unchanged',
      fallback: { databases: 'last good' },
    })
    writeCity()
    expect((await node.build({ ifChanged: true })).fallback).toBe(undefined)
  })

  test('nor a start, again and again: the cache keeps those before', async () => {
    const before = await serveOnce()
    truncate()
    for (const build of [1, 2]) {
      writeFiles(zones, { 'split.example./www.yaml': `new${build}: {type: A, values: [192.0.2.81]}\n` })
      const built = await restart().build()
      expect([built.fallback, paris(built)]).toEqual([{ databases: 'last good' }, 'FR'])
      expect(madeOf(built).context.places.id).toBe(madeOf(before).context.places.id)
    }
    rmSync(city)
    expect((await restart().build()).fallback).toEqual({ databases: 'last good' })
  })

  test('and where none are known no client has a place', async () => {
    truncate()
    const node = restart()
    const built = await node.build()
    expect([built.fallback, paris(built), codesOf(built, 'error')]).toEqual([
      { databases: 'none' },
      '',
      ['geo-corrupt'],
    ])
    writeCity()
    const repaired = await node.build({ ifChanged: true })
    expect([repaired.fallback, paris(repaired)]).toEqual([undefined, 'FR'])
  })

  test('one of the city does not take the systems along', async () => {
    const asn = join(folder, 'asn.mmdb')
    writeTestDatabase(asn, { schema: 'maxmind', networks: SYSTEMS, buildEpoch: ++epoch })
    truncate()
    const built = await restart(undefined, [asn]).build()
    expect(built.fallback).toEqual({ databases: 'none' })
    expect(madeOf(built).context.places.asns).toBeDefined()
  })
})

test('after a compile thread that died nothing on disk is looked at', async () => {
  const before = await serveOnce()
  writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
  truncateSync(city, 1000)
  const built = await restart().build({ lastGood: true })
  expect(built.problems).toEqual([])
  expect([madeOf(built).view, paris(built)]).toEqual([madeOf(before).view, 'FR'])
  expect(built.fallback).toMatchObject({ zones: {}, databases: 'last good' })
})

describe('while a World is served whose compile thread is gone', () => {
  test('it goes on where zones have errors: those that are kept may be older', async () => {
    await serveOnce()
    writeFiles(zones, { 'demo.example.yaml': 'www: [\n' })
    const built = await restart().build({ inUse: true })
    expect(codesOf(built, 'error')).not.toEqual([])
    expect([built.kind, built.fallback]).toEqual(['refused', undefined])
  })

  test('it goes on where databases have errors and none are kept: nobody loses its place', async () => {
    truncate()
    const built = await restart().build({ inUse: true })
    expect(codesOf(built, 'error')).not.toEqual([])
    expect([built.kind, built.fallback]).toEqual(['refused', undefined])
  })

  test('zones are loaded with the databases that are kept', async () => {
    await serveOnce()
    truncate()
    const built = await restart().build({ inUse: true })
    expect([paris(built), built.fallback]).toEqual(['FR', { databases: 'last good' }])
  })
})
