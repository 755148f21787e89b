import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { C_SEND_FULL } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { PortableUdp } from '../../src/server/portable.ts'
import { until } from '../support/until.ts'
import { query, UdpClient } from './client.ts'
import { makeWorld } from './fixture.ts'
import { udpSuite } from './udp.suite.ts'

udpSuite('batched')
udpSuite('portable')

test('UDP, portable: what node:dgram would keep for a kernel that takes no more is bounded, and counted', async () => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  let waiting = 64
  socket.getSendQueueCount = () => waiting
  const udp = new PortableUdp(
    [socket],
    { world: await makeWorld(1), protocol: PLAIN_PROTOCOL, health: makeHealthTable() },
    undefined,
  )
  const client = await UdpClient.to(socket.address())
  const full = (): number => udp.counters()[0]![C_SEND_FULL]!
  for (let id = 0; id < 10; id++) client.socket.send(query(id, 'a.example.com'))
  await until('all drops', () => full() === 10)
  waiting = 0
  await client.ask(query(77, 'a.example.com'))
  expect([full(), client.replies]).toEqual([10, []])
  client.close()
  await udp.stop(0)
})
