/** `geo.maxMove` at the builder: which database is used, what is told of it, and what a restart makes of it. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseAddress } from '../../src/dns/address.ts'
import { placeOf } from '../../src/geo/place.ts'
import {
  type BuildReport,
  type BuildResult,
  makeBuilder,
  type WorldBuild,
  type WorldBuilder,
} from '../../src/world/build.ts'
import { acceptBuild } from '../../src/world/geo-hold.ts'
import { madeOf } from '../support/build.ts'
import { CLIENTS, FIXTURE, SYSTEMS, type TestNetwork, writeTestDatabase } from '../support/mmdb.ts'

const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: h.demo.example., serial: 7}\n',
  'sites.yaml':
    'fra: {location: [50.11, 8.68], region: eu}\niad: {location: [38.95, -77.45], region: us}\nsin: {location: [1.36, 103.99], region: ap}\n',
  'services.yaml':
    'web:\n  sites:\n    fra: {vips: [192.0.2.1]}\n    iad: {vips: [192.0.2.2]}\n    sin: {vips: [192.0.2.3]}\n  check: none\n',
  'demo.example.yaml':
    '"": {type: NS, values: [ns1.demo.example.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n',
}

/** Paris is in Brazil: 82.64.0.0/14 and its IPv6 /26. */
const WRONG: readonly TestNetwork[] = FIXTURE.map((network) =>
  network.prefix === '82.64.0.0/14' || network.prefix === '2a01:e00::/26'
    ? { ...network, country: 'BR', continent: 'SA', latitude: -23.55, longitude: -46.63 }
    : network,
)

let folder = ''
let city = ''
let epoch = 1_790_000_000

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-hold-'))
  city = join(folder, 'city.mmdb')
  mkdirSync(join(folder, 'zones'))
  for (const [file, text] of Object.entries(ZONES)) writeFileSync(join(folder, 'zones', file), text)
  write(FIXTURE)
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A later build each time. */
function write(networks: readonly TestNetwork[]): void {
  writeTestDatabase(city, { schema: 'maxmind', networks, buildEpoch: ++epoch })
}

const builder = (limit = 0.001, files: readonly string[] = [city]): WorldBuilder =>
  makeBuilder({
    zones: join(folder, 'zones'),
    city: files,
    cache: join(folder, 'cache'),
    tidiesCache: true,
    state: folder,
    ...(limit >= 0 && { maxMove: limit }),
  })

const paris = (built: BuildResult<WorldBuild>): string =>
  placeOf(madeOf(built).context.places, parseAddress(CLIENTS.paris.v4)!).country
const told = ({ problems }: BuildReport): readonly string[] => problems.map(({ code, message }) => `${code} ${message}`)

test('a database that moves too many waits, whatever else is loaded; accepted, it is used, and no other', async () => {
  const node = builder()
  expect(told(await node.build())).toEqual([])
  write(WRONG)
  const held = await node.build()
  expect(paris(held)).toBe('FR')
  expect(told(held)).toEqual([
    expect.stringMatching(
      /^geo-held the new databases move [\d.]+ % of the IPv\d clients of web \([\d.]+ % fra → iad\), more than 0.1 %/,
    ),
  ])
  expect(held.problems[0]).toMatchObject({ severity: 'warning', hint: expect.stringContaining('meridian geo accept') })
  const { build, inUse, service, moves } = madeOf(held).held!
  expect(service).toBe('web')
  expect(moves.moved).toBeGreaterThan(0.001)
  expect(inUse).toBe(madeOf(held).context.places.id)
  expect(build).not.toBe(inUse)
  // both sides are kept, places and map, so that neither a restart nor an acceptance compiles
  expect(readdirSync(join(folder, 'cache'))).toHaveLength(4)

  // zones go on with the places before
  writeFileSync(
    join(folder, 'zones', 'demo.example.yaml'),
    `${ZONES['demo.example.yaml']}more: {type: A, values: [192.0.2.9]}\n`,
  )
  const again = await node.build()
  expect(madeOf(again).nameCount).toBe(madeOf(held).nameCount + 1)
  expect([paris(again), madeOf(again).held?.build]).toEqual(['FR', build])

  acceptBuild(folder, build)
  const accepted = await node.build()
  expect([paris(accepted), madeOf(accepted).held, told(accepted)]).toEqual(['BR', null, []])

  // the next one is judged by itself: back to Paris is a move as well
  write(FIXTURE)
  const next = await node.build()
  expect([paris(next), madeOf(next).held?.service]).toEqual(['BR', 'web'])
})

test('the right one on disk again ends the wait', async () => {
  const node = builder()
  await node.build()
  write(WRONG)
  expect(madeOf(await node.build()).held).not.toBeNull()
  write(FIXTURE)
  const fixed = await node.build()
  expect([paris(fixed), madeOf(fixed).held, told(fixed)]).toEqual(['FR', null, []])
})

test('a restart holds it back still, and one without a cache uses it and says so', async () => {
  await builder().build()
  write(WRONG)
  for (let restart = 0; restart < 2; restart++) {
    const held = await builder().build()
    expect([paris(held), told(held)]).toEqual(['FR', [expect.stringContaining('geo-held the new databases move')]])
  }
  rmSync(join(folder, 'cache'), { recursive: true })
  const lost = await builder().build()
  expect([paris(lost), madeOf(lost).held, told(lost)]).toEqual([
    'BR',
    null,
    [expect.stringMatching(/^geo-held .* lost from the cache/)],
  ])
  // that is what is in use now
  const after = await builder().build()
  expect([paris(after), told(after)]).toEqual(['BR', []])
})

test('below the limit, and without one, it is used at once', async () => {
  for (const limit of [0.999, -1]) {
    write(FIXTURE)
    rmSync(join(folder, 'geo-in-use'), { force: true })
    const node = builder(limit)
    await node.build()
    write(WRONG)
    const noteInUse = await node.build()
    expect([paris(noteInUse), madeOf(noteInUse).held, told(noteInUse)]).toEqual(['BR', null, []])
  }
  expect(readdirSync(folder)).not.toContain('geo-accepted')
})

test('a database that forgets a continent moves its clients', async () => {
  const node = builder(0.05)
  await node.build()
  write(FIXTURE.filter(({ continent }) => continent !== 'AS'))
  const held = await node.build()
  expect(madeOf(held).held?.moves.moves[0]).toMatchObject({ from: 'sin', to: 'fra' })
})

test('the first database is no change, nor is the last one taken away', async () => {
  await builder(0, []).build()
  const first = await builder(0).build()
  expect([madeOf(first).held, told(first)]).toEqual([null, []])
  const none = await builder(0, []).build()
  expect([madeOf(none).held, told(none)]).toEqual([null, []])
})

test('a database of autonomous systems waits alike, over a restart too, and only where rules look at it', async () => {
  const asn = join(folder, 'asn.mmdb')
  const owned = (by: number): void =>
    writeTestDatabase(asn, {
      schema: 'maxmind',
      networks: SYSTEMS.map((system) => (system.asn === 4_200_000_000 ? { ...system, asn: by } : system)),
      buildEpoch: ++epoch,
    })
  const node = (): WorldBuilder => {
    const zones = join(folder, 'zones')
    const cache = join(folder, 'cache')
    return makeBuilder({ zones, city: [city], asn: [asn], cache, tidiesCache: true, state: folder, maxMove: 0.001 })
  }
  const services = join(folder, 'zones', 'services.yaml')
  owned(1)
  const plain = node()
  await plain.build()
  owned(2)
  expect(madeOf(await plain.build()).held).toBeNull()

  writeFileSync(services, `${ZONES['services.yaml']}  rules: [{asns: [2], order: [sin]}]\n`)
  await plain.build()
  owned(3)
  for (const held of [await plain.build(), await node().build(), await node().build()]) {
    expect(madeOf(held).held?.moves.moves.map(({ from }) => from)).toContain('sin')
    expect(placeOf(madeOf(held).context.places, parseAddress('5.1.1.1')!).asn).toBe(2)
  }
  acceptBuild(folder, madeOf(await plain.build()).held!.build)
  const accepted = await node().build()
  expect([madeOf(accepted).held, placeOf(madeOf(accepted).context.places, parseAddress('5.1.1.1')!).asn]).toEqual([
    null,
    3,
  ])
})
