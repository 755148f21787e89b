/** What a service manager is told, and when: sd_notify(3). */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ServiceManager, STOP_MS } from '../../src/node/service-manager.ts'

const WATCHDOG_MS = 4_000
const PING_MS = 1_000

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A service manager that notes what it is told, and a process with threads that beat. */
function scene(watchdogMs?: number) {
  const told: string[] = []
  const state = { full: false, words: 'ready', beats: [1, 1] }
  const manager = new ServiceManager((text) => (state.full ? 'EAGAIN' : void told.push(text)), watchdogMs)
  const shown = { beats: () => [...state.beats], inWords: () => state.words }
  const turn = (beating = [true, true]): void => {
    state.beats = state.beats.map((beat, i) => (beating[i] ? beat + 1 : beat))
    vi.advanceTimersByTime(PING_MS)
  }
  const pings = (): number => told.filter((text) => text === 'WATCHDOG=1\n').length
  return { told, state, manager, shown, turn, pings }
}

test('it is told that a process serves, loads again, serves, ends; and nothing before or after', () => {
  const { told, manager, shown, turn, state } = scene()
  manager.reloading()
  expect(told).toEqual([])
  manager.ready(shown)
  manager.reloading()
  manager.ready(shown)
  state.words = 'ready; the zones on disk are not used'
  for (let i = 0; i < 5; i++) turn()
  manager.stopping('answering what is left')
  manager.ready(shown)
  manager.reloading()
  turn()
  expect(told.map((text) => text.replace(/USEC=\d+/, 'USEC=N'))).toEqual([
    'READY=1\nSTATUS=ready\n',
    'RELOADING=1\nMONOTONIC_USEC=N\n',
    'READY=1\nSTATUS=ready\n',
    'STATUS=ready; the zones on disk are not used\n',
    'STOPPING=1\nSTATUS=answering what is left\n',
  ])
})

test('the time of a reload is that of the monotonic clock, in µs', () => {
  const { told, manager, shown } = scene()
  manager.ready(shown)
  const before = process.hrtime.bigint() / 1_000n
  manager.reloading()
  const [, micros] = /MONOTONIC_USEC=(\d+)/.exec(told[1]!)!
  expect(BigInt(micros!)).toBeGreaterThanOrEqual(before)
  expect(BigInt(micros!)).toBeLessThanOrEqual(process.hrtime.bigint() / 1_000n)
})

test('the watchdog is fed while every answering thread beats, four times within its time', () => {
  const { manager, shown, turn, pings } = scene(WATCHDOG_MS)
  manager.ready(shown)
  for (let i = 0; i < 4; i++) turn()
  expect(pings()).toBe(4)
  turn([true, false])
  turn([false, false])
  expect(pings()).toBe(4)
  turn()
  expect(pings()).toBe(5)
})

test('a thread that has not begun to work counts as one that does not', () => {
  const { manager, shown, turn, pings, state } = scene(WATCHDOG_MS)
  manager.ready(shown)
  turn()
  state.beats = [5, 0]
  turn([true, false])
  expect(pings()).toBe(1)
})

test('without a watchdog nothing is fed', () => {
  const { manager, shown, turn, pings } = scene()
  manager.ready(shown)
  for (let i = 0; i < 20; i++) turn()
  expect(pings()).toBe(0)
})

test('what is not taken is told again, in order, and before the watchdog is fed', () => {
  const { told, manager, shown, turn, state } = scene(WATCHDOG_MS)
  state.full = true
  manager.ready(shown)
  manager.reloading()
  turn()
  expect(told).toEqual([])
  state.full = false
  turn()
  turn()
  expect(told.map((text) => text.split('=')[0])).toEqual(['READY', 'RELOADING', 'WATCHDOG'])
})

test('a successor says that it is the main process; one that was never ready says nothing, not even that it ends', () => {
  const { told, manager, shown } = scene()
  manager.ready(shown, true)
  expect(told).toEqual([`MAINPID=${process.pid}\nREADY=1\nSTATUS=ready\n`])
  const other = scene()
  other.manager.stopping('withdrawing', 5_000)
  expect(other.told).toEqual([])
})

test('one that waits while it ends asks for the time', () => {
  const { told, manager, shown } = scene()
  manager.ready(shown)
  manager.stopping('answering what is left', 300_000)
  expect(told.at(-1)).toBe(
    `STOPPING=1\nEXTEND_TIMEOUT_USEC=${1_000 * (300_000 + STOP_MS)}\nSTATUS=answering what is left\n`,
  )
})

test('a predecessor says nothing more', () => {
  const { told, manager, shown, turn, state } = scene(WATCHDOG_MS)
  manager.ready(shown)
  manager.fallSilent()
  state.words = 'not ready: stopping'
  turn()
  manager.stopping('answering what is left')
  expect(told).toHaveLength(1)
})
