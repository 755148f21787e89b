/** The threads of TLS and HTTPS: their end, their successors, their certificate, and what a client can't hold. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { DOT } from '../../src/answer/responder.ts'
import type { TcpLimits } from '../../src/server/connections.ts'
import type { ServerOptions } from '../../src/server/server.ts'
import { TCP_LIMITS, type TcpFront } from '../../src/server/tcp.ts'
import type { Endpoint } from '../../src/units.ts'
import { doh } from '../support/ask.ts'
import { expired, good } from '../support/certificates.ts'
import { until } from '../support/until.ts'
import { answersOf, idOf, query, rcodeOf, TcpClient, tlsTo, TYPE } from './client.ts'
import { makeCredentials, makeWorld, type Running, start, startTcp } from './fixture.ts'
import { runInThread } from './inspect.ts'

const world = await makeWorld(1)
const credentials = makeCredentials()
const on = [{ address: '127.0.0.1', port: 0 }]
const ending: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

async function begin(options: Partial<ServerOptions> = {}): Promise<Running> {
  const running = await start({ world, tls: on, https: on, credentials, ...options })
  ending.push(() => running.server.stop(0))
  return running
}
async function beginDot(limits: Partial<TcpLimits> = {}): Promise<{ readonly front: TcpFront; readonly to: Endpoint }> {
  const started = await startTcp({ world, transport: DOT, limits: { ...TCP_LIMITS, ...limits } })
  ending.push(() => started.front.stop(0))
  return started
}
function client(to: Endpoint, options: Parameters<typeof tlsTo>[1] = {}): TcpClient {
  const made = new TcpClient(tlsTo(to, options))
  ending.push(() => void made.socket.destroy())
  return made
}

/** Whose certificate is shown: its number. */
async function shown(to: Endpoint): Promise<string> {
  const socket = tlsTo(to, { rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

/** A ticket for a later session. */
async function ticketOf(to: Endpoint): Promise<Buffer> {
  const socket: TLSSocket = tlsTo(to)
  const [session] = await once(socket, 'session')
  socket.destroy()
  return session
}

describe('the threads', () => {
  test('each dies and is replaced alone; its successor has the World of now and takes the tickets of before', async () => {
    const { server, logged } = await begin()
    const [tls, https] = [server.tls[0]!, server.https[0]!]
    const plain = new TcpClient(server.listen[0]!)
    ending.push(() => void plain.socket.destroy())
    plain.send(query(1, 'a.example.com'))
    await until('TCP is as ever', () => plain.answers.length === 1)
    const session = await ticketOf(tls)
    server.publish(await makeWorld(2))
    await until('adopted', () => server.adopted() === 2)
    await runInThread('dot', 'process.exit(1)')
    await until('replaced', () => server.stats().dot!.died === 1)
    const after = client(tls, { session })
    after.send(query(2, 'v.example.com'))
    await until('an answer', () => after.answers.length === 1)
    expect(answersOf(after.answers[0]!)).toBe(2)
    expect(server.stats().dot).toMatchObject({ died: 1, stalled: 0, resumed: 1, open: 1 })
    await runInThread('doh', 'process.exit(1)')
    const reply = await doh(https.address, https.port).send(query(3, 'v.example.com'))
    expect(answersOf(reply!)).toBe(2)
    expect([server.stats().tcp.died, server.stats().udp.died, server.stats().doh!.died]).toEqual([0, 0, 1])
    expect(logged.join()).toContain('the TLS thread ended and is replaced')
    expect(logged.join()).toContain('the HTTPS thread ended and is replaced')
  })

  test('one stands still: it is ended and replaced', async () => {
    const { server } = await begin({ https: [] })
    await runInThread('dot', 'for (;;);')
    const late = client(server.tls[0]!)
    late.send(query(1, 'a.example.com'))
    await until('an answer', () => late.answers.length === 1)
    expect(server.stats()).toMatchObject({ dot: { died: 1, stalled: 1 }, tcp: { died: 0 } })
  })

  test('a successor takes over: those who are connected are answered to the end, newcomers by it', async () => {
    const old = await begin()
    const before = client(old.server.tls[0]!)
    before.send(query(1, 'a.example.com'))
    await until('an answer', () => before.answers.length === 1)
    const { listen, tls, https } = old.server
    const next = await begin({ listen, tls, https, takeover: true })
    const stopped = old.server.stop()
    before.send(query(2, 'a.example.com'))
    const newcomers = Array.from({ length: 10 }, () => client(tls[0]!))
    for (const newcomer of newcomers) newcomer.send(query(3, 'a.example.com'))
    await until('all answers', () => newcomers.every(({ answers }) => answers.length === 1))
    await until('its answer', () => before.answers.length === 2)
    expect(rcodeOf((await doh(https[0]!.address, https[0]!.port).send(query(4, 'a.example.com')))!)).toBe(0)
    expect([old, next].map(({ server }) => server.stats().dot!.accepted)).toEqual([1, 10])
    expect(next.server.stats().doh!.accepted).toBe(1)
    await until('the idle one closed', () => before.closed)
    await stopped
  })

  test('without koffi they bind themselves', async () => {
    const { server } = await begin({ portable: true })
    const one = client(server.tls[0]!)
    one.send(query(1, 'a.example.com'))
    await until('an answer', () => one.answers.length === 1)
    const { address, port } = server.https[0]!
    expect(idOf((await doh(address, port).send(query(2, 'a.example.com')))!)).toBe(2)
  })

  test('a taken port is told of, and nothing is left behind', async () => {
    const { server } = await begin({ https: [] })
    await expect(start({ world, tls: [], https: server.tls, credentials })).rejects.toThrow(
      '(TCP): the address is in use',
    )
    await expect(start({ world, tls: server.tls, credentials, portable: true })).rejects.toThrow(
      'the address is in use',
    )
  })

  test('another certificate is shown from the next handshake on, by a replaced thread too', async () => {
    const { server } = await begin({ https: [] })
    const to = server.tls[0]!
    const connected = client(to)
    connected.send(query(1, 'a.example.com'))
    await until('an answer', () => connected.answers.length === 1)
    expect(await shown(to)).toBe('1000')
    server.setCredentials(makeCredentials(expired))
    await until('the other one', async () => (await shown(to)) === '1001')
    connected.send(query(2, 'a.example.com'))
    await until('who is connected stays', () => connected.answers.length === 2)
    await runInThread('dot', 'process.exit(1)')
    await until('replaced', () => server.stats().dot!.died === 1)
    expect(await shown(to)).toBe('1001')
    server.setCredentials(makeCredentials(good))
    await until('the first again', async () => (await shown(to)) === '1000')
  })
})

describe('limits over TLS', () => {
  test('connections of one client, and of all: the longest idle gives place', async () => {
    const { front, to } = await beginDot({ perClient: 3, connections: 4 })
    const mine = [0, 1, 2].map(() => client(to))
    for (const one of mine) one.send(query(1, 'a.example.com'))
    await until('answers', () => mine.every(({ answers }) => answers.length === 1))
    const fourth = client(to)
    await until('refused', () => fourth.closed)
    const others = ['127.0.0.2', '127.0.0.3'].map((localAddress) => client(to, { localAddress }))
    for (const one of others) one.send(query(1, 'a.example.com'))
    await until('answers', () => others.every(({ answers }) => answers.length === 1))
    expect(front.stats()).toMatchObject({ open: 4, refused: 1, evicted: 1 })
    expect(mine.filter(({ closed }) => closed)).toHaveLength(1)
  })

  test('a client that reads nothing is not read on, and is closed; one that reads late gets all', async () => {
    const { front, to } = await beginDot()
    const count = 400 // 24 MB of answers
    const queries = Array.from({ length: count }, (_, id) => query(id, 'big.example.com', TYPE.TXT))
    const [never, late] = [client(to), client(to)]
    for (const { socket } of [never, late]) {
      await once(socket, 'secureConnect')
      socket.pause()
    }
    never.send(...queries)
    late.send(...queries)
    await until('answers wait for both', () => front.stats().held > 80_000)
    await new Promise((resolve) => setTimeout(resolve, 500)) // what reads on has read on by now
    expect(front.stats().held).toBeLessThan(300_000)
    late.socket.resume()
    await until('all answers', () => late.answers.length === count)
    await until('the other is closed', () => front.stats().unread === 1 && front.stats().open === 1)
    await until('nothing held', () => front.stats().held === 0)
  })

  test('an idle connection costs less than 45 KB of malloc, post-quantum key agreement included', async () => {
    const child = fork(new URL('./idle.ts', import.meta.url), { execArgv: [] })
    ending.push(() => void child.kill('SIGKILL'))
    const told = async <T>(): Promise<T> => (await once(child, 'message'))[0]
    const { to } = await told<{ to: Endpoint }>()
    const look = (): Promise<{ bytes: number; open: number }> => {
      child.send('look')
      return told()
    }
    const open = async (count: number): Promise<void> => {
      const clients = Array.from({ length: count }, () => client(to))
      for (const one of clients) one.send(query(1, 'a.example.com'))
      await until('answers', () => clients.every(({ answers }) => answers.length === 1))
    }
    await open(30) // for the first ones, what is common to all is made
    const before = await look()
    await open(60)
    expect([before.open, (await look()).open]).toEqual([30, 90])
    // what handshakes and compilers took goes back by and by
    await until('memory given back', async () => ((await look()).bytes - before.bytes) / 60 < 45_000)
  })
})
