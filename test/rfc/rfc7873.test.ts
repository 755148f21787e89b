/** RFC 7873: DNS cookies in queries and responses. RFC 9018, how they are made, has a file of its own. */
import { describe, expect, test } from 'vitest'
import { makeResponder } from '../../src/answer/responder.ts'
import { C_COOKIES, makeCounters } from '../../src/counters.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { judgeCookie } from '../../src/dns/cookie.ts'
import type { EdnsOption, Message } from '../../src/dns/message.ts'
import { sipKey } from '../../src/dns/siphash.ts'
import { encode, makeAsk, memory } from '../support/ask.ts'
import { type Asking, node, rule, rules, STREAMS } from './world.ts'
import { protocolWith } from './ways.ts'

const COOKIE = 10
const CLIENT = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const Q = 'host.example.com A'
const HOST = ['host.example.com. 300 IN A 192.0.2.80']
const HOUR = 3600
const cookies = [sipKey(new Uint8Array(16).fill(7))]

/** The cookie in a message; undefined: it has none. */
const cookieIn = (message: Message): Uint8Array | undefined => {
  const found = message.edns!.options.filter(({ code }) => code === COOKIE)
  expect(found.length).toBeLessThan(2)
  return found[0]?.data
}
const option = (data: Uint8Array): { options: EdnsOption[] } => ({ options: [{ code: COOKIE, data }] })

const served = rules({ protocol: { cookies, unprovenBytes: 512 } })
/** Over UDP alone: over others a bad cookie is answered (§5.2.3). */
const strict = rules({ protocol: { cookies, badCookie: true } }).over(['udp'])

/** A cookie that the server gave to a client. */
async function learn({ ask }: Asking): Promise<Uint8Array> {
  const cookie = cookieIn(await ask({ q: Q, ...option(CLIENT), rcode: 'NOERROR', answer: HOST }))!
  expect([cookie.length, ...cookie.subarray(0, 8)]).toEqual([24, ...CLIENT])
  return cookie
}

/** A cookie as the server made it for the client so many seconds ago. */
function cookieOf(secondsAgo: number): Uint8Array {
  const data = new Uint8Array(40)
  data.set(CLIENT)
  judgeCookie(
    cookies,
    new DataView(data.buffer),
    8,
    parseAddress('127.0.0.1')!,
    0,
    4,
    Math.floor(Date.now() / 1000) - secondsAgo,
  )
  return data.slice(0, 24)
}

/** With the last bit of its hash changed. */
const forged = (cookie: Uint8Array): Uint8Array => cookie.with(23, cookie[23]! ^ 1)

describe('§5.2.1: without a cookie', () => {
  served('the response has none, with EDNS or without', async ({ ask }) => {
    await ask({ q: Q, rcode: 'NOERROR', answer: HOST })
    const { edns } = await ask({ q: Q, edns: true, rcode: 'NOERROR', answer: HOST })
    expect(edns!.options).toEqual([])
  })
})

describe('§5.2.2: a malformed cookie', () => {
  served('is FORMERR with any length but 8 and 16 to 40 bytes', async ({ tell }) => {
    for (let length = 0; length <= 50; length++) {
      const reply = await tell(encode({ q: Q, ...option(new Uint8Array(length)) }))
      const isRight = length === 8 || (length >= 16 && length <= 40)
      const meant = [length, isRight ? 'NOERROR' : 'FORMERR', isRight ? 1 : 0]
      expect([length, reply.rcode, reply.answer.length]).toEqual(meant)
      expect(cookieIn(reply) !== undefined).toBe(isRight)
    }
  })
})

describe('§5.2.3, §5.2.4: only a client cookie, or a bad server cookie', () => {
  served('is answered, with a server cookie that is valid from then on', async (on) => {
    const ask = async (data: Uint8Array): Promise<Uint8Array> =>
      cookieIn(await on.ask({ q: Q, ...option(data), rcode: 'NOERROR', answer: HOST }))!
    const cookie = await learn(on)
    expect(await ask(cookie)).toEqual(cookie)
    for (const bad of [forged(cookie), Uint8Array.of(...CLIENT, 1, 2, 3, 4, 5, 6, 7, 8)]) {
      const made = await ask(bad)
      expect(made.length).toBe(24)
      expect(made).not.toEqual(bad)
      expect(await ask(made)).toEqual(made)
    }
  })

  strict('with `cookies.badcookie` is BADCOOKIE, without data and with a valid cookie', async (on) => {
    const refused = await on.ask({ q: Q, ...option(CLIENT), ecs: '198.51.100.0/24', rcode: 'BADCOOKIE', answer: [] })
    expect([refused.aa, refused.authority, refused.additional]).toEqual([false, [], []])
    const cookie = cookieIn(refused)!
    const bad = await on.ask({ q: Q, ...option(forged(cookie)), rcode: 'BADCOOKIE', answer: [] })
    for (const data of [cookie, cookieIn(bad)!]) {
      const { edns } = await on.ask({ q: Q, ...option(data), rcode: 'NOERROR', answer: HOST })
      expect(Buffer.from(edns!.options[0]!.data)).toEqual(Buffer.from(data))
    }
    await on.ask({ q: Q, edns: true, rcode: 'NOERROR', answer: HOST }) // no cookie at all: §5.2.1
  })

  served('but not over what has proven the address of the client: that is answered all the same', async (on) => {
    const isUdp = on.kind === 'udp'
    const { ask } = on.having({ badCookie: true })
    for (const data of [CLIENT, forged(await learn(on))])
      await ask({ q: Q, ...option(data), ...(isUdp ? { rcode: 'BADCOOKIE' } : { rcode: 'NOERROR', answer: HOST }) })
  })

  served('a cookie belongs to one address', async ({ ask }) => {
    const given = async (from: string, data: Uint8Array): Promise<Uint8Array> =>
      cookieIn(await ask({ q: Q, ...option(data), from, rcode: 'NOERROR' }))!
    for (const [owner, other] of [
      ['192.0.2.53', '192.0.2.54'],
      ['2001:db8::54', '2001:db8::55'],
    ] as const) {
      const cookie = await given(owner, CLIENT)
      expect(await given(owner, cookie)).toEqual(cookie)
      expect(await given(other, cookie)).not.toEqual(cookie)
    }
  })

  strict('a cookie of another address is bad', async ({ ask }) => {
    const own = cookieIn(await ask({ q: Q, ...option(CLIENT), rcode: 'BADCOOKIE' }))!
    await ask({ q: Q, ...option(own), rcode: 'NOERROR' })
    await ask({ q: Q, ...option(own), from: '192.0.2.54', rcode: 'BADCOOKIE' })
  })

  strict('a cookie ends after an hour', async ({ ask }) => {
    await ask({ q: Q, ...option(cookieOf(HOUR - 120)), rcode: 'NOERROR' })
    await ask({ q: Q, ...option(cookieOf(HOUR + 1)), rcode: 'BADCOOKIE' })
  })

  served('§5.3, RFC 9018 §4.3: a cookie older than half an hour is replaced', async ({ ask }) => {
    for (const [secondsAgo, isKept] of [
      [HOUR / 2 - 120, true],
      [HOUR / 2 + 1, false],
    ] as const) {
      const cookie = cookieOf(secondsAgo)
      const reply = cookieIn(await ask({ q: Q, ...option(cookie), rcode: 'NOERROR' }))!
      expect(Buffer.from(reply).equals(cookie)).toBe(isKept)
    }
  })
})

describe('§5.2.5: a valid cookie', () => {
  const q = 'many.example.com A'
  served.over(['udp'])(
    'lets answers be as large as EDNS allows; without one they end at `cookies.require`',
    async (on) => {
      const { ask, having } = on
      const cookie = await learn(on)
      expect((await ask({ q, ...option(cookie), rcode: 'NOERROR' })).answer.length).toBe(60)
      await ask({ q, ...option(cookie), payload: 600, rcode: 'NOERROR', tc: true, answer: [] })
      for (const asked of [{ edns: true }, option(CLIENT), option(forged(cookie))])
        await ask({ q, ...asked, rcode: 'NOERROR', tc: true, answer: [] })
      const open = having({ unprovenBytes: 1232 })
      expect((await open.ask({ q, edns: true, rcode: 'NOERROR' })).answer.length).toBe(60)
    },
  )

  served.over(STREAMS)('over what has proven the address of the client answers are whole', async ({ ask }) => {
    for (const asked of [{}, { edns: true }, option(CLIENT), option(forged(cookieOf(0)))])
      expect((await ask({ q, ...asked, rcode: 'NOERROR' })).answer.length).toBe(60)
  })
})

served('§5.2: of several cookies the first counts', async (on) => {
  const cookie = await learn(on)
  const options = [cookie, new Uint8Array(3), CLIENT].map((data) => ({ code: COOKIE, data }))
  expect(cookieIn(await on.ask({ q: Q, options, rcode: 'NOERROR' }))).toEqual(cookie)
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

  served('gets one; a bad one is BADCOOKIE, whatever the setting', async ({ tell }) => {
    const first = await tell(bare(CLIENT))
    expect(first).toMatchObject({ rcode: 'NOERROR', aa: false, ...empty })
    const cookie = cookieIn(first)!
    expect(await tell(bare(cookie))).toMatchObject({ rcode: 'NOERROR', ...empty })
    const bad = await tell(bare(forged(cookie)))
    expect(bad).toMatchObject({ rcode: 'BADCOOKIE', ...empty })
    expect(await tell(bare(cookieIn(bad)))).toMatchObject({ rcode: 'NOERROR', ...empty })
  })

  served(
    'is FORMERR without a cookie (RFC 9619), with a malformed one, and where cookies are not served',
    async (on) => {
      expect(await on.tell(bare())).toMatchObject({ rcode: 'FORMERR', ...empty })
      expect(await on.tell(bare(new Uint8Array(9)))).toMatchObject({ rcode: 'FORMERR', ...empty })
      const without = on.having({ cookies: [] })
      expect(await without.tell(bare(CLIENT))).toMatchObject({ rcode: 'FORMERR', ...empty })
    },
  )
})

rule('without secrets a cookie is an option that nobody knows', async ({ ask }) => {
  const { edns, answer } = await ask({ q: 'many.example.com A', ...option(CLIENT), rcode: 'NOERROR' })
  expect([edns!.options, answer.length]).toEqual([[], 60])
})

test('they are counted: new, bad, valid', async () => {
  const responder = makeResponder(node.made.world, node.health, makeCounters(), protocolWith({ cookies }))
  responder.nowMs = Date.now()
  const ask = makeAsk(memory(responder, 'tcp'))
  const tell = async (data: Uint8Array): Promise<Message> =>
    await ask({ q: Q, ...option(data), from: '127.0.0.1', rcode: 'NOERROR' })
  const cookie = cookieIn(await tell(CLIENT))!
  for (const data of [cookie, forged(cookie), cookie, cookie]) await tell(data)
  expect([...responder.counters.subarray(C_COOKIES, C_COOKIES + 3)]).toEqual([1, 1, 3])
})
