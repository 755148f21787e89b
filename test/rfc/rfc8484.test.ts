/** RFC 8484: DNS over HTTPS. With RFC 9113 (HTTP/2) where a client can do harm by it. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DOH } from '../../src/answer/responder.ts'
import { decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { answersOf, idOf, query, rcodeOf, tlsTo, TYPE } from '../server/client.ts'
import { makeWorld, startTcp } from '../server/fixture.ts'
import { doh, type HttpReply, makeAsk, request } from '../support/ask.ts'
import { until } from '../support/until.ts'

const world = await makeWorld(1)
const { front, to } = await startTcp({ world, transport: DOH })
/** One that soon has enough. */
const limits = { ...TCP_LIMITS, firstMs: 1500, idleMs: 2500, unreadMs: 2500, memory: 400_000 }
const strict = await startTcp({ world, transport: DOH, limits })
afterAll(() => Promise.all([front.stop(0), strict.front.stop(0)]))

const sessions: ClientHttp2Session[] = []
function open(options = {}, { address, port } = to): ClientHttp2Session {
  const session = connect(`https://${address}:${port}`, { rejectUnauthorized: false, ...options })
  session.on('error', () => {})
  session.setMaxListeners(100)
  sessions.push(session)
  return session
}
let session: ClientHttp2Session
beforeEach(() => (session = open()))
afterEach(() => {
  for (const one of sessions.splice(0)) one.destroy()
})

const encoded = (message: Uint8Array): string => Buffer.from(message).toString('base64url')
const get = (message: Uint8Array, more: OutgoingHttpHeaders = {}): Promise<HttpReply> =>
  request(session, { ':method': 'GET', ':path': `/dns-query?dns=${encoded(message)}`, ...more })
const post = (body: Uint8Array, more: OutgoingHttpHeaders = {}): Promise<HttpReply> =>
  request(session, { ':method': 'POST', 'content-type': 'application/dns-message', ...more }, body)
const getAt = (path: string, more: OutgoingHttpHeaders = {}): Promise<HttpReply> =>
  request(session, { ':method': 'GET', ':path': path, ...more })
/** Status and rcode. */
const rcodes = async (message: Uint8Array): Promise<readonly number[]> => {
  const { status, body } = await post(message)
  return [status, rcodeOf(body)]
}
/** A request of which more is to come. */
const begin = (on: ClientHttp2Session): void => {
  const stream = on.request({ ':method': 'POST', ':path': '/dns-query', 'content-type': 'application/dns-message' })
  stream.on('error', () => {})
  stream.write(Buffer.alloc(4000))
}
const a = query(0, 'a.example.com')

describe('§4.1: the request', () => {
  test('GET with the query in base64url, POST with it as the body: the same answer', async () => {
    const replies = [await get(a), await post(a)]
    for (const { status, headers, body } of replies) {
      expect(status).toBe(200)
      expect(headers).toMatchObject({
        'content-type': 'application/dns-message',
        'content-length': String(body.length),
      })
      expect(decodeMessage(body)).toMatchObject({ rcode: 'NOERROR', aa: true, answer: [{ rdata: '192.0.2.1' }] })
    }
    expect(replies[0]!.body).toEqual(replies[1]!.body)
  })

  test('an id of 0 is answered with 0, another with itself', async () => {
    expect(idOf((await get(a)).body)).toBe(0)
    expect(idOf((await get(query(0xabcd, 'a.example.com'))).body)).toBe(0xabcd)
  })

  test('other parameters beside `dns` mean nothing; a body of GET neither; `accept` may name anything', async () => {
    expect((await getAt(`/dns-query?x=1&dns=${encoded(a)}&y`)).status).toBe(200)
    expect((await request(session, { ':method': 'GET', ':path': `/dns-query?dns=${encoded(a)}` }, a)).status).toBe(200)
    expect((await get(a, { accept: 'text/html' })).headers['content-type']).toBe('application/dns-message')
    expect((await post(a, { 'content-type': 'Application/DNS-Message; x=y' })).status).toBe(200)
  })

  test('the example of §4.1.1', async () => {
    const message = Buffer.from('AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB', 'base64url') // www.example.com A
    expect(decodeMessage((await get(message)).body)).toMatchObject({ answer: [{ rdata: '192.0.2.10' }] })
  })
})

describe('§4.2.1: the status', () => {
  test('any DNS response is 200, whatever its rcode', async () => {
    expect(await rcodes(query(0, 'none.example.com'))).toEqual([200, 3])
    expect(await rcodes(query(0, 'example.org'))).toEqual([200, 5])
    expect(await rcodes(a.subarray(0, -1))).toEqual([200, 1])
  })

  test('400: what is no message, or not in base64url; 404: another path; 405: another method', async () => {
    const response = query(1, 'a.example.com')
    response[2] = 0x80
    const bad = await Promise.all([
      getAt('/dns-query'),
      getAt('/dns-query?dns='),
      getAt('/dns-query?dns=AAAB*'),
      getAt('/dns-query?dns=AAABA'),
      getAt(`/dns-query?dns=${Buffer.from(a).toString('base64')}=`),
      get(Buffer.alloc(3)),
      post(Buffer.alloc(0)),
      post(response),
    ])
    expect(bad.map(({ status }) => status)).toEqual(bad.map(() => 400))
    expect((await getAt(`/dns?dns=${encoded(a)}`)).status).toBe(404)
    expect((await getAt('/dns-query/')).status).toBe(404)
    const put = await request(session, { ':method': 'PUT' }, a)
    expect(put).toMatchObject({ status: 405, headers: { allow: 'GET, POST' } })
    expect((await request(session, { ':method': 'HEAD' })).status).toBe(405)
    expect((await get(a)).status).toBe(200)
  })

  test('413: longer than a message can be, by what it says or by what comes; 415: another type; counted', async () => {
    const long = Buffer.alloc(65_536)
    expect((await post(long, { 'content-length': long.length })).status).toBe(413)
    expect((await post(long)).status).toBe(413)
    expect((await post(a, { 'content-type': 'application/json' })).status).toBe(415)
    expect((await request(session, { ':method': 'POST' }, a)).status).toBe(415)
    const counted = Object.fromEntries(front.stats().badRequests)
    expect(counted[413]).toBeGreaterThanOrEqual(2)
    expect(counted[415]).toBeGreaterThanOrEqual(2)
    expect((await post(a)).status).toBe(200)
  })
})

describe('§5.1: caches', () => {
  test.each([
    ['a.example.com', TYPE.A, 300],
    ['none.example.com', TYPE.A, 60], // of the SOA: its minimum
    ['a.example.com', TYPE.TXT, 60],
    ['example.org', TYPE.A, 0],
  ] as const)('%s %i is fresh for %i s', async (name, type, seconds) => {
    const { headers } = await get(query(0, name, type))
    expect(headers['cache-control']).toBe(`private, max-age=${seconds}`)
  })

  test('for no longer than any TTL of the answer', async () => {
    const { headers, body } = await get(query(0, 'www.example.com'))
    const message = decodeMessage(body)
    if (isFault(message)) throw new Error(message.fault)
    const least = Math.min(...message.answer.map(({ ttlSeconds }) => ttlSeconds))
    expect(least).toBeLessThan(300)
    expect(headers['cache-control']).toBe(`private, max-age=${least}`)
  })

  test('§6: refusals are not kept', async () => {
    expect((await getAt('/')).headers['cache-control']).toBe('no-store')
  })
})

describe('§5.2: HTTP/2', () => {
  test('many requests at once, answers of any size', async () => {
    const replies = await Promise.all(Array.from({ length: 60 }, (_, id) => post(query(id, 'a.example.com'))))
    expect(replies.map(({ body }) => idOf(body))).toEqual(Array.from({ length: 60 }, (_, id) => id))
    const big = await post(query(0, 'big.example.com', TYPE.TXT))
    expect(answersOf(big.body)).toBe(283)
    const ask = makeAsk(doh(to.address, to.port))
    await ask({ q: 'a.example.com A', rcode: 'NOERROR', answer: ['a.example.com. 300 IN A 192.0.2.1'] })
  })

  test('no HTTP/1.1, by ALPN; and who names no protocol is not served', async () => {
    const socket = tlsTo(to, { ALPNProtocols: ['http/1.1'] })
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
    const silent = tlsTo(to, { ALPNProtocols: [] })
    silent.on('error', () => {})
    await once(silent, 'secureConnect')
    silent.write('GET /dns-query HTTP/1.1\r\nhost: x\r\n\r\n')
    const got: Buffer[] = []
    silent.on('data', (part: Buffer) => got.push(part))
    await once(silent, 'close')
    expect(Buffer.concat(got).toString('latin1')).not.toContain('HTTP/1')
  })
})

describe('limits', () => {
  test('connections without a request, or idle ones, are closed; who asks on stays', async () => {
    const { timedOut } = strict.front.stats()
    const [silent, idle, busy] = [0, 0, 0].map(() => open({}, strict.to))
    const asked = { ':method': 'GET', ':path': `/dns-query?dns=${encoded(a)}` }
    await request(idle!, asked)
    const asking = setInterval(() => void request(busy!, asked).catch(() => {}), 100)
    const dripping = setInterval(() => silent!.destroyed || silent!.ping(() => {}), 50)
    try {
      await until('the silent one closed', () => silent!.destroyed)
      await until('the idle one closed', () => idle!.destroyed)
      expect(busy!.destroyed).toBe(false)
      expect(strict.front.stats().timedOut).toBeGreaterThanOrEqual(timedOut + 2)
    } finally {
      clearInterval(asking)
      clearInterval(dripping)
    }
  })

  test('a body that does not come closes the connection, and what it held is free again', async () => {
    const { unread } = strict.front.stats()
    const on = open({}, strict.to)
    const half = on.request({
      ':method': 'POST',
      ':path': '/dns-query',
      'content-type': 'application/dns-message',
    })
    half.on('error', () => {})
    half.write(Buffer.alloc(1000))
    await until('it is held', () => strict.front.stats().held > 5000)
    await until('closed', () => on.destroyed)
    expect(strict.front.stats().unread).toBe(unread + 1)
    expect(strict.front.stats().held).toBe(0)
  })

  test('when all requests under way hold too much, the client that holds most loses a connection', async () => {
    const { overMemory } = strict.front.stats()
    const [modest, greedy] = ['127.0.0.2', '127.0.0.3'].map((localAddress) => open({ localAddress }, strict.to))
    begin(modest!)
    await until('it is held', () => strict.front.stats().held > 8000)
    for (let i = 0; i < 60; i++) begin(greedy!)
    await until('the greedy one closed', () => greedy!.destroyed)
    expect(strict.front.stats().overMemory).toBe(overMemory + 1)
    expect(strict.front.stats().held).toBeLessThan(10_000)
    expect(modest!.destroyed).toBe(false)
  })

  test('a request with more than 8 KB of headers, or a query in as many, gets no answer', async () => {
    await post(a) // by now both sides have the settings of the other
    await expect(getAt('/dns-query', { x: 'y'.repeat(9000) })).rejects.toThrow('closed')
    await expect(get(Buffer.alloc(7000))).rejects.toThrow('closed')
    expect((await get(a)).status).toBe(200)
  })

  test('CVE-2023-44487: requests that are reset at once end the connection', async () => {
    let refused = 0
    session.on('goaway', () => refused++)
    await once(session, 'remoteSettings')
    const message = { ':method': 'POST', ':path': '/dns-query', 'content-type': 'application/dns-message' }
    for (let round = 0; round < 40 && !session.destroyed && !session.closed; round++) {
      const streams = Array.from({ length: 50 }, () => session.request(message))
      for (const stream of streams) stream.on('error', () => {})
      const arrived = (): boolean => session.destroyed || front.stats().held > 200_000
      await until('all arrived', arrived) // else they are never sent
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL)
      await until('all gone', () => front.stats().held === 0)
    }
    await until('closed', () => session.destroyed || session.closed)
    expect(refused).toBeGreaterThan(0)
    const other = open()
    expect((await request(other, { ':method': 'GET', ':path': `/dns-query?dns=${encoded(a)}` })).status).toBe(200)
  })
})
