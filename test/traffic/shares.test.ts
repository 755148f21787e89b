/**
 * Shares and moves against their naive references: select() itself over very many client networks, and races of
 * exponential variables that are really run.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mix } from '../../src/hash.ts'
import { DOWN, DRAINED, FORCED_DOWN, healthWord, UNPROVEN, UP, type HealthState } from '../../src/health/table.ts'
import { makeSelection, select } from '../../src/policy/select.ts'
import { layOutService, type SteeredService } from '../../src/policy/service.ts'
import { movesBetween, NO_SITE, type Pool, poolOf, RESORT_VALUES, sharesOf } from '../../src/traffic/shares.ts'
import { STEERS_A, STEERS_AAAA } from '../../src/zone/pack.ts'
import { seeded } from '../answer/fixture.ts'
import { mapOf, service, site, type SiteSpec } from '../policy/fixture.ts'

const SITES = ['ams', 'fra', 'iad', 'nrt', 'sin']
const CAPACITIES = [100, 250, 40, 100, 300]
const sites = new Map(SITES.map((name, i) => [name, site(name, { capacity: CAPACITIES[i]! })]))

/** Standard deviations that a sampled share may be off: once in some million. */
const SIGMA = 5
const tolerance = (p: number, samples: number): number =>
  SIGMA * Math.sqrt(Math.max(p * (1 - p), 1e-9) / samples) + 1e-9

function layOut(specs: readonly SiteSpec[], more: Parameters<typeof service>[1]): SteeredService {
  const laid = layOutService(service(specs, more), sites, 0)
  laid.slot.set(laid.slot.map((_, vip) => vip))
  return laid
}

const caseArb = fc.record({
  vips: fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })), {
    minLength: 3,
    maxLength: 5,
  }),
  weights: fc.array(fc.constantFrom(100, 100, 30, 1, 0), { minLength: 5, maxLength: 5 }),
  minVips: fc.constantFrom(1, 1, 2),
  spill: fc.constantFrom(1, 1, 2, 3),
  random: fc.boolean(),
  fence: fc.boolean(),
  lastResort: fc.constantFrom('all', 'all', 'nodata', 'values'),
  cuts: fc.array(fc.constantFrom(true, false, false), { minLength: 5, maxLength: 5 }),
  tail: fc.boolean(),
  order: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 3 }),
  states: fc.array(fc.constantFrom<HealthState>(UP, UP, UP, UP, UP, DOWN, DOWN, UNPROVEN, DRAINED, FORCED_DOWN), {
    minLength: 20,
    maxLength: 20,
  }),
  type: fc.constantFrom(STEERS_A, STEERS_AAAA),
})

test('a pool is what select() divides a class over, whatever the health', () => {
  const SAMPLES = 4_000
  let divided = 0
  const property = fc.property(caseArb, (drawn) => {
    const specs = drawn.vips.map(([four, six], i) => ({
      site: SITES[i]!,
      vips: [
        ...Array.from({ length: Math.max(four, four + six === 0 ? 1 : 0) }, (_, n) => `192.0.2.${i * 10 + n}`),
        ...Array.from({ length: six }, (_, n) => `2001:db8:${i}::${n + 1}`),
      ],
      weight: drawn.weights[i]!,
    }))
    const { lastResort, minVips, spill } = drawn
    const laid = layOut(specs, {
      minVips,
      spill,
      pick: drawn.random ? 'random' : 'hash',
      lastResort:
        lastResort === 'values' ? { kind: 'values', values: [new Uint8Array([192, 0, 2, 99])] } : { kind: lastResort },
    })
    const groups: number[][] = []
    for (const number of drawn.order.filter((s) => s < specs.length)) {
      if (groups.length === 0 || drawn.cuts[number]!) groups.push([number])
      else groups.at(-1)!.push(number)
    }
    const map = mapOf([{ groups, tail: drawn.tail, fence: drawn.fence || groups.flat().length < specs.length }])
    const health = Int32Array.from(drawn.states, (state) => healthWord(state, 1000, true))
    const pool = poolOf(laid, map, 0, health, drawn.type)

    const counts = new Map<number, number>()
    const out = makeSelection()
    const next = seeded(drawn.states.length + drawn.weights[0]!)
    for (let i = 0; i < SAMPLES; i++) {
      select(
        laid,
        map,
        health,
        Object.assign(out, { class: 0, network: mix(next()), chance: next(), type: drawn.type, trace: null }),
      )
      const named = out.site >= 0 ? out.site : out.useValues ? RESORT_VALUES : NO_SITE
      counts.set(named, (counts.get(named) ?? 0) + 1)
    }
    expect(pool.random && pool.sites[0]! >= 0).toBe(drawn.random && pool.sites[0]! >= 0)
    for (const named of counts.keys()) expect(pool.sites).toContain(named)
    if (pool.sites.length > 1) divided++
    for (const [i, share] of sharesOf(pool).entries()) {
      const seen = (counts.get(pool.sites[i]!) ?? 0) / SAMPLES
      expect(Math.abs(seen - share)).toBeLessThan(tolerance(share, SAMPLES))
    }
  })
  fc.assert(property, { seed: 1, numRuns: 300 })
  expect(divided).toBeGreaterThan(40)
})

const weightArb = fc.constantFrom(0, 0, 1, 30, 50, 100, 100, 1000)
const poolOfWeights = (weights: readonly number[], random = false): Pool => {
  const there = weights.flatMap((weight, i) => (weight > 0 ? [{ weight, i }] : []))
  return { sites: there.map(({ i }) => i), weights: there.map(({ weight }) => weight), random }
}
const pairArb = fc
  .tuple(fc.array(weightArb, { minLength: 5, maxLength: 5 }), fc.array(weightArb, { minLength: 5, maxLength: 5 }))
  .filter(([before, after]) => before.some((w) => w > 0) && after.some((w) => w > 0))

/** The least of E / w, run. */
function winner(pool: Pool, arrival: readonly number[]): number {
  let best = pool.sites[0]!
  let least = Infinity
  for (const [i, at] of pool.sites.entries()) {
    const score = arrival[at]! / pool.weights[i]!
    if (score < least) [best, least] = [at, score]
  }
  return best
}

test('moves of one service are those of a race that is run twice with the same runners', () => {
  const SAMPLES = 20_000
  const next = seeded(42)
  fc.assert(
    fc.property(pairArb, ([before, after]) => {
      const pools = [poolOfWeights(before), poolOfWeights(after)] as const
      const seen = new Map<string, number>()
      for (let n = 0; n < SAMPLES; n++) {
        const arrival = before.map(() => -Math.log((next() + 0.5) / 2 ** 32))
        const [from, to] = [winner(pools[0], arrival), winner(pools[1], arrival)]
        if (from !== to) seen.set(`${from} ${to}`, (seen.get(`${from} ${to}`) ?? 0) + 1)
      }
      const told = new Map(movesBetween(...pools, true).map(({ from, to, share }) => [`${from} ${to}`, share]))
      for (const key of new Set([...seen.keys(), ...told.keys()])) {
        const share = told.get(key) ?? 0
        expect(Math.abs((seen.get(key) ?? 0) / SAMPLES - share)).toBeLessThan(tolerance(share, SAMPLES))
      }
    }),
    { seed: 2, numRuns: 100 },
  )
})

test('however they are counted, moves make the shares before into the shares after', () => {
  fc.assert(
    fc.property(pairArb, fc.boolean(), fc.boolean(), fc.boolean(), ([before, after], a, b, sameKeys) => {
      const pools = [poolOfWeights(before, a), poolOfWeights(after, b)] as const
      const shares = new Map(pools[0].sites.map((at, i) => [at, sharesOf(pools[0])[i]!]))
      for (const { from, to, share } of movesBetween(...pools, sameKeys)) {
        expect(from).not.toBe(to)
        expect(share).toBeGreaterThan(0)
        shares.set(from, (shares.get(from) ?? 0) - share)
        shares.set(to, (shares.get(to) ?? 0) + share)
      }
      const wanted = new Map(pools[1].sites.map((at, i) => [at, sharesOf(pools[1])[i]!]))
      for (const [at, share] of shares) expect(share).toBeCloseTo(wanted.get(at) ?? 0, 9)
    }),
    { seed: 3, numRuns: 1000 },
  )
})

test('real hashes race alike: a weight that changes moves what the formula says, in one direction', () => {
  const specs = ['ams', 'fra', 'iad'].map((name, i) => ({ site: name, vips: [`192.0.2.${i}`] }))
  const map = mapOf([{ groups: [[0, 1, 2]] }])
  const health = new Int32Array(3).fill(healthWord(UP, 1000, true))
  const sides = [100, 50].map((weight) =>
    layOut(
      specs.map((spec) => (spec.site === 'fra' ? { ...spec, weight } : spec)),
      {},
    ),
  )
  const pools = sides.map((laid) => poolOf(laid, map, 0, health, STEERS_A))
  const told = movesBetween(pools[0]!, pools[1]!, true)
  // 1/3 becomes 1/5: what fra loses goes to the two others alike, and nobody else moves
  expect(told.map(({ from, to }) => [from, to])).toEqual([
    [1, 0],
    [1, 2],
  ])
  for (const { share } of told) expect(share).toBeCloseTo((1 / 3 - 1 / 5) / 2, 12)

  const SAMPLES = 200_000
  const seen = new Map<number, number>()
  const out = makeSelection()
  const pick = (laid: SteeredService, network: number): number => {
    select(laid, map, health, Object.assign(out, { class: 0, network, chance: 0, type: STEERS_A, trace: null }))
    return out.site
  }
  for (let i = 0; i < SAMPLES; i++) {
    const [from, to] = [pick(sides[0]!, mix(i)), pick(sides[1]!, mix(i))]
    if (from === to) continue
    expect(from).toBe(1)
    seen.set(to, (seen.get(to) ?? 0) + 1)
  }
  for (const { to, share } of told) {
    expect(Math.abs(seen.get(to)! / SAMPLES - share)).toBeLessThan(tolerance(share, SAMPLES))
  }
})

const moved = (a: Pool, b: Pool, sameKeys: boolean): number =>
  movesBetween(a, b, sameKeys).reduce((sum, { share }) => sum + share, 0)

test('random draws move only what must; another service’s hash moves what it meets', () => {
  const before = poolOfWeights([50, 50])
  const after = poolOfWeights([50, 0, 50])
  expect(moved({ ...before, random: true }, { ...after, random: true }, true)).toBeCloseTo(0.5, 12)
  expect(moved({ ...before, random: true }, { ...before, random: true }, false)).toBe(0)
  expect(moved(before, before, false)).toBeCloseTo(0.5, 12)
  expect(moved(before, before, true)).toBe(0)
  // of those that raced ams against fra, sin now takes what it wins: half of each's place
  expect(moved(before, after, true)).toBeCloseTo(1 / 2 + 1 / 2 - 1 / 3, 12)
})
