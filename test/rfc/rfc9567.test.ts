/** RFC 9567: where resolvers may report errors. */
import { expect } from 'vitest'
import { parseName, isFault } from '../../src/dns/name.ts'
import { optionsIn, rule, rules } from './world.ts'

const CHANNEL = 18
const agent = parseName('agent.example.net')
if (isFault(agent)) throw new Error(agent.fault)
rules({ protocol: { reportChannel: agent } })(
  '§5, §6.2: every response with EDNS names the agent, once, in wire form and unasked',
  async ({ ask }) => {
    const wire = Buffer.from(agent).toString('hex')
    for (const [q, rcode] of [
      ['host.example.com A', 'NOERROR'],
      ['nothing.example.com A', 'NXDOMAIN'],
      ['www.example.com A', 'NOERROR'],
      ['www.example.org A', 'REFUSED'],
    ] as const) {
      expect(optionsIn(await ask({ q, edns: true, rcode }), CHANNEL)).toEqual([wire])
      expect(optionsIn(await ask({ q, ecs: '198.51.100.0/24', rcode }), CHANNEL)).toEqual([wire])
      expect((await ask({ q, rcode })).edns).toBeUndefined()
    }
  },
)

rule('without the setting none does', async ({ ask }) => {
  expect(optionsIn(await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR' }), CHANNEL)).toEqual([])
})

const long = rules({ protocol: { reportChannel: new Uint8Array(255) } })
// the others have room
long.over(['udp'])('it is left out where there is no room, and truncates nothing', async ({ ask }) => {
  const whole = await ask({ q: 'many.example.com A', edns: true, rcode: 'NOERROR' })
  expect([whole.answer.length, optionsIn(whole, CHANNEL)]).toEqual([60, []])
  expect(optionsIn(await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR' }), CHANNEL).length).toBe(1)
})
