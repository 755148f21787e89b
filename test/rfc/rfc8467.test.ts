/** RFC 8467 and RFC 7830: padding of encrypted responses. */
import { expect } from 'vitest'
import { encode } from '../support/ask.ts'
import { asksFor, ENCRYPTED, optionsIn, rules } from './world.ts'

const PADDING = 12
/** Much that is not padding. */
const rule = rules({ protocol: { nsid: new Uint8Array(100), reportChannel: new Uint8Array(100) } })
const asks = asksFor(PADDING, 3)
const QUESTIONS = [
  ['host.example.com A', 'NOERROR'],
  ['nothing.example.com A', 'NXDOMAIN'],
  ['www.example.org A', 'REFUSED'],
  ['mail.example.com A', 'NOERROR'],
  ['huge.example.com TXT', 'NOERROR'],
] as const

const encrypted = rule.over(ENCRYPTED)

encrypted('§4.1: a response has a multiple of 468 bytes, padded with zeros', async ({ ask, send }) => {
  for (const [q, rcode] of QUESTIONS) {
    for (const ecs of [{}, { ecs: '198.51.100.0/24' }, { ecs: '2001:db8::/56' }]) {
      const reply = await send(encode({ q, ...asks, ...ecs }))
      expect([q, reply.length % 468]).toEqual([q, 0])
    }
    expect(optionsIn(await ask({ q, ...asks, rcode }), PADDING)[0]).toMatch(/^(00)+$/)
  }
})

encrypted('RFC 7830 §3: every length before padding ends at a multiple', async ({ send }) => {
  const sizes = new Set<number>()
  for (let length = 1; length <= 230; length++) {
    const labels = 'z'
      .repeat(length)
      .match(/.{1,63}/g)!
      .join('.')
    sizes.add((await send(encode({ q: `${labels}.example.com A`, ...asks }))).length)
  }
  expect([...sizes]).toEqual([468, 936])
})

encrypted('RFC 7830 §3: padding of a query may have any bytes', async ({ ask }) => {
  const options = [{ code: PADDING, data: new Uint8Array(100).fill(0xff) }]
  const padded = await ask({ q: 'host.example.com A', options, rcode: 'NOERROR' })
  expect(optionsIn(padded, PADDING)[0]).toMatch(/^(00)+$/)
})

encrypted('RFC 7830 §4: a query without padding gets none', async ({ ask }) => {
  for (const [q, rcode] of QUESTIONS) expect(optionsIn(await ask({ q, ...asksFor(3), rcode }), PADDING)).toEqual([])
})

rule.over(['udp', 'tcp'])('RFC 7830 §6, RFC 8467 §3: what is not encrypted is not padded', async ({ ask, kind }) => {
  for (const [q, rcode] of QUESTIONS) {
    const tc = kind === 'udp' && q.startsWith('huge')
    expect(optionsIn(await ask({ q, ...asks, rcode, tc }), PADDING)).toEqual([])
  }
})
