/** Whose clients a reload moves: what the builder reports of each World against the one before. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { samplesOf } from '../../src/api/samples.ts'
import { statusOf } from '../../src/api/status.ts'
import { nodeInWords } from '../../src/cli/status.ts'
import { serviceMoves, type Steering, type WorldMoves } from '../../src/traffic/service-moves.ts'
import { movingInWords } from '../../src/traffic/words.ts'
import { makeBuilder, type WorldBuild, type WorldBuilder } from '../../src/world/build.ts'
import { served } from '../cli/fleet.ts'
import { madeOf } from '../support/build.ts'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'

const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: h.demo.example., serial: 7}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml':
    'web: {sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}, sin: {vips: [192.0.2.3]}}, check: none}\n' +
    'one: {sites: {sin: {vips: [192.0.2.9]}}, check: none}\n',
  'demo.example.yaml':
    '"": {type: NS, values: [ns1.demo.example.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n',
}

let folder = ''
let node: WorldBuilder

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-moves-'))
  mkdirSync(join(folder, 'zones'))
  for (const [file, text] of Object.entries(ZONES)) write(file, text)
  const city = join(folder, 'city.mmdb')
  writeTestDatabase(city, { schema: 'maxmind', networks: FIXTURE, buildEpoch: 1_790_000_000 })
  node = makeBuilder({ zones: join(folder, 'zones'), city: [city] })
  expect((await build()).moves).toBeNull()
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (file: string, text: string): void => writeFileSync(join(folder, 'zones', file), text)

function edit(file: keyof typeof ZONES, from: string, to: string): void {
  expect(ZONES[file]).toContain(from)
  write(file, ZONES[file].replace(from, to))
}

const build = async (): Promise<WorldBuild> => madeOf(await node.build())
const steeringOf = ({ world, context, plan }: WorldBuild): Steering => ({ world, plan, places: context.places })
const moved = async (): Promise<WorldMoves> => (await build()).moves!

test('swapped coordinates move both continents, and putting them right moves them back', async () => {
  edit(
    'sites.yaml',
    '[50.11, 8.68]}\niad: {location: [38.95, -77.45]',
    '[38.95, -77.45]}\niad: {location: [50.11, 8.68]',
  )
  const swapped = await moved()
  expect(swapped.services).toEqual([
    expect.objectContaining({
      service: 'web',
      before: 'web',
      moves: expect.arrayContaining([
        expect.objectContaining({ from: 'fra', to: 'iad' }),
        expect.objectContaining({ from: 'iad', to: 'fra' }),
      ]),
    }),
  ])
  expect(swapped.services[0]!.continents.map(({ place }) => place)).toEqual(expect.arrayContaining(['EU', 'NA']))
  expect(movingInWords(swapped)).toMatch(
    /^clients move: [\d.]+ % of the IPv\d clients of web \([\d.]+ % (fra → iad|iad → fra), [\d.]+ % (fra → iad|iad → fra)\)$/,
  )
  write('sites.yaml', ZONES['sites.yaml'])
  expect((await moved()).services[0]!.moved).toBeCloseTo(swapped.services[0]!.moved, 9)
})

test('status and metrics say it until the next change', async () => {
  edit('sites.yaml', '[1.36, 103.99]', '[1.36, 103.99], drained: true')
  const made = await build()
  const shown = { ...served(), made }
  const status = statusOf(shown)
  expect(status.world!.moves).toEqual(made.moves)
  expect(nodeInWords(status).replaceAll(/\s+/g, ' ')).toMatch(
    /the last change: clients move: [\d.]+ % of the IPv\d clients of web \([\d.]+ % sin → \w+/,
  )
  const { moved: share } = made.moves!.services[0]!
  expect(share).toBeGreaterThan(0.01)
  expect(samplesOf(shown).meridian_world_moved_ratio).toEqual([[share]])
  write('sites.yaml', `# a comment\n${ZONES['sites.yaml']}`.replace('103.99]', '103.99], drained: true'))
  expect(samplesOf({ ...shown, made: await build() }).meridian_world_moved_ratio).toEqual([[0]])
  expect(samplesOf(served()).meridian_world_moved_ratio).toEqual([[0]])
})

test('a site that is drained in the files moves its clients, in every service that has another', async () => {
  edit('sites.yaml', '[1.36, 103.99]', '[1.36, 103.99], drained: true')
  const { services } = await moved()
  expect(services.map(({ service, moves }) => [service, new Set(moves.map(({ from }) => from))])).toEqual([
    ['web', new Set(['sin'])],
  ])
})

test('another VIP at the same site, static records and comments move nobody', async () => {
  edit('services.yaml', '192.0.2.1]', '192.0.2.77]')
  expect(movingInWords(await moved())).toBe('no clients move')
  edit('demo.example.yaml', 'ns1: ', 'more: {type: A, value: 192.0.2.8}\nns1: ')
  expect(await moved()).toEqual({ services: [], uncounted: 0 })
})

test('a name that changes its service moves that name’s clients', async () => {
  edit('demo.example.yaml', 'service: web', 'service: one')
  const { services } = await moved()
  expect(services).toEqual([expect.objectContaining({ service: 'one', before: 'web' })])
  expect(new Set(services[0]!.moves.map(({ to }) => to))).toEqual(new Set(['sin']))
  expect(movingInWords({ services, uncounted: 0 })).toContain('of names of web, now of one (')
})

test('what is not counted for lack of time is said', async () => {
  const before = steeringOf(await build())
  edit('sites.yaml', '[1.36, 103.99]', '[50.2, 8.7]')
  const after = steeringOf(await build())
  expect(serviceMoves(before, after, [], Infinity)).toMatchObject({ services: [{ service: 'web' }], uncounted: 0 })
  const none = serviceMoves(before, after, [], -1)
  expect(none).toEqual({ services: [], uncounted: 2 })
  expect(movingInWords(none)).toBe('2 other changed services not counted, for that takes too long')
})
