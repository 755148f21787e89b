/** What a Store's trouble becomes in the log: few lines, whatever it does, and the reason that explains most. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TroubleLog } from '../../src/store/trouble-log.ts'

let lines: string[]
let log: TroubleLog
beforeEach(() => {
  vi.useFakeTimers()
  lines = []
  log = new TroubleLog({ onTrouble: (trouble) => lines.push(trouble), onWorks: () => lines.push('works') })
})
afterEach(() => void vi.useRealTimers())

test('an outage is a line at its begin and one at its end, the first with the reason that the next try found', async () => {
  log.note('it closed the connection')
  await vi.advanceTimersByTimeAsync(100)
  log.note('it refuses connections')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(lines).toEqual(['it refuses connections'])
  await vi.advanceTimersByTimeAsync(600_000)
  log.note(undefined)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(lines).toEqual(['it refuses connections', 'works'])
})

test('trouble that comes and goes is a line a minute, with how often', async () => {
  for (let i = 0; i < 600; i++) {
    log.note(i % 2 === 0 ? 'it takes no more clients' : undefined)
    await vi.advanceTimersByTimeAsync(200)
  }
  expect(lines).toEqual([
    'it takes no more clients (it came and went 3 times)',
    expect.stringMatching(/^it takes no more clients \(it came and went \d{3} times\)$/),
  ])
  log.note(undefined)
  await vi.advanceTimersByTimeAsync(300_000)
  expect(lines.slice(2)).toEqual([expect.stringMatching(/came and went/), 'works'])
})

test('reasons that alternate are a line a minute; one that stays is none', async () => {
  for (let i = 0; i < 300; i++) {
    log.note(i % 2 === 0 ? 'one' : 'other')
    await vi.advanceTimersByTimeAsync(200)
  }
  expect(lines).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(lines).toHaveLength(2)
})

test('where all works there is no line', async () => {
  log.note(undefined)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(lines).toEqual([])
})
