/**
 * Rate limits: the table of cells against exact levels in a Map, and what each kind of client gets.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { takeHeaviest } from '../../../src/answer/abuse/heaviest.ts'
import {
  DROP,
  judge,
  type Limiter,
  makeLimiter,
  PASS,
  proveClient,
  TRUNCATE,
} from '../../../src/answer/abuse/limiter.ts'
import { ACCOUNTS, ANSWERS, type LimitSettings, makeLimits, NEGATIVES } from '../../../src/answer/abuse/limits.ts'
import { C_LIMITED, LIMITED_KINDS, makeCounters, UNPROVEN } from '../../../src/counters.ts'
import { parseAddress } from '../../../src/dns/address.ts'
import { seeded } from '../fixture.ts'

const NOW = Date.parse('2026-11-29T12:00:00Z')
/** All of a rate without the rates that others share. */
const ALONE: LimitSettings = { perSecond: [100, 100, 100, 100], unproven: 0, slip: 1, threads: 1, exempt: [] }
const limiterOf = (settings: Partial<LimitSettings> = {}, seed = 1): Limiter =>
  makeLimiter(makeLimits({ ...ALONE, ...settings }, seed))

interface Asker {
  readonly limiter: Limiter
  readonly counters: Float64Array
  nowMs: number
  /** What becomes of `count` responses: how many of each. */
  ask(from: string, count?: number, account?: number): readonly [pass: number, truncate: number, drop: number]
}

function asker(settings: Partial<LimitSettings> = {}, seed = 1): Asker {
  const limiter = limiterOf(settings, seed)
  const counters = makeCounters()
  return {
    limiter,
    counters,
    nowMs: NOW,
    ask(from, count = 1, account = ANSWERS) {
      const became: [number, number, number] = [0, 0, 0]
      const client = parseAddress(from)!
      const family = client.length === 4 ? 4 : 6
      for (let i = 0; i < count; i++) became[judge(limiter, counters, account, family, client, 0, this.nowMs)]!++
      return became
    },
  }
}

/** A client of the i-th network. */
const source = (i: number): string => `${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.1`

/** The part of `perSecond` responses that a network gets whose rate is 100, once it has asked for 5 s. */
function shareOf(perSecond: number): number {
  const table = asker()
  let passed = 0
  for (let ms = 0; ms < 20_000; ms += 20) {
    table.nowMs = NOW + ms
    const [pass] = table.ask('192.0.2.1', perSecond / 50)
    if (ms >= 5000) passed += pass
  }
  return passed / 15 / perSecond
}

/** Exact: the level of a network and account falls by the rate, and each response raises it by 1, if limited by ½. */
class Reference {
  readonly #levels = new Map<string, { level: number; atMs: number }>()
  readonly #settings: LimitSettings

  constructor(settings: LimitSettings) {
    this.#settings = settings
  }

  judge(network: string, account: number, nowMs: number): number {
    const { perSecond, unproven, threads } = this.#settings
    const over = this.#raise(`${network} ${account}`, perSecond[account]! / threads, nowMs)
    if (over) return TRUNCATE
    if (unproven === 0) return PASS
    return this.#raise('shared', unproven / threads, nowMs) ? TRUNCATE : PASS
  }

  /** Levels are in milliseconds of the rate: whether it is over, and one response more. */
  #raise(key: string, rate: number, nowMs: number): boolean {
    const { level = 0, atMs = nowMs } = this.#levels.get(key) ?? {}
    const left = Math.max(0, level - (nowMs - atMs))
    const over = left > 1000
    this.#levels.set(key, { level: Math.min(2000, left + (over ? 500 : 1000) / rate), atMs: nowMs })
    return over
  }
}

describe('against exact levels', () => {
  // rates whose cost is a whole number of ticks; networks with any of their bits different
  const settings: LimitSettings = { perSecond: [100, 200, 25, 50], unproven: 400, slip: 1, threads: 2, exempt: [] }
  const networks = [
    '192.0.2.1',
    '192.0.3.1',
    '193.0.2.1',
    '2001:db8:0:100::1',
    '2001:db8:0:200::1',
    '2001:db9:0:200::1',
  ]
  const step = fc.record({
    network: fc.nat(networks.length - 1),
    account: fc.nat(3),
    count: fc.integer({ min: 1, max: 400 }),
    waitMs: fc.oneof(fc.nat(50), fc.nat(3000), fc.nat(4_000_000)),
  })

  test('every verdict is the same', () => {
    let limited = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const table = asker(settings)
        const exact = new Reference(settings)
        for (const { network, account, count, waitMs } of steps) {
          table.nowMs += waitMs
          const from = networks[network]!
          for (let i = 0; i < count; i++) {
            const wanted = exact.judge(from, account, table.nowMs)
            if (wanted === TRUNCATE) limited++
            expect(table.ask(from, 1, account)[wanted], `${from} ${account} at ${table.nowMs - NOW} ms`).toBe(1)
          }
        }
      }),
      { numRuns: 40, seed: 7 },
    )
    expect(limited).toBeGreaterThan(10_000)
  })

  test('of 50,000 networks below their rate, beside 100 above it, none is limited, and the 100 are', () => {
    const random = seeded(3)
    const table = asker({ perSecond: [100, 0, 0, 0] }, 12)
    let limited = 0
    let heavyPassed = 0
    for (let ms = 0; ms < 2000; ms += 10) {
      table.nowMs = NOW + ms
      for (let heavy = 0; heavy < 100; heavy++) heavyPassed += table.ask(source(heavy), 5)[PASS]
      for (let i = 0; i < 500; i++) {
        limited += 1 - table.ask(source(1000 + (random() % 50_000)))[PASS]
      }
    }
    expect(limited).toBe(0)
    expect(heavyPassed).toBeLessThan(100 * 150)
  })
})

describe('a network', () => {
  test('has its rate, and a second’s worth at once', () => {
    const table = asker()
    expect(table.ask('192.0.2.1', 102)).toEqual([101, 1, 0])
    table.nowMs += 10
    // then, at just below the rate, all of it
    for (let i = 0; i < 200; i++) {
      table.nowMs += 11
      expect(table.ask('192.0.2.1')[PASS], `answer ${i}`).toBe(1)
    }
  })

  test('gets less the more it is above its rate, and nothing above twice of it', () => {
    expect(shareOf(100)).toBe(1)
    expect(shareOf(150)).toBeCloseTo(1 / 3, 1)
    expect(shareOf(250)).toBe(0)
    expect(shareOf(10_000)).toBe(0)
  })

  test('is a /24 or a /56, and no other suffers', () => {
    const table = asker()
    expect(table.ask('192.0.2.1', 1000)[PASS]).toBe(101)
    expect(table.ask('192.0.2.254')[PASS]).toBe(0)
    expect(table.ask('192.0.3.1')[PASS]).toBe(1)
    expect(table.ask('2001:db8:0:1ff::1', 1000)[PASS]).toBe(101)
    expect(table.ask('2001:db8:0:100:1::2')[PASS]).toBe(0)
    expect(table.ask('2001:db8:0:200::1')[PASS]).toBe(1)
  })

  test('has each account for itself', () => {
    const table = asker()
    table.ask('192.0.2.1', 1000, NEGATIVES)
    expect(table.ask('192.0.2.1', 1, NEGATIVES)[PASS]).toBe(0)
    expect(table.ask('192.0.2.1', 1, ANSWERS)[PASS]).toBe(1)
  })

  test('is answered again one second after a flood', () => {
    const table = asker()
    table.ask('192.0.2.1', 100_000)
    table.nowMs += 990
    expect(table.ask('192.0.2.1')[PASS]).toBe(0)
    table.nowMs += 1020
    expect(table.ask('192.0.2.1')[PASS]).toBe(1)
  })

  test('is not limited because the clock was set back', () => {
    const table = asker()
    table.ask('192.0.2.1', 50)
    table.nowMs -= 3_600_000
    expect(table.ask('192.0.2.1')[PASS]).toBe(1)
  })

  test('has its rate from all threads together', () => {
    const threads = Array.from({ length: 4 }, () => asker({ threads: 4 }))
    expect(threads.reduce((sum, table) => sum + table.ask('192.0.2.1', 1000)[PASS], 0)).toBe(4 * 26)
  })

  test('is dropped but for each slip-th response', () => {
    const table = asker({ slip: 3 })
    expect(table.ask('192.0.2.1', 101 + 9)).toEqual([101, 3, 6])
    expect(table.counters[C_LIMITED + ANSWERS]).toBe(3)
    expect(table.counters[C_LIMITED + LIMITED_KINDS.length + ANSWERS]).toBe(6)
  })

  test('has ten times the rate for an hour after it proved its address, over any thread', () => {
    const table = asker()
    const client = parseAddress('192.0.2.200')!
    const other: Limiter = { ...limiterOf(), limits: table.limiter.limits }
    proveClient(other, 4, client, 0, table.nowMs)
    expect(table.ask('192.0.2.1', 5000)[PASS]).toBe(1001)
    table.nowMs += 58 * 60_000
    expect(table.ask('192.0.2.1', 5000)[PASS]).toBe(1001)
    table.nowMs += 2 * 60_000
    const [after] = table.ask('192.0.2.1', 5000) // it may be believed for some queries more
    expect(after).toBeGreaterThan(100)
    expect(after).toBeLessThan(170)
  })
})

describe('networks that have not proven their address', () => {
  test('share a rate, beyond which they are truncated, never dropped', () => {
    const table = asker({ unproven: 50, slip: 10 })
    const became = [0, 0, 0]
    for (let i = 0; i < 1000; i++) for (const [what, count] of table.ask(source(i)).entries()) became[what]! += count
    expect(became).toEqual([51, 949, 0])
    expect(table.counters[C_LIMITED + UNPROVEN]).toBe(949)
  })

  test('leave those alone that have', () => {
    const table = asker({ unproven: 50 })
    for (let i = 0; i < 1000; i++) table.ask(source(i))
    expect(table.ask('192.0.2.1')[TRUNCATE]).toBe(1)
    proveClient(table.limiter, 4, parseAddress('192.0.2.1')!, 0, table.nowMs)
    expect(table.ask('192.0.2.1')[PASS]).toBe(1)
  })

  test('share it for responses of every kind', () => {
    const table = asker({ unproven: 50 })
    for (let i = 0; i < 1000; i++) table.ask(source(i), 1, i % 4)
    for (const account of ACCOUNTS.keys()) expect(table.ask('192.0.2.1', 1, account)[TRUNCATE]).toBe(1)
  })

  test('are not pushed out by one network above its own rate', () => {
    const table = asker({ unproven: 200 })
    table.ask('192.0.2.1', 100_000)
    expect(table.ask('198.51.100.1')[PASS]).toBe(1)
  })
})

describe('never limited are', () => {
  test.each(['127.0.0.1', '127.255.255.254', '::1'])('%s', (from) => {
    expect(asker({ unproven: 10 }).ask(from, 10_000)[PASS]).toBe(10_000)
  })

  test('listed networks, and only they', () => {
    const table = asker({ exempt: ['192.0.2.128/25', '2001:db8::/32'] })
    expect(table.ask('192.0.2.129', 10_000)[PASS]).toBe(10_000)
    expect(table.ask('192.0.2.1', 10_000)[PASS]).toBeLessThan(2_000) // the other half of the network
    expect(table.ask('2001:db8:5::1', 10_000)[PASS]).toBe(10_000)
    expect(table.ask('198.51.100.1', 10_000)[PASS]).toBe(101)
    expect(table.ask('2001:db9::1', 10_000)[PASS]).toBe(101)
  })

  test('listed networks do not use what the unproven share', () => {
    const table = asker({ perSecond: [0, 0, 0, 0], unproven: 10, exempt: ['192.0.2.0/24'] })
    table.ask('192.0.2.1', 100)
    table.nowMs += 2000
    table.ask('192.0.2.1', 100)
    expect(table.ask('198.51.100.1')[PASS]).toBe(1)
  })

  test('any, with all rates 0', () => {
    const table = asker({ perSecond: [0, 0, 0, 0] })
    expect(table.ask('192.0.2.1', 10_000)).toEqual([10_000, 0, 0])
    expect(DROP).toBe(2)
  })
})

test('the networks that are limited most are known, however many there are', () => {
  const table = asker({ perSecond: [100, 0, 0, 0] })
  for (let i = 0; i < 2000; i++) table.ask(`10.${i >> 8}.${i & 255}.1`, 102)
  for (let round = 0; round < 10; round++) {
    table.ask('203.0.113.9', 600)
    table.ask('2001:db8:77:1234::1', 400)
    for (let i = 0; i < 1000; i++) table.ask(`10.${i >> 8}.${i & 255}.1`)
  }
  const [first, second] = takeHeaviest([table.counters])
  expect(first!.network).toBe('203.0.113.0/24')
  expect(first!.count).toBeGreaterThan(4000)
  expect(second!.network).toBe('2001:db8:77:1200::/56')
  expect(takeHeaviest([table.counters])).toEqual([])
})
