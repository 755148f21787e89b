/** The brake against a naive model that follows its stated rule. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { brake, type Fit, leftPercent } from '../../src/health/brake.ts'
import { servicePlan } from '../support/plans.ts'

const SITES = ['ams', 'fra', 'iad', 'nrt', 'sin', 'syd']
const fits = fc.array(
  fc.record({ site: fc.constantFrom(...SITES), fitness: fc.constantFrom<Fit['fitness'][]>('up', 'up', 'down', 'out') }),
  { minLength: 1, maxLength: 14 },
)
const plans = fc.record({
  keepPercent: fc.constantFrom(0, 10, 25, 50, 75, 100),
  minVips: fc.integer({ min: 1, max: 3 }),
  capacity: fc.dictionary(fc.constantFrom(...SITES), fc.integer({ min: 1, max: 500 })),
})

/** Capacity of the sites of which at least minVips members are one of these. */
const capacity = (members: readonly Fit[], plan: ReturnType<typeof servicePlan>, ...of: Fit['fitness'][]): number => {
  let sum = 0
  for (const site of SITES) {
    const count = members.filter((one) => one.site === site && of.includes(one.fitness)).length
    if (count >= plan.minVips) sum += plan.capacity[site] ?? 100
  }
  return sum
}

/** What is there when the DOWNs of these sites wait. */
const kept = (members: readonly Fit[], sites: ReadonlySet<string>): Fit[] =>
  members.map(({ site, fitness }) => ({ site, fitness: fitness === 'down' && sites.has(site) ? 'up' : fitness }))

const one = (site: string, fitness: Fit['fitness']): Fit => ({ site, fitness })
const all = (...downs: string[]): Fit[] => SITES.map((site) => one(site, downs.includes(site) ? 'down' : 'up'))

describe('the brake', () => {
  test('holds just as many whole sites as `keep` needs, when some but less is left; else none', () => {
    fc.assert(
      fc.property(fits, plans, (members, rules) => {
        const plan = servicePlan('web', rules)
        const total = capacity(members, plan, 'up', 'down')
        const left = capacity(members, plan, 'up')
        const { sites } = brake(members, plan)
        if (left === 0 || left >= (total * plan.keepPercent) / 100) return sites.size === 0
        const then = capacity(kept(members, sites), plan, 'up')
        expect(then).toBeGreaterThanOrEqual((total * plan.keepPercent) / 100)
        const last = [...sites].at(-1)!
        const without = capacity(kept(members, new Set([...sites].slice(0, -1))), plan, 'up')
        expect(without).toBeLessThan((total * plan.keepPercent) / 100)
        return members.some(({ site, fitness }) => site === last && fitness === 'down')
      }),
      { numRuns: 2000 },
    )
  })

  test('is the same whatever the order in which members are told', () => {
    fc.assert(
      fc.property(fits, plans, fc.integer(), (members, rules, seed) => {
        const plan = servicePlan('web', rules)
        const shuffled = members.toSorted(
          (a, b) => Math.sin(seed + a.site.charCodeAt(0)) - Math.sin(seed + b.site.charCodeAt(0)),
        )
        expect([...brake(shuffled, plan).sites]).toEqual([...brake(members, plan).sites])
      }),
    )
  })

  test('it is not the same site that waits for every service', () => {
    const waiting = Array.from({ length: 20 }, (_, i) => {
      const { sites } = brake(all('fra', 'iad', 'nrt'), servicePlan(`s${i}`, { keepPercent: 60 }))
      return [...sites].join()
    })
    expect(new Set(waiting).size).toBeGreaterThan(1)
    expect(waiting.every((site) => ['fra', 'iad', 'nrt'].includes(site))).toBe(true)
  })

  test('with nothing left there is none, and drained or unknown sites count on neither side', () => {
    const plan = servicePlan('web', { keepPercent: 50 })
    expect(brake(all(...SITES), plan).sites.size).toBe(0)
    const drained = [one('ams', 'up'), one('fra', 'out'), one('iad', 'out'), one('sin', 'down')]
    expect(brake(drained, plan)).toMatchObject({ left: 100, total: 200 })
    expect(brake([...drained, one('nrt', 'down')], plan).sites.size).toBe(1)
  })

  test('what is left is told of all the capacity there is', () => {
    const plan = servicePlan('web', { capacity: { ams: 300 } })
    const members: Fit[] = [
      { site: 'ams', fitness: 'up' },
      { site: 'fra', fitness: 'out' },
      { site: 'iad', fitness: 'down' },
    ]
    expect(leftPercent(members, plan)).toBe(60)
    expect(leftPercent([], plan)).toBe(0)
  })
})
