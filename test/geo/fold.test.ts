import { expect, test } from 'vitest'
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from '../../src/dns/address.ts'
import { foldPrefix, foldToIPv4 } from '../../src/geo/fold.ts'

const fold = (address: string, sourceBits = 128): string => {
  const out = new Uint8Array(4)
  const offset = foldToIPv4(parseAddress(address)!, 0, sourceBits, out)
  return offset < 0 ? 'none' : `${formatAddress(out)} at ${offset}`
}

test.each([
  ['::ffff:192.0.2.1', '192.0.2.1 at 96'],
  ['64:ff9b::c000:201', '192.0.2.1 at 96'],
  ['2002:c000:201::1', '192.0.2.1 at 16'],
  ['2001:0:4136:e378:8000:63bf:3fff:fdfe', '192.0.2.1 at 128'], // ~3f.ff.fd.fe: the client of RFC 4380 §4
  ['::192.0.2.1', 'none'], // IPv4-compatible addresses are no more (RFC 4291 §2.5.5.1)
  ['::1', 'none'],
  ['2001:db8::c000:201', 'none'],
  ['2003::c000:201', 'none'],
  ['::fffe:192.0.2.1', 'none'],
  ['0:1::ffff:c000:201', 'none'],
  ['0:0:1::ffff:c000:201', 'none'],
  ['64:ff9b:1::c000:201', 'none'], // local-use NAT64 (RFC 8215) says nothing about the public address
  ['64:ff9c::c000:201', 'none'],
  ['64:ff9b::1:c000:201', 'none'],
])('%s folds to %s', (address, folded) => {
  expect(fold(address)).toBe(folded)
})

test('folding needs 8 known bits of the IPv4 address', () => {
  expect([fold('::ffff:10.0.0.0', 104), fold('::ffff:10.0.0.0', 103)]).toEqual(['10.0.0.0 at 96', 'none'])
  expect([fold('64:ff9b::a00:0', 104), fold('64:ff9b::a00:0', 103)]).toEqual(['10.0.0.0 at 96', 'none'])
  expect([fold('2002:a00::', 24), fold('2002:a00::', 23)]).toEqual(['10.0.0.0 at 16', 'none'])
  expect(fold('2001::', 103)).toBe('none')
})

test('unknown bits of a Teredo client stay zero, though they are stored flipped', () => {
  expect(fold('2001::f500:0', 104)).toBe('10.0.0.0 at 128')
  expect(fold('2001::f5fc:0', 110)).toBe('10.0.0.0 at 128')
  expect(fold('2001::f5f8:0', 110)).toBe('10.4.0.0 at 128')
})

test('reads at an offset, and may write over what it reads', () => {
  const bytes = new Uint8Array([9, ...parseAddress('2002:102:304::')!])
  expect(foldToIPv4(bytes, 1, 48, bytes)).toBe(16)
  expect([...bytes.subarray(0, 4)]).toEqual([1, 2, 3, 4])
})

test.each([
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
  ['2002:a01::/32', '10.1.0.0/16'],
  ['2002:a01:203:4::/64', '10.1.2.3/32'],
  ['2001::f500:0/104', '10.0.0.0/8'],
  ['2002::/16', '2002::/16'],
  ['2001:db8::/32', '2001:db8::/32'],
])('the clients of %s are those of %s', (prefix, folded) => {
  expect(formatPrefix(foldPrefix(parsePrefix(prefix)!))).toBe(folded)
})
