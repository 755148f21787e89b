/** Where countries go, against select() itself asked for many clients; and counted in steps, as at once. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { mix } from '../../src/hash.ts'
import { placeOf } from '../../src/geo/place.ts'
import { leafValue, walk } from '../../src/geo/trie.ts'
import { DOWN, healthWord, UP, type HealthTable } from '../../src/health/table.ts'
import { makeSelection, select } from '../../src/policy/select.ts'
import { allUp } from '../../src/policy/service.ts'
import { Census } from '../../src/traffic/census.ts'
import { worldShares } from '../../src/traffic/countries.ts'
import { spaceFlows, spaceInSteps } from '../../src/traffic/flows.ts'
import { LAST_RESORT, NO_ANSWER } from '../../src/traffic/moves.ts'
import type { WorldBuild } from '../../src/world/build.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { STEERS_A } from '../../src/zone/pack.ts'
import { seeded } from '../answer/fixture.ts'
import { madeOf } from '../support/build.ts'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-countries-'))
afterAll(() => rmSync(folder, { recursive: true }))

const FILES = {
  'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: h.demo.example., serial: 7}\n',
  'sites.yaml': `fra: {location: [50.11, 8.68], region: eu, capacity: 300}
ams: {location: [52.37, 4.9], region: eu, capacity: 100}
iad: {location: [38.95, -77.45], region: us}
sin: {location: [1.36, 103.99], region: ap}
`,
  'services.yaml': `web:
  sites:
    fra: {vips: [192.0.2.1], weight: 2}
    ams: {vips: [192.0.2.5]}
    iad: {vips: [192.0.2.2]}
    sin: {vips: [192.0.2.3]}
  spread: 800km
  rules:
    - {geos: [SA], order: [iad], only: true}
  lastResort: nodata
  check: none
`,
  'demo.example.yaml': `"":
  - {type: NS, values: [ns1.demo.example.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
`,
}

let made: WorldBuild
beforeAll(async () => {
  const zones = join(folder, 'zones')
  mkdirSync(zones)
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(zones, name), text)
  const city = join(folder, 'city.mmdb')
  writeTestDatabase(city, { schema: 'maxmind', networks: FIXTURE, ipVersion: 6 })
  made = madeOf(await makeBuilder({ zones, city: [city] }).build())
})

const placesOf = Map.groupBy(FIXTURE, ({ country }) => country)
/** Of a country with several places, clients at one of them say nothing. */
const isOnePlace = (country: string): boolean =>
  new Set(placesOf.get(country)?.map(({ latitude }) => latitude)).size === 1

/** By country, the shares of clients that get each site, asked one by one. */
function asked(health: HealthTable, samples: number): Map<string, Map<string, number>> {
  const { world, context } = made
  const service = world.services[0]!
  const map = world.maps[service.map]!
  const random = seeded(7)
  const networks = FIXTURE.filter(({ prefix, country }) => prefix.includes('.') && isOnePlace(country))
  const found = new Map<string, Map<string, number>>()
  for (const address of new Set(networks.map(({ prefix }) => prefix.split('/')[0]!))) {
    const bytes = Uint8Array.from(address.split('.'), Number)
    const { country } = placeOf(context.places, bytes)
    if (found.has(country)) continue
    const sites = new Map<string, number>()
    for (let i = 0; i < samples; i++) {
      const selection = makeSelection()
      selection.class = leafValue(walk(map.v4, bytes, 0))
      selection.network = mix(random())
      select(service, map, health, selection)
      const site = selection.site < 0 ? NO_ANSWER : service.siteNames[selection.site]!
      sites.set(site, (sites.get(site) ?? 0) + 1 / samples)
    }
    found.set(country, sites)
  }
  return found
}

const table = (words: Readonly<Record<string, number>>): HealthTable => {
  const { services } = made.world
  const health = allUp(services, made.plan)
  for (const [vip, member] of services[0]!.members.entries()) {
    const word = words[member.split('/')[0]!]
    if (word !== undefined) health[services[0]!.slot[vip]!] = word
  }
  return health
}

const worldOf = (health: HealthTable) => {
  const { world, context } = made
  const service = world.services[0]!
  const map = world.maps[service.map]!
  const flows = spaceFlows({ places: context.places, map }, { places: context.places, map: null })
  return worldShares(service, map, health, STEERS_A, flows, 'ipv4')
}

test.each<[string, () => HealthTable]>([
  ['all up', () => table({})],
  ['a site down', () => table({ fra: healthWord(DOWN, 1000, true) })],
  ['a site that takes 30 % of its clients', () => table({ fra: healthWord(UP, 300, true) })],
  [
    'several that take a part',
    () => table({ fra: healthWord(UP, 300, true), ams: healthWord(UP, 600, true), iad: healthWord(UP, 50, true) }),
  ],
  ['one that takes nobody', () => table({ sin: healthWord(UP, 0, true) })],
  ['the only site of a fence down', () => table({ iad: healthWord(DOWN, 1000, true) })],
])('%s: countries of one place get what select() says', (_, health) => {
  const { countries, sites } = worldOf(health())
  const SAMPLES = 1_000
  const seen = asked(health(), SAMPLES)
  let compared = 0
  for (const { country, sites: own, clients } of countries) {
    expect(clients).toBeGreaterThan(0)
    expect(own.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
    if (!isOnePlace(country)) continue
    compared++
    const reference = seen.get(country)!
    for (const { site, share } of own) {
      const tolerance = 5 * Math.sqrt(Math.max(share * (1 - share), 1e-9) / SAMPLES) + 1e-9
      expect(Math.abs((reference.get(site) ?? 0) - share), `${country} ${site}`).toBeLessThan(tolerance)
    }
    for (const site of reference.keys()) expect(own.map((one) => one.site)).toContain(site)
  }
  expect(compared).toBeGreaterThan(3)
  expect(sites.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
  expect(countries.reduce((sum, { clients }) => sum + clients, 0)).toBeCloseTo(1, 9)
  expect(sites.some(({ site }) => site === LAST_RESORT)).toBe(false)
})

test('counted in steps it is what it is at once', () => {
  const { world, context } = made
  const map = world.maps[0]!
  const { places } = context
  const steps = spaceInSteps({ places, map })
  let number = 0
  let step = steps.next()
  for (; step.done !== true; step = steps.next()) number++
  expect(number).toBeGreaterThan(10)
  expect(step.value).toEqual(spaceFlows({ places, map }, { places, map: null }))
})

test('a census is taken once for a map, in steps, and given up when its World is replaced', async () => {
  let nowMs = 0
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 3)) // a look at the clock is a step's work
  try {
    const { world, context } = made
    const map = world.maps[0]!
    const census = new Census()
    const all = Promise.all([census.of(map, context.places, () => true), census.of(map, context.places, () => true)])
    let pauses = 0
    for (; vi.getTimerCount() > 0; pauses++) await vi.advanceTimersByTimeAsync(20)
    const [one, other] = await all
    expect(pauses).toBeGreaterThan(10)
    expect(one).toBe(other)
    expect(one!.measures.map(({ clients }) => clients)).toEqual(['ipv4', 'ipv6'])

    const replaced = new Census().of(map, context.places, () => false)
    await vi.advanceTimersByTimeAsync(20)
    expect(await replaced).toBeUndefined()
  } finally {
    vi.restoreAllMocks()
    vi.useRealTimers()
  }
})
