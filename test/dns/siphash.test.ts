/** SipHash-2-4 against the vectors of its paper and OpenSSL's own. */
import { expect, test } from 'vitest'
import { sipHash, sipKey } from '../../src/dns/siphash.ts'

const key = sipKey(Uint8Array.from({ length: 16 }, (_, i) => i))

// key 00 01 … 0f, input 00 01 … of so many bytes: appendix A of the paper has the one of 15; the rest by
// openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt size:8 -in FILE SIPHASH
test.each([
  [0, '310e0edd47db6f72'],
  [1, 'fd67dc93c539f874'],
  [7, '37d1018bf50002ab'],
  [8, '6224939a79f5f593'],
  [15, 'e545be4961ca29a1'],
  [20, '98eea21af25cd6be'],
  [32, 'ce7cf2722f512771'],
  [63, '724506eb4c328a95'],
])('%i bytes', (size, hash) => {
  // bytes behind the input, and those of an earlier hash, mean nothing
  const data = Uint8Array.from({ length: 64 }, (_, i) => (i < size ? i : 0xff))
  const out = new Uint8Array(12).fill(0xee)
  sipHash(key, data, size, out, 2)
  expect(Buffer.from(out).toString('hex')).toBe(`eeee${hash}eeee`)
})
