/** RFC 7873: DNS cookies in queries and responses. RFC 9018, how they are made, has a file of its own. */
import { describe, expect, test } from 'vitest'
import type { Protocol } from '../../src/answer/protocol.ts'
import { C_COOKIES } from '../../src/counters.ts'
import type { EdnsOption, Message } from '../../src/dns/message.ts'
import { sipKey } from '../../src/dns/siphash.ts'
import { encode } from '../support/ask.ts'
import { tell as tellPlain, withProtocol } from './world.ts'

const COOKIE = 10
const CLIENT = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const HOST = ['host.example.com. 300 IN A 192.0.2.80']
const HOUR = 3_600_000

const cookieIn = (message: Message | undefined): Uint8Array | undefined => {
  const found = message!.edns!.options.filter(({ code }) => code === COOKIE)
  expect(found.length).toBeLessThan(2)
  return found[0]?.data
}
const option = (data: Uint8Array): { options: EdnsOption[] } => ({ options: [{ code: COOKIE, data }] })

const server = (settings: Partial<Protocol> = {}) => {
  const made = withProtocol({
    cookies: [sipKey(new Uint8Array(16).fill(7))],
    unprovenBytes: 512,
    ...settings,
  })
  made.responder.nowMs = 1_800_000_000_999
  return made
}

/** A cookie that the server gave to the client of memory(). */
async function learn({ ask }: ReturnType<typeof server>): Promise<Uint8Array> {
  return cookieIn(await ask({ q: 'host.example.com A', ...option(CLIENT), rcode: 'NOERROR' }))!
}

/** With the last bit of its hash changed. */
const forged = (cookie: Uint8Array): Uint8Array => cookie.with(23, cookie[23]! ^ 1)

describe('§5.2.1: without a cookie', () => {
  test('the response has none, with EDNS or without', async () => {
    const { ask } = server()
    await ask({ q: 'host.example.com A', rcode: 'NOERROR', answer: HOST })
    const { edns } = await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR', answer: HOST })
    expect(edns!.options).toEqual([])
  })
})

describe('§5.2.2: a malformed cookie', () => {
  test('is FORMERR with any length but 8 and 16 to 40 bytes', async () => {
    const { tell } = server()
    for (let length = 0; length <= 50; length++) {
      const reply = await tell(encode({ q: 'host.example.com A', ...option(new Uint8Array(length)) }))
      const isRight = length === 8 || (length >= 16 && length <= 40)
      expect([length, reply!.rcode, reply!.answer.length]).toEqual([
        length,
        isRight ? 'NOERROR' : 'FORMERR',
        isRight ? 1 : 0,
      ])
      expect(cookieIn(reply) !== undefined).toBe(isRight)
    }
  })
})

describe('§5.2.3, §5.2.4: only a client cookie, or a bad server cookie', () => {
  test('is answered, with a server cookie that is valid from then on', async () => {
    const made = server()
    const cookie = await learn(made)
    expect(cookie.length).toBe(24)
    expect(cookie.subarray(0, 8)).toEqual(CLIENT)
    const ask = (data: Uint8Array): Promise<Message> =>
      made.ask({ q: 'host.example.com A', ...option(data), rcode: 'NOERROR', answer: HOST })
    expect(cookieIn(await ask(cookie))).toEqual(cookie)
    expect(cookieIn(await ask(forged(cookie)))).toEqual(cookie)
    expect(cookieIn(await ask(Uint8Array.of(...CLIENT, 1, 2, 3, 4, 5, 6, 7, 8)))).toEqual(cookie)
  })

  test('with `cookies.badcookie` is BADCOOKIE, without data and with a valid cookie; over TCP it is answered', async () => {
    const made = server({ badCookie: true })
    const q = 'host.example.com A'
    const refused = await made.ask({ q, ...option(CLIENT), ecs: '198.51.100.0/24', rcode: 'BADCOOKIE', answer: [] })
    expect([refused.aa, refused.authority, refused.additional]).toEqual([false, [], []])
    const cookie = cookieIn(refused)!
    expect(cookie.length).toBe(24)
    const bad = await made.ask({ q, ...option(forged(cookie)), rcode: 'BADCOOKIE', answer: [] })
    expect(cookieIn(bad)).toEqual(cookie)
    await made.ask({ q, ...option(cookie), rcode: 'NOERROR', answer: HOST })
    await made.ask({ q, edns: true, rcode: 'NOERROR', answer: HOST }) // no cookie at all: §5.2.1
    for (const data of [CLIENT, forged(cookie)]) {
      expect(cookieIn(await made.askTcp({ q, ...option(data), rcode: 'NOERROR', answer: HOST }))).toEqual(cookie)
    }
  })

  test('a cookie belongs to one address', async () => {
    const made = server({ badCookie: true })
    const cookie = await learn(server())
    const q = 'host.example.com A'
    await made.ask({ q, ...option(cookie), rcode: 'NOERROR' })
    const stolen = await made.ask({ q, ...option(cookie), from: '192.0.2.54', rcode: 'BADCOOKIE' })
    const own = cookieIn(stolen)!
    await made.ask({ q, ...option(own), from: '192.0.2.54', rcode: 'NOERROR' })
    const v6 = cookieIn(await made.ask({ q, ...option(CLIENT), from: '2001:db8::54', rcode: 'BADCOOKIE' }))!
    await made.ask({ q, ...option(v6), from: '2001:db8::54', rcode: 'NOERROR' })
    await made.ask({ q, ...option(v6), from: '2001:db8::55', rcode: 'BADCOOKIE' })
  })

  test('a cookie ends after an hour', async () => {
    const made = server({ badCookie: true })
    const cookie = await learn(server())
    made.responder.nowMs += HOUR
    await made.ask({ q: 'host.example.com A', ...option(cookie), rcode: 'NOERROR' })
    made.responder.nowMs += 1000
    await made.ask({ q: 'host.example.com A', ...option(cookie), rcode: 'BADCOOKIE' })
  })
})

describe('§5.2.5: a valid cookie', () => {
  test('lets answers over UDP be as large as EDNS allows; without one they end at `cookies.require`', async () => {
    const made = server()
    const cookie = await learn(made)
    const q = 'many.example.com A'
    expect((await made.ask({ q, ...option(cookie), rcode: 'NOERROR' })).answer.length).toBe(60)
    await made.ask({ q, ...option(cookie), payload: 600, rcode: 'NOERROR', tc: true, answer: [] })
    for (const asked of [{ edns: true }, option(CLIENT), option(forged(cookie))]) {
      await made.ask({ q, ...asked, rcode: 'NOERROR', tc: true, answer: [] })
      expect((await made.askTcp({ q, ...asked, rcode: 'NOERROR' })).answer.length).toBe(60)
    }
    const open = server({ unprovenBytes: 1232 })
    expect((await open.ask({ q, edns: true, rcode: 'NOERROR' })).answer.length).toBe(60)
  })
})

test('§5.2: of several cookies the first counts', async () => {
  const made = server()
  const cookie = await learn(made)
  const options = [cookie, new Uint8Array(3), CLIENT].map((data) => ({ code: COOKIE, data }))
  expect(cookieIn(await made.ask({ q: 'host.example.com A', options, rcode: 'NOERROR' }))).toEqual(cookie)
})

/** A query without a question. */
const bare = (data?: Uint8Array): Uint8Array => {
  const asked = encode({ q: '. A', ...(data === undefined ? { edns: true } : option(data)) })
  const query = Uint8Array.of(...asked.subarray(0, 12), ...asked.subarray(12 + 5))
  query[5] = 0
  return query
}

describe('§5.4: a query for a cookie alone, with no question', () => {
  const empty = { question: [], answer: [], authority: [], additional: [] }

  test('gets one; a bad one is BADCOOKIE, whatever the setting', async () => {
    const { tell } = server()
    const first = await tell(bare(CLIENT))
    expect(first).toMatchObject({ rcode: 'NOERROR', aa: false, ...empty })
    const cookie = cookieIn(first)!
    expect(await tell(bare(cookie))).toMatchObject({ rcode: 'NOERROR', ...empty })
    const bad = await tell(bare(forged(cookie)))
    expect(bad).toMatchObject({ rcode: 'BADCOOKIE', ...empty })
    expect(cookieIn(bad)).toEqual(cookie)
  })

  test('is FORMERR without a cookie (RFC 9619), with a malformed one, and where cookies are not served', async () => {
    expect(await server().tell(bare())).toMatchObject({ rcode: 'FORMERR', ...empty })
    expect(await server().tell(bare(new Uint8Array(9)))).toMatchObject({ rcode: 'FORMERR', ...empty })
    expect(await tellPlain(bare(CLIENT))).toMatchObject({ rcode: 'FORMERR', ...empty })
  })
})

test('without secrets a cookie is an option that nobody knows', async () => {
  const asked = encode({ q: 'many.example.com A', ...option(CLIENT) })
  expect((await tellPlain(asked))!.edns!.options).toEqual([])
  expect((await tellPlain(asked))!.answer.length).toBe(60)
})

test('they are counted: new, bad, valid', async () => {
  const made = server()
  const cookie = await learn(made)
  for (const data of [cookie, forged(cookie), cookie, cookie]) {
    await made.askTcp({ q: 'host.example.com A', ...option(data), rcode: 'NOERROR' })
  }
  expect([...made.responder.counters.subarray(C_COOKIES, C_COOKIES + 3)]).toEqual([1, 1, 3])
})
