/** RFC 8467 and RFC 7830: padding of encrypted responses. */
import { expect, test } from 'vitest'
import { encode, memory } from '../support/ask.ts'
import { asksFor, optionsIn, withProtocol } from './world.ts'

const PADDING = 12
const made = withProtocol({ nsid: new Uint8Array(100) })
const asks = asksFor(PADDING, 3)
const QUESTIONS = [
  ['host.example.com A', 'NOERROR'],
  ['nothing.example.com A', 'NXDOMAIN'],
  ['www.example.org A', 'REFUSED'],
  ['many.example.com A', 'NOERROR'],
  ['huge.example.com TXT', 'NOERROR'],
] as const

test.each(['dot', 'doh'] as const)(
  '§4.1: over %s a response has a multiple of 468 bytes, padded with zeros',
  async (kind) => {
    const over = memory(made.responder, kind)
    for (const [q] of QUESTIONS) {
      for (const ecs of [{}, { ecs: '198.51.100.0/24' }, { ecs: '2001:db8::/56' }]) {
        const reply = (await over.send(encode({ q, ...asks, ...ecs })))!
        expect([q, reply.length % 468]).toEqual([q, 0])
      }
    }
    const padded = await (kind === 'dot' ? made.askDot : made.askDoh)({
      q: 'host.example.com A',
      ...asks,
      rcode: 'NOERROR',
    })
    expect(optionsIn(padded, PADDING)[0]).toMatch(/^(00)+$/)
  },
)

test('RFC 7830 §3: every length before padding ends at a multiple', async () => {
  const sizes = new Set<number>()
  for (let length = 0; length <= 128; length++) {
    const one = withProtocol({ nsid: new Uint8Array(length) })
    for (const q of ['host.example.com A', 'many.example.com A', 'mail.example.com A']) {
      sizes.add((await memory(one.responder, 'dot').send(encode({ q, ...asks })))!.length)
    }
  }
  expect([...sizes].filter((size) => size % 468 !== 0)).toEqual([])
})

test('RFC 7830 §4: a query without padding gets none; RFC 8467 §4: nor does one that is not encrypted', async () => {
  for (const [q, rcode] of QUESTIONS) {
    expect(optionsIn(await made.askDot({ q, ...asksFor(3), rcode }), PADDING)).toEqual([])
    expect(optionsIn(await made.askTcp({ q, ...asks, rcode }), PADDING)).toEqual([])
  }
  expect(optionsIn(await made.ask({ q: 'host.example.com A', ...asks, rcode: 'NOERROR' }), PADDING)).toEqual([])
})
