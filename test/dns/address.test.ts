/** Addresses and prefixes: RFC 5952's examples, node:net as an independent judge, and what must not pass. */
import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatAddress,
  formatPrefix,
  isZeroBehind,
  maskAddress,
  parseAddress,
  parseIPv4,
  parseIPv6,
  parsePrefix,
} from '../../src/dns/address.ts'

const canonical = (text: string): string | undefined => {
  const bytes = parseAddress(text)
  return bytes === undefined ? undefined : formatAddress(bytes)
}

test('canonical text is that of RFC 5952', () => {
  const cases = {
    '192.0.2.1': '192.0.2.1',
    '2001:0DB8:0000:0000:0001:0000:0000:0001': '2001:db8::1:0:0:1', // the first of two equal runs, §4.2.3
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1', // a single zero group stays, §4.2.2
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1', // the longest run
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    '0:0:0:0:0:0:0:0': '::',
    '::ffff:192.0.2.1': '::ffff:192.0.2.1',
    '::ffff:c000:201': '::ffff:192.0.2.1',
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
    '1:2:3:4:5:6:7::': '1:2:3:4:5:6:7:0',
    '::2:3:4:5:6:7:8': '0:2:3:4:5:6:7:8',
  }
  expect(Object.fromEntries(Object.keys(cases).map((text) => [text, canonical(text)]))).toEqual(cases)
})

test('what is no address', () => {
  const wrong = ['', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.256', '1.2.3.4 ', '0x1.2.3.4', '1.2.3.', '١.2.3.4']
  wrong.push(':', ':::', '1::2::3', '12345::', 'g::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::')
  wrong.push(
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6:7::8',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:1',
    'fe80::1%eth0',
    '[::1]',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:',
  )
  expect(wrong.filter((text) => parseAddress(text) !== undefined)).toEqual([])
})

test('the same texts are addresses as for node:net', () => {
  const piece = fc.constantFrom(
    '0',
    '1',
    '255',
    '256',
    '00',
    'ff',
    'ffff',
    '::',
    ':',
    '.',
    '1.2.3.4',
    'g',
    '12345',
    ' ',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6(),
        fc.array(piece, { maxLength: 12 }).map((all) => all.join('')),
      ),
      (text) => {
        expect(parseIPv4(text) !== undefined).toBe(isIPv4(text))
        expect(parseIPv6(text) !== undefined).toBe(isIPv6(text))
      },
    ),
    { numRuns: 5000 },
  )
})

test('any bytes survive the way through text, which URL canonicalises alike', () => {
  const words = fc.array(fc.constantFrom(0, 0, 0, 1, 0xabc, 0xffff), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(words, (eight) => {
      const bytes = Uint8Array.from(eight.flatMap((word) => [word >> 8, word & 255]))
      const text = formatAddress(bytes)
      expect(parseIPv6(text)).toEqual(bytes)
      if (!text.includes('.')) expect(`[${text}]`).toBe(new URL(`http://[${text}]/`).hostname)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
      expect(parseIPv4(formatAddress(bytes))).toEqual(bytes)
    }),
  )
  expect(formatAddress(Uint8Array.of(9, 9, 192, 0, 2, 1, 9), 2, 4)).toBe('192.0.2.1')
  expect(formatAddress(Uint8Array.of(9, 9, 192, 0, 2, 1), 2)).toBe('192.0.2.1')
})

test('prefixes: whole, within bounds, no host bits', () => {
  expect(parsePrefix('10.0.0.0/8')).toEqual({ family: 4, bytes: Uint8Array.of(10, 0, 0, 0), bits: 8 })
  expect(parsePrefix('192.0.2.1')?.bits).toBe(32)
  expect(parsePrefix('2001:db8::')?.bits).toBe(128)
  expect(parsePrefix('0.0.0.0/0')?.bits).toBe(0)
  const back = ['10.0.0.0/8', '::/0', '2001:db8::/33', '192.0.2.1/32', '128.0.0.0/1']
  expect(back.map((text) => formatPrefix(parsePrefix(text)!))).toEqual(back)
  const wrong = ['10.0.0.1/8', '128.0.0.0/0', '2001:db8::1/127', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/08']
  wrong.push('10.0.0.0/-1', '10.0.0.0/8/8', '/8', '10/8', '10.0.0.0/1e1', '')
  expect(wrong.filter((text) => parsePrefix(text) !== undefined)).toEqual([])
})

const number = (some: Uint8Array): bigint => BigInt(`0x${Buffer.from(some).toString('hex')}`)

test('masking clears exactly the bits behind', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 }), (bytes, bits) => {
      const shift = BigInt(128 - bits)
      expect(number(maskAddress(bytes, bits))).toBe((number(bytes) >> shift) << shift)
      expect(isZeroBehind(bytes, bits)).toBe((number(bytes) >> shift) << shift === number(bytes))
      expect(isZeroBehind(maskAddress(bytes, bits), bits)).toBe(true)
    }),
  )
})
