/** RFC 5936: zone transfers (AXFR). */
import { beforeAll, describe, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, TCP } from '../../src/answer/responder.ts'
import { decodeMessage } from '../../src/dns/message.ts'
import { faultOf, signatureOf, signQuery, testKey } from '../support/signed.ts'
import { type Asked, Primary, SECONDARY, takenFrom, transferQuery } from '../support/transfers.ts'
import { type Asking, rules, take, TRANSFERS } from './world.ts'
import { protocolWith } from './ways.ts'

const SOA = 'example.com. 3600 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60'
const now = (): number => Math.floor(Date.now() / 1000)
const KEY = testKey('xfr')

const FILES = {
  'defaults.yaml': `soa: {serial: 7}
transfer: {allow: [192.0.2.53, "2001:db8::/32"]}
zones:
  keyed.example: {transfer: {key: xfr}}
  both.example: {transfer: {key: xfr, allow: [192.0.2.0/24]}}
  omit.example: {transfer: {allow: [192.0.2.53], steered: omit}}
  site.example: {transfer: {allow: [192.0.2.53], steered: {site: iad}}}
`,
  'sites.yaml': `fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n`,
  'services.yaml': `web:
  sites:
    fra: {vips: [192.0.2.10, "2001:db8:1::10"]}
    iad: {vips: [198.51.100.10, 198.51.100.11]}
  check: none
  ttl: {max: 60, min: 15}
page:
  sites: {fra: {vips: [192.0.2.60, "2001:db8:1::60"]}}
  lastResort: {values: [192.0.2.66, "2001:db8::66"]}
  check: none
  ttl: {max: 60, min: 20}
cdn:
  sites: {fra: {vips: [{name: fra.cdn.example.}]}, iad: {vips: [{name: iad.cdn.example.}]}}
  check: none
rest:
  sites: {iad: {vips: [198.51.100.20]}}
  lastResort: {name: rest.cdn.example.}
  check: none
gone:
  sites: {fra: {vips: [192.0.2.70]}}
  lastResort: nodata
  check: none
`,
  'example.com.yaml': `"":
  - {type: NS, values: [ns1.example.com.]}
  - {type: MX, value: {preference: 10, exchange: Mail.example.net.}}
ns1: {type: A, value: 192.0.2.53}
deep.tree: {type: TXT, values: [one, two]}
"*.wild": {type: A, ttl: 5, value: 192.0.2.9}
cut: {type: NS, value: ns.cut.example.com.}
ns.cut: {type: A, value: 192.0.2.54}
inner: {type: NS, value: ns1.example.com.}
www: {type: GSLB, service: web}
four: {type: GSLB, service: web, types: [A], ttl: 10}
page: {type: GSLB, service: page}
cdn: {type: GSLB, service: cdn}
rest: {type: GSLB, service: rest}
gone: [{type: GSLB, service: gone}, {type: TXT, value: beside}]
`,
  'inner.example.com.yaml': `"": {type: NS, value: ns1.example.com.}\na: {type: A, value: 192.0.2.1}\n`,
  ...Object.fromEntries(
    ['keyed', 'both', 'omit', 'site'].map((name) => [
      `${name}.example.yaml`,
      `"": {type: NS, value: ns1.example.com.}\nwww: {type: GSLB, service: web}\npage: {type: GSLB, service: page}\ncdn: {type: GSLB, service: cdn}\nrest: {type: GSLB, service: rest}\n`,
    ]),
  ),
}

const primary = await Primary.start(FILES)
const protocol = { tsigKeys: [KEY, testKey('other')] }
primary.responder.protocol = protocolWith(protocol)
const every = rules({ world: primary.responder.world, protocol })
const rule = every.over(TRANSFERS)

const ZONE = [
  'example.com. 3600 IN NS ns1.example.com.',
  'example.com. 3600 IN MX 10 Mail.example.net.',
  'ns1.example.com. 3600 IN A 192.0.2.53',
  'deep.tree.example.com. 3600 IN TXT "one"',
  'deep.tree.example.com. 3600 IN TXT "two"',
  '*.wild.example.com. 5 IN A 192.0.2.9',
  'cut.example.com. 3600 IN NS ns.cut.example.com.',
  'ns.cut.example.com. 3600 IN A 192.0.2.54',
  'inner.example.com. 3600 IN NS ns1.example.com.',
  'gone.example.com. 3600 IN TXT "beside"',
]

describe('§2.2, §3: the response', () => {
  rule(
    'begins and ends with the SOA, and has each record once between: glue, cuts, wildcards, in its case',
    async (on) => {
      const { records, messages } = await take(on)
      expect(records[0]).toBe(SOA)
      expect(records.at(-1)).toBe(SOA)
      const inside = records.slice(1, -1)
      expect(new Set(inside).size).toBe(inside.length)
      expect(inside.filter((record) => ZONE.includes(record)).toSorted()).toEqual(ZONE.toSorted())
      expect(messages).toMatchObject([{ id: 0x1234, qr: true, aa: true, rcode: 'NOERROR', opcode: 0 }])
    },
  )

  rule('§3.5: what an inner zone hides is there: the delegation to it, and nothing of the inner zone', async (on) => {
    const { records } = await take(on)
    expect(records.filter((record) => record.includes('inner.example.com.'))).toEqual([
      'inner.example.com. 3600 IN NS ns1.example.com.',
    ])
    expect((await take(on, { zone: 'inner.example.com' })).records).toHaveLength(4)
  })

  rule('§2.2.1, §2.2.2: every message has the id, and the question in the case of the query', async (on) => {
    const { messages, records } = await take(on, { zone: 'EXAMPLE.com' })
    for (const { id, question } of messages)
      expect([id, question]).toEqual([0x1234, [{ name: 'EXAMPLE.com.', type: 'AXFR', class: 'IN' }]])
    expect(records[0]!.toLowerCase()).toBe(SOA.toLowerCase())
  })

  rule('§2.2.5: OPT in the first message if the query had one', async (on) => {
    expect((await take(on)).messages[0]!.edns).toBeUndefined()
    expect((await take(on, { edns: true })).messages[0]!.edns).toMatchObject({ version: 0 })
  })
})

const steered = async (on: Asking, zone: string): Promise<readonly string[]> =>
  (await take(on, { zone })).records.filter((record) => / A{1,4} /.test(record) && /^(www|four|page)/.test(record))

const named = async (on: Asking, zone: string): Promise<readonly string[]> =>
  (await take(on, { zone })).records.filter((record) => /^(cdn|rest)/.test(record))

describe('steered names', () => {
  rule('have the addresses of their last resort, with the least TTL, each of their own types', async (on) => {
    expect(await steered(on, 'example.com')).toEqual([
      'www.example.com. 15 IN A 192.0.2.10',
      'www.example.com. 15 IN A 198.51.100.10',
      'www.example.com. 15 IN A 198.51.100.11',
      'www.example.com. 15 IN AAAA 2001:db8:1::10',
      'four.example.com. 10 IN A 192.0.2.10',
      'four.example.com. 10 IN A 198.51.100.10',
      'four.example.com. 10 IN A 198.51.100.11',
      'page.example.com. 20 IN A 192.0.2.66',
      'page.example.com. 20 IN AAAA 2001:db8::66',
    ])
  })

  rule('or those of one site, where the service has it; or none', async (on) => {
    expect(await steered(on, 'site.example')).toEqual([
      'www.site.example. 15 IN A 198.51.100.10',
      'www.site.example. 15 IN A 198.51.100.11',
      'page.site.example. 20 IN A 192.0.2.66',
      'page.site.example. 20 IN AAAA 2001:db8::66',
    ])
    expect((await take(on, { zone: 'omit.example' })).records).toHaveLength(3)
  })

  rule(
    'that are answered with a name have one CNAME: of that site, of the last resort, or of the first site',
    async (on) => {
      expect(await named(on, 'site.example')).toEqual([
        'cdn.site.example. 15 IN CNAME iad.cdn.example.',
        'rest.site.example. 15 IN A 198.51.100.20',
      ])
      expect(await named(on, 'example.com')).toEqual([
        'cdn.example.com. 15 IN CNAME fra.cdn.example.',
        'rest.example.com. 15 IN CNAME rest.cdn.example.',
      ])
    },
  )
})

const rcode = async (on: Asking, asked: Asked): Promise<string> => (await take(on, asked)).messages[0]!.rcode

/** The rcode of a query that is signed. */
const signed = async ({ all }: Asking, zone: string, from: string, key = KEY): Promise<string> =>
  takenFrom(await all(signQuery(transferQuery({ zone }), key, now()).wire, from)).messages[0]!.rcode

/** Why the transfer is refused, as the log is told. */
const why = (zone: string, from: string, key?: typeof KEY): unknown => {
  primary.responder.refusal = null
  const query = transferQuery({ zone })
  primary.send(key === undefined ? query : signQuery(query, key, now()).wire, { from })
  return primary.responder.refusal
}

describe('§5: who may take a zone', () => {
  rule('clients in `allow`, of both families; others are REFUSED', async (on) => {
    for (const from of ['192.0.2.53', '2001:db8::1', '2001:db8:ffff::'])
      expect(await rcode(on, { from })).toBe('NOERROR')
    for (const from of ['192.0.2.52', '2001:db9::1', '32.1.13.184'])
      expect((await take(on, { from })).messages).toMatchObject([{ rcode: 'REFUSED', answer: [], aa: false }])
  })

  rule('who signs with the key, and if `allow` is there too, from there', async (on) => {
    expect(await signed(on, 'keyed.example', '203.0.113.1')).toBe('NOERROR')
    expect(await signed(on, 'both.example', '192.0.2.1')).toBe('NOERROR')
    expect(await signed(on, 'both.example', '203.0.113.1')).toBe('REFUSED')
    expect(await signed(on, 'keyed.example', '192.0.2.1', testKey('other'))).toBe('REFUSED')
    expect(await rcode(on, { zone: 'both.example', from: '192.0.2.1' })).toBe('REFUSED')
    // a signature is that of its own query: the next one has none
    expect(await rcode(on, { zone: 'keyed.example' })).toBe('REFUSED')
  })

  // what a thread tells its log, over memory
  test('the log is told why', () => {
    const zone = 'both.example.'
    expect(why('example.com', '192.0.2.52')).toEqual({
      zone: 'example.com.',
      why: 'its address is not in `transfer.allow`',
    })
    expect(why(zone, '192.0.2.1')).toEqual({ zone, why: 'it is not signed with xfr.' })
    expect(why(zone, '192.0.2.1', testKey('other'))).toEqual({
      zone,
      why: 'it is signed with other. and not with xfr.',
    })
  })

  rule('§2.2.1: NOTAUTH for what is no zone here', async (on) => {
    for (const zone of ['www.example.com', 'example.org', 'com', 'none.example.com'])
      expect(await rcode(on, { zone }), zone).toBe('NOTAUTH')
  })

  every.over(['udp', 'doh'])('§4.2: over UDP, and over HTTPS, whose requests have one message: REFUSED', async (on) => {
    expect(await rcode(on, {})).toBe('REFUSED')
  })

  // more than a few at once, over memory; over TCP in test/server/transfers.test.ts
  test('no more than the server can send', () => {
    const { responder } = primary
    responder.transfersLeft = 0
    const output = new Uint8Array(65_535)
    const client = Uint8Array.of(192, 0, 2, 53)
    const size = respond(responder, makeRequest({ input: transferQuery({}), client, output, transport: TCP }))
    expect(decodeMessage(output.slice(0, size))).toMatchObject({ rcode: 'REFUSED' })
    expect(responder.transfer).toBeNull()
  })
})

describe('a large zone', () => {
  const names = 3000
  const files = {
    'defaults.yaml': 'soa: {serial: 7}\ntransfer: {allow: [192.0.2.53], key: xfr}\n',
    'example.com.yaml': `"": {type: NS, value: ns1.example.net.}\nbig: {type: TXT, values: [${Array.from({ length: 200 }, (_, i) => `"${String(i).padStart(250, 'x')}"`).join(', ')}]}\nhuge: {type: TYPE65280, value: '\\# 40000 ${'ab'.repeat(40_000)}'}\n${Array.from({ length: names }, (_, i) => `n${i}: [{type: A, value: 10.0.${i >> 8}.${i & 255}}, {type: AAAA, value: "2001:db8::${i}"}]`).join('\n')}\n`,
  }

  let large: Primary
  beforeAll(async () => {
    large = await Primary.start(files)
  })

  rule(
    '§2.2: takes many messages of at most 16 KB, but for a record that is larger; each is signed (RFC 8945 §5.3.1)',
    async (on) => {
      const { wire, mac } = signQuery(transferQuery({ edns: true }), KEY, now())
      const { all } = on.serving(large.responder.world)
      const { wires, records, messages } = takenFrom(await all(wire, SECONDARY))
      expect(records).toHaveLength(2 + 1 + 200 + 1 + 2 * names)
      expect(new Set(records).size).toBe(records.length - 1)
      expect(wires.length).toBeGreaterThan(10)
      expect(wires.filter(({ length }) => length > 16_000)).toHaveLength(1)
      expect(wires.filter(({ length }) => length > 14_000).length).toBeGreaterThan(5)
      expect(messages.filter(({ edns }) => edns !== undefined)).toHaveLength(1)
      let prior = mac
      for (const [i, one] of wires.entries()) {
        const tsig = signatureOf(one, KEY)!
        expect(tsig, `message ${i}`).toBeDefined()
        if (i === 0) expect(faultOf(one, KEY, prior, now())).toBe(0)
        expect(tsig.mac).not.toEqual(prior)
        prior = tsig.mac
      }
      // §3.4: names are compressed: an address takes at most its owner's label, a pointer and 16 bytes more than RDATA
      expect(wires.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(
        50_000 + 40_000 + 1000 + names * (6 + 12 + 4 + 2 + 12 + 16),
      )
    },
  )
})
