/** RFC 7828: edns-tcp-keepalive. */
import { expect, test } from 'vitest'
import { asksFor, optionsIn, withProtocol } from './world.ts'

const KEEPALIVE = 11
const made = withProtocol({ keepaliveMs: 10_000 })
const asked = { q: 'host.example.com A', rcode: 'NOERROR', ...asksFor(KEEPALIVE) }

test('§3.1, §3.3.2: over TCP and TLS whoever asks is told how long a connection may be idle, in units of 100 ms', async () => {
  expect(optionsIn(await made.askTcp(asked), KEEPALIVE)).toEqual(['0064'])
  expect(optionsIn(await made.askDot(asked), KEEPALIVE)).toEqual(['0064'])
  const long = withProtocol({ keepaliveMs: 3 * 3_600_000 })
  expect(optionsIn(await long.askTcp(asked), KEEPALIVE)).toEqual(['ffff'])
})

test('§3.2.1: never over UDP, where it is ignored; nor over HTTPS, whose connections are not DNS’s', async () => {
  for (const over of [made.ask, made.askDoh]) {
    const reply = await over({ ...asked, answer: ['host.example.com. 300 IN A 192.0.2.80'] })
    expect(optionsIn(reply, KEEPALIVE)).toEqual([])
  }
})

test('nobody is told who does not ask', async () => {
  for (const more of [{ edns: true }, asksFor(3)]) {
    const { edns } = await made.askTcp({ q: 'host.example.com A', ...more, rcode: 'NOERROR' })
    expect(edns!.options).toEqual([])
  }
})
