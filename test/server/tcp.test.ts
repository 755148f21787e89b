/** DNS over TCP: RFC 7766, and what a client can't hold. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { TCP } from '../../src/answer/responder.ts'
import type { World } from '../../src/answer/world.ts'
import { COUNTED_RCODES, COUNTED_TYPES, queryCell } from '../../src/counters.ts'
import type { TcpLimits } from '../../src/server/connections.ts'
import { limitsFor, TCP_LIMITS, type TcpFront } from '../../src/server/tcp.ts'
import type { Endpoint } from '../../src/units.ts'
import { until } from '../support/until.ts'
import { answersOf, framed, idOf, query, rcodeOf, TcpClient, TYPE } from './client.ts'
import { makeWorld, start, startTcp } from './fixture.ts'
import { runInThread } from './inspect.ts'

const world: World = await makeWorld(1)
const TCP_FILE = join(import.meta.dirname, '../../src/server/tcp.ts')
const ending: (() => Promise<void> | void)[] = []

async function begin(
  limits: Partial<TcpLimits> = {},
  address = '127.0.0.1',
): Promise<{ front: TcpFront; to: Endpoint }> {
  const started = await startTcp({ world, limits: { ...TCP_LIMITS, ...limits }, address })
  ending.push(() => started.front.stop(0))
  return started
}

function client(to: Endpoint, localAddress?: string): TcpClient {
  const made = new TcpClient(to, localAddress)
  ending.push(() => void made.socket.destroy())
  return made
}

/** With an EDNS option of so many bytes (RFC 7830 padding), behind its length. */
function longQuery(padding: number): Buffer {
  const message = query(1, 'a.example.com', TYPE.A, 1232)
  message.writeUInt16BE(4 + padding, message.length - 2)
  return framed(Buffer.concat([message, Buffer.from([0, 12, padding >> 8, padding & 255]), Buffer.alloc(padding)]))
}

afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

describe('RFC 7766', () => {
  test('§6.2.1.1 pipelining: many queries in one segment, all answered on the same connection', async () => {
    const { to } = await begin()
    const tcp = client(to)
    tcp.send(...Array.from({ length: 500 }, (_, id) => query(id, 'a.example.com')))
    await until('500 answers', () => tcp.answers.length === 500)
    expect(new Set(tcp.answers.map(idOf)).size).toBe(500)
    expect(tcp.answers.every((answer) => rcodeOf(answer) === 0 && answersOf(answer) === 1)).toBe(true)
  })

  test('§8 framing: queries in single bytes, across segments, the length split too', async () => {
    const { to } = await begin()
    const tcp = client(to)
    const stream = Buffer.concat([framed(query(1, 'a.example.com')), framed(query(2, 'www.example.com'))])
    for (const byte of stream) {
      tcp.socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until('2 answers', () => tcp.answers.length === 2)
    expect(tcp.answers.map(idOf)).toEqual([1, 2])
  })

  test('an answer of 60,000 bytes comes whole', async () => {
    const { to } = await begin()
    const tcp = client(to)
    tcp.send(query(1, 'big.example.com', TYPE.TXT), query(2, 'a.example.com'))
    await until('2 answers', () => tcp.answers.length === 2)
    expect(tcp.answers[0]!.length).toBeGreaterThan(59_000)
    expect(answersOf(tcp.answers[0]!)).toBe(283)
    expect(idOf(tcp.answers[1]!)).toBe(2)
  })

  test('a client that shuts down its side still gets its answers, then the end', async () => {
    const { to } = await begin()
    const tcp = client(to)
    tcp.send(query(1, 'big.example.com', TYPE.TXT), query(2, 'a.example.com'))
    tcp.socket.end()
    await until('the end', () => tcp.closed)
    expect(tcp.answers.map(idOf)).toEqual([1, 2])
  })

  test('what gets no answer takes none from its neighbours', async () => {
    const { to } = await begin()
    const tcp = client(to)
    const response = query(3, 'a.example.com')
    response[2] = 0x80
    tcp.send(query(1, 'a.example.com'), Buffer.alloc(0), Buffer.from([1]), response, query(2, 'a.example.com'))
    await until('2 answers', () => tcp.answers.length === 2)
    expect(tcp.answers.map(idOf)).toEqual([1, 2])
  })

  test('IPv6', async () => {
    const { to } = await begin({}, '::1')
    const tcp = client(to)
    tcp.send(query(1, 'a.example.com'))
    await until('an answer', () => tcp.answers.length === 1)
  })
})

describe('limits', () => {
  test('connections of one client: closed at once, counted, and free again', async () => {
    const { front, to } = await begin({ perClient: 3 })
    const first = [0, 1, 2].map(() => client(to))
    await until('3 open', () => front.stats().open === 3)
    const fourth = client(to)
    await until('the fourth closed', () => fourth.closed)
    const other = client(to, '127.0.0.2')
    await until('4 open', () => front.stats().open === 4)
    expect(front.stats()).toMatchObject({ accepted: 5, refused: 1, evicted: 0 })
    first[0]!.socket.destroy()
    await until('room', () => front.stats().open === 3)
    const fifth = client(to)
    fifth.send(query(1, 'a.example.com'))
    other.send(query(1, 'a.example.com'))
    await until('answers', () => fifth.answers.length === 1 && other.answers.length === 1)
  })

  test('when all places are taken a newcomer takes that of the longest idle; who asks keeps his', async () => {
    const { front, to } = await begin({ connections: 3 })
    const busy = client(to, '127.0.0.2')
    await until('1 open', () => front.stats().open === 1)
    const idle: TcpClient[] = []
    for (const address of ['127.0.0.3', '127.0.0.4']) {
      idle.push(client(to, address))
      await until('one more open', () => front.stats().open === 1 + idle.length)
    }
    idle[0]!.socket.write(Buffer.of(0)) // a byte of a query is not one
    for (let round = 1; round <= 6; round++) {
      busy.send(query(round, 'a.example.com'))
      await until('its answer', () => busy.answers.length === round)
      const newcomer = client(to, `127.0.0.${10 + round}`)
      newcomer.send(query(round, 'a.example.com'))
      await until('the newcomer’s answer', () => newcomer.answers.length === 1)
      const longestIdle = idle.shift()!
      await until('the longest idle closed', () => longestIdle.closed)
      idle.push(newcomer)
      expect(front.stats()).toMatchObject({ open: 3, evicted: round, refused: 0 })
    }
    expect([busy, ...idle].map(({ closed }) => closed)).toEqual([false, false, false])
  })

  test('places fit the files that the process may have open', () => {
    expect(limitsFor(1024)).toEqual({ ...TCP_LIMITS, connections: 512 })
    expect(limitsFor(1_000_000)).toEqual(TCP_LIMITS)
    expect(limitsFor(0)).toEqual(TCP_LIMITS)
    expect(limitsFor(1).connections).toBe(1)
    // of a process that has its own
    const script = `import(${JSON.stringify(TCP_FILE)}).then(({ openFilesLimit }) => console.log(openFilesLimit()))`
    const told = execFileSync('sh', ['-c', 'ulimit -n 777 && exec "$0" -e "$1"', process.execPath, script])
    expect(told.toString().trim()).toBe('777')
  })

  test('what gets no answer keeps no connection open', async () => {
    const { front, to } = await begin({ firstMs: 300, idleMs: 900 })
    const [empty, response] = [client(to), client(to)]
    const reply = query(1, 'a.example.com')
    reply[2] = reply[2]! | 0x80
    let sent = 0
    const sending = setInterval(() => {
      if (sent++ === 3) return clearInterval(sending) // one more would close them for it
      if (!empty.closed) empty.send(Buffer.alloc(0))
      if (!response.closed) response.send(reply)
    }, 100)
    ending.push(() => clearInterval(sending))
    await until('both closed for want of a query', () => empty.closed && response.closed)
    expect([empty.answers, response.answers]).toEqual([[], []])
    expect(front.stats()).toMatchObject({ timedOut: 2, unanswerable: 0 })
  })

  test('the fourth message that gets no answer closes the connection, however well the client asks besides', async () => {
    const { front, to } = await begin()
    const [well, hostile, flooding] = [client(to), client(to), client(to)]
    const none = Buffer.alloc(0)
    well.send(none, none, query(1, 'a.example.com'), none, query(2, 'a.example.com'))
    hostile.send(none, none, query(1, 'a.example.com'), none)
    await until('their answers', () => well.answers.length === 2 && hostile.answers.length === 1)
    hostile.send(none)
    flooding.socket.write(Buffer.alloc(1 << 20))
    await until('both closed', () => hostile.closed && flooding.closed)
    await until('they leave', () => front.stats().open === 1)
    expect(front.stats().unanswerable).toBe(2)
    expect(well.closed).toBe(false)
    const dropped = front.counters()[0]![queryCell(TCP, COUNTED_TYPES.length - 1, COUNTED_RCODES.indexOf('dropped'))]!
    expect(dropped).toBeLessThan(40) // a turn's worth of half a million
  })

  test('who asks nothing, or drips a query, is closed after firstMs; who goes quiet, after idleMs', async () => {
    const { front, to } = await begin({ firstMs: 300, idleMs: 900 })
    const [mute, dripping, quiet] = [client(to), client(to), client(to)]
    const started = performance.now()
    quiet.send(query(1, 'a.example.com'))
    const drip = setInterval(() => dripping.socket.write(Buffer.from([0])), 50)
    dripping.socket.write(Buffer.from([0xff]))
    await until('mute and dripping closed', () => mute.closed && dripping.closed)
    clearInterval(drip)
    expect(quiet.closed).toBe(false)
    await until('quiet closed', () => quiet.closed)
    expect(performance.now() - started).toBeGreaterThan(900)
    expect(front.stats().timedOut).toBe(3)
  })

  test('a client that reads nothing is not read on, keeps little memory, and is closed; one that reads late gets all', async () => {
    const { front, to } = await begin()
    const count = 2000 // 120 MB of answers
    const queries = Array.from({ length: count }, (_, id) => query(id, 'big.example.com', TYPE.TXT))
    const [never, late] = [client(to), client(to)]
    never.socket.pause()
    late.socket.pause()
    never.send(...queries)
    late.send(...queries)
    await until('answers wait for both', () => front.stats().held > 80_000)
    await new Promise((resolve) => setTimeout(resolve, 500)) // what reads on has read on by now
    // of each an answer, and what was read ahead of queries; sockets here and there hold some; 240 MB are far away
    expect(front.stats().held).toBeLessThan(300_000)
    expect(front.counters()[0]!.reduce((sum, n) => sum + n, 0)).toBeLessThan(60)
    late.socket.resume()
    await until('all answers', () => late.answers.length === count)
    expect(late.answers.map(idOf)).toEqual(queries.map(idOf))
    await until('the other is closed', () => front.stats().unread === 1 && front.stats().open === 1)
  })

  test('when all hold too much, the client that holds most loses a connection, until it is enough', async () => {
    const { front, to } = await begin({ memory: 800_000, unreadMs: 60_000 })
    const queries = Array.from({ length: 40 }, (_, id) => query(id, 'big.example.com', TYPE.TXT))
    const modest = client(to, '127.0.0.2')
    modest.socket.pause()
    modest.send(...queries)
    await until('its answers wait', () => front.stats().held > 30_000)
    const greedy = Array.from({ length: 30 }, () => client(to, '127.0.0.3'))
    for (const { socket } of greedy) socket.pause()
    for (const one of greedy) one.send(...queries)
    await until('some are closed', () => front.stats().overMemory >= 10)
    await until('all have been looked at', () => front.stats().accepted === 31)
    expect(front.stats().held).toBeLessThanOrEqual(800_000)
    for (const one of [modest, ...greedy]) one.socket.resume()
    await until('the modest one has all', () => modest.answers.length === 40)
    expect(modest.closed).toBe(false)
    // what they are still sent may be too much again
    await until('they know', () => greedy.filter(({ closed }) => closed).length === front.stats().overMemory)
  })

  test('half queries count as held too, and a long query in pieces is answered', async () => {
    const { front, to } = await begin({ memory: 150_000, firstMs: 60_000, idleMs: 60_000 })
    const long = longQuery(60_000)
    const whole = client(to, '127.0.0.2')
    for (let at = 0; at < long.length; at += 1000) {
      whole.socket.write(long.subarray(at, at + 1000))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until('its answer', () => whole.answers.length === 1)
    expect(rcodeOf(whole.answers[0]!)).toBe(0)
    await until('nothing held', () => front.stats().held === 0)
    const halves = [0, 1, 2].map(() => client(to))
    for (const half of halves) half.socket.write(long.subarray(0, -1))
    await until('one closed', () => front.stats().overMemory >= 1)
    expect(front.stats().held).toBeLessThanOrEqual(150_000)
    expect(whole.closed).toBe(false)
  })

  test('stop() lets what is asked be answered, closes what is idle, and waits no longer than told', async () => {
    const { front, to } = await begin()
    const [idle, half] = [client(to), client(to)]
    idle.send(query(1, 'a.example.com'))
    const whole = framed(query(2, 'a.example.com'))
    half.socket.write(whole.subarray(0, 9))
    await until('both open', () => front.stats().open === 2 && idle.answers.length === 1)
    const stopped = front.stop(3000)
    await until('the idle one closed', () => idle.closed)
    half.socket.write(whole.subarray(9))
    await until('the answer', () => half.answers.length === 1)
    await stopped
    const refused = client(to)
    await until('nobody there', () => refused.closed)
    expect(refused.answers).toEqual([])
  })
})

async function begun(options: Partial<Parameters<typeof start>[0]> = {}): Promise<Awaited<ReturnType<typeof start>>> {
  const running = await start({ world, ...options })
  ending.push(() => running.server.stop(0))
  return running
}

describe('the thread', () => {
  test('it dies and is replaced: who connects meanwhile waits, the World is that of now, counters go on', async () => {
    const { server, logged, count } = await begun()
    const to = server.listen[0]!
    const before = client(to)
    before.send(query(1, 'a.example.com'))
    await until('an answer', () => before.answers.length === 1)
    server.publish(await makeWorld(2))
    await until('adopted', () => server.adopted() === 2)
    await runInThread('tcp', 'process.exit(1)')
    await until('its connections lost', () => before.closed)
    const after = client(to)
    after.send(query(2, 'v.example.com'))
    await until('an answer', () => after.answers.length === 1)
    expect(answersOf(after.answers[0]!)).toBe(2)
    expect(server.stats().tcp).toMatchObject({ died: 1, stalled: 0, accepted: 2, open: 1 })
    expect(count(queryCell(TCP, COUNTED_TYPES.indexOf('A'), COUNTED_RCODES.indexOf('NOERROR')))).toBe(2)
    expect(logged.join()).toContain('the TCP thread ended and is replaced')
    expect(server.stats().udp.died).toBe(0)
  })

  test('it stands still: it is ended and replaced, and no World that it may read is given up meanwhile', async () => {
    const { server } = await begun()
    await runInThread('tcp', 'for (;;);')
    server.publish(await makeWorld(2))
    expect(server.adopted()).toBe(1)
    const late = client(server.listen[0]!)
    late.send(query(1, 'v.example.com'))
    await until('an answer', () => late.answers.length === 1)
    expect(answersOf(late.answers[0]!)).toBe(2)
    expect(server.adopted()).toBe(2)
    expect(server.stats().tcp).toMatchObject({ died: 1, stalled: 1 })
  })

  test('where there is no koffi it binds itself, and its successor the same port', async () => {
    const { server } = await begun({ portable: true })
    const to = server.listen[0]!
    expect(to.port).toBeGreaterThan(0)
    for (let died = 0; died < 2; died++) {
      const asking = client(to)
      asking.send(query(died, 'a.example.com'))
      await until('an answer', () => asking.answers.length === 1)
      if (died === 0) await runInThread('tcp', 'process.exit(1)')
      await until('the end', () => died === 1 || asking.closed)
      if (died === 0) await until('it listens again', () => canConnect(to))
    }
  })

  test.skipIf(process.platform !== 'linux')('it leaves CPU to the threads of UDP, health and probes', async () => {
    await begun()
    const main = nice(String(process.pid))
    expect(named('tcp').map(nice)).toEqual([Math.min(19, main + 5)])
    expect(named('answering').map(nice)).toContain(main)
  })
})

/** Threads by their name. */
const named = (name: string): string[] =>
  readdirSync('/proc/self/task').filter((task) => statOf(task).includes(`(${name})`))
const nice = (task: string): number =>
  Number(
    statOf(task)
      .replace(/^.*\) /, '')
      .split(' ')[16],
  )
const statOf = (task: string): string => readFileSync(`/proc/self/task/${task}/stat`, 'latin1')

/** Whether somebody listens there by now. Tried again by until(). */
function canConnect(to: Endpoint): boolean {
  const tried = client(to)
  tried.send(query(1, 'a.example.com'))
  tries.push(tried)
  return tries.some(({ answers }) => answers.length > 0)
}
const tries: TcpClient[] = []
