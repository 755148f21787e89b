/** Stalls of the event loop, as checks that time out are excused by them. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LagMeter } from '../../src/probe/lag.ts'

let nowMs = 0
beforeEach(() => {
  nowMs = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Lets timers that are due by then run, `lateMs` after they were. */
function pass(ms: number, lateMs = 0): void {
  nowMs += ms + lateMs
  vi.advanceTimersByTime(ms)
}

test('it ticks while a check is in flight, and wakes nobody else', () => {
  const lag = new LagMeter()
  expect(vi.getTimerCount()).toBe(0)
  lag.begin()
  lag.begin()
  pass(20)
  expect(vi.getTimerCount()).toBe(1)
  lag.end()
  expect(vi.getTimerCount()).toBe(1)
  lag.end()
  expect(vi.getTimerCount()).toBe(0)
})

test('a stall counts that ended meanwhile, or lasts; one before does not', () => {
  const lag = new LagMeter()
  lag.begin()
  pass(20, 300)
  const laterMs = nowMs + 1
  pass(20)
  pass(20, 100)
  expect(lag.since(0)).toEqual({ worstMs: 300, totalMs: 400 })
  expect(lag.since(laterMs)).toEqual({ worstMs: 100, totalMs: 100 })
  nowMs += 20 + 70
  expect(lag.since(nowMs)).toEqual({ worstMs: 70, totalMs: 70 })
})

test('time in which no check was in flight is no stall', () => {
  const lag = new LagMeter()
  lag.begin()
  lag.end()
  nowMs += 5_000
  lag.begin()
  expect(lag.since(nowMs)).toEqual({ worstMs: 0, totalMs: 0 })
})
