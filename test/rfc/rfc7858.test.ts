/** RFC 7858: DNS over TLS. With RFC 9325 (what of TLS is used), RFC 7301 (ALPN), RFC 8310 (who the server is). */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { DOT } from '../../src/answer/responder.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { answersOf, idOf, query, rcodeOf, TcpClient, tlsTo, TYPE } from '../server/client.ts'
import { makeWorld, startTcp } from '../server/fixture.ts'
import { dot, makeAsk } from '../support/ask.ts'
import { until } from '../support/until.ts'

const world = await makeWorld(1)
const { front, to } = await startTcp({ world, transport: DOT })
/** One that soon has enough. */
const limits = { ...TCP_LIMITS, firstMs: 500, idleMs: 2500, handshakes: 8 }
const strict = await startTcp({ world, transport: DOT, limits })
afterAll(() => Promise.all([front.stop(0), strict.front.stop(0)]))

const sockets: { destroy(): unknown }[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})
const client = (options: ConnectionOptions = {}, at = to): TcpClient => {
  const made = new TcpClient(tlsTo(at, options))
  sockets.push(made.socket)
  return made
}
/** The error or the success of a handshake. */
async function shake(options: ConnectionOptions): Promise<TLSSocket | NodeJS.ErrnoException> {
  const socket = tlsTo(to, options)
  sockets.push(socket)
  const done = Promise.withResolvers<TLSSocket | NodeJS.ErrnoException>()
  socket.once('secureConnect', () => done.resolve(socket))
  socket.once('error', done.resolve)
  return done.promise
}

describe('§3.1, §3.2: the session', () => {
  test('§3.1: what is no TLS on the port gets no answer, and is counted', async () => {
    const { handshakesFailed } = front.stats()
    const plain = new TcpClient(to)
    sockets.push(plain.socket)
    plain.send(query(1, 'a.example.com'))
    await until('closed', () => plain.closed)
    expect(plain.answers).toEqual([])
    expect(front.stats().handshakesFailed).toBe(handshakesFailed + 1)
  })

  test('RFC 8310 §8.1: the certificate is for the name that the client authenticates', async () => {
    expect(await shake({})).toMatchObject({ authorized: true })
    expect(await shake({ servername: 'other.example.com' })).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test('RFC 7301: `dot` is agreed on; who names no protocol is served, who names others is not', async () => {
    expect(await shake({ ALPNProtocols: ['h2', 'dot'] })).toMatchObject({ alpnProtocol: 'dot' })
    const silent = client({ ALPNProtocols: [] })
    silent.send(query(1, 'a.example.com'))
    await until('an answer', () => silent.answers.length === 1)
    expect(await shake({ ALPNProtocols: ['h2'] })).toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    })
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('RFC 9325 §3.1: %s', async (version) => {
    const one = client({ minVersion: version, maxVersion: version })
    one.send(query(1, 'a.example.com'))
    await until('an answer', () => one.answers.length === 1)
  })

  test('RFC 9325 §3.1, §4.2, RFC 5746: neither TLS 1.1, nor ciphers without forward secrecy, nor renegotiation', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    expect(await shake(old)).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' })
    for (const ciphers of ['ECDHE-ECDSA-AES128-SHA256', 'AES128-GCM-SHA256'])
      expect(await shake({ maxVersion: 'TLSv1.2', ciphers })).toMatchObject({
        code: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
      })
    const socket = await shake({ maxVersion: 'TLSv1.2' })
    if (!('renegotiate' in socket)) throw socket
    const failed = once(socket, 'error')
    socket.renegotiate({}, () => {})
    socket.resume()
    expect(await failed).toMatchObject([{ code: 'ERR_SSL_NO_RENEGOTIATION' }])
  })
})

describe('§3.3: messages', () => {
  test('two bytes of length; many in one record, all answered on the same connection', async () => {
    const one = client()
    one.send(...Array.from({ length: 300 }, (_, id) => query(id, 'a.example.com')))
    await until('all answers', () => one.answers.length === 300)
    expect(new Set(one.answers.map(idOf)).size).toBe(300)
    expect(one.answers.every((answer) => rcodeOf(answer) === 0 && answersOf(answer) === 1)).toBe(true)
  })

  test('answers of any size, and those of UDP', async () => {
    const one = client()
    one.send(query(1, 'big.example.com', TYPE.TXT))
    await until('60,000 bytes', () => one.answers.length === 1)
    expect(answersOf(one.answers[0]!)).toBe(283)
    const ask = makeAsk(dot(to.address, to.port))
    await ask({ q: 'a.example.com A', rcode: 'NOERROR', aa: true, answer: ['a.example.com. 300 IN A 192.0.2.1'] })
    await ask({ q: 'x.example.com A', rcode: 'NXDOMAIN', answer: [] })
  })

  test('who ends its side gets its answers, then the end', async () => {
    const one = client()
    one.send(query(1, 'big.example.com', TYPE.TXT), query(2, 'a.example.com'))
    one.socket.end()
    await until('the end', () => one.closed)
    expect(one.answers.map(idOf)).toEqual([1, 2])
  })
})

describe('§3.4: reuse and end', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('a session is resumed from its ticket: %s', async (version) => {
    const options = { minVersion: version, maxVersion: version }
    const first = tlsTo(to, options)
    sockets.push(first)
    const [session] = await once(first, 'session')
    const { resumed } = front.stats()
    const second = client({ ...options, session })
    second.send(query(1, 'a.example.com'))
    await until('an answer', () => second.answers.length === 1)
    expect(front.stats().resumed).toBe(resumed + 1)
  })

  test('idle connections are closed in time, and silent ones sooner; who asks on stays', async () => {
    const [asked, silent, busy] = [0, 0, 0].map(() => client({}, strict.to))
    const bare = connect(strict.to.port, strict.to.address)
    sockets.push(bare)
    bare.on('error', () => {})
    asked!.send(query(1, 'a.example.com'))
    const asking = setInterval(() => busy!.send(query(1, 'a.example.com')), 100)
    try {
      await until('both silent ones closed', () => silent!.closed && bare.closed)
      expect(asked!.closed).toBe(false)
      await until('the idle one closed', () => asked!.closed)
      expect(busy!.closed).toBe(false)
    } finally {
      clearInterval(asking)
    }
  })
})

test('a handshake that stands still gives its place to a newer one, when there are too many', async () => {
  const { evicted, timedOut } = strict.front.stats()
  // of a ClientHello the header only: the rest never comes
  const half = Array.from({ length: 9 }, () =>
    connect({ host: strict.to.address, port: strict.to.port, localAddress: '127.0.0.9' }),
  )
  sockets.push(...half)
  for (const socket of half) {
    socket.on('error', () => {})
    socket.write(Buffer.from('1603010100', 'hex'))
  }
  await until('one evicted', () => strict.front.stats().evicted === evicted + 1)
  const honest = client({}, strict.to)
  honest.send(query(1, 'a.example.com'))
  await until('an answer', () => honest.answers.length === 1)
  await until('the others are out of time', () => strict.front.stats().timedOut >= timedOut + 7)
})
