/** Against the kernel's own echo, in network namespaces that this test makes: there it may set ping_group_range. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isReplyTo, makeEcho } from '../../../src/probe/checks/icmp.ts'
import type { Observation } from '../../../src/probe/checks/observation.ts'

const NAMESPACE = process.getuid?.() === 0 ? ['-n'] : ['-rn']
const mayUnshare = spawnSync('unshare', [...NAMESPACE, 'ip', 'link', 'set', 'lo', 'up']).status === 0
const ALLOWED = 'echo "0 0" > /proc/sys/net/ipv4/ping_group_range'
const FORBIDDEN = 'echo "1 0" > /proc/sys/net/ipv4/ping_group_range'
const NETWORK = [
  'ip link set lo up',
  // what lo is sent for others' addresses, nobody takes
  'ip addr add 192.0.2.1/32 dev lo',
  'ip route add 192.0.2.0/24 dev lo',
  'ip addr add 2001:db8::1/128 dev lo nodad',
  'ip route add 2001:db8::/64 dev lo',
  'ip route add unreachable 203.0.113.0/24',
]

interface Pinged {
  readonly seen: readonly (readonly Observation[])[]
  readonly descriptors: readonly number[]
}

function ping(rights: string, rounds: readonly (readonly (readonly [string, number])[])[]): Pinged {
  const script = [...NETWORK, rights, 'exec "$@"'].join(' && ')
  const entry = resolve(import.meta.dirname, 'ping.ts')
  const command = ['sh', '-c', script, 'sh', process.execPath, entry, JSON.stringify(rounds)]
  const { stdout, stderr } = spawnSync('unshare', [...NAMESPACE, ...command], { encoding: 'utf8', timeout: 60_000 })
  expect(stderr).toBe('')
  const pinged: Pinged = JSON.parse(stdout)
  return pinged
}

const words = (round: readonly Observation[]) => round.map(({ kind, reason }) => `${kind}: ${reason}`)

test.skipIf(!mayUnshare)('IPv4 and IPv6: replies, silence, no route, and no descriptor stays', () => {
  const { seen, descriptors } = ping(ALLOWED, [
    [['127.0.0.1', 5000]],
    [
      ['127.9.9.9', 5000],
      ['::1', 5000],
      ['2001:db8::1', 5000],
      ['192.0.2.1', 5000],
      ['192.0.2.9', 300],
      ['2001:db8::9', 300],
      ['198.51.100.1', 5000],
      ['2001:db8:1::1', 5000],
      ['203.0.113.1', 5000],
    ],
    Array.from({ length: 200 }, (_, n) => [`127.1.1.${n + 1}`, 5000] as const),
    Array.from({ length: 50 }, (_, n) => [`192.0.2.${n + 10}`, 50] as const),
  ])
  expect(words(seen[0]!)).toEqual(['pass: reply'])
  expect(words(seen[1]!)).toEqual([
    'pass: reply',
    'pass: reply',
    'pass: reply',
    'pass: reply',
    'timeout: no reply in 300ms',
    'timeout: no reply in 300ms',
    'unroutable: network unreachable',
    'unroutable: network unreachable',
    'fail: host unreachable',
  ])
  expect(seen[1]![4]!.rttMs).toBeGreaterThan(290)
  expect(seen[1]![4]!.rttMs).toBeLessThan(2500)
  expect(new Set(words(seen[2]!))).toEqual(new Set(['pass: reply']))
  expect(new Set(words(seen[3]!))).toEqual(new Set(['timeout: no reply in 50ms']))
  expect(descriptors[3]).toBe(descriptors[0])
})

test.skipIf(!mayUnshare)('where the kernel forbids it, this host is unable, and says what to do', () => {
  const { seen } = ping(FORBIDDEN, [
    [
      ['127.0.0.1', 5000],
      ['::1', 5000],
    ],
  ])
  const remedy = "allow it with: sysctl -w net.ipv4.ping_group_range='0 2147483647'"
  expect(words(seen[0]!)).toEqual(Array(2).fill(`unable: this host forbids ICMP to the prober's group; ${remedy}`))
})

test('only the reply to this very request is one', () => {
  const family = fc.constantFrom(4 as const, 6 as const)
  const payload = fc.uint8Array({ minLength: 24, maxLength: 24 })
  const sequence = fc.nat(65_535)
  fc.assert(
    fc.property(family, sequence, payload, fc.nat(31), fc.integer({ min: 1, max: 255 }), (of, number, data, at, by) => {
      const request = makeEcho(of, number, data)
      expect(isReplyTo(request, request)).toBe(false)
      const reply = Buffer.from(request)
      reply[0] = of === 4 ? 0 : 129
      reply.writeUInt32BE(0x1234_5678, 2) // checksum and identifier, the kernel's
      expect(isReplyTo(request, reply)).toBe(true)
      expect(isReplyTo(request, reply.subarray(0, -1))).toBe(false)
      expect(isReplyTo(request, Buffer.concat([reply, Buffer.of(0)]))).toBe(false)
      reply[at]! ^= by
      expect(isReplyTo(request, reply)).toBe(at >= 2 && at < 6)
    }),
  )
})
