/** RFC 4592: wildcards, by the examples of its §2.2.1 in our own names. */
import { describe } from 'vitest'
import { rule, SOA, SOA_STEERED } from './world.ts'

describe('§2.2.1, §3.3: what a wildcard stands for', () => {
  rule('names that do not exist below its parent, at any depth, under the name asked', async ({ ask }) => {
    for (const name of ['any.wild', 'a.b.c.wild', '_x._y.wild']) {
      await ask({
        q: `${name}.example.com A`,
        rcode: 'NOERROR',
        aa: true,
        answer: [`${name}.example.com. 3600 IN A 192.0.2.90`],
      })
    }
    await ask({
      q: 'any.wild.example.com MX',
      rcode: 'NOERROR',
      answer: ['any.wild.example.com. 3600 IN MX 5 mail.example.com.'],
      authority: [],
    })
  })

  rule('a type that it lacks is NODATA', async ({ ask }) => {
    await ask({ q: 'any.wild.example.com TXT', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
  })

  rule('asked for itself it is a name as any other', async ({ ask }) => {
    await ask({ q: '*.wild.example.com A', rcode: 'NOERROR', answer: ['*.wild.example.com. 3600 IN A 192.0.2.90'] })
  })

  rule('names that exist, or that have an existing name between, are not covered', async ({ ask }) => {
    await ask({ q: 'exists.wild.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
    await ask({ q: 'x.exists.wild.example.com A', rcode: 'NXDOMAIN', answer: [], authority: [SOA] })
    await ask({ q: 'wild.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
  })

  rule('an empty non-terminal is an existing name (§2.2.2)', async ({ ask }) => {
    await ask({ q: 'ent.wild.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
    await ask({ q: 'b.ent.wild.example.com A', rcode: 'NXDOMAIN', answer: [], authority: [SOA] })
  })
})

describe('§2.1.2, §4: asterisks in other places', () => {
  rule('an asterisk label inside a name is just a label', async ({ ask }) => {
    await ask({
      q: 'sub.*.star.example.com TXT',
      rcode: 'NOERROR',
      answer: ['sub.*.star.example.com. 3600 IN TXT "under an asterisk"'],
    })
    await ask({ q: 'x.star.example.com TXT', rcode: 'NOERROR', answer: ['x.star.example.com. 3600 IN TXT "asterisk"'] })
    // the closest encloser is *.star itself, which has no wildcard below (§2.2.1's ghost.*.example.)
    await ask({ q: 'ghost.*.star.example.com TXT', rcode: 'NXDOMAIN', answer: [], authority: [SOA] })
    // sub.x.star: its encloser is star, whose wildcard covers it
    await ask({
      q: 'sub.x.star.example.com TXT',
      rcode: 'NOERROR',
      answer: ['sub.x.star.example.com. 3600 IN TXT "asterisk"'],
    })
  })

  rule('a wildcard CNAME is followed from the name asked (§4.4)', async ({ ask }) => {
    const host = 'host.example.com. 300 IN A 192.0.2.80'
    const made = 'any.cname.example.com. 3600 IN CNAME host.example.com.'
    await ask({ q: 'any.cname.example.com A', rcode: 'NOERROR', ordered: true, answer: [made, host] })
    await ask({ q: 'any.cname.example.com CNAME', rcode: 'NOERROR', answer: [made] })
  })

  rule('a steered wildcard steers every name it covers', async ({ ask }) => {
    const answer = ['q.apps.example.com. 60 IN A 192.0.2.10']
    await ask({ q: 'q.apps.example.com A', from: '82.64.1.1', rcode: 'NOERROR', aa: true, answer })
    await ask({
      q: 'a.b.apps.example.com A',
      from: '82.64.1.1',
      rcode: 'NOERROR',
      answer: ['a.b.apps.example.com. 60 IN A 192.0.2.10'],
    })
    await ask({ q: 'q.apps.example.com MX', rcode: 'NOERROR', answer: [], authority: [SOA_STEERED] })
    await ask({ q: 'apps.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
  })

  rule('no wildcard reaches below a cut', async ({ ask }) => {
    await ask({ q: '*.child.example.com A', rcode: 'NOERROR', aa: false, answer: [] })
  })
})
