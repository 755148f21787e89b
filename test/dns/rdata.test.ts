/** RDATA: what operators write, what goes on the wire, what a human reads; and the faults in their words. */
import fc from 'fast-check'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import type { RdataValue } from '../../src/dns/fields.ts'
import { isFault } from '../../src/dns/name.ts'
import { encodeRdata, exampleOf, formatRdata, ZONE_TYPES } from '../../src/dns/rdata.ts'
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
    expect(text(TYPE.TXT, '"a\\"b"')).toBe('"a\\"b"')
    expect(text(TYPE.TXT, 'say "hi"')).toBe('"say \\"hi\\""')
    expect(text(TYPE.TXT, 'a\\\\b\\000\\255')).toBe('"a\\\\b\\000\\255"')
    expect(text(TYPE.TXT, 'é')).toBe('"\\195\\169"')
    expect(text(TYPE.TXT, '\\é\\😀')).toBe('"\\195\\169\\240\\159\\152\\128"')
    expect(text(TYPE.TXT, 'a\nb')).toBe('"a\\010b"')
  })

  test('several strings stay several, empty ones too; only what is longer than 255 bytes is cut', () => {
    expect(text(TYPE.TXT, '"v=spf1" " -all"')).toBe('"v=spf1" " -all"')
    expect(text(TYPE.TXT, '"a\\"b"  "c" ""')).toBe('"a\\"b" "c" ""')
    expect(wire(TYPE.TXT, '"a" "b"')).toBe('01610162')
    expect(wire(TYPE.SPF, '"" ""')).toBe('0000')
    expect(text(TYPE.TXT, `"${'x'.repeat(256)}" "y"`)).toBe(`"${'x'.repeat(255)}" "x" "y"`)
    expect(text(TYPE.TXT, '"" '.repeat(80_000).trim())).toContain('65,000')
    // of other types a text is one string
    expect(text(TYPE.CAA, { tag: 'issue', value: '"a" "b"' })).toBe('0 issue "ab"')
  })

  test('strings longer than 255 bytes are split', () => {
    expect(text(TYPE.TXT, 'x'.repeat(600))).toBe(`"${'x'.repeat(255)}" "${'x'.repeat(255)}" "${'x'.repeat(90)}"`)
    expect(text(TYPE.TXT, 'x'.repeat(255))).toBe(`"${'x'.repeat(255)}"`)
  })

  test('what is no text', () => {
    expect(text(TYPE.TXT, 'a\\')).toContain('escape')
    expect(text(TYPE.TXT, '\\256')).toContain('no byte')
    expect(text(TYPE.TXT, 'a\\1b')).toContain('no byte') // RFC 1035 §5.1: \X where X is no digit
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

const DIGEST = '2BB183AF5F22588179A53B0A98631FAD1A292118'

describe('types by their RFC’s own examples', () => {
  test('RFC 4034 §5.4: DS, also in octoDNS’s former keys', () => {
    const ds = { key_tag: '60485', algorithm: '5', digest_type: '1', digest: DIGEST }
    expect(wire(TYPE.DS, ds)).toBe(`ec450501${DIGEST.toLowerCase()}`)
    expect(text(TYPE.DS, ds)).toBe(`60485 5 1 ${DIGEST}`)
    expect(wire(TYPE.DS, { flags: '60485', protocol: '5', algorithm: '1', public_key: DIGEST })).toBe(wire(TYPE.DS, ds))
    expect(wire(TYPE.DS, { flags: '60485', protocol: '5', algorithm: '1' })).toContain('“public_key” is missing')
    expect(wire(TYPE.DS, { ...ds, flags: '1' })).toContain('no key of DS')
    expect(wire(TYPE.DS, { ...ds, digest: `${DIGEST}00` })).toMatch(/^digest: .* 20 bytes are wanted, and these are 21/)
    expect(wire(TYPE.DS, { ...ds, digest_type: '2' })).toMatch(/^digest: .* 32 bytes/)
    expect(wire(TYPE.DS, { ...ds, digest_type: '9', digest: '00 FF' })).toBe('ec45050900ff')
    for (const digest of ['', '0', 'xx', '0x00', '00-11']) expect(wire(TYPE.DS, { ...ds, digest })).toMatch(/^digest: /)
  })

  test('RFC 4255 §3.2: SSHFP; RFC 6698 §2.3: TLSA', () => {
    const print = '123456789abcdef67890123456789abcdef67890'
    expect(text(TYPE.SSHFP, { algorithm: '2', fingerprint_type: '1', fingerprint: print })).toBe(
      `2 1 ${print.toUpperCase()}`,
    )
    expect(wire(TYPE.SSHFP, { algorithm: '2', fingerprint_type: '2', fingerprint: print })).toMatch(/^fingerprint: /)
    const data = 'd2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971'
    const tlsa = { certificate_usage: '0', selector: '0', matching_type: '1', certificate_association_data: data }
    expect(wire(TYPE.TLSA, tlsa)).toBe(`000001${data}`)
    expect(wire(TYPE.TLSA, { ...tlsa, matching_type: '2' })).toMatch(/^certificate_association_data: .* 64 bytes/)
  })

  test('RFC 3403 §6: NAPTR, whose backslashes are written twice', () => {
    const naptr = {
      order: '100',
      preference: '50',
      flags: 's',
      service: 'z3950+I2L+I2C',
      regexp: '',
      replacement: '_z3950._tcp.a.',
    }
    expect(text(TYPE.NAPTR, naptr)).toBe('100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.a.')
    const regexp = String.raw`!^urn:cid:.+@([^\\.]+\\.)(.*)$!\\2!i`
    expect(text(TYPE.NAPTR, { ...naptr, regexp })).toContain(`"${regexp}"`)
    expect(wire(TYPE.NAPTR, { ...naptr, regexp })).toContain(hexOf(String.raw`!\2!i`))
    expect(wire(TYPE.NAPTR, { ...naptr, regexp: String.raw`!^(.*)$!\1!` })).toMatch(/^regexp: .*three digits/)
    expect(wire(TYPE.NAPTR, { ...naptr, service: 'x'.repeat(256) })).toMatch(/^service: .*255/)
    expect(wire(TYPE.NAPTR, { ...naptr, replacement: 'a' })).toMatch(/^replacement: .*dot/)
  })

  test('RFC 7929: OPENPGPKEY; RFC 7553 §4.5: URI', () => {
    expect(text(TYPE.OPENPGPKEY, 'mQ IN\nBF==')).toBe('mQINBA==')
    for (const key of ['mQI', 'mQ=N', '====', 'mQ-N']) expect(text(TYPE.OPENPGPKEY, key)).toContain('base64 is wanted')
    const uri = { priority: '10', weight: '1', target: 'ftp://ftp1.example.com/public' }
    expect(wire(TYPE.URI, uri)).toBe(`000a0001${hexOf(uri.target)}`)
    expect(text(TYPE.URI, uri)).toBe('10 1 "ftp://ftp1.example.com/public"')
    for (const target of ['', 'http://é.example/', 'a b'])
      expect(wire(TYPE.URI, { ...uri, target })).toMatch(/^target: .*URI/)
  })

  test('RFC 1035 §3.3.2: HINFO; RFC 1183 §2.2: RP', () => {
    expect(wire(TYPE.HINFO, { cpu: 'VAX-11/780', os: 'UNIX' })).toBe('0a5641582d31312f37383004554e4958')
    expect(text(TYPE.RP, { mbox: 'louie.trantor.umd.edu.', txt: 'lam1.people.umd.edu.' })).toBe(
      'louie.trantor.umd.edu. lam1.people.umd.edu.',
    )
    expect(wire(TYPE.RP, { mbox: '.', txt: '.' })).toBe('0000')
  })

  test('RFC 3597 §5: types by number', () => {
    expect(wire(65_280, String.raw`\# 4 0A000001`)).toBe('0a000001')
    expect(wire(65_280, String.raw`\# 4 0a00 0001`)).toBe('0a000001')
    expect(wire(65_280, String.raw`\# 0`)).toBe('')
    expect(text(731, String.raw`\# 6 abcdef012345`)).toBe(String.raw`\# 6 abcdef012345`)
    for (const wrong of ['0A000001', String.raw`\#4 0A000001`, String.raw`\# x`, '', String.raw`\# 1 xy`]) {
      expect(wire(65_280, wrong), wrong).toContain('the length and hexadecimal digits of the RDATA are wanted')
    }
    expect(wire(65_280, { value: '1' })).toContain('wanted')
    expect(wire(65_280, String.raw`\# 3 0A000001`)).toContain('3 bytes are announced, and 4 are there')
    expect(wire(65_280, String.raw`\# 1 0A0`)).toContain('1 bytes are announced')
    // reserved numbers, and types of queries
    for (const type of [0, 128, 250, 251, 255, 65_535]) {
      expect(wire(type, String.raw`\# 1 00`), String(type)).toContain('no type that a zone may hold')
    }
  })

  const LOC = {
    lat_degrees: '42',
    lat_minutes: '21',
    lat_seconds: '54',
    lat_direction: 'N',
    long_degrees: '71',
    long_minutes: '6',
    long_seconds: '18',
    long_direction: 'W',
    altitude: '-24',
    size: '30',
    precision_horz: '10000',
    precision_vert: '10',
  }

  test('RFC 1876 §4: LOC, and its bounds', () => {
    expect(text(TYPE.LOC, LOC)).toBe('42 21 54.000 N 71 6 18.000 W -24.00m 30m 10000m 10m')
    expect(wire(TYPE.LOC, LOC)).toBe('003316138917' + '2d d0 70 be 15 f0 00 98 8d 20'.replaceAll(' ', ''))
    for (const [key, value] of [
      ['lat_degrees', '91'],
      ['lat_degrees', '1.5'],
      ['long_degrees', '181'],
      ['lat_minutes', '60'],
      ['long_seconds', '60'],
      ['lat_seconds', '-1'],
      ['altitude', '-100000.01'],
      ['altitude', '1e3'],
      ['size', '90000000.01'],
      ['lat_direction', 'E'],
      ['long_direction', 'w'],
      ['latitude', '1'],
    ] as const) {
      expect(wire(TYPE.LOC, { ...LOC, [key]: value }), `${key} ${value}`).toMatch(new RegExp(`^${key}: `))
    }
    expect(wire(TYPE.LOC, { ...LOC, lat_degrees: '90' })).toMatch(/^lat_minutes: beyond the pole/)
    expect(wire(TYPE.LOC, { ...LOC, long_degrees: '180' })).toMatch(/^long_minutes: /)
    expect(wire(TYPE.LOC, { lat_degrees: '1' })).toContain('“lat_minutes” is missing')
    expect(wire(TYPE.LOC, 'text')).toContain('mapping')
    expect(text(TYPE.LOC, { ...LOC, size: '0.05', precision_horz: '19', precision_vert: '0' })).toContain(
      '0.05m 10m 0.00m',
    )
    expect(formatRdata(TYPE.LOC, hex('01'.padEnd(32, '0')))).toMatchObject({
      fault: expect.stringContaining('version 1'),
    })
    expect(formatRdata(TYPE.LOC, hex('00a0'.padEnd(32, '0')))).toMatchObject({ fault: expect.stringContaining('LOC') })
    expect(formatRdata(TYPE.LOC, hex('00'.padEnd(30, '0')))).toMatchObject({
      fault: expect.stringContaining('15 bytes'),
    })
  })
})

const svcb = (svcparams: RdataValue, svcpriority = '16'): RdataValue => ({
  svcpriority,
  targetname: 'foo.example.org.',
  svcparams,
})

describe('SVCB and HTTPS (RFC 9460)', () => {
  const name = '03666f6f076578616d706c65036f726700'

  test('appendix D.1: alias mode has a name and nothing else', () => {
    const alias = { svcpriority: '0', targetname: 'foo.example.com.' }
    expect(wire(TYPE.HTTPS, alias)).toBe('000003666f6f076578616d706c6503636f6d00')
    expect(wire(TYPE.HTTPS, { ...alias, svcparams: {} })).toBe(wire(TYPE.HTTPS, alias))
    expect(wire(TYPE.SVCB, svcb({ port: '53' }, '0'))).toMatch(/^svcparams: .*alias/)
  })

  test.each([
    ['figure 3', { svcpriority: '1', targetname: '.' }, '000100', '1 .'],
    ['figure 4', svcb({ port: '53' }), `0010${name}000300020035`, '16 foo.example.org. port=53'],
    ['figure 5', svcb({ key667: 'hello' }, '1'), `0001${name}029b000568656c6c6f`, '1 foo.example.org. key667="hello"'],
    [
      'figure 6',
      svcb({ key667: 'hello\\210qoo' }, '1'),
      `0001${name}029b000968656c6c6fd2716f6f`,
      '1 foo.example.org. key667="hello\\210qoo"',
    ],
    [
      'figure 7',
      svcb({ ipv6hint: ['2001:db8::1', '2001:db8::53:1'] }, '1'),
      `0001${name}0006002020010db800000000000000000000000120010db8000000000000000000530001`,
      '1 foo.example.org. ipv6hint=2001:db8::1,2001:db8::53:1',
    ],
    [
      'figure 9: keys and what is mandatory in the order of their numbers',
      svcb({ alpn: ['h2', 'h3-19'], mandatory: ['ipv4hint', 'alpn'], ipv4hint: ['192.0.2.1'] }),
      `0010${name}0000000400010004000100090268320568332d31390004000 4c0000201`.replace(' ', ''),
      '16 foo.example.org. mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1',
    ],
    [
      'figure 10: commas and backslashes of an identifier',
      svcb({ alpn: [String.raw`f\\oo,bar`, 'h2'] }),
      `0010${name}0001000c08665c6f6f2c626172026832`,
      String.raw`16 foo.example.org. alpn="f\\\\oo\\,bar,h2"`,
    ],
  ])('appendix D.2: %s', (_, value, bytes, printed) => {
    expect(wire(TYPE.SVCB, value)).toBe(bytes)
    expect(text(TYPE.SVCB, value)).toBe(printed)
    expect(wire(TYPE.HTTPS, value)).toBe(bytes)
  })

  test.each([
    [{ nope: '1' }, 'svcparams.nope: “nope” is no parameter'],
    [{ key3: '1' }, 'svcparams.key3: '],
    [{ key0667: '1' }, 'svcparams.key0667: '],
    [{ key65535: '1' }, 'svcparams.key65535: '],
    [{ mandatory: ['port'] }, 'svcparams.mandatory: “port” is mandatory and not there'],
    [{ mandatory: ['mandatory'] }, 'svcparams.mandatory: “mandatory” is no parameter that can be'],
    [{ mandatory: ['port', 'port'], port: '1' }, 'svcparams.mandatory: “port” is there twice'],
    [{ mandatory: [] }, 'svcparams.mandatory: a list is wanted'],
    [{ mandatory: 'port', port: '1' }, 'svcparams.mandatory: a list is wanted'],
    [{ alpn: 'h2' }, 'svcparams.alpn: a list is wanted'],
    [{ alpn: [''] }, 'svcparams.alpn: '],
    [{ alpn: [['h2']] }, 'svcparams.alpn: a list of texts'],
    [{ 'no-default-alpn': '' }, 'svcparams.no-default-alpn: it needs “alpn”'],
    [{ 'no-default-alpn': 'x', alpn: ['h2'] }, 'svcparams.no-default-alpn: it takes no value'],
    [{ port: '65536' }, 'svcparams.port: '],
    [{ port: ['1'] }, 'svcparams.port: a text is wanted'],
    [{ ipv4hint: ['2001:db8::1'] }, 'svcparams.ipv4hint: '],
    [{ ipv6hint: ['192.0.2.1'] }, 'svcparams.ipv6hint: '],
    [{ ech: 'x' }, 'svcparams.ech: '],
    [{ key7: ['a'] }, 'svcparams.key7: a text is wanted'],
    ['port=53', 'svcparams: a mapping is wanted'],
  ] as readonly (readonly [RdataValue, string])[])('%j is refused', (params, fault) => {
    expect(wire(TYPE.SVCB, svcb(params))).toContain(fault)
  })

  test.each([
    ['out of order', '00030002003500010003026832'],
    ['twice', '000300020035000300020035'],
    ['cut short', '00030002'],
    ['a port of three bytes', '00030003003500'],
    ['two ports', '0003000400350035'],
    ['an identifier beyond its end', '00010003056832'],
    ['no-default-alpn with a value', '0002000100'],
    ['an empty hint', '00040000'],
    ['a hint that is no whole address', '00040003c00002'],
    ['mandatory of one byte', '0000000101'],
  ])('on the wire, parameters %s are no text', (_, params) => {
    expect(formatRdata(TYPE.SVCB, hex(`000100${params}`))).toMatchObject({ fault: expect.stringContaining('SVCB: ') })
  })

  test('what is encoded is what is printed, for any parameters', () => {
    const id = fc.string({ minLength: 1, maxLength: 9, unit: fc.constantFrom('a', ',', '\\\\', 'é', ' ') })
    const params = fc.record(
      {
        alpn: fc.array(id, { minLength: 1, maxLength: 3 }),
        port: fc.nat(65_535).map(String),
        ipv4hint: fc.array(fc.ipV4(), { minLength: 1, maxLength: 3 }),
        ipv6hint: fc.array(fc.ipV6(), { minLength: 1, maxLength: 3 }),
        ech: fc.base64String({ minLength: 4, maxLength: 40 }),
        key7: fc.constantFrom('', 'a b', '/dns{?q}'),
        key65534: fc.constantFrom('', 'x'),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(params, (given) => {
        const rdata = encodeRdata(TYPE.SVCB, svcb(given))
        if (isFault(rdata)) throw new Error(rdata.fault)
        const printed = formatRdata(TYPE.SVCB, rdata)
        expect(typeof printed).toBe('string')
        // a reader of its own: keys ascend, lengths add up, and each is there once
        const seen: number[] = []
        let at = 2 + name.length / 2
        while (at < rdata.length) {
          seen.push((rdata[at]! << 8) | rdata[at + 1]!)
          at += 4 + ((rdata[at + 2]! << 8) | rdata[at + 3]!)
        }
        expect(at).toBe(rdata.length)
        expect(seen).toEqual(seen.toSorted((a, b) => a - b))
        expect(seen).toHaveLength(Object.keys(given).length)
      }),
      { numRuns: 300 },
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
    expect(wire(TYPE.RP, { mbox: 'admin.example.net', txt: '.' })).toMatch(/^mbox: .*dot/)
    expect(wire(TYPE.A, ['192.0.2.1'])).toContain('a text is wanted')
    expect(wire(TYPE.MX, { preference: ['1'], exchange: 'a.' })).toMatch(/^preference: a text is wanted/)
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
    for (const type of ZONE_TYPES.filter((one) => one !== 'APL')) {
      expect(formatRdata(typeNumber(type)!, hex('')), type).toMatchObject({ fault: expect.stringContaining(type) })
    }
    expect(formatRdata(TYPE.A, hex('c000020101'))).toMatchObject({ fault: expect.stringContaining('1 bytes too long') })
  })
})

test('mnemonics both ways, and RFC 3597 for what has none', () => {
  expect(ZONE_TYPES.join(' ')).toBe(
    'A AAAA NS CNAME DNAME PTR TXT SPF MX SRV CAA DS SSHFP TLSA NAPTR OPENPGPKEY URI SVCB HTTPS SOA HINFO RP LOC ' +
      'MB MG MR WKS MINFO AFSDB X25 ISDN RT NSAP NSAP-PTR KEY PX GPOS KX CERT SINK APL IPSECKEY DHCID SMIMEA HIP NINFO ' +
      'RKEY TALINK CSYNC ZONEMD NID L32 L64 LP EUI48 EUI64 AVC DOA AMTRELAY RESINFO WALLET TA DLV',
  )
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

describe('types in presentation form', () => {
  test.each([
    ['AFSDB', '1', '2 words'],
    ['AFSDB', '1 afsdb.example.net', 'must end with a dot'],
    ['AFSDB', '1 afsdb.example.net. 2', '2 words are wanted, and 3 are there'],
    ['AFSDB', String.raw`\# 3 000100`, ''],
    ['AFSDB', String.raw`\# 2 0001`, 'cut short'],
    ['AFSDB', String.raw`\# 4 00010000`, '1 bytes too long'],
    ['GPOS', '1 2', '3 words'],
    ['ISDN', 'x y', ''],
    ['GPOS', String.raw`\"1 "2 \" 2" 3`, ''],
    ['CERT', 'PKIX 1 RSASHA1 AQ==', ''],
    ['CERT', 'NOPE 1 1 AQ==', 'no number from 0 to 65535'],
    ['EUI48', '00-00-5e-00-53', '6 pairs'],
    ['NID', '1 1:2:3', 'four groups'],
    ['L64', '1 2001:0DB8:0:1', ''],
    ['WKS', '192.0.2.1 tcp smtp', '“smtp” is no number of a port'],
    ['APL', '3:192.0.2.0/24', 'FAMILY:ADDRESS/PREFIX'],
    ['APL', '1:192.0.2.0/33', 'FAMILY:ADDRESS/PREFIX'],
    ['APL', '2:192.0.2.0/24', 'FAMILY:ADDRESS/PREFIX'],
    ['NSAP', '47.0005', 'is not 0x'],
    ['IPSECKEY', '10 4 2 . AQ==', 'no type from 0 to 3'],
    ['IPSECKEY', '10 0 2 192.0.2.1 AQ==', 'a dot stands for none'],
    ['IPSECKEY', '10 1 2 2001:db8::1 AQ==', 'no IPv4 address'],
    ['AMTRELAY', '10 2 1 192.0.2.1', 'neither 0 nor 1'],
    ['AMTRELAY', '10 0 1 192.0.2.1 x', 'a word too many'],
    ['HIP', '2 00 AQ== rvs.example.net', 'must end with a dot'],
    ['HIP', '2 00', 'base64'],
    ['CSYNC', '1 3 A NOPE', '“NOPE” is no type'],
    ['ZONEMD', '1 1 1 ABC', 'hexadecimal'],
  ])('%s %s', (type, words, fault) => {
    const encoded = encodeRdata(typeNumber(type)!, words)
    if (fault === '') expect(encoded).toBeInstanceOf(Uint8Array)
    else expect(encoded).toMatchObject({ fault: expect.stringContaining(fault) })
  })

  test('a mapping is none of them', () => {
    expect(encodeRdata(TYPE.AFSDB, { preference: '1' })).toMatchObject({
      fault: expect.stringContaining('presentation'),
    })
  })
})

/** A value of YAML as zones have it: every scalar is a text. */
const asTexts = (value: unknown): RdataValue =>
  Array.isArray(value)
    ? value.map(asTexts)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, asTexts(one)]))
      : String(value)

test.each([...ZONE_TYPES.filter((type) => type !== 'SOA'), 'TYPE65280'])(
  'the example of %s is a value of it',
  (type) => {
    const example = exampleOf(typeNumber(type)!)
      .replace(/^value: /, '')
      .replace('64 hexadecimal digits', `"${'ab'.repeat(32)}"`)
    expect(encodeRdata(typeNumber(type)!, asTexts(load(example)))).toBeInstanceOf(Uint8Array)
  },
)
