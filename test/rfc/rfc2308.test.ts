/** RFC 2308: negative answers, and RFC 8020: NXDOMAIN only where nothing hangs below. */
import { rule, SOA, SOA_NET, SOA_STEERED } from './world.ts'

rule('§2.1, §3: NXDOMAIN carries the SOA, its TTL the minimum of SOA TTL and minimum', async ({ ask }) => {
  await ask({ q: 'nothing.example.com A', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA], additional: [] })
  await ask({ q: 'nothing.example.com AAAA', edns: true, rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA] })
})

rule('§2.2: NODATA carries it too, at every kind of name', async ({ ask }) => {
  for (const name of ['host', 'text', 'y.z', 'exists.wild', 'any.wild', '_tcp']) {
    await ask({
      q: `${name}.example.com CAA`,
      rcode: 'NOERROR',
      aa: true,
      answer: [],
      authority: [SOA],
      additional: [],
    })
  }
  await ask({ q: 'example.net MX', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA_NET] })
})

rule('at steered names it lives no longer than the service’s least TTL', async ({ ask }) => {
  for (const type of ['MX', 'TXT', 'CNAME', 'HTTPS']) {
    await ask({ q: `www.example.com ${type}`, rcode: 'NOERROR', aa: true, answer: [], authority: [SOA_STEERED] })
  }
  await ask({ q: 'only4.example.com AAAA', rcode: 'NOERROR', answer: [], authority: [SOA_STEERED] })
  await ask({ q: 'four.example.com AAAA', rcode: 'NOERROR', answer: [], authority: [SOA.replace(' 60 IN', ' 20 IN')] })
})

rule('the SOA asked for itself has its own TTL', async ({ ask }) => {
  await ask({ q: 'example.com SOA', rcode: 'NOERROR', answer: [SOA.replace(' 60 IN', ' 3600 IN')], authority: [] })
})

rule('RFC 8020 §2: an empty non-terminal is NODATA, never NXDOMAIN', async ({ ask }) => {
  for (const name of ['z', 'y.z', 'ent.wild', 'wild', 'star', 'cut.wildcut', 'wildcut', '_tcp', 'apps', 'cname']) {
    for (const type of ['A', 'TXT', 'NS']) {
      await ask({ q: `${name}.example.com ${type}`, rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
    }
  }
  await ask({ q: 'w.x.y.z.example.com A', rcode: 'NXDOMAIN', authority: [SOA] })
  await ask({ q: 'x.z.example.com A', rcode: 'NXDOMAIN', authority: [SOA] })
})
