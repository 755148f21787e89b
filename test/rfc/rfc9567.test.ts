/** RFC 9567: where resolvers may report errors. */
import { expect, test } from 'vitest'
import { parseName, isFault } from '../../src/dns/name.ts'
import { ask, optionsIn, withProtocol } from './world.ts'

const CHANNEL = 18
const agent = parseName('agent.example.net')
if (isFault(agent)) throw new Error(agent.fault)
const made = withProtocol({ reportChannel: agent })

test('§6.2: every response with EDNS names the agent, in wire form and unasked', async () => {
  const wire = Buffer.from(agent).toString('hex')
  for (const [q, rcode] of [
    ['host.example.com A', 'NOERROR'],
    ['nothing.example.com A', 'NXDOMAIN'],
    ['www.example.com A', 'NOERROR'],
    ['www.example.org A', 'REFUSED'],
  ] as const) {
    expect(optionsIn(await made.ask({ q, edns: true, rcode }), CHANNEL)).toEqual([wire])
    expect(optionsIn(await made.askTcp({ q, ecs: '198.51.100.0/24', rcode }), CHANNEL)).toEqual([wire])
    expect((await made.ask({ q, rcode })).edns).toBeUndefined()
  }
})

test('without the setting none does', async () => {
  expect(optionsIn(await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR' }), CHANNEL)).toEqual([])
})

test('it is left out where there is no room, and truncates nothing', async () => {
  const long = withProtocol({ reportChannel: new Uint8Array(255) })
  const whole = await long.ask({ q: 'many.example.com A', edns: true, rcode: 'NOERROR' })
  expect([whole.answer.length, optionsIn(whole, CHANNEL)]).toEqual([60, []])
  expect(optionsIn(await long.ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR' }), CHANNEL).length).toBe(1)
})
