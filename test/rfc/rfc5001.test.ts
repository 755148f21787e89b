/** RFC 5001: the name server identifier (NSID). */
import { expect } from 'vitest'
import type { Message } from '../../src/dns/message.ts'
import { encode } from '../support/ask.ts'
import { rule, rules } from './world.ts'

const NSID = 3
const asks = { options: [{ code: NSID, data: new Uint8Array(0) }] }
const named = rules({ protocol: { nsid: new Uint8Array(Buffer.from('fra-7')) } })

const nsidOf = ({ edns }: Message): string[] =>
  edns!.options.filter(({ code }) => code === NSID).map(({ data }) => Buffer.from(data).toString())

named('§2.2: whoever asks gets it, on every outcome and beside ECS', async ({ ask }) => {
  for (const [q, rcode] of [
    ['host.example.com A', 'NOERROR'],
    ['nothing.example.com A', 'NXDOMAIN'],
    ['www.example.org A', 'REFUSED'],
    ['www.example.com A', 'NOERROR'],
  ] as const) {
    expect(nsidOf(await ask({ q, ...asks, rcode }))).toEqual(['fra-7'])
    expect(nsidOf(await ask({ q, ...asks, ecs: '198.51.100.0/24', rcode }))).toEqual(['fra-7'])
  }
})

named('§2.1: what a client writes in its option is ignored, and two options get one', async ({ ask }) => {
  const options = [NSID, NSID].map((code) => ({ code, data: Uint8Array.of(1, 2, 3) }))
  expect(nsidOf(await ask({ q: 'host.example.com A', options, rcode: 'NOERROR' }))).toEqual(['fra-7'])
})

named('§2.2: nobody gets it who does not ask', async ({ ask }) => {
  const { edns } = await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR' })
  expect(edns!.options).toEqual([])
  const options = [{ code: 10, data: new Uint8Array(8) }]
  expect(nsidOf(await ask({ q: 'host.example.com A', options, rcode: 'NOERROR' }))).toEqual([])
})

rule('without the setting nobody gets it', async ({ ask }) => {
  expect(nsidOf(await ask({ q: 'host.example.com A', ...asks, rcode: 'NOERROR' }))).toEqual([])
})

// the others have no such bounds
named.over(['udp'])(
  'its bytes count: a response that just fits is truncated one byte below, and carries it still',
  async (on) => {
    const q = 'many.example.com A'
    const tell = (payload: number, options = asks.options) => on.tell(encode({ q, payload, options }))
    const sizes = Array.from({ length: 1232 - 512 }, (_, i) => 512 + i)
    const least = async (options: typeof asks.options): Promise<number> => {
      for (const size of sizes) if (!(await tell(size, options)).tc) return size
      return 0
    }
    const [without, with5] = [await least([]), await least(asks.options)]
    expect(with5).toBe(without + 4 + 5)
    const cut = await tell(with5 - 1)
    expect([cut.answer, nsidOf(cut)]).toEqual([[], ['fra-7']])
  },
)
