import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { connect as connectSecure } from 'node:tls'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isListening, listenSocket, listenTcp } from '../../src/api/listen.ts'
import { ask as askNode, ControlError } from '../../src/cli/control.ts'
import { authority, expired, good } from '../support/certificates.ts'
import { countWaits } from '../support/cpu.ts'

const ADDRESS = '127.0.61.1'
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-listen-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const saying = (text: string): Hono => new Hono().get('/', (context) => context.text(text))

const ask = (socketPath: string): Promise<string> =>
  new Promise((done, failed) => {
    request({ socketPath, path: '/', agent: false }, (response) =>
      response.on('data', (data: Buffer) => done(data.toString())),
    )
      .once('error', failed)
      .end()
  })

test('the control socket belongs to its owner alone', async () => {
  const path = join(folder, 'control.sock')
  const server = await listenSocket(saying('one'), path)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(await ask(path)).toBe('one')
  await server.stop()
  expect(existsSync(path)).toBe(false)
})

test('a successor takes the path over, and its predecessor leaves it alone', async () => {
  const path = join(folder, 'control.sock')
  const one = await listenSocket(saying('one'), path)
  const two = await listenSocket(saying('two'), path)
  expect(await ask(path)).toBe('two')
  await one.stop()
  expect(await ask(path)).toBe('two')
  await two.stop()
  expect(existsSync(path)).toBe(false)
})

test('what a killed process left behind is no living node', async () => {
  const path = join(folder, 'control.sock')
  writeFileSync(path, '')
  expect(await isListening(path)).toBe(false)
  const server = await listenSocket(saying('one'), path)
  expect(await isListening(path)).toBe(true)
  await server.stop()
})

test('a request that never ends is ended soon after its time', async () => {
  const path = join(folder, 'control.sock')
  const server = await listenSocket(saying('one'), path)
  const begunMs = performance.now()
  const waits = countWaits()
  const slow = connect(path, () => slow.write('GET / HTTP/1.1\r\nHost: x\r\n'))
  await once(slow.resume(), 'close')
  expect(performance.now() - begunMs).toBeLessThan(9_000 + waits())
  await server.stop()
})

test('a request that is worked on for longer than the time of silence is not answered', async () => {
  const { promise: done, resolve: finish } = Promise.withResolvers<void>()
  const slow = new Hono().get('/', (context) => done.then(() => context.text('done')))
  const [short, long] = [await listenTcp(slow, ADDRESS, 8061, { silentMs: 50 }), await listenTcp(slow, ADDRESS, 8062)]
  const answer = fetch(`http://${ADDRESS}:8062`)
  await expect(fetch(`http://${ADDRESS}:8061`)).rejects.toThrow()
  finish()
  expect(await (await answer).text()).toBe('done')
  await Promise.all([short.stop(), long.stop()])
})

test('a port in use is the error of the system call', async () => {
  const other = createServer()
  const port = await new Promise<number>((done) =>
    other.listen(0, ADDRESS, () => {
      const address = other.address()
      done(typeof address === 'object' && address !== null ? address.port : 0)
    }),
  )
  await expect(listenTcp(saying('one'), ADDRESS, port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await new Promise((done) => other.close(done))
  const server = await listenTcp(saying('one'), ADDRESS, port)
  expect(await (await fetch(`http://${ADDRESS}:${port}/`)).text()).toBe('one')
  await server.stop()
})

/** An address that the certificate `good` is for. */
const SECURE = '127.77.1.1'
const PORT = 8443
const credentialsOf = ({ cert, key }: typeof good) => ({ certificate: cert, key, ticketKeys: new Uint8Array(48) })

/** Asks over TLS on a new connection: the text, and until when the certificate is good. */
async function askSecure(): Promise<{ readonly text: string; readonly until: string }> {
  const socket = connectSecure({ host: SECURE, port: PORT, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  const until = socket.getPeerCertificate().valid_to
  return { text: (await textOf(socket)).split('\r\n\r\n').at(-1)!, until }
}

test('with a certificate HTTPS is spoken, and another one is shown from the next connection on', async () => {
  const server = await listenTcp(saying('one'), SECURE, PORT, { credentials: credentialsOf(good) })
  try {
    expect(await askSecure()).toEqual({ text: 'one', until: 'Dec 31 00:00:00 2099 GMT' })
    server.setCredentials(credentialsOf(expired))
    expect(await askSecure()).toEqual({ text: 'one', until: 'Jan  1 00:00:00 2021 GMT' })
    await expect(fetch(`http://${SECURE}:${PORT}/`)).rejects.toThrow('fetch failed')
  } finally {
    await server.stop()
  }
})

test('commands ask over TLS where the authority is trusted', async () => {
  const answer = new Hono().get('/', (context) => context.json({ it: 'is' }))
  const server = await listenTcp(answer, SECURE, PORT, { credentials: credentialsOf(good) })
  try {
    const at = `https://${SECURE}:${PORT}`
    const untrusted = await askNode({ state: folder, at }, '/').catch((error: unknown) => error)
    expect(untrusted).toBeInstanceOf(ControlError)
    expect(String(untrusted)).toMatch(
      /its certificate is not to be trusted \(.*\)\n {4}Name its authority in the setting tls\.ca/,
    )
    const file = join(folder, 'ca.pem')
    writeFileSync(file, authority)
    expect(await askNode({ state: folder, at, authorities: [file] }, '/')).toEqual({ it: 'is' })
    await expect(askNode({ state: folder, at: `http://${SECURE}:${PORT}` }, '/')).rejects.toThrow(
      'With http.certificate it is https',
    )
    await expect(askNode({ state: folder, at: 'ftp://192.0.2.1' }, '/')).rejects.toThrow('is not the address of a node')
  } finally {
    await server.stop()
  }
})

test('handshakes that never end keep nobody out, and do not hold the end up', async () => {
  const limits = { connections: 8, perClient: 2, reserved: 1, readMs: 1_000, unreadBytes: 1 << 20 }
  const server = await listenTcp(saying('one'), SECURE, PORT, { limits, credentials: credentialsOf(good) })
  const silent = [1, 2, 3].map(() => connect(PORT, SECURE).on('error', () => undefined))
  await Promise.all(silent.map((socket) => once(socket, 'connect')))
  for (let i = 0; i < 4; i++) expect((await askSecure()).text).toBe('one')
  const last = connect(PORT, SECURE).on('error', () => undefined)
  await once(last, 'connect')
  const begunMs = performance.now()
  await server.stop()
  expect(performance.now() - begunMs).toBeLessThan(2_000)
  for (const socket of [...silent, last]) socket.destroy()
})
