/** The answers of the same hour before: what is known, what is not, and what it costs. All in virtual time. */
import { beforeEach, expect, test } from 'vitest'
import { AnswerHistory } from '../../src/api/answer-history.ts'
import { ANSWER_STAGES, AnswerCells, type AnswerStage, makeCounters } from '../../src/counters.ts'

const HOUR_MS = 3_600_000
const START_MS = Date.UTC(2026, 10, 30, 14, 20)

let cells: AnswerCells
let threads: Float64Array[]
let unixMs: number
let elapsedMs: number
let history: AnswerHistory
/** Answers that web at fra gets in each hour. */
let perHour: number

beforeEach(() => {
  cells = new AnswerCells()
  threads = [makeCounters(), makeCounters()]
  unixMs = START_MS
  elapsedMs = 5_000
  perHour = 0
  history = new AnswerHistory({ counters: () => threads, cells, nowMs: () => unixMs, elapsedMs: () => elapsedMs })
})

const answer = (service: string, times: number, stage: AnswerStage = 'nearest', thread = 0): void => {
  threads[thread]![cells.cellOf(service, 'fra') + ANSWER_STAGES.indexOf(stage)]! += times
}

/** Time goes by in steps of a minute. */
function pass(hours: number): void {
  for (let minutes = 0; minutes < 60 * hours; minutes++) {
    if (perHour > 0) answer('web', perHour / 60)
    unixMs += 60_000
    elapsedMs += 60_000
    history.look()
  }
}

/** The memory after so many hours, each looked at once. */
function bytesAfter(hours: number): number {
  for (let i = 0; i < hours; i++) {
    unixMs += HOUR_MS
    elapsedMs += HOUR_MS
    history.look()
  }
  return history.bytes
}

const web = () => history.before(cells.cellOf('web', 'fra'))

test('nothing is known of a day before there was one, nor of the hour in which the process began', () => {
  perHour = 3_600
  expect(web()).toEqual({ day: null, week: null })
  pass(24) // 14:20 of the day after: its 14:00 was not counted from its beginning
  expect(web()).toEqual({ day: null, week: null })
  pass(0.75)
  expect(web()).toEqual({ day: 1, week: null })
})

test('an hour is that of the clock, of all stages and threads, on average', () => {
  cells.cellOf('web', 'fra')
  pass(1) // 15:20
  answer('web', 7_200, 'nearest', 0)
  answer('web', 1_800, 'last resort', 1)
  pass(23) // 14:20 of the day after
  expect(web().day).toBe(null)
  pass(1) // 15:20
  expect(web().day).toBe(2.5)
  pass(0.75)
  expect(web().day).toBe(0) // 16:05, and at 16 o'clock nothing was answered, which is known
})

test('a week before is known after a week, and not for longer than needed', () => {
  cells.cellOf('web', 'fra')
  pass(1)
  answer('web', 3_600)
  pass(7 * 24)
  expect(web()).toEqual({ day: 0, week: 1 })
  pass(2 * 24)
  expect(web()).toEqual({ day: 0, week: 0 })
})

test('a service that came meanwhile is unknown until it was there for an hour', () => {
  pass(1)
  answer('web', 36_000) // 15:20: it comes, and is busy
  pass(24)
  expect(web().day).toBe(null)
  pass(1)
  expect(web().day).toBe(0)
})

test('an hour in which the machine slept or its clock was set is unknown', () => {
  perHour = 3_600
  pass(1)
  elapsedMs -= HOUR_MS / 2 // at 15:20 the clock jumps by half an hour
  pass(2)
  perHour = 0
  pass(22)
  expect(web().day).toBe(null)
  pass(1)
  expect(web().day).toBe(1) // of 16 o'clock
  unixMs += 2 * HOUR_MS // at 16:20 nobody looks for two hours
  history.look()
  pass(22)
  expect(web().day).toBe(null)
})

test('nor is one known from which its clock was set to another, although an hour has passed', () => {
  perHour = 3_600
  pass(2.65) // 16:59
  unixMs += 2 * HOUR_MS
  pass(1 / 60) // 19:00, and an hour has passed since 16:00
  unixMs += 21.5 * HOUR_MS
  expect(web().day).toBe(null)
  unixMs -= HOUR_MS // 15 o'clock
  expect(web().day).toBe(1)
})

test('an hour that is unknown is not told as the one that was kept in its place', () => {
  perHour = 3_600
  pass(2) // 16:20
  expect(history.before(cells.cellOf('web', 'fra'))).toEqual({ day: null, week: null })
  perHour = 0
  pass(8 * 24) // 193 hours after 15 o'clock
  elapsedMs += HOUR_MS
  pass(24)
  expect(web().day).toBe(null)
})

test('memory is flat after 8 days, and 4 bytes for each hour of each pair', () => {
  for (let i = 0; i < 10_000; i++) cells.cellOf(`service-${i}`, 'fra')
  expect(bytesAfter(2)).toBe(4 * 10_001)
  const full = bytesAfter(8 * 24)
  expect(full).toBe(4 * 10_001 * 193)
  expect(bytesAfter(8 * 24)).toBe(full)
})
