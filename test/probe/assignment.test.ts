/** Targets over probers: who checks what, and who moves when probers come and go. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assign, type Assignee, makeAssignment } from '../../src/probe/assignment.ts'

const REGIONS = ['eu', 'us', 'ap', 'sa']
const fleet = fc
  .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,6}-\d$/), fc.constantFrom(...REGIONS)), {
    selector: ([name]) => name,
    minLength: 1,
    maxLength: 12,
  })
  .map((pairs) => pairs.map(([name, region]) => ({ name, region })))
const target = fc.stringMatching(/^[0-9a-f]{16}$/)
const wanted = fc.integer({ min: 1, max: 6 })
const regionOf = (probers: readonly Assignee[]) => new Map(probers.map(({ name, region }) => [name, region]))
const targets = Array.from({ length: 4000 }, (_, i) => `target ${i}`)
const even = (count: number, regions: readonly string[]): Assignee[] =>
  Array.from({ length: count }, (_, i) => ({ name: `p${i}`, region: regions[i % regions.length]! }))

const chiSquare = (counts: Iterable<number>) => {
  const values = [...counts]
  const mean = values.reduce((sum, n) => sum + n, 0) / values.length
  return values.reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0)
}

describe('assignment', () => {
  test('min(wanted, probers) distinct names of as many regions as there can be, whatever their order', () => {
    fc.assert(
      fc.property(fleet, target, wanted, (probers, id, k) => {
        const names = assign(id, k, probers)
        const regions = regionOf(probers)
        const most = Math.min(k, new Set(regions.values()).size)
        expect(names).toHaveLength(Math.min(k, probers.length))
        expect(new Set(names).size).toBe(names.length)
        expect(names.every((name) => regions.has(name))).toBe(true)
        expect(new Set(names.map((name) => regions.get(name))).size).toBe(most)
        expect(assign(id, k, probers.toReversed())).toEqual(names)
      }),
      { numRuns: 500 },
    )
  })

  test('in turn over regions: none has two more than another that has one left', () => {
    fc.assert(
      fc.property(fleet, target, wanted, (probers, id, k) => {
        const regions = regionOf(probers)
        const names = new Set(assign(id, k, probers))
        const count = (region: string, of: (name: string) => boolean) =>
          probers.filter((prober) => prober.region === region && of(prober.name)).length
        for (const a of new Set(regions.values())) {
          for (const b of new Set(regions.values())) {
            const spare = count(b, (name) => !names.has(name)) > 0
            if (spare) expect(count(a, (name) => names.has(name)) - count(b, (name) => names.has(name))).toBeLessThan(2)
          }
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a prober that leaves moves its own targets only; one that joins takes from others, and nothing else moves', () => {
    fc.assert(
      fc.property(fleet, fc.nat(), target, wanted, (probers, at, id, k) => {
        const left = probers[at % probers.length]!
        const rest = probers.filter((prober) => prober !== left)
        const [before, after] = [assign(id, k, probers), assign(id, k, rest)]
        const stayed = before.filter((name) => name !== left.name)
        expect(after).toEqual(expect.arrayContaining([...stayed]))
        expect(after.length - stayed.length).toBeLessThanOrEqual(before.length - stayed.length)
        if (!before.includes(left.name)) expect(new Set(after)).toEqual(new Set(before))
      }),
      { numRuns: 1000 },
    )
  })

  test('load is even, first choices too, and one more prober takes its share', () => {
    const load = (probers: readonly Assignee[], k: number, pick = (names: readonly string[]) => names) => {
      const one = makeAssignment(probers)
      const counts = new Map(probers.map(({ name }) => [name, 0]))
      for (const id of targets) for (const name of pick(one(id, k))) counts.set(name, counts.get(name)! + 1)
      return counts
    }
    expect(chiSquare(load(even(12, REGIONS), 1).values())).toBeLessThan(31.3) // 11 degrees of freedom, p = 0.001
    expect(chiSquare(load(even(12, ['eu']), 3).values())).toBeLessThan(31.3)
    expect(chiSquare(load(even(12, REGIONS), 3, (names) => names.slice(0, 1)).values())).toBeLessThan(31.3)
    const taken = load(even(13, ['eu']), 3).get('p12')!
    expect(Math.abs(taken - (targets.length * 3) / 13)).toBeLessThan(4 * Math.sqrt((targets.length * 3) / 13))
  })

  test('two probers of one region are not always chosen by the same targets', () => {
    const one = makeAssignment(even(8, ['eu']))
    const together = targets.filter((id) => ['p0', 'p1'].every((name) => one(id, 2).includes(name))).length
    expect(together).toBeGreaterThan(targets.length / 56) // 1/28 by chance
    expect(together).toBeLessThan(targets.length / 14)
  })
})
