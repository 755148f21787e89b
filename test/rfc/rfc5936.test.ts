/** RFC 5936: zone transfers (AXFR). */
import { describe, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { makeRequest, TCP } from '../../src/answer/responder.ts'
import { decodeMessage } from '../../src/dns/message.ts'
import { faultOf, signatureOf, signQuery, testKey } from '../support/signed.ts'
import { type Asked, Primary, transferQuery } from '../support/transfers.ts'

const SOA = 'example.com. 3600 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60'
const NOW = 1_800_000_000
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
primary.responder.protocol = { ...PLAIN_PROTOCOL, tsigKeys: [KEY, testKey('other')] }
primary.responder.clock = () => NOW

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
  test('begins and ends with the SOA, and has each record once between: glue, cuts, wildcards, in its case', () => {
    const { records, messages } = primary.take()
    expect(records[0]).toBe(SOA)
    expect(records.at(-1)).toBe(SOA)
    const inside = records.slice(1, -1)
    expect(new Set(inside).size).toBe(inside.length)
    expect(inside.filter((record) => ZONE.includes(record)).toSorted()).toEqual(ZONE.toSorted())
    expect(messages).toMatchObject([{ id: 0x1234, qr: true, aa: true, rcode: 'NOERROR', opcode: 0 }])
  })

  test('§3.5: what an inner zone hides is there: the delegation to it, and nothing of the inner zone', () => {
    const { records } = primary.take()
    expect(records.filter((record) => record.includes('inner.example.com.'))).toEqual([
      'inner.example.com. 3600 IN NS ns1.example.com.',
    ])
    expect(primary.take({ zone: 'inner.example.com' }).records).toHaveLength(4)
  })

  test('§2.2.1, §2.2.2: every message has the id, and the question in the case of the query', () => {
    const query = transferQuery({ zone: 'EXAMPLE.com' })
    const { messages, records } = primary.send(query)
    for (const { id, question } of messages)
      expect([id, question]).toEqual([0x1234, [{ name: 'EXAMPLE.com.', type: 'AXFR', class: 'IN' }]])
    expect(records[0]!.toLowerCase()).toBe(SOA.toLowerCase())
  })

  test('§2.2.5: OPT in the first message if the query had one', () => {
    expect(primary.take().messages[0]!.edns).toBeUndefined()
    expect(primary.take({ edns: true }).messages[0]!.edns).toMatchObject({ version: 0 })
  })
})

const steered = (zone: string): readonly string[] =>
  primary.take({ zone }).records.filter((record) => / A{1,4} /.test(record) && /^(www|four|page)/.test(record))

const named = (zone: string): readonly string[] =>
  primary.take({ zone }).records.filter((record) => /^(cdn|rest)/.test(record))

describe('steered names', () => {
  test('have the addresses of their last resort, with the least TTL, each of their own types', () => {
    expect(steered('example.com')).toEqual([
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

  test('or those of one site, where the service has it; or none', () => {
    expect(steered('site.example')).toEqual([
      'www.site.example. 15 IN A 198.51.100.10',
      'www.site.example. 15 IN A 198.51.100.11',
      'page.site.example. 20 IN A 192.0.2.66',
      'page.site.example. 20 IN AAAA 2001:db8::66',
    ])
    expect(primary.take({ zone: 'omit.example' }).records).toHaveLength(3)
  })

  test('that are answered with a name have one CNAME: of that site, of the last resort, or of the first site', () => {
    expect(named('site.example')).toEqual([
      'cdn.site.example. 15 IN CNAME iad.cdn.example.',
      'rest.site.example. 15 IN A 198.51.100.20',
    ])
    expect(named('example.com')).toEqual([
      'cdn.example.com. 15 IN CNAME fra.cdn.example.',
      'rest.example.com. 15 IN CNAME rest.cdn.example.',
    ])
  })
})

const rcode = (asked: Asked): string => primary.take(asked).messages[0]!.rcode

describe('§5: who may take a zone', () => {
  test('clients in `allow`, of both families; others are REFUSED, and the log is told why', () => {
    for (const from of ['192.0.2.53', '2001:db8::1', '2001:db8:ffff::']) expect(rcode({ from })).toBe('NOERROR')
    for (const from of ['192.0.2.52', '2001:db9::1', '32.1.13.184']) {
      primary.responder.refusal = null
      const { messages } = primary.take({ from })
      expect(messages).toMatchObject([{ rcode: 'REFUSED', answer: [], aa: false }])
      expect(primary.responder.refusal).toEqual({ zone: 'example.com.', why: 'its address is not in `transfer.allow`' })
    }
  })

  test('who signs with the key, and if `allow` is there too, from there', () => {
    const signed = (zone: string, from: string, key = KEY): string => {
      const { wire } = signQuery(transferQuery({ zone }), key, NOW)
      return primary.send(wire, { from }).messages[0]!.rcode
    }
    expect(signed('keyed.example', '203.0.113.1')).toBe('NOERROR')
    expect(signed('both.example', '192.0.2.1')).toBe('NOERROR')
    expect(signed('both.example', '203.0.113.1')).toBe('REFUSED')
    expect(signed('keyed.example', '192.0.2.1', testKey('other'))).toBe('REFUSED')
    expect(primary.responder.refusal?.why).toBe('it is signed with other. and not with xfr.')
    expect(rcode({ zone: 'both.example', from: '192.0.2.1' })).toBe('REFUSED')
    expect(primary.responder.refusal?.why).toBe('it is not signed with xfr.')
    // a signature is that of its own query: the next one has none
    expect(rcode({ zone: 'keyed.example' })).toBe('REFUSED')
  })

  test('§2.2.1: NOTAUTH for what is no zone here', () => {
    for (const zone of ['www.example.com', 'example.org', 'com', 'none.example.com'])
      expect(rcode({ zone }), zone).toBe('NOTAUTH')
  })

  test('§4.2: not over UDP, and with no more than a few at once', () => {
    expect(rcode({ over: 'udp' })).toBe('REFUSED')
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

  test('§2.2: takes many messages of at most 16 KB, but for a record that is larger; each is signed (RFC 8945 §5.3.1)', async () => {
    const large = await Primary.start(files)
    large.responder.protocol = { ...PLAIN_PROTOCOL, tsigKeys: [KEY] }
    large.responder.clock = () => NOW
    const { wire, mac } = signQuery(transferQuery({ edns: true }), KEY, NOW)
    const { wires, records, messages } = large.send(wire)
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
      if (i === 0) expect(faultOf(one, KEY, prior, NOW)).toBe(0)
      expect(tsig.mac).not.toEqual(prior)
      prior = tsig.mac
    }
    // §3.4: names are compressed: an address takes at most its owner's label, a pointer and 16 bytes more than RDATA
    expect(wires.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(
      50_000 + 40_000 + 1000 + names * (6 + 12 + 4 + 2 + 12 + 16),
    )
  })
})
