/** RFC 8945: transaction signatures (TSIG) of queries and their responses. */
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { decodeMessage, type Message } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { TSIG_ERROR, timeData, type TsigKey } from '../../src/dns/tsig.ts'
import type { Server } from '../../src/server/server.ts'
import { start } from '../server/fixture.ts'
import { encode, memory, type Question } from '../support/ask.ts'
import { faultOf, signatureOf, signQuery, testKey } from '../support/signed.ts'
import { node } from './world.ts'

const NOW = 1_800_000_000
const KEY = testKey('small')
const KEYS = [KEY, testKey('large', 'hmac-sha512')]

node.responder.protocol = { ...PLAIN_PROTOCOL, tsigKeys: KEYS }
node.responder.clock = () => NOW

/** Both transports, over memory: what a rule says holds for both. */
const TRANSPORTS = [memory(node.responder), memory(node.responder, 'tcp')]

type Sent = Promise<{ reply: Uint8Array; message: Message }>

async function send(wire: Uint8Array, transport = TRANSPORTS[0]!): Sent {
  const reply = await transport.send(wire)
  if (reply === undefined) throw new Error('no reply')
  const message = decodeMessage(reply)
  if (isFault(message)) throw new Error(message.fault)
  return { reply, message }
}

const HOST: Question = { q: 'host.example.com A', id: 0x1234 }
const BARE = encode(HOST)

/** A signed query with only the first bytes of its MAC. */
function cutMac(bytes: number): Uint8Array {
  const { wire } = signQuery(BARE, KEY, NOW)
  const macAt = wire.length - 6 - 32
  const cut = Uint8Array.of(...wire.slice(0, macAt + bytes), ...wire.slice(-6))
  cut[macAt - 1] = bytes
  cut[BARE.length + KEY.name.length + 9]! -= 32 - bytes
  return cut
}

/** A key as kdig takes it. */
const textOf = (key: TsigKey): string =>
  `${key.algorithm}:${Buffer.from(key.name.subarray(1, -1)).toString()}:${Buffer.from(key.secret).toString('base64')}`

/** The same for each transport. */
async function each(check: (ask: (wire: Uint8Array) => Sent) => Promise<void>): Promise<void> {
  for (const transport of TRANSPORTS) await check((wire) => send(wire, transport))
}

describe('§5.3: a signed query gets a signed response', () => {
  test.each(KEYS)('$algorithm', async (key) => {
    await each(async (ask) => {
      const { wire, mac } = signQuery(BARE, key, NOW)
      const { reply, message } = await ask(wire)
      expect(message).toMatchObject({ rcode: 'NOERROR', answer: [{ rdata: '192.0.2.80' }] })
      expect(faultOf(reply, key, mac, NOW)).toBe(0)
      expect(signatureOf(reply, key)).toMatchObject({ error: 0, signedAt: NOW, fudgeSeconds: 300, originalId: 0x1234 })
    })
  })

  test('of every outcome, with OPT before the signature if the query had one', async () => {
    for (const [q, rcode] of [
      ['nothing.example.com A', 'NXDOMAIN'],
      ['www.example.com A', 'NOERROR'],
      ['www.example.org A', 'REFUSED'],
      ['host.example.com TYPE0', 'FORMERR'],
    ] as const) {
      const { wire, mac } = signQuery(encode({ q, edns: true }), KEY, NOW)
      const { reply, message } = await send(wire)
      expect(message.rcode, q).toBe(rcode)
      expect(message.edns).toMatchObject({ version: 0 })
      expect(faultOf(reply, KEY, mac, NOW), q).toBe(0)
    }
  })

  test('a query that is not signed gets a response that is not', async () => {
    const { message } = await send(BARE)
    expect(message.additional).toEqual([])
  })

  test('§5.3.1: the id of the response is that of the query, also behind a forwarder that gave it another', async () => {
    const { wire, mac } = signQuery(BARE, KEY, NOW)
    wire.set([0xab, 0xcd])
    const { reply, message } = await send(wire)
    expect(message).toMatchObject({ id: 0xabcd, rcode: 'NOERROR' })
    expect(faultOf(reply, KEY, mac, NOW)).toBe(0)
  })

  test('§5.3: what does not fit beside the signature is truncated, and signed', async () => {
    const asked = { q: 'many.example.com A', id: 1 }
    for (const payload of [600, 1070]) {
      const { wire, mac } = signQuery(encode({ ...asked, payload }), KEY, NOW)
      const { reply, message } = await send(wire)
      expect(message).toMatchObject({ tc: true, answer: [] })
      expect(faultOf(reply, KEY, mac, NOW)).toBe(0)
      expect(reply.length).toBeLessThanOrEqual(payload)
    }
    const plain = await send(encode({ ...asked, payload: 1070 }))
    expect(plain.message.answer).toHaveLength(60)
    const { wire } = signQuery(encode({ ...asked, payload: 1232 }), KEY, NOW)
    expect((await send(wire)).message.answer).toHaveLength(60)
    expect((await send(wire, TRANSPORTS[1])).message.answer).toHaveLength(60)
  })
})

test('§5.3: over UDP a response without a valid cookie, its signature included, has no more bytes than `cookies.require`', async () => {
  const name = `${'k'.repeat(63)}.`.repeat(3)
  const stranger = { ...KEY, name: Uint8Array.of(...Buffer.from(name.replaceAll(/(k+)\./g, '?$1')), 0) }
  for (const at of [0, 64, 128]) stranger.name[at] = 63
  const long = encode({ q: `${name}example.com A`, payload: 1232 })
  try {
    for (let unprovenBytes = 512; unprovenBytes < 800; unprovenBytes += 12) {
      node.responder.protocol = { ...PLAIN_PROTOCOL, tsigKeys: KEYS, unprovenBytes }
      for (const query of [
        signQuery(encode({ q: 'www.bulky.example.com A', payload: 1232 }), KEYS[1]!, NOW),
        signQuery(long, stranger, NOW),
      ]) {
        const { reply } = await send(query.wire)
        expect(reply.length, `of ${unprovenBytes}`).toBeLessThanOrEqual(unprovenBytes)
      }
    }
  } finally {
    node.responder.protocol = { ...PLAIN_PROTOCOL, tsigKeys: KEYS }
  }
})

describe('§5.1: the TSIG record is the last of the additional section', () => {
  const { wire } = signQuery(BARE, KEY, NOW)
  const record = wire.slice(BARE.length)
  const opt = encode({ ...HOST, edns: true }).slice(BARE.length)

  test.each([
    ['a record behind it', [record, opt], 10],
    ['a second one', [record, record], 10],
    ['in the answer section', [record], 6],
    ['in the authority section', [record], 8],
  ] as const)('%s: FORMERR', async (_what, records, section) => {
    const bytes = Buffer.concat([BARE, ...records])
    bytes[section + 1] = records.length
    expect((await send(new Uint8Array(bytes))).message).toMatchObject({ rcode: 'FORMERR', answer: [], additional: [] })
  })

  test.each([
    ['another class', 10, 1],
    ['a TTL', 14, 1],
    ['a MAC longer than the record', 7 + 10 + 13 + 8, 1],
  ])('§4.2: %s: FORMERR', async (_what, at, byte) => {
    const bytes = wire.slice()
    expect(bytes[BARE.length + at]).not.toBe(byte)
    bytes[BARE.length + at] = byte
    expect((await send(bytes)).message).toMatchObject({ rcode: 'FORMERR', answer: [] })
  })
})

describe('§5.2.1: a key that is not known here', () => {
  test.each([
    ['another name', testKey('other')],
    ['another algorithm', testKey('small', 'hmac-sha512')],
  ])('%s: NOTAUTH and BADKEY, without a signature (§5.3.2)', async (_what, key) => {
    await each(async (ask) => {
      const { reply, message } = await ask(signQuery(BARE, key, NOW).wire)
      expect(message).toMatchObject({
        id: 0x1234,
        rcode: 'NOTAUTH',
        answer: [],
        question: [{ name: 'host.example.com.' }],
      })
      const tsig = signatureOf(reply, key)!
      expect(tsig).toMatchObject({ error: TSIG_ERROR.BADKEY, signedAt: NOW })
      expect([tsig.mac.length, tsig.other.length]).toEqual([0, 0])
    })
  })
})

describe('§5.2.2: a signature that is wrong', () => {
  test('NOTAUTH and BADSIG, without a signature (§5.3.2)', async () => {
    await each(async (ask) => {
      const { wire } = signQuery(BARE, KEY, NOW)
      wire[13]! ^= 0x20 // HOST.example.com: the query name is signed in its case
      const { reply, message } = await ask(wire)
      expect(message).toMatchObject({ rcode: 'NOTAUTH', answer: [] })
      const tsig = signatureOf(reply, KEY)!
      expect([tsig.error, tsig.mac.length]).toEqual([TSIG_ERROR.BADSIG, 0])
    })
  })

  test('§5.2.2.1: a MAC shorter than half of the hash is FORMERR', async () => {
    expect((await send(cutMac(15))).message).toMatchObject({ rcode: 'FORMERR', answer: [], additional: [] })
  })

  test('§5.2.4: one that is truncated and right is BADTRUNC, in a signed response', async () => {
    const { reply, message } = await send(cutMac(16))
    expect(message).toMatchObject({ rcode: 'NOTAUTH', answer: [] })
    expect(signatureOf(reply, KEY)!.error).toBe(TSIG_ERROR.BADTRUNC)
    expect(faultOf(reply, KEY, signatureOf(cutMac(16), KEY)!.mac, NOW)).toBe(0)
  })
})

test('§5.2.3: a time outside of the fudge is BADTIME, signed, with the time of this side', async () => {
  await each(async (ask) => {
    for (const away of [-301, 301, 100_000_000]) {
      const { wire, mac } = signQuery(BARE, KEY, NOW + away)
      const { reply, message } = await ask(wire)
      expect(message).toMatchObject({ rcode: 'NOTAUTH', answer: [] })
      const tsig = signatureOf(reply, KEY)!
      expect(tsig).toMatchObject({ error: TSIG_ERROR.BADTIME, signedAt: NOW + away })
      expect(tsig.other).toEqual(timeData(NOW))
      expect(faultOf(reply, KEY, mac, NOW + away)).toBe(0)
    }
    for (const away of [-300, 300]) {
      expect((await ask(signQuery(BARE, KEY, NOW + away).wire)).message.rcode).toBe('NOERROR')
    }
  })
})

describe('kdig, with its own signatures', () => {
  let server: Server
  const kdig = (key: TsigKey, ...more: string[]): string => {
    const { address, port } = server.listen[0]!
    const args = [`@${address}`, '-p', String(port), '-y', textOf(key), 'host.example.com', 'A', ...more]
    return execFileSync('kdig', args, { encoding: 'utf8', stdio: 'pipe' })
  }

  beforeAll(async () => {
    server = (await start({ world: node.made.world, protocol: { ...PLAIN_PROTOCOL, tsigKeys: KEYS } })).server
  })
  afterAll(() => server.stop(0))

  test.each(KEYS)('$algorithm over UDP and TCP', (key) => {
    for (const transport of ['+notcp', '+tcp']) {
      const said = kdig(key, transport)
      expect(said).toContain('host.example.com.')
      expect(said).toContain('192.0.2.80')
      expect(said).toMatch(/TSIG PSEUDOSECTION/)
      expect(said).not.toMatch(/WARNING|BADSIG|invalid/)
    }
  })

  test('a secret that is not the same', () => {
    expect(kdig({ ...KEY, secret: new Uint8Array(32) })).toMatch(/status: BADSIG/)
  })
})
