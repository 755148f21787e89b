/** A prober's targets over its threads: evenly, and no thread left with too little to judge itself by. */
import { expect, test } from 'vitest'
import type { Target } from '../../src/health/target.ts'
import { divide } from '../../src/probe/divide.ts'
import { networkOf, UNRELATED } from '../../src/probe/trust.ts'
import { tcpCheck } from '../support/specs.ts'

const targets = (count: number, address: (i: number) => string): Target[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `t${i}`,
    check: tcpCheck(),
    address: address(i),
    port: 1,
    probers: 1,
  }))
const sizes = (list: readonly Target[], threads: number) => divide(list, threads).map((part) => part.length)
const networks = (part: readonly Target[]) => new Set(part.map(({ address }) => networkOf(address))).size

test('evenly, each target to one thread, and always to the same', () => {
  const list = targets(4000, (i) => `10.${i >> 8}.${i & 255}.1`)
  const parts = divide(list, 4)
  expect(parts.flat().toSorted((a, b) => list.indexOf(a) - list.indexOf(b))).toEqual(list)
  for (const { length } of parts) expect(Math.abs(length - 1000)).toBeLessThan(150)
  expect(divide(list.slice(0, 3000), 4).map((part) => part.map(({ id }) => id))).toEqual(
    parts.map((part) => part.filter((target) => list.indexOf(target) < 3000).map(({ id }) => id)),
  )
})

test('few networks with many addresses each are seen by every thread', () => {
  const parts = divide(
    targets(1000, (i) => `10.0.${i % 10}.${i >> 2}`),
    4,
  )
  expect(parts.map(networks)).toEqual([10, 10, 10, 10])
})

test('networks that together can tell a prober that it is cut off are not torn apart', () => {
  const sites = (count: number) => targets(count, (i) => `10.0.${i}.1`)
  expect(sizes(sites(UNRELATED), 4)).toEqual([UNRELATED, 0, 0, 0])
  expect(sizes(sites(30), 4).slice(1)).toEqual([0, 0, 0])
  const some = divide(sites(60), 4)
  expect(some.filter((part) => part.length > 0)).toHaveLength(2)
  expect(Math.min(...some.slice(0, 2).map(networks))).toBeGreaterThanOrEqual(2 * UNRELATED)
  const both = targets(4000, (i) => (i < 3990 ? `10.${i >> 8}.${i & 255}.1` : `2001:db8:${i}::1`))
  expect(sizes(both, 2)).toEqual([4000, 0]) // ten of IPv6 are ten witnesses
})

test('fewer than that can tell nothing anyway', () => {
  expect(
    sizes(
      targets(UNRELATED - 1, (i) => `10.0.${i}.1`),
      2,
    ).every((size) => size > 0),
  ).toBe(true)
})
