/** RFC 7828: edns-tcp-keepalive. */
import { expect } from 'vitest'
import { asksFor, optionsIn, rules } from './world.ts'

const KEEPALIVE = 11
const told = rules({ protocol: { keepaliveMs: 10_000 } })
const asked = { q: 'host.example.com A', rcode: 'NOERROR', ...asksFor(KEEPALIVE) }

told.over(['tcp', 'dot'])(
  '§3.1, §3.3.2: whoever asks is told how long a connection may be idle, in units of 100 ms',
  async ({ ask, having }) => {
    expect(optionsIn(await ask(asked), KEEPALIVE)).toEqual(['0064'])
    const long = having({ keepaliveMs: 3 * 3_600_000 })
    expect(optionsIn(await long.ask(asked), KEEPALIVE)).toEqual(['ffff'])
  },
)

told.over(['udp', 'doh'])(
  '§3.3.1: over UDP it is ignored, and so it is over HTTPS, whose connections are not DNS’s',
  async ({ ask }) => {
    const reply = await ask({ ...asked, answer: ['host.example.com. 300 IN A 192.0.2.80'] })
    expect(optionsIn(reply, KEEPALIVE)).toEqual([])
  },
)

told.over(['tcp', 'dot'])('§3.2.1: a time that a client writes means nothing', async ({ ask }) => {
  const options = [{ code: KEEPALIVE, data: Uint8Array.of(0xff, 0xff) }]
  expect(optionsIn(await ask({ ...asked, options }), KEEPALIVE)).toEqual(['0064'])
})

told('nobody is told who does not ask', async ({ ask }) => {
  for (const more of [{ edns: true }, asksFor(3)]) {
    const { edns } = await ask({ q: 'host.example.com A', ...more, rcode: 'NOERROR' })
    expect(edns!.options).toEqual([])
  }
})
