/** Against servers that speak with dns2's voice, and against peers that lie. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { Packet, type Resource } from 'dns2'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { isReplyTo } from '../../../src/dns/exchange.ts'
import { encodeQuery } from '../../../src/dns/message.ts'
import type { CheckKind } from '../../../src/zone/model.ts'
import { until } from '../../support/until.ts'
import { runCheck } from '../loopback.ts'
import { ADDRESS, countDescriptors, portOf, sees, targetOf } from '../peers.ts'

const open: Socket[] = []
afterEach(() => open.splice(0).forEach((socket) => socket.close()))

async function udp(onMessage: (query: Buffer, from: RemoteInfo, socket: Socket) => void, address = ADDRESS) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  open.push(socket)
  socket.on('message', (query, from) => onMessage(query, from, socket))
  await new Promise<void>((resolve) => socket.bind(0, address, resolve))
  return portOf(socket)
}

/** Answers each query with what `answer` makes of it. */
const served = (answer: (query: Packet) => Packet | Buffer, address = ADDRESS) =>
  udp((bytes, { port, address: to }, socket) => {
    const said = answer(Packet.parse(bytes))
    socket.send(Buffer.isBuffer(said) ? said : said.toBuffer(), port, to)
  }, address)

type Rdata = Omit<Partial<Resource>, 'name' | 'class' | 'ttl'>
function reply(query: Packet, records: readonly Rdata[] = [], header: Partial<Packet['header']> = {}): Packet {
  const packet = Packet.createResponseFromRequest(query)
  Object.assign(packet.header, header)
  const answers = records.map((record) => ({ name: 'www.example.com', class: 1, ttl: 60, ...record }))
  return Object.assign(packet, { answers })
}

type Dns = Extract<CheckKind, { type: 'dns' }>
const check = (port: number, more: Partial<Dns> = {}, timeoutMs = 5000, address = ADDRESS) =>
  targetOf(
    { type: 'dns', name: 'www.example.com.', rrtype: 'A', rcodes: ['NOERROR'], ...more },
    port,
    timeoutMs,
    address,
  )

test('asks the name and type, with a new id and port each time', async () => {
  const asked: string[] = []
  const ids = new Set<number>()
  const ports = new Set<number>()
  const port = await udp((bytes, from, socket) => {
    const query = Packet.parse(bytes)
    ids.add(query.header.id)
    ports.add(from.port)
    asked.push(...query.questions.map((one) => `${one.name} ${one.type} ${one.class} rd ${query.header.rd}`))
    socket.send(reply(query).toBuffer(), from.port, from.address)
  })
  for (let n = 0; n < 8; n++) await sees(check(port, { rrtype: n < 7 ? 'A' : 'SOA' }), 'pass', 'NOERROR')
  expect(asked).toEqual([...Array(7).fill('www.example.com 1 1 rd 1'), 'www.example.com 6 1 rd 1'])
  expect(ids.size).toBeGreaterThan(6)
  expect(ports.size).toBeGreaterThan(6)
})

test('over IPv6', async () => {
  await sees(check(await served((query) => reply(query), '::1'), {}, 5000, '::1'), 'pass', 'NOERROR')
})

test('rcodes', async () => {
  const port = await served((query) => reply(query, [], { rcode: 3 }))
  await sees(check(port), 'fail', 'NXDOMAIN, expected NOERROR')
  await sees(check(port, { rcodes: ['NOERROR', 'NXDOMAIN'] }), 'pass', 'NXDOMAIN')
})

const soa = { primary: 'ns1.Example.com', admin: 'h.example.com', serial: 7, refresh: 1, retry: 2, expiration: 3 }
test.each<[Dns['rrtype'], Rdata, string]>([
  ['A', { type: 1, address: '192.0.2.1' }, '192.0.2.1'],
  ['AAAA', { type: 28, address: '2001:db8:0:0::1' }, '2001:db8::1'],
  ['CNAME', { type: 5, domain: 'WWW.example.net' }, 'www.example.net.'],
  ['NS', { type: 2, ns: 'ns1.example.net' }, 'ns1.example.net.'],
  ['PTR', { type: 12, domain: 'a.example.net' }, 'a.example.net.'],
  ['MX', { type: 15, priority: 10, exchange: 'M.example.net' }, '10 m.example.net.'],
  ['SRV', { type: 33, priority: 1, weight: 2, port: 443, target: 's.example.net' }, '1 2 443 s.example.net.'],
  ['TXT', { type: 16, data: ['v=1; ', 'Up'] }, 'v=1; Up'],
  ['SOA', { type: 6, ...soa, minimum: 4 }, 'ns1.example.com. h.example.com. 7 1 2 3 4'],
])('the value of %s', async (rrtype, record, value) => {
  const other: Rdata = { type: 99, data: ['x'] }
  const port = await served((query) => reply(query, [other, record]))
  await sees(check(port, { rrtype, value }), 'pass', `NOERROR, ${value}`)
  await sees(check(port, { rrtype, value: 'other' }), 'fail', `NOERROR, ${value}, expected other`)
})

test('without the value: what came instead, in one order, and whether it was truncated', async () => {
  const addresses = ['192.0.2.3', '192.0.2.2']
  const several = await served((query) =>
    reply(
      query,
      addresses.toReversed().map((address) => ({ type: 1, address })),
    ),
  )
  await sees(check(several, { value: '192.0.2.1' }), 'fail', 'NOERROR, 192.0.2.2, 192.0.2.3, expected 192.0.2.1')
  const none = await served((query) => reply(query, [], { tc: 1 }))
  await sees(check(none, { value: '192.0.2.1' }), 'fail', 'NOERROR, truncated, no A, expected 192.0.2.1')
})

test('a server without EDNS is asked again without it, and the answer to that counts', async () => {
  const asked: number[] = []
  const withoutEdns = (rcode: number) =>
    served((query) => {
      asked.push(query.additionals.length)
      return query.additionals.length > 0 ? bare(rcode)(query) : reply(query, [{ type: 1, address: '192.0.2.1' }])
    })
  const formerr = await withoutEdns(1)
  await sees(check(formerr, { value: '192.0.2.1' }), 'pass', 'NOERROR (asked without EDNS), 192.0.2.1')
  expect(asked).toEqual([1, 0])
  await sees(check(await withoutEdns(4)), 'pass', 'NOERROR (asked without EDNS)')
  await sees(check(formerr, { rcodes: ['FORMERR'] }), 'pass', 'FORMERR')
  await sees(check(await withoutEdns(2)), 'fail', 'SERVFAIL, expected NOERROR')
  const never = await served((query) => bare(1)(query))
  await sees(check(never), 'fail', 'FORMERR (asked without EDNS), expected NOERROR')
})

/** A response without a question. */
const bare = (rcode: number) => (query: Packet) => {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt16BE(query.header.id, 0)
  bytes[2] = 0x80
  bytes[3] = rcode
  return bytes
}

/** A true head, an answer count, and room for what isn't one. */
const begun = (query: Packet, counts: number, size: number) => {
  const head = reply(query).toBuffer()
  const bytes = Buffer.alloc(size)
  head.copy(bytes)
  bytes.writeUInt16BE(counts, 6)
  return { bytes, at: head.length }
}

/** Right but for the changed bytes. */
const forged = (change: (bytes: Buffer) => unknown) => (query: Packet) => {
  const bytes = reply(query, [], { rcode: 2 }).toBuffer()
  change(bytes)
  return bytes
}

describe('a peer that lies', () => {
  test.each<[string, (query: Packet) => Buffer]>([
    ['a wrong id', forged((bytes) => bytes.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0))],
    ['no response bit', forged((bytes) => (bytes[2]! &= 0x7f))],
    ['another opcode', forged((bytes) => (bytes[2]! |= 0x20))],
    ['another name', forged((bytes) => bytes.write('x', 14))],
    ['another type', forged((bytes) => (bytes[30] = 28))],
    ['two questions', forged((bytes) => (bytes[5] = 2))],
    ['less than a header', (query) => forged(() => {})(query).subarray(0, 11)],
  ])('%s is passed over, and the true answer behind it counts', async (_, lie) => {
    const port = await udp((bytes, from, socket) => {
      const query = Packet.parse(bytes)
      socket.send(lie(query), from.port, from.address)
      socket.send(reply(query).toBuffer(), from.port, from.address)
    })
    await sees(check(port), 'pass', 'NOERROR')
  })

  test('an answer from elsewhere is passed over', async () => {
    const other = createSocket('udp4')
    open.push(other)
    const port = await udp((bytes, from, socket) => {
      const query = Packet.parse(bytes)
      const wrong = reply(query, [], { rcode: 2 }).toBuffer()
      other.send(wrong, from.port, from.address, () => socket.send(reply(query).toBuffer(), from.port, from.address))
    })
    await sees(check(port), 'pass', 'NOERROR')
  })

  test('only an error may lack the question', async () => {
    await sees(check(await served(bare(2))), 'fail', 'SERVFAIL, expected NOERROR')
    await sees(check(await served(bare(0)), {}, 300), 'timeout', 'no answer in 300ms')
  })

  test('64 KB, pointers in a circle, and pointers in a chain cost next to nothing', async () => {
    const long = await served((query) => begun(query, 1, 60_000).bytes)
    await sees(check(long), 'fail', 'answer of more than 1232 bytes')
    const loops = await served((query) => {
      const { bytes, at } = begun(query, 65_535, 1232)
      for (let i = at; i + 1 < 1232; i += 2) bytes.writeUInt16BE(0xc000 | i, i)
      return bytes
    })
    expect((await sees(check(loops), 'fail', 'no DNS spoken')).rttMs).toBeLessThan(1000)
    const chain = await served((query) => {
      const { bytes, at } = begun(query, 90, 1232)
      for (let i = at; i + 1 < 1232; i += 2) bytes.writeUInt16BE(0xc000 | (i - 2), i)
      return bytes
    })
    expect((await sees(check(chain), 'fail', 'no DNS spoken')).rttMs).toBeLessThan(1000)
  })

  test('an option that dns2 stumbles over is no failure', async () => {
    const port = await served((query) => {
      const bytes = Buffer.from(reply(query, [{ type: 1, address: '192.0.2.1' }]).toBuffer())
      bytes.writeUInt16BE(1, 10) // an OPT with one option, ECS 2001:db8:1::/56
      return Buffer.concat([bytes, Buffer.from('00002904d000000000000f0008000b0002380020010db8000100', 'hex')])
    })
    await sees(check(port, { value: '192.0.2.1' }), 'pass', 'NOERROR, 192.0.2.1')
  })

  test('records that end too early are no DNS', async () => {
    const port = await served((query) =>
      reply(query, [{ type: 1, address: '192.0.2.1' }])
        .toBuffer()
        .subarray(0, -2),
    )
    await sees(check(port), 'fail', 'no DNS spoken')
  })
})

test('silence, a closed port, and a drizzle of wrong answers', async () => {
  await sees(check(await udp(() => {}), {}, 300), 'timeout', 'no answer in 300ms')
  const closed = await udp(() => {})
  await new Promise<void>((resolve) => open.pop()!.close(resolve))
  await sees(check(closed), 'fail', 'connection refused')
  const drizzle = await udp((bytes, from, socket) => {
    const timer = setInterval(() => socket.send(bytes, from.port, from.address), 20)
    socket.on('close', () => clearInterval(timer))
    socket.on('error', () => {})
  })
  const { rttMs } = await sees(check(drizzle, {}, 300), 'timeout', 'no answer in 300ms')
  expect(rttMs).toBeLessThan(2000)
})

test('no check keeps a descriptor', async () => {
  const silent = await udp(() => {})
  const answers = await served((query) => reply(query))
  await sees(check(answers), 'pass', 'NOERROR')
  const before = countDescriptors()
  await Promise.all(Array.from({ length: 40 }, (_, n) => runCheck(check(n % 2 === 0 ? silent : answers, {}, 100))))
  await until('as many descriptors as before', () => countDescriptors() <= before)
})

test('whatever comes, only its own question with its own id is a reply', () => {
  const query = encodeQuery({ name: 'www.example.com.', type: 'AAAA', id: 0x1234, rd: true, edns: {} })
  const answer = Buffer.from(query)
  answer[2]! |= 0x80
  expect(isReplyTo(query, answer)).toBe(true)
  const shouted = Buffer.from(answer)
  shouted.write('WWW', 13)
  expect(isReplyTo(query, shouted)).toBe(true)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(isReplyTo(query, bytes)).toBe(false)
    }),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 4, 5, ...Array.from({ length: 21 }, (_, i) => 12 + i)),
      fc.integer({ min: 1, max: 31 }),
      (at, by) => {
        const other = Buffer.from(answer)
        other[at]! ^= by
        expect(isReplyTo(query, other)).toBe(false)
      },
    ),
  )
  for (let length = 0; length < 33; length++) expect(isReplyTo(query, answer.subarray(0, length))).toBe(false)
})
