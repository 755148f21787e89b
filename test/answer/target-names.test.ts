/** Services whose VIPs are names, and last resorts that are a name: answers by CNAME. */
import { beforeEach, describe, expect, test } from 'vitest'
import { DOWN, healthWord, UP } from '../../src/health/table.ts'
import type { Message } from '../../src/dns/message.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { makeNode } from './fixture.ts'

const node = await makeNode({
  'defaults.yaml':
    'soa: {mname: ns1.example.com., rname: hostmaster.example.com., serial: 7, minimum: 60}\nttl: 3600\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml': `
cdn:
  sites: {fra: {vips: [{name: FRA.cdn.example.}]}, sin: {vips: [{name: sin.example.com.}]}}
  ttl: {max: 60, min: 15}
  lastResort: nodata
  check: none
pair:
  sites: {fra: {vips: [{name: a.cdn.example.}, {name: b.cdn.example.}]}, sin: {vips: [{name: c.cdn.example.}]}}
  order: [[fra, sin]]
  lastResort: {name: rest.cdn.example.}
  ttl: {max: 60, min: 15}
  check: none
web:
  sites: {fra: {vips: [192.0.2.10, "2001:db8::10"]}}
  lastResort: {name: rest.cdn.example.}
  ttl: {max: 60, min: 15}
  check: none
`,
  'example.com.yaml': `
"": {type: NS, value: ns1.example.net.}
www: {type: GSLB, service: cdn}
short: {type: GSLB, service: cdn, ttl: 5}
pair: {type: GSLB, service: pair}
web: {type: GSLB, service: web}
"*.wild": {type: GSLB, service: cdn}
sin: {type: A, value: 203.0.113.10}
to: {type: CNAME, value: www.example.com.}
_http._tcp: {type: SRV, values: [{priority: 1, weight: 1, port: 80, target: www.example.com.}, {priority: 2, weight: 1, port: 80, target: web.example.com.}]}
mail: {type: MX, value: {preference: 1, exchange: web.example.com.}}
`,
})
const ask = makeAsk(memory(node.responder))
const PARIS = CLIENTS.paris.v4
const JAKARTA = CLIENTS.jakarta.v4
const SOA = 'example.com. 15 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60'
const NOERROR = { rcode: 'NOERROR', aa: true } as const

beforeEach(() => {
  for (const member of node.slots.keys()) node.set(member, healthWord(UP, 1000, true))
})
const down = (...members: string[]): void => {
  for (const member of members) node.set(member, healthWord(DOWN, 1000, false))
}

/** The answer of www. */
const cname = (name: string): string[] => [`www.example.com. 60 IN CNAME ${name}`]
const ecs = (client: string, q: string): Promise<Message> => ask({ q, ecs: `${client}/24`, ...NOERROR })

describe('VIPs that are names', () => {
  test.each(['A', 'AAAA', 'CNAME', 'TXT', 'MX', 'HTTPS', 'ANY', 'DS'])(
    'answer %s with the CNAME of the nearest site',
    async (type) => {
      await ask({
        q: `www.example.com ${type}`,
        from: PARIS,
        ...NOERROR,
        answer: cname('FRA.cdn.example.'),
        authority: [],
      })
      // its records are here, and are not sent along: their scope is another
      await ask({
        q: `www.example.com ${type}`,
        from: JAKARTA,
        ...NOERROR,
        answer: cname('sin.example.com.'),
        authority: [],
      })
    },
  )

  test('leave a dead site, with the service’s min; when all are dead the last resort decides', async () => {
    down('fra/cdn/fra.cdn.example.')
    const answer = ['www.example.com. 15 IN CNAME sin.example.com.']
    await ask({ q: 'www.example.com A', from: PARIS, ...NOERROR, answer })
    down('sin/cdn/sin.example.com.')
    await ask({ q: 'www.example.com A', from: PARIS, ...NOERROR, answer: [], authority: [SOA] })
    await ask({ q: 'www.example.com TXT', from: PARIS, ...NOERROR, answer: [], authority: [SOA] })
  })

  test('have the scope of the client’s class, and one of several is chosen by a hash', async () => {
    const plain = await ecs(PARIS, 'www.example.com A')
    expect(plain.edns!.ecs!.scope).toBeLessThan(24)
    const chosen = new Set<string>()
    for (let net = 0; net < 60; net++) {
      // oxlint-disable-next-line no-await-in-loop -- in memory: nothing to wait for
      const { answer, edns } = await ecs(`82.64.${net}.0`, 'pair.example.com A')
      expect(answer).toHaveLength(1)
      expect(edns!.ecs!.scope).toBe(24)
      chosen.add(answer[0]!.rdata)
      node.responder.chance = net // and not by chance
      // oxlint-disable-next-line no-await-in-loop -- in memory: nothing to wait for
      expect((await ecs(`82.64.${net}.0`, 'pair.example.com A')).answer).toEqual(answer)
    }
    expect([...chosen].toSorted()).toEqual(['a.cdn.example.', 'b.cdn.example.', 'c.cdn.example.'])
  })

  test('are capped by the name’s own TTL, may be at a wildcard, and are not followed from a CNAME', async () => {
    await ask({
      q: 'short.example.com A',
      from: PARIS,
      ...NOERROR,
      answer: ['short.example.com. 5 IN CNAME FRA.cdn.example.'],
    })
    await ask({
      q: 'x.wild.example.com A',
      from: PARIS,
      ...NOERROR,
      answer: ['x.wild.example.com. 60 IN CNAME FRA.cdn.example.'],
    })
    const to = ['to.example.com. 3600 IN CNAME www.example.com.']
    await ask({ q: 'to.example.com A', ecs: `${PARIS}/24`, ...NOERROR, answer: to, scope: 0 })
  })
})

describe('a last resort that is a name', () => {
  test('answers for names', async () => {
    down('fra/pair/a.cdn.example.', 'fra/pair/b.cdn.example.', 'sin/pair/c.cdn.example.')
    const answer = ['pair.example.com. 15 IN CNAME rest.cdn.example.']
    await ask({ q: 'pair.example.com A', ...NOERROR, answer })
    await ask({ q: 'pair.example.com MX', ...NOERROR, answer })
  })

  test('answers for addresses, for every type, and only then', async () => {
    const a = ['web.example.com. 60 IN A 192.0.2.10']
    await ask({ q: 'web.example.com A', ...NOERROR, answer: a })
    await ask({ q: 'web.example.com MX', ...NOERROR, answer: [], authority: [SOA] })
    await ask({ q: 'web.example.com ANY', ...NOERROR, answer: ['web.example.com. 3600 IN HINFO "RFC8482" ""'] })
    down('fra/web/192.0.2.10')
    await ask({ q: 'web.example.com A', ...NOERROR, answer: [], authority: [SOA] })
    await ask({ q: 'web.example.com AAAA', ...NOERROR, answer: ['web.example.com. 15 IN AAAA 2001:db8::10'] })
    down('fra/web/2001:db8::10')
    const answer = ['web.example.com. 15 IN CNAME rest.cdn.example.']
    for (const type of ['A', 'AAAA', 'MX']) {
      // oxlint-disable-next-line no-await-in-loop -- in memory: nothing to wait for
      await ask({ q: `web.example.com ${type}`, ...NOERROR, answer })
    }
  })
})

describe('RFC 2782: SRV whose targets are steered', () => {
  test('is served as it is written, without their addresses: the ECS scope of SRV is not theirs', async () => {
    const answer = [
      '_http._tcp.example.com. 3600 IN SRV 1 1 80 www.example.com.',
      '_http._tcp.example.com. 3600 IN SRV 2 1 80 web.example.com.',
    ]
    await ask({ q: '_http._tcp.example.com SRV', ecs: `${PARIS}/24`, ...NOERROR, answer, additional: [], scope: 0 })
    const mx = ['mail.example.com. 3600 IN MX 1 web.example.com.']
    await ask({ q: 'mail.example.com MX', ecs: `${PARIS}/24`, ...NOERROR, answer: mx, additional: [], scope: 0 })
  })
})
