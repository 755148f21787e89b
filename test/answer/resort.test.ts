/** When sites are gone: the walk to the next one, the stated last resort, and what the counters say of it. */
import { beforeEach, describe, expect, test } from 'vitest'
import { C_LAST_RESORT } from '../../src/counters.ts'
import { DOWN, UP, healthWord } from '../../src/health/table.ts'
import { ZONES } from '../rfc/zones.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { makeNode } from './fixture.ts'

const node = await makeNode(ZONES)
const ask = makeAsk(memory(node.responder))
const { counters } = node.responder
const from = CLIENTS.paris.v4
const SOA = 'example.com. 15 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60'

/** Members whose name matches go down. */
function kill(pattern: RegExp): void {
  for (const member of node.slots.keys()) if (pattern.test(member)) node.set(member, healthWord(DOWN, 1000, true))
}

beforeEach(() => {
  for (const member of node.slots.keys()) node.set(member, healthWord(UP, 1000, true))
})

const a = (name: string, ttl: number, address: string): string =>
  `${name}.example.com. ${ttl} IN ${address.includes(':') ? 'AAAA' : 'A'} ${address}`

describe('nearest', () => {
  test('a dead site’s clients get the next nearest, the others stay', async () => {
    kill(/^fra\/web/)
    await ask({ q: 'www.example.com A', from, rcode: 'NOERROR', answer: [a('www', 60, '198.51.100.10')] })
    await ask({ q: 'www.example.com AAAA', from, rcode: 'NOERROR', answer: [a('www', 60, '2001:db8:2::10')] })
    const jakarta = CLIENTS.jakarta.v4
    await ask({ q: 'www.example.com A', from: jakarta, rcode: 'NOERROR', answer: [a('www', 60, '203.0.113.10')] })
    kill(/^iad\/web/)
    await ask({ q: 'www.example.com A', from, rcode: 'NOERROR', answer: [a('www', 60, '203.0.113.10')] })
  })

  test('lastResort all: as if all were up, with the least TTL', async () => {
    kill(/\/web\//)
    const before = counters[C_LAST_RESORT]!
    await ask({ q: 'www.example.com A', from, rcode: 'NOERROR', answer: [a('www', 15, '192.0.2.10')] })
    await ask({ q: 'capped.example.com A', from, rcode: 'NOERROR', answer: [a('capped', 10, '192.0.2.10')] })
    expect(counters[C_LAST_RESORT]! - before).toBe(2)
  })

  test('while any member is up, a type without one is NODATA', async () => {
    kill(/\/web\/.*:/)
    await ask({ q: 'www.example.com AAAA', from, rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
    await ask({ q: 'www.example.com A', from, rcode: 'NOERROR', answer: [a('www', 60, '192.0.2.10')] })
  })
})

describe('other last resorts', () => {
  test('nodata', async () => {
    await ask({ q: 'gone.example.com A', from, rcode: 'NOERROR', answer: [a('gone', 60, '192.0.2.50')] })
    kill(/\/gone\//)
    await ask({ q: 'gone.example.com A', from, rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
  })

  test('values, of each type its own', async () => {
    kill(/\/page\//)
    const one = await ask({ q: 'page.example.com A', from, rcode: 'NOERROR' })
    expect(one.answer.map(({ rdata }) => rdata)).toEqual(['192.0.2.66'])
    const six = await ask({ q: 'page.example.com AAAA', from, rcode: 'NOERROR' })
    expect(six.answer.map(({ rdata }) => rdata)).toEqual(['2001:db8::66'])
  })
})
