/** A smoke of `npm run fuzz -- packets` over sockets. */
import { expect, test } from 'vitest'
import { fuzzSockets, Served } from './sockets.ts'

test('a server stands structure-aware packets over UDP, TCP, TLS and HTTPS', async () => {
  const served = await Served.start()
  try {
    const { packets, findings, after } = await fuzzSockets(served, 2026, { udp: 960, tcp: 200, dot: 60, doh: 64 })
    expect(findings).toEqual([])
    expect(packets.udp + packets.tcp + packets.dot + packets.doh).toBeGreaterThan(1200)
    expect(after).toMatchObject({ died: 0, bugs: 0, errors: [] })
  } finally {
    await served.stop()
  }
})
