/** Whole messages: against dns2 as an independent judge, by hand, and against bytes that mean harm. */
import { Packet } from 'dns2'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Message, type QuerySpec, decodeMessage, encodeQuery, formatRr } from '../../src/dns/message.ts'
import { formatName, isFault } from '../../src/dns/name.ts'
import { makePackets, makeRandom } from '../fuzz/packets.ts'
import { labels, wireOf } from './names.ts'

const decoded = (bytes: Uint8Array): Message => {
  const message = decodeMessage(bytes)
  if (isFault(message)) throw new Error(message.fault)
  return message
}
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const fault = (bytes: Uint8Array): string => {
  const message = decodeMessage(bytes)
  return isFault(message) ? message.fault : 'no fault'
}

/** A record of www.example.com in dns2's form. */
const rr = (type: number, more: object) => Object.assign(new Packet.Resource('www.example.com', type, 1, 300), more)

describe('dns2 as the judge', () => {
  test('reads our queries as they were meant', () => {
    const spec: QuerySpec = { name: 'www.example.com', type: 'AAAA', id: 4711, rd: true }
    const packet = Packet.parse(
      Buffer.from(encodeQuery({ ...spec, edns: { do: true, payload: 1400, ecs: '198.51.100.0/24' } })),
    )
    expect(packet.errors).toEqual([])
    expect(packet.header).toMatchObject({ id: 4711, qr: 0, opcode: 0, rd: 1, qdcount: 1, arcount: 1 })
    expect(packet.questions).toMatchObject([{ name: 'www.example.com', type: Packet.TYPE.AAAA, class: 1 }])
    expect(packet.additionals).toMatchObject([
      {
        type: Packet.TYPE.EDNS,
        class: 1400,
        doFlag: true,
        rdata: [{ family: 1, ip: '198.51.100.0', sourcePrefixLength: 24 }],
      },
    ])
  })

  test('writes a response with every type, compressed, that we read as it was meant', () => {
    const { TYPE } = Packet
    const packet = new Packet()
    packet.header = new Packet.Header({ id: 7, qr: 1, aa: 1, rd: 1, rcode: 3 })
    packet.questions = [new Packet.Question('www.example.com', TYPE.ANY, 1)]
    packet.answers.push(
      rr(TYPE.A, { address: '192.0.2.1' }),
      rr(TYPE.AAAA, { address: '2001:db8::1' }),
      rr(TYPE.CNAME, { domain: 'a.example.com' }),
      rr(TYPE.MX, { priority: 10, exchange: 'mail.example.com' }),
      rr(TYPE.TXT, { data: 'v=spf1 -all' }),
      rr(TYPE.SRV, { priority: 1, weight: 2, port: 443, target: 'srv.example.com' }),
      rr(TYPE.CAA, { flags: 0, tag: 'issue', value: 'ca.example' }),
      rr(TYPE.PTR, { domain: 'b.example.com' }),
    )
    const times = { serial: 1, refresh: 2, retry: 3, expiration: 4, minimum: 5 }
    packet.authorities.push(rr(TYPE.SOA, { primary: 'ns1.example.com', admin: 'host.example.com', ...times }))
    packet.additionals.push(rr(TYPE.NS, { ns: 'ns1.example.com' }))
    const message = decoded(new Uint8Array(packet.toBuffer()))
    expect(message).toMatchObject({ id: 7, qr: true, aa: true, tc: false, rd: true, ra: false, rcode: 'NXDOMAIN' })
    expect(message.answer.map(formatRr)).toEqual([
      'www.example.com. 300 IN A 192.0.2.1',
      'www.example.com. 300 IN AAAA 2001:db8::1',
      'www.example.com. 300 IN CNAME a.example.com.',
      'www.example.com. 300 IN MX 10 mail.example.com.',
      'www.example.com. 300 IN TXT "v=spf1 -all"',
      'www.example.com. 300 IN SRV 1 2 443 srv.example.com.',
      'www.example.com. 300 IN CAA 0 issue "ca.example"',
      'www.example.com. 300 IN PTR b.example.com.',
    ])
    expect(message.authority.map(formatRr)).toEqual([
      'www.example.com. 300 IN SOA ns1.example.com. host.example.com. 1 2 3 4 5',
    ])
    expect(message.additional.map(formatRr)).toEqual(['www.example.com. 300 IN NS ns1.example.com.'])
  })
})

const subnetOf = (text: string): object | undefined =>
  decoded(encodeQuery({ name: 'a', type: 'A', edns: { ecs: text } })).edns?.ecs

describe('queries written and read', () => {
  test('come back as they were asked', () => {
    const ecs = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.constantFrom('2001:db8:1:2:3:4:5:6', 'ffff::'), fc.integer({ min: 0, max: 128 })),
    )
    const edns = fc.record({
      payload: fc.nat(65_535),
      do: fc.boolean(),
      version: fc.nat(255),
      options: fc.array(
        fc.record({ code: fc.integer({ min: 9, max: 65_535 }), data: fc.uint8Array({ maxLength: 40 }) }),
      ),
    })
    fc.assert(
      fc.property(labels, fc.nat(65_535), fc.boolean(), edns, ecs, (parts, id, rd, some, [address, source]) => {
        const name = formatName(wireOf(parts))
        const bytes = encodeQuery({
          name,
          type: 'TYPE700',
          class: 'CH',
          id,
          rd,
          edns: { ...some, ecs: `${address}/${source}` },
        })
        const message = decoded(bytes)
        expect(message).toMatchObject({ id, rd, qr: false, opcode: 0, rcode: 'NOERROR', answer: [], additional: [] })
        expect(message.question).toEqual([{ name, type: 'TYPE700', class: 'CH' }])
        expect(message.edns).toMatchObject({ payload: some.payload, dnssecOk: some.do, version: some.version })
        expect(message.edns!.options.slice(0, -1)).toEqual(some.options)
        expect(message.edns!.ecs).toMatchObject({ family: address.includes(':') ? 2 : 1, source, scope: 0 })
      }),
      { numRuns: 500 },
    )
  })

  test('ECS: bits behind the prefix cleared, a bare address, family 0', () => {
    expect(subnetOf('198.51.100.77/22')).toEqual({ family: 1, source: 22, scope: 0, address: '198.51.100.0' })
    expect(subnetOf('2001:db8::1')).toEqual({ family: 2, source: 128, scope: 0, address: '2001:db8::1' })
    expect(subnetOf('0/0')).toEqual({ family: 0, source: 0, scope: 0, address: '' })
  })

  test('what cannot be a query is the caller’s mistake', () => {
    expect(() => encodeQuery({ name: 'a..b', type: 'A' })).toThrow('empty label')
    expect(() => encodeQuery({ name: 'a', type: 'NOPE' })).toThrow('NOPE')
    expect(() => encodeQuery({ name: 'a', type: 'A', edns: { ecs: '1.2.3/24' } })).toThrow('1.2.3')
    expect(() => encodeQuery({ name: 'a', type: 'A', edns: { ecs: '1.2.3.4/33' } })).toThrow('/33')
  })
})

const header = (counts: string): string => `0001 8000 ${counts}`
const question = '0161 00 0001 0001'

const pointer = (target: number): number[] => [0xc0 | (target >> 8), target & 255]

/** A record whose RDATA is a chain of pointers, and one owned by the chain's end. */
const chainOf = (links: number): Uint8Array => {
  const pointers = Array.from({ length: links }, (_, i) => pointer(i === 0 ? 17 : 26 + 2 * i)).flat()
  const bytes = hex(`${header('0001 0002 0000 0000')} 00 0001 0001 00 ff00 0001 00000000`)
  const rdata = [pointers.length >> 8, pointers.length & 255, ...pointers]
  const last = 28 + pointers.length - 2
  return Uint8Array.of(...bytes, ...rdata, ...pointer(last), ...hex('ff00 0001 00000000 0000'))
}

describe('what is no message', () => {
  test('is a fault that says where', () => {
    expect(fault(hex(''))).toContain('no header')
    expect(fault(hex(header('0001 0000 0000 0000')))).toContain('question')
    expect(fault(hex(`${header('0001 0000 0000 0000')} 0161 00 0001`))).toContain('cut short')
    expect(fault(hex(`${header('0001 0000 0000 0000')} ${question} 00`))).toContain('1 bytes stand behind')
    expect(fault(hex(`${header('0001 0001 0000 0000')} ${question}`))).toContain('answer')
    expect(fault(hex(`${header('0000 0001 0000 0000')} 00 0001 0001 00000000 0005 01020304`))).toContain('cut short')
    expect(fault(hex(`${header('0000 0001 0000 0000')} 00 0001 0001 00000000 0003 010203`))).toContain('A: ')
    expect(fault(hex(`${header('0000 0001 0000 0000')} 00 0029 0001 00000000 0000`))).toContain('OPT')
    expect(fault(hex(`${header('0000 0000 0000 0002')} ${'00 0029 0001 00000000 0000'.repeat(2)}`))).toContain('OPT')
    expect(fault(hex(`${header('0000 0000 0000 0001')} 0161 00 0029 0001 00000000 0000`))).toContain('root')
    expect(fault(hex(`${header('0000 0000 0000 0001')} 00 0029 0001 00000000 0003 000800`))).toContain('option')
    const ecs = (data: string): string => {
      const size = hex(data).length
      const lengths = [size + 4, size].map((bytes) => bytes.toString(16).padStart(4, '0'))
      return fault(
        hex(`${header('0000 0000 0000 0001')} 00 0029 0001 00000000 ${lengths[0]} 0008 ${lengths[1]} ${data}`),
      )
    }
    expect(ecs('0001 1816 c63364')).toBe('no fault')
    expect(ecs('0001 1821 c63364')).toContain('client subnet')
    expect(ecs('0001 1800 c633')).toContain('client subnet')
    expect(ecs('0001 1700 c63365')).toContain('behind its prefix')
  })

  test('no packet makes it throw', () => {
    const next = makePackets(makeRandom(3), ['www.example.com', '.'])
    let faults = 0
    const wrong: string[] = []
    for (let n = 0; n < 30_000; n++) {
      const { bytes, wellFormed } = next()
      if (!isFault(decodeMessage(bytes))) continue
      faults++
      if (wellFormed) wrong.push(Buffer.from(bytes).toString('hex'))
    }
    expect(wrong).toEqual([])
    expect(faults).toBeGreaterThan(5000)
  })

  test('64 KB of pointers to pointers cost no more than their bytes', () => {
    const size = 65_535
    const chain = new Uint8Array(size)
    chain.set(hex('0001 8000 0000 ffff 0000 0000'))
    // a root at 12, then two-byte pointers each to the one before, then records whose owner is the chain's end
    let at = 13
    let target = 12
    while (at < 16_000) {
      chain.set(pointer(target), at)
      target = at
      at += 2
    }
    const before = process.cpuUsage().user
    expect(fault(chain)).toContain('answer')
    // long legal names: one of 255 bytes, then records that point to it
    const long = wireOf(Array.from({ length: 127 }, () => Uint8Array.of(97)))
    const many = new Uint8Array(size)
    const record = hex('c00c ff00 0001 00000000 0000')
    const count = Math.floor((size - 12 - long.length - 4) / record.length)
    many.set(hex('0001 8000 0001'))
    many.set([count >> 8, count & 255], 6)
    many.set(long, 12)
    for (let i = 0; i < count; i++) many.set(record, 12 + long.length + 4 + i * record.length)
    expect(decoded(many.slice(0, 12 + long.length + 4 + count * record.length)).answer).toHaveLength(count)
    // it takes some 0.2 s; dns2 takes 3.8 s for the chain alone
    expect(process.cpuUsage().user - before).toBeLessThan(3e6)
  })

  test('a chain longer than any name has labels is a fault', () => {
    expect(fault(chainOf(120))).toBe('no fault')
    expect(fault(chainOf(130))).toContain('chain of pointers')
  })
})
