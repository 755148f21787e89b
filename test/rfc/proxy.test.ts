/** PROXY protocol, version 2 (haproxy.org, doc/proxy-protocol.txt §2.2): who may name the client, over all transports. */
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { createSocket } from 'node:dgram'
import { afterAll, describe, expect, test } from 'vitest'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { C_PROXY_MALFORMED } from '../../src/counters.ts'
import { parseAddress, parsePrefix } from '../../src/dns/address.ts'
import { decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { isWithin } from '../../src/server/proxy.ts'
import { makeNode } from '../answer/fixture.ts'
import { framed, query, TcpClient } from '../server/client.ts'
import { makeCredentials, type Running, start } from '../server/fixture.ts'
import { request } from '../support/ask.ts'
import { header, naming } from '../support/proxy.ts'
import { until } from '../support/until.ts'

const PROXY = '127.0.7.1'
const OTHER = '127.0.6.1'
const protocol = {
  ...PLAIN_PROTOCOL,
  proxies: ['127.0.7.0/24', '::1'].map((text) => parsePrefix(text)!),
}
/** Clients of these networks get sin's VIP, all others fra's. */
const NAMED = ['198.51.100.7', '2001:db8:7::1'] as const
const FILES = {
  'defaults.yaml': 'soa: {mname: ns1.example.com., rname: h.example.com., minimum: 60, serial: 1}\nttl: 300\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\nsin: {location: [1.36, 103.99], region: ap}\n',
  'services.yaml':
    'web:\n  sites: {fra: {vips: [192.0.2.10]}, sin: {vips: [192.0.2.20]}}\n  order: [fra, sin]\n  check: none\n' +
    '  rules: [{subnets: [198.51.100.0/24, "2001:db8:7::/48"], order: [sin]}]\n',
  'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\nwww: {type: GSLB, service: web}\n',
}
const { made } = await makeNode(FILES)
const on = [
  { address: '127.0.0.1', port: 0 },
  { address: '::1', port: 0 },
]
const options = {
  world: { ...made.world, generation: 1 },
  protocol,
  tls: on,
  https: on,
  credentials: makeCredentials(),
}
const batched = await start({ ...options, listen: on })
const portable = await start({ ...options, listen: on, tls: [], https: [], portable: true })
afterAll(() => Promise.all([batched, portable].map(({ server }) => server.stop(0))))

const asked = query(7, 'www.example.com')
function vipOf(reply: Uint8Array | undefined): string | undefined {
  if (reply === undefined) return undefined
  const message = decodeMessage(reply)
  if (isFault(message)) throw new Error(message.fault)
  return message.answer[0]?.rdata ?? message.rcode
}

type Send = (from: string, head: Uint8Array) => Promise<string | undefined>
const overUdp =
  ({ server }: Running): Send =>
  async (from, head) => {
    const { port } = server.listen.find(({ address }) => address.includes(':') === from.includes(':'))!
    const socket = createSocket(from.includes(':') ? 'udp6' : 'udp4')
    const replies: Buffer[] = []
    socket.on('message', (reply) => replies.push(reply))
    await new Promise<void>((done) => socket.bind({ address: from }, done))
    const to = from.includes(':') ? '::1' : '127.0.0.1'
    const before = malformed()
    socket.send(Buffer.concat([head, asked]), port, to)
    await until('a reply, or a drop that is counted', () => replies.length > 0 || malformed() > before)
    socket.close()
    return vipOf(replies[0])
  }
const malformed = (): number => [batched, portable].reduce((sum, running) => sum + running.count(C_PROXY_MALFORMED), 0)
const raw = (from: string, port: number): Socket => {
  const socket = connect({ host: from.includes(':') ? '::1' : '127.0.0.1', port, localAddress: from })
  socket.on('error', () => {})
  return socket
}
async function answerOn(client: TcpClient): Promise<string | undefined> {
  await until('an answer or the end', () => client.answers.length > 0 || client.closed)
  client.socket.destroy()
  return vipOf(client.answers[0])
}
const overTcp =
  ({ server }: Running): Send =>
  (from, head) => {
    const client = new TcpClient(raw(from, server.listen[from.includes(':') ? 1 : 0]!.port))
    client.socket.write(Buffer.concat([head, framed(asked)]))
    return answerOn(client)
  }
const overTls: Send = (from, head) => {
  const socket = raw(from, batched.server.tls[from.includes(':') ? 1 : 0]!.port)
  socket.write(head)
  const client = new TcpClient(connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['dot'] }))
  client.send(asked)
  return answerOn(client)
}
const overHttps: Send = async (from, head) => {
  const { port } = batched.server.https[from.includes(':') ? 1 : 0]!
  const socket = raw(from, port)
  socket.write(head)
  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    createConnection: () => connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
  })
  session.on('error', () => {})
  const message = { ':method': 'POST', 'content-type': 'application/dns-message' }
  const reply = await request(session, message, asked).catch(() => undefined)
  session.destroy()
  return vipOf(reply?.body)
}

const TRANSPORTS: readonly (readonly [string, 1 | 2, Send])[] = [
  ['UDP', 2, overUdp(batched)],
  ['UDP by node:dgram', 2, overUdp(portable)],
  ['TCP', 1, overTcp(batched)],
  ['TLS', 1, overTls],
  ['HTTPS', 1, overHttps],
]

describe.each(TRANSPORTS)('%s', (_name, transport, send) => {
  test('§2.2: the client is who the proxy names, of either family, behind TLVs too; else the proxy', async () => {
    for (const client of NAMED) expect(await send(PROXY, naming(client, transport)), client).toBe('192.0.2.20')
    expect(await send(PROXY, naming('203.0.113.9', transport))).toBe('192.0.2.10')
    expect(await send(PROXY, naming(NAMED[0], transport, Buffer.alloc(300, 4)))).toBe('192.0.2.20')
    expect(await send('::1', naming(NAMED[0], transport))).toBe('192.0.2.20')
  })

  test('§2.2: LOCAL, an unspecified family and unix sockets name nobody: the proxy itself asks', async () => {
    const address = naming(NAMED[0], transport).subarray(16)
    expect(await send(PROXY, header({ command: 0x20 }))).toBe('192.0.2.10')
    expect(await send(PROXY, header({ command: 0x20, family: 0x10 | transport, addresses: address }))).toBe(
      '192.0.2.10',
    )
    expect(await send(PROXY, header({ family: 0, addresses: address }))).toBe('192.0.2.10')
    expect(await send(PROXY, header({ family: 0x30 | transport, addresses: Buffer.alloc(216) }))).toBe('192.0.2.10')
  })

  test('malformed headers, and none, get no answer and are counted', async () => {
    const good = naming(NAMED[0], transport)
    const changed = (at: number, value: number): Buffer => {
      const bytes = Buffer.from(good)
      bytes[at] = value
      return bytes
    }
    const wrong = [
      changed(0, 0x0e),
      changed(12, 0x11), // version 1
      changed(12, 0x22), // a command that there is not
      changed(13, 0x41), // a family that there is not
      changed(13, 0x13), // a transport that there is not
      changed(14, 0xff), // longer than anything
      header({ family: 0x10 | transport, addresses: Buffer.alloc(11) }),
      header({ family: 0x20 | transport, addresses: Buffer.alloc(35) }),
      Buffer.from('PROXY TCP4 198.51.100.7 127.0.0.1 12345 53\r\n'), // version 1
      Buffer.alloc(0),
    ]
    for (const [i, head] of wrong.entries()) {
      const before = malformed()
      expect(await send(PROXY, head), `header ${i}`).toBeUndefined()
      expect(malformed(), `header ${i}`).toBe(before + 1)
    }
  })

  test('from others a header is never read', async () => {
    const before = malformed()
    expect(await send(OTHER, Buffer.alloc(0))).toBe('192.0.2.10')
    expect(await send(OTHER, naming(NAMED[0], transport))).not.toBe('192.0.2.20')
    expect(malformed()).toBe(before)
  }, 20_000)
})

test('a connection that says it stands for datagrams is refused: their senders have not proven their address', async () => {
  expect(await overTcp(batched)(PROXY, naming(NAMED[0], 2))).toBeUndefined()
  expect(await overUdp(batched)(PROXY, naming(NAMED[0], 1))).toBe('192.0.2.20')
})

test('a header in single bytes; one that never comes, and an end before it', async () => {
  const { port } = batched.server.listen[0]!
  const slow = new TcpClient(raw(PROXY, port))
  for (const byte of Buffer.concat([naming(NAMED[0], 1), framed(asked)])) {
    slow.socket.write(Buffer.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await answerOn(slow)).toBe('192.0.2.20')
  const early = new TcpClient(raw(PROXY, port))
  early.socket.end(naming(NAMED[0], 1).subarray(0, 20))
  expect(await answerOn(early)).toBeUndefined()
  const silent = new TcpClient(raw(PROXY, port))
  expect(await answerOn(silent)).toBeUndefined()
})

test('limits are those of the clients, not of their proxy', async () => {
  const { port } = batched.server.listen[0]!
  const before = batched.server.stats().tcp.refused
  const open = (client: string): TcpClient => {
    const opened = new TcpClient(raw(PROXY, port))
    opened.socket.write(Buffer.concat([naming(client, 1), framed(asked)]))
    return opened
  }
  const one = Array.from({ length: 101 }, () => open('203.0.113.1'))
  await until('one is too many', () => one.filter(({ closed }) => closed).length === 1)
  const another = open('203.0.113.2')
  await until('another client is served', () => another.answers.length === 1)
  expect(batched.server.stats().tcp.refused).toBe(before + 1)
  for (const { socket } of [...one, another]) socket.destroy()
})

test.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.1', false],
  ['10.128.0.0/9', '10.127.255.255', false],
  ['10.128.0.0/9', '10.128.0.0', true],
  ['192.0.2.7', '192.0.2.7', true],
  ['192.0.2.7', '192.0.2.6', false],
  ['0.0.0.0/0', '8.8.8.8', true],
  ['0.0.0.0/0', '::1', false],
  ['2001:db8::/33', '2001:db8:7fff::1', true],
  ['2001:db8::/33', '2001:db8:8000::1', false],
])('%s has %s: %s', (prefix, address, within) => {
  const bytes = parseAddress(address)!
  const shifted = Uint8Array.of(1, 2, 3, ...bytes)
  expect(isWithin([parsePrefix(prefix)!], shifted, 3, bytes.length === 4 ? 4 : 6)).toBe(within)
})
