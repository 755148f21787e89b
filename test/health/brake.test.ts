/** The brake against a naive model that follows its stated rule. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { brake, type SiteMember, largestSitePercent, leftPercent } from '../../src/health/brake.ts'
import { serviceSpec } from '../support/specs.ts'

const SITES = ['ams', 'fra', 'iad', 'nrt', 'sin', 'syd']
const siteMembers = fc.array(
  fc.record({
    site: fc.constantFrom(...SITES),
    availability: fc.constantFrom<SiteMember['availability'][]>('up', 'up', 'down', 'out'),
  }),
  { minLength: 1, maxLength: 14 },
)
const specs = fc.record({
  keepPercent: fc.constantFrom(0, 10, 25, 50, 75, 100),
  minVips: fc.integer({ min: 1, max: 3 }),
  capacity: fc.dictionary(fc.constantFrom(...SITES), fc.integer({ min: 1, max: 500 })),
})

/** Capacity of the sites of which at least minVips members are one of these. */
const capacity = (
  members: readonly SiteMember[],
  spec: ReturnType<typeof serviceSpec>,
  ...of: SiteMember['availability'][]
): number => {
  let sum = 0
  for (const site of SITES) {
    const count = members.filter((one) => one.site === site && of.includes(one.availability)).length
    if (count >= spec.minVips) sum += spec.capacity[site] ?? 100
  }
  return sum
}

/** What is there when the DOWNs of these sites wait. */
const kept = (members: readonly SiteMember[], sites: ReadonlySet<string>): SiteMember[] =>
  members.map(({ site, availability }) => ({
    site,
    availability: availability === 'down' && sites.has(site) ? 'up' : availability,
  }))

const one = (site: string, availability: SiteMember['availability']): SiteMember => ({ site, availability })
const all = (...downs: string[]): SiteMember[] => SITES.map((site) => one(site, downs.includes(site) ? 'down' : 'up'))

describe('the brake', () => {
  test('holds just as many whole sites as `keep` needs, when some but less is left; else none', () => {
    fc.assert(
      fc.property(siteMembers, specs, (members, rules) => {
        const spec = serviceSpec('web', rules)
        const total = capacity(members, spec, 'up', 'down')
        const left = capacity(members, spec, 'up')
        const { sites } = brake(members, spec)
        if (left === 0 || left >= (total * spec.keepPercent) / 100) return sites.size === 0
        const then = capacity(kept(members, sites), spec, 'up')
        expect(then).toBeGreaterThanOrEqual((total * spec.keepPercent) / 100)
        const last = [...sites].at(-1)!
        const without = capacity(kept(members, new Set([...sites].slice(0, -1))), spec, 'up')
        expect(without).toBeLessThan((total * spec.keepPercent) / 100)
        return members.some(({ site, availability }) => site === last && availability === 'down')
      }),
      { numRuns: 2000 },
    )
  })

  test('is the same whatever the order in which members are told', () => {
    fc.assert(
      fc.property(siteMembers, specs, fc.integer(), (members, rules, seed) => {
        const spec = serviceSpec('web', rules)
        const shuffled = members.toSorted(
          (a, b) => Math.sin(seed + a.site.charCodeAt(0)) - Math.sin(seed + b.site.charCodeAt(0)),
        )
        expect([...brake(shuffled, spec).sites]).toEqual([...brake(members, spec).sites])
      }),
    )
  })

  test('it is not the same site that waits for every service', () => {
    const waiting = Array.from({ length: 20 }, (_, i) => {
      const { sites } = brake(all('fra', 'iad', 'nrt'), serviceSpec(`s${i}`, { keepPercent: 60 }))
      return [...sites].join()
    })
    expect(new Set(waiting).size).toBeGreaterThan(1)
    expect(waiting.every((site) => ['fra', 'iad', 'nrt'].includes(site))).toBe(true)
  })

  test('with nothing left there is none, and drained or unknown sites count on neither side', () => {
    const spec = serviceSpec('web', { keepPercent: 50 })
    expect(brake(all(...SITES), spec).sites.size).toBe(0)
    const drained = [one('ams', 'up'), one('fra', 'out'), one('iad', 'out'), one('sin', 'down')]
    expect(brake(drained, spec)).toMatchObject({ left: 100, total: 200 })
    expect(brake([...drained, one('nrt', 'down')], spec).sites.size).toBe(1)
  })

  test('what is left is told of all the capacity there is', () => {
    const spec = serviceSpec('web', { capacity: { ams: 300 } })
    const members: SiteMember[] = [
      { site: 'ams', availability: 'up' },
      { site: 'fra', availability: 'out' },
      { site: 'iad', availability: 'down' },
    ]
    expect(leftPercent(members, spec)).toBe(60)
    expect(leftPercent([], spec)).toBe(0)
    expect(largestSitePercent(members, spec)).toBe(60)
    expect(largestSitePercent(members.slice(1), spec)).toBe(50)
    expect(largestSitePercent([], spec)).toBe(0)
  })
})
