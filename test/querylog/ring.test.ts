/** The ring between an answering thread and the query log: what is written is read, whole and in order, or counted. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { DOH, makeRequest } from '../../src/answer/responder.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { droppedBy, makeRing, respondWith, RingReader, RingWriter, untilNext } from '../../src/querylog/ring.ts'
import { makeNode } from '../answer/fixture.ts'
import { recordOf, write } from './records.ts'

const NONE = new Uint8Array(0)
const numbered = (i: number, size = 100): Uint8Array => new Uint8Array(size).fill(i)

test('a record has all that was written', () => {
  const client = new Uint8Array(16).fill(0x20)
  const asked = { query: numbered(1), response: numbered(2, 65_535), client, port: 60_001, transport: DOH } as const
  const record = recordOf({ ...asked, service: 'web', site: 'fra', atMs: 1_700_000_000_123 })
  expect({
    ...record,
    client: new Uint8Array(record.client),
    query: record.query[99],
    response: record.response.length,
  }).toEqual({
    atMs: 1_700_000_000_123,
    transport: DOH,
    client,
    port: 60_001,
    service: 'web',
    site: 'fra',
    query: 1,
    response: 65_535,
  })
  expect(recordOf({ query: numbered(1), response: NONE })).toMatchObject({
    service: '',
    site: '',
    response: { length: 0 },
  })
})

test('a full ring drops what comes next, counts it, and goes on when there is room', () => {
  const ring = makeRing(1024)
  const [writer, reader] = [new RingWriter(ring), new RingReader(ring)]
  for (let i = 0; i < 10; i++) write(writer, { query: numbered(i), response: NONE })
  expect(droppedBy(ring)).toBe(3) // 7 of 136 bytes fit
  for (let i = 0; i < 7; i++) expect(reader.take()?.query[0]).toBe(i)
  expect(reader.take()).toBeUndefined()
  write(writer, { query: numbered(99), response: NONE })
  expect(reader.take()?.query[0]).toBe(99)
  // more than there ever is room for
  write(writer, { query: numbered(1, 2000), response: NONE })
  expect(droppedBy(ring)).toBe(4)
  expect(reader.take()).toBeUndefined()
})

test('records go round and round, of any size, and past the end of the positions’ 32 bits', () => {
  const ring = makeRing(4096)
  const [writer, reader] = [new RingWriter(ring), new RingReader(ring)]
  new Int32Array(ring, 0, 32).fill(0x7fff_f000, 0, 1).fill(0x7fff_f000, 16, 17) // near where they become negative
  for (let i = 0; i < 1000; i++) {
    write(writer, { query: numbered(i, 1 + ((i * 37) % 400)), response: numbered(i + 1, (i * 53) % 300) })
    const record = reader.take()
    expect(record?.query.length, `record ${i}`).toBe(1 + ((i * 37) % 400))
    expect(record!.query.every((byte) => byte === (i & 255))).toBe(true)
    expect(record!.response.every((byte) => byte === ((i + 1) & 255))).toBe(true)
  }
  expect(droppedBy(ring)).toBe(0)
})

test('half a record is never read, however writer and reader run beside each other', async () => {
  const ring = makeRing(4096)
  const count = 100_000
  const worker = new Worker(new URL('ring-writer.ts', import.meta.url), { workerData: { ring, count } })
  const reader = new RingReader(ring)
  const exit = once(worker, 'exit')
  let [taken, last, hasEnded] = [0, -1, false]
  void exit.then(() => (hasEnded = true))
  for (let isLast = false; !isLast;) {
    isLast = hasEnded
    for (let record = reader.take(); record !== undefined; record = reader.take()) {
      const i = new DataView(record.query.buffer, record.query.byteOffset).getUint32(0)
      if (i <= last) throw new Error(`record ${i} after ${last}`)
      const isWhole = record.query.length === 4 + ((i * 7919) % 300) && record.response.length === (i * 104_729) % 500
      const isRight = record.query.subarray(4).every((byte) => byte === (i & 255))
      if (!isWhole || !isRight || !record.response.every((byte) => byte === ((i + 1) & 255)))
        throw new Error(`torn: ${i}`)
      last = i
      taken++
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(taken).toBeGreaterThan(100)
  expect(taken + droppedBy(ring)).toBe(count)
})

describe('what is recorded', () => {
  test('without a recording, respond() is itself', () => {
    expect(respondWith(undefined)).toBe(respond)
  })

  test('a sample is of one query in so many, whatever its period', () => {
    const gaps = Array.from({ length: 20_000 }, (_, i) => untilNext(50, (i + 0.5) / 20_000))
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
    expect(mean).toBeGreaterThan(49)
    expect(mean).toBeLessThan(51)
    // each query by itself: the next one as likely as any
    expect(gaps.filter((gap) => gap === 1).length / gaps.length).toBeCloseTo(1 / 50, 3)
    expect([untilNext(1, 0), untilNext(1, 0.999), untilNext(50, 0)]).toEqual([1, 1, 1])
  })

  test('the service and the site are those of this answer, and not of the one before', async () => {
    const { responder } = await makeNode({
      'defaults.yaml': 'soa: {mname: ns1.example.com., rname: h.example.com., minimum: 60, serial: 1}\nttl: 300\n',
      'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
      'services.yaml': 'web:\n  sites:\n    fra: {vips: [192.0.2.10]}\n  check: none\n',
      'example.com.yaml':
        '"": {type: NS, values: [ns1.example.net.]}\nwww: {type: GSLB, service: web}\na: {type: A, values: [192.0.2.1]}\n',
    })
    const ring = makeRing()
    const recorded = respondWith({ ring, sample: 1 })
    const reader = new RingReader(ring)
    const ask = (name: string, size?: number) => {
      const input = encodeQuery({ name, type: 'A' }).slice(0, size)
      const request = makeRequest({ input, client: Uint8Array.of(192, 0, 2, 7), output: new Uint8Array(1232) })
      const answer = recorded(responder, request)
      const { service, site, port, response } = reader.take()!
      expect(response).toHaveLength(answer)
      return [service, site, port]
    }
    expect(ask('www.example.com.')).toEqual(['web', 'fra', 0])
    expect(ask('a.example.com.')).toEqual(['', '', 0])
    expect(ask('www.example.com.')).toEqual(['web', 'fra', 0])
    expect(ask('www.example.com.', 7)).toEqual(['', '', 0]) // no answer
  })
})
