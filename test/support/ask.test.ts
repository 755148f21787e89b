/**
 * The verb itself: alike over memory, UDP and TCP, and blind to nothing. Every alteration of a good reply that a server
 * could make by mistake must fail the question.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { PortableUdp, bindPortable } from '../../src/server/portable.ts'
import { makeNode } from '../answer/fixture.ts'
import { ZONES } from '../rfc/zones.ts'
import { startTcp } from '../server/fixture.ts'
import { type Question, type Transport, makeAsk, memory, tcp, udp } from './ask.ts'
import { CLIENTS } from './mmdb.ts'

const node = await makeNode(ZONES)
const { made, health } = node
const socket = await bindPortable({ address: '127.0.0.1', port: 0 })
const udpFront = new PortableUdp([socket], { world: made.world, protocol: PLAIN_PROTOCOL, health }, undefined)
const { front: tcpFront, to } = await startTcp({ world: made.world, health })
afterAll(() => Promise.all([udpFront.stop(1000), tcpFront.stop(1000)]))

const TRANSPORTS = [
  ['memory', memory(node.responder)],
  ['memory as TCP', memory(node.responder, 'tcp')],
  ['UDP', udp('127.0.0.1', socket.address().port)],
  ['TCP', tcp('127.0.0.1', to.port)],
] as const

const HOST = 'host.example.com. 300 IN A 192.0.2.80'

describe.each(TRANSPORTS)('over %s', (_, transport) => {
  const ask = makeAsk(transport)

  test('the same questions have the same answers', async () => {
    await ask({ q: 'host.example.com A', rcode: 'NOERROR', aa: true, answer: [HOST], authority: [], additional: [] })
    await ask({ q: 'nothing.example.com A', edns: true, rcode: 'NXDOMAIN', aa: true, answer: [] })
    const ecs = `${CLIENTS.paris.v4}/24`
    await ask({ q: 'www.example.com A', ecs, rcode: 'NOERROR', answer: ['www.example.com. 60 IN A 192.0.2.10'] })
    await ask({ q: 'alias.example.com A', ecs, from: '127.0.0.1', rcode: 'NOERROR', scope: 0 })
    const tc = transport.kind === 'udp'
    const { answer } = await ask({ q: 'many.example.com A', rcode: 'NOERROR', tc })
    expect(answer).toHaveLength(tc ? 0 : 60)
  })

  test('many at once find their own answers', async () => {
    const names = Array.from({ length: 40 }, (_name, i) => `w${i}.wild.example.com`)
    await Promise.all(
      names.map((name) => ask({ q: `${name} A`, rcode: 'NOERROR', answer: [`${name}. 3600 IN A 192.0.2.90`] })),
    )
  })
})

/** One byte changed, counted from the front or, below 0, from behind. */
const set = (at: number, change: (byte: number) => number) => (reply: Uint8Array) =>
  reply.map((byte, i) => (i === (at + reply.length) % reply.length ? change(byte) : byte))

describe('an altered reply', () => {
  const asked = { q: 'www.example.com A', ecs: `${CLIENTS.paris.v4}/24`, rd: true }
  const right = { rcode: 'NOERROR', aa: true, answer: ['www.example.com. 60 IN A 192.0.2.10'], authority: [] }
  const inner = memory(node.responder)
  const altered = (question: Question, change: (reply: Uint8Array) => Uint8Array): Promise<unknown> => {
    const transport: Transport = {
      kind: 'udp',
      send: async (query, from) => change((await inner.send(query, from))!),
    }
    return makeAsk(transport)({ ...question, ...right })
  }
  const flip = (at: number, bit: number) => set(at, (byte) => byte ^ bit)

  test('left alone passes', async () => {
    await altered(asked, (reply) => reply)
  })

  // header 12, question 21, A record 16, OPT 11 + ECS 4 + 4 + 3
  const cases: readonly [string, (reply: Uint8Array) => Uint8Array][] = [
    ['another id', flip(1, 1)],
    ['QR cleared', flip(2, 0x80)],
    ['another opcode', flip(2, 0x10)],
    ['AA cleared', flip(2, 0x04)],
    ['TC set', flip(2, 0x02)],
    ['RD cleared', flip(2, 0x01)],
    ['RA set', flip(3, 0x80)],
    ['another rcode', flip(3, 3)],
    ['another case of the question', flip(13, 0x20)],
    ['another type', flip(12 + 18, 0x01)],
    ['no answer', set(7, () => 0)],
    ['another TTL', flip(12 + 21 + 9, 1)],
    ['another address', flip(12 + 21 + 15, 1)],
    ['an extended rcode', set(-17, () => 1)],
    ['another EDNS version', set(-16, () => 1)],
    ['DO set', set(-15, () => 0x80)],
    ['another ECS family', set(-6, () => 2)],
    ['another ECS source', set(-5, () => 23)],
    ['another ECS address', set(-1, () => 2)],
    ['another option than ECS', set(-10, () => 10)],
    ['a byte more', (reply) => Uint8Array.of(...reply, 0)],
    ['a byte less', (reply) => reply.slice(0, -1)],
  ]
  test.each(cases)('fails: %s', async (_, change) => {
    await expect(altered(asked, change)).rejects.toThrow(/./)
  })

  test('fails: OPT unasked, a reply too large, no reply', async () => {
    const plain = { q: 'www.example.com A', from: CLIENTS.paris.v4 }
    const opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]
    const unasked = (reply: Uint8Array): Uint8Array => set(11, () => 1)(Uint8Array.of(...reply, ...opt))
    await altered(plain, (reply) => reply)
    await expect(altered(plain, unasked)).rejects.toThrow('OPT')
    await expect(
      makeAsk({ ...memory(node.responder, 'tcp'), kind: 'udp' })({ q: 'many.example.com A', rcode: 'NOERROR' }),
    ).rejects.toThrow(/bytes where 512/)
    const silent: Transport = { kind: 'udp', send: () => Promise.resolve(undefined) }
    await expect(makeAsk(silent)({ ...plain, rcode: 'NOERROR' })).rejects.toThrow('no reply')
  })
})

test('order is compared only when asked for', async () => {
  const ask = makeAsk(memory(node.responder))
  const lines = ['mail.example.com. 300 IN A 192.0.2.26', 'mail.example.com. 300   IN A 192.0.2.25']
  const question = { q: 'mail.example.com A', rcode: 'NOERROR' }
  await ask({ ...question, answer: lines })
  const both = [lines, lines.toReversed()].map((answer) => ask({ ...question, answer, ordered: true }))
  expect((await Promise.allSettled(both)).map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
})
