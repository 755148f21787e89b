/** Whom the rate limits hit, as operators read it: bounded, however large the attack. */
import { afterEach, expect, test } from 'vitest'
import { addHeaviest } from '../../src/answer/abuse/heaviest.ts'
import { C_LIMITED, LIMITED_KINDS, makeCounters, UNPROVEN } from '../../src/counters.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { LimitWatch } from '../../src/server/limit-watch.ts'

const NOW = 1_000_000
const threads = [makeCounters(), makeCounters()]
const lines: string[] = []
const watch = new LimitWatch(
  () => threads,
  (level, message) => void lines.push(`${level} ${message}`),
)
afterEach(() => {
  watch.stop()
  lines.splice(0)
})

function limit(thread: number, from: string, count: number, kind: number): void {
  const client = parseAddress(from)!
  for (let i = 0; i < count; i++) addHeaviest(threads[thread]!, client.length === 4 ? 4 : 6, client, 0, 1)
  threads[thread]![C_LIMITED + kind]! += count
}

test('at most one line a minute, with the networks of all threads that have a share worth naming', () => {
  watch.look(NOW)
  expect(lines).toEqual([])
  expect(watch.recent(NOW)).toBeUndefined()

  limit(0, '192.0.2.77', 600, 0)
  limit(1, '192.0.2.1', 300, 0)
  limit(1, '2001:db8:1:2ff::1', 200, 3)
  limit(0, '198.51.100.1', 10, 0)
  threads[1]![C_LIMITED + LIMITED_KINDS.length] = 90
  watch.look(NOW + 5000)
  expect(lines).toEqual([
    'warn rate limits: 1110 responses over UDP truncated, 90 not sent; most to 192.0.2.0/24 (900), 2001:db8:1:200::/56 (200)',
  ])
  expect(watch.recent(NOW + 5000)).toMatchObject({ truncated: 1110, dropped: 90, unproven: 0 })

  limit(0, '192.0.2.77', 5, 0)
  for (let ms = 10_000; ms < 65_000; ms += 5000) watch.look(NOW + ms)
  expect(lines).toHaveLength(1)
  watch.look(NOW + 65_000)
  expect(lines[1]).toBe('warn rate limits: 5 responses over UDP truncated, 0 not sent; most to 192.0.2.0/24 (5)')
  for (let ms = 70_000; ms < 300_000; ms += 5000) watch.look(NOW + ms)
  expect(lines).toHaveLength(2)
  expect(watch.recent(NOW + 300_000)).toBeUndefined()
})

test('an attack in thousands of names is told without them', () => {
  for (let i = 0; i < 5000; i++) limit(0, `10.${i >> 8}.${i & 255}.1`, 1, UNPROVEN)
  watch.look(NOW + 1_000_000)
  expect(lines).toEqual([
    'warn rate limits: 5000 responses over UDP truncated, 5000 of them to networks that have not proven their address, 0 not sent; spread over many networks',
  ])
})
