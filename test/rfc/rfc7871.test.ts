/** RFC 7871: client subnet. The places are those of the test database; sites fra, iad and sin stand near them. */
import { describe, expect } from 'vitest'
import { encode } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { rule } from './world.ts'

const { paris, newYork, jakarta, nowhere } = CLIENTS
const www = (address: string): string[] => [`www.example.com. 60 IN A ${address}`]
const FRA = www('192.0.2.10')
const IAD = www('198.51.100.10')
const SIN = www('203.0.113.10')
const Q = 'www.example.com A'

describe('§7.2: the subnet steers, not the resolver', () => {
  rule('IPv4 and IPv6', async ({ ask }) => {
    await ask({ q: Q, from: jakarta.v4, ecs: `${paris.v4}/24`, rcode: 'NOERROR', answer: FRA })
    await ask({ q: Q, from: paris.v4, ecs: `${newYork.v4}/24`, rcode: 'NOERROR', answer: IAD })
    await ask({ q: Q, from: paris.v6, ecs: `${jakarta.v6}/56`, rcode: 'NOERROR', answer: SIN })
    await ask({ q: Q, from: jakarta.v6, ecs: `${paris.v6}/56`, rcode: 'NOERROR', answer: FRA })
  })

  rule('without it the resolver’s own address does', async ({ ask }) => {
    await ask({ q: Q, from: paris.v4, rcode: 'NOERROR', answer: FRA })
    await ask({ q: Q, from: newYork.v6, rcode: 'NOERROR', answer: IAD })
    await ask({ q: Q, from: jakarta.v4, edns: true, rcode: 'NOERROR', answer: SIN })
  })

  rule('a client that nobody can place has its resolver’s place', async ({ ask }) => {
    await ask({ q: Q, from: jakarta.v4, ecs: `${nowhere.v4}/24`, rcode: 'NOERROR', answer: SIN })
    await ask({ q: Q, from: jakarta.v4, ecs: `${nowhere.v6}/56`, rcode: 'NOERROR', answer: SIN })
  })

  rule('addresses that embed an IPv4 address are placed by it', async ({ ask }) => {
    const six = ['::ffff:82.64.1.0/120', '2002:5240:0100::/40', '64:ff9b::82.64.1.0/120']
    for (const ecs of six) await ask({ q: Q, from: jakarta.v4, ecs, rcode: 'NOERROR', answer: FRA })
    const resolvers = ['::ffff:82.64.1.1', '2002:5240:101::1', '64:ff9b::82.64.1.1', '2001:0:5:6:7:8:adbf:fefe']
    for (const from of resolvers) await ask({ q: Q, from, rcode: 'NOERROR', answer: FRA })
  })
})

describe('§7.2.1: the scope', () => {
  rule(
    'is the width of the network in which everybody gets this answer, longer or shorter than the source',
    async ({ ask }) => {
      const scopes = await Promise.all(
        [8, 14, 20, 24, 32].map(async (source) => {
          const { edns } = await ask({ q: Q, ecs: `${paris.v4}/${source}`, rcode: 'NOERROR' })
          return edns?.ecs?.scope
        }),
      )
      // the same client of the same network: one depth for all sources that reach it
      expect(new Set(scopes.slice(1)).size).toBe(1)
      expect(scopes[4]).toBeLessThanOrEqual(14)
      expect(scopes[4]).toBeGreaterThan(0)
    },
  )

  rule('is 0 where the client does not matter', async ({ ask }) => {
    const ecs = `${paris.v4}/24`
    const names = ['host A', 'nothing A', 'www.child A', 'www MX', 'only4 AAAA', 'ns1 TXT']
    for (const q of [...names.map((name) => name.replace(' ', '.example.com ')), 'example.com SOA', 'example.com MX']) {
      const rcode = q.startsWith('nothing') ? 'NXDOMAIN' : 'NOERROR'
      await ask({ q, ecs, rcode, scope: 0 })
    }
    await ask({ q: 'www.example.org A', ecs, rcode: 'REFUSED', scope: 0 })
    await ask({ q: 'host.example.com ANY', ecs, rcode: 'NOERROR', scope: 0 })
  })

  rule('goes with every source above 0', async ({ ask }) => {
    const { edns } = await ask({ q: Q, from: paris.v4, ecs: '128.0.0.0/1', rcode: 'NOERROR' })
    expect(edns?.ecs?.scope).toBeGreaterThan(0)
  })

  rule('is at least 24 or 56 where a hash of the client chose', async ({ ask }) => {
    const { edns } = await ask({ q: 'four.example.com A', ecs: `${paris.v4}/24`, rcode: 'NOERROR' })
    expect(edns?.ecs?.scope).toBe(24)
    const six = await ask({ q: 'four.example.com A', ecs: `${paris.v6}/64`, rcode: 'NOERROR' })
    expect(six.edns?.ecs?.scope).toBe(56)
  })
})

describe('§7.1.2: source 0, the client opted out', () => {
  rule('the resolver’s address steers, the scope is 0, and it is echoed', async ({ ask }) => {
    for (const ecs of ['0/0', '0.0.0.0/0', '::/0']) {
      const { edns } = await ask({ q: Q, from: jakarta.v4, ecs, rcode: 'NOERROR', answer: SIN, scope: 0 })
      expect(edns?.ecs).toMatchObject({ source: 0, scope: 0 })
    }
  })
})

describe('§7.2: echo', () => {
  rule('family, source and address come back as they came, on every outcome', async ({ ask, kind }) => {
    const names = ['www', 'host', 'nothing', 'www.child', 'huge', 'alias', 'only4']
    for (const ecs of ['82.64.1.0/24', '82.64.1.128/25', '82.0.0.0/7', '2001:db8::/33', '2001:db8::1/128', '0/0']) {
      for (const name of names) {
        for (const type of ['A', 'TXT']) {
          const q = `${name}.example.com ${type}`
          const rcode = name === 'nothing' ? 'NXDOMAIN' : 'NOERROR'
          // ask() holds the echo to the query
          const { edns } = await ask({ q, ecs, rcode, tc: kind === 'udp' && q === 'huge.example.com TXT' })
          expect(edns?.ecs, `${q} ${ecs}`).toBeDefined()
        }
      }
    }
  })

  rule('none is sent to who did not ask', async ({ ask }) => {
    expect((await ask({ q: Q, edns: true, rcode: 'NOERROR' })).edns?.options).toEqual([])
  })
})

describe('§6: malformed subnets', () => {
  rule('are FORMERR, with OPT and without ECS', async ({ tell }) => {
    const broken = [
      [0, 1, 24, 0, 82, 64], // too few bytes
      [0, 1, 24, 0, 82, 64, 1, 0], // too many
      [0, 1, 23, 0, 82, 64, 1], // a bit behind the prefix
      [0, 1, 24, 24, 82, 64, 1], // a scope in a query
      [0, 1, 33, 0, 82, 64, 1, 1, 0], // longer than the address
      [0, 2, 129, 0, ...Array.from({ length: 17 }, () => 0)],
      [0, 3, 8, 0, 1], // no such family
      [0, 1, 24],
      [],
    ]
    for (const data of broken) {
      const packet = encode({ q: Q, options: [{ code: 8, data: Uint8Array.from(data) }] })
      expect(await tell(packet), data.join()).toMatchObject({ rcode: 'FORMERR', answer: [], edns: { options: [] } })
    }
    const two = { code: 8, data: Uint8Array.of(0, 1, 8, 0, 82) }
    expect(await tell(encode({ q: Q, options: [two, two] }))).toMatchObject({ rcode: 'FORMERR', edns: { options: [] } })
  })
})
