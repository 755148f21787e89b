/** RFC 1034 §4.3.2, step by step; §3.6.2 on CNAMEs, with RFC 2181 §10.1 and the rcode of RFC 6604. */
import { describe, expect } from 'vitest'
import { rule, SOA, SOA_NET, soa } from './world.ts'

const CHILD = [
  'child.example.com. 3600 IN NS ns1.child.example.com.',
  'child.example.com. 3600 IN NS ns2.child.example.com.',
]
const CHILD_GLUE = [
  'ns1.child.example.com. 3600 IN A 192.0.2.101',
  'ns1.child.example.com. 3600 IN AAAA 2001:db8::101',
  'ns2.child.example.com. 3600 IN A 192.0.2.102',
]
const HOST = 'host.example.com. 300 IN A 192.0.2.80'

describe('step 2: the nearest zone', () => {
  rule('a name in no zone is REFUSED, without authority', async ({ ask }) => {
    for (const q of ['www.example.org A', 'com A', '. NS', 'xample.com A', 'myexample.com A']) {
      await ask({ q, rcode: 'REFUSED', aa: false, answer: [], authority: [], additional: [] })
    }
  })

  rule('classes other than IN are REFUSED', async ({ ask }) => {
    for (const clas of ['CH', 'HS', 'NONE', 'ANY'])
      await ask({ q: `host.example.com A ${clas}`, rcode: 'REFUSED', answer: [] })
  })
})

describe('step 2: zones below zones', () => {
  const inner = ['inner.example.net. 3600 IN NS ns1.example.com.', 'inner.example.net. 3600 IN NS ns2.example.com.']

  rule('the inner zone answers with its own authority, delegated from the outer one or not', async ({ ask }) => {
    const answer = ['www.inner.example.net. 3600 IN A 192.0.2.200']
    await ask({ q: 'www.inner.example.net A', rcode: 'NOERROR', aa: true, answer, authority: [] })
    await ask({ q: 'inner.example.net NS', rcode: 'NOERROR', aa: true, answer: inner, authority: [] })
    await ask({
      q: 'www.hidden.example.net A',
      rcode: 'NOERROR',
      aa: true,
      answer: ['www.hidden.example.net. 3600 IN A 192.0.2.201'],
    })
    await ask({
      q: 'into.example.net A',
      rcode: 'NOERROR',
      answer: ['into.example.net. 3600 IN CNAME www.inner.example.net.', ...answer],
    })
  })

  rule('and denies by its own SOA; wildcards of the outer one do not reach in', async ({ ask }) => {
    for (const zone of ['inner.example.net', 'hidden.example.net']) {
      const authority = [soa(zone, 60)]
      await ask({ q: `nothing.${zone} TXT`, rcode: 'NXDOMAIN', aa: true, answer: [], authority })
      await ask({ q: `${zone} TXT`, rcode: 'NOERROR', aa: true, answer: [], authority })
    }
  })

  rule('DS of the inner apex is the outer zone’s (RFC 4035 §3.1.4.1)', async ({ ask }) => {
    await ask({ q: 'inner.example.net DS', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA_NET] })
    await ask({ q: 'hidden.example.net DS', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA_NET] })
    await ask({ q: 'www.inner.example.net DS', rcode: 'NOERROR', aa: true, authority: [soa('inner.example.net', 60)] })
    // whose parent is not here
    await ask({ q: 'example.net DS', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA_NET] })
  })
})

describe('step 3a: the whole of the name is matched', () => {
  rule('the RRset of the type, all of it, with authority', async ({ ask }) => {
    await ask({ q: 'host.example.com A', rcode: 'NOERROR', aa: true, answer: [HOST], authority: [], additional: [] })
    await ask({
      q: 'host.example.com AAAA',
      rcode: 'NOERROR',
      aa: true,
      answer: ['host.example.com. 300 IN AAAA 2001:db8::80'],
    })
    await ask({
      q: 'mail.example.com A',
      rcode: 'NOERROR',
      answer: ['mail.example.com. 300 IN A 192.0.2.25', 'mail.example.com. 300 IN A 192.0.2.26'],
    })
  })

  rule('every type that a zone may hold', async ({ ask }) => {
    const lines = [
      'example.com. 3600 IN MX 10 mail.example.com.\nexample.com. 3600 IN MX 20 mail.example.net.',
      'example.com. 3600 IN NS ns1.example.com.\nexample.com. 3600 IN NS ns2.example.com.',
      'example.com. 3600 IN CAA 0 issue "ca.example.net"',
      'example.com. 3600 IN TXT "v=spf1 -all"\nexample.com. 3600 IN TXT "second"',
      SOA.replace(' 60 IN', ' 3600 IN'),
      '_sip._tcp.example.com. 3600 IN SRV 1 2 5060 host.example.com.',
      'ptr.example.com. 3600 IN PTR host.example.com.',
      'text.example.com. 3600 IN TXT "semi; \\"quoted\\" colon"',
      'ns1.example.com. 3600 IN AAAA 2001:db8::53',
      'x.y.z.example.com. 3600 IN A 192.0.2.82',
    ]
    for (const line of lines) {
      const [name, , , type] = line.split(' ')
      await ask({ q: `${name} ${type}`, rcode: 'NOERROR', aa: true, answer: line.split('\n') })
    }
  })

  rule('a CNAME is followed while its target is here', async ({ ask }) => {
    const alias = 'alias.example.com. 120 IN CNAME host.example.com.'
    await ask({
      q: 'alias.example.com A',
      rcode: 'NOERROR',
      aa: true,
      answer: [alias, HOST],
      ordered: true,
      authority: [],
    })
    await ask({ q: 'alias.example.com CNAME', rcode: 'NOERROR', aa: true, answer: [alias] })
    await ask({
      q: 'chain1.example.com A',
      rcode: 'NOERROR',
      aa: true,
      ordered: true,
      answer: [
        'chain1.example.com. 3600 IN CNAME chain2.example.com.',
        'chain2.example.com. 3600 IN CNAME alias.example.com.',
        alias,
        HOST,
      ],
    })
    // into another zone of ours, and to a wildcard
    await ask({
      q: 'other.example.com A',
      rcode: 'NOERROR',
      answer: ['other.example.com. 3600 IN CNAME host.example.net.', 'host.example.net. 3600 IN A 192.0.2.180'],
    })
    await ask({
      q: 'towild.example.com A',
      rcode: 'NOERROR',
      answer: ['towild.example.com. 3600 IN CNAME any.wild.example.com.', 'any.wild.example.com. 3600 IN A 192.0.2.90'],
    })
  })

  rule('the rcode is that of the last name (RFC 6604 §3), its SOA goes along', async ({ ask }) => {
    await ask({
      q: 'missing.example.com A',
      rcode: 'NXDOMAIN',
      aa: true,
      answer: ['missing.example.com. 3600 IN CNAME nothing.example.com.'],
      authority: [SOA],
    })
    await ask({
      q: 'nodata.example.com A',
      rcode: 'NOERROR',
      answer: ['nodata.example.com. 3600 IN CNAME text.example.com.'],
      authority: [SOA],
    })
    await ask({
      q: 'other.example.com MX',
      rcode: 'NOERROR',
      answer: ['other.example.com. 3600 IN CNAME host.example.net.'],
      authority: [SOA_NET],
    })
  })

  rule('a target elsewhere, below a cut or steered ends the answer', async ({ ask }) => {
    await ask({
      q: 'outside.example.com A',
      rcode: 'NOERROR',
      aa: true,
      answer: ['outside.example.com. 3600 IN CNAME www.example.org.'],
      authority: [],
    })
    await ask({
      q: 'below.example.com A',
      rcode: 'NOERROR',
      aa: true,
      answer: ['below.example.com. 3600 IN CNAME www.child.example.com.'],
      authority: CHILD,
      additional: CHILD_GLUE,
    })
    await ask({
      q: 'steered.example.com A',
      ecs: '82.64.1.0/24',
      rcode: 'NOERROR',
      aa: true,
      answer: ['steered.example.com. 3600 IN CNAME www.example.com.'],
      authority: [],
      scope: 0,
    })
    const toapex = ['toapex.example.com. 3600 IN CNAME example.com.']
    await ask({ q: 'toapex.example.com A', rcode: 'NOERROR', aa: true, answer: toapex, authority: [] })
  })

  rule('CNAME loops end, and say each RR once (RFC 2181 §5)', async ({ ask }) => {
    const loop = [
      'loop1.example.com. 3600 IN CNAME loop2.example.com.',
      'loop2.example.com. 3600 IN CNAME loop1.example.com.',
    ]
    await ask({ q: 'loop1.example.com A', rcode: 'NOERROR', aa: true, answer: loop })
    await ask({ q: 'loop2.example.com A', rcode: 'NOERROR', aa: true, answer: loop })
    await ask({
      q: 'self.example.com A',
      rcode: 'NOERROR',
      aa: true,
      answer: ['self.example.com. 3600 IN CNAME self.example.com.'],
    })
  })

  rule('a chain of 21 CNAMEs ends somewhere, in order', async ({ ask }) => {
    const { answer } = await ask({ q: 'long.example.com A', rcode: 'NOERROR', aa: true, payload: 1232 })
    expect(answer.length).toBeGreaterThanOrEqual(8)
    for (const [i, rr] of answer.entries()) expect(rr.name).toBe(`long${i === 0 ? '' : i}.example.com.`)
  })
})

describe('step 3b: a match that leads out of the authoritative data', () => {
  rule('is a referral: NS in authority, no AA, no answer', async ({ ask }) => {
    for (const name of ['child', 'www.child', 'a.b.c.child', 'ns1.child', '*.child']) {
      for (const type of ['A', 'NS', 'MX', 'CNAME', 'SOA', 'ANY']) {
        const q = `${name}.example.com ${type}`
        await ask({ q, rcode: 'NOERROR', aa: false, answer: [], authority: CHILD, additional: CHILD_GLUE })
      }
    }
  })

  rule('DS at the cut is the parent’s (RFC 4035 §3.1.4.1)', async ({ ask }) => {
    await ask({ q: 'child.example.com DS', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
    await ask({ q: 'www.child.example.com DS', rcode: 'NOERROR', aa: false, answer: [], authority: CHILD })
  })
})

describe('step 3c: no match', () => {
  rule('is NXDOMAIN with the SOA; a name that others hang from is NODATA', async ({ ask }) => {
    await ask({ q: 'nothing.example.com A', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA], additional: [] })
    await ask({ q: 'a.b.c.d.e.f.example.com A', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA] })
    await ask({ q: 'below.host.example.com A', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA] })
    await ask({ q: 'z.example.com A', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
    const deep = 'a.'.repeat(120)
    await ask({ q: `${deep}example.com A`, rcode: 'NXDOMAIN', answer: [], authority: [SOA] })
  })

  rule('a zone whose apex has a wildcard', async ({ ask }) => {
    await ask({
      q: 'nothing.example.net TXT',
      rcode: 'NOERROR',
      answer: ['nothing.example.net. 3600 IN TXT "everywhere"'],
    })
    await ask({ q: 'nothing.example.net A', rcode: 'NOERROR', answer: [], authority: [SOA_NET] })
    await ask({ q: 'host.example.net TXT', rcode: 'NOERROR', answer: [], authority: [SOA_NET] })
  })
})

rule('zone transfers and other meta types are not served', async ({ ask }) => {
  for (const type of ['AXFR', 'IXFR', 'TYPE253', 'TYPE254', 'TSIG']) {
    const { rcode, answer } = await ask({ q: `example.com ${type}`, rcode: 'REFUSED' })
    expect([rcode, answer]).toEqual(['REFUSED', []])
  }
})
