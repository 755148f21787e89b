import { createServer, getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { CheckKind } from '../../../src/zone/model.ts'
import { authority, expired, good, selfSigned, untilText } from '../certificates.ts'
import { ADDRESS, listen, type Peer, PEERS, sees, targetOf, tcpPeer } from '../peers.ts'

const DAY_MS = 86_400_000
const open: Peer[] = []
afterEach(() => open.splice(0).forEach((peer) => peer.close()))
const certificates = getCACertificates()
beforeAll(() => setDefaultCACertificates([authority]))
afterAll(() => setDefaultCACertificates(certificates))

async function serve(options: TlsOptions): Promise<number> {
  const server = createServer(options)
  server.on('tlsClientError', () => {})
  const peer = await listen(server)
  open.push(peer)
  return peer.port
}

type TlsKind = Extract<CheckKind, { type: 'tls' }>
const check = (port: number, more: Partial<TlsKind> = {}, timeoutMs = 5000) =>
  targetOf({ type: 'tls', host: 'www.example.com', verify: true, validForMs: DAY_MS, ...more }, port, timeoutMs)

test('a certificate that holds passes, and says until when', async () => {
  const port = await serve(good)
  await sees(check(port), 'pass', 'certificate until 2099-12-31')
  await sees(check(port, { host: ADDRESS }), 'pass', 'certificate until 2099-12-31')
})

test('one that does not hold for long enough fails', async () => {
  const port = await serve(good)
  const days = Math.floor((Date.parse('2099-12-31') - Date.now()) / DAY_MS)
  await sees(check(port, { validForMs: days * DAY_MS }), 'pass', 'certificate until 2099-12-31')
  const words = `certificate until 2099-12-31, wanted for ${days + 1}d yet`
  await sees(check(port, { validForMs: (days + 1) * DAY_MS }), 'fail', words)
})

test('the name goes into SNI and is verified, and so is the chain', async () => {
  let asked: string | undefined
  const port = await serve({
    ...good,
    SNICallback: (name, done) => {
      asked = name
      done(null)
    },
  })
  await sees(check(port, { host: 'api.example.com' }), 'fail', 'certificate is for another name')
  await sees(check(port, { host: 'api.example.com', verify: false }), 'pass', 'certificate until 2099-12-31')
  expect(asked).toBe('api.example.com')
  await sees(check(await serve(expired)), 'fail', 'certificate has expired')
  await sees(check(await serve(selfSigned)), 'fail', 'certificate is self-signed')
})

test('unverified, an expired certificate fails still, unless nothing is asked of its end', async () => {
  const port = await serve(expired)
  await sees(check(port, { verify: false, validForMs: 0 }), 'pass', 'certificate until 2021-01-01')
  await sees(check(port, { verify: false }), 'fail', 'certificate until 2021-01-01, wanted for 1d yet')
})

test('a certificate whose end is no date', async () => {
  const port = await serve({ ...good, cert: untilText('99993931000000Z') })
  await sees(check(port), 'fail', 'certificate with an invalid date')
  const words = 'certificate without a date of its end'
  await sees(check(port, { verify: false }), 'fail', `${words}, wanted for 1d yet`)
  await sees(check(port, { verify: false, validForMs: 0 }), 'pass', words)
})

test('no TLS, no handshake', async () => {
  const plain = await tcpPeer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const silent = await tcpPeer(PEERS.hanging!)
  open.push(plain, silent)
  await sees(check(plain.port), 'fail', 'TLS handshake failed')
  await sees(check(silent.port, {}, 300), 'timeout', 'no TLS handshake in 300ms')
})
