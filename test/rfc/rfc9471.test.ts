/** RFC 9471: glue in referrals. */
import { describe, test } from 'vitest'
import { ask, askTcp } from './world.ts'

const BULKY = Array.from({ length: 12 }, (_, i) => `bulky.example.com. 3600 IN NS n${i}.bulky.example.com.`)
const BULKY_GLUE = Array.from(
  { length: 12 },
  (_, i) => `n${i}.bulky.example.com. 3600 IN AAAA 2001:db8:b::${(i + 1).toString(16)}`,
)

describe('§3.1: in-domain glue', () => {
  test('is there in full, or the referral is truncated', async () => {
    const q = 'www.bulky.example.com A'
    await ask({ q, payload: 1232, rcode: 'NOERROR', aa: false, authority: BULKY, additional: BULKY_GLUE })
    await ask({ q, rcode: 'NOERROR', aa: false, tc: true, answer: [] })
    await askTcp({ q, rcode: 'NOERROR', aa: false, authority: BULKY, additional: BULKY_GLUE })
  })
})

describe('§3.2: sibling glue, and addresses that are ours anyway', () => {
  test('go along where there is room', async () => {
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
