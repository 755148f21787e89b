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
    allowed: fc.constantFrom(1000, 1000, 300, 10),
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
    const there = members.filter((member) => member.site === site && member.availability !== 'out')
    const count = there.filter((member) => of.includes(member.availability)).length
    if (count < spec.minVips) continue
    const allowed = there.reduce((all, member) => all + member.allowed, 0) / there.length
    sum += ((spec.capacity[site] ?? 100) * allowed) / 1000
  }
  return sum
}

/** What is there when the DOWNs of these sites wait. */
const kept = (members: readonly SiteMember[], sites: ReadonlySet<string>): SiteMember[] =>
  members.map(({ site, availability, allowed }) => ({
    site,
    allowed,
    availability: availability === 'down' && sites.has(site) ? 'up' : availability,
  }))

const one = (site: string, availability: SiteMember['availability'], allowed = 1000): SiteMember => ({
  site,
  availability,
  allowed,
})
const all = (...downs: string[]): SiteMember[] => SITES.map((site) => one(site, downs.includes(site) ? 'down' : 'up'))

describe('the brake', () => {
  test('holds just as many whole sites as `keep` needs, when some but less is left; else none', () => {
    fc.assert(
      fc.property(siteMembers, specs, (members, rules) => {
        const spec = serviceSpec('web', rules)
        const total = capacity(members, spec, 'up', 'down')
        const left = capacity(members, spec, 'up')
        const { sites } = brake(members, spec)
        const need = (total * spec.keepPercent) / 100
        fc.pre(left === total || Math.abs(left - need) > 1e-6) // parts of sites make no exact sums
        if (left === 0 || left === total || left >= need) return sites.size === 0
        const then = capacity(kept(members, sites), spec, 'up')
        expect(then).toBeGreaterThan(need - 1e-6)
        const last = [...sites].at(-1)!
        const without = capacity(kept(members, new Set([...sites].slice(0, -1))), spec, 'up')
        expect(without).toBeLessThan(need + 1e-6)
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

  test('of a site that is drained in part the rest counts, up or down', () => {
    const spec = serviceSpec('web', { keepPercent: 50 })
    const up = [one('ams', 'up'), one('fra', 'up', 300)]
    expect(brake([...up, one('iad', 'down')], spec)).toMatchObject({ left: 130, total: 230 })
    expect(brake([one('ams', 'up'), one('fra', 'down', 300)], spec)).toMatchObject({ left: 100, total: 130 })
    // ams alone would be enough beside a whole fra, and is not beside the rest of it
    const down = [one('ams', 'down'), one('iad', 'down', 100)]
    expect(brake([one('fra', 'up'), ...down], spec).sites.size).toBe(1)
    expect(brake([one('fra', 'up', 300), ...down], spec).sites).toContain('ams')
    expect(brake([one('fra', 'up'), one('ams', 'down', 900), one('iad', 'down', 100)], spec).sites.size).toBe(0)
    const vips = [one('fra', 'up', 300), one('fra', 'up')]
    expect(brake([...vips, one('ams', 'up')], spec)).toMatchObject({ left: 165, total: 165 })
  })

  test('what is left is told of all the capacity there is', () => {
    const spec = serviceSpec('web', { capacity: { ams: 300 } })
    const members = [one('ams', 'up'), one('fra', 'out'), one('iad', 'down')]
    expect(leftPercent(members, spec)).toBe(60)
    expect(leftPercent([one('ams', 'up', 500), ...members.slice(1)], spec)).toBe(30)
    expect(leftPercent([], spec)).toBe(0)
    expect(largestSitePercent(members, spec)).toBe(60)
    expect(largestSitePercent(members.slice(1), spec)).toBe(50)
    expect(largestSitePercent([], spec)).toBe(0)
  })
})

describe('sites that have recovered', () => {
  const spec = serviceSpec('web', { keepPercent: 50 })
  const lapsed = (...members: SiteMember[]): string[] => [...brake(members, spec).lapsed].toSorted()

  test('wait while enough is up, and lapse before the brake holds what is down, or when nothing is up', () => {
    expect(brake([one('fra', 'recovered'), one('iad', 'up')], spec)).toMatchObject({ left: 100, total: 200 })
    expect(lapsed(one('fra', 'recovered'), one('iad', 'up'))).toEqual([])
    const less = [one('fra', 'recovered'), one('iad', 'up'), one('nrt', 'down'), one('sin', 'down')]
    expect(lapsed(...less)).toEqual(['fra'])
    expect(brake(less, spec)).toMatchObject({ left: 200, total: 400 })
    expect(brake(less, spec).sites.size).toBe(0)
    expect(lapsed(one('fra', 'recovered'), one('iad', 'recovered'), one('nrt', 'down'))).toEqual(['fra', 'iad'])
    expect(lapsed(one('fra', 'recovered'), one('iad', 'out'))).toEqual(['fra'])
  })

  test('do not lapse while anything is unknown, or where they are too few', () => {
    expect(lapsed(one('fra', 'recovered'), one('iad', 'unknown'), one('nrt', 'down'))).toEqual([])
    const two = serviceSpec('web', { minVips: 2 })
    expect([...brake([one('fra', 'recovered'), one('fra', 'down'), one('iad', 'down')], two).lapsed]).toEqual([])
  })
})
