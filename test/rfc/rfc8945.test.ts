/** RFC 8945: transaction signatures (TSIG) of queries and their responses. */
import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/dns/message.ts'
import { parseKey, TSIG_ERROR, timeData, type TsigKey } from '../../src/dns/tsig.ts'
import { makeResponder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { VECTORS } from '../dns/tsig-vectors.ts'
import { encode, memory, type Question } from '../support/ask.ts'
import { faultOf, signatureOf, signQuery, testKey } from '../support/signed.ts'
import { type Asking, decoded, node, rules, STREAMS } from './world.ts'
import { protocolWith, serverFor } from './ways.ts'

const KEY = testKey('small')
const KEYS = [KEY, testKey('large', 'hmac-sha512')]
const protocol = { tsigKeys: KEYS }
const rule = rules({ protocol })

const now = (): number => Math.floor(Date.now() / 1000)

async function send(
  { send: sendBytes }: Pick<Asking, 'send'>,
  wire: Uint8Array,
): Promise<{ reply: Uint8Array; message: Message }> {
  const reply = await sendBytes(wire)
  return { reply, message: decoded(reply) }
}

const HOST: Question = { q: 'host.example.com A', id: 0x1234 }
const BARE = encode(HOST)

/** A signed query with only the first bytes of its MAC. */
function cutMac(bytes: number): Uint8Array {
  const { wire } = signQuery(BARE, KEY, now())
  const macAt = wire.length - 6 - 32
  const cut = Uint8Array.of(...wire.slice(0, macAt + bytes), ...wire.slice(-6))
  cut[macAt - 1] = bytes
  cut[BARE.length + KEY.name.length + 9]! -= 32 - bytes
  return cut
}

/** A key as kdig takes it. */
const textOf = (key: TsigKey): string =>
  `${key.algorithm}:${Buffer.from(key.name.subarray(1, -1)).toString()}:${Buffer.from(key.secret).toString('base64')}`

describe('§5.3: a signed query gets a signed response', () => {
  rule('with its own key and algorithm', async (on) => {
    for (const key of KEYS) {
      const { wire, mac } = signQuery(BARE, key, now())
      const { reply, message } = await send(on, wire)
      expect(message).toMatchObject({ rcode: 'NOERROR', answer: [{ rdata: '192.0.2.80' }] })
      expect(faultOf(reply, key, mac, now())).toBe(0)
      const { error, signedAt, fudgeSeconds, originalId } = signatureOf(reply, key)!
      expect([error, fudgeSeconds, originalId]).toEqual([0, 300, 0x1234])
      expect(Math.abs(signedAt - now())).toBeLessThan(60)
    }
  })

  rule('of every outcome, with OPT before the signature if the query had one', async (on) => {
    for (const [q, rcode] of [
      ['nothing.example.com A', 'NXDOMAIN'],
      ['www.example.com A', 'NOERROR'],
      ['www.example.org A', 'REFUSED'],
      ['host.example.com TYPE0', 'FORMERR'],
    ] as const) {
      const { wire, mac } = signQuery(encode({ q, edns: true }), KEY, now())
      const { reply, message } = await send(on, wire)
      expect(message.rcode, q).toBe(rcode)
      expect(message.edns).toMatchObject({ version: 0 })
      expect(faultOf(reply, KEY, mac, now()), q).toBe(0)
    }
  })

  rule('a query that is not signed gets a response that is not', async ({ tell }) => {
    expect((await tell(BARE)).additional).toEqual([])
  })

  rule(
    '§5.3.1: the id of the response is that of the query, also behind a forwarder that gave it another',
    async (on) => {
      const { wire, mac } = signQuery(BARE, KEY, now())
      wire.set([0xab, 0xcd])
      const { reply, message } = await send(on, wire)
      expect(message).toMatchObject({ id: 0xabcd, rcode: 'NOERROR' })
      expect(faultOf(reply, KEY, mac, now())).toBe(0)
    },
  )

  const asked = { q: 'many.example.com A', id: 1 }
  rule.over(['udp'])('§5.3: what does not fit beside the signature is truncated, and signed', async (on) => {
    for (const payload of [600, 1070]) {
      const { wire, mac } = signQuery(encode({ ...asked, payload }), KEY, now())
      const { reply, message } = await send(on, wire)
      expect(message).toMatchObject({ tc: true, answer: [] })
      expect(faultOf(reply, KEY, mac, now())).toBe(0)
      expect(reply.length).toBeLessThanOrEqual(payload)
    }
    expect((await on.tell(encode({ ...asked, payload: 1070 }))).answer).toHaveLength(60)
    const { wire } = signQuery(encode({ ...asked, payload: 1232 }), KEY, now())
    expect((await on.tell(wire)).answer).toHaveLength(60)
  })

  rule.over(STREAMS)('§5.3: over others it fits', async (on) => {
    const { wire, mac } = signQuery(encode({ ...asked, payload: 600 }), KEY, now())
    const { reply, message } = await send(on, wire)
    expect(message.answer).toHaveLength(60)
    expect(faultOf(reply, KEY, mac, now())).toBe(0)
  })
})

rule.over(['udp'])(
  '§5.3: a response without a valid cookie, its signature included, has no more bytes than `cookies.require`',
  async ({ having }) => {
    const name = `${'k'.repeat(63)}.`.repeat(3)
    const stranger = { ...KEY, name: Uint8Array.of(...Buffer.from(name.replaceAll(/(k+)\./g, '?$1')), 0) }
    for (const at of [0, 64, 128]) stranger.name[at] = 63
    const long = encode({ q: `${name}example.com A`, payload: 1232 })
    const bulky = encode({ q: 'www.bulky.example.com A', payload: 1232 })
    for (let unprovenBytes = 512; unprovenBytes < 800; unprovenBytes += 12) {
      const on = having({ unprovenBytes })
      for (const { wire } of [signQuery(bulky, KEYS[1]!, now()), signQuery(long, stranger, now())])
        expect((await on.send(wire)).length, `of ${unprovenBytes}`).toBeLessThanOrEqual(unprovenBytes)
    }
  },
)

describe('§5.1: the TSIG record is the last of the additional section', () => {
  const { wire } = signQuery(BARE, KEY, now())
  const record = wire.slice(BARE.length)
  const opt = encode({ ...HOST, edns: true }).slice(BARE.length)

  for (const [what, records, section] of [
    ['a record behind it', [record, opt], 10],
    ['a second one', [record, record], 10],
    ['in the answer section', [record], 6],
    ['in the authority section', [record], 8],
  ] as const) {
    rule(`${what}: FORMERR`, async ({ tell }) => {
      const bytes = Buffer.concat([BARE, ...records])
      bytes[section + 1] = records.length
      expect(await tell(new Uint8Array(bytes))).toMatchObject({ rcode: 'FORMERR', answer: [], additional: [] })
    })
  }

  for (const [what, at, byte] of [
    ['another class', 10, 1],
    ['a TTL', 14, 1],
    ['a MAC longer than the record', 7 + 10 + 13 + 8, 1],
  ] as const) {
    rule(`§4.2: ${what}: FORMERR`, async ({ tell }) => {
      const bytes = wire.slice()
      expect(bytes[BARE.length + at]).not.toBe(byte)
      bytes[BARE.length + at] = byte
      expect(await tell(bytes)).toMatchObject({ rcode: 'FORMERR', answer: [] })
    })
  }
})

describe('§5.2.1: a key that is not known here', () => {
  for (const [what, key] of [
    ['another name', testKey('other')],
    ['another algorithm', testKey('small', 'hmac-sha512')],
  ] as const) {
    rule(`${what}: NOTAUTH and BADKEY, without a signature (§5.3.2)`, async (on) => {
      const { reply, message } = await send(on, signQuery(BARE, key, now()).wire)
      const question = [{ name: 'host.example.com.' }]
      expect(message).toMatchObject({ id: 0x1234, rcode: 'NOTAUTH', answer: [], question })
      const tsig = signatureOf(reply, key)!
      expect([tsig.error, tsig.mac.length, tsig.other.length]).toEqual([TSIG_ERROR.BADKEY, 0, 0])
    })
  }
})

describe('§5.2.2: a signature that is wrong', () => {
  rule('NOTAUTH and BADSIG, without a signature (§5.3.2)', async (on) => {
    const { wire } = signQuery(BARE, KEY, now())
    wire[13]! ^= 0x20 // HOST.example.com: the query name is signed in its case
    const { reply, message } = await send(on, wire)
    expect(message).toMatchObject({ rcode: 'NOTAUTH', answer: [] })
    const tsig = signatureOf(reply, KEY)!
    expect([tsig.error, tsig.mac.length]).toEqual([TSIG_ERROR.BADSIG, 0])
  })

  rule('§5.2.2.1: a MAC shorter than half of the hash is FORMERR', async ({ tell }) => {
    expect(await tell(cutMac(15))).toMatchObject({ rcode: 'FORMERR', answer: [], additional: [] })
  })

  rule('§5.2.4: one that is truncated and right is BADTRUNC, in a signed response', async (on) => {
    const wire = cutMac(16)
    const { reply, message } = await send(on, wire)
    expect(message).toMatchObject({ rcode: 'NOTAUTH', answer: [] })
    expect(signatureOf(reply, KEY)!.error).toBe(TSIG_ERROR.BADTRUNC)
    expect(faultOf(reply, KEY, signatureOf(wire, KEY)!.mac, now())).toBe(0)
  })
})

describe('§5.2.3: a time outside of the fudge is BADTIME, signed, with the time of this side', () => {
  rule('by minutes and by years', async (on) => {
    for (const away of [-310, 310, 100_000_000]) {
      const signedAt = now() + away
      const { wire, mac } = signQuery(BARE, KEY, signedAt)
      const { reply, message } = await send(on, wire)
      expect(message).toMatchObject({ rcode: 'NOTAUTH', answer: [] })
      const tsig = signatureOf(reply, KEY)!
      expect(tsig).toMatchObject({ error: TSIG_ERROR.BADTIME, signedAt })
      const here = Buffer.from(tsig.other).readUIntBE(0, 6)
      expect(Math.abs(here - now())).toBeLessThan(60)
      expect(faultOf(reply, KEY, mac, signedAt)).toBe(0)
    }
    for (const away of [-200, 200])
      expect((await on.tell(signQuery(BARE, KEY, now() + away).wire)).rcode).toBe('NOERROR')
  })

  // over memory, which has a clock of its own
  test('to the second', async () => {
    const NOW = 1_800_000_000
    const responder = makeResponder(node.made.world, node.health, makeCounters(), protocolWith(protocol))
    responder.clock = () => NOW
    for (const [away, error] of [
      [-301, TSIG_ERROR.BADTIME],
      [-300, 0],
      [300, 0],
      [301, TSIG_ERROR.BADTIME],
    ] as const) {
      const reply = await memory(responder).send(signQuery(BARE, KEY, NOW + away).wire)
      const tsig = signatureOf(reply!, KEY)!
      expect([away, tsig.error]).toEqual([away, error])
      expect(tsig.other).toEqual(error === 0 ? new Uint8Array(0) : timeData(NOW))
    }
  })
})

describe('vectors: queries that another implementation signed, years ago', () => {
  for (const { algorithm, secret, query } of VECTORS) {
    rule(`${algorithm}: the signature is right, its time is not: BADTIME`, async ({ having }) => {
      const key = parseKey(`${algorithm}:xfr.example.:${secret}`)
      if (typeof key === 'string') throw new Error(key)
      const wire = new Uint8Array(Buffer.from(query, 'hex'))
      const on = having({ tsigKeys: [key] })
      expect(signatureOf((await send(on, wire)).reply, key)!.error).toBe(TSIG_ERROR.BADTIME)
      wire[14]! ^= 1
      expect(signatureOf((await send(on, wire)).reply, key)!.error).toBe(TSIG_ERROR.BADSIG)
    })
  }
})

const kdig = async (key: TsigKey, over: 'listen' | 'tls' | 'https', ...more: string[]): Promise<string> => {
  const server = await serverFor({ world: node.made.world, protocol: protocolWith(protocol) })
  const { address, port } = server[over][0]!
  const args = [`@${address}`, '-p', String(port), '-y', textOf(key), 'host.example.com', 'A', ...more]
  return execFileSync('kdig', args, { encoding: 'utf8', stdio: 'pipe' })
}

describe('kdig, with its own signatures', () => {
  test.each(KEYS)('$algorithm over UDP, TCP, TLS and HTTPS', async (key) => {
    for (const [over, option] of [
      ['listen', '+notcp'],
      ['listen', '+tcp'],
      ['tls', '+tls'],
      ['https', '+https'],
    ] as const) {
      const said = await kdig(key, over, option)
      expect(said).toContain('host.example.com.')
      expect(said).toContain('192.0.2.80')
      expect(said).toMatch(/TSIG PSEUDOSECTION/)
      expect(said).not.toMatch(/WARNING|BADSIG|invalid/)
    }
  })

  test('a secret that is not the same', async () => {
    expect(await kdig({ ...KEY, secret: new Uint8Array(32) }, 'listen')).toMatch(/status: BADSIG/)
  })
})
