/** What every UDP form must do: run on the batched one and on node:dgram (udp.test.ts). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, makeResponder, UDP } from '../../src/answer/responder.ts'
import type { World } from '../../src/answer/world.ts'
import { COUNTED_RCODES, COUNTED_TYPES, makeCounters, queryCell } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { until } from '../support/until.ts'
import { answersOf, idOf, isTruncated, load, query, rcodeOf, TYPE, UdpClient } from './client.ts'
import { makeWorld, type Running, start } from './fixture.ts'

const DROPPED = queryCell(UDP, COUNTED_TYPES.length - 1, COUNTED_RCODES.indexOf('dropped'))

export function udpSuite(form: 'batched' | 'portable'): void {
  describe(`UDP, ${form}`, () => {
    let running: Running
    let world: World
    const listen = ['127.0.0.1', '127.0.0.2', '::1'].map((address) => ({ address, port: 0 }))

    beforeAll(async () => {
      world = await makeWorld(1)
      running = await start({ world, listen, portable: form === 'portable' })
    })
    afterAll(() => running.server.stop())

    test('says which form it is', () => {
      expect(running.server.stats().udp.form).toBe(form)
      expect(running.server.stats().udp.receiveBuffer).toBeGreaterThan(100_000)
      expect(running.server.stats().udp.sendBuffer).toBeGreaterThan(100_000)
    })

    test('every listen address answers, IPv4 and IPv6', async () => {
      for (const endpoint of running.server.listen) {
        const client = await UdpClient.to(endpoint)
        const reply = await client.ask(query(7, 'a.example.com'))
        expect([rcodeOf(reply), answersOf(reply)]).toEqual([0, 1])
        expect(reply.subarray(-4)).toEqual(Buffer.from([192, 0, 2, 1]))
        client.close()
      }
    })

    test('every client gets its own answers, and nothing for a drop, however they are mixed', async () => {
      const clients = await Promise.all([0, 1, 2].map(() => UdpClient.to(running.server.listen[0]!)))
      const before = running.count(DROPPED)
      const response = query(9999, 'a.example.com')
      response[2] = 0x80
      for (let round = 0; round < 60; round++) {
        for (const [c, { socket }] of clients.entries()) {
          if ((round + c) % 3 === 0) socket.send(response) // never answer a response
          if ((round + c) % 5 === 0) socket.send(Buffer.from([1, 2, 3]))
          socket.send(query(c * 1000 + round, 'a.example.com'))
        }
      }
      await until('all replies', () => clients.every(({ replies }) => replies.length >= 60))
      await until('all drops', () => running.count(DROPPED) === before + 60 + 36)
      await clients[0]!.ask(query(5555, 'a.example.com')) // nothing can be on its way behind this
      for (const [c, { replies, socket }] of clients.entries()) {
        expect(replies.map(idOf).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => c * 1000 + i))
        socket.close()
      }
    })

    test('a packet cut short is not read on into what was received before', async () => {
      const client = await UdpClient.to(running.server.listen[0]!)
      const responder = makeResponder(world, makeHealthTable(), makeCounters())
      const whole = query(0x1234, 'a.example.com', TYPE.A, 1232)
      for (let length = 12; length <= whole.length; length++) {
        await client.ask(query(1, 'www.a.very.long.name.indeed.that.fills.the.slot.example.com', TYPE.A, 1232))
        const cut = whole.subarray(0, length)
        const clean = new Uint8Array(1232)
        const size = respond(
          responder,
          makeRequest({ input: cut, length, client: new Uint8Array([127, 0, 0, 1]), output: clean, room: 1232 }),
        )
        if (size > 0) expect(await client.ask(cut)).toEqual(Buffer.from(clean.subarray(0, size)))
        else client.socket.send(cut)
      }
      expect(client.replies).toEqual([])
      client.close()
    })

    test('too long for UDP: truncated', async () => {
      const client = await UdpClient.to(running.server.listen[0]!)
      const reply = await client.ask(query(3, 'big.example.com', TYPE.TXT, 4096))
      expect(isTruncated(reply)).toBe(true)
      expect(reply.length).toBeLessThanOrEqual(1232)
      client.close()
    })

    test('new Worlds under load lose nothing, never go back, and are adopted', async () => {
      const worlds = await Promise.all(Array.from({ length: 8 }, (_, i) => makeWorld(i + 2)))
      const client = await UdpClient.to(running.server.listen[0]!)
      const done = new AbortController()
      const loading = load(running.server.listen[1]!, (id) => query(id, 'v.example.com'), {
        perSecond: 2000,
        signal: done.signal,
      })
      const seen: number[] = []
      for (const next of worlds) {
        running.server.publish(next)
        await until(`adoption of ${next.generation}`, () => running.server.adopted() === next.generation)
        for (let i = 0; i < 20; i++) seen.push(answersOf(await client.ask(query(i, 'v.example.com', TYPE.A, 1232))))
      }
      done.abort()
      const { sent, lost } = await loading
      expect(sent).toBeGreaterThan(50)
      expect(lost).toBe(0)
      expect(seen).toEqual(worlds.flatMap(({ generation }) => Array.from({ length: 20 }, () => generation)))
      expect(() => running.server.publish(worlds[0]!)).toThrow()
      client.close()
    })
  })
}
