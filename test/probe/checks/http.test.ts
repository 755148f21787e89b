/** Checks http and https against real servers of all manners on 127.77.1.1. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createSecureServer, createServer as createHttp2 } from 'node:http2'
import { createServer as createHttps, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { checkHttp, type HttpSettings } from '../../../src/probe/checks/http.ts'
import { makeReach } from '../../../src/health/reach.ts'
import type { CheckModel } from '../../../src/zone/model.ts'
import { authority, expired, good, selfSigned, untilText } from '../../support/certificates.ts'
import { LOOPBACK } from '../loopback.ts'

type HttpCheck = Extract<CheckModel, { type: 'http' | 'https' }>

const ADDRESS = '127.77.1.1'
const open: Server[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

const certificates = getCACertificates()
beforeAll(() => setDefaultCACertificates([authority]))
afterAll(() => setDefaultCACertificates(certificates))

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

const SETTINGS: HttpSettings = { authorities: {}, headerValues: {}, reach: makeReach(LOOPBACK) }
const check = (port: number, more: Partial<HttpCheck> = {}, address = ADDRESS, settings: Partial<HttpSettings> = {}) =>
  checkHttp(
    {
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
    },
    { ...SETTINGS, ...settings },
  )

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
      const { host, connection, 'user-agent': agent } = request.headers
      seen.push(`${request.method} ${request.url} ${host} ${connection} ${agent}`)
      response.end('ok')
    })
    await sees(check(port, { host: 'www.example.com' }), 'pass', '200')
    await sees(check(port, { path: '/x?y=1', method: 'HEAD' }), 'pass', '200')
    expect(seen).toEqual([
      'GET /healthz www.example.com close meridian-probe',
      `HEAD /x?y=1 ${ADDRESS}:${port} close meridian-probe`,
    ])
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
    await sees(check(port, { path: '/503', statuses: [299, 200, 201, 202] }), 'fail', '503, expected 200-202, 299')
    await sees(check(port, { path: '/302' }), 'fail', '302, expected 200')
    await sees(check(port, { path: '/999' }), 'fail', '999, expected 200')
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
    const words = '200, but the first 64 KiB of the body lack "needle"'
    await sees(check(port, { path: '/65531', body: 'needle' }), 'fail', words)
    await sees(check(port, { path: '/16378', matches: 'ne+dle$' }), 'pass', '200')
    const lacks = '200, but the first 16 KiB of the body lack a match of /ne+dle/'
    await sees(check(port, { path: '/16379', matches: 'ne+dle' }), 'fail', lacks)
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
    await sees(
      check(await raw((socket) => void socket.once('data', () => socket.resetAndDestroy()))),
      'fail',
      'connection reset: no response',
    )
    await sees(check(await raw((socket) => socket.end())), 'fail', 'connection closed without a response')
    const cut = await raw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le'))
    await sees(check(cut), 'fail', 'connection closed within the header')
    const short = await raw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'))
    await sees(check(short), 'fail', 'connection closed within the body')
    await sees(check(await raw((socket) => socket.end('SSH-2.0-x\r\n'))), 'fail', 'no HTTP spoken')
    const endless = await raw((socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(20_000)}`))
    await sees(check(endless), 'fail', 'header too large: more than 16384 bytes')
    const interim = await raw((socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1000)))
    await sees(check(interim), 'fail', 'more than 16 interim responses')
    const hinted = await raw((socket) => socket.end(`${'HTTP/1.1 100 Go\r\n\r\n'.repeat(16)}HTTP/1.0 200 OK\r\n\r\n`))
    await sees(check(hinted), 'pass', '200')
  })
})

/** Answers with these bytes, and leaves the connection open. */
const says = (text: string) => raw((socket) => socket.once('data', () => void socket.write(text, 'latin1')))

describe('what users take, and what is told of the rest', () => {
  test.each([
    ['a folded line', 'HTTP/1.1 200 OK\r\nX-Note: one\r\n\ttwo\r\nContent-Length: 4\r\n\r\nwell'],
    ['the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nwell'],
    ['lines that end in LF alone', 'HTTP/1.1 200 OK\nContent-Length: 4\n\nwell'],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n',
    ],
    ['a status without words', 'HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nwell'],
    ['Latin-1 in a header', 'HTTP/1.1 200 \xdcbel\r\nX: \xe4\r\nContent-Length: 4\r\n\r\nwell'],
  ])('%s passes', async (_, text) => {
    await sees(check(await says(text), { body: 'well' }), 'pass', '200')
  })

  test.each([
    ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nwell', 'Content-Length is “4, 5”: which one?'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 4x\r\n\r\nwell', 'Content-Length is “4x”'],
    ['HTTP/1.1 200 OK\r\nX: y\r\nno colon\r\n\r\n', 'line 3 of the header has no name: “no colon”'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwell\r\n', "a chunk's size is “well”"],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwell\r\n', 'a chunk is longer than its size'],
    ['HTTP/1.1 OK\r\n\r\n', 'the first line has no status: “HTTP/1.1 OK”'],
    ['\0\0\0\x04\0\0\0\0\0', 'HTTP/2 only: the site answers HTTP/1.1 with a frame of HTTP/2'],
    ['\x15\x03\x01\0\x02\x02\x16\0\0\0', 'TLS spoken: a check of type https is meant, or another port'],
    ['220 mail.example.com ESMTP\r\n', 'no HTTP spoken'],
  ])('%j: %s', async (text, words) => {
    await sees(check(await says(text)), 'fail', words)
  })

  test('a server of HTTP/2 alone is told as such, in plaintext and over TLS', async () => {
    const plain = await listen(createHttp2())
    const { reason } = await check(plain)
    expect(reason).toMatch(/^HTTP\/2 only: /)
    const secure = await listen(createSecureServer(good))
    await sees(
      check(secure, { ...named('www.example.com'), verify: false }),
      'fail',
      'HTTP/2 only: the site takes no HTTP/1.1 (ALPN)',
    )
  })

  test('so is one that closes the connection of HTTP/1.1 without a word', async () => {
    const closing = await raw((socket) => {
      socket.once('data', (sent) => {
        const isPreface = sent.toString('latin1').startsWith('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
        if (isPreface) socket.write(Buffer.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100))
        else socket.end()
      })
    })
    await sees(check(closing), 'fail', 'HTTP/2 only: the site closes the connection at HTTP/1.1')
    const silent = await raw((socket) => {
      socket.once('data', (sent) => void (sent.toString('latin1').startsWith('PRI') || socket.end()))
    })
    const words = 'connection closed without a response, and none to HTTP/2 in 300ms'
    await sees(check(silent, { timeoutMs: 300 }), 'timeout', words)
  })

  test('a compressed body is told as such where its text is looked for', async () => {
    const port = await http((request, response) => {
      expect(request.headers['accept-encoding']).toBe('identity')
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('all is well'))
    })
    await sees(check(port), 'pass', '200')
    const words = `200, but the body is compressed (gzip), although the check asks for it plain: "is well" can't be looked for`
    await sees(check(port, { body: 'is well' }), 'fail', words)
  })

  test('an expression that must match', async () => {
    const port = await http((_, response) => response.end('status: degraded\nload: 7'))
    await sees(check(port, { matches: 'status: (ok|degraded)' }), 'pass', '200')
    await sees(check(port, { matches: '(?m)^load: \\d$' }), 'pass', '200')
    await sees(check(port, { matches: '^load', body: 'status' }), 'fail', '200, but the body lacks a match of /^load/')
  })
})

describe('headers', () => {
  test('values come from the settings or a file, which is read anew; one of them in place of the usual', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meridian-headers-'))
    const file = join(folder, 'token')
    const seen: unknown[] = []
    const port = await http(({ headers }, response) => {
      seen.push([headers.authorization, headers['user-agent'], headers['x-proto'], headers.accept])
      response.end()
    })
    const headers = { Authorization: 'token', 'user-agent': 'agent', 'X-Proto': 'proto' }
    const headerValues = { token: `file:${file}`, agent: 'Mozilla/5.0', proto: 'https' }
    const ask = () => check(port, { headers }, ADDRESS, { headerValues })
    writeFileSync(file, 'Bearer one\n')
    await sees(ask(), 'pass', '200')
    writeFileSync(file, 'Bearer two\nmore\n')
    await sees(ask(), 'pass', '200')
    expect(seen).toEqual([
      ['Bearer one', 'Mozilla/5.0', 'https', '*/*'],
      ['Bearer two', 'Mozilla/5.0', 'https', '*/*'],
    ])
    writeFileSync(file, 'Bearer\u0007\n')
    const { kind, reason } = await ask()
    expect([kind, reason]).toEqual([
      'unable',
      `the check can't be made: the first line of ${file}, in probe.headers, is no header's value`,
    ])
    rmSync(folder, { recursive: true })
    expect((await ask()).reason).toContain("the value “token” of probe.headers can't be read: ENOENT")
    expect(seen).toHaveLength(2)
  })

  test('a value that this prober does not have is an abstention', async () => {
    const port = await http((_, response) => response.end())
    const words = "the check can't be made: probe.headers of this prober has no value “token”"
    await sees(check(port, { headers: { Authorization: 'token' } }), 'unable', words)
  })
})

interface Hit {
  readonly path: string
  readonly host: string | undefined
  readonly authorization: string | undefined
}

/** By path, where it leads to; elsewhere 200. */
const leading = (ways: (port: number) => Readonly<Record<string, string>>, seen: Hit[] = []) =>
  http(({ url: path = '', headers: { host, authorization }, socket }, response) => {
    seen.push({ path, host, authorization })
    const location = ways(socket.localPort!)[path]
    response.writeHead(location === undefined ? 200 : 302, location === undefined ? {} : { location }).end('well')
  })

describe('redirects', () => {
  test('are failures that tell where to, unless they are followed', async () => {
    const port = await leading(() => ({ '/healthz': '/en/' }))
    await sees(check(port), 'fail', '302 to /en/, expected 200')
    await sees(check(port, { follow: 1, body: 'well' }), 'pass', '200 after 1 redirect')
    await sees(check(port, { follow: 1, statuses: [204] }), 'fail', '200 after 1 redirect, expected 204')
  })

  test('to the same host alone, at most so many, and to HTTP alone', async () => {
    const seen: Hit[] = []
    const port = await leading(
      (own) => ({
        '/healthz': `http://WWW.example.com:${own}/a?b=c#d`,
        '/a?b=c': `//www.example.com:${own}/e f`,
        '/else': 'http://login.example.com/',
        '/address': `http://${ADDRESS}/`,
        '/ftp': 'ftp://www.example.com/',
        '/none': 'http://[',
        '/round': '/round',
      }),
      seen,
    )
    const host = 'www.example.com'
    await sees(check(port, { host, follow: 2 }), 'pass', '200 after 2 redirects')
    expect(seen.map(({ path }) => path)).toEqual(['/healthz', '/a?b=c', '/e%20f'])
    const fails = (path: string, words: string) => sees(check(port, { host, path, follow: 3 }), 'fail', words)
    await fails('/else', '302 to http://login.example.com/, another host than www.example.com: no check goes there')
    await fails('/address', `302 to http://${ADDRESS}/, another host than www.example.com: no check goes there`)
    await fails('/ftp', '302 to ftp://www.example.com/, which is not HTTP')
    await fails('/none', '302 to http://[, which is no URL')
    await fails('/round', '302 to /round, after 3 redirects: no more are followed')
  })

  test('to another port: where the prober may go, with the port in Host, and without the headers of the check', async () => {
    const seen: Hit[] = []
    const other = await leading(() => ({}), seen)
    const port = await leading(() => ({ '/healthz': `http://www.example.com:${other}/` }), seen)
    const headers = { Authorization: 'token' }
    const settings = { headerValues: { token: 'secret' } }
    const follow = { host: 'www.example.com', follow: 1, headers }
    await sees(check(port, follow, ADDRESS, settings), 'pass', '200 after 1 redirect')
    expect(seen).toEqual([
      { path: '/healthz', host: 'www.example.com', authorization: 'secret' },
      { path: '/', host: `www.example.com:${other}`, authorization: undefined },
    ])
    const own = [{ address: ADDRESS, port: other, what: 'where Redis of this node is' }]
    const reach = makeReach({ ...LOOPBACK, allow: ['127.0.0.0/8'], own })
    const { kind, reason } = await check(port, follow, ADDRESS, { ...settings, reach })
    expect([kind, reason]).toEqual(['unable', expect.stringContaining('where Redis of this node is')])
    expect(seen).toHaveLength(3)
  })

  test('from http to https: the certificate is verified', async () => {
    const secure = await https(good)
    const port = await leading(() => ({ '/healthz': `https://www.example.com:${secure}/` }))
    const words = '200 after 1 redirect, certificate until 2099-12-31'
    await sees(check(port, { host: 'www.example.com', follow: 1 }), 'pass', words)
    const own = await https(selfSigned)
    const strange = await leading(() => ({ '/healthz': `https://www.example.com:${own}/` }))
    await sees(check(strange, { host: 'www.example.com', follow: 1 }), 'fail', 'certificate is self-signed')
  })

  test('all within the timeout', async () => {
    const port = await http(
      (_, response) => void setTimeout(() => response.writeHead(302, { location: '/' }).end(), 120),
    )
    const { kind, reason, rttMs } = await check(port, { follow: 9, timeoutMs: 300 })
    expect([kind, reason]).toEqual(['timeout', expect.stringMatching(/^no (response|connection) in 300ms$/)])
    expect(rttMs).toBeLessThan(2500)
  })
})

const named = (host: string): Partial<HttpCheck> => ({ type: 'https', host })

describe('https', () => {
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
    await sees(
      check(port, named('api.example.com')),
      'fail',
      'certificate is for another name: for www.example.com, 127.77.1.1, not api.example.com',
    )
    await sees(check(port, { ...named('api.example.com'), verify: false }), 'pass', '200, certificate until 2099-12-31')
  })

  test('expired, self-signed, no TLS', async () => {
    const words = 'certificate has expired: valid until 2021-01-01'
    await sees(check(await https(expired), named('www.example.com')), 'fail', words)
    await sees(check(await https(selfSigned), named('www.example.com')), 'fail', 'certificate is self-signed')
    const plain = await http((_, response) => response.end())
    await sees(check(plain, named('www.example.com')), 'fail', 'no TLS spoken')
  })

  test('no session is resumed: a certificate that goes bad is seen at the next check', async () => {
    const server = createHttps(good, (_, response) => response.end('ok'))
    const port = await listen(server)
    await sees(check(port, named('www.example.com')), 'pass', '200, certificate until 2099-12-31')
    server.setSecureContext(expired)
    const words = 'certificate has expired: valid until 2021-01-01'
    await sees(check(port, named('www.example.com')), 'fail', words)
  })

  test('a certificate whose end is no date ends no prober', async () => {
    const port = await https({ ...good, cert: untilText('99993931000000Z') })
    await sees(
      check(port, { ...named('www.example.com'), verify: false }),
      'pass',
      '200, certificate without a date of its end',
    )
    await sees(check(port, named('www.example.com')), 'fail', 'certificate with an invalid date')
  })

  test('a handshake that never comes', async () => {
    const port = await raw(() => {})
    await sees(check(port, { ...named('www.example.com'), timeoutMs: 300 }), 'timeout', 'no TLS handshake in 300ms')
  })
})
