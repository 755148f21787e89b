/** What a command says when no node answers: each cause has words of its own, and says what to do. */
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listenSocket, shareSocket } from '../../src/api/listen.ts'
import { ask, ControlError, NoNodeError, post } from '../../src/cli/control.ts'
import { gidOf } from '../../src/node/group.ts'

let state = ''
let servers: Server[] = []
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'meridian-control-'))
})
afterEach(async () => {
  for (const server of servers) server.close()
  servers = []
  rmSync(state, { recursive: true })
})

const listening = async (path: string): Promise<Server> => {
  const server = createServer(() => {}) // takes connections, and says nothing
  servers.push(server)
  await new Promise<void>((done) => server.listen(path, done))
  return server
}

const lack = (at?: string): Promise<Error> =>
  ask({ state, ...(at !== undefined && { at }) }, '/api/status').then(
    () => new Error('it was answered'),
    (error: Error) => error,
  )

const isRoot = process.getuid?.() === 0
const STRANGER = 65_532

const BODY = '{"a": 1}'
/** Answers with the pieces of BODY, the first at once, each of the others so much later. */
const answering = async (path: string, pieces: readonly string[], eachMs = 0): Promise<void> => {
  const server = createServer((socket) => {
    socket.on('error', () => {}).write(`HTTP/1.1 200 OK\r\ncontent-length: ${BODY.length}\r\n\r\n`)
    pieces.forEach((piece, i) => setTimeout(() => socket.write(piece), i * eachMs))
  })
  servers.push(server)
  await new Promise<void>((done) => server.listen(path, done))
}

/** Runs something as another user, when this is root. */
async function asStranger<T>(gid: number, what: () => Promise<T>): Promise<T> {
  process.setegid!(gid)
  process.seteuid!(STRANGER)
  try {
    return await what()
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
  }
}

test('no socket: nothing runs with this state folder', async () => {
  const error = await lack()
  expect(error).toBeInstanceOf(NoNodeError)
  expect(error.message).toContain(`no node answers on ${state}/control.sock: there is no such socket`)
  expect(error.message).toContain('--state')
})

test('a socket that nobody has any more: the process has ended', async () => {
  const path = join(state, 'one.sock')
  const server = await listening(path)
  linkSync(path, join(state, 'control.sock'))
  await new Promise((done) => server.close(done))
  const error = await lack()
  expect(error).toBeInstanceOf(NoNodeError)
  expect(error.message).toContain('the process that made it has ended')
})

test('a process that has the socket and is silent is named, and no file is read in its place', async () => {
  await listening(join(state, 'control.sock'))
  const run = { format: 'meridian run 1', pid: process.pid, startedMs: 1, aliveMs: 2, residentBytes: 3 }
  writeFileSync(join(state, 'run.json'), JSON.stringify(run))
  const error = await lack()
  expect(error).toBeInstanceOf(ControlError)
  expect(error).not.toBeInstanceOf(NoNodeError)
  expect(error.message).toContain(`process ${process.pid} has it, but has said nothing for 5 s`)
})

test.runIf(isRoot)('a socket of another user: says so, and who may', async () => {
  const server = await listenSocket(new Hono(), join(state, 'control.sock'))
  chmodSync(state, 0o755)
  const error = await asStranger(STRANGER, lack)
  await server.stop()
  expect(error).not.toBeInstanceOf(NoNodeError)
  expect(error.message).toMatch(/this user may not open it \(EACCES\)\n.*control\.group/)
})

test.runIf(isRoot)('a socket that is shared with a group lets its members in, and no stranger', async () => {
  const path = join(state, 'control.sock')
  const gid = 65_123
  const server = await listenSocket(
    new Hono().get('/api/status', (context) => context.json({ well: true })),
    path,
  )
  chmodSync(state, 0o755)
  shareSocket(path, gid)
  expect(await asStranger(gid, () => ask({ state }, '/api/status'))).toEqual({ well: true })
  expect((await asStranger(STRANGER, lack)).message).toContain('EACCES')
  await server.stop()
})

test('another node: a port that nobody has, a silent one, and a name that there is not', async () => {
  const server = createServer(() => {})
  servers.push(server)
  const port = await new Promise<number>((done) =>
    server.listen(0, '127.0.61.2', () => {
      const address = server.address()
      done(address !== null && typeof address === 'object' ? address.port : 0)
    }),
  )
  expect((await lack(`127.0.61.2:${port}`)).message).toMatch(/no answer within 5 s\n.*firewall/)
  expect((await lack('127.0.61.3:1')).message).toMatch(/nothing listens there\n.*http\.listen/)
  expect((await lack('nowhere.invalid:8053')).message).toMatch(/the name has no address \(E\w+\)\n.*address/)
})

test('a group is one of the file of groups, or a number', () => {
  const file = join(state, 'group')
  writeFileSync(file, 'root:x:0:\nops:x:1005:kim,lee\nbroken:x\n')
  expect(['ops', 'root', '4711', 'broken', 'op', 'x'].map((group) => gidOf(group, file))).toEqual([
    1005,
    0,
    4711,
    undefined,
    undefined,
    undefined,
  ])
  expect(gidOf('ops', join(state, 'none'))).toBeUndefined()
})

test('an order may take longer than a question: it waits for a disk, for Redis and for other nodes', async () => {
  const app = new Hono()
  app.post('/api/overrides', async (context) => {
    await sleep(5_300)
    return context.json({ done: 'late' })
  })
  const server = await listenSocket(app, join(state, 'control.sock'))
  expect(await post({ state }, '/api/overrides', {})).toEqual({ done: 'late' })
  await server.stop()
})

test('silence is what is waited for, not the end of a long answer; one that stops in the middle is silent', async () => {
  const [long, half] = [join(state, 'long'), join(state, 'half')]
  mkdirSync(long)
  mkdirSync(half)
  await answering(join(long, 'control.sock'), ['{"a', '":', ' 1', '}'], 2_000)
  await answering(join(half, 'control.sock'), ['{"a'])
  const [answer, error] = await Promise.all([
    ask({ state: long }, '/api/status'),
    ask({ state: half }, '/api/status').catch((thrown: unknown) => thrown),
  ])
  expect(answer).toEqual({ a: 1 })
  expect(error).toBeInstanceOf(ControlError)
  expect(error).toMatchObject({ message: expect.stringContaining('but has said nothing for 5 s') })
})
