import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { droppedDatagrams } from '../../src/linux/drops.ts'

test('what a full receive buffer lost is counted, of our own sockets only', async () => {
  const receiver = createSocket({ type: 'udp4', recvBufferSize: 2048 })
  const sender = createSocket('udp4')
  receiver.bind(0, '127.0.0.1')
  await once(receiver, 'listening')
  const before = droppedDatagrams()!
  const { port } = receiver.address()
  const datagram = Buffer.alloc(1000)
  sender.connect(port, '127.0.0.1')
  await once(sender, 'connect')
  for (let i = 0; i < 200; i++) sender.send(datagram) // within one turn of the loop: nobody reads meanwhile
  await new Promise((done) => sender.send(datagram, done))
  expect(droppedDatagrams()! - before).toBeGreaterThan(50)
  receiver.close()
  sender.close()
})
