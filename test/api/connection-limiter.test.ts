/** Whoever holds connections keeps nobody else out, and /live and /ready are answered whatever the others do. */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type HttpServer, listenTcp } from '../../src/api/listen.ts'
import { connectionLimits } from '../../src/api/connection-limiter.ts'

const ADDRESS = '127.0.61.2'
const PORT = 8061
const LIMITS = { connections: 32, perClient: 8, reserved: 4, readMs: 300, unreadBytes: 20 << 20 }
const HELD = 40 // more than there are places
const PATIENT = { timeout: 60_000 }
const LARGE = 'x'.repeat(8 << 20)

let server: HttpServer
let answering = 0
let large = 0
let release = (): void => {}
const held: Socket[] = []

beforeEach(async () => {
  answering = large = 0
  const slow = new Promise<void>((done) => (release = done))
  const app = new Hono()
    .get('/ready', (context) => context.text('ready'))
    .get('/metrics', (context) => context.text('some'))
    .get('/large', (context) => (large++, context.text(LARGE)))
    .get('/slow', async (context) => (answering++, await slow, context.text('slow')))
  server = await listenTcp(app, ADDRESS, PORT, { limits: LIMITS })
})

afterEach(async () => {
  release()
  for (const socket of held.splice(0)) socket.destroy()
  await server.stop()
})

/** The body, or the error's code; a second at most, as an orchestrator waits. */
const ask = (path: string, localAddress = '127.0.0.1'): Promise<string> =>
  new Promise((done) => {
    const sent = request({ host: ADDRESS, port: PORT, path, localAddress, agent: false, timeout: 1000 })
    sent.once('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (data: string) => (body += data))
      response.once('end', () => done(body))
    })
    sent.once('timeout', () => sent.destroy(new Error('timeout')))
    sent.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message))
    sent.end()
  })

async function hold(text: string, localAddress: string): Promise<Socket> {
  const socket = connect({ host: ADDRESS, port: PORT, localAddress })
  held.push(socket.on('error', () => {}).pause())
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

const isOpen = (socket: Socket): boolean => !socket.resume().closed

test.each([
  ['one client', () => '127.0.0.1'],
  ['many clients', (i: number) => `127.0.62.${i % 250}`],
])('half requests of %s keep nobody from /ready', async (_, from) => {
  await Promise.all(Array.from({ length: HELD }, (_item, i) => hold('GET /ready HTTP/1.1\r\nHost: x\r\n', from(i))))
  const answers = []
  for (let i = 0; i < 59; i++) answers.push(await ask('/ready'))
  expect(new Set(answers)).toEqual(new Set(['ready']))
})

test('answers that nobody reads make room for others after a while', async () => {
  await Promise.all(
    Array.from({ length: HELD }, (_item, i) => hold('GET /large HTTP/1.1\r\nHost: x\r\n\r\n', `127.0.62.${i % 250}`)),
  )
  await expect.poll(() => ask('/metrics'), PATIENT).toBe('some')
})

test('answers that nobody reads hold no more than they may, and the oldest go', async () => {
  const sockets: Socket[] = []
  for (let i = 0; i < 8; i++) sockets.push(await hold('GET /large HTTP/1.1\r\nHost: x\r\n\r\n', `127.0.62.${i}`))
  await expect.poll(() => large, PATIENT).toBe(8)
  expect(await ask('/ready')).toBe('ready')
  await expect.poll(() => sockets.map(isOpen).join(), PATIENT).toBe(`${'false,'.repeat(6)}true,true`)
})

test('who asks again before the answer is closed: one connection asks for one answer at a time', async () => {
  const greedy = await hold('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000), '127.0.62.1')
  await expect.poll(() => isOpen(greedy), PATIENT).toBe(false)
  expect(answering).toBe(1)
  expect(await ask('/ready')).toBe('ready')
})

test('while all others are being answered, the reserved places answer /ready and nothing else', async () => {
  await Promise.all(
    Array.from({ length: LIMITS.connections }, (_item, i) =>
      hold('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n', `127.0.62.${i % 250}`),
    ),
  )
  await expect.poll(() => answering, PATIENT).toBe(LIMITS.connections)
  expect(await ask('/metrics')).toContain('too many connections')
  for (let i = 0; i < 59; i++) expect(await ask('/ready')).toBe('ready')
  await Promise.all(Array.from({ length: 9 }, () => hold('GET /ready HTTP/1.1\r\n', '127.0.0.1')))
  expect(await ask('/ready')).toBe('ready')
})

test('a load balancer that asks by HTTP/1.0, without Host, is answered', async () => {
  const asking = await hold('GET /ready HTTP/1.0\r\n\r\n', '127.0.0.1')
  const [answer] = await once(asking.setEncoding('utf8').resume(), 'data')
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
})

test('one client has a quarter of the places', async () => {
  const all = Array.from({ length: HELD }, () => hold('GET /ready HTTP/1.1\r\n', '127.0.0.1'))
  const sockets = await Promise.all(all)
  const others = await Promise.all(Array.from({ length: 20 }, (_item, i) => hold('GET', `127.0.62.${i}`)))
  await expect.poll(() => sockets.filter(isOpen).length, PATIENT).toBe(LIMITS.perClient)
  expect(others.filter(isOpen)).toHaveLength(20)
})

test('places follow the limit on open files', () => {
  expect(connectionLimits(0)).toMatchObject({ connections: 256, perClient: 64 })
  expect(connectionLimits(1_048_576)).toMatchObject({ connections: 256 })
  expect(connectionLimits(1024)).toMatchObject({ connections: 128, perClient: 32 })
  expect(connectionLimits(64)).toMatchObject({ connections: 16, perClient: 4 })
})
