/**
 * Queries by country and system, from samples of several threads, beside exact counts of the same traffic: a node with
 * few queries counts exactly, a busy one within what docs/metrics.md says. Seeded.
 */
import { expect, test } from 'vitest'
import { makeSampler, sampleClient } from '../../src/answer/client-sample.ts'
import { QueryOrigins } from '../../src/api/origins.ts'
import { C_SAMPLE, makeCounters, SAMPLE_CLIENTS } from '../../src/counters.ts'
import { parsePrefix } from '../../src/dns/address.ts'
import { makeQuery } from '../../src/dns/query.ts'
import { hasPlaces, placeOf, type Places } from '../../src/geo/place.ts'
import { makeNode, seeded } from '../answer/fixture.ts'
import { FIXTURE, SYSTEMS } from '../support/mmdb.ts'
import { zipf } from '../support/zipf.ts'

const node = await makeNode({
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 60}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.1]}}, check: none}\n',
  'example.com.yaml': "'': {type: NS, values: [ns1.example.net.]}\nwww: {type: GSLB, service: web}\n",
})
const { places } = node.made.context
const PLAIN = makeQuery()
/** A client of each network that the databases tell, and of one that none does. */
const CLIENTS = [...FIXTURE, ...SYSTEMS, { prefix: '203.0.113.0/24' }].map(({ prefix }) => parsePrefix(prefix)!.bytes)

/** Counts each query: the reference. */
class Exact {
  readonly countries = new Map<string, number>()
  readonly systems = new Map<number, number>()

  add(client: Uint8Array): void {
    const { country, asn } = placeOf(places, client)
    this.countries.set(country, (this.countries.get(country) ?? 0) + 1)
    this.systems.set(asn, (this.systems.get(asn) ?? 0) + 1)
  }
}

/** Asks of three threads for some samples' time, and counts exactly beside them. */
function run(samples: number, queriesOf: (thread: number) => number) {
  const random = seeded(77)
  const next = zipf(CLIENTS.length, 1, random)
  const threads = [1, 2, 3].map((seed) => ({ counters: makeCounters(), sampler: makeSampler(seed) }))
  const all = threads.map(({ counters }) => counters)
  const origins = new QueryOrigins()
  const exact = new Exact()
  origins.take(all, places)
  for (let i = 0; i < samples; i++) {
    for (const [thread, { counters, sampler }] of threads.entries()) {
      for (let left = queriesOf(thread); left > 0; left--) {
        const client = CLIENTS[next()]!
        sampleClient(sampler, counters, PLAIN, client.length === 4 ? 4 : 6, client, 0)
        exact.add(client)
      }
    }
    origins.take(all, places)
  }
  origins.take(all, places) // what was sampled last is read one call later
  return { counted: origins.counts(), exact }
}

test('few queries are counted exactly, by country and by system, those of unknown ones too', () => {
  const { counted, exact } = run(20, (thread) => [SAMPLE_CLIENTS, 3, 0][thread]!)
  expect(exact.countries.size).toBeGreaterThan(15)
  expect(exact.countries.get('')).toBeGreaterThan(0)
  expect(counted.countries).toEqual(exact.countries)
  expect(counted.systems).toEqual(exact.systems)
  expect(counted.unlisted).toBe(0)
})

test('many queries are counted within five standard errors', () => {
  const [samples, perThread] = [40, [2_000, 500, 20]]
  const { counted, exact } = run(samples, (thread) => perThread[thread]!)
  const total = [...exact.countries.values()].reduce((sum, queries) => sum + queries, 0)
  // of a thread's N queries in each sample, with n of them kept: N·√(p(1−p)/n), and nothing where all are kept
  const inflated = perThread.reduce((sum, N) => sum + (N > SAMPLE_CLIENTS ? samples * (N ** 2 / SAMPLE_CLIENTS) : 0), 0)
  const within = (got: ReadonlyMap<unknown, number>, want: ReadonlyMap<unknown, number>): void => {
    for (const [key, queries] of want) {
      const p = queries / total
      expect(Math.abs((got.get(key) ?? 0) - queries), String(key)).toBeLessThan(5 * Math.sqrt(inflated * p * (1 - p)))
    }
    const all = [...got.values()].reduce((sum, queries) => sum + queries, 0)
    expect(all).toBeLessThan(total + 0.001)
    expect(all).toBeGreaterThan(total - 15 * perThread.length - 0.001) // a thread may not have told its last 15
  }
  within(counted.countries, exact.countries)
  within(counted.systems, exact.systems)
})

test('without databases no samples are taken, and a database that comes begins them', () => {
  const none: Places = { ...places, id: 'places-3', asns: undefined! }
  expect(hasPlaces(none)).toBe(false)
  const counters = makeCounters()
  const origins = new QueryOrigins()
  for (const given of [undefined, none]) {
    origins.take([counters], given)
    expect(counters[C_SAMPLE]).toBe(0)
  }
  origins.take([counters], places)
  expect(counters[C_SAMPLE]).toBe(3)
  sampleClient(makeSampler(1), counters, PLAIN, 4, CLIENTS[0]!, 0)
  origins.take([counters], places)
  origins.take([counters], places)
  expect(origins.counts().countries.size).toBe(1)
})
