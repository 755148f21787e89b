/** RDATA: what operators write, what goes on the wire, what a human reads; and the faults in their words. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isFault } from '../../src/dns/name.ts'
import { type RdataValue, ZONE_TYPES, encodeRdata, formatRdata } from '../../src/dns/rdata.ts'
import { TYPE, className, classNumber, rcodeName, typeName, typeNumber } from '../../src/dns/types.ts'

const wire = (type: number, value: RdataValue): string => {
  const rdata = encodeRdata(type, value)
  return isFault(rdata) ? `${rdata.field ?? ''}: ${rdata.fault}` : Buffer.from(rdata).toString('hex')
}
/** Value → wire → presentation text. */
const text = (type: number, value: RdataValue): string => {
  const rdata = encodeRdata(type, value)
  if (isFault(rdata)) return rdata.fault
  const back = formatRdata(type, rdata)
  return typeof back === 'string' ? back : back.fault
}
const hex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'))

describe('each type', () => {
  test('on the wire', () => {
    expect(wire(TYPE.A, '192.0.2.1')).toBe('c0000201')
    expect(wire(TYPE.AAAA, '2001:db8::1')).toBe('20010db8000000000000000000000001')
    for (const type of [TYPE.NS, TYPE.CNAME, TYPE.PTR])
      expect(wire(type, 'Ns1.example.')).toBe('034e7331076578616d706c6500')
    expect(wire(TYPE.MX, { preference: '10', exchange: 'a.b.' })).toBe('000a0161016200')
    expect(wire(TYPE.MX, { priority: '10', value: 'a.b.' })).toBe('000a0161016200')
    expect(wire(TYPE.MX, { preference: '0', exchange: '.' })).toBe('000000') // RFC 7505
    expect(wire(TYPE.SRV, { priority: '1', weight: '2', port: '443', target: 'a.' })).toBe('0001000201bb016100')
    expect(wire(TYPE.CAA, { flags: '128', tag: 'issue', value: 'ca.example' })).toBe(
      '80056973737565' + hexOf('ca.example'),
    )
    expect(wire(TYPE.CAA, { tag: 'issue', value: ';' })).toBe('000569737375653b')
    expect(wire(TYPE.TXT, 'a b')).toBe('03612062')
    expect(wire(TYPE.TXT, '')).toBe('00')
    const times = { serial: '4294967295', refresh: '2', retry: '3', expire: '4', minimum: '5' }
    expect(wire(TYPE.SOA, { mname: 'a.', rname: 'b.', ...times })).toBe(
      '016100016200ffffffff00000002000000030000000400000005',
    )
  })

  test('in presentation text', () => {
    expect(text(TYPE.A, '192.0.2.1')).toBe('192.0.2.1')
    expect(text(TYPE.AAAA, '2001:DB8:0::1')).toBe('2001:db8::1')
    expect(text(TYPE.NS, 'ns1.example.')).toBe('ns1.example.')
    expect(text(TYPE.MX, { preference: '10', exchange: 'mail.example.' })).toBe('10 mail.example.')
    expect(text(TYPE.SRV, { priority: '1', weight: '2', port: '3', target: '.' })).toBe('1 2 3 .')
    expect(text(TYPE.CAA, { flags: '0', tag: 'issue', value: 'ca.example; a=b' })).toBe('0 issue "ca.example; a=b"')
    expect(formatRdata(TYPE.HINFO, hex('075246433834383200'))).toBe('"RFC8482" ""')
    expect(formatRdata(65_280, hex('0a000001'))).toBe('\\# 4 0a000001')
    expect(formatRdata(65_280, hex(''))).toBe('\\# 0')
  })

  test('names may be compressed within a message', () => {
    const message = hex('0000000000000000000000000161016200000ac00c')
    expect(formatRdata(TYPE.MX, message, 17, 21)).toBe('10 a.b.')
    expect(formatRdata(TYPE.MX, message, 17, 20)).toMatchObject({ fault: expect.stringContaining('cut short') })
  })
})

const hexOf = (ascii: string): string => Buffer.from(ascii).toString('hex')

describe('TXT as octoDNS writes it', () => {
  test('semicolons bare and escaped, quotes, numbers, UTF-8', () => {
    expect(text(TYPE.TXT, 'v=DKIM1\\; k=rsa; p=x')).toBe('"v=DKIM1; k=rsa; p=x"')
    expect(text(TYPE.TXT, '"v=spf1" " -all"')).toBe('"v=spf1 -all"')
    expect(text(TYPE.TXT, '"a\\"b" "c"')).toBe('"a\\"bc"')
    expect(text(TYPE.TXT, 'say "hi"')).toBe('"say \\"hi\\""')
    expect(text(TYPE.TXT, 'a\\\\b\\000\\255')).toBe('"a\\\\b\\000\\255"')
    expect(text(TYPE.TXT, 'é')).toBe('"\\195\\169"')
    expect(text(TYPE.TXT, '\\é\\😀')).toBe('"\\195\\169\\240\\159\\152\\128"')
    expect(text(TYPE.TXT, 'a\nb')).toBe('"a\\010b"')
  })

  test('strings longer than 255 bytes are split', () => {
    expect(text(TYPE.TXT, 'x'.repeat(600))).toBe(`"${'x'.repeat(255)}" "${'x'.repeat(255)}" "${'x'.repeat(90)}"`)
    expect(text(TYPE.TXT, 'x'.repeat(255))).toBe(`"${'x'.repeat(255)}"`)
  })

  test('what is no text', () => {
    expect(text(TYPE.TXT, 'a\\')).toContain('escape')
    expect(text(TYPE.TXT, '\\256')).toContain('no byte')
    expect(text(TYPE.TXT, 'x'.repeat(70_000))).toContain('65,000')
  })

  test('any bytes come through, written as escapes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
        const written = Array.from(bytes, (byte) => `\\${String(byte).padStart(3, '0')}`).join('')
        const rdata = encodeRdata(TYPE.TXT, written)
        if (isFault(rdata)) throw new Error(rdata.fault)
        const parts: number[] = []
        for (let i = 0; i < rdata.length; i += 1 + rdata[i]!) parts.push(...rdata.subarray(i + 1, i + 1 + rdata[i]!))
        expect(parts).toEqual([...bytes])
        // and what is printed is taken again, for the same wire
        const printed = formatRdata(TYPE.TXT, rdata)
        if (typeof printed !== 'string') throw new Error(printed.fault)
        expect(encodeRdata(TYPE.TXT, printed)).toEqual(rdata)
      }),
    )
  })
})

describe('faults', () => {
  test('say what is wrong and in which field', () => {
    expect(wire(TYPE.A, '2001:db8::1')).toContain('no IPv4 address')
    expect(wire(TYPE.AAAA, '192.0.2.1')).toContain('no IPv6 address')
    expect(wire(TYPE.A, '192.0.2')).toContain('“192.0.2” is no IPv4')
    expect(wire(TYPE.NS, 'ns1.example')).toContain('must end with a dot')
    expect(wire(TYPE.CNAME, '192.0.2.1')).toContain('address where a name is wanted')
    expect(wire(TYPE.NS, 'a..')).toContain('empty label')
    expect(wire(TYPE.MX, { preference: '65536', exchange: 'a.' })).toMatch(/^preference: .*65535/)
    expect(wire(TYPE.MX, { priority: '-1', exchange: 'a.' })).toMatch(/^priority: /)
    expect(wire(TYPE.MX, { preference: '1', exchange: 'a' })).toMatch(/^exchange: .*dot/)
    expect(wire(TYPE.MX, { preference: '1' })).toContain('“exchange” is missing')
    expect(wire(TYPE.MX, { preference: '1', priority: '1', exchange: 'a.' })).toContain('say the same')
    expect(wire(TYPE.MX, { preference: '1', exchange: 'a.', ttl: '3' })).toMatch(/^ttl: .*no key of MX/)
    expect(wire(TYPE.MX, { preference: '1', exchange: 'a.', toString: '3' })).toContain('no key')
    expect(wire(TYPE.MX, '10 a.')).toContain('mapping with preference, exchange')
    expect(wire(TYPE.A, { value: '1.2.3.4' })).toContain('a text is wanted')
    expect(wire(TYPE.CAA, { flags: '256', tag: 'issue', value: 'x' })).toMatch(/^flags: /)
    expect(wire(TYPE.CAA, { tag: 'is sue', value: 'x' })).toMatch(/^tag: /)
    expect(wire(TYPE.SRV, { priority: '1e1', weight: '0', port: '1', target: 'a.' })).toMatch(/^priority: /)
    expect(wire(TYPE.HINFO, { cpu: 'a' })).toContain('missing')
    expect(wire(TYPE.OPT, 'x')).toContain('OPT is no type')
  })

  test('any RDATA of any type is text or a fault, never a throw', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ZONE_TYPES, 'HINFO', 'TYPE9'), fc.uint8Array({ maxLength: 60 }), (type, bytes) => {
        const result = formatRdata(typeNumber(type)!, bytes)
        expect(typeof (typeof result === 'string' ? result : result.fault)).toBe('string')
      }),
      { numRuns: 3000 },
    )
    for (const type of ZONE_TYPES.filter((one) => one !== 'CAA')) {
      expect(formatRdata(typeNumber(type)!, hex('')), type).toMatchObject({ fault: expect.stringContaining(type) })
    }
    expect(formatRdata(TYPE.A, hex('c000020101'))).toMatchObject({ fault: expect.stringContaining('1 bytes too long') })
  })
})

test('mnemonics both ways, and RFC 3597 for what has none', () => {
  expect(ZONE_TYPES.toSorted()).toEqual(['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'])
  for (const [name, number] of Object.entries(TYPE))
    expect([typeNumber(name), typeName(number)]).toEqual([number, name])
  expect(
    ['a', 'Type65280', 'TYPE1', 'TYPE65536', 'TYPE', 'TYPE-1', 'TYPE1e1', 'NOPE', 'toString'].map(typeNumber),
  ).toEqual([1, 65_280, 1, ...Array.from({ length: 6 }, () => undefined)])
  expect([
    typeName(65_280),
    className(1),
    className(9),
    classNumber('in'),
    classNumber('CLASS9'),
    classNumber('X'),
  ]).toEqual(['TYPE65280', 'IN', 'CLASS9', 1, 9, undefined])
  expect([0, 3, 16, 999].map(rcodeName)).toEqual(['NOERROR', 'NXDOMAIN', 'BADVERS', 'RCODE999'])
})
