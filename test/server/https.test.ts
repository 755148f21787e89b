/** HTTP/2 in one process, where what is kept of a connection can be seen. */
import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeResponder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { Connections, TCP_CELLS } from '../../src/server/connections.ts'
import { Handshakes } from '../../src/server/handshakes.ts'
import { Https } from '../../src/server/https.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { until } from '../support/until.ts'
import { makeCredentials, makeWorld } from './fixture.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** In a process of its own: 400 connections, eight at a time, on which a WINDOW_UPDATE has not 4 bytes (RFC 9113 §6.9). */
const CLIENT = `
import { once } from 'node:events'
import { connect } from 'node:tls'
const visit = async () => {
  const to = { host: '127.0.0.1', port: Number(process.argv[1]), ALPNProtocols: ['h2'], rejectUnauthorized: false }
  const socket = connect(to).on('error', () => {})
  const frames = Buffer.from('00000004000000000000000308000000000000aabb', 'hex')
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'), frames]))
  await once(socket.resume(), 'close')
}
for (let times = 0; times < 50; times++) await Promise.all(Array.from({ length: 8 }, visit))
`

test('nothing is kept of connections that end with a bad frame before they acknowledge the SETTINGS', async () => {
  const responder = makeResponder(await makeWorld(1), makeHealthTable(), makeCounters())
  const cells = new Float64Array(TCP_CELLS)
  const connections = new Connections(TCP_LIMITS, cells)
  const kept: WeakRef<Https>[] = []
  const handshakes = new Handshakes(connections, cells, 256, 'h2', makeCredentials(), (connection, socket) => {
    const stage = new Https(connections, connection, responder, respond, socket, cells)
    kept.push(new WeakRef(stage))
    return stage
  })
  const server = createServer({ highWaterMark: 1024, noDelay: true }, (socket) =>
    connections.accept(socket, handshakes.open),
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const at = server.address()
  if (typeof at !== 'object' || at === null) throw new Error('no port')
  try {
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', CLIENT, String(at.port)])
    expect(kept).toHaveLength(400)
    const left = (): number => kept.filter((ref) => ref.deref() !== undefined).length
    await until(
      () => `${left()} of 400 are kept`,
      () => (collect(), left() === 0),
      20_000,
    )
  } finally {
    server.close()
    await connections.drain(0)
  }
})
