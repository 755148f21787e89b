/** The corpus over memory, UDP and TCP, and a smoke of `npm run fuzz -- packets` over sockets. */
import { afterAll, expect, test } from 'vitest'
import { makeRequest, TCP, UDP } from '../../src/answer/responder.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { framed } from '../server/client.ts'
import { expected, outcome, readCorpus } from './corpus.ts'
import { ask, EPOCH_SECONDS, makeSubject, readHeader } from './memory.ts'
import { unproxied } from './oracle.ts'
import { nowSeconds, SLACK_SECONDS } from './round.ts'
import { CLIENTS, converse, converseUdp, type Datagram, fuzzSockets, openSockets, Served } from './sockets.ts'
import { PROTOCOL } from './zones.ts'

const served = await Served.start()
afterAll(() => served.stop())
const corpus = readCorpus()
const wanted = (kind: 'udp' | 'tcp', clock: 'epoch' | 'real'): string[] =>
  corpus.map((known) => `${known.name}: ${expected(known, kind, clock)}`)
const named = (outcomes: readonly string[]): string[] => outcomes.map((one, i) => `${corpus[i]!.name}: ${one}`)
const [PLAIN, , PROXY] = CLIENTS

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
  const sockets = await openSockets(served)
  const datagrams = corpus.map(({ header, query }): Datagram => {
    const own = parseAddress(header === undefined ? PLAIN : PROXY)!
    const bytes = Uint8Array.of(...(header ?? []), ...query)
    const from = header === undefined ? { at: 0, client: own } : unproxied(bytes, own, false)
    const times = { nowSeconds: nowSeconds(), slackSeconds: SLACK_SECONDS }
    const sent = from && { ...times, query: bytes.slice(from.at), client: from.client, kind: 'udp' as const }
    return { socket: header === undefined ? 0 : 2, bytes, sent }
  })
  try {
    const replies = await converseUdp(served, sockets, datagrams)
    expect(named(replies!.own.map(outcome))).toEqual(wanted('udp', 'real'))
    expect(replies!.others).toEqual([])
  } finally {
    for (const socket of sockets) socket.close()
  }
})

test('the corpus over TCP', async () => {
  const outcomes: string[] = []
  for (const { header, query } of corpus) {
    const stream = Buffer.concat([
      header ?? new Uint8Array(0),
      ...(query.length > 0 || header === undefined ? [framed(query)] : []),
    ])
    // oxlint-disable-next-line no-await-in-loop -- one connection at a time
    const replies = await converse('tcp', header === undefined ? PLAIN : PROXY, served.ports.tcp, [stream])
    outcomes.push(outcome(replies![0]))
  }
  expect(named(outcomes)).toEqual(wanted('tcp', 'real'))
})

test('structure-aware packets over UDP, TCP, TLS and HTTPS', async () => {
  const { packets, findings, after } = await fuzzSockets(served, 2026, { udp: 480, tcp: 100, dot: 40, doh: 32 })
  expect(findings).toEqual([])
  expect(packets.udp + packets.tcp + packets.dot + packets.doh).toBeGreaterThan(640)
  expect(after).toMatchObject({ died: 0, bugs: 0, errors: [] })
})
