/** RFC 6672: DNAME, and the CNAMEs that are made of it. */
import { describe, expect } from 'vitest'
import { nodeOf, rules, STREAMS } from './world.ts'

const long = (labels: number): string => Array.from({ length: labels }, () => 'x'.repeat(49)).join('.')

const node = await nodeOf({
  'defaults.yaml':
    'soa: {mname: ns1.example.com., rname: hostmaster.example.com., serial: 7, minimum: 60}\nttl: 3600\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10]}}, check: none}\n',
  'example.com.yaml': `
"": {type: NS, value: ns1.example.net.}
old: [{type: DNAME, ttl: 300, value: New.example.com.}, {type: A, value: 192.0.2.1}, {type: TXT, value: here}]
www.new: {type: A, value: 192.0.2.2}
"*.wild.new": {type: A, value: 192.0.2.3}
away: {type: DNAME, value: example.org.}
other: {type: DNAME, value: example.net.}
cut: {type: DNAME, value: sub.example.net.}
steer: {type: DNAME, value: gslb.example.com.}
www.gslb: {type: GSLB, service: web}
alias: {type: CNAME, ttl: 120, value: WWW.Old.example.com.}
grow: {type: DNAME, value: a.grow.example.com.}
self: {type: DNAME, value: self.example.com.}
ping: {type: DNAME, value: pong.example.com.}
pong: {type: DNAME, value: ping.example.com.}
twice: {type: DNAME, value: thrice.example.com.}
b.thrice: {type: CNAME, value: c.twice.example.com.}
c.thrice: {type: A, value: 192.0.2.4}
fat: {type: DNAME, value: ${long(4)}.example.com.}
big: {type: DNAME, value: bigger.example.com.}
www.bigger: {type: TXT, values: [${Array.from({ length: 12 }, (_, i) => `'${String.fromCharCode(97 + i).repeat(200)}'`).join(', ')}]}
"*": {type: A, value: 192.0.2.9}
`,
  'example.net.yaml': `
"": [{type: NS, value: ns1.example.net.}, {type: A, value: 192.0.2.20}]
ns1: {type: A, value: 192.0.2.53}
www: {type: A, value: 192.0.2.21}
sub: {type: NS, value: ns1.example.net.}
`,
  'apex.test.yaml': '"": [{type: NS, value: ns1.example.net.}, {type: DNAME, value: example.net.}]\n',
})
const rule = rules({ node })

const OLD = 'old.example.com. 300 IN DNAME New.example.com.'
const SOA = 'example.com. 60 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60'
const NOERROR = { rcode: 'NOERROR', aa: true } as const

describe('§2.3: what a DNAME redirects', () => {
  rule('the names below it', async ({ ask }) => {
    const answer = [
      OLD,
      'www.old.example.com. 300 IN CNAME www.New.example.com.',
      'www.New.example.com. 3600 IN A 192.0.2.2',
    ]
    await ask({ q: 'www.old.example.com A', ...NOERROR, ordered: true, answer, authority: [] })
  })

  rule('not its own name: that has its records, the DNAME too', async ({ ask }) => {
    await ask({ q: 'old.example.com A', ...NOERROR, answer: ['old.example.com. 3600 IN A 192.0.2.1'] })
    await ask({ q: 'old.example.com DNAME', ...NOERROR, answer: [OLD] })
    await ask({ q: 'old.example.com MX', ...NOERROR, answer: [], authority: [SOA] })
  })

  rule('at an apex: all names of the zone but the apex', async ({ ask }) => {
    const answer = [
      'apex.test. 3600 IN DNAME example.net.',
      'www.apex.test. 3600 IN CNAME www.example.net.',
      'www.example.net. 3600 IN A 192.0.2.21',
    ]
    await ask({ q: 'www.apex.test A', ...NOERROR, answer })
    await ask({ q: 'apex.test NS', ...NOERROR, answer: ['apex.test. 3600 IN NS ns1.example.net.'] })
  })
})

describe('§2.5: on the wire', () => {
  rule('the target is never compressed', async ({ ask, send }) => {
    const query = 'old.example.com DNAME'
    const { answer } = await ask({ q: query, ...NOERROR })
    expect(answer[0]!.rdata).toBe('New.example.com.')
    const bytes = await send(Buffer.from('000100000001000000000000036f6c64076578616d706c6503636f6d0000270001', 'hex'))
    const target = Buffer.from('\u0003New\u0007example\u0003com\u0000', 'latin1')
    expect(Buffer.from(bytes).indexOf(target)).toBeGreaterThan(0)
  })
})

describe('§3.1: the CNAME that is made', () => {
  rule('has the TTL of the DNAME, and the case of the query', async ({ ask }) => {
    const { answer } = await ask({ q: 'WwW.oLd.example.com A', ...NOERROR })
    expect(answer.map(({ type, ttlSeconds, rdata }) => `${type} ${ttlSeconds} ${rdata}`)).toEqual([
      'DNAME 300 New.example.com.',
      'CNAME 300 WwW.New.example.com.',
      'A 3600 192.0.2.2',
    ])
  })

  rule('answers a query for CNAME, and ANY', async ({ ask }) => {
    const answer = [OLD, 'www.old.example.com. 300 IN CNAME www.New.example.com.']
    await ask({ q: 'www.old.example.com CNAME', ...NOERROR, answer, authority: [] })
    await ask({ q: 'www.old.example.com ANY', ...NOERROR, answer, authority: [] })
  })
})

describe('§3.2: the algorithm', () => {
  rule('a query for DNAME below a DNAME goes on with the target', async ({ ask }) => {
    const answer = [OLD, 'www.old.example.com. 300 IN CNAME www.New.example.com.']
    await ask({ q: 'www.old.example.com DNAME', ...NOERROR, answer, authority: [SOA] })
  })

  rule('several labels move along; where they do not exist, the answer is NXDOMAIN', async ({ ask }) => {
    const answer = [OLD, 'a.b.c.old.example.com. 300 IN CNAME a.b.c.New.example.com.']
    await ask({ q: 'a.b.c.old.example.com A', rcode: 'NXDOMAIN', aa: true, answer, authority: [SOA] })
  })

  rule('the DNAME decides before a wildcard above it, and its target may match a wildcard', async ({ ask }) => {
    const answer = [
      OLD,
      'q.wild.old.example.com. 300 IN CNAME q.wild.New.example.com.',
      'q.wild.New.example.com. 3600 IN A 192.0.2.3',
    ]
    await ask({ q: 'q.wild.old.example.com A', ...NOERROR, answer })
    await ask({ q: 'nothing.example.com A', ...NOERROR, answer: ['nothing.example.com. 3600 IN A 192.0.2.9'] })
  })

  rule('a CNAME may lead below a DNAME', async ({ ask }) => {
    const answer = [
      'alias.example.com. 120 IN CNAME WWW.Old.example.com.',
      OLD,
      'WWW.Old.example.com. 300 IN CNAME WWW.New.example.com.',
      'WWW.New.example.com. 3600 IN A 192.0.2.2',
    ]
    await ask({ q: 'alias.example.com A', ...NOERROR, ordered: true, answer })
  })

  rule('a DNAME that redirects twice is in the answer once (RFC 2181 §5)', async ({ ask }) => {
    const answer = [
      'twice.example.com. 3600 IN DNAME thrice.example.com.',
      'b.twice.example.com. 3600 IN CNAME b.thrice.example.com.',
      'b.thrice.example.com. 3600 IN CNAME c.twice.example.com.',
      'c.twice.example.com. 3600 IN CNAME c.thrice.example.com.',
      'c.thrice.example.com. 3600 IN A 192.0.2.4',
    ]
    await ask({ q: 'b.twice.example.com A', ...NOERROR, ordered: true, answer })
  })

  rule('a target in another zone that is served here is followed, one elsewhere is not', async ({ ask }) => {
    const net = [
      'other.example.com. 3600 IN DNAME example.net.',
      'www.other.example.com. 3600 IN CNAME www.example.net.',
    ]
    const answer = [...net, 'www.example.net. 3600 IN A 192.0.2.21']
    await ask({ q: 'www.other.example.com A', ...NOERROR, answer })
    const org = ['away.example.com. 3600 IN DNAME example.org.', 'www.away.example.com. 3600 IN CNAME www.example.org.']
    await ask({ q: 'www.away.example.com A', ...NOERROR, answer: org, authority: [] })
  })

  rule('a target below a delegation gives the delegation', async ({ ask }) => {
    await ask({
      q: 'x.cut.example.com A',
      ...NOERROR,
      answer: [
        'cut.example.com. 3600 IN DNAME sub.example.net.',
        'x.cut.example.com. 3600 IN CNAME x.sub.example.net.',
      ],
      authority: ['sub.example.net. 3600 IN NS ns1.example.net.'],
      additional: ['ns1.example.net. 3600 IN A 192.0.2.53'],
    })
  })

  rule(
    'a target that is steered is left to the resolver: the ECS scope of its addresses is not that of the CNAME',
    async ({ ask }) => {
      const answer = [
        'steer.example.com. 3600 IN DNAME gslb.example.com.',
        'www.steer.example.com. 3600 IN CNAME www.gslb.example.com.',
      ]
      await ask({ q: 'www.steer.example.com A', ecs: '198.51.100.0/24', ...NOERROR, answer, authority: [], scope: 0 })
    },
  )

  // over UDP it does not fit
  rule.over(STREAMS)('a name that gets longer than 255 bytes is YXDOMAIN, with the DNAME', async ({ ask }) => {
    const target = `${long(4)}.example.com.`
    const answer = [`fat.example.com. 3600 IN DNAME ${target}`]
    const fits = 'y'.repeat(253 - target.length)
    await ask({ q: `z${fits}.fat.example.com A`, rcode: 'YXDOMAIN', aa: true, answer, authority: [] })
    const cname = `${fits}.fat.example.com. 3600 IN CNAME ${fits}.${target}`
    // the longest name that fits is followed, to the wildcard of the zone
    const { answer: all } = await ask({ q: `${fits}.fat.example.com A`, ...NOERROR })
    expect(all.map(({ type }) => type)).toEqual(['DNAME', 'CNAME', 'A'])
    expect(`${all[1]!.name} 3600 IN CNAME ${all[1]!.rdata}`).toBe(cname)
  })
})

describe('§5.3, RFC 1034 §3.6.2: loops end', () => {
  rule('of a DNAME to itself, of two to each other, and one that makes names longer', async ({ ask }) => {
    for (const [name, records] of [
      ['x.self.example.com', 2],
      ['x.ping.example.com', 4],
      ['x.grow.example.com', 1 + 9],
    ] as const) {
      const { answer } = await ask({ q: `${name} A`, payload: 1232, ...NOERROR, authority: [] })
      expect([name, answer.length]).toEqual([name, records])
    }
  })
})

rule('RFC 2181 §9: an answer that does not fit is truncated over UDP, and whole elsewhere', async ({ ask, kind }) => {
  const tc = kind === 'udp'
  const { answer } = await ask({ q: 'www.big.example.com TXT', payload: 1232, ...NOERROR, tc })
  const whole = ['DNAME', 'CNAME', ...Array.from({ length: 12 }, () => 'TXT')]
  expect(answer.map(({ type }) => type)).toEqual(tc ? [] : whole)
})
