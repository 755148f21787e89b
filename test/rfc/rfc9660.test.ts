/** RFC 9660: the version of a zone. */
import { expect } from 'vitest'
import { asksFor, optionsIn, rule } from './world.ts'

const ZONEVERSION = 19
const asks = asksFor(ZONEVERSION)

rule(
  '§2.1, §3.2, §4: labels of the zone that the name is in, type SOA-SERIAL, its serial, in 6 bytes',
  async ({ ask }) => {
    for (const [q, rcode, version] of [
      ['host.example.com A', 'NOERROR', '020000000007'],
      ['example.com SOA', 'NOERROR', '020000000007'],
      ['nothing.example.com A', 'NXDOMAIN', '020000000007'],
      ['text.example.com A', 'NOERROR', '020000000007'],
      ['www.example.com A', 'NOERROR', '020000000007'],
      ['any.wild.example.com A', 'NOERROR', '020000000007'],
      ['www.inner.example.net A', 'NOERROR', '030000000007'],
      ['host.example.net A', 'NOERROR', '020000000007'],
      // the alias's zone, not the target's
      ['other.example.com A', 'NOERROR', '020000000007'],
      ['www.child.example.com A', 'NOERROR', '020000000007'], // of the parent, which the referral is from
    ] as const) {
      expect([q, ...optionsIn(await ask({ q, ...asks, rcode }), ZONEVERSION)]).toEqual([q, version])
    }
  },
)

rule('§3.2, §3.2.2: not for names in no zone here, nor for those that do not ask', async ({ ask }) => {
  expect(optionsIn(await ask({ q: 'www.example.org A', ...asks, rcode: 'REFUSED' }), ZONEVERSION)).toEqual([])
  await ask({ q: 'host.example.com A', rcode: 'NOERROR' }) // whose zone must not be told for the next
  expect(optionsIn(await ask({ q: 'example.com A CH', ...asks, rcode: 'REFUSED' }), ZONEVERSION)).toEqual([])
  expect(optionsIn(await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR' }), ZONEVERSION)).toEqual([])
})

rule('§3.2.1: an option that is not empty, or is there twice: FORMERR', async ({ ask }) => {
  const empty = { code: ZONEVERSION, data: new Uint8Array(0) }
  for (const options of [[{ code: ZONEVERSION, data: new Uint8Array(6) }], [empty, empty]]) {
    const { edns } = await ask({ q: 'host.example.com A', options, rcode: 'FORMERR', answer: [] })
    expect(edns?.options).toEqual([])
  }
})
