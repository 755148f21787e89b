/**
 * What a query gets of what stands in defaults.yaml and of what a record or a zone has itself: TTLs, name servers, the
 * SOA. A zone as octoDNS publishes it, without NS at its apex, is one of them.
 */
import { expect, test } from 'vitest'
import { makeAsk, memory } from '../support/ask.ts'
import { makeNode } from './fixture.ts'

const node = await makeNode({
  'defaults.yaml': `soa: {serial: 1, rname: dns.example.net., minimum: 300}
ttl: 600
ns: [ns1.example.net., ns2.example.net.]
zones: {example.org: {ttl: 90, soa: {minimum: 5}}}
`,
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [198.51.100.10]}}, check: none, ttl: 60}\n',
  'example.com.yaml': `"": [{type: A, value: 192.0.2.1}, {type: TXT, values: ['"v=spf1" " -all"']}]
a: {type: A, ttl: 601, value: 192.0.2.2}
day: {type: CNAME, ttl: 1d, value: a.example.com.}
never: {type: A, ttl: 0, value: 192.0.2.3}
none: {type: A, value: 192.0.2.4}
www: {type: GSLB, service: web}
short: {type: GSLB, service: web, ttl: 7}
long: {type: GSLB, service: web, ttl: 1h}
own: [{type: HINFO, value: {cpu: amd64, os: linux}}, {type: TYPE65280, value: '\\# 4 0A000001'}]
`,
  'example.org.yaml': 'www: {type: A, value: 192.0.2.5}\n',
})
const ask = makeAsk(memory(node.responder))

test.each([
  ['a', 'A', 'a.example.com. 601 IN A 192.0.2.2'],
  ['never', 'A', 'never.example.com. 0 IN A 192.0.2.3'],
  ['none', 'A', 'none.example.com. 600 IN A 192.0.2.4'],
  ['own', 'HINFO', 'own.example.com. 600 IN HINFO "amd64" "linux"'],
  ['own', 'TYPE65280', String.raw`own.example.com. 600 IN TYPE65280 \# 4 0a000001`],
])('%s %s: a TTL of its own, or that of all', async (name, type, answer) => {
  await ask({ q: `${name}.example.com ${type}`, rcode: 'NOERROR', answer: [answer] })
})

test('a CNAME and what it leads to each have their own TTL', async () => {
  const answer = ['day.example.com. 86400 IN CNAME a.example.com.', 'a.example.com. 601 IN A 192.0.2.2']
  await ask({ q: 'day.example.com A', rcode: 'NOERROR', answer })
})

test('a steered name has the TTL of its service, and one of its own only shortens it', async () => {
  const ttls: number[] = []
  for (const name of ['www', 'short', 'long']) {
    const message = await ask({ q: `${name}.example.com A`, rcode: 'NOERROR' })
    ttls.push(message.answer[0]!.ttlSeconds)
  }
  expect(ttls).toEqual([60, 7, 60])
})

test('a zone without NS has those of defaults.yaml, with the TTL of all, and its SOA names the first', async () => {
  const answer = ['example.com. 600 IN NS ns1.example.net.', 'example.com. 600 IN NS ns2.example.net.']
  await ask({ q: 'example.com NS', rcode: 'NOERROR', answer })
  const soa = 'ns1.example.net. dns.example.net. 1 7200 900 1209600'
  await ask({ q: 'example.com SOA', rcode: 'NOERROR', answer: [`example.com. 600 IN SOA ${soa} 300`] })
  await ask({ q: 'nothing.example.com A', rcode: 'NXDOMAIN', authority: [`example.com. 300 IN SOA ${soa} 300`] })
})

test('what is one zone’s alone replaces that for all: TTL and negative TTL', async () => {
  await ask({ q: 'www.example.org A', rcode: 'NOERROR', answer: ['www.example.org. 90 IN A 192.0.2.5'] })
  const soa = 'ns1.example.net. dns.example.net. 1 7200 900 1209600 5'
  await ask({ q: 'nothing.example.org A', rcode: 'NXDOMAIN', authority: [`example.org. 5 IN SOA ${soa}`] })
})

test('strings of a TXT are served apart, as they are written', async () => {
  await ask({ q: 'example.com TXT', rcode: 'NOERROR', answer: ['example.com. 600 IN TXT "v=spf1" " -all"'] })
})
