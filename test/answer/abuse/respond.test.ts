/** What a limited client gets: TC=1 and nothing else, no larger than its query; which responses count to which rate. */
import { describe, expect, test } from 'vitest'
import { type LimitSettings, makeLimits } from '../../../src/answer/abuse/limits.ts'
import { PLAIN_PROTOCOL } from '../../../src/answer/protocol.ts'
import { makeResponder, type Responder } from '../../../src/answer/responder.ts'
import { C_LIMITED, C_TRUNCATED, LIMITED_KINDS, makeCounters, UNPROVEN } from '../../../src/counters.ts'
import { decodeMessage } from '../../../src/dns/message.ts'
import { sipKey } from '../../../src/dns/siphash.ts'
import { isFault } from '../../../src/dns/name.ts'
import { encode, makeAsk, memory, type Question } from '../../support/ask.ts'
import { makeNode } from '../fixture.ts'

const ZONE = `
"": {type: NS, values: [ns1.example.com.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
text: {type: TXT, values: ["${'x'.repeat(200)}"]}
texts: {type: TXT, values: ["${'x'.repeat(200)}", "${'y'.repeat(200)}", "${'z'.repeat(200)}"]}
below: {type: NS, values: [ns1.below.example.com.]}
ns1.below: {type: A, values: [192.0.2.99]}
`
const { made, health } = await makeNode({
  'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
  'services.yaml': 'web:\n  sites:\n    fra: {vips: [192.0.2.10, 192.0.2.11]}\n  check: none\n',
  'example.com.yaml': ZONE,
})

/** A responder that limits to one response a second, and one more. */
function responder(settings: Partial<LimitSettings> = {}): Responder {
  const limits = makeLimits({ perSecond: [1, 1, 1, 1], unproven: 0, slip: 1, threads: 1, exempt: [], ...settings }, 5)
  const nsid = new Uint8Array(40).fill(65)
  const node = makeResponder(made.world, health, makeCounters(), { ...PLAIN_PROTOCOL, nsid, limits })
  node.nowMs = Date.parse('2026-11-29T12:00:00Z')
  return node
}

const KINDS: readonly (readonly [account: (typeof LIMITED_KINDS)[number], asked: Question])[] = [
  ['answers', { q: 'www.example.com A' }],
  ['answers', { q: 'www.example.com A', ecs: '198.51.100.0/24' }],
  ['answers', { q: 'www.example.com MX', edns: true }],
  ['answers', { q: 'text.example.com TXT', do: true }],
  ['answers', { q: 'example.com ANY', edns: true }],
  ['negatives', { q: 'no.example.com A' }],
  ['negatives', { q: 'a.b.c.example.com A', edns: true }],
  ['referrals', { q: 'www.below.example.com A', edns: true }],
  ['errors', { q: 'example.org A' }],
  ['errors', { q: 'example.com AXFR' }],
  ['errors', { q: 'example.com A CH' }],
  ['errors', { q: 'example.com A', version: 1 }],
]

describe('over its rate a client gets TC=1 and nothing else', () => {
  test.each(KINDS)('%s: $q', async (account, asked) => {
    const node = responder()
    const over = memory(node)
    const query = encode({
      id: 7,
      ...asked,
      ...(asked.edns === true ? { options: [{ code: 3, data: new Uint8Array(0) }] } : {}),
    })
    const first = await over.send(query)
    for (let i = 0; i < 3; i++) await over.send(query)
    const reply = (await over.send(query))!
    const message = decodeMessage(reply)
    if (isFault(message)) throw new Error(message.fault)
    expect(reply.length).toBeLessThanOrEqual(query.length)
    expect(first!.length).toBeGreaterThanOrEqual(reply.length)
    expect(message).toMatchObject({ id: 7, qr: true, tc: true, rcode: 'NOERROR' })
    expect([message.answer, message.authority, message.additional]).toEqual([[], [], []])
    const [name, type, clas = 'IN'] = asked.q.split(' ')
    expect(message.question).toEqual([{ name: `${name}.`, type, class: clas }])
    expect(node.counters[C_LIMITED + LIMITED_KINDS.indexOf(account)]).toBeGreaterThan(1)
    expect(node.counters[C_TRUNCATED]).toBe(0)
  })
})

test('a packet that is no query gets its error within the rate, then TC=1, never a crash', async () => {
  const node = responder()
  const over = memory(node)
  const broken = encode({ q: 'www.example.com A', id: 9 }).slice(0, 20)
  const replies: (Uint8Array | undefined)[] = []
  for (let i = 0; i < 5; i++) replies.push(await over.send(broken))
  expect(replies[0]![3]! & 15).toBe(1)
  expect(replies[4]!.length).toBeLessThanOrEqual(broken.length)
  expect(replies[4]![2]! & 2).toBe(2)
})

test('with slip 2 every second limited response is not sent, and counted as dropped', async () => {
  const node = responder({ slip: 2 })
  const over = memory(node)
  const query = encode({ q: 'www.example.com A' })
  const replies: (Uint8Array | undefined)[] = []
  for (let i = 0; i < 13; i++) replies.push(await over.send(query))
  const none = replies.filter((reply) => reply === undefined).length
  expect(none).toBe(6)
  expect(node.counters[C_LIMITED + LIMITED_KINDS.length]).toBe(6)
})

test('over TCP nobody is limited, and a network is proven then', async () => {
  const node = responder({ perSecond: [0, 0, 0, 0], unproven: 1 })
  const [udp, tcp] = [memory(node), memory(node, 'tcp')]
  const answered = {
    rcode: 'NOERROR',
    answer: ['www.example.com. 60 IN A 192.0.2.10', 'www.example.com. 60 IN A 192.0.2.11'],
  }
  const ask = makeAsk(udp)
  for (let i = 0; i < 3; i++) await udp.send(encode({ q: 'www.example.com A' }))
  const limited = await ask({ q: 'www.example.com A', rcode: 'NOERROR', tc: true, answer: [] })
  expect(limited.aa).toBe(false)
  expect(node.counters[C_LIMITED + UNPROVEN]).toBeGreaterThan(0)
  for (let i = 0; i < 20; i++) await makeAsk(tcp)({ q: 'www.example.com A', ...answered })
  for (let i = 0; i < 20; i++) await ask({ q: 'www.example.com A', ...answered })
  // and its neighbour in the same /24, not another
  await ask({ q: 'www.example.com A', from: '192.0.2.200', ...answered })
  await ask({ q: 'www.example.com A', from: '198.51.100.1', rcode: 'NOERROR', tc: true, answer: [] })
})

const cookies = [sipKey(new Uint8Array(16))]
const withCookie = (data: Uint8Array): Uint8Array =>
  encode({ q: 'www.example.com A', id: 3, options: [{ code: 10, data }] })
const isTruncated = (reply: Uint8Array | undefined): boolean => (reply![2]! & 2) !== 0

test('with a valid cookie nobody is limited; a forged one helps nobody, and its response has none', async () => {
  const node = responder()
  node.protocol = { ...node.protocol, cookies }
  const over = memory(node)
  const cookie = (await over.send(withCookie(new Uint8Array(8))))!.slice(-24)
  const forged = withCookie(cookie.with(23, cookie[23]! ^ 1))
  for (let i = 0; i < 5; i++) await over.send(forged)
  const limited = (await over.send(forged))!
  expect(isTruncated(limited)).toBe(true)
  expect(limited.length).toBeLessThanOrEqual(forged.length)
  for (let i = 0; i < 20; i++) {
    const reply = (await over.send(withCookie(cookie)))!
    expect([isTruncated(reply), reply.slice(-24)]).toEqual([false, cookie])
  }
})

test('a valid cookie proves its network', async () => {
  const node = responder({ perSecond: [0, 0, 0, 0], unproven: 1 })
  node.protocol = { ...node.protocol, cookies }
  const over = memory(node)
  const bare = encode({ q: 'www.example.com A' })
  const cookie = (await over.send(withCookie(new Uint8Array(8))))!.slice(-24)
  for (let i = 0; i < 3; i++) await over.send(bare)
  expect(isTruncated(await over.send(bare))).toBe(true)
  await over.send(withCookie(cookie))
  expect(isTruncated(await over.send(bare))).toBe(false)
  expect(isTruncated(await over.send(bare, '198.51.100.1'))).toBe(true)
})

test('an answer that does not fit counts as truncated, not as limited', async () => {
  const node = responder()
  await makeAsk(memory(node))({ q: 'texts.example.com TXT', rcode: 'NOERROR', tc: true })
  expect(node.counters[C_TRUNCATED]).toBe(1)
  expect(node.counters[C_LIMITED]).toBe(0)
})
