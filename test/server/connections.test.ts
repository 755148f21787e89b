/** Whose turn it is, in one thread with its clients: all queries are in before the first connection is looked at. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeResponder, TCP } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { type Connection, Connections, type Stage, TCP_CELLS } from '../../src/server/connections.ts'
import { Framed } from '../../src/server/framed.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { Transfers } from '../../src/server/transfers.ts'
import { until } from '../support/until.ts'
import { idOf, query, TcpClient } from './client.ts'
import { makeWorld } from './fixture.ts'

const world = await makeWorld(1)
const ending: (() => void)[] = []
afterEach(() => {
  for (const end of ending.splice(0).toReversed()) end()
})

interface Asked {
  readonly address: string
  readonly connections: number
  readonly queries: number
}

/** The addresses of clients, in the order of the turns in which they were answered. */
async function turnsOf(asked: readonly Asked[]): Promise<string[]> {
  const accepted: Socket[] = []
  const server = createServer({ allowHalfOpen: true, highWaterMark: 1024, pauseOnConnect: true }, (socket) => {
    accepted.push(socket)
  })
  ending.push(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (typeof bound !== 'object' || bound === null) throw new Error('no port')
  const clients: { readonly tcp: TcpClient; readonly queries: number }[] = []
  for (const { address, connections, queries } of asked) {
    for (let i = 0; i < connections; i++) {
      const tcp = new TcpClient({ address: '127.0.0.1', port: bound.port }, address)
      ending.push(() => void tcp.socket.destroy())
      await once(tcp.socket, 'connect')
      const messages = Array.from({ length: queries }, (_, id) => query(id, 'a.example.com'))
      tcp.send(...messages)
      clients.push({ tcp, queries })
    }
  }
  await until('all queries sent', () => clients.every(({ tcp }) => tcp.socket.writableLength === 0))
  await until('all accepted', () => accepted.length === clients.length)
  const responder = makeResponder(world, makeHealthTable(), makeCounters())
  const cells = new Float64Array(TCP_CELLS)
  const connections = new Connections(TCP_LIMITS, cells)
  const transfers = new Transfers(responder, cells)
  ending.push(() => void connections.drain(0))
  const turns: string[] = []
  for (const socket of accepted) {
    const write = socket.write.bind(socket)
    Object.assign(socket, {
      write: (bytes: Uint8Array, written: () => void) => {
        turns.push(socket.remoteAddress!)
        return write(bytes, written)
      },
    })
    connections.accept(
      socket,
      (connection) => new Framed({ connections, transfers, responder, transport: TCP, respond }, connection, socket),
    )
  }
  await until('all answers', () => clients.every(({ tcp, queries }) => tcp.answers.length === queries))
  for (const { tcp, queries } of clients) {
    expect(tcp.answers.map(idOf)).toEqual(Array.from({ length: queries }, (_, id) => id))
  }
  return turns
}

test('one with 40 connections gets no more turns than one with a single connection, who asks as much on it', async () => {
  const turns = await turnsOf([
    { address: '127.0.0.2', connections: 40, queries: 100 },
    { address: '127.0.0.3', connections: 1, queries: 300 },
  ])
  const last = turns.lastIndexOf('127.0.0.3')
  const others = turns.slice(0, last).filter((address) => address === '127.0.0.2').length
  // 300 queries are at least 19 turns; each time the other has one, and a few more when it has to be read from again
  expect(last - others).toBeGreaterThanOrEqual(18)
  expect(others).toBeLessThan(2 * (last - others))
})

test('a query comes before all that 100 others have asked on', async () => {
  const turns = await turnsOf([
    ...Array.from({ length: 30 }, (_, i) => ({ address: `127.0.1.${i + 1}`, connections: 2, queries: 200 })),
    { address: '127.0.0.3', connections: 1, queries: 1 },
  ])
  // each of 30 clients has had a turn or two
  expect(turns.indexOf('127.0.0.3')).toBeLessThan(90)
  expect(turns.length).toBeGreaterThan(700)
})

test('however many handshakes wait, at most one comes between two turns of who asks', async () => {
  const server = createServer({ pauseOnConnect: true })
  ending.push(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (typeof bound !== 'object' || bound === null) throw new Error('no port')
  const connections = new Connections(TCP_LIMITS, new Float64Array(TCP_CELLS))
  ending.push(() => void connections.drain(0))
  const order: string[] = []
  const handshake = (connection: Connection): Stage => {
    connections.enqueueCostly(connection)
    return { isIdle: true, end: () => {}, turn: () => void order.push('handshake') }
  }
  const ask = (connection: Connection): Stage => {
    connections.enqueue(connection)
    const turn = (): void => {
      if (order.push('answer') < 400) connections.enqueue(connection)
    }
    return { isIdle: true, end: () => {}, turn }
  }
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket))
  for (let i = 0; i < 60; i++) {
    const tcp = new TcpClient({ address: '127.0.0.1', port: bound.port }, `127.0.0.${1 + (i % 5)}`)
    ending.push(() => void tcp.socket.destroy())
  }
  await until('all are there', () => sockets.length === 60)
  for (const [i, socket] of sockets.entries()) connections.accept(socket, i === 30 ? ask : handshake)
  await until('all turns', () => order.filter((turn) => turn === 'handshake').length === 59)
  expect(order.join(' ')).not.toMatch(/answer handshake handshake(?=.* answer)/)
  expect(order.indexOf('answer')).toBeLessThan(2)
})
