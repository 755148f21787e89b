/** Checks http and https against real servers of all manners on 127.77.1.1. */
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createServer as createHttps, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { checkHttp } from '../../../src/probe/checks/http.ts'
import type { CheckModel } from '../../../src/zone/model.ts'
import { authority, expired, good, selfSigned, untilText } from '../certificates.ts'

type HttpCheck = Extract<CheckModel, { type: 'http' | 'https' }>

const ADDRESS = '127.77.1.1'
const open: Server[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

async function listen(server: Server, address = ADDRESS): Promise<number> {
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const bound: AddressInfo | string | null = server.address()
  return bound !== null && typeof bound === 'object' ? bound.port : 0
}

const http = (listener: RequestListener) => listen(createHttp({ keepAlive: true }, listener))
const https = (options: ServerOptions) => listen(createHttps(options, (_, response) => response.end('ok')))
const raw = (greet: (socket: Socket) => void) =>
  listen(
    createTcp((socket) => {
      socket.on('error', () => {})
      greet(socket)
    }),
  )

const check = (port: number, more: Partial<HttpCheck> = {}, address = ADDRESS) =>
  checkHttp({
    address,
    port,
    check: {
      type: 'http',
      method: 'GET',
      path: '/healthz',
      statuses: [200],
      verify: true,
      port,
      intervalMs: 5000,
      timeoutMs: 5000,
      fastMs: 1000,
      fall: 3,
      rise: 2,
      ...more,
    },
  })

/** Passes or fails with exactly these words. */
const sees = async (seen: ReturnType<typeof check>, kind: string, reason: string) => {
  const { kind: gotKind, reason: gotReason, rttMs } = await seen
  expect({ kind: gotKind, reason: gotReason }).toEqual({ kind, reason })
  return rttMs
}

describe('http', () => {
  test('asks as users do: path, Host, no kept connection', async () => {
    const seen: string[] = []
    const connections = new Set<number>()
    const port = await http((request, response) => {
      connections.add(request.socket.remotePort!)
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers.connection}`)
      response.end('ok')
    })
    await sees(check(port, { host: 'www.example.com' }), 'pass', '200')
    await sees(check(port, { path: '/x?y=1', method: 'HEAD' }), 'pass', '200')
    expect(seen).toEqual(['GET /healthz www.example.com close', `HEAD /x?y=1 ${ADDRESS}:${port} close`])
    expect(connections.size).toBe(2)
  })

  test('over IPv6', async () => {
    let host: string | undefined
    const server = createHttp((request, response) => {
      host = request.headers.host
      response.end()
    })
    const port = await listen(server, '::1')
    await sees(check(port, {}, '::1'), 'pass', '200')
    expect(host).toBe(`[::1]:${port}`)
  })

  test('statuses', async () => {
    const port = await http((request, response) => response.writeHead(Number(request.url!.slice(1))).end())
    await sees(check(port, { path: '/204', statuses: [200, 204] }), 'pass', '204')
    await sees(check(port, { path: '/503', statuses: [200, 204] }), 'fail', '503, expected 200, 204')
    await sees(check(port, { path: '/302' }), 'fail', '302, expected 200')
  })

  test('body text, also over the edge of two chunks', async () => {
    const port = await http((_, response) => {
      response.write('all is w')
      setTimeout(() => response.end('ell'), 20)
    })
    await sees(check(port, { body: 'is well' }), 'pass', '200')
    await sees(check(port, { body: 'is bad' }), 'fail', '200, but the body lacks "is bad"')
  })

  test('only the first 64 KiB of a body count, and no more is read', async () => {
    let sent = 0
    const port = await http((request, response) => {
      response.on('error', () => {})
      const at = Number(request.url!.slice(1))
      response.write(`${'.'.repeat(at)}needle`)
      const more = () => {
        while (!response.destroyed && response.write('.'.repeat(65_536))) sent += 65_536
      }
      response.on('drain', more)
      more()
    })
    await sees(check(port, { path: '/65530', body: 'needle' }), 'pass', '200')
    await sees(check(port, { path: '/65531', body: 'needle' }), 'fail', '200, but the body lacks "needle"')
    const rtt = await sees(check(port, { path: '/0' }), 'pass', '200')
    expect(rtt).toBeLessThan(2500)
    expect(sent).toBeLessThan(50e6)
  })

  test('64 KiB may come in pieces of 32 bytes, and in no smaller ones', async () => {
    const port = await raw((socket) => {
      socket.once('data', (request) => {
        const chunks = Number(request.toString().split(/[ /]/)[2])
        const piece = `20\r\n${'x'.repeat(32)}\r\n`
        socket.end(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${piece.repeat(chunks)}0\r\n\r\n`)
      })
    })
    await sees(check(port, { path: '/2000' }), 'pass', '200') // some arrive in two halves
    const small = await raw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(2049)}`)
    })
    await sees(check(small), 'fail', 'more than 2048 pieces and no end')
  })

  test('a body that drips, a header that drips, silence: all within the timeout', async () => {
    const drip = (head: string) =>
      raw((socket) => {
        socket.write(head)
        const timer = setInterval(() => socket.write('a'), 20)
        socket.on('close', () => clearInterval(timer))
      })
    const body = await drip('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n')
    const header = await drip('HTTP/1.1 200 OK\r\nx-slow: ')
    const silent = await raw(() => {})
    for (const [port, words] of [
      [body, 'no end of the response in 300ms'],
      [header, 'no response in 300ms'],
      [silent, 'no response in 300ms'],
    ] as const) {
      const rtt = await sees(check(port, { timeoutMs: 300 }), 'timeout', words)
      expect(rtt).toBeGreaterThan(290)
      expect(rtt).toBeLessThan(2500)
    }
  })

  test('a body that drips fails also when the text it needs has come', async () => {
    const port = await http((_, response) => response.write('well'))
    await sees(check(port, { body: 'well', timeoutMs: 300 }), 'timeout', 'no end of the response in 300ms')
  })

  test('refused, reset, closed early, no HTTP, endless header', async () => {
    const closed = await raw(() => {})
    open.pop()!.close()
    const rtt = await sees(check(closed), 'fail', 'connection refused')
    expect(rtt).toBeLessThan(2500)
    await sees(check(await raw((socket) => socket.resetAndDestroy())), 'fail', 'connection reset')
    const short = await raw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'))
    await sees(check(short), 'fail', 'connection closed within the response')
    await sees(check(await raw((socket) => socket.end('SSH-2.0-x\r\n'))), 'fail', 'no HTTP spoken')
    const endless = await raw((socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(20_000)}`))
    await sees(check(endless), 'fail', 'header too large')
    const interim = await raw((socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1000)))
    await sees(check(interim), 'fail', 'more than 16 interim responses')
    const hinted = await raw((socket) => socket.end(`${'HTTP/1.1 100 Go\r\n\r\n'.repeat(16)}HTTP/1.0 200 OK\r\n\r\n`))
    await sees(check(hinted), 'pass', '200')
  })
})

const named = (host: string): Partial<HttpCheck> => ({ type: 'https', host })

describe('https', () => {
  const certificates = getCACertificates()
  beforeAll(() => setDefaultCACertificates([authority]))
  afterAll(() => setDefaultCACertificates(certificates))

  test('a good certificate passes and tells its end', async () => {
    const port = await https(good)
    await sees(check(port, named('www.example.com')), 'pass', '200, certificate until 2099-12-31')
    await sees(check(port, named(ADDRESS)), 'pass', '200, certificate until 2099-12-31')
  })

  test('the name of the service is what goes into SNI and is verified', async () => {
    let name: string | undefined
    const port = await https({
      ...good,
      SNICallback: (asked, done) => {
        name = asked
        done(null)
      },
    })
    await sees(check(port, named('www.example.com')), 'pass', '200, certificate until 2099-12-31')
    expect(name).toBe('www.example.com')
    await sees(check(port, named('api.example.com')), 'fail', 'certificate is for another name')
    await sees(check(port, { ...named('api.example.com'), verify: false }), 'pass', '200, certificate until 2099-12-31')
  })

  test('expired, self-signed, no TLS', async () => {
    await sees(check(await https(expired), named('www.example.com')), 'fail', 'certificate has expired')
    await sees(check(await https(selfSigned), named('www.example.com')), 'fail', 'certificate is self-signed')
    const plain = await http((_, response) => response.end())
    await sees(check(plain, named('www.example.com')), 'fail', 'TLS handshake failed')
  })

  test('no session is resumed: a certificate that goes bad is seen at the next check', async () => {
    const server = createHttps(good, (_, response) => response.end('ok'))
    const port = await listen(server)
    await sees(check(port, named('www.example.com')), 'pass', '200, certificate until 2099-12-31')
    server.setSecureContext(expired)
    await sees(check(port, named('www.example.com')), 'fail', 'certificate has expired')
  })

  test('a certificate whose end is no date ends no prober', async () => {
    const port = await https({ ...good, cert: untilText('99993931000000Z') })
    await sees(check(port, { ...named('www.example.com'), verify: false }), 'pass', '200')
    await sees(check(port, named('www.example.com')), 'fail', 'certificate with an invalid date')
  })

  test('a handshake that never comes', async () => {
    const port = await raw(() => {})
    await sees(check(port, { ...named('www.example.com'), timeoutMs: 300 }), 'timeout', 'no TLS handshake in 300ms')
  })
})
