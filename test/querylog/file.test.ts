/** The query log as a file: its lines, and what happens when the file is moved or can't be written. */
import { execFileSync } from 'node:child_process'
import {
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { DOT, TCP, makeRequest } from '../../src/answer/responder.ts'
import { decodeMessage, encodeQuery, type QuerySpec } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { FileSink, lineOf } from '../../src/querylog/file.ts'
import { makeRing, respondWith, RingReader } from '../../src/querylog/ring.ts'
import { makeNode } from '../answer/fixture.ts'
import { fuzzMemory, makeSubject } from '../fuzz/memory.ts'
import { emptyFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'
import { recordOf } from './records.ts'

const QUERY = encodeQuery({ name: 'www.example.com.', type: 'A' })
const REPLY = QUERY.map((byte, i) => (i === 2 ? 0x84 : byte))

const sinks: FileSink[] = []
afterEach(() => Promise.all(sinks.splice(0).map((sink) => sink.close(0))))

interface Watched {
  readonly sink: FileSink
  /** Adds a record of a client with this port. */
  readonly add: (port: number) => void
  readonly counts: { written: number; dropped: number }
  readonly troubles: (string | undefined)[]
  /** Passes on what waits until `isDone`. */
  readonly flushUntil: (isDone: () => boolean) => Promise<boolean>
}

function open(path: string): Watched {
  const counts = { written: 0, dropped: 0 }
  const troubles: (string | undefined)[] = []
  const sink = new FileSink(path, {
    onWritten: (records) => (counts.written += records),
    onDropped: (records) => (counts.dropped += records),
    onTrouble: (trouble) => troubles.push(trouble),
  })
  sinks.push(sink)
  const flushUntil = (isDone: () => boolean): Promise<boolean> =>
    until('the file', () => {
      sink.flush()
      return isDone()
    })
  const add = (port: number): void => sink.add(recordOf({ query: QUERY, response: REPLY, port }))
  return { sink, add, counts, troubles, flushUntil }
}

const portsIn = (text: string): number[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => Number(JSON.parse(line).port))

test('a line has what was asked and answered', async () => {
  const { responder } = await makeNode({
    'defaults.yaml': 'soa: {mname: ns1.example.com., rname: h.example.com., minimum: 60, serial: 1}\nttl: 300\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
    'services.yaml': 'web:\n  sites:\n    fra: {vips: [192.0.2.10, "2001:db8::a"]}\n  check: none\n',
    'example.com.yaml':
      '"": {type: NS, values: [ns1.example.net.]}\nwww: {type: GSLB, service: web}\nbig: {type: TXT, values: ["' +
      Array.from({ length: 6 }, (_, i) => `${i}`.padStart(220, 'x')).join('", "') +
      '"]}\n',
  })
  const ring = makeRing()
  const recorded = respondWith({ ring, sample: 1 })
  const reader = new RingReader(ring)
  responder.nowMs = Date.UTC(2026, 10, 30, 1, 2, 3, 45)
  const line = (query: QuerySpec | Uint8Array, more: Partial<Parameters<typeof makeRequest>[0]> = {}): unknown => {
    const input = query instanceof Uint8Array ? query : encodeQuery(query)
    recorded(
      responder,
      makeRequest({
        input,
        client: Uint8Array.of(192, 0, 2, 7, 1, 2),
        portAt: 4,
        output: new Uint8Array(4096),
        ...more,
      }),
    )
    const { time, client, port, ...rest } = JSON.parse(lineOf(reader.take()!))
    expect([time, client, port]).toEqual([
      '2026-11-30T01:02:03.045Z',
      more.family === 6 ? '2001:db8::7' : '192.0.2.7',
      258,
    ])
    return rest
  }
  const steered = { transport: 'udp', rcode: 'NOERROR', tc: false, service: 'web', site: 'fra' }
  const [name, ecs] = ['WWW.example.com.', '198.51.100.0/24']
  expect(line({ name, type: 'A' })).toEqual({ ...steered, name: name.toLowerCase(), type: 'A', bytes: 49 })
  const v6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 7, 1, 2)
  const withSubnet = { ...steered, name: name.toLowerCase(), type: 'AAAA', transport: 'dot', bytes: 83 }
  expect(line({ name, type: 'AAAA', edns: { ecs } }, { client: v6, portAt: 16, family: 6, transport: DOT })).toEqual({
    ...withSubnet,
    ecs,
    scope: 11,
  })
  expect(line({ name, type: 'AAAA', edns: { ecs: '0/0' } })).toMatchObject({ ecs: '0/0', scope: 0 })
  expect(line({ name: 'big.example.com.', type: 'TXT' })).toMatchObject({ type: 'TXT', rcode: 'NOERROR', tc: true })
  expect(line({ name: 'big.example.com.', type: 'TXT' }, { transport: TCP })).toMatchObject({
    transport: 'tcp',
    tc: false,
  })
  expect(line({ name: 'n"\\\\\\255.example.com.', type: 'TYPE65280' })).toEqual({
    transport: 'udp',
    name: String.raw`n\"\\\255.example.com.`,
    type: 'TYPE65280',
    rcode: 'NXDOMAIN',
    tc: false,
    bytes: 76,
  })
  expect(line({ name: 'version.bind.', type: 'TXT', class: 'CH' })).toMatchObject({ class: 'CH', rcode: 'REFUSED' })
  expect(line({ name, type: 'A', edns: { version: 1 } })).toMatchObject({ rcode: 'BADVERS', tc: false }) // its high bits are in OPT
  expect(line(QUERY.slice(0, 20))).toEqual({ transport: 'udp', rcode: 'FORMERR', tc: false, bytes: 12 })
  expect(line(REPLY)).toEqual({ transport: 'udp', rcode: 'dropped', bytes: 0 })
})

test('lines of packets of every kind say what another decoder reads, and recording changes no answer', async () => {
  const ring = makeRing()
  const recorded = respondWith({ ring, sample: 1 })
  const reader = new RingReader(ring)
  let lines = 0
  const { findings } = fuzzMemory(await makeSubject(), 2026, 1200, (responder, request) => {
    const size = recorded(responder, request)
    const record = reader.take()!
    const line = JSON.parse(lineOf(record))
    lines++
    const { input, at, length, output, outAt } = request
    expect(Buffer.compare(record.query, input.subarray(at, at + length))).toBe(0)
    expect(Buffer.compare(record.response, output.subarray(outAt, outAt + size))).toBe(0)
    const message = decodeMessage(record.response)
    if (isFault(message)) expect([line.rcode, size]).toEqual(['dropped', 0])
    else {
      const { rcode, tc, question, edns } = message
      expect([line.rcode, line.tc, line.scope, line.bytes]).toEqual([rcode, tc, edns?.ecs?.scope, size])
      if (question[0] !== undefined)
        expect([line.name, line.type, line.class ?? 'IN']).toEqual([
          question[0].name.toLowerCase(),
          question[0].type,
          question[0].class,
        ])
    }
    return size
  })
  expect(findings).toEqual([])
  expect(lines).toBeGreaterThan(1000)
})

test('a file that was renamed is made anew within a second, and no record is lost', async () => {
  const path = join(emptyFolder(), 'queries.log')
  const { add, counts, flushUntil, troubles } = open(path)
  add(1)
  await flushUntil(() => counts.written === 1)
  expect(statSync(path).mode & 0o777).toBe(0o640 & ~process.umask())
  renameSync(path, `${path}.1`)
  let port = 1
  await flushUntil(() => {
    add(++port)
    return existsSync(path)
  })
  await flushUntil(() => counts.written === port)
  const both = [...portsIn(readFileSync(`${path}.1`, 'utf8')), ...portsIn(readFileSync(path, 'utf8'))]
  expect(both).toEqual(Array.from({ length: port }, (_, i) => i + 1))
  expect(troubles).toEqual([])
})

test.runIf(existsSync('/dev/full'))(
  'a full disk is told once; 1 MB of records wait, the others are counted',
  async () => {
    const path = join(emptyFolder(), 'queries.log')
    symlinkSync('/dev/full', path)
    const { add, counts, flushUntil, troubles } = open(path)
    add(0)
    await flushUntil(() => troubles.length > 0)
    expect(troubles).toEqual([`queryLog.file: ${path} can't be written: the disk is full`])
    for (let port = 1; port < 10_000; port++) add(port)
    expect(counts.written).toBe(0)
    expect(counts.dropped).toBeGreaterThan(1000)
    unlinkSync(path)
    await flushUntil(() => troubles.length > 1)
    await flushUntil(() => counts.written + counts.dropped === 10_000)
    expect(troubles[1]).toBeUndefined()
    const ports = portsIn(readFileSync(path, 'utf8'))
    expect(ports).toHaveLength(counts.written)
    expect(ports).toEqual(ports.map((_, i) => i)) // the first are kept, from the very first
  },
)

test('each reason that a file can’t be written has words', async () => {
  const folder = emptyFolder()
  mkdirSync(join(folder, 'folder'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  for (const [name, words] of [
    ['folder', 'it is a folder'],
    ['none/queries.log', 'its folder does not exist'],
    ['pipe', 'it is a pipe that nobody reads'],
  ] as const) {
    const { troubles, flushUntil } = open(join(folder, name))
    await flushUntil(() => troubles.length > 0) // before there is any record
    expect(troubles[0]).toBe(`queryLog.file: ${join(folder, name)} can't be written: ${words}`)
  }
})

test('a line that was written in part goes on where it was left', async () => {
  const path = join(emptyFolder(), 'pipe')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const { add, counts, flushUntil, troubles } = open(path)
  for (let port = 0; port < 1000; port++) add(port)
  await flushUntil(() => troubles.length > 0)
  expect(troubles[0]).toContain('it is a pipe whose reader is too slow')
  const buffer = Buffer.alloc(1 << 20)
  let text = ''
  await flushUntil(() => {
    try {
      text += buffer.toString('latin1', 0, readSync(reader, buffer))
    } catch {
      // nothing is there yet
    }
    return counts.written === 1000
  })
  while (portsIn(text).length < 1000) text += buffer.toString('latin1', 0, readSync(reader, buffer))
  expect(portsIn(text)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
})

test('in another file, it goes on with a whole line', async () => {
  const path = join(emptyFolder(), 'pipe')
  execFileSync('mkfifo', [path])
  openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const { add, counts, flushUntil, troubles } = open(path)
  for (let port = 0; port < 1000; port++) add(port)
  await flushUntil(() => troubles.length > 0)
  rmSync(path)
  await flushUntil(() => counts.written === 1000)
  const ports = portsIn(readFileSync(path, 'utf8'))
  expect(ports.length).toBeGreaterThan(100)
  expect(ports).toEqual(ports.map((_, i) => 1000 - ports.length + i))
})
