/** Queries as the answering path reads them: the rules one by one, then against the full decoder, then in dirty slots. */
import { describe, expect, test } from 'vitest'
import { parseIPv4 } from '../../src/dns/address.ts'
import { decodeMessage, encodeQuery, type Message } from '../../src/dns/message.ts'
import { formatName, hashName, isFault, suffixHashes } from '../../src/dns/name.ts'
import {
  Q_BADVERS,
  Q_DROP,
  Q_FORMERR,
  Q_NOTIMP,
  Q_OK,
  Q_SIGNED,
  type Query,
  makeQuery,
  parseQuery,
} from '../../src/dns/query.ts'
import { className, typeName } from '../../src/dns/types.ts'
import { makePackets, makeRandom } from '../fuzz/packets.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** www.example.com A, id 0x1234, RD; `counts` are those of the last three sections. */
const plain = (counts = '0000 0000 0000'): Uint8Array =>
  join(hex('1234 0100 0001'), hex(counts), hex('03777777 076578616d706c65 03636f6d 00 0001 0001'))
const opt = (options = '', fixed = '00 0029 04d0 00000000'): Uint8Array => {
  const data = hex(options)
  return join(hex(fixed), Uint8Array.of(data.length >> 8, data.length & 255), data)
}
const withOpt = (options: string): Uint8Array => join(plain('0000 0000 0001'), opt(options))

const asking = (name: string): Uint8Array => join(hex('1234 0000 0001 0000 0000 0000'), hex(name))

/** Of the Image that a query would be looked up in. */
const SEED = 0x2545f491

const parse = (packet: Uint8Array, q: Query = makeQuery()): number => parseQuery(packet, 0, packet.length, q, SEED)

/** All that a query says, as plain values. */
const said = (q: Query): object => ({
  ...q,
  packet: undefined,
  name: q.nameBytes === 0 ? '' : formatName(q.name),
  labelAt: [...q.labelAt.subarray(0, q.labels + 1)],
  hashes: q.nameBytes === 0 ? [] : [...q.hashes.subarray(0, q.labels + 1)],
  ecsAddress: q.ecs ? [...q.ecsAddress] : [],
})

describe('what no query has so many of is FORMERR, whatever it costs to read', () => {
  const option = '00fe 0000'
  test.each([
    [64, Q_OK],
    [65, Q_FORMERR],
    [300, Q_FORMERR],
  ])('%i options', (options, verdict) => {
    const q = makeQuery()
    expect(parse(withOpt(option.repeat(options)), q)).toBe(verdict)
    expect(q.edns).toBe(true) // and the reply has an OPT
  })

  const record = '00 fe00 0001 00000000 0000'
  test.each([
    ['0000 0000 0010', 16, Q_OK],
    ['0000 0000 0011', 17, Q_FORMERR],
    ['0008 0008 0000', 16, Q_OK],
    ['0008 0008 0001', 17, Q_FORMERR],
  ])('records %s', (counts, records, verdict) => {
    expect(parse(join(plain(counts), hex(record.repeat(records))))).toBe(verdict)
  })
})

describe('the question', () => {
  test('name, labels, hashes, type, class; upper case folds', () => {
    const packet = plain()
    for (let i = 13; i < 16; i++) packet[i]! -= 32 // WWW
    const q = makeQuery()
    expect(parse(packet, q)).toBe(Q_OK)
    const name = q.name.slice(0, q.nameBytes)
    expect(formatName(name)).toBe('www.example.com.')
    expect(q).toMatchObject({ id: 0x1234, flags: 0x0100, questionEnd: 33, labels: 3, type: 1, class: 1 })
    expect(q).toMatchObject({ edns: false, payload: 512, dnssecOk: false, ecs: false })
    expect([...q.labelAt.subarray(0, 4)]).toEqual([0, 4, 12, 16])
    expect(q.hashes.subarray(0, 4)).toEqual(suffixHashes(name, SEED))
    expect(q.hashes[0]).toBe(hashName(name, SEED))
  })

  test('the root, and the longest names there are', () => {
    const q = makeQuery()
    expect(parse(encodeQuery({ name: '.', type: 'NS' }), q)).toBe(Q_OK)
    expect(q).toMatchObject({ nameBytes: 1, labels: 0, questionEnd: 17 })
    expect(parse(encodeQuery({ name: 'a.'.repeat(127), type: 'A' }), q)).toBe(Q_OK)
    expect(q).toMatchObject({ nameBytes: 255, labels: 127, questionEnd: 271 })
    expect(q.hashes.subarray(0, 128)).toEqual(suffixHashes(q.name.slice(0, 255), SEED))
    const long = join(hex('0000 0000 0001 0000 0000 0000'), Buffer.from('\u0001a'.repeat(128)), hex('00 0001 0001'))
    expect(parse(long, q)).toBe(Q_FORMERR)
    expect(q.questionEnd).toBe(0)
  })

  test('pointers, unknown label kinds and cut names are FORMERR without a question', () => {
    const q = makeQuery()
    for (const name of ['c00c 0001 0001', '0161 c00c 0001 0001', '40 00 0001 0001', '8061 00 0001 0001', '0561', '']) {
      q.questionEnd = 99
      expect(parse(asking(name), q), name).toBe(Q_FORMERR)
      expect(q).toMatchObject({ id: 0x1234, questionEnd: 0, nameBytes: 0, type: 0 })
    }
    for (let length = 12; length < 33; length++) expect(parse(plain().slice(0, length))).toBe(Q_FORMERR)
  })
})

describe('headers', () => {
  test('less than a header and responses are dropped', () => {
    for (let length = 0; length < 12; length++) expect(parse(plain().slice(0, length))).toBe(Q_DROP)
    const response = plain()
    response[2]! |= 0x80
    expect(parse(response)).toBe(Q_DROP)
  })

  test('opcodes other than QUERY, any number of questions but one', () => {
    for (let opcode = 1; opcode < 16; opcode++) {
      const packet = plain()
      packet[2] = opcode << 3
      const q = makeQuery()
      expect(parse(packet, q)).toBe(Q_NOTIMP)
      expect(q).toMatchObject({ id: 0x1234, flags: opcode << 11, questionEnd: 0 })
    }
    for (const count of [0, 2, 256, 257]) {
      const packet = plain()
      packet[4] = count >> 8
      packet[5] = count & 255
      expect(parse(packet)).toBe(Q_FORMERR)
    }
  })
})

describe('records behind the question', () => {
  const soa = hex('c00c 0006 0001 00000000 0016 c00c c00c 00000001 00000002 00000003 00000004 0005')
  const a = hex('0161 00 0001 0001 00000000 0004 c0000201')

  test('are skipped within their bounds', () => {
    const q = makeQuery()
    expect(parse(join(plain('0001 0001 0002'), a, soa, a, opt()), q)).toBe(Q_OK)
    expect(q).toMatchObject({ edns: true, payload: 1232 })
    expect(parse(join(plain('0000 0000 0002'), opt(), a), q)).toBe(Q_OK)
  })

  test('counts that lie, records cut short, bytes left over', () => {
    const faulty = [
      plain('0000 0000 0001'),
      plain('ffff 0000 0000'),
      plain('0000 ffff 0000'),
      plain('0000 0000 ffff'),
      join(plain('0001 0000 0000'), a.slice(0, -1)),
      join(plain('0001 0000 0000'), hex('c0')),
      join(plain('0001 0000 0000'), hex('4161 00 0001 0001 00000000 0000')),
      join(plain('0000 0000 0001'), a, hex('00')),
      join(plain(), hex('00')),
      join(plain(), a),
      join(withOpt(''), hex('00')),
    ]
    for (const packet of faulty) {
      const q = makeQuery()
      expect(parse(packet, q)).toBe(Q_FORMERR)
      expect(q).toMatchObject({ questionEnd: 33, type: 1 })
    }
  })
})

describe('EDNS (RFC 6891)', () => {
  test('payload, DO, version, and options it need not know', () => {
    const q = makeQuery()
    expect(parse(join(plain('0000 0000 0001'), opt('', '00 0029 1000 00008000')), q)).toBe(Q_OK)
    expect(q).toMatchObject({ edns: true, payload: 4096, dnssecOk: true, ecs: false })
    expect(parse(join(plain('0000 0000 0001'), opt('', '00 0029 0010 00000000')), q)).toBe(Q_OK)
    expect(q).toMatchObject({ payload: 512, dnssecOk: false })
    expect(parse(withOpt('000a 0008 0102030405060708 000c 0000 fde9 0001 ff'), q)).toBe(Q_OK)
    for (const version of ['01', 'ff']) {
      // options of another version are not judged
      expect(parse(join(plain('0000 0000 0001'), opt('0008', `00 0029 04d0 00${version}8000`)), q)).toBe(Q_BADVERS)
      expect(q).toMatchObject({ edns: true, payload: 1232, dnssecOk: true, questionEnd: 33 })
    }
  })

  test('one OPT, owned by the root, among the additional records', () => {
    const q = makeQuery()
    expect(parse(join(plain('0000 0000 0002'), opt(), opt()), q)).toBe(Q_FORMERR)
    expect(q.edns).toBe(true)
    expect(parse(join(plain('0000 0000 0002'), opt('', '00 0029 04d0 00010000'), opt()), q)).toBe(Q_FORMERR)
    for (const owner of ['0161 00', 'c00c', 'c020']) {
      expect(parse(join(plain('0000 0000 0001'), opt('', `${owner} 0029 04d0 00000000`)), q)).toBe(Q_FORMERR)
    }
    expect(parse(join(plain('0001 0000 0000'), opt()), q)).toBe(Q_FORMERR)
    expect(parse(join(plain('0000 0001 0000'), opt()), q)).toBe(Q_FORMERR)
    expect(q.edns).toBe(false)
  })

  test('options whose lengths lie are FORMERR, and the reply can carry OPT', () => {
    for (const options of ['00', '0008', '000800', '00080001', '000a0005 01020304', '000c0000 000c']) {
      const q = makeQuery()
      expect(parse(withOpt(options), q), options).toBe(Q_FORMERR)
      expect(q).toMatchObject({ edns: true, payload: 1232 })
    }
  })
})

const subnet = (data: string): string => {
  const bytes = hex(data).length
  return `0008 ${bytes.toString(16).padStart(4, '0')} ${data}`
}

const subnetVerdict = (data: string): number => parse(withOpt(subnet(data)))

describe('ECS (RFC 7871 §6)', () => {
  test('is read with its address, zero behind', () => {
    const q = makeQuery()
    q.ecsAddress.fill(255)
    expect(parse(withOpt(subnet('0001 1600 c63364')), q)).toBe(Q_OK)
    expect(q).toMatchObject({ ecs: true, ecsFamily: 1, ecsSource: 22 })
    expect([...q.ecsAddress]).toEqual([...parseIPv4('198.51.100.0')!, ...Array.from({ length: 12 }, () => 0)])
    expect(parse(withOpt(subnet('0002 8000 20010db8000000000000000000000001')), q)).toBe(Q_OK)
    expect(q).toMatchObject({ ecs: true, ecsFamily: 2, ecsSource: 128 })
    expect(q.ecsAddress[15]).toBe(1)
  })

  test('source 0 of any family there is: the client opted out', () => {
    for (const [family, data] of ['0000 0000', '0001 0000', '0002 0000'].entries()) {
      const q = makeQuery()
      expect(parse(withOpt(subnet(data)), q)).toBe(Q_OK)
      expect(q).toMatchObject({ ecs: true, ecsFamily: family, ecsSource: 0 })
    }
  })

  test('too few or too many bytes, bits behind the prefix, a scope, lengths and families that are none', () => {
    const wrong = ['0001 1800 c633', '0001 1800 c6336400', '0001 0000 00', '0001 1700 c63365', '0001 0100 c0']
    wrong.push('0001 1801 c63364', '0001 2100 c633640100', '0002 8100 20010db800000000000000000000000100')
    wrong.push('0000 0800 c6', '0000 0100 80', '0003 1800 c63364', '0003 0000', '0100 0000', '0001 18', '')
    expect(wrong.filter((data) => subnetVerdict(data) !== Q_FORMERR)).toEqual([])
    for (const right of ['0001 1700 c63364', '0001 0100 80', '0001 2000 c6336401'])
      expect(subnetVerdict(right)).toBe(Q_OK)
  })

  test('twice is once too often', () => {
    const one = subnet('0001 1800 c63364')
    expect(parse(withOpt(`${one} 000c 0000 ${one}`))).toBe(Q_FORMERR)
    expect(parse(withOpt(`${one} 000c 0000`))).toBe(Q_OK)
  })

  test('a query object carries nothing over from the query before', () => {
    const q = makeQuery()
    parse(encodeQuery({ name: 'a.b.c.d.e', type: 'TXT', edns: { do: true, ecs: '2001:db8::/56', payload: 4096 } }), q)
    parse(plain(), q)
    const fresh = makeQuery()
    parse(plain(), fresh)
    expect(said(q)).toEqual(said(fresh))
  })
})

const NAMES = ['www.example.com', 'example.com', 'a.b.c.example.com', '.']

/** The first COOKIE option of a message. */
const cookieIn = ({ edns }: Message): Uint8Array | undefined => edns?.options.find(({ code }) => code === 10)?.data

/** How the query and the full decoder's message differ, in words; undefined when they agree. */
function difference(bytes: Uint8Array, verdict: number, q: Query): string | undefined {
  const message = decodeMessage(bytes)
  // the decoder judges RDATA that a query need not have right, so it may refuse more
  if (isFault(message)) return undefined
  const { edns, question } = message
  switch (verdict) {
    case Q_DROP:
      return message.qr ? undefined : 'dropped a query'
    case Q_NOTIMP:
      return message.opcode === 0 ? 'refused opcode 0' : undefined
    case Q_BADVERS:
      return edns !== undefined && edns.version > 0 ? undefined : 'BADVERS for version 0'
    case Q_SIGNED:
      return message.additional.at(-1)?.type === 'TSIG' ? undefined : 'a signature out of nothing'
    case Q_FORMERR: {
      // what the decoder lets pass and a query may not have: other counts of questions, compression, a scope
      const compressed = bytes.some((byte, i) => i >= 12 && byte >= 0xc0)
      // a signature that is not the last record
      const all = [...message.answer, ...message.authority, ...message.additional]
      if (all.some(({ type }) => type === 'TSIG')) return undefined
      const cookie = cookieIn(message)
      const badCookie = cookie !== undefined && cookie.length !== 8 && (cookie.length < 16 || cookie.length > 40)
      const counts = question.length > 1 || (question.length === 0 && cookie === undefined)
      return counts || compressed || badCookie || (edns?.ecs?.scope ?? 0) > 0 ? undefined : 'FORMERR without a reason'
    }
    default: {
      const mySubnet = q.ecs ? `${q.ecsFamily}/${q.ecsSource}/0` : ''
      const cookie = Buffer.from(cookieIn(message) ?? []).toString('hex')
      if (Buffer.from(q.cookie.subarray(0, q.cookieBytes)).toString('hex') !== cookie) return 'another cookie'
      const [asked] = question
      if (asked === undefined) return q.questionEnd === 0 && cookie !== '' ? undefined : 'no question, and no cookie'
      const ecs = edns?.ecs
      const mine = [formatName(q.name), typeName(q.type), className(q.class), q.payload, q.edns, q.dnssecOk, mySubnet]
      const theirs = [asked.name.toLowerCase(), asked.type, asked.class, Math.max(512, edns?.payload ?? 0)]
      theirs.push(String(edns !== undefined), String(edns?.dnssecOk ?? false))
      theirs.push(ecs === undefined ? '' : `${ecs.family}/${ecs.source}/${ecs.scope}`)
      return mine.join(' ') === theirs.join(' ') ? undefined : `${mine.join(' ')} for ${theirs.join(' ')}`
    }
  }
}

test('says the same as the full decoder of every packet that both take', () => {
  const next = makePackets(makeRandom(7), NAMES)
  const seen = new Map([Q_OK, Q_DROP, Q_SIGNED, Q_FORMERR, Q_NOTIMP, Q_BADVERS].map((verdict) => [verdict, 0]))
  const wrong: string[] = []
  const q = makeQuery()
  for (let n = 0; n < 40_000; n++) {
    const { bytes, wellFormed } = next()
    const verdict = parse(bytes, q)
    seen.set(verdict, seen.get(verdict)! + 1)
    const why = wellFormed && verdict !== Q_OK ? 'refused a good one' : difference(bytes, verdict, q)
    if (why !== undefined) wrong.push(`${why}: ${Buffer.from(bytes).toString('hex')}`)
  }
  expect(wrong.slice(0, 5)).toEqual([])
  // the generator must reach all of it
  for (const [verdict, count] of seen)
    expect(count, `verdict ${verdict}`).toBeGreaterThan(verdict === Q_SIGNED ? 5 : 60)
})

test('reads nothing outside its packet: any slot full of other bytes gives the same query', () => {
  const random = makeRandom(11)
  const next = makePackets(random, NAMES)
  const alone = makeQuery()
  const slotted = makeQuery()
  const wrong: string[] = []
  for (let n = 0; n < 10_000; n++) {
    const { bytes } = next()
    const verdict = parse(bytes, alone)
    for (const filler of [0, 0xff, -1]) {
      const at = random(40)
      const slot = Uint8Array.from({ length: at + bytes.length + 300 }, () => (filler < 0 ? random(256) : filler))
      slot.set(bytes, at)
      const same = parseQuery(slot, at, bytes.length, slotted, SEED) === verdict
      if (same && (verdict === Q_DROP || JSON.stringify(said(slotted)) === JSON.stringify(said(alone)))) continue
      wrong.push(Buffer.from(bytes).toString('hex'))
    }
  }
  expect(wrong.slice(0, 5)).toEqual([])
})
