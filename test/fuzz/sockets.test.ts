/** The corpus over memory, UDP, TCP, TLS and HTTPS, and a smoke of `npm run fuzz -- packets --over sockets`. */
import { afterAll, expect, test } from 'vitest'
import { makeRequest, TCP, UDP } from '../../src/answer/responder.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { framed } from '../server/client.ts'
import { encode } from '../support/ask.ts'
import { naming } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { expected, outcome, readCorpus } from './corpus.ts'
import { Datagrams } from './datagrams.ts'
import { type Lane, nowSeconds, runLane, SLACK_SECONDS } from './lane.ts'
import { ask, EPOCH_SECONDS, makeSubject, readHeader } from './memory.ts'
import type { Report } from './process.ts'
import { Served } from './served.ts'
import { fuzzTransport, judgeProcess } from './sockets.ts'
import { converse, framesOf, judgeStream, openingWith, PROXY, spoil } from './stream-lane.ts'
import { converseUdp, datagramOf, proxiedDatagram } from './udp-lane.ts'
import { PROTOCOL } from './zones.ts'

const served = await Served.start()
afterAll(() => served.stop())
const corpus = readCorpus()
const wanted = (kind: 'udp' | 'tcp', clock: 'epoch' | 'real'): string[] =>
  corpus.map((known) => `${known.name}: ${expected(known, kind, clock)}`)
const named = (outcomes: readonly string[]): string[] => outcomes.map((one, i) => `${corpus[i]!.name}: ${one}`)
const PLAIN = '127.0.0.1'

/** CPU time of this process, in ms. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
test.each(['udp', 'tcp'] as const)('respond() to the corpus as over %s', async (kind) => {
  const node = await makeSubject()
  const { responder } = node
  responder.protocol = PROTOCOL
  responder.nowMs = EPOCH_SECONDS * 1000
  responder.clock = () => EPOCH_SECONDS
  const client = parseAddress(PLAIN)!
  const outcomes = corpus.map(({ header, query }) => {
    responder.transfersLeft = kind === 'tcp' ? 1 : 0
    const input = Uint8Array.of(...(header ?? []), ...query)
    const from = header === undefined ? { at: 0, client } : readHeader(input, client, kind === 'tcp')
    if (from === undefined) return 'none'
    const { at } = from
    if (kind === 'tcp' && at > 0 && at !== header!.length) return 'none' // the frame begins elsewhere
    const request = makeRequest({
      input,
      at,
      length: input.length - at,
      client: from.client,
      family: from.client.length === 4 ? 4 : 6,
      transport: kind === 'tcp' ? TCP : UDP,
      output: new Uint8Array(65_535),
    })
    const sent = { query: input.slice(at), client: from.client, kind, nowSeconds: EPOCH_SECONDS, slackSeconds: 0 }
    const answered = ask(node, request, sent)
    return typeof answered === 'string' ? answered : outcome(answered.reply)
  })
  expect(named(outcomes)).toEqual(wanted(kind, 'epoch'))
})

test('the corpus over UDP', async () => {
  const socket = new Datagrams(served.ports.tcp)
  const items = corpus.map(({ header, query }) =>
    header === undefined
      ? datagramOf(parseAddress(PLAIN)!, () => query, 0)
      : proxiedDatagram(parseAddress(PROXY)!, header, query),
  )
  try {
    const replies = await converseUdp(served, socket, items)
    expect(named(replies!.own.map(outcome))).toEqual(wanted('udp', 'real'))
    expect(replies!.others).toEqual([])
  } finally {
    socket.close()
  }
})

test('the corpus over TCP', async () => {
  const outcomes: string[] = []
  for (const { header, query } of corpus) {
    const frames = query.length > 0 || header === undefined ? [framed(query)] : []
    // oxlint-disable-next-line no-await-in-loop -- one connection at a time
    const bytes = await converse('tcp', header === undefined ? PLAIN : PROXY, served.ports.tcp, frames, header)
    outcomes.push(outcome(framesOf(bytes!)[0]))
  }
  expect(named(outcomes)).toEqual(wanted('tcp', 'real'))
})

test("the corpus's PROXY headers ahead of TLS and HTTPS", async () => {
  const proxied = corpus.filter(({ header, query }) => header !== undefined && query.length > 0)
  const outcomes = await Promise.all(
    proxied.map(async ({ name, header, query }) => {
      const begins = openingWith(PROXY, header!)
      if (!begins.isWhole) {
        const spoilt = [await spoil(served.ports.dot, 'dot', begins), await spoil(served.ports.doh, 'h2', begins)]
        expect(spoilt, name).toEqual([undefined, undefined])
        return `${name}: none`
      }
      const bytes = await converse('dot', PROXY, served.ports.dot, [framed(query)], header)
      return `${name}: ${outcome(framesOf(bytes!)[0])}`
    }),
  )
  expect(outcomes).toEqual(proxied.map((known) => `${known.name}: ${expected(known, 'tcp', 'real')}`))
})

test.each([
  ['udp', 640],
  ['tcp', 320],
  ['dot', 160],
  ['doh', 256],
] as const)('structure-aware packets over %s', async (kind, count) => {
  const { packets, findings, after } = await fuzzTransport(served, kind, 2026, count)
  expect(findings).toEqual([])
  expect(packets).toBeGreaterThanOrEqual(count)
  expect(after).toMatchObject({ died: 0, bugs: 0, errors: [], connections: 0 })
})

// whatever rule a server broke, a run would say so; memory.test.ts has those of single replies

test('a datagram that is answered twice, and one that is not answered', async () => {
  class Twice extends Datagrams {
    override receive(): ReturnType<Datagrams['receive']> {
      return super.receive().flatMap((one) => [one, one])
    }
  }
  class Deaf extends Datagrams {
    override receive(): ReturnType<Datagrams['receive']> {
      return super.receive().filter(({ bytes }) => bytes[1] !== 7)
    }
  }
  const client = parseAddress(PLAIN)!
  const items = [6, 7, 8].map((id) => datagramOf(client, () => encode({ q: 'host.example.com A', id }), id))
  const [twice, deaf] = [new Twice(served.ports.tcp), new Deaf(served.ports.tcp)]
  try {
    const both = await converseUdp(served, twice, items)
    expect(both!.own.map((reply) => reply?.[1])).toEqual([6, 7, 8])
    expect(both!.others.map((reply) => reply[1])).toEqual([6, 7, 8, 255, 255])
    const heard = await converseUdp(served, deaf, items)
    expect(heard!.own.map((reply) => reply?.[1])).toEqual([6, undefined, 8])
  } finally {
    twice.close()
    deaf.close()
  }
})

test('replies of a stream that are missing, too many, cut off, in another order, for another client', async () => {
  const clientCookie = { code: 10, data: new Uint8Array(8).fill(5) }
  const queries = [1, 2, 3].map((id) => framed(encode({ q: 'host.example.com A', id, options: [clientCookie] })))
  const stream = Buffer.concat(queries)
  const proxied = openingWith(PROXY, naming('82.64.1.1', 1))
  const answers = (await converse('dot', PROXY, served.ports.dot, queries, proxied.header))!
  const [one = answers, two = answers, three = answers] = framesOf(answers).map(framed)
  const sent = { client: proxied.client!, kind: 'dot', nowSeconds: nowSeconds(), slackSeconds: SLACK_SECONDS } as const
  const judged = (replies: readonly Buffer[]): string | undefined => judgeStream(sent, stream, Buffer.concat(replies))
  expect(judged([one, two, three])).toBeUndefined()
  expect(judged([one, two])).toMatch(/^no answer to a query/)
  expect(judged([one, two, three, three])).toBe('1 replies to nothing')
  expect(judged([one, two, three.subarray(0, -1)])).toBe('the last reply is not whole')
  expect(judged([two, one, three])).toMatch(/^another id/)
  expect(judgeStream({ ...sent, client: parseAddress(PROXY)! }, stream, answers)).toMatch(/^a cookie that is not valid/)
})

test('TLS that goes on behind a malformed header', async () => {
  const good = openingWith(PROXY, naming('82.64.1.1', 1))
  const { dot, doh } = served.ports
  const wrong = await Promise.all([
    spoil(dot, 'dot', good, () => undefined),
    spoil(dot, 'dot', good),
    spoil(doh, 'h2', good, () => undefined),
    spoil(doh, 'h2', good),
  ])
  const told = ['answered behind a malformed header', 'TLS went on with bytes that are none']
  expect(wrong).toEqual([...told, ...told])
})

test('a packet that costs 8 ms each time is found among others, and one that does so once is not', async () => {
  const told: string[] = []
  let isFirst = true
  let made = 0
  const lane: Lane<readonly number[]> = {
    thread: '',
    items: 4,
    packets: 2,
    make: () => [made++, made++],
    async exchange(items) {
      for (const packet of items.flat()) {
        const untilMs = cpuMs() + (packet === 5 || (packet === 10 && isFirst) ? 8 : 0.1)
        if (packet === 10) isFirst = false
        while (cpuMs() < untilMs);
      }
    },
    halve: (packets) => (packets.length === 1 ? [] : packets.map((packet) => [packet])),
    bytesOf: (packets) => Uint8Array.from(packets),
    end: () => {},
  }
  const tell = (what: string, bytes: Uint8Array): void => void told.push(`${bytes.join()}: ${what}`)
  const ran = await runLane({ cpuMs }, lane, (packets) => packets >= 24, tell)
  expect(told).toEqual([expect.stringMatching(/^5: \d+\.?\d* ms of CPU time$/)])
  expect(ran.packets).toBe(24)
  expect(isFirst).toBe(false)
})

test('the CPU time of a thread is what it has used', async () => {
  const fromMs = served.cpuMs('answering')
  const socket = new Datagrams(served.ports.tcp)
  const item = datagramOf(parseAddress(PLAIN)!, () => encode({ q: 'host.example.com A', id: 1 }), 1)
  try {
    for (let times = 0; times < 20; times++) await converseUdp(served, socket, [item]) // oxlint-disable-line no-await-in-loop
  } finally {
    socket.close()
  }
  await until('the thread sleeps', () => served.cpuMs('answering') > fromMs)
  expect(() => served.cpuMs('nobody')).toThrow('no thread nobody')
})

test('a process that grows, opens files, logs errors, replaces threads, catches bugs', () => {
  const before: Report = { rssBytes: 1e8, heapBytes: 0, files: 40, died: 0, bugs: 0, errors: [], connections: 0 }
  expect(judgeProcess(before, before)).toEqual([])
  const wrong = judgeProcess(before, { ...before, rssBytes: 2e8, files: 41, died: 1, bugs: 2, errors: ['error x'] })
  expect(wrong).toEqual([
    'logged: error x',
    'the process grew by 100000000 bytes',
    '41 open files, 40 before',
    '1 threads were replaced',
    '2 bugs were caught',
  ])
})
