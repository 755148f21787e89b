/** Samples of clients: all of few queries, a fair part of many, the client of each query and not its resolver. Seeded. */
import { expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeSampler, readSample, sampleClient, startSample } from '../../src/answer/client-sample.ts'
import { makeRequest, makeResponder } from '../../src/answer/responder.ts'
import { C_SAMPLE, makeCounters, SAMPLE_CLIENTS } from '../../src/counters.ts'
import { formatAddress, parseAddress } from '../../src/dns/address.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { makeQuery } from '../../src/dns/query.ts'
import { makeNode } from './fixture.ts'

const PLAIN = makeQuery()

/** A thread that takes samples of queries from 10.0.0.0/8; the last three bytes of each client are its number. */
function makeThread(seed: number) {
  const counters = makeCounters()
  const sampler = makeSampler(seed)
  return {
    counters,
    ask: (number: number) =>
      sampleClient(sampler, counters, PLAIN, 4, Uint8Array.of(10, number >> 16, number >> 8, number), 0),
  }
}

/** The clients of a sample, with what they stand for. */
function sampleOf(counters: Float64Array, number: number): { readonly client: number; readonly queries: number }[] {
  const found: { client: number; queries: number }[] = []
  readSample(counters, number, (family, bytes, queries) => {
    if (family !== 4 || bytes[0] !== 10) throw new Error(`a client that has not asked: ${bytes.join('.')}`)
    found.push({ client: (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!, queries })
  })
  return found
}

test('of no more queries than it has room for, it has every client', () => {
  const { counters, ask } = makeThread(1)
  for (const [number, queries] of [1, SAMPLE_CLIENTS, 7].entries()) {
    startSample(counters, number + 1)
    for (let i = 0; i < queries; i++) ask(i)
    const want = Array.from({ length: queries }, (_, client) => ({ client, queries: 1 }))
    expect(sampleOf(counters, number + 1)).toEqual(want)
  }
})

test('of many it has as many as there is room for, each as likely as any other, and they stand for all', () => {
  const [samples, queries, parts] = [300, 3_000, 20]
  const { counters, ask } = makeThread(12)
  const kept = Array.from({ length: parts }, () => 0)
  let standFor = 0
  for (let number = 1; number <= samples + 1; number++) {
    startSample(counters, number)
    for (let i = 0; i < queries; i++) ask(i)
    if (number === 1) continue
    const sample = sampleOf(counters, number - 1) // as the main thread reads it: when the next one has been taken
    expect(sample).toHaveLength(SAMPLE_CLIENTS)
    expect(new Set(sample.map(({ client }) => client)).size).toBe(SAMPLE_CLIENTS)
    standFor += sample.reduce((sum, one) => sum + one.queries, 0)
    for (const { client } of sample) kept[Math.floor((client * parts) / queries)]!++
  }
  // all but some of the last: a thread sees after 15 queries at most that there is another sample
  expect(standFor).toBeGreaterThanOrEqual(samples * queries)
  expect(standFor).toBeLessThan(samples * queries + 16)
  const even = (samples * SAMPLE_CLIENTS) / parts
  const chiSquare = kept.reduce((sum, n) => sum + (n - even) ** 2 / even, 0)
  expect(chiSquare).toBeLessThan(43.8) // 19 degrees of freedom, p = 0.001
})

test('while one half is read, the other is filled; a thread without queries has no sample', () => {
  const { counters, ask } = makeThread(3)
  startSample(counters, 1)
  for (let i = 0; i < 5; i++) ask(i)
  startSample(counters, 2)
  for (let i = 100; i < 110; i++) ask(i)
  expect(sampleOf(counters, 1).map(({ client }) => client)).toEqual([0, 1, 2, 3, 4])
  startSample(counters, 3)
  expect(sampleOf(counters, 2)).toHaveLength(10)
  expect(sampleOf(counters, 1)).toHaveLength(5) // no query since
  startSample(counters, 4)
  expect(sampleOf(counters, 3)).toEqual([])
})

test('a thread in the place of a dead one goes on with the sample that is taken', () => {
  const { counters, ask } = makeThread(3)
  startSample(counters, 9)
  ask(1)
  const successor = makeSampler(4)
  sampleClient(successor, counters, PLAIN, 4, Uint8Array.of(10, 0, 0, 2), 0)
  startSample(counters, 10)
  expect(sampleOf(counters, 9)).toEqual([{ client: 2, queries: 1 }])
})

test('without a sample to take, nothing is counted', () => {
  const { counters, ask } = makeThread(5)
  for (let i = 0; i < 1000; i++) ask(i)
  expect(counters.every((cell) => cell === 0)).toBe(true)
  startSample(counters, 1)
  ask(1)
  startSample(counters, 0)
  const before = counters.slice()
  ask(2)
  expect(counters).toEqual(before)
})

const node = await makeNode({
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 60}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.1]}}, check: none}\n',
  'example.com.yaml':
    "'': {type: NS, values: [ns1.example.net.]}\nwww: {type: GSLB, service: web}\nstatic: {type: A, value: 192.0.2.50}\n",
})

/** Whom the sample has after one query: addresses without what is unknown of them. */
function sampledFor(name: string, from: string, ecs?: string): string[] {
  const responder = makeResponder(node.made.world, node.health, makeCounters())
  const client = parseAddress(from)!
  const family = client.length === 4 ? 4 : 6
  const input = encodeQuery({ name, type: 'A', ...(ecs !== undefined && { edns: { ecs } }) })
  startSample(responder.counters, 1)
  respond(responder, makeRequest({ input, client, family, output: new Uint8Array(512) }))
  expect(responder.counters[C_SAMPLE]).toBe(1)
  const found: string[] = []
  readSample(responder.counters, 1, (size, bytes) => found.push(formatAddress(bytes, 0, size === 4 ? 4 : 16)))
  return found
}

test.each([
  ['its own address', 'www.example.com', '82.64.1.1', undefined, ['82.64.1.1']],
  ['its subnet, where it has one', 'www.example.com', '82.64.1.1', '24.90.1.0/24', ['24.90.1.0']],
  ['the resolver, where the client opts out', 'www.example.com', '82.64.1.1', '0.0.0.0/0', ['82.64.1.1']],
  ['64 bits of IPv6', 'www.example.com', '2400:2000:1:2:3:4:5:6', undefined, ['2400:2000:1:2::']],
  ['an IPv6 subnet', 'www.example.com', '82.64.1.1', '2400:2000:1::/48', ['2400:2000:1::']],
  ['the IPv4 address in 6to4', 'www.example.com', '2002:5240:0101::1', undefined, ['82.64.1.1']],
  ['the IPv4 address behind NAT64', 'www.example.com', '64:ff9b::5240:101', undefined, ['82.64.1.1']],
  ['queries of names that are not steered', 'static.example.com', '82.64.1.1', undefined, ['82.64.1.1']],
  ['queries for what does not exist', 'no.example.com', '82.64.1.1', undefined, ['82.64.1.1']],
])('%s', (_, name, from, ecs, want) => {
  expect(sampledFor(name, from, ecs)).toEqual(want)
})
