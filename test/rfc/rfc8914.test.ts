/** RFC 8914: extended DNS errors. */
import { describe, expect, test } from 'vitest'
import { makeLimits } from '../../src/answer/abuse/limits.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { makeResponder } from '../../src/answer/responder.ts'
import { C_LIMITED, makeCounters } from '../../src/counters.ts'
import { DOWN, healthWord, KNOWLEDGE, NOT_READY, STALE } from '../../src/health/table.ts'
import { encode, memory } from '../support/ask.ts'
import { type Asking, decoded, nodeOf, optionsIn, rules } from './world.ts'

const EDE = 15
const node = await nodeOf({
  'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
  'services.yaml': `
web: {sites: {fra: {vips: [192.0.2.10]}}, order: [fra], check: {type: tcp, port: 80}}
fixed: {sites: {fra: {vips: [192.0.2.20]}}, order: [fra], check: none}
wide:
  sites: {fra: {vips: [${Array.from({ length: 8 }, (_, i) => `"2001:db8::${i}"`).join(', ')}]}}
  order: [fra]
  check: {type: tcp, port: 80}
`,
  'example.com.yaml': `
"": {type: NS, values: [ns1.example.com.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
fixed: {type: GSLB, service: fixed}
wide: {type: GSLB, service: wide}
`,
})
const rule = rules({ node })
const allDown = (): void => {
  for (const member of node.slots.keys()) node.set(member, healthWord(DOWN, 1000, true))
}

/** The code and the text of the one EDE that the answer to `q` has; undefined: it has none. */
async function edeOf(
  { ask }: Asking,
  q: string,
  rcode: string,
): Promise<readonly [code: number, text: string] | undefined> {
  const said = optionsIn(await ask({ q, edns: true, rcode }), EDE)
  expect(said.length).toBeLessThan(2)
  const [data] = said.map((hex) => Buffer.from(hex, 'hex'))
  return data && [data.readUInt16BE(0), data.subarray(2).toString()]
}

describe('§4: the codes', () => {
  rule('an answer that needs no explanation has none', async (on) => {
    expect(await edeOf(on, 'www.example.com A', 'NOERROR')).toBeUndefined()
    expect(await edeOf(on, 'ns1.example.com A', 'NOERROR')).toBeUndefined()
    expect(await edeOf(on, 'no.example.com A', 'NXDOMAIN')).toBeUndefined()
  })

  rule('§4.21, 20: a name in no zone here', async (on) => {
    expect(await edeOf(on, 'www.example.org A', 'REFUSED')).toEqual([20, ''])
  })

  rule('§4.22, 21: a class, or a query type, that is not served', async (on) => {
    expect(await edeOf(on, 'www.example.com A CH', 'REFUSED')).toEqual([21, ''])
    expect(await edeOf(on, 'example.com TYPE253', 'REFUSED')).toEqual([21, ''])
  })

  rule('§4.19, 18: a transfer that is not allowed', async (on) => {
    expect(await edeOf(on, 'example.com AXFR', 'REFUSED')).toEqual([18, ''])
  })

  rule('30 (RFC 9824): a query type that cannot be', async (on) => {
    expect(await edeOf(on, 'example.com TYPE0', 'FORMERR')).toEqual([30, ''])
  })

  rule('§4.1, 0: last resort, in words', async (on) => {
    allDown()
    expect(await edeOf(on, 'www.example.com A', 'NOERROR')).toEqual([0, 'last resort: no site is usable'])
    expect(await edeOf(on, 'ns1.example.com A', 'NOERROR')).toBeUndefined()
  })

  rule(
    '§4.4, 3, and §4.15, 14: stale health, and a node that is not ready; not where nothing is checked',
    async (on) => {
      node.health[KNOWLEDGE] = STALE
      expect(await edeOf(on, 'www.example.com A', 'NOERROR')).toEqual([3, 'no prober is heard: last known health'])
      expect(await edeOf(on, 'fixed.example.com A', 'NOERROR')).toBeUndefined()
      node.health[KNOWLEDGE] = NOT_READY
      expect(await edeOf(on, 'www.example.com A', 'NOERROR')).toEqual([14, 'health is not known yet'])
      expect(await edeOf(on, 'fixed.example.com A', 'NOERROR')).toBeUndefined()
      expect(await edeOf(on, 'no.example.com A', 'NXDOMAIN')).toBeUndefined()
    },
  )
})

rule('§2: a query without EDNS gets none', async ({ ask }) => {
  expect((await ask({ q: 'www.example.org A', rcode: 'REFUSED' })).edns).toBeUndefined()
})

// the others have room
rule.over(['udp'])(
  '§3: it is left out where there is no room, and never truncates an answer',
  async ({ tell, having }) => {
    node.health[KNOWLEDGE] = STALE
    const q = 'wide.example.com AAAA'
    const whole = await tell(encode({ q, payload: 1232 }))
    expect([whole.answer.length, optionsIn(whole, EDE).length]).toEqual([8, 1])
    const little = having({ nsid: new Uint8Array(220) }) // leaves less than it takes
    const options = [{ code: 3, data: new Uint8Array(0) }]
    const tight = await little.tell(encode({ q, payload: 512, options }))
    expect([tight.tc, tight.answer.length, optionsIn(tight, EDE)]).toEqual([false, 8, []])
  },
)

rule.over(['udp'])('a truncated answer has it, for its records leave room', async ({ having }) => {
  node.health[KNOWLEDGE] = STALE
  const { tell } = having({ nsid: new Uint8Array(128), unprovenBytes: 400 })
  const options = [{ code: 3, data: new Uint8Array(0) }]
  const cut = await tell(encode({ q: 'wide.example.com AAAA', options }))
  expect([cut.tc, cut.answer.length, optionsIn(cut, EDE).length]).toEqual([true, 0, 1])
})

// over memory alone: a running server keeps the limits that it was started with
test('a response that the rate limits truncate has none: it is no larger than its query', async () => {
  const limits = makeLimits({ perSecond: [1, 1, 1, 1], unproven: 0, slip: 1, threads: 1, exempt: [] }, 5)
  const reportChannel = Uint8Array.of(1, 97, 0)
  const protocol = { ...PLAIN_PROTOCOL, limits, reportChannel }
  const limited = makeResponder(node.made.world, node.health, makeCounters(), protocol)
  const transport = memory(limited)
  allDown()
  const query = encode({ q: 'www.example.com A', edns: true })
  for (let i = 0; i < 4; i++) await transport.send(query)
  expect(decoded((await transport.send(query))!).edns!.options).toEqual([])
  expect(limited.counters[C_LIMITED]).toBeGreaterThan(1)
})
