/** The certificate of TLS and HTTPS: what is wrong with a pair, at the start and in a running node. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CertificateFiles } from '../../src/node/certificate.ts'
import { loadSettings } from '../../src/node/settings.ts'
import type { Credentials } from '../../src/server/handshakes.ts'
import { authority, expired, good, untilText } from '../support/certificates.ts'
import { until } from '../support/until.ts'

let folder = ''
let cert = ''
let key = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-certificate-'))
  cert = join(folder, 'cert.pem')
  key = join(folder, 'key.pem')
  write(good)
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(pair: { readonly cert?: string; readonly key?: string }): void {
  for (const [file, text] of [
    [cert, pair.cert],
    [key, pair.key],
  ] as const) {
    if (text === undefined) continue
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  }
}

/** What the settings say at the start of a node. */
const problems = (more = 'tls: {listen: "127.0.0.1:853", certificate: cert.pem, key: key.pem}', role = 'serve') => {
  const file = join(folder, 'meridian.yaml')
  writeFileSync(file, `${more}\n`)
  const settings = loadSettings({ file, env: {}, flags: [], role: role === 'serve' ? 'serve' : undefined })
  return settings.problems.map(({ severity, line, column, message, hint }) => ({
    at: `${severity} ${line}:${column}`,
    message: message.replaceAll(folder, ''),
    hint,
  }))
}

describe('at the start', () => {
  test('a good pair, one with its chain, and none where neither TLS nor HTTPS is served', () => {
    expect(problems()).toEqual([])
    write({ cert: `${good.cert}\n${authority}\n` })
    expect(problems()).toEqual([])
    write({ cert: 'none' })
    expect(problems('tls: {certificate: cert.pem}')).toEqual([])
    expect(problems(undefined, 'command')).toEqual([])
  })

  test.each([
    [
      'tls: {listen: "127.0.0.1:853"}',
      'error 1:15',
      'tls.listen needs a certificate, but the setting tls.certificate is missing',
    ],
    [
      'tls: {certificate: cert.pem}\nhttps.listen: "127.0.0.1:443"',
      'error 2:15',
      'https.listen needs a certificate, but the setting tls.key is missing',
    ],
    [
      'http: {certificate: cert.pem}',
      'error 1:21',
      'http.certificate needs its key, but the setting http.key is missing',
    ],
    ['http: {key: key.pem}', 'error 1:13', 'http.key needs a certificate, but the setting http.certificate is missing'],
  ])('%s', (text, at, message) => {
    const of = text.startsWith('http:') ? 'http' : 'tls'
    const hint = `Set ${of}.certificate and ${of}.key, to PEM files of a certificate and its private key`
    expect(problems(text)).toEqual([{ at, message, hint }])
  })

  const CHAIN = 'A PEM file with the certificate of this server first, then the intermediate ones'
  const KEY = 'The private key of the certificate, in PEM form and without a passphrase'
  const locked = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey

  test.each([
    ['no certificate', { cert: 'none' }, 'error 1:45', /^tls.certificate: \/cert.pem has no certificate: /, CHAIN],
    [
      'a key in place of it',
      { cert: good.key },
      'error 1:45',
      /^tls.certificate: \/cert.pem has no certificate: /,
      CHAIN,
    ],
    ['no key', { key: good.cert }, 'error 1:60', /^tls.key: \/key.pem has no key that can be used: /, KEY],
    [
      'a key with a passphrase',
      { key: locked },
      'error 1:60',
      /has no key that can be used: it has a passphrase$/,
      KEY,
    ],
    [
      'the key of another',
      { key: expired.key },
      'error 1:60',
      /^tls.key: the key in \/key.pem is not that of the first certificate in \/cert.pem$/,
      `${CHAIN}; ${KEY.toLowerCase()}`,
    ],
    [
      'the chain the wrong way round',
      { cert: `${authority}\n${good.cert}` },
      'error 1:60',
      /is not that of the first certificate/,
      `${CHAIN}; ${KEY.toLowerCase()}`,
    ],
    [
      'expired: a warning, for UDP needs none',
      expired,
      'warning 1:45',
      /^tls.certificate: the certificate expired at 2021-01-01 00:00 UTC$/,
      'Renew it: clients that check certificates will not ask here',
    ],
  ])('%s', (_what, pair, at, message, hint) => {
    write(pair)
    expect(problems()).toMatchObject([{ at, message: expect.stringMatching(message), hint }])
  })

  test('a file that is not there', () => {
    rmSync(key)
    expect(problems()).toMatchObject([
      { at: 'error 1:60', message: "tls.key: /key.pem can't be read: ENOENT", hint: KEY },
    ])
  })
})

test('in a running node: a good pair is taken, a bad one is told of once and leaves the one before', async () => {
  const lines: string[] = []
  const taken: Credentials[] = []
  const files = new CertificateFiles(cert, key, (level, line) => void lines.push(`${level} ${line}`))
  await files.watch((credentials) => void taken.push(credentials))
  try {
    const first = files.credentials()
    expect([files.endsMs, files.trouble]).toEqual([Date.UTC(2099, 11, 31), undefined])
    // a renewal in two steps: in between the pair does not fit
    write({ cert: expired.cert })
    await until('trouble', () => files.trouble !== undefined)
    expect(lines).toEqual([
      `warn the new certificate is not used, the one before stays: the key in ${key} is not that of the first certificate in ${cert}. A PEM file with the certificate of this server first, then the intermediate ones; the private key of the certificate, in pem form and without a passphrase`,
    ])
    files.read(() => {}) // SIGHUP
    expect(lines).toHaveLength(1)
    expect(files.credentials().certificate).toBe(first.certificate)
    write({ key: expired.key })
    await until('taken', () => taken.length === 1)
    expect(taken[0]).toMatchObject({ certificate: expired.cert, key: expired.key })
    expect(taken[0]!.ticketKeys).not.toEqual(first.ticketKeys)
    expect(lines.slice(1)).toEqual([
      `info ${cert}: the new certificate is in use; it ends 2021-01-01T00:00:00.000Z`,
      `warn ${cert}: the certificate expired at 2021-01-01 00:00 UTC: clients that check it will not ask`,
    ])
    expect([files.endsMs, files.trouble]).toEqual([Date.UTC(2021, 0, 1), undefined])
    // the same again is no news
    write(expired)
    files.read((credentials) => void taken.push(credentials))
    expect(taken).toHaveLength(1)
  } finally {
    await files.stop()
  }
})

test('a certificate that is not valid yet', () => {
  const lines: string[] = []
  const der = Buffer.from(untilText('20991231000000Z').replaceAll(/-----.*-----/g, ''), 'base64')
  der.write('480101000000Z', der.indexOf('200101000000Z'), 'latin1')
  write({ cert: `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----` })
  void new CertificateFiles(cert, key, (_level, line) => void lines.push(line))
  expect(lines).toEqual([
    `${cert}: the certificate is not valid before 2048-01-01 00:00 UTC: clients that check it will not ask`,
  ])
})
