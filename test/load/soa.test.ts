/** RFC 1982's order of serials, and a zone whose serial is replaced. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isFault } from '../../src/dns/name.ts'
import { encodeRdata, formatRdata } from '../../src/dns/rdata.ts'
import { TYPE } from '../../src/dns/types.ts'
import { isNewerSerial } from '../../src/dns/serial.ts'
import { serialOf, withSerial } from '../../src/load/soa.ts'
import type { ZoneModel } from '../../src/zone/pack.ts'

const serials = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1),
)

/** RFC 1982 §3.2, as it is written there, SERIAL_BITS = 32. */
const isGreater = (i1: number, i2: number): boolean => (i1 < i2 && i2 - i1 > 2 ** 31) || (i1 > i2 && i1 - i2 < 2 ** 31)

test('the order is that of RFC 1982 §3.2', () => {
  fc.assert(
    fc.property(serials, serials, (a, b) => {
      expect(isNewerSerial(a, b)).toBe(isGreater(a, b))
    }),
    { seed: 1982, numRuns: 2000 },
  )
})

test.each([
  [1, 0, true],
  [44, 44, false],
  [0, 0xffff_ffff, true], // it wraps
  [0xffff_ffff, 0, false],
  [2 ** 31, 0, false], // no order: stays what it is, both ways
  [0, 2 ** 31, false],
])('%d newer than %d: %s', (serial, than, expected) => {
  expect(isNewerSerial(serial, than)).toBe(expected)
})

test('only the serial of a zone is replaced, and the zone given stays as it was', () => {
  const rdata = encodeRdata(TYPE.SOA, {
    mname: 'ns1.example.com.',
    rname: 'hostmaster.example.com.',
    serial: '7',
    refresh: '7200',
    retry: '900',
    expire: '1209600',
    minimum: '60',
  })
  if (isFault(rdata)) throw new Error(rdata.fault)
  const padded = new Uint8Array(rdata.length + 3)
  padded.set(rdata, 3) // a view that does not begin with its buffer
  const zone: ZoneModel = {
    apex: Uint8Array.of(0),
    sets: new Int32Array(0),
    bytes: new Uint8Array(0),
    soa: { rdata: padded.subarray(3), ttlSeconds: 1, negativeTtlSeconds: 2 },
    services: [],
    at: { file: '', line: 1, column: 1 },
    files: [],
  }
  const [held] = withSerial([zone], 0xffff_fffe)
  expect(serialOf(held!.soa)).toBe(0xffff_fffe)
  expect(formatRdata(TYPE.SOA, held!.soa.rdata)).toBe(
    'ns1.example.com. hostmaster.example.com. 4294967294 7200 900 1209600 60',
  )
  expect(held!.soa.ttlSeconds).toBe(1)
  expect(serialOf(zone.soa)).toBe(7)
})
