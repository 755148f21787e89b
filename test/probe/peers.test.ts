/** Every kind of check over a connection, against peers that hang, drip, close, reset, babble and refuse. */
import { afterEach, describe, expect, test } from 'vitest'
import type { CheckKind } from '../../src/zone/model.ts'
import { until } from '../support/until.ts'
import { runCheck } from './loopback.ts'
import { countDescriptors, type Peer, PEERS, targetOf, tcpPeer } from './peers.ts'

const http = { method: 'GET', path: '/', statuses: [200], verify: false } as const
const KINDS: readonly CheckKind[] = [
  { type: 'http', ...http },
  { type: 'https', ...http },
  { type: 'tls', verify: false, validFor: { failMs: 0 } },
  { type: 'grpc', tls: false, verify: true, service: '' },
  { type: 'grpc', tls: true, verify: false, service: '' },
  { type: 'agent', send: 'x' },
]
const open: Peer[] = []
afterEach(() => open.splice(0).forEach((peer) => peer.close()))

describe.each(KINDS.map((kind) => [`${kind.type}${'tls' in kind && kind.tls ? ' over TLS' : ''}`, kind] as const))(
  '%s',
  (_type, kind) => {
    test.each(Object.entries(PEERS))(
      'a %s peer fails within the timeout, and no connection stays',
      async (_, greet) => {
        const peer = await tcpPeer(greet)
        open.push(peer)
        const { kind: seen, rttMs } = await runCheck(targetOf(kind, peer.port, 400))
        expect(['fail', 'timeout']).toContain(seen)
        expect(rttMs).toBeLessThan(2000)
        await until('the connection is closed', () => peer.connections() === 0)
      },
    )

    test('a hanging peer is told by what is missing', async () => {
      const peer = await tcpPeer(PEERS.hanging!)
      open.push(peer)
      const { kind: seen, reason, rttMs } = await runCheck(targetOf(kind, peer.port, 300))
      expect(seen).toBe('timeout')
      expect(reason).toMatch(/^no (response|TLS handshake|line of the agent) in 300ms$/)
      expect(rttMs).toBeGreaterThan(290)
    })

    test('a peer that refuses is told at once', async () => {
      const peer = await tcpPeer(PEERS.hanging!)
      peer.close()
      const { kind: seen, reason } = await runCheck(targetOf(kind, peer.port))
      expect({ seen, reason }).toEqual({ seen: 'fail', reason: 'connection refused' })
    })
  },
)

test('no check keeps a descriptor', async () => {
  const peer = await tcpPeer(PEERS.closing!)
  open.push(peer)
  const all = () => Promise.all(KINDS.map((kind) => runCheck(targetOf(kind, peer.port, 1000))))
  await all()
  await until('the connections are closed', () => peer.connections() === 0)
  const before = countDescriptors()
  for (let n = 0; n < 20; n++) await all()
  await until('as many descriptors as before', () => countDescriptors() <= before)
})
