/** Rise, fall and hold-down against a naive model that looks at the whole history. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  advance,
  heldDownMs,
  HOLD_MAX_MS,
  isMoving,
  isUndecided,
  NEW_TRACK,
  release,
  reportedState,
  type Track,
  WEAR_MS,
} from '../../src/probe/track.ts'

interface Result {
  readonly passed: boolean
  readonly atMs: number
}
interface Rules {
  readonly fall: number
  readonly rise: number
  readonly intervalMs: number
}

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

/** What is told at `nowMs`: every turn DOWN so far is counted anew, and what each UP between them wore off. */
function naiveTold(results: readonly Result[], { fall, rise, intervalMs }: Rules, nowMs: number): string {
  const states = results.map((_, i) =>
    naive(
      results.slice(0, i + 1).map((r) => r.passed),
      fall,
      rise,
    ),
  )
  let flaps = 0
  let upSince = 0
  let holdMs = 0
  for (const [i, state] of states.entries()) {
    const before = i === 0 ? 'none' : states[i - 1]
    if (state === before) continue
    const { atMs } = results[i]!
    const full = flaps >= 2 && intervalMs * 2 ** (flaps - 2) >= HOLD_MAX_MS
    if (state === 'down') {
      const worn = flaps === 0 ? 0 : Math.max(0, Math.floor((atMs - upSince - holdMs) / WEAR_MS))
      flaps = Math.max(0, flaps - worn)
      if (!(full && worn === 0)) flaps++
    } else {
      holdMs = before === 'none' || flaps < 2 ? 0 : Math.min(HOLD_MAX_MS, intervalMs * 2 ** (flaps - 2))
      upSince = atMs
    }
  }
  if (states.at(-1) !== 'up') return states.at(-1) ?? 'none'
  const endMs = upSince + holdMs
  const until = (ms: number) => results.findLast(({ atMs }) => atMs <= ms)!.passed
  const looks = [endMs, ...results.map(({ atMs }) => atMs).filter((ms) => ms > endMs)]
  return looks.some((ms) => ms <= nowMs && until(ms)) ? 'up' : 'down'
}

const RULES = { fall: 3, rise: 2, intervalMs: 5000 }

/** `+` is a pass, `-` a failure, one each interval; `.` an hour of passes. */
function replay(text: string, rules: Rules = RULES): { readonly track: Track; readonly nowMs: number } {
  let track = NEW_TRACK
  let nowMs = 0
  for (const letter of text) {
    for (let left = letter === '.' ? 3_600_000 / rules.intervalMs : 1; left > 0; left--) {
      nowMs += rules.intervalMs
      track = advance(track, letter !== '-', rules, nowMs)
    }
  }
  return { track, nowMs }
}
const told = (text: string) => reportedState(replay(text).track)
/** Results that pass until it is told UP. */
const passesToUp = (text: string): number => {
  for (let passes = 0; ; passes++) if (told(text + '+'.repeat(passes)) === 'up') return passes
}

describe('track', () => {
  test('is the naive model of rise and fall', () => {
    const count = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 30 }), count, count, (results, fall, rise) => {
        const rules = { fall, rise, intervalMs: 5000 }
        const track = results.reduce((before, passed, i) => advance(before, passed, rules, i * 1000), NEW_TRACK)
        return track.state === naive(results, fall, rise)
      }),
      { numRuns: 3000 },
    )
  })

  test('tells what the naive model of hold-down tells, at any time', () => {
    const gap = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 20_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 2_000_000 }) },
    )
    const step = fc.record({ passed: fc.boolean(), runs: fc.integer({ min: 1, max: 5 }), gap })
    const count = fc.integer({ min: 1, max: 3 })
    const rules = fc.record({ fall: count, rise: count, intervalMs: fc.constantFrom(1000, 5000, 200_000, 3_600_000) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), rules, gap, (steps, rule, later) => {
        const results: Result[] = []
        let track = NEW_TRACK
        let nowMs = 0
        for (const { passed, runs, gap: gapMs } of steps) {
          for (let run = 0; run < runs; run++) {
            nowMs += gapMs
            results.push({ passed, atMs: nowMs })
            track = advance(track, passed, rule, nowMs)
            expect(reportedState(track)).toBe(naiveTold(results, rule, nowMs))
          }
        }
        expect(reportedState(release(track, nowMs + later))).toBe(naiveTold(results, rule, nowMs + later))
      }),
      { numRuns: 1500 },
    )
  })

  test('moves while results speak against it, and for one result after a change', () => {
    const texts = ['', '+', '++', '++-', '++-+', '++---', '++----', '++----+', '++----++', '++----+++']
    const moving = texts.filter((text) => isMoving(replay(text).track))
    expect(moving).toEqual(['+', '++-', '++---', '++----+', '++----++'])
  })

  test('is undecided, and so rechecked fast, only while a change is under way', () => {
    const texts = ['-', '--', '---', '+', '+-', '+--', '+---', '---+', '---++']
    const undecided = texts.filter((text) => isUndecided(replay(text).track))
    expect(undecided).toEqual(['-', '--', '+-', '+--', '---+'])
  })

  test('one lost check never flips it', () => {
    const results = Array.from({ length: 100 }, (_, i) => i % 3 !== 1)
    const rules = { fall: 2, rise: 2, intervalMs: 5000 }
    expect(results.reduce((track, passed, i) => advance(track, passed, rules, i), NEW_TRACK).state).toBe('up')
  })
})

describe('hold-down', () => {
  test('the first outage ends with `rise`; each further one holds twice as long', () => {
    let text = '++'
    const passes = Array.from({ length: 6 }, () => {
      text += '---'
      const needed = passesToUp(text)
      text += '+'.repeat(needed)
      return needed
    })
    expect(passes).toEqual([2, 3, 4, 6, 10, 18])
  })

  test('it says so while it holds, moves, and ends by time alone', () => {
    const { track, nowMs } = replay('++---++---++')
    expect([track.state, reportedState(track), isMoving(track), isUndecided(track)]).toEqual([
      'up',
      'down',
      true,
      false,
    ])
    expect([track.flaps, heldDownMs(track, nowMs), heldDownMs(track, nowMs + 4000)]).toEqual([2, 5000, 1000])
    expect(reportedState(release(track, nowMs + 4999))).toBe('down')
    const released = release(track, nowMs + 5000)
    expect([reportedState(released), isMoving(released), heldDownMs(released, nowMs + 5000)]).toEqual(['up', true, 0])
    expect(isMoving(advance(released, true, RULES, nowMs + 10_000))).toBe(false)
  })

  test('a failure within it does not begin it anew; an outage does', () => {
    const hold = '++---++---++---++---++' // held for 20 s from here
    expect([told(hold), told(`${hold}+++`), told(`${hold}++++`)]).toEqual(['down', 'down', 'up'])
    expect([told(`${hold}+-++`), told(`${hold}++--`), told(`${hold}++--+`)]).toEqual(['up', 'down', 'up'])
    expect(passesToUp(`${hold}+---`)).toBe(10)
    const again = replay(`${hold}+---`)
    expect(heldDownMs(again.track, again.nowMs)).toBe(0)
    expect([`${hold}++`, `${hold}++++`, `${hold}+++++`].map((text) => isMoving(replay(text).track))).toEqual([
      true,
      true,
      false,
    ])
  })

  test('it never exceeds ten minutes, and a steady UP wears it off, one turn every ten minutes', () => {
    const flapping = '++' + '---++'.repeat(40)
    const { track, nowMs } = replay(flapping)
    expect(heldDownMs(track, nowMs)).toBe(HOLD_MAX_MS)
    expect(track.flaps).toBe(9)
    expect(passesToUp(`${flapping}.---`)).toBe(10) // ten minutes held, fifty UP: five of nine turns
    expect(passesToUp(`${flapping}..---`)).toBe(2)
    expect(passesToUp('++---++.---')).toBe(2)
  })

  test('it delays UP alone: DOWN comes after `fall` failures, whatever came before', () => {
    const { track } = replay('++' + '---++'.repeat(6) + '.')
    expect(reportedState(track)).toBe('up')
    expect(told('++' + '---++'.repeat(6) + '.---')).toBe('down')
  })
})
