/** RFC 9471: glue in referrals. */
import { describe, expect } from 'vitest'
import { nodeOf, rule, rules } from './world.ts'

const BULKY = Array.from({ length: 12 }, (_, i) => `bulky.example.com. 3600 IN NS n${i}.bulky.example.com.`)
const BULKY_GLUE = Array.from(
  { length: 12 },
  (_, i) => `n${i}.bulky.example.com. 3600 IN AAAA 2001:db8:b::${(i + 1).toString(16)}`,
)

describe('§3.1: in-domain glue', () => {
  rule('is there in full, or the referral is truncated', async ({ ask, kind }) => {
    const q = 'www.bulky.example.com A'
    await ask({ q, payload: 1232, rcode: 'NOERROR', aa: false, authority: BULKY, additional: BULKY_GLUE })
    const whole = { authority: BULKY, additional: BULKY_GLUE }
    await ask({ q, rcode: 'NOERROR', aa: false, answer: [], ...(kind === 'udp' ? { tc: true } : whole) })
  })
})

describe('§3.2: sibling glue, and addresses that are ours anyway', () => {
  rule('go along where there is room', async ({ ask }) => {
    await ask({
      q: 'www.sibling.example.com A',
      rcode: 'NOERROR',
      aa: false,
      answer: [],
      authority: ['sibling.example.com. 3600 IN NS ns1.child.example.com.'],
      additional: ['ns1.child.example.com. 3600 IN A 192.0.2.101', 'ns1.child.example.com. 3600 IN AAAA 2001:db8::101'],
    })
    await ask({
      q: 'www.away.example.com A',
      rcode: 'NOERROR',
      aa: false,
      answer: [],
      authority: ['away.example.com. 3600 IN NS ns.example.org.', 'away.example.com. 3600 IN NS ns1.example.com.'],
      additional: ['ns1.example.com. 3600 IN A 192.0.2.53', 'ns1.example.com. 3600 IN AAAA 2001:db8::53'],
    })
  })
})

const node = await nodeOf({
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
  'example.com.yaml':
    '"": {type: NS, value: ns1.example.net.}\nsub: {type: NS, value: NS1.Sub.example.com.}\nns1.sub: {type: A, value: 192.0.2.53}\n',
})
rules({ node })('§3.1: glue is found whatever the case of the NS target (RFC 4343)', async ({ ask }) => {
  const { additional } = await ask({ q: 'www.sub.example.com A', rcode: 'NOERROR' })
  expect(additional.map(({ name, rdata }) => `${name.toLowerCase()} ${rdata}`)).toEqual([
    'ns1.sub.example.com. 192.0.2.53',
  ])
})
