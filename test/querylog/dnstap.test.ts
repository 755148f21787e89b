/** The query log as dnstap, against fstrm_capture: it comes and goes, and stands still. dnstap-read says what it got. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { DOH, TCP } from '../../src/answer/responder.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { DnstapSink } from '../../src/querylog/dnstap.ts'
import { emptyFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'
import { type Asked, recordOf } from './records.ts'

const QUERY = encodeQuery({ name: 'www.example.com.', type: 'AAAA' })
const REPLY = QUERY.map((byte, i) => (i === 2 ? 0x84 : byte))
const V6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 7)

const collectors: ChildProcess[] = []
const sinks: DnstapSink[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(sinks.splice(0).map((sink) => sink.close(0)))
  for (const collector of collectors.splice(0)) collector.kill('SIGKILL')
})

async function collect(socket: string, to: string): Promise<ChildProcess> {
  rmSync(socket, { force: true })
  const collector = spawn('fstrm_capture', ['-t', 'protobuf:dnstap.Dnstap', '-u', socket, '-w', to])
  collectors.push(collector)
  await until('the collector', () => existsSync(socket))
  return collector
}

async function end(collector: ChildProcess): Promise<void> {
  const exit = once(collector, 'exit')
  collector.kill('SIGTERM')
  await exit
}

interface Watched {
  readonly sink: DnstapSink
  readonly add: (asked?: Partial<Asked>) => void
  readonly counts: { written: number; dropped: number }
  readonly troubles: (string | undefined)[]
  readonly flushUntil: (isDone: () => boolean) => Promise<boolean>
}

function open(path: string): Watched {
  const counts = { written: 0, dropped: 0 }
  const troubles: (string | undefined)[] = []
  const sink = new DnstapSink(
    path,
    { identity: 'n1', version: 'meridian 1' },
    {
      onWritten: (records) => (counts.written += records),
      onDropped: (records) => (counts.dropped += records),
      onTrouble: (trouble) => troubles.push(trouble),
    },
  )
  sinks.push(sink)
  const flushUntil = (isDone: () => boolean): Promise<boolean> =>
    until(
      () => `the sink: ${JSON.stringify({ counts, troubles })}`,
      () => {
        sink.flush()
        return isDone()
      },
    )
  const add = (asked: Partial<Asked> = {}): void => sink.add(recordOf({ query: QUERY, response: REPLY, ...asked }))
  return { sink, add, counts, troubles, flushUntil }
}

const read = (file: string, ...words: readonly string[]): string =>
  execFileSync('dnstap-read', [...words, file], { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })

test('dnstap-read finds what was sent, to a collector that comes late, goes, and comes back', async () => {
  const folder = emptyFolder()
  const [socket, first, second] = ['socket', 'first', 'second'].map((name) => join(folder, name))
  const { sink, add, counts, troubles, flushUntil } = open(socket!)
  add({ atMs: Date.UTC(2026, 10, 30, 1, 2, 3, 45) })
  add({ client: V6, port: 65_535, transport: TCP, response: new Uint8Array(0) }) // no answer: a query alone
  await flushUntil(() => troubles.length === 1)
  expect(troubles[0]).toBe(`queryLog.dnstap: ${socket}: there is no such socket; is the collector running?`)
  const collector = await collect(socket!, first!)
  await flushUntil(() => counts.written === 2)
  expect(troubles).toEqual([troubles[0], undefined])
  await end(collector)
  await flushUntil(() => troubles.length === 3)
  add({ port: 3, service: 'web', site: 'fra', transport: DOH })
  const again = await collect(socket!, second!)
  await flushUntil(() => counts.written === 3)
  expect(troubles.at(-1)).toBeUndefined()
  const told = troubles.length
  await sink.close(performance.now() + 2000)
  expect(troubles).toHaveLength(told) // its farewell is no trouble
  await end(again)
  expect(counts).toEqual({ written: 3, dropped: 0 })
  const lines = read(first!).trimEnd().split('\n')
  expect(lines[0]).toBe(`30-Nov-2026 01:02:03.045 AQ 192.0.2.7:5353 -> ? UDP 33b www.example.com/IN/AAAA`)
  expect(lines[1]).toBe(`30-Nov-2026 01:02:03.045 AR 192.0.2.7:5353 <- ? UDP 33b www.example.com/IN/AAAA`)
  expect(lines[2]).toContain('AQ 2001:db8::7:65535 -> ? TCP 33b www.example.com/IN/AAAA')
  expect(lines).toHaveLength(3)
  expect(read(first!, '-y').match(/socket_family: \w+/g)).toEqual(
    ['INET', 'INET', 'INET6'].map((one) => `socket_family: ${one}`),
  )
  const text = read(second!, '-y')
  for (const part of [
    'identity: n1',
    'version: meridian 1',
    'type: AUTH_QUERY',
    'type: AUTH_RESPONSE',
    'query_port: 3',
  ])
    expect(text).toContain(part)
  // what dnstap-read does not show, as dnstap.proto has it: Dnstap.extra = 3; Message: type 2, family INET, protocol DOH
  const frames = readFileSync(second!)
  expect(frames.includes(Buffer.from([(3 << 3) | 2, 7, ...Buffer.from('web/fra')]))).toBe(true)
  expect(frames.includes(Buffer.from([1 << 3, 2, 2 << 3, 1, 3 << 3, 4]))).toBe(true)
})

test('a collector that stands still makes records drop, and nobody wait', async () => {
  const folder = emptyFolder()
  const [socket, to] = [join(folder, 'socket'), join(folder, 'frames')]
  const collector = await collect(socket, to)
  const { add, counts, troubles, flushUntil } = open(socket)
  add({})
  await flushUntil(() => counts.written === 1)
  collector.kill('SIGSTOP')
  const sent = 20_000
  for (let i = 1; i < sent; i++) {
    add({ port: i, response: new Uint8Array(60_000 * Number(i % 100 === 0)) })
    if (i % 100 === 0) await flushUntil(() => true)
  }
  expect(counts.dropped).toBeGreaterThan(1000)
  expect(troubles).toEqual([])
  const now = performance.now.bind(performance)
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + 6000)
  await flushUntil(() => troubles.length > 0)
  spy.mockRestore()
  expect(troubles).toEqual([`queryLog.dnstap: ${socket}: it has taken no records for 5 s`])
  collector.kill('SIGCONT')
  await flushUntil(() => counts.written + counts.dropped === sent)
  expect(troubles.at(-1)).toBeUndefined()
})

const frame = (type: number, contentType: string): Buffer => {
  const head = [0, 8 + 4 + contentType.length, type, 1, contentType.length].map((word) => Uint8Array.of(0, 0, 0, word))
  return Buffer.concat([...head, Buffer.from(contentType)])
}

test.each([
  ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['another content type', frame(1, 'protobuf:other.Thing')],
  ['another control frame', frame(4, 'protobuf:dnstap.Dnstap')],
])('what answers with %s gets no records', async (_what, answer) => {
  const socket = join(emptyFolder(), 'socket')
  const received: Buffer[] = []
  const server = createServer((peer) => {
    peer.on('error', () => {}).on('data', (data) => received.push(data))
    peer.write(answer)
  })
  await once(server.listen(socket), 'listening')
  const { add, counts, troubles, flushUntil } = open(socket)
  add({ transport: DOH })
  await flushUntil(() => troubles.length > 0)
  expect(troubles[0]).toBe(`queryLog.dnstap: ${socket}: what listens there does not accept dnstap`)
  await until('its handshake', () => received.length > 0)
  expect(Buffer.concat(received)).toEqual(frame(4, 'protobuf:dnstap.Dnstap'))
  expect(counts.written).toBe(0)
  server.close()
})

test('a collector of something else refuses, and is told of', async () => {
  const folder = emptyFolder()
  const socket = join(folder, 'socket')
  collectors.push(spawn('fstrm_capture', ['-t', 'something:else', '-u', socket, '-w', join(folder, 'frames')]))
  await until('the collector', () => existsSync(socket))
  const { troubles, flushUntil } = open(socket)
  await flushUntil(() => troubles.length > 0)
  expect(troubles[0]).toMatch(/the collector has closed the connection|does not accept dnstap/)
})
