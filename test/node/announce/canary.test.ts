/** Canary queries, to small servers on loopback. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { canariesOf } from '../../../src/node/announce/canary.ts'

const ADDRESS = '127.9.53.1'
const PORT = 5353
const endpoint = { address: ADDRESS, port: PORT }
const settings = (more: object = {}) => ({ listen: [endpoint], 'announce.addresses': [], 'proxy.from': [], ...more })

let udp: Socket
let tcp: Server
/** What the servers do. */
let answers = true
let rcode = 0
const heads: string[] = []

/** The reply to a query behind so many bytes. */
function reply(bytes: Buffer, head: number): Buffer {
  heads.push(bytes.subarray(0, head).toString('hex'))
  const answer = Buffer.from(bytes.subarray(head))
  answer[2] = 0x84
  answer[3] = rcode
  return answer
}

let head = 0
beforeAll(async () => {
  udp = createSocket('udp4')
  udp.on('message', (bytes, { port, address }) => answers && udp.send(reply(bytes, head), port, address))
  udp.bind(PORT, ADDRESS)
  tcp = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      if (!answers) return
      const answer = reply(Buffer.concat([bytes.subarray(0, head), bytes.subarray(head + 2)]), head)
      socket.end(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]))
    })
  })
  tcp.listen(PORT, ADDRESS)
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')])
})
beforeEach(() => {
  answers = true
  rcode = 0
  head = 0
  heads.length = 0
})
afterAll(() => {
  udp.close()
  tcp.close()
})

const askAll = (more: object = {}, timeoutMs = 5_000) =>
  Promise.all(canariesOf(settings(more)).map((canary) => canary.ask('example.com.', timeoutMs)))

test('each address is asked over UDP and over TCP; a wildcard by loopback, and by what is announced', () => {
  const names = canariesOf({
    listen: [
      { address: '198.51.100.1', port: 53 },
      { address: '0.0.0.0', port: 53 },
      { address: '::', port: 5300 },
    ],
    'announce.addresses': [
      { address: '192.0.2.53', bits: 24 },
      { address: '2001:db8::53', bits: 48 },
    ],
    'proxy.from': [],
  }).map(({ name }) => name)
  const places = ['198.51.100.1:53', '127.0.0.1:53', '192.0.2.53:53', '[::1]:5300', '[2001:db8::53]:5300']
  expect(names).toEqual(places.flatMap((place) => [`${place} over UDP`, `${place} over TCP`]))
})

test('an answer is one, whatever it says but SERVFAIL', async () => {
  expect(await askAll()).toEqual([undefined, undefined])
  rcode = 5
  expect(await askAll()).toEqual([undefined, undefined])
  rcode = 2
  expect(await askAll()).toEqual(['it answers SERVFAIL', 'it answers SERVFAIL'])
})

test('no answer within the time is none', async () => {
  answers = false
  expect(await askAll({}, 50)).toEqual(['no answer within 0.05 s', 'no answer within 0.05 s'])
})

test('where nothing listens it says so', async () => {
  const closed = { listen: [{ address: ADDRESS, port: PORT + 1 }] }
  expect(await askAll(closed)).toEqual([
    expect.stringContaining('ECONNREFUSED'),
    expect.stringContaining('ECONNREFUSED'),
  ])
})

test('an address that another machine has is not asked', async () => {
  const foreign = { listen: [{ address: '192.0.2.53', port: PORT }] }
  const why = 'this machine does not have the address'
  expect(await askAll(foreign)).toEqual([why, why])
})

test('where the PROXY protocol is required of this machine, it is spoken', async () => {
  head = 16
  expect(await askAll({ 'proxy.from': ['127.0.0.0/8'] })).toEqual([undefined, undefined])
  // proxy-protocol.txt §2.2: the signature, version 2 and LOCAL, no addresses
  expect(heads).toEqual(Array.from({ length: 2 }, () => '0d0a0d0a000d0a515549540a20000000'))
})
