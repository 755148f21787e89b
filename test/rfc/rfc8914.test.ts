/** RFC 8914: extended DNS errors. */
import { afterEach, describe, expect, test } from 'vitest'
import { C_LIMITED } from '../../src/counters.ts'
import { makeLimits } from '../../src/answer/abuse/limits.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { makeResponder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { DOWN, FRESH, healthWord, KNOWLEDGE, NOT_READY, STALE, UP } from '../../src/health/table.ts'
import { makeNode } from '../answer/fixture.ts'
import { encode } from '../support/ask.ts'
import { asking, optionsIn } from './world.ts'

const EDE = 15
const node = await makeNode({
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
const { ask, askTcp, responder, tell } = asking(node.responder)
const setAll = (state: typeof UP | typeof DOWN): void => {
  for (const member of node.slots.keys()) node.set(member, healthWord(state, 1000, true))
}
afterEach(() => {
  setAll(UP)
  node.health[KNOWLEDGE] = FRESH
})

/** The code and the text of the one EDE that the answer to `q` has; undefined: it has none. */
async function edeOf(q: string, rcode: string): Promise<readonly [code: number, text: string] | undefined> {
  const said = optionsIn(await ask({ q, edns: true, rcode }), EDE)
  expect(said).toEqual(optionsIn(await askTcp({ q, edns: true, rcode }), EDE))
  expect(said.length).toBeLessThan(2)
  const [data] = said.map((hex) => Buffer.from(hex, 'hex'))
  return data && [data.readUInt16BE(0), data.subarray(2).toString()]
}

describe('§4: the codes', () => {
  test('an answer that needs no explanation has none', async () => {
    expect(await edeOf('www.example.com A', 'NOERROR')).toBeUndefined()
    expect(await edeOf('ns1.example.com A', 'NOERROR')).toBeUndefined()
    expect(await edeOf('no.example.com A', 'NXDOMAIN')).toBeUndefined()
  })

  test('§4.21, 20: a name in no zone here', async () => {
    expect(await edeOf('www.example.org A', 'REFUSED')).toEqual([20, ''])
  })

  test('§4.22, 21: a class, or a query type, that is not served', async () => {
    expect(await edeOf('www.example.com A CH', 'REFUSED')).toEqual([21, ''])
    expect(await edeOf('example.com TYPE253', 'REFUSED')).toEqual([21, ''])
  })

  test('§4.19, 18: a transfer that is not allowed', async () => {
    expect(await edeOf('example.com AXFR', 'REFUSED')).toEqual([18, ''])
  })

  test('30 (RFC 9824): a query type that cannot be', async () => {
    expect(await edeOf('example.com TYPE0', 'FORMERR')).toEqual([30, ''])
  })

  test('§4.1, 0: last resort, in words', async () => {
    setAll(DOWN)
    expect(await edeOf('www.example.com A', 'NOERROR')).toEqual([0, 'last resort: no site is usable'])
    expect(await edeOf('ns1.example.com A', 'NOERROR')).toBeUndefined()
  })

  test('§4.4, 3, and §4.15, 14: stale health, and a node that is not ready; not where nothing is checked', async () => {
    node.health[KNOWLEDGE] = STALE
    expect(await edeOf('www.example.com A', 'NOERROR')).toEqual([3, 'no prober is heard: last known health'])
    expect(await edeOf('fixed.example.com A', 'NOERROR')).toBeUndefined()
    node.health[KNOWLEDGE] = NOT_READY
    expect(await edeOf('www.example.com A', 'NOERROR')).toEqual([14, 'health is not known yet'])
    expect(await edeOf('fixed.example.com A', 'NOERROR')).toBeUndefined()
    expect(await edeOf('no.example.com A', 'NXDOMAIN')).toBeUndefined()
  })
})

test('§2: a query without EDNS gets none', async () => {
  expect((await ask({ q: 'www.example.org A', rcode: 'REFUSED' })).edns).toBeUndefined()
})

test('§3: it is left out where there is no room, and never truncates an answer', async () => {
  node.health[KNOWLEDGE] = STALE
  const q = 'wide.example.com AAAA'
  const whole = await tell(encode({ q, payload: 1232 }))
  expect([whole!.answer.length, optionsIn(whole!, EDE).length]).toEqual([8, 1])
  responder.protocol = { ...PLAIN_PROTOCOL, nsid: new Uint8Array(220) } // leaves less than it takes
  const options = [{ code: 3, data: new Uint8Array(0) }]
  const tight = await tell(encode({ q, payload: 512, options }))
  expect([tight!.tc, tight!.answer.length, optionsIn(tight!, EDE)]).toEqual([false, 8, []])
  responder.protocol = PLAIN_PROTOCOL
})

test('a truncated answer has it, for its records leave room', async () => {
  node.health[KNOWLEDGE] = STALE
  responder.protocol = { ...PLAIN_PROTOCOL, nsid: new Uint8Array(128), unprovenBytes: 400 }
  const options = [{ code: 3, data: new Uint8Array(0) }]
  const cut = await tell(encode({ q: 'wide.example.com AAAA', options }))
  expect([cut!.tc, cut!.answer.length, optionsIn(cut!, EDE).length]).toEqual([true, 0, 1])
  responder.protocol = PLAIN_PROTOCOL
})

test('a response that the rate limits truncate has none: it is no larger than its query', async () => {
  const limits = makeLimits({ perSecond: [1, 1, 1, 1], unproven: 0, slip: 1, threads: 1, exempt: [] }, 5)
  const reportChannel = Uint8Array.of(1, 97, 0)
  const protocol = { ...PLAIN_PROTOCOL, limits, reportChannel }
  const limited = asking(makeResponder(node.made.world, node.health, makeCounters(), protocol))
  setAll(DOWN)
  const query = encode({ q: 'www.example.com A', edns: true })
  for (let i = 0; i < 4; i++) await limited.tell(query)
  expect((await limited.tell(query))!.edns!.options).toEqual([])
  expect(limited.responder.counters[C_LIMITED]).toBeGreaterThan(1)
})
