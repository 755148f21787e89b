/** RFC 9018: server cookies that all implementations make alike. What depends on the time has a time of its own, over memory. */
import { describe, expect, test } from 'vitest'
import { COOKIE_BAD, COOKIE_NEW, COOKIE_VALID, judgeCookie } from '../../src/dns/cookie.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { sipHash, sipKey } from '../../src/dns/siphash.ts'
import type { Ask } from '../support/ask.ts'
import { optionsIn, rules } from './world.ts'

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const VERDICTS = new Map([
  [COOKIE_NEW, 'new'],
  [COOKIE_BAD, 'bad'],
  [COOKIE_VALID, 'valid'],
])

interface Asked {
  readonly secrets: readonly string[]
  readonly client: string
  readonly cookie: string
  readonly at: string
}

/** What a server says of a client's cookie, and the cookie that it sends back. */
function judge({ secrets, client, cookie, at }: Asked): readonly [verdict: string, reply: string] {
  const data = new Uint8Array(40).fill(0xaa) // left from another query
  data.set(bytes(cookie))
  const address = Uint8Array.of(9, 9, ...parseAddress(client)!)
  const seconds = Date.parse(at) / 1000
  const keys = secrets.map((secret) => sipKey(bytes(secret)))
  const verdict = judgeCookie(
    keys,
    new DataView(data.buffer),
    cookie.length / 2,
    address,
    2,
    address.length - 2,
    seconds,
  )
  return [VERDICTS.get(verdict)!, Buffer.from(data.subarray(0, 24)).toString('hex')]
}

const SECRET = 'e5e973e5a6b2a43f48e7dc849e37bfcf'
const OLD = 'dd3bdf9344b678b185a6f5cb60fca715'
const NEXT = '445536bcd2513298075a5d379663c962'
const CLIENT = '198.51.100.100'

describe('Appendix A: the vectors', () => {
  test('A.1: a client learns its server cookie', () => {
    const asked = { secrets: [SECRET], client: CLIENT, cookie: '2464c4abcf10c957', at: '2019-06-05T10:53:05Z' }
    expect(judge(asked)).toEqual(['new', '2464c4abcf10c957010000005cf79f111f8130c3eee29480'])
  })

  test('A.2: 40 minutes later it gets a fresh one', () => {
    const cookie = '2464c4abcf10c957010000005cf79f111f8130c3eee29480'
    const asked = { secrets: [SECRET], client: CLIENT, cookie, at: '2019-06-05T11:33:05Z' }
    expect(judge(asked)).toEqual(['valid', '2464c4abcf10c957010000005cf7a871d4a564a1442aca77'])
  })

  test('A.3: reserved bytes are hashed as they come, and sent as zero', () => {
    const cookie = 'fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5'
    const asked = { secrets: [SECRET], client: '203.0.113.203', cookie }
    const reply = 'fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e'
    // the vector's own time is beyond the hour that §4.3 recommends
    expect(judge({ ...asked, at: '2019-06-05T11:38:20Z' })).toEqual(['bad', reply])
    expect(judge({ ...asked, at: '2019-06-05T10:46:00Z' })[0]).toBe('valid')
  })

  test('A.4: IPv6, with a secret that has been replaced meanwhile', () => {
    const cookie = '22681ab97d52c298010000005cf7c57926556bd0934c72f8'
    const client = '2001:db8:220:1:59de:d0f4:8769:82b8'
    const asked = { secrets: [NEXT, OLD], client, cookie, at: '2019-06-05T13:39:21Z' }
    expect(judge(asked)).toEqual(['valid', '22681ab97d52c298010000005cf7c609a6bb79d16625507a'])
  })
})

const COOKIE = '2464c4abcf10c957010000005cf79f111f8130c3eee29480' // of 10:53:05
const asked = (at: string, more: Partial<Asked> = {}): Asked => ({
  secrets: [SECRET],
  client: CLIENT,
  cookie: COOKIE,
  at: `2019-06-05T${at}Z`,
  ...more,
})

describe('§4.3: the timestamp', () => {
  test.each([
    ['10:53:05', 'valid', true],
    ['11:23:05', 'valid', true],
    ['11:23:06', 'valid', false],
    ['11:53:05', 'valid', false],
    ['11:53:06', 'bad', false],
    ['10:48:05', 'valid', true],
    ['10:48:04', 'bad', false],
  ])('a cookie of 10:53:05 at %s is %s; sent back as it is: %s', (at, verdict, isSame) => {
    const [is, reply] = judge(asked(at))
    expect([is, reply === COOKIE]).toEqual([verdict, isSame])
    const again = judge(asked(at, { cookie: reply }))
    expect(again).toEqual(['valid', reply])
  })

  test('is compared as a serial number (RFC 1982), so the year 2106 passes unnoticed', () => {
    const before = '2106-02-07T06:20:00Z' // eight minutes before 2^32 seconds
    const [, cookie] = judge({ secrets: [SECRET], client: CLIENT, cookie: '2464c4abcf10c957', at: before })
    expect(judge({ ...asked(''), cookie, at: '2106-02-07T06:45:00Z' })).toEqual(['valid', cookie])
  })
})

describe('§4.4: the hash covers everything', () => {
  test('a changed bit anywhere makes it bad', () => {
    for (let bit = 0; bit < 24 * 8; bit++) {
      const cookie = bytes(COOKIE)
      cookie[bit >> 3]! ^= 1 << (bit & 7)
      expect(judge(asked('10:53:05', { cookie: Buffer.from(cookie).toString('hex') }))[0]).toBe('bad')
    }
  })

  test('so do another client, another secret, another length and another version', () => {
    expect(judge(asked('10:53:05'))[0]).toBe('valid')
    expect(judge(asked('10:53:05', { client: '198.51.100.101' }))[0]).toBe('bad')
    expect(judge(asked('10:53:05', { client: '::ffff:198.51.100.100' }))[0]).toBe('bad')
    expect(judge(asked('10:53:05', { secrets: [OLD] }))[0]).toBe('bad')
    expect(judge(asked('10:53:05', { cookie: COOKIE.slice(0, 32) }))[0]).toBe('bad')
    expect(judge(asked('10:53:05', { cookie: `${COOKIE}00` }))[0]).toBe('bad')
    expect(judge(asked('10:53:05', { cookie: COOKIE.slice(0, 16) }))[0]).toBe('new')
  })
})

test('§4.1: a cookie of another version is bad, though its hash be right', () => {
  const [address, cookie] = [parseAddress(CLIENT)!, bytes(COOKIE)]
  for (const [version, verdict] of [
    [1, 'valid'],
    [2, 'bad'],
    [0, 'bad'],
  ] as const) {
    cookie[8] = version
    sipHash(sipKey(bytes(SECRET)), Uint8Array.of(...cookie.subarray(0, 16), ...address), 20, cookie, 16)
    expect(judge(asked('10:53:05', { cookie: Buffer.from(cookie).toString('hex') }))[0]).toBe(verdict)
  }
})

describe('§5: while a secret is replaced', () => {
  test('both verify, and only the first makes: who has a cookie of the second gets a new one at once', () => {
    const [verdict, reply] = judge(asked('10:53:06', { secrets: [NEXT, SECRET] }))
    expect([verdict, reply === COOKIE]).toEqual(['valid', false])
    expect(judge(asked('10:53:06', { secrets: [NEXT], cookie: reply }))[0]).toBe('valid')
    expect(judge(asked('10:53:06', { secrets: [SECRET, NEXT] }))).toEqual(['valid', COOKIE])
  })
})

const nowAs = (secret: string): Asked => ({
  secrets: [secret],
  client: CLIENT,
  cookie: '2464c4abcf10c957',
  at: new Date().toISOString(),
})

describe('§3, §5: servers that share a secret, over every transport', () => {
  const rule = rules({ protocol: { cookies: [sipKey(bytes(NEXT)), sipKey(bytes(SECRET))] } })
  const given = async (ask: Ask, cookie: string): Promise<string> => {
    const options = [{ code: 10, data: bytes(cookie) }]
    const [reply] = optionsIn(await ask({ q: 'host.example.com A', options, from: CLIENT, rcode: 'NOERROR' }), 10)
    return reply!
  }

  rule('a cookie that another made with the secret is taken, and sent back as it is', async ({ ask }) => {
    const [, cookie] = judge(nowAs(NEXT))
    expect(await given(ask, cookie)).toBe(cookie)
  })

  rule(
    'a cookie is version 1, three zeros, the time, and the hash over these, the client cookie and its address',
    async ({ ask }) => {
      const cookie = await given(ask, nowAs(NEXT).cookie)
      expect(cookie).toMatch(/^2464c4abcf10c95701000000/)
      const atSeconds = Number.parseInt(cookie.slice(24, 32), 16)
      expect(Math.abs(Date.now() / 1000 - atSeconds)).toBeLessThan(60)
      const at = new Date(atSeconds * 1000).toISOString()
      expect(judge({ ...nowAs(NEXT), at })).toEqual(['new', cookie])
    },
  )

  rule('one of the secret that is being replaced is valid, and replaced', async ({ ask, having }) => {
    const [, cookie] = judge(nowAs(SECRET))
    const options = [{ code: 10, data: bytes(cookie) }]
    const { ask: askStrict } = having({ badCookie: true })
    const answered = await askStrict({ q: 'host.example.com A', options, from: CLIENT, rcode: 'NOERROR' })
    const [reply] = optionsIn(answered, 10)
    expect(reply).not.toBe(cookie)
    expect(judge({ ...nowAs(NEXT), cookie: reply! })).toEqual(['valid', reply])
    expect(await given(ask, reply!)).toBe(reply)
  })
})

test('a cookie that has been verified is valid for its own address and bytes alone', () => {
  const keys = [sipKey(bytes(SECRET))]
  const seconds = Date.parse('2019-06-05T10:53:05Z') / 1000
  const judgeFor = (address: Uint8Array, cookie: Uint8Array, nowSeconds = seconds): number => {
    const data = new Uint8Array(40)
    data.set(cookie)
    return judgeCookie(keys, new DataView(data.buffer), 24, address, 0, address.length, nowSeconds)
  }
  const cookie = bytes(COOKIE)
  const address = parseAddress(CLIENT)!
  for (let times = 0; times < 2; times++) expect(judgeFor(address, cookie)).toBe(COOKIE_VALID)
  for (let bit = 0; bit < 24 * 8; bit++) {
    expect(judgeFor(address, cookie.with(bit >> 3, cookie[bit >> 3]! ^ (1 << (bit & 7))))).toBe(COOKIE_BAD)
  }
  for (let bit = 0; bit < 32; bit++) {
    expect(judgeFor(address.with(bit >> 3, address[bit >> 3]! ^ (1 << (bit & 7))), cookie)).toBe(COOKIE_BAD)
  }
  expect(judgeFor(Uint8Array.of(...address, ...new Uint8Array(12)), cookie)).toBe(COOKIE_BAD)
  expect(judgeFor(address, cookie, seconds + 3601)).toBe(COOKIE_BAD)
  expect(judgeFor(address, cookie)).toBe(COOKIE_VALID)
})
