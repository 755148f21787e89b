import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Job, nextTurn, phaseOf, Schedule } from '../../src/probe/schedule.ts'

describe('the schedule', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  test('runs every job at its time, whatever the order they were planned in', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 1, maxLength: 300 }), (delays) => {
        const schedule = new Schedule()
        const startMs = performance.now()
        const late: number[] = []
        for (const delay of delays) {
          const job: Job = { dueMs: 0, run: () => late.push(performance.now() - startMs - delay) }
          schedule.plan(job, startMs + delay)
        }
        vi.advanceTimersByTime(2100)
        schedule.stop()
        return late.length === delays.length && late.every((ms) => ms >= 0 && ms <= 10)
      }),
      { numRuns: 50 },
    )
  })

  test('a job that is planned anew runs once, at the later plan; a cancelled one never', () => {
    const schedule = new Schedule()
    const ran: string[] = []
    const job = (name: string): Job => ({
      dueMs: 0,
      run: () => ran.push(`${name} ${Math.round(performance.now() - zero)}`),
    })
    const zero = performance.now()
    const [moved, cancelled, other] = [job('moved'), job('cancelled'), job('other')]
    schedule.plan(moved, zero + 100)
    schedule.plan(cancelled, zero + 120)
    schedule.plan(other, zero + 130)
    schedule.plan(moved, zero + 300)
    schedule.cancel(cancelled)
    vi.advanceTimersByTime(1000)
    expect(ran).toEqual(['other 130', 'moved 300'])
    schedule.plan(other, zero + 1200)
    schedule.stop()
    vi.advanceTimersByTime(1000)
    expect(ran).toHaveLength(2)
  })

  test('a pace: paced jobs keep to it in the order they were due, others pass them by', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ delay: fc.integer({ min: 0, max: 500 }), paced: fc.boolean() }), { maxLength: 200 }),
        fc.integer({ min: 20, max: 1000 }),
        (plans, rate) => {
          const schedule = new Schedule(rate)
          const startMs = performance.now()
          const ran: { due: number; at: number }[] = []
          let late = 0
          for (const { delay, paced } of plans) {
            const run = () => {
              const at = performance.now() - startMs
              if (paced) ran.push({ due: delay, at })
              else late = Math.max(late, at - delay)
            }
            schedule.plan({ dueMs: 0, paced, run }, startMs + delay)
          }
          vi.advanceTimersByTime(12_000)
          schedule.stop()
          expect(ran).toHaveLength(plans.filter(({ paced }) => paced).length)
          expect(late).toBeLessThanOrEqual(10)
          for (const [i, { due, at }] of ran.entries()) {
            if (i > 0) expect(due).toBeGreaterThanOrEqual(ran[i - 1]!.due)
            const second = ran.filter((other) => other.at >= at && other.at < at + 1000).length
            expect(second).toBeLessThanOrEqual(rate + Math.max(1, rate * 0.05) + 1)
          }
          const asked = ran.length - Math.max(1, rate * 0.05)
          if (ran.length > 0) expect(ran.at(-1)!.at).toBeLessThanOrEqual(510 + Math.max(0, (asked / rate) * 1000) + 10)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('the heartbeat passes checks that have waited for long', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }) // the turns of the loop are real
    const schedule = new Schedule()
    const now = performance.now()
    return new Promise<void>((resolve) => {
      let ran = 0
      const run = () => void ran++
      for (let i = 0; i < 1000; i++) schedule.plan({ dueMs: 0, paced: true, run }, now - 1000)
      const beat = () => {
        expect(ran).toBeLessThanOrEqual(64)
        resolve()
      }
      schedule.plan({ dueMs: 0, run: beat }, now)
      vi.advanceTimersByTime(1)
    })
  })

  test('a job that waits for the pace and is planned anew runs once; a cancelled one never', () => {
    const schedule = new Schedule(10)
    const ran: string[] = []
    const job = (name: string): Job => ({ dueMs: 0, paced: true, run: () => ran.push(name) })
    const zero = performance.now()
    const [first, moved, cancelled, last] = [job('first'), job('moved'), job('cancelled'), job('last')]
    for (const one of [first, moved, cancelled, last]) schedule.plan(one, zero + 10)
    vi.advanceTimersByTime(20)
    schedule.plan(moved, zero + 1000)
    schedule.cancel(cancelled)
    vi.advanceTimersByTime(900)
    expect(ran).toEqual(['first', 'last'])
    vi.advanceTimersByTime(1000)
    expect(ran).toEqual(['first', 'last', 'moved'])
  })

  test('what was missed in a stall is caught up in small batches, with I/O between', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }) // the turns of the loop are real
    const schedule = new Schedule()
    return new Promise<void>((resolve) => {
      let ran = 0
      let atImmediate = 0
      const now = performance.now()
      for (let i = 0; i < 1000; i++) {
        schedule.plan(
          {
            dueMs: 0,
            paced: true,
            run: () => {
              if (ran++ === 0) setImmediate(() => (atImmediate = ran))
              if (ran === 1000) {
                expect(atImmediate).toBeGreaterThan(0)
                expect(atImmediate).toBeLessThanOrEqual(128)
                resolve()
              }
            },
          },
          now,
        )
      }
      vi.advanceTimersByTime(1)
    })
  })
})

describe('phases', () => {
  test('the next turn is later, at most one interval later, and on the grid', () => {
    const time = fc.double({ min: 0, max: 1e9, noNaN: true })
    fc.assert(
      fc.property(
        time,
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (after, interval, part) => {
          const phase = part * interval
          const turn = nextTurn(after, phase, interval)
          const turns = (turn - phase) / interval
          return turn > after && turn <= after + interval + 1e-3 && Math.abs(turns - Math.round(turns)) < 1e-3
        },
      ),
      { numRuns: 5000 },
    )
  })

  test('targets are spread evenly over the interval, and differently at each prober', () => {
    const bins = Array.from({ length: 20 }, () => 0)
    let same = 0
    for (let i = 0; i < 10_000; i++) {
      const phase = phaseOf('eu-1', `target ${i}`, 5000)
      bins[Math.floor(phase / 250)]!++
      if (Math.abs(phase - phaseOf('us-1', `target ${i}`, 5000)) < 250) same++
    }
    const chiSquare = bins.reduce((sum, n) => sum + (n - 500) ** 2 / 500, 0)
    expect(chiSquare).toBeLessThan(43.8) // 19 degrees of freedom, p = 0.001
    expect(same).toBeGreaterThan(800)
    expect(same).toBeLessThan(1200)
  })
})
