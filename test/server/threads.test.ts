/** Batched UDP beyond the common suite: reply addresses, undeliverable replies, threads that fail, hand-overs. */
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'
import { UDP } from '../../src/answer/responder.ts'
import type { World } from '../../src/answer/world.ts'
import { C_SEND_REFUSED, COUNTED_RCODES, COUNTED_TYPES, queryCell } from '../../src/counters.ts'
import { ListenError } from '../../src/server/front.ts'
import { until } from '../support/until.ts'
import { answersOf, load, query, TcpClient, UdpClient } from './client.ts'
import { makeWorld, type Running, start } from './fixture.ts'
import { runInThread } from './inspect.ts'
import { openRaw, udpDatagram } from './raw.ts'

const ANSWERED = queryCell(UDP, COUNTED_TYPES.indexOf('A'), COUNTED_RCODES.indexOf('NOERROR'))
const DROPPED = queryCell(UDP, COUNTED_TYPES.length - 1, COUNTED_RCODES.indexOf('dropped'))

const world: World = await makeWorld(1)
const running: Running[] = []
const begin = async (options: Partial<Parameters<typeof start>[0]> = {}): Promise<Running> => {
  const started = await start({ world, ...options })
  running.push(started)
  return started
}
afterEach(async () => {
  await Promise.all(running.splice(0).map(({ server }) => server.stop()))
})

const sockets = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      return false
    }
  }).length

describe('addresses', () => {
  test('a reply leaves from the address that was asked, on a wildcard address too', async () => {
    const { server } = await begin({
      listen: [
        { address: '0.0.0.0', port: 0 },
        { address: '::', port: 0 },
      ],
    })
    for (const address of ['127.0.0.1', '127.0.0.2', '127.9.8.7', '::1']) {
      const client = await UdpClient.to({ address, port: server.listen[address.includes(':') ? 1 : 0]!.port })
      for (let id = 0; id < 5; id++) expect(answersOf(await client.ask(query(id, 'a.example.com')))).toBe(1)
      client.close()
    }
  })

  test('a wildcard IPv4 and a wildcard IPv6 address share a port', async () => {
    const first = await begin({ listen: [{ address: '0.0.0.0', port: 0 }] })
    const { port } = first.server.listen[0]!
    await begin({ listen: [{ address: '::', port }] })
  })

  test('one address in use is one clear error, for UDP and for TCP, and leaves nothing behind', async () => {
    const first = await begin({ threads: 2 })
    const taken = first.server.listen[0]!
    const before = sockets()
    const listen = [{ address: '127.0.0.3', port: 0 }, taken]
    await expect(begin({ listen })).rejects.toThrow(
      new RegExp(`^127\\.0\\.0\\.1:${taken.port} \\(TCP\\): the address is in use.*--takeover`),
    )
    await expect(begin({ listen, portable: true })).rejects.toBeInstanceOf(ListenError)
    expect(sockets()).toBe(before)
    await first.server.stop()
    const again = await begin({ listen: [taken] })
    expect(again.server.listen).toEqual([taken])
  })

  test('an address of another machine is one clear error', async () => {
    await expect(begin({ listen: [{ address: '203.0.113.9', port: 0 }] })).rejects.toThrow('does not have the address')
  })
})

describe('packets', () => {
  test('a query that may have been cut short is dropped', async () => {
    const { server, count } = await begin()
    const client = await UdpClient.to(server.listen[0]!)
    client.socket.send(Buffer.concat([query(1, 'a.example.com'), Buffer.alloc(3000)]))
    await until('the drop', () => count(DROPPED) === 1)
    await client.ask(query(2, 'a.example.com'))
    expect(client.replies).toEqual([])
    client.close()
  })

  test.skipIf(openRaw() === undefined)('an undeliverable reply loses no other of its batch', async () => {
    const { server, count } = await begin()
    const endpoint = server.listen[0]!
    const raw = openRaw()!
    const client = await UdpClient.to(endpoint)
    for (let id = 0; id < 100; id++) {
      if (id % 3 === 0) raw.send(endpoint, udpDatagram(0, endpoint.port, query(id, 'a.example.com')))
      client.socket.send(query(id, 'a.example.com'))
    }
    await until('all replies', () => client.replies.length === 100)
    await until('all errors', () => count(C_SEND_REFUSED) === 34)
    expect(count(ANSWERED)).toBe(134)
    client.close()
    raw.close()
  })
})

describe('threads', () => {
  test('one that dies under load is replaced: nothing is lost, no gap reaches 100 ms of queries', async () => {
    const { server, logged } = await begin({
      listen: [
        { address: '127.0.0.1', port: 0 },
        { address: '::1', port: 0 },
      ],
    })
    const done = new AbortController()
    const loading = load(server.listen[0]!, (id) => query(id, 'a.example.com'), {
      perSecond: 1000,
      signal: done.signal,
    })
    await new Promise((resolve) => setTimeout(resolve, 1100)) // older than a thread that can't start
    await runInThread('answering', 'process.exit(1)')
    await until('replacement', () => server.stats().udp.died === 1)
    const client = await UdpClient.to(server.listen[1]!)
    await client.ask(query(1, 'a.example.com'))
    client.close()
    done.abort()
    const { sent, lost } = await loading
    expect(sent).toBeGreaterThan(500)
    expect(lost).toBeLessThan(100)
    expect(logged.join()).toContain('is replaced')
  })

  test('one that dies twice is replaced twice: the spare is replaced too', async () => {
    const { server } = await begin()
    const client = await UdpClient.to(server.listen[0]!)
    for (let died = 1; died <= 2; died++) {
      await new Promise((resolve) => setTimeout(resolve, 1100)) // as above
      await runInThread('answering', 'process.exit(1)')
      await until('the death', () => server.stats().udp.died === died)
      await client.ask(query(died, 'a.example.com'))
    }
    client.close()
  })

  test('one that stands still is ended and replaced, with the World of now and its counters going on', async () => {
    const { server, count } = await begin()
    const client = await UdpClient.to(server.listen[0]!)
    await client.ask(query(1, 'a.example.com'))
    await runInThread('answering', 'for (;;);')
    server.publish(await makeWorld(2))
    expect(server.adopted()).toBe(1)
    const late = client.ask(query(2, 'v.example.com'))
    await until('the end of it', () => server.stats().udp.stalled === 1 && server.stats().udp.died === 1)
    expect(answersOf(await late)).toBe(2)
    expect(server.adopted()).toBe(2)
    expect(count(ANSWERED)).toBe(2)
    client.close()
  })
})

describe('leaving', () => {
  test('a successor takes over under load, four times: no query is lost, UDP or TCP', async () => {
    let now = await begin({ threads: 2 })
    const endpoint = now.server.listen[0]!
    const done = new AbortController()
    const loading = load(endpoint, (id) => query(id, 'a.example.com'), {
      perSecond: 3000,
      signal: done.signal,
      clients: 64,
    })
    let asked = 0
    let answered = 0
    const tcp = (async () => {
      while (!done.signal.aborted) {
        const client = new TcpClient(endpoint)
        asked++
        client.send(query(1, 'a.example.com'))
        await until('an answer or the end', () => client.answers.length > 0 || client.closed)
        answered += client.answers.length
        client.socket.destroy()
      }
    })()
    for (let round = 0; round < 4; round++) {
      const next = await begin({ threads: 2, listen: [endpoint], takeover: true })
      await now.server.stop()
      now = next
    }
    done.abort()
    const { sent, lost } = await loading
    await tcp
    expect(sent).toBeGreaterThan(1000)
    expect({ lost, unanswered: asked - answered }).toEqual({ lost: 0, unanswered: 0 })
  })

  test('new connections go to the successor while the predecessor still ends what was begun', async () => {
    const old = await begin()
    const next = await begin({ listen: old.server.listen, takeover: true })
    const stopped = old.server.stop()
    const clients = Array.from({ length: 30 }, () => new TcpClient(old.server.listen[0]!))
    for (const client of clients) client.send(query(1, 'a.example.com'))
    await until('all answers', () => clients.every(({ answers }) => answers.length === 1))
    expect([old, next].map(({ server }) => server.stats().tcp.accepted)).toEqual([0, 30])
    for (const { socket } of clients) socket.destroy()
    await stopped
  })

  test('a spare thread that is not needed ends by itself, however early it is told', async () => {
    const exits = Array.from({ length: 4 }, async (_, i) => {
      const spare = new Worker(join(import.meta.dirname, '../../src/server/thread.ts'))
      const ended = once(spare, 'exit')
      if (i % 2 === 0) await once(spare, 'online')
      spare.postMessage(null)
      return ended
    })
    expect(await Promise.all(exits)).toEqual(exits.map(() => [0]))
  })

  test('without a successor the ports are free, and no thread is left', async () => {
    const { server } = await begin({ threads: 3 })
    const before = sockets()
    await server.stop()
    expect(sockets()).toBeLessThan(before)
    await begin({ listen: server.listen })
  })
})
