/** RFC 9460: SVCB and HTTPS whose hints are a service's own pick. */
import { describe, expect } from 'vitest'
import { DOWN, healthWord } from '../../src/health/table.ts'
import type { Ask } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { nodeOf, rules } from './world.ts'

const node = await nodeOf({
  'defaults.yaml':
    'soa: {mname: ns1.example.com., rname: hostmaster.example.com., serial: 7, minimum: 60}\nttl: 3600\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml': `
web:
  sites:
    fra: {vips: [192.0.2.10, "2001:db8:1::10"]}
    sin: {vips: [203.0.113.10, "2001:db8:3::10"]}
  ttl: {max: 60, min: 15}
  check: none
four: {sites: {fra: {vips: [192.0.2.20]}}, ttl: 90, check: none}
six: {sites: {fra: {vips: ["2001:db8:1::20"]}}, check: none}
gone: {sites: {fra: {vips: [192.0.2.30, "2001:db8:1::30"]}}, lastResort: nodata, ttl: {max: 60, min: 15}, check: none}
page:
  sites: {fra: {vips: [192.0.2.40, "2001:db8:1::40"]}}
  lastResort: {values: [192.0.2.66, 192.0.2.67]}
  check: none
pair:
  sites: {fra: {vips: [192.0.2.50], weight: 10}, sin: {vips: [203.0.113.50, "2001:db8:3::50"], weight: 10}}
  order: [[fra, sin]]
  check: none
`,
  'example.com.yaml': `
"": {type: NS, value: ns1.example.net.}
www:
  - {type: GSLB, service: web}
  - type: HTTPS
    ttl: 300
    hints: web
    values:
      - {svcpriority: 1, targetname: ., svcparams: {alpn: [h3], port: 8443, ech: AEj+DQBE, key667: x}}
      - {svcpriority: 2, targetname: other.example.com.}
  - {type: SVCB, ttl: 20, hints: web, value: {svcpriority: 1, targetname: ., svcparams: {mandatory: [alpn], alpn: [h2]}}}
  - {type: MX, value: {preference: 1, exchange: mail.example.net.}}
plain: {type: HTTPS, value: {svcpriority: 1, targetname: ., svcparams: {ipv4hint: [192.0.2.99]}}}
static: [{type: A, value: 192.0.2.98}, {type: HTTPS, ttl: 30, hints: four, value: {svcpriority: 1, targetname: www.example.com.}}]
${['four', 'six', 'gone', 'page', 'pair'].map((name) => `${name}: [{type: GSLB, service: ${name}}, {type: HTTPS, hints: ${name}, value: {svcpriority: 1, targetname: .}}]`).join('\n')}
alias: {type: HTTPS, value: {svcpriority: 0, targetname: www.example.com.}}
to: {type: CNAME, value: www.example.com.}
"*.wild": {type: HTTPS, ttl: 30, hints: four, value: {svcpriority: 1, targetname: .}}
many: {type: HTTPS, hints: web, values: [${Array.from({ length: 30 }, (_, i) => `{svcpriority: ${i + 1}, targetname: .}`).join(', ')}]}
`,
})
const rule = rules({ node })
const PARIS = CLIENTS.paris.v4
const JAKARTA = CLIENTS.jakarta.v4

/** The HTTPS records of www with these hints. */
const wwwHttps = (four: string, six: string): string[] => [
  `www.example.com. 60 IN HTTPS 1 . alpn="h3" port=8443 ipv4hint=${four} ech=AEj+DQBE ipv6hint=${six} key667="x"`,
  `www.example.com. 60 IN HTTPS 2 other.example.com. ipv4hint=${four} ipv6hint=${six}`,
]

/** Asks for the HTTPS record of a name: it has these hints and nothing else. */
const only = (ask: Ask, name: string, ttl: number, hints: string): Promise<unknown> =>
  ask({
    q: `${name}.example.com HTTPS`,
    rcode: 'NOERROR',
    answer: [`${name}.example.com. ${ttl} IN HTTPS 1 .${hints}`],
  })

const down = (member: string): void => node.set(member, healthWord(DOWN, 1000, false))

describe('§7.3: ipv4hint and ipv6hint', () => {
  rule('are the addresses of the service for this client, in each record', async ({ ask }) => {
    const q = { q: 'www.example.com HTTPS', rcode: 'NOERROR', aa: true, authority: [] }
    await ask({ ...q, from: PARIS, answer: wwwHttps('192.0.2.10', '2001:db8:1::10') })
    await ask({ ...q, from: JAKARTA, answer: wwwHttps('203.0.113.10', '2001:db8:3::10') })
  })

  rule('are those of A and AAAA, with their scope, for ECS too', async ({ ask }) => {
    for (const client of ['paris', 'jakarta'] as const) {
      for (const ecs of [`${CLIENTS[client].v4}/24`, `${CLIENTS[client].v6}/56`]) {
        const of = async (type: string) => await ask({ q: `pair.example.com ${type}`, ecs, rcode: 'NOERROR' })
        const [a, aaaa, https] = [await of('A'), await of('AAAA'), await of('HTTPS')]
        const hints = `ipv4hint=${a.answer[0]!.rdata} ipv6hint=${aaaa.answer[0]!.rdata}`
        expect(https.answer.map(({ rdata }) => rdata)).toEqual([`1 . ${hints}`])
        const scopes = [a, aaaa].map(({ edns }) => edns!.ecs!.scope)
        expect(https.edns!.ecs!.scope).toBe(Math.max(...scopes))
      }
    }
  })

  rule('leave a dead site when its A and AAAA do, with the TTL of theirs', async ({ ask }) => {
    down('fra/web/192.0.2.10')
    down('fra/web/2001:db8:1::10')
    await ask({
      q: 'www.example.com SVCB',
      from: PARIS,
      rcode: 'NOERROR',
      answer: [
        'www.example.com. 15 IN SVCB 1 . mandatory=alpn alpn="h2" ipv4hint=203.0.113.10 ipv6hint=2001:db8:3::10',
      ],
    })
  })

  rule(
    'are left out where the service has no address of the family, or answers NODATA; the record stays',
    async ({ ask }) => {
      await only(ask, 'four', 90, ' ipv4hint=192.0.2.20')
      await only(ask, 'six', 60, ' ipv6hint=2001:db8:1::20')
      down('fra/gone/2001:db8:1::30')
      await only(ask, 'gone', 15, ' ipv4hint=192.0.2.30')
      down('fra/gone/192.0.2.30')
      await only(ask, 'gone', 15, '')
    },
  )

  rule('are the last resort of the service when nothing is up', async ({ ask }) => {
    down('fra/page/192.0.2.40')
    down('fra/page/2001:db8:1::40')
    const answer = ['page.example.com. 15 IN HTTPS 1 . ipv4hint=192.0.2.66,192.0.2.67']
    await ask({ q: 'page.example.com HTTPS', rcode: 'NOERROR', answer })
    down('fra/web/192.0.2.10')
    down('fra/web/2001:db8:1::10')
    down('sin/web/203.0.113.10')
    down('sin/web/2001:db8:3::10')
    const { answer: all } = await ask({ q: 'www.example.com SVCB', from: PARIS, rcode: 'NOERROR' })
    expect(all[0]!.rdata).toContain('ipv4hint=192.0.2.10 ipv6hint=2001:db8:1::10')
  })

  rule('that are written are served as they are', async ({ ask }) => {
    const answer = ['plain.example.com. 3600 IN HTTPS 1 . ipv4hint=192.0.2.99']
    await ask({ q: 'plain.example.com HTTPS', rcode: 'NOERROR', answer })
  })
})

describe('the records', () => {
  rule('have a TTL of at most their own', async ({ ask }) => {
    const { answer } = await ask({ q: 'www.example.com SVCB', from: PARIS, rcode: 'NOERROR' })
    expect(answer[0]!.ttlSeconds).toBe(20)
  })

  rule('steer no other type of their name', async ({ ask }) => {
    await ask({ q: 'static.example.com A', rcode: 'NOERROR', answer: ['static.example.com. 3600 IN A 192.0.2.98'] })
    const soa = 'example.com. 60 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60'
    await ask({ q: 'static.example.com AAAA', rcode: 'NOERROR', answer: [], authority: [soa] })
    const mx = ['www.example.com. 3600 IN MX 1 mail.example.net.']
    await ask({ q: 'www.example.com MX', rcode: 'NOERROR', answer: mx })
    await ask({ q: 'four.example.com SVCB', rcode: 'NOERROR', answer: [] })
  })

  rule(
    'may have a steered name as target: in either mode nothing of it is in the additional section (§4.2)',
    async ({ ask }) => {
      const alias = ['alias.example.com. 3600 IN HTTPS 0 www.example.com.']
      await ask({ q: 'alias.example.com HTTPS', rcode: 'NOERROR', answer: alias, additional: [] })
      const answer = ['static.example.com. 30 IN HTTPS 1 www.example.com. ipv4hint=192.0.2.20']
      await ask({ q: 'static.example.com HTTPS', rcode: 'NOERROR', answer, additional: [] })
    },
  )

  rule('may be at a wildcard; behind a CNAME they are left to the resolver', async ({ ask }) => {
    const answer = ['a.wild.example.com. 30 IN HTTPS 1 . ipv4hint=192.0.2.20']
    await ask({ q: 'a.wild.example.com HTTPS', rcode: 'NOERROR', answer })
    const cname = ['to.example.com. 3600 IN CNAME www.example.com.']
    await ask({ q: 'to.example.com HTTPS', ecs: '192.0.2.0/24', rcode: 'NOERROR', answer: cname, scope: 0 })
  })

  rule('that do not fit with their hints are truncated over UDP, and whole elsewhere', async ({ ask, kind }) => {
    const tc = kind === 'udp'
    const { answer } = await ask({ q: 'many.example.com HTTPS', payload: 1232, from: PARIS, rcode: 'NOERROR', tc })
    const whole = Array.from({ length: 30 }, (_, i) => `${i + 1} . ipv4hint=192.0.2.10 ipv6hint=2001:db8:1::10`)
    expect(answer.map(({ rdata }) => rdata)).toEqual(tc ? [] : whole)
  })
})
