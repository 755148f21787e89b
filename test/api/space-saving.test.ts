/** The sketch beside exact counts, on traffic as it is: a few keys have most of it (Zipf), and the order is any. Seeded. */
import { describe, expect, test } from 'vitest'
import { SpaceSaving } from '../../src/api/space-saving.ts'
import { seeded } from '../answer/fixture.ts'
import { zipf } from '../support/zipf.ts'

const KEYS = 20_000
const COUNTERS = 500
const ADDED = 100_000

/** Exact counts: the reference. */
class Exact {
  readonly counts = new Map<number, number>()
  total = 0

  add(key: number, weight: number): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + weight)
    this.total += weight
  }
}

describe.each([
  ['as queries over systems', 1.1],
  ['nearly even, the worst case', 0.3],
])('%s', (_, exponent) => {
  const next = zipf(KEYS, exponent, seeded(5))
  const random = seeded(7)
  const exact = new Exact()
  const sketch = new SpaceSaving(COUNTERS)
  for (let i = 0; i < ADDED; i++) {
    const [key, weight] = [next(), 1 + (random() % 1000) / 250]
    exact.add(key, weight)
    sketch.add(key, weight)
  }
  const counted = new Map(sketch.largest(KEYS).map(({ key, count }) => [key, count]))

  test('no count is too small, nor too large by more than the error, which is at most total / counters', () => {
    expect(counted.size).toBe(COUNTERS)
    expect(sketch.error).toBeLessThanOrEqual(exact.total / COUNTERS)
    const wrong = [...counted].filter(([key, count]) => {
      const real = exact.counts.get(key)!
      return count < real - 1e-6 || count > real + sketch.error + 1e-6
    })
    expect(wrong).toEqual([])
  })

  test('what has no counter has no more than the error', () => {
    const missing = [...exact.counts].filter(([key]) => !counted.has(key))
    expect(missing.length).toBeGreaterThan(1_000)
    expect(missing.filter(([, count]) => count > sketch.error + 1e-6)).toEqual([])
  })

  test('nothing is lost', () => {
    expect(sketch.total).toBeCloseTo(exact.total, 3)
    expect([...counted.values()].reduce((sum, count) => sum + count, 0)).toBeCloseTo(exact.total, 3)
  })
})

test('of Zipf traffic the twenty largest are the twenty largest, in their order, within a hundredth', () => {
  const next = zipf(KEYS, 1.1, seeded(11))
  const exact = new Exact()
  const sketch = new SpaceSaving(COUNTERS)
  for (let i = 0; i < ADDED; i++) {
    const key = next()
    exact.add(key, 1)
    sketch.add(key, 1)
  }
  const want = [...exact.counts].toSorted(([, a], [, b]) => b - a).slice(0, 20)
  const got = sketch.largest(20)
  expect(got.map(({ key }) => key)).toEqual(want.map(([key]) => key))
  for (const [i, { count }] of got.entries()) expect(count / want[i]![1]).toBeLessThan(1.01)
})

test('with a counter for each key it is exact', () => {
  const sketch = new SpaceSaving(3)
  for (const key of [7, 8, 7, 9, 7, 8]) sketch.add(key, 1)
  expect(sketch.largest(2)).toEqual([
    { key: 7, count: 3 },
    { key: 8, count: 2 },
  ])
  expect(sketch.error).toBe(1)
  expect(new SpaceSaving(3).error).toBe(0)
})

test('a count never goes backwards, not even of a key that had lost its counter', () => {
  const next = zipf(300, 0.5, seeded(3))
  const sketch = new SpaceSaving(50)
  const last = new Map<number, number>()
  let came = 0
  let backwards = 0
  for (let i = 0; i < 20_000; i++) {
    const key = next()
    sketch.add(key, 1)
    if (i % 10 > 0) continue
    for (const { key: one, count } of sketch.largest(50)) {
      if (count < (last.get(one) ?? 0)) backwards++
      if (last.has(one)) came++
      last.set(one, count)
    }
  }
  expect(backwards).toBe(0)
  expect(came).toBeGreaterThan(10_000)
  expect(last.size).toBeGreaterThan(200) // so counters were lost, and won back
})
