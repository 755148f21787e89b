/** RFC 4592: wildcards, by the examples of its §2.2.1 in our own names. */
import { describe, test } from 'vitest'
import { SOA, SOA_STEERED, ask } from './world.ts'

describe('§2.2.1, §3.3: what a wildcard stands for', () => {
  test('names that do not exist below its parent, at any depth, under the name asked', async () => {
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

  test('a type that it lacks is NODATA', async () => {
    await ask({ q: 'any.wild.example.com TXT', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
  })

  test('asked for itself it is a name as any other', async () => {
    await ask({ q: '*.wild.example.com A', rcode: 'NOERROR', answer: ['*.wild.example.com. 3600 IN A 192.0.2.90'] })
  })

  test('names that exist, or that have an existing name between, are not covered', async () => {
    await ask({ q: 'exists.wild.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
    await ask({ q: 'x.exists.wild.example.com A', rcode: 'NXDOMAIN', answer: [], authority: [SOA] })
    await ask({ q: 'wild.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
  })

  test('an empty non-terminal is an existing name (§2.2.2)', async () => {
    await ask({ q: 'ent.wild.example.com A', rcode: 'NOERROR', answer: [], authority: [SOA] })
    await ask({ q: 'b.ent.wild.example.com A', rcode: 'NXDOMAIN', answer: [], authority: [SOA] })
  })
})

describe('§2.1.2, §4: asterisks in other places', () => {
  test('an asterisk label inside a name is just a label', async () => {
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

  test('a wildcard CNAME is followed from the name asked (§4.4)', async () => {
    const host = 'host.example.com. 300 IN A 192.0.2.80'
    const made = 'any.cname.example.com. 3600 IN CNAME host.example.com.'
    await ask({ q: 'any.cname.example.com A', rcode: 'NOERROR', ordered: true, answer: [made, host] })
    await ask({ q: 'any.cname.example.com CNAME', rcode: 'NOERROR', answer: [made] })
  })

  test('a steered wildcard steers every name it covers', async () => {
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

  test('no wildcard reaches below a cut', async () => {
    await ask({ q: '*.child.example.com A', rcode: 'NOERROR', aa: false, answer: [] })
  })
})
