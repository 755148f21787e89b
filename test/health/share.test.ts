/** Ramps and agents' shares against naive models. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AgentShare, damp, median, rampNextMs, rampShare } from '../../src/health/share.ts'

describe('a ramp', () => {
  const times = fc.record({
    since: fc.integer({ min: -1e9, max: 1e9 }),
    rampUp: fc.integer({ min: 1, max: 3_600_000 }),
    at: fc.double({ min: 0, max: 1.2, noNaN: true }),
  })

  test('grows linearly from a tenth to all, in steps of 1 %', () => {
    fc.assert(
      fc.property(times, ({ since, rampUp, at }) => {
        const elapsed = at * rampUp
        const share = rampShare(since, since + elapsed, rampUp)
        const exact = at >= 1 ? 1000 : 100 + 900 * at
        expect(share % 10).toBe(0)
        expect(Math.abs(share - exact)).toBeLessThanOrEqual(10.001)
        expect(share).toBeLessThanOrEqual(exact + 0.01)
      }),
    )
    expect([rampShare(5, 5, 60_000), rampShare(5, 60_005, 60_000), rampShare(5, 5, 0)]).toEqual([100, 1000, 1000])
  })

  test('is looked at again when its share has grown, and no more often than each second', () => {
    fc.assert(
      fc.property(times, ({ since, rampUp, at }) => {
        fc.pre(at < 1)
        const now = since + Math.floor(at * rampUp)
        const next = rampNextMs(since, now, rampUp)
        expect(next - now).toBeGreaterThanOrEqual(1000)
        expect(rampShare(since, next, rampUp)).toBeGreaterThan(rampShare(since, now, rampUp))
        if (next - now > 1000) expect(rampShare(since, next - 2, rampUp)).toBe(rampShare(since, now, rampUp))
      }),
    )
  })
})

test.each<[number[], number | undefined]>([
  [[], undefined],
  [[300], 300],
  [[1000, 0, 400], 400],
  [[0, 1000], 500],
  [[1000, 1000, 0, 900], 950],
])('the median of %j is %j', (shares, expected) => expect(median(shares)).toBe(expected))

describe('what agents ask for is granted', () => {
  const TTL = 60
  const asks = fc.array(fc.tuple(fc.integer({ min: 1, max: 90_000 }), fc.integer({ min: 0, max: 1000 })), {
    maxLength: 60,
  })

  test('in steps two TTLs apart and at least 5 % wide, but for the first, and 0 at once', () => {
    fc.assert(
      fc.property(asks, (all) => {
        let nowMs = 0
        let agent: AgentShare | undefined
        for (const [passMs, asked] of all) {
          nowMs += passMs
          const before = agent
          agent = damp(before, asked, nowMs, TTL).agent
          if (before === undefined || asked === 0) {
            expect(agent!.share).toBe(asked)
            continue
          }
          if (agent!.share === before.share) {
            // who waits has no reason, or has to
            const wide = Math.abs(asked - before.share) >= 50 || asked === 1000
            expect(asked === before.share || !wide || nowMs - before.sinceMs < 2000 * TTL).toBe(true)
            continue
          }
          expect(nowMs - before.sinceMs).toBeGreaterThanOrEqual(2000 * TTL)
          expect(agent!.share).toBe(asked)
          expect(Math.abs(asked - before.share) >= 50 || asked === 1000).toBe(true)
        }
      }),
    )
  })

  test('a step that has to wait says until when, and is taken then', () => {
    const granted = { share: 1000, sinceMs: 5000 }
    const { agent, nextMs } = damp(granted, 500, 6000, TTL)
    expect([agent, nextMs]).toEqual([granted, 125_000])
    expect(damp(granted, 500, nextMs, TTL).agent).toEqual({ share: 500, sinceMs: nextMs })
    expect(damp(granted, 980, 200_000, TTL)).toEqual({ agent: granted, nextMs: Infinity })
    expect(damp({ share: 980, sinceMs: 0 }, 1000, 200_000, TTL).agent).toEqual({ share: 1000, sinceMs: 200_000 })
    expect(damp(granted, undefined, 200_000, TTL).agent).toBe(granted)
  })
})
