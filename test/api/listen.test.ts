import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isListening, listenSocket, listenTcp } from '../../src/api/listen.ts'
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
