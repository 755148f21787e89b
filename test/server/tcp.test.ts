/** DNS over TCP: RFC 7766, and what a client can't hold. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { World } from '../../src/answer/world.ts'
import type { Endpoint } from '../../src/config.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { limitsFor, listenTcp, TCP_LIMITS, TcpFront, type TcpLimits } from '../../src/server/tcp.ts'
import { answersOf, framed, idOf, query, rcodeOf, TcpClient, TYPE, until } from './client.ts'
import { makeWorld } from './fixture.ts'

const world: World = await makeWorld(1)
const TCP = join(import.meta.dirname, '../../src/server/tcp.ts')
const ending: (() => Promise<void> | void)[] = []

async function begin(
  limits: Partial<TcpLimits> = {},
  address = '127.0.0.1',
): Promise<{ front: TcpFront; to: Endpoint }> {
  const server = await listenTcp({ address, port: 0 })
  const bound = server.address()
  if (typeof bound !== 'object' || bound === null) throw new Error('no port')
  const front = new TcpFront([server], world, makeHealthTable(), { ...TCP_LIMITS, ...limits })
  ending.push(() => front.stop(0))
  return { front, to: { address, port: bound.port } }
}

function client(to: Endpoint, localAddress?: string): TcpClient {
  const made = new TcpClient(to, localAddress)
  ending.push(() => void made.socket.destroy())
  return made
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
    const script = `import(${JSON.stringify(TCP)}).then(({ openFilesLimit }) => console.log(openFilesLimit()))`
    const told = execFileSync('sh', ['-c', 'ulimit -n 777 && exec "$0" -e "$1"', process.execPath, script])
    expect(told.toString().trim()).toBe('777')
  })

  test('what gets no answer keeps no connection open', async () => {
    const { to } = await begin({ firstMs: 300, idleMs: 900 })
    const [empty, response] = [client(to), client(to)]
    const reply = query(1, 'a.example.com')
    reply[2] = reply[2]! | 0x80
    const sending = setInterval(() => {
      if (!empty.closed) empty.send(Buffer.alloc(0))
      if (!response.closed) response.send(reply)
    }, 50)
    ending.push(() => clearInterval(sending))
    await until('both closed for want of a query', () => empty.closed && response.closed)
    expect([empty.answers, response.answers]).toEqual([[], []])
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
    const { front, to } = await begin({ idleMs: 1500 })
    const count = 2000 // 120 MB of answers
    const queries = Array.from({ length: count }, (_, id) => query(id, 'big.example.com', TYPE.TXT))
    const [never, late] = [client(to), client(to)]
    never.socket.pause()
    late.socket.pause()
    const before = process.memoryUsage().arrayBuffers
    never.send(...queries)
    late.send(...queries)
    await until('both read', () => front.counters()[0]!.reduce((sum, n) => sum + n, 0) > 10)
    await new Promise((resolve) => setTimeout(resolve, 500))
    // sockets here and there hold some; the 240 MB of all answers are far away
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30 << 20)
    late.socket.resume()
    await until('all answers', () => late.answers.length === count, 15_000)
    expect(late.answers.map(idOf)).toEqual(queries.map(idOf))
    await until('the other timed out', () => front.stats().timedOut >= 1)
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
