/** Requests to receivers over real sockets: signatures, bounds, TLS, and what is told of failures. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createSecureServer } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Message } from '../../../src/events/notify/message.ts'
import { send } from '../../../src/events/notify/send.ts'
import { post } from '../../../src/events/notify/webhook.ts'
import { authority, good } from '../../support/certificates.ts'
import { until } from '../../support/until.ts'
import { eventsOf, portOf, receiversOf, WebhookReceiver } from './receiver.ts'

const event = eventsOf('n1')({})
const item = { event, problem: 'verdict fra', direction: 'problem', was: 'warning' } as const
const message: Message = {
  id: event.id,
  problem: 'verdict fra',
  direction: 'problem',
  node: 'n1',
  atMs: 1,
  items: [item],
  open: 1,
}

let receiver: WebhookReceiver
beforeEach(async () => {
  receiver = await WebhookReceiver.start()
})
afterEach(() => receiver.stop())

const ops = (settings: Readonly<Record<string, string>> = {}) =>
  receiversOf({ 'ops.url': receiver.url, ...settings })['ops']!

describe('signatures, as Standard Webhooks 1.0 verifies them', () => {
  const secretText = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  test.each([
    ['a text', secretText, Buffer.from(secretText)],
    ['base64', `whsec_${secretText}`, Buffer.from(secretText, 'base64')],
  ])('with a secret that is %s', async (_, secret, key) => {
    expect(await send(ops({ 'ops.secret': secret }), message, 0)).toEqual({ sent: true })
    const { headers, text } = receiver.got[0]!
    const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = headers
    expect(id).toBe(event.id)
    expect(Math.abs(Number(time) - Date.now() / 1000)).toBeLessThan(60)
    expect(signature).toBe(
      `v1,${createHmac('sha256', key)
        .update(`${String(id)}.${String(time)}.${text}`)
        .digest('base64')}`,
    )
  })

  test('the secret and the URL are read from their files anew for each message; without a secret there is none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meridian-notify-'))
    const [secret, url] = [join(folder, 'secret'), join(folder, 'url')]
    try {
      writeFileSync(url, `${receiver.url}\n`)
      const named = receiversOf({ 'ops.url': `file:${url}`, 'ops.secret': `file:${secret}` })['ops']!
      expect(await send(named, message, 0)).toMatchObject({ sent: false, why: `${secret} can't be read: ENOENT` })
      for (const text of ['the-first-secret\n', 'the-second-secret\n']) {
        writeFileSync(secret, text)
        await send(named, message, 0)
      }
      const macs = receiver.got.map(({ headers, text }) => ({ headers, text }))
      for (const [i, key] of ['the-first-secret', 'the-second-secret'].entries()) {
        const { headers, text } = macs[i]!
        const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${text}`
        expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
      }
      await send(ops(), message, 0)
      expect(receiver.got.at(-1)!.headers['webhook-signature']).toBeUndefined()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('what a status means', () => {
  test.each([
    [204, {}, { sent: true }],
    [400, {}, { sent: false, isFinal: true }],
    [401, {}, { sent: false, isFinal: false }],
    [404, {}, { sent: false, isFinal: false }],
    [413, {}, { sent: false, isFinal: true }],
    [429, { 'retry-after': '7' }, { sent: false, isFinal: false, waitMs: 7_000 }],
    [503, { 'retry-after': '999999' }, { sent: false, isFinal: false, waitMs: 600_000 }],
  ])('%i', async (status, headers, outcome) => {
    Object.assign(receiver, { status, headers })
    expect(await send(ops(), message, 0)).toMatchObject(outcome)
  })

  test('a redirect is not followed, and no secret is told', async () => {
    const other = await WebhookReceiver.start()
    Object.assign(receiver, { status: 307, headers: { location: other.url } })
    const outcome = await send(ops(), message, 0)
    await other.stop()
    expect(outcome).toMatchObject({
      sent: false,
      isFinal: false,
      why: expect.stringContaining('a redirect, which is not followed'),
    })
    expect(other.got).toEqual([])
  })

  test('what a receiver says of a failure is told, without secrets that it repeats, and in one line', async () => {
    const secret = 'a-secret-of-sixteen'
    Object.assign(receiver, { status: 500, reply: `no\u001b[31m\ngood: /hook/token-in-the-path ${secret}` })
    const outcome = await send(ops({ 'ops.secret': secret }), message, 0)
    expect(outcome).toMatchObject({ sent: false, why: '127.0.0.1: status 500: no\u{fffd}[31m good: … …' })
  })
})

describe('receivers that do not behave', () => {
  let server: Server
  const sockets = new Set<Socket>()
  const serve = async (answer: (socket: Socket) => void): Promise<URL> => {
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
      socket.once('data', () => answer(socket))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new URL(`http://127.0.0.1:${portOf(server)}/`)
  }
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const request = { id: 'm', body: '{}', hidden: [], timeoutMs: 300, nowMs: 0 }

  test('one that never answers is left in time', async () => {
    const url = await serve(() => {})
    const beganMs = performance.now()
    expect(await post({ ...request, url })).toEqual({
      sent: false,
      why: '127.0.0.1: no response within 0.3 s',
      isFinal: false,
    })
    expect(performance.now() - beganMs).toBeLessThan(5_000)
    await until('its connection is closed', () => sockets.size === 0)
  })

  test('one whose answer has no end is read to 4 KB, and counts by its status', async () => {
    let written = 0
    const url = await serve((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n')
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(1000, 'x'))) written += 1000
        socket.once('drain', more)
      }
      more()
    })
    expect(await post({ ...request, url, timeoutMs: 10_000 })).toEqual({ sent: true })
    await until('its connection is closed', () => sockets.size === 0)
    expect(written).toBeLessThan(50_000_000)
  })

  test('one that drips is left in time, and counts by its status', async () => {
    const url = await serve((socket) => {
      socket.write('HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\n')
      const timer = setInterval(() => socket.write('x'), 20)
      socket.once('close', () => clearInterval(timer))
    })
    expect(await post({ ...request, url })).toMatchObject({
      sent: false,
      why: expect.stringMatching(/status 500: x+$/),
    })
    await until('its connection is closed', () => sockets.size === 0)
  })
})

describe('TLS', () => {
  const defaults = getCACertificates('default')
  const server = createSecureServer(good, (_, response) => response.end())
  let url: URL
  beforeAll(async () => {
    server.listen(0, '127.77.1.1')
    await once(server, 'listening')
    url = new URL(`https://127.77.1.1:${portOf(server)}/`)
  })
  afterAll(() => {
    setDefaultCACertificates(defaults)
    server.closeAllConnections()
    server.close()
  })
  const request = () => post({ url, id: 'm', body: '{}', hidden: [], timeoutMs: 10_000, nowMs: 0 })

  test('a certificate is verified with the authorities of the process', async () => {
    expect(await request()).toMatchObject({
      sent: false,
      why: expect.stringContaining('an authority that is not trusted'),
    })
    setDefaultCACertificates([...defaults, authority])
    expect(await request()).toEqual({ sent: true })
    setDefaultCACertificates(defaults)
  })
})
