/** Rise and fall against a naive model that looks at the whole history. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { advance, isMoving, isUndecided, NEW_TRACK, type Track } from '../../src/health/track.ts'

/** State by replaying the results: looks for `fall` or `rise` equal ones at the end of each prefix. */
function naive(results: readonly boolean[], fall: number, rise: number): string {
  let state = 'none'
  for (let length = 1; length <= results.length; length++) {
    const prefix = results.slice(0, length)
    const endsWith = (value: boolean, count: number) =>
      prefix.length >= count && prefix.slice(-count).every((r) => r === value)
    if (state === 'none' && endsWith(true, 1)) state = 'up'
    else if (state !== 'down' && endsWith(false, fall)) state = 'down'
    else if (state === 'down' && endsWith(true, rise)) state = 'up'
  }
  return state
}

const run = (results: readonly boolean[], fall: number, rise: number): Track =>
  results.reduce((track, passed) => advance(track, passed, { fall, rise }), NEW_TRACK)

/** `+` is a pass, `-` a failure; fall 3, rise 2. */
const replay = (text: string): Track =>
  run(
    Array.from(text, (c) => c === '+'),
    3,
    2,
  )

describe('track', () => {
  test('is the naive model', () => {
    const count = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 30 }), count, count, (results, fall, rise) => {
        return run(results, fall, rise).state === naive(results, fall, rise)
      }),
      { numRuns: 3000 },
    )
  })

  test('moves while results speak against it, and for one result after a change', () => {
    const texts = ['', '+', '++', '++-', '++-+', '++---', '++----', '++----+', '++----++', '++----+++']
    const moving = texts.filter((text) => isMoving(replay(text)))
    expect(moving).toEqual(['+', '++-', '++---', '++----+', '++----++'])
  })

  test('is undecided, and so rechecked fast, only while a change is under way', () => {
    const texts = ['-', '--', '---', '+', '+-', '+--', '+---', '---+', '---++']
    const undecided = texts.filter((text) => isUndecided(replay(text)))
    expect(undecided).toEqual(['-', '--', '+-', '+--', '---+'])
  })

  test('one lost check never flips it', () => {
    const results = Array.from({ length: 100 }, (_, i) => i % 3 !== 1)
    expect(run(results, 2, 2).state).toBe('up')
  })
})
