import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ANSWER_STAGES, type AnswerStage } from '../../src/counters.ts'
import { mix } from '../../src/hash.ts'
import {
  DOWN,
  DRAINED,
  FORCED_DOWN,
  healthWord,
  RECOVERED,
  UNPROVEN,
  UNWATCHED,
  UP,
  type HealthState,
} from '../../src/health/table.ts'
import { networkKey } from '../../src/policy/network.ts'
import { makeSelection, select, STAGES, type Selection } from '../../src/policy/select.ts'
import { layOutService, type SteeredService } from '../../src/policy/service.ts'
import type { ServiceModel } from '../../src/zone/model.ts'
import { STEERS_A, STEERS_AAAA } from '../../src/zone/pack.ts'
import { mapOf, service, site, type ClassSpec, type SiteSpec } from './fixture.ts'

const SITES = ['ams', 'fra', 'iad', 'nrt', 'sin']
const sites = new Map(SITES.map((name, i) => [name, site(name, { capacity: 100 + 50 * i })]))

interface Vip {
  readonly state: HealthState
  readonly share: number
  readonly calm: boolean
}

/** Slots in the order of the VIPs, so that a health table is a plain list. */
function layOut(model: ServiceModel): SteeredService {
  const laid = layOutService(model, sites, 0)
  laid.slot.set(laid.slot.map((_, vip) => vip))
  return laid
}

const words = (vips: readonly Vip[]): Int32Array =>
  Int32Array.from(vips, ({ state, share, calm }) => healthWord(state, share, calm))

interface Result {
  readonly addresses: readonly number[]
  readonly site: number
  readonly ttl: number
  readonly lastResort: boolean
  readonly values: boolean
}

function ask(
  laid: SteeredService,
  spec: ClassSpec,
  health: Int32Array,
  network: number,
  chance: number,
  type: number,
  out: Selection = makeSelection(),
): Result {
  select(laid, mapOf([spec]), health, Object.assign(out, { class: 0, network, chance, type, trace: null }))
  return {
    addresses: [...out.vips.subarray(0, out.count)],
    site: out.site,
    ttl: out.ttlSeconds,
    lastResort: out.lastResort,
    values: out.useValues,
  }
}

const upwards = (a: number, b: number): number => a - b

const stateArb = fc.constantFrom<HealthState>(UP, UP, UP, DOWN, RECOVERED, UNPROVEN, DRAINED, FORCED_DOWN)
const vipArb: fc.Arbitrary<Vip> = fc.record({
  state: stateArb,
  share: fc.constantFrom(1000, 1000, 500, 0),
  calm: fc.boolean(),
})

/** A service of 1–5 sites, its class's groups, and its health. */
const caseArb = fc
  .record({
    vips: fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })), {
      minLength: 1,
      maxLength: 5,
    }),
    weights: fc.array(fc.constantFrom(100, 100, 30, 0), { minLength: 5, maxLength: 5 }),
    minVips: fc.constantFrom(1, 1, 2),
    answers: fc.constantFrom(8, 8, 1, 2),
    random: fc.boolean(),
    rulePick: fc.constantFrom<'hash' | 'random' | undefined>(undefined, undefined, 'hash', 'random'),
    spill: fc.constantFrom(1, 1, 2, 3, 255),
    capacities: fc.array(fc.constantFrom(100, 250, 0), { minLength: 5, maxLength: 5 }),
    vipWeights: fc.option(fc.array(fc.constantFrom(1, 20, 0), { minLength: 20, maxLength: 20 })),
    fence: fc.boolean(),
    lastResort: fc.constantFrom<'all' | 'nodata'>('all', 'all', 'nodata'),
    cuts: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    tail: fc.boolean(),
    health: fc.array(vipArb, { minLength: 20, maxLength: 20 }),
    network: fc.integer(),
    chance: fc.integer(),
    type: fc.constantFrom(STEERS_A, STEERS_AAAA),
    order: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }),
  })
  .map((drawn) => {
    const specs: SiteSpec[] = drawn.vips.map(([four, six], i) => ({
      site: SITES[i]!,
      vips: [
        ...Array.from({ length: Math.max(four, four + six === 0 ? 1 : 0) }, (_, n) => `192.0.2.${i * 10 + n}`),
        ...Array.from({ length: six }, (_, n) => `2001:db8:${i}::${n + 1}`),
      ],
      weight: drawn.weights[i]!,
    }))
    const groups: number[][] = []
    for (const number of drawn.order.filter((s) => s < specs.length)) {
      if (groups.length === 0 || drawn.cuts[number]!) groups.push([number])
      else groups.at(-1)!.push(number)
    }
    const model = service(specs, {
      minVips: drawn.minVips,
      answers: drawn.answers,
      pick: drawn.random ? 'random' : 'hash',
      lastResort: { kind: drawn.lastResort },
      spill: drawn.spill,
    })
    const laid = {
      ...layOut(model),
      capacity: Int32Array.from(specs, (_, i) => drawn.capacities[i]!),
      vipWeight: drawn.vipWeights === null ? null : Int32Array.from(drawn.vipWeights),
    }
    const { tail, fence, rulePick } = drawn
    return { ...drawn, model, laid, spec: { groups, tail, fence, pick: rulePick } satisfies ClassSpec }
  })

/** The walk as its stages say it, with sets and maps: which site is named, which of its VIPs, whether by hash, and what TTL. */
function reference(
  laid: SteeredService,
  spec: ClassSpec,
  vips: readonly Vip[],
  network: number,
  chance: number,
  type: number,
) {
  const random = spec.pick === undefined ? laid.random : spec.pick === 'random'
  const draw = random ? mix(chance) : network
  const all = spec.groups.flat()
  const vipsOf = (s: number) =>
    Array.from({ length: laid.firstVip[s + 1]! - laid.firstVip[s]! }, (_, i) => laid.firstVip[s]! + i)
  const ofType = (v: number, s: number) => (type === STEERS_A ? v < laid.firstV6[s]! : v >= laid.firstV6[s]!)
  const up = new Set<HealthState>([UP])
  const passes: { states: Set<HealthState>; least: number; weight: (w: number) => boolean; shares: boolean }[] = []
  const both = (states: Set<HealthState>, least: number) => {
    passes.push({ states, least, weight: (w) => w > 0, shares: false })
    passes.push({ states, least, weight: (w) => w === 0, shares: false })
  }
  passes.push({ states: up, least: laid.minVips, weight: (w) => w > 0, shares: true })
  both(up, laid.minVips)
  both(up, 1)
  both(new Set([UP, RECOVERED]), 1)
  both(new Set([UP, RECOVERED, UNPROVEN]), 1)
  both(new Set([UP, RECOVERED, UNPROVEN, DRAINED]), 1)
  const normal = passes.length
  both(new Set([UP, RECOVERED, UNPROVEN, DRAINED, DOWN]), 1)
  passes.push({
    states: new Set([UP, RECOVERED, UNPROVEN, DRAINED, DOWN, FORCED_DOWN]),
    least: 1,
    weight: () => true,
    shares: false,
  })

  for (const [number, pass] of passes.entries()) {
    if (number === normal) {
      const fit = new Set<HealthState>([UP, RECOVERED, UNPROVEN, DRAINED])
      const some = all.some((s) => vipsOf(s).some((v) => fit.has(vips[v]!.state)))
      if (some) return { sites: [], lastResort: false, ttl: 0 }
      if (laid.lastResort === 'nodata') return { sites: [], lastResort: true, ttl: 0 }
    }
    const isDead = (s: number): boolean => vipsOf(s).filter((v) => vips[v]!.state === UP).length < laid.minVips
    const spills = number < 2 && laid.spill > 1 && spec.groups[0]!.every(isDead)
    const isFit = (s: number): boolean => {
      const usable = vipsOf(s).filter((v) => pass.states.has(vips[v]!.state))
      if (usable.length < pass.least || !pass.weight(laid.weight[s]!)) return false
      if (!usable.some((v) => ofType(v, s))) return false
      const share = Math.floor(usable.reduce((sum, v) => sum + vips[v]!.share, 0) / usable.length)
      return !pass.shares || share === 1000 || (mix(mix(draw ^ 0x5bd1e995) ^ laid.siteKey[s]!) >>> 0) % 1000 < share
    }
    // how many groups are looked at, and which of their sites compete
    let depth = 0
    const fit: number[] = []
    while (depth < spec.groups.length && fit.length < (spills ? laid.spill : 1)) {
      fit.push(...spec.groups[depth]!.filter(isFit))
      depth++
    }
    if (fit.length === 0) continue
    const tail = spec.tail === true && depth === spec.groups.length
    const scores = fit.map((s) => {
      const weight = tail || spills ? laid.capacity[s]! : laid.weight[s]!
      return -Math.log(((mix(draw ^ laid.siteKey[s]!) >>> 0) + 0.5) / 2 ** 32) / Math.max(weight, 1)
    })
    const best = fit[scores.indexOf(Math.min(...scores))]!
    const usable = vipsOf(best).filter((v) => pass.states.has(vips[v]!.state) && ofType(v, best))
    const weightOf = (v: number): number => laid.vipWeight?.[v] ?? 1
    const wanted = usable.some((v) => weightOf(v) > 0) ? usable.filter((v) => weightOf(v) > 0) : usable
    const vipScore = (v: number): number => {
      const hash = mix(draw ^ laid.vipKey[v]!)
      return -Math.log(((hash >>> 0) + 0.5) / 2 ** 32) / Math.max(weightOf(v), 1)
    }
    const named = wanted.toSorted((v, w) => vipScore(v) - vipScore(w)).slice(0, laid.answers)
    const consulted = number === 0 ? spec.groups.slice(0, depth).flat() : all
    const wellStage = spec.groups[0]!.includes(best) ? 'nearest' : 'spill'
    const stages: readonly AnswerStage[] = [
      wellStage,
      wellStage,
      'weight 0',
      ...(['below minVips', 'recovered', 'unproven', 'drained', 'last resort'] as const).flatMap(
        (stage) => [stage, stage] as const,
      ),
      'last resort',
    ]
    const calm = number < 5 && consulted.every((s) => vipsOf(s).every((v) => vips[v]!.calm))
    return {
      sites: [best],
      named,
      counted: stages[number]!,
      hashed: !random && (fit.length > 1 || wanted.length > named.length),
      lastResort: number >= normal,
      ttl: calm ? laid.ttlMaxSeconds : laid.ttlMinSeconds,
    }
  }
  return { sites: [], lastResort: true, ttl: 0 }
}

test('equals a reference written from the design, whatever the health', () => {
  fc.assert(
    fc.property(caseArb, ({ laid, spec, health, network, chance, type }) => {
      const out = makeSelection()
      const got = ask(laid, spec, words(health), network, chance, type, out)
      const want = reference(laid, spec, health, network, chance, type)
      expect(got.site).toBe(want.sites[0] ?? -1)
      expect(got.lastResort).toBe(want.lastResort)
      expect(got.addresses.toSorted(upwards)).toEqual((want.named ?? []).toSorted(upwards))
      if (want.named === undefined) return
      expect(ANSWER_STAGES[out.counted]).toBe(want.counted)
      expect(got.ttl).toBe(want.ttl)
      if (want.hashed) expect(out.hashed).toBe(true)
    }),
    { numRuns: 6000 },
  )
})

test('never empty while any VIP of the type exists, unless the other type is usable or the service says nodata', () => {
  fc.assert(
    fc.property(caseArb, ({ laid, spec, health, network, chance, type }) => {
      const got = ask(laid, spec, words(health), network, chance, type)
      if (got.addresses.length > 0 || laid.lastResort === 'nodata') return
      const exists = laid.siteNames.some((_, s) =>
        type === STEERS_A ? laid.firstV6[s]! > laid.firstVip[s]! : laid.firstVip[s + 1]! > laid.firstV6[s]!,
      )
      const otherUsable = laid.siteNames.some((_, s) => {
        const from = type === STEERS_A ? laid.firstV6[s]! : laid.firstVip[s]!
        const end = type === STEERS_A ? laid.firstVip[s + 1]! : laid.firstV6[s]!
        return health
          .slice(from, end)
          .some(({ state }) => [UP, RECOVERED, UNPROVEN, DRAINED].some((one) => one === state))
      })
      expect(!exists || otherUsable).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('without the hashed flag the client’s network changes nothing', () => {
  fc.assert(
    fc.property(caseArb, fc.integer(), ({ laid, spec, health, network, chance, type }, other) => {
      const out = makeSelection()
      const one = ask(laid, spec, words(health), network, chance, type, out)
      if (out.hashed || (spec.pick ?? (laid.random ? 'random' : 'hash')) === 'random') return
      expect(ask(laid, spec, words(health), other, chance, type)).toEqual(one)
    }),
    { numRuns: 2000 },
  )
})

const up: Vip = { state: UP, share: 1000, calm: true }
const trio = (weights: readonly number[], more: Partial<ServiceModel> = {}): SteeredService =>
  layOut(
    service(
      weights.map((weight, i) => ({ site: SITES[i]!, vips: [`192.0.2.${i}`], weight })),
      more,
    ),
  )
const oneGroup = (count: number): ClassSpec => ({ groups: [Array.from({ length: count }, (_, i) => i)] })
/** Keys of 40,000 neighbouring /24s. */
const networks = Array.from({ length: 40_000 }, (_, i) =>
  networkKey(4, Uint8Array.of(10 + (i >> 16), (i >> 8) & 255, i & 255), 0),
)

/** Pearson's statistic of counts against proportions. */
function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const total = counts.reduce((sum, n) => sum + n, 0)
  const whole = weights.reduce((sum, n) => sum + n, 0)
  return counts.reduce((sum, n, i) => {
    const expected = (total * weights[i]!) / whole
    return sum + (n - expected) ** 2 / expected
  }, 0)
}

/** How many networks each site gets. */
function tally(laid: SteeredService, spec: ClassSpec, health: Int32Array): number[] {
  const counts = laid.siteNames.map(() => 0)
  for (const [i, network] of networks.entries()) {
    counts[ask(laid, spec, health, network, Math.imul(i + 1, 0x9e3779b1), STEERS_A).site]!++
  }
  return counts
}

/** The site of each network, all sites being one group. */
const picks = (laid: SteeredService, health: Int32Array): number[] =>
  networks.map((network) => ask(laid, oneGroup(laid.siteNames.length), health, network, 0, STEERS_A).site)

describe('proportions', () => {
  test.each(['hash', 'random'] as const)('weights divide a group (%s)', (pick) => {
    const weights = [100, 30, 1000, 300, 7]
    const counts = tally(trio(weights, { pick }), oneGroup(5), words([up, up, up, up, up]))
    expect(chiSquare(counts, weights)).toBeLessThan(18.47) // 4 degrees of freedom, p = 0.001
  })

  test('capacity divides the tail', () => {
    const counts = tally(trio([5, 5, 5]), { ...oneGroup(3), tail: true }, words([up, up, up]))
    expect(chiSquare(counts, [100, 150, 200])).toBeLessThan(13.82)
  })

  test.each(['hash', 'random'] as const)('a share admits its part (%s)', (pick) => {
    const counts = tally(trio([100, 100], { pick }), { groups: [[0], [1]] }, words([{ ...up, share: 250 }, up]))
    expect(chiSquare(counts, [25, 75])).toBeLessThan(10.83)
  })

  test('admission and the division of a group are independent', () => {
    const counts = tally(trio([100, 100]), oneGroup(2), words([{ ...up, share: 500 }, up]))
    expect(chiSquare(counts, [25, 75])).toBeLessThan(10.83)
  })
})

describe('who moves', () => {
  test('a site going down moves only its clients', () => {
    const laid = trio([100, 100, 50, 100])
    const before = picks(laid, words([up, up, up, up]))
    const after = picks(laid, words([up, up, { ...up, state: DOWN }, up]))
    expect(before.filter((s, i) => s !== 2 && s !== after[i])).toEqual([])
    expect(after.includes(2)).toBe(false)
    expect(before.includes(2)).toBe(true)
  })

  test('a weight change moves only its share', () => {
    const health = words([up, up, up, up])
    const before = picks(trio([100, 100, 100, 100]), health)
    const after = picks(trio([100, 100, 150, 100]), health)
    const moved = before.filter((s, i) => s !== after[i])
    expect(before.filter((s, i) => s !== after[i] && after[i] !== 2)).toEqual([])
    const expected = (150 / 450 - 100 / 400) * networks.length
    expect(Math.abs(moved.length - expected)).toBeLessThan(4 * Math.sqrt(expected))
  })

  test('a new site moves only its share, wherever its name sorts', () => {
    const specs = SITES.map((name, i) => ({ site: name, vips: [`192.0.2.${i}`] }))
    const health = words([up, up, up, up, up])
    const names = (laid: SteeredService) => picks(laid, health).map((s) => laid.siteNames[s]!)
    const before = names(layOut(service(specs.slice(1))))
    const after = names(layOut(service(specs)))
    const moved = after.filter((name, i) => name !== before[i])
    expect([...new Set(moved)]).toEqual([SITES[0]])
    expect(chiSquare([moved.length, after.length - moved.length], [1, 4])).toBeLessThan(10.83)
  })

  test('the order of sites in the file decides nothing', () => {
    const specs = SITES.map((name, i) => ({ site: name, vips: [`192.0.2.${i}`], weight: 50 + i }))
    const health = words([up, up, up, up, up])
    expect(picks(layOut(service(specs.toReversed())), health)).toEqual(picks(layOut(service(specs)), health))
  })
})

/** The VIPs of each network, sorted. */
const named = (laid: SteeredService, health: Int32Array, chances = false): number[][] =>
  networks.map((network, i) =>
    ask(laid, oneGroup(1), health, network, chances ? mix(i) : 0, STEERS_A).addresses.toSorted(upwards),
  )

const positive = (list: readonly number[], by: readonly number[]): number[] => list.filter((_, i) => by[i]! > 0)

describe('weights of VIPs', () => {
  const VIPS = 9
  const weights = [1, 2, 3, 10, 0, 4, 7, 20, 5]
  const weighted = (answers: number, pick: 'hash' | 'random' = 'hash'): SteeredService => ({
    ...layOut(service([{ site: 'fra', vips: weights.map((_, i) => `192.0.2.${i}`) }], { answers, pick })),
    vipWeight: Int32Array.from(weights),
  })
  const allUp = words(Array.from({ length: VIPS }, () => up))
  const without = (vip: number): Int32Array =>
    words(Array.from({ length: VIPS }, (_, i) => (i === vip ? { ...up, state: DOWN } : up)))

  test.each(['hash', 'random'] as const)('divide a site’s clients (%s)', (pick) => {
    const counts = weights.map(() => 0)
    for (const [vip] of named(weighted(1, pick), allUp, pick === 'random')) counts[vip!]!++
    expect(counts[4]).toBe(0)
    expect(chiSquare(positive(counts, weights), positive(weights, weights))).toBeLessThan(24.32) // 7 degrees of freedom, p = 0.001
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('of %i answers, a VIP that goes down moves only its own clients', (answers) => {
    const laid = weighted(answers)
    const before = named(laid, allUp)
    for (const vip of [0, 7]) {
      const after = named(laid, without(vip))
      const others = before.filter((had, i) => {
        const lost = had.filter((one) => !after[i]!.includes(one))
        return had.includes(vip) ? lost.length !== 1 : lost.length > 0 || after[i]!.length !== had.length
      })
      expect(others).toEqual([])
      expect(before.some((had) => had.includes(vip))).toBe(true)
    }
  })

  test('a first weight among equal VIPs moves clients to that one alone, and no more than its share', () => {
    const equal = { ...weighted(1), vipWeight: null }
    const before = named(equal, allUp)
    const after = named({ ...equal, vipWeight: Int32Array.from(weights, (_, i) => (i === 7 ? 2 : 1)) }, allUp)
    const moved = after.filter(([vip], i) => vip !== before[i]![0])
    expect(new Set(moved.flat())).toEqual(new Set([7]))
    expect(moved.length / after.length).toBeCloseTo(2 / 10 - 1 / 9, 1)
  })

  test('weight 0 is named only when no other is usable, however many answers there may be', () => {
    const laid = weighted(8)
    expect(new Set(named(laid, allUp).flat()).has(4)).toBe(false)
    const alone = words(Array.from({ length: VIPS }, (_, i) => (i === 4 ? up : { ...up, state: DOWN })))
    expect(named(laid, alone)[0]).toEqual([4])
  })
})

test('answers are rotated by chance, every VIP first equally often', () => {
  const laid = layOut(service([{ site: 'fra', vips: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'] }]))
  const firsts = [0, 0, 0, 0]
  for (let i = 0; i < 4000; i++)
    firsts[ask(laid, oneGroup(1), words([up, up, up, up]), 1, mix(i), STEERS_A).addresses[0]!]!++
  expect(chiSquare(firsts, [1, 1, 1, 1])).toBeLessThan(16.27)
})

test('the values of the last resort are used only when nothing is usable', () => {
  const laid = trio([100, 100], { lastResort: { kind: 'values', values: [Uint8Array.of(192, 0, 2, 99)] } })
  const down: Vip = { ...up, state: DOWN }
  expect(ask(laid, oneGroup(2), words([down, up]), 1, 0, STEERS_A)).toMatchObject({ site: 1, values: false })
  expect(ask(laid, oneGroup(2), words([down, down]), 1, 0, STEERS_A)).toMatchObject({ site: -1, values: true })
})

test('stages are in the order of the design', () => {
  expect(STAGES.map(({ name }) => name.replace(/,.*/, ''))).toEqual([
    'up',
    'up',
    'up',
    'up',
    'up',
    'recovered',
    'recovered',
    'unproven',
    'unproven',
    'drained',
    'drained',
    'last resort',
    'last resort',
    'last resort',
  ])
})

/** What counts of a Selection. */
const result = ({ vips, count, site: of, stage, useValues, lastResort, ttlSeconds, hashed }: Selection) => {
  const least = useValues || count === 0 ? { ttlSeconds, hashed } : { stage, ttlSeconds, hashed }
  return { vips: [...vips.subarray(0, count)], of, useValues, lastResort, ...least }
}

describe('the walk skips what it knows to find nothing', () => {
  test('and comes to the same as the walk that `explain` hears, with and without the word of the service, and when it is asked again', () => {
    fc.assert(
      fc.property(caseArb, ({ laid, spec, health, network, chance, type }) => {
        const table = new Int32Array(32)
        table.set(words(health))
        const map = mapOf([spec])
        const [told, plain, worded] = [makeSelection(), makeSelection(), makeSelection()]
        select(
          laid,
          map,
          table,
          Object.assign(told, { class: 0, network, chance, type, trace: { site: () => {}, score: () => {} } }),
        )
        select(laid, map, table, Object.assign(plain, { class: 0, network, chance, type, trace: null }))
        expect(result(plain)).toEqual(result(told))
        for (let times = 0; times < 2; times++) {
          select(
            { ...laid, word: 31 },
            map,
            table,
            Object.assign(worded, { class: 0, network, chance, type, trace: null }),
          )
          expect(result(worded)).toEqual(result(told))
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('250 sites are asked once each, and not again while the service’s word is the same', () => {
    const many = Array.from({ length: 250 }, (_, i) => `m${String(i).padStart(3, '0')}`)
    const model = service(many.map((name, i) => ({ site: name, vips: [`10.0.0.${i}`, `2001:db8::${i + 1}`] })))
    const laid = layOutService(model, new Map(many.map((name) => [name, site(name)])), 0)
    laid.slot.set(laid.slot.map((_, vip) => vip))
    laid.word = 500
    const listed = mapOf([{ groups: many.map((_, i) => [i]) }])
    const one = mapOf([{ groups: [many.map((_, i) => i)] }])
    const states: readonly ((vip: number) => number)[] = [
      () => healthWord(UP, 1000, true),
      () => healthWord(DOWN, 1000, true),
      () => healthWord(FORCED_DOWN, 1000, true),
      () => healthWord(DRAINED, 1000, true),
      () => healthWord(UNPROVEN, 1000, true),
      () => healthWord(UP, 0, true),
      (vip) => healthWord(vip % 2 === 0 ? UP : DOWN, 1000, true),
      (vip) => healthWord(vip < 498 ? DOWN : DRAINED, 1000, true),
      (vip) => healthWord(vip < 498 ? DOWN : UP, 0, true),
      () => healthWord(RECOVERED, 1000, true),
    ]
    let version = 0
    for (const map of [listed, one]) {
      for (const type of [STEERS_A, STEERS_AAAA]) {
        for (const [i, state] of states.entries()) {
          const table = Int32Array.from({ length: 501 }, (_, vip) => (vip < 500 ? state(vip) : ++version))
          let reads = 0
          const counted = new Proxy(table, {
            get(target, key) {
              reads++
              return Reflect.get(target, key, target)
            },
          })
          const out = makeSelection()
          select(laid, map, counted, Object.assign(out, { class: 0, network: 12_345, chance: 6789, type, trace: null }))
          expect(out.count, `state ${i}`).toBe(i === 6 && type === STEERS_AAAA ? 0 : 1)
          expect(reads, `state ${i}`).toBeLessThanOrEqual(500 + 4)
          reads = 0
          select(laid, map, counted, Object.assign(out, { class: 0, network: 12_345, chance: 6789, type, trace: null }))
          expect(reads, `state ${i}`).toBeLessThanOrEqual(4)
          table.fill(healthWord(DOWN, 1000, true), 0, 500)
          table[500] = ++version
          select(laid, map, counted, Object.assign(out, { class: 0, network: 12_345, chance: 6789, type, trace: null }))
          expect(out.lastResort).toBe(true)
        }
      }
    }
  })

  test('a word that nobody changes any more is not trusted', () => {
    const laid = layOut(service([{ site: 'ams', vips: ['192.0.2.1'] }]))
    laid.word = 1
    const table = Int32Array.of(healthWord(DOWN, 1000, true), UNWATCHED)
    const spec = { groups: [[0]] }
    expect(ask(laid, spec, table, 1, 1, STEERS_A).lastResort).toBe(true)
    table[0] = healthWord(UP, 1000, true)
    expect(ask(laid, spec, table, 1, 1, STEERS_A).lastResort).toBe(false)
  })

  test('while somebody is up at every moment nobody gets nothing, whenever the words change', () => {
    const specs = ['a', 'b', 'c'].map((name, i) => ({ site: name, vips: [`192.0.2.${i}`], weight: [100, 0, 50][i]! }))
    const known = new Map(specs.map(({ site: name }) => [name, site(name)]))
    const [risen, fallen] = [healthWord(UP, 1000, true), healthWord(DOWN, 1000, true)]
    let empty = 0
    for (const groups of [[[0], [1], [2]], [[2], [0, 1]], [[0, 1, 2]]]) {
      for (const [from, to] of [
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 2],
        [2, 0],
        [2, 1],
      ] as const) {
        for (let rise = 0; rise < 24; rise++) {
          for (let fall = rise; fall < 24; fall++) {
            const laid = layOutService(service(specs, { lastResort: { kind: 'nodata' } }), known, 0)
            laid.slot.set(laid.slot.map((_, vip) => vip))
            const table = new Int32Array(4).fill(fallen)
            table[from] = risen
            let reads = 0
            const changing = new Proxy(table, {
              get(target, key) {
                if (reads === rise) target[to] = risen
                if (reads === fall) target[from] = fallen
                reads++
                return Reflect.get(target, key, target)
              },
            })
            const out = makeSelection()
            select(
              laid,
              mapOf([{ groups }]),
              changing,
              Object.assign(out, { class: 0, network: 1, chance: 2, type: STEERS_A, trace: null }),
            )
            if (out.count === 0) empty++
          }
        }
      }
    }
    expect(empty).toBe(0)
  })
})
