import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { makeReach } from '../../../src/health/reach.ts'
import { loadFolder } from '../../../src/load/load.ts'
import { runCheck as run } from '../../../src/probe/checks/check.ts'
import type { CheckKind } from '../../../src/zone/model.ts'
import { authority, expired, good, selfSigned, untilText } from '../../support/certificates.ts'
import { LOOPBACK, runCheck } from '../loopback.ts'
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
  targetOf(
    { type: 'tls', host: 'www.example.com', verify: true, validFor: { failMs: DAY_MS }, ...more },
    port,
    timeoutMs,
  )

test('a certificate that holds passes, and says until when', async () => {
  const port = await serve(good)
  await sees(check(port), 'pass', 'certificate until 2099-12-31')
  await sees(check(port, { host: ADDRESS }), 'pass', 'certificate until 2099-12-31')
})

test('one that does not hold for long enough fails', async () => {
  const port = await serve(good)
  const days = Math.floor((Date.parse('2099-12-31') - Date.now()) / DAY_MS)
  await sees(check(port, { validFor: { failMs: days * DAY_MS } }), 'pass', 'certificate until 2099-12-31')
  const words = `certificate until 2099-12-31, wanted for ${days + 1}d yet`
  await sees(check(port, { validFor: { failMs: (days + 1) * DAY_MS } }), 'fail', words)
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
  await sees(
    check(port, { host: 'api.example.com' }),
    'fail',
    'certificate is for another name: for www.example.com, 127.77.1.1, not api.example.com',
  )
  await sees(check(port, { host: 'api.example.com', verify: false }), 'pass', 'certificate until 2099-12-31')
  expect(asked).toBe('api.example.com')
  await sees(check(await serve(expired)), 'fail', 'certificate has expired: valid until 2021-01-01')
  await sees(check(await serve(selfSigned)), 'fail', 'certificate is self-signed')
})

test('unverified, an expired certificate fails still, unless nothing is asked of its end', async () => {
  const port = await serve(expired)
  await sees(check(port, { verify: false, validFor: { failMs: 0 } }), 'pass', 'certificate until 2021-01-01: ENDS SOON')
  await sees(check(port, { verify: false }), 'fail', 'certificate until 2021-01-01: ENDS SOON, wanted for 1d yet')
})

test('a certificate whose end is no date', async () => {
  const port = await serve({ ...good, cert: untilText('99993931000000Z') })
  await sees(check(port), 'fail', 'certificate with an invalid date')
  const words = 'certificate without a date of its end'
  await sees(check(port, { verify: false }), 'fail', `${words}, wanted for 1d yet`)
  await sees(check(port, { verify: false, validFor: { failMs: 0 } }), 'pass', words)
})

test('no TLS, no handshake', async () => {
  const plain = await tcpPeer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const silent = await tcpPeer(PEERS.hanging!)
  open.push(plain, silent)
  await sees(check(plain.port), 'fail', 'no TLS spoken')
  await sees(check(silent.port, {}, 300), 'timeout', 'no TLS handshake in 300ms')
})

test('a handshake that fails tells which part of it', async () => {
  const old = await serve({ ...good, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
  await sees(check(old), 'fail', 'TLS handshake failed: the site has no version that is in use, 1.2 or 1.3')
  const asking = await serve({ ...good, requestCert: true, maxVersion: 'TLSv1.2' })
  const refuses = 'TLS handshake failed: the site refuses it (no cipher in common, or it wants a client certificate)'
  await sees(check(asking), 'fail', refuses)
  const other = await serve({ ...good, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })
  await sees(check(other), 'fail', refuses)
  const reset = await tcpPeer((socket) => void socket.once('data', () => socket.resetAndDestroy()))
  open.push(reset)
  await sees(check(reset.port), 'fail', 'connection reset: no TLS handshake')
})

test('the end of the certificate is observed, and warned of, whether the check passes or not', async () => {
  const port = await serve(good)
  const endMs = Date.parse('2099-12-31T00:00:00Z')
  const seen = await sees(check(port), 'pass', 'certificate until 2099-12-31')
  expect(seen.certificate).toEqual({ endMs, warnMs: endMs - 14 * DAY_MS })
  const warnMs = endMs - Date.now() + DAY_MS
  const warned = await sees(
    check(port, { validFor: { warnMs, failMs: 0 } }),
    'pass',
    'certificate until 2099-12-31: ENDS SOON',
  )
  expect(warned.certificate).toEqual({ endMs, warnMs: endMs - warnMs })
  const failed = await runCheck(check(port, { host: 'api.example.com' }))
  expect(failed.certificate?.endMs).toBe(endMs)
  const old = await runCheck(check(await serve(expired)))
  expect(old).toMatchObject({ kind: 'fail', certificate: { endMs: Date.parse('2021-01-01T00:00:00Z') } })
})

test('one that lives for a week is warned of a fifth of that before its end', async () => {
  const { cert, key } = weekly()
  const seen = await runCheck(check(await serve({ cert, key }), { verify: false, validFor: { failMs: 0 } }))
  const { endMs, warnMs } = seen.certificate!
  expect((endMs - warnMs) / DAY_MS).toBeCloseTo(7 / 5, 3)
})

test('the last dot of a name is not a part of SNI, and a name of other scripts goes in its IDNA form', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-host-'))
  const files = {
    'defaults.yaml': 'soa: {serial: 1}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
    'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
    'services.yaml': ['www.example.com.', 'B\u00fccher.example.com', '2001:db8::1']
      .map((host, i) => `s${i}: {sites: {fra: {vips: [192.0.2.${i + 1}]}}, check: {type: tls, host: "${host}"}}\n`)
      .join(''),
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const { model, problems } = await loadFolder(folder)
  rmSync(folder, { recursive: true })
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  const hosts = ['www.example.com', 'xn--bcher-kva.example.com', '2001:db8::1']
  expect(model!.services.map(({ checks }) => checks)).toMatchObject(hosts.map((host) => [{ type: 'tls', host }]))
})

test('authorities of its own: those count, and not those of the machine', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-ca-'))
  const file = join(folder, 'lab.pem')
  const other = join(folder, 'other.pem')
  writeFileSync(file, selfSigned.cert)
  writeFileSync(other, authority)
  const authorities = { lab: [file], leaf: [other], gone: [join(folder, 'gone.pem')] }
  const port = await serve(selfSigned)
  const own = (ca: string) =>
    run(check(port, { ca, validFor: { failMs: 0 } }), { authorities, reach: makeReach(LOOPBACK) })
  expect(await own('lab')).toMatchObject({ kind: 'pass' })
  expect(await own('leaf')).toMatchObject({ kind: 'fail', reason: 'certificate is self-signed' })
  const lacks = "the check can't be made: probe.ca of this prober has no authorities “none”"
  expect(await own('none')).toMatchObject({ kind: 'unable', reason: lacks })
  expect(await own('gone')).toMatchObject({ kind: 'unable', reason: expect.stringContaining('gone.pem') })
  // the machine's, which this thread trusts, do not count beside it
  const known = await serve(good)
  const strange = { ...check(known, { ca: 'lab' }) }
  const { reason } = await run(strange, { authorities, reach: makeReach(LOOPBACK) })
  expect(reason).toBe('certificate of an unknown issuer: Meridian test authority')
  rmSync(folder, { recursive: true })
})

test('an intermediate authority suffices, as it does for curl', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-chain-'))
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore', cwd: folder })
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...fresh, '-keyout', 'root.key', '-out', 'root.pem', '-days', '30', '-subj', '/CN=root')
  const issue = (name: string, by: string, extensions: string) => {
    writeFileSync(file('ext'), extensions)
    openssl('req', ...fresh, '-keyout', `${name}.key`, '-out', 'csr', '-subj', `/CN=${name}`)
    const authorities = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial']
    openssl('x509', '-req', '-in', 'csr', ...authorities, '-out', `${name}.pem`, '-days', '30', '-extfile', 'ext')
  }
  issue('middle', 'root', 'basicConstraints=critical,CA:TRUE')
  issue('site', 'middle', 'subjectAltName=DNS:www.example.com')
  const cert = `${readFileSync(file('site.pem'), 'utf8')}${readFileSync(file('middle.pem'), 'utf8')}`
  const port = await serve({ cert, key: readFileSync(file('site.key')) })
  const settings = { authorities: { lab: [file('middle.pem')] }, reach: makeReach(LOOPBACK) }
  expect(await run(check(port, { ca: 'lab' }), settings)).toMatchObject({ kind: 'pass' })
  await sees(check(port), 'fail', 'certificate of an unknown issuer: middle')
  rmSync(folder, { recursive: true })
})

/** Signed by itself, for a week. */
function weekly(): { readonly cert: Buffer; readonly key: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-week-'))
  const key = join(folder, 'key')
  const cert = join(folder, 'cert')
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, '-days', '7', '-subj', '/CN=week'], {
    stdio: 'ignore',
  })
  const made = { cert: readFileSync(cert), key: readFileSync(key) }
  rmSync(folder, { recursive: true })
  return made
}
