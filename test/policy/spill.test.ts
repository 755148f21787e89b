/**
 * What a dead site's clients do to the others. Eight sites of unequal capacity, 240,000 client networks that see them in
 * sixty different orders, each site killed in turn. Seeded: bounds are five standard deviations.
 */
import { describe, expect, test } from 'vitest'
import { DOWN, healthWord, UP } from '../../src/health/table.ts'
import type { ClientMap } from '../../src/policy/map.ts'
import { networkKey } from '../../src/policy/network.ts'
import { makeSelection, select, STAGES, type Trace } from '../../src/policy/select.ts'
import { layOutService, type SteeredService } from '../../src/policy/service.ts'
import { STEERS_A } from '../../src/zone/pack.ts'
import { seeded } from '../answer/fixture.ts'
import { type ClassSpec, mapOf, service, site } from './fixture.ts'

const CAPACITIES = { ams: 100, fra: 300, gru: 50, iad: 400, lax: 200, nrt: 250, sin: 150, syd: 25 }
const NAMES = Object.keys(CAPACITIES)
const capacity = Object.values(CAPACITIES)
const sites = new Map(NAMES.map((name, i) => [name, site(name, { capacity: capacity[i]!, declaresCapacity: true })]))
const ALL = NAMES.map((_, s) => s)

const random = seeded(12)
const shuffled = (): number[] =>
  ALL.map((s) => [random(), s] as const)
    .toSorted((a, b) => a[0] - b[0])
    .map(([, s]) => s)
/** As `order: nearest` makes them: four ranked, the others as the tail. */
const ORDERS: readonly number[][] = Array.from({ length: 60 }, shuffled)
const nearest: readonly ClassSpec[] = ORDERS.map((order) => ({
  groups: [...order.slice(0, 4).map((s) => [s]), order.slice(4).toSorted((a, b) => a - b)],
  tail: true,
}))
const CLIENTS = 240_000
const networks = Array.from({ length: CLIENTS }, (_, i) =>
  networkKey(4, Uint8Array.of(11 + (i >> 16), (i >> 8) & 255, i & 255), 0),
)
const classOf = (client: number): number => client % ORDERS.length

function layOut(spill: number, pick: 'hash' | 'random' = 'hash'): SteeredService {
  const specs = NAMES.map((name, i) => ({ site: name, vips: [`192.0.2.${i}`] }))
  const laid = layOutService(service(specs, { spill, pick }), sites, 0)
  laid.slot.set(laid.slot.map((_, vip) => vip))
  return laid
}

const without = (...dead: readonly number[]): Int32Array =>
  Int32Array.from(ALL, (s) => healthWord(dead.includes(s) ? DOWN : UP, 1000, true))

/** The site of each client. */
function picks(laid: SteeredService, map: ClientMap, health: Int32Array): Uint8Array {
  const out = makeSelection()
  return Uint8Array.from(networks, (network, i) => {
    select(
      laid,
      map,
      health,
      Object.assign(out, {
        class: classOf(i),
        network,
        chance: Math.imul(i + 1, 0x9e3779b1),
        type: STEERS_A,
        trace: null,
      }),
    )
    return out.site
  })
}

/** Of each site: clients won, how many were expected, and the variance of that; `next`: who shares a class's clients. */
function gains(before: Uint8Array, after: Uint8Array, dead: number, next: (cls: number) => readonly number[]) {
  const won = ALL.map(() => 0)
  const expected = ALL.map(() => 0)
  const variance = ALL.map(() => 0)
  let others = 0
  for (let i = 0; i < CLIENTS; i++) {
    if (before[i] !== dead) {
      if (before[i] !== after[i]) others++
      continue
    }
    won[after[i]!]!++
    const heirs = next(classOf(i))
    const whole = heirs.reduce((sum, s) => sum + capacity[s]!, 0)
    for (const s of heirs) {
      const part = capacity[s]! / whole
      expected[s]! += part
      variance[s]! += part * (1 - part)
    }
  }
  return { won, expected, variance, others }
}

const inPeace = new Map([1, 2, 7].map((spill) => [spill, picks(layOut(spill), mapOf(nearest), without())]))

describe.each(ALL.map((dead) => [NAMES[dead]!, dead] as const))('%s dies', (_, dead) => {
  const survivors = (cls: number): number[] => ORDERS[cls]!.filter((s) => s !== dead)
  // with seven all survivors; with two, the next two of a client's order, where those are ranked
  test.each([
    ['among all survivors', 7, survivors],
    ['among the next two', 2, (cls: number) => survivors(cls).slice(0, 2)],
    ['to the next one, as ever', 1, (cls: number) => survivors(cls).slice(0, 1)],
  ] as const)('its clients go %s by capacity, and nobody else moves', (_how, spill, next) => {
    const before = inPeace.get(spill)!
    const after = picks(layOut(spill), mapOf(nearest), without(dead))
    expect(before.includes(dead)).toBe(true)
    expect(after.includes(dead)).toBe(false)
    const { won, expected, variance, others } = gains(before, after, dead, next)
    expect(others).toBe(0)
    for (const s of ALL) {
      const bound = 5 * Math.sqrt(variance[s]!)
      expect([NAMES[s], Math.abs(won[s]! - expected[s]!) <= bound]).toEqual([NAMES[s], true])
    }
  })
})

test('by chance as by hash, the parts are the same', () => {
  const order = { groups: [[3], [0], [1], [2]] }
  const laid = layOut(3, 'random')
  const map = mapOf(ORDERS.map(() => order))
  const counts = ALL.map(() => 0)
  for (const s of picks(laid, map, without(3))) counts[s]!++
  for (const s of [0, 1, 2]) {
    const part = capacity[s]! / (capacity[0]! + capacity[1]! + capacity[2]!)
    const bound = 5 * Math.sqrt(CLIENTS * part * (1 - part))
    expect(Math.abs(counts[s]! - CLIENTS * part)).toBeLessThan(bound)
  }
})

test('a second site dies: only its own clients move, and those of the first that it was an heir of', () => {
  const laid = layOut(2)
  const map = mapOf(nearest)
  const one = picks(laid, map, without(1))
  const two = picks(laid, map, without(1, 3))
  const others = networks.filter((_, i) => {
    const order = ORDERS[classOf(i)]!
    const isHeir = order[0] === 1 && order.slice(1, 3).includes(3)
    return one[i] !== two[i] && one[i] !== 3 && !isHeir
  })
  expect(others).toEqual([])
  expect(two.includes(1) || two.includes(3)).toBe(false)
})

/** What an explanation hears of the walk, health as given. */
function heard(laid: SteeredService, spec: ClassSpec, health: Int32Array): string[] {
  const told: string[] = []
  const trace: Trace = {
    site: (stage, group, s, verdict) => void told.push(`${STAGES[stage]!.name}: ${group} ${NAMES[s]} ${verdict}`),
    score: (_stage, s, _score, weight) => void told.push(`${NAMES[s]} weighs ${weight}`),
  }
  select(
    laid,
    mapOf([spec]),
    health,
    Object.assign(makeSelection(), { class: 0, network: networks[0]!, chance: 0, type: STEERS_A, trace }),
  )
  return told
}

test('the trace tells who competes for a dead group’s clients, and with what', () => {
  const spec = { groups: [[3], [0], [4], [1, 2]] }
  expect(heard(layOut(2), spec, without(3))).toEqual([
    'up: 0 iad not enough usable VIPs',
    'up: 1 ams eligible for what the dead first group leaves',
    'ams weighs 100',
    'up: 2 lax eligible for what the dead first group leaves',
    'lax weighs 200',
  ])
  expect(heard(layOut(1), spec, without(3)).slice(1)).toEqual(['up: 1 ams eligible', 'ams weighs 100'])
})

test('a group that is passed over for weight, type or share is not dead', () => {
  const laid = layOut(2)
  const spec = { groups: [[3], [0], [4]] }
  const half = without()
  half[3] = healthWord(UP, 0, true) // admits nobody
  expect(heard(laid, spec, half)).toEqual([
    'up: 0 iad its share does not admit this client',
    'up: 1 ams eligible',
    'ams weighs 100',
  ])
  const weightless = { ...laid, weight: laid.weight.map((weight, s) => (s === 3 ? 0 : weight)) }
  expect(heard(weightless, spec, without())[1]).toBe('up: 1 ams eligible')
  const typeless = { ...laid, firstV6: laid.firstV6.map((vip, s) => (s === 3 ? laid.firstVip[s]! : vip)) }
  expect(heard(typeless, spec, without())[1]).toBe('up: 1 ams eligible')
})
