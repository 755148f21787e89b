/** A smoke of `npm run fuzz -- --udp`: hostile datagrams between good queries, over real sockets, in both UDP forms. */
import { expect, test } from 'vitest'
import { makeAdoption } from '../../src/answer/adoption.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { startServer } from '../../src/server/server.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { makeNode } from '../answer/fixture.ts'
import { NAMES, ZONES } from '../rfc/zones.ts'
import { fuzzUdp } from './udp.ts'

test.each([
  ['in batches', false],
  ['by node:dgram', true],
])('UDP %s: every good query among 4,000 packets is answered, no drop is', async (_, portable) => {
  const { made, health } = await makeNode(ZONES)
  const server = await startServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    threads: 1,
    tcpConnections: TCP_LIMITS.connections,
    tcpMemory: TCP_LIMITS.memory,
    world: { ...made.world, generation: 1 },
    protocol: PLAIN_PROTOCOL,
    health,
    adoption: makeAdoption(),
    takeover: false,
    portable,
    log: () => {},
  })
  try {
    let packets = 0
    const done = (): boolean => (packets += 32) > 4000
    const fuzzed = await fuzzUdp(`127.0.0.1:${server.listen[0]!.port}`, NAMES, 20_000, 9, done)
    expect(fuzzed.findings).toEqual([])
    expect(fuzzed.wellFormed).toBeGreaterThan(1000)
  } finally {
    await server.stop(1000)
  }
})
