/** The quorum against a naive model that follows its plain words one by one. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Ballot, verdict } from '../../src/health/quorum.ts'
import type { Verdict } from '../../src/health/vote.ts'

const REGIONS = ['eu', 'us', 'ap']
const ballots = fc.array(
  fc.record({ region: fc.constantFrom(...REGIONS), value: fc.constantFrom('up', 'down', 'abstain') }),
  { maxLength: 7 },
)
const previous = fc.constantFrom<(Verdict | undefined)[]>('up', 'down', undefined)
const rules = fc.record({ probers: fc.integer({ min: 1, max: 5 }), regions: fc.integer({ min: 1, max: 3 }) })

function naive(
  votes: readonly Ballot[],
  rosterRegions: readonly string[],
  before: Verdict | undefined,
  p: number,
  r: number,
) {
  let n = p
  if (rosterRegions.length < n) n = rosterRegions.length
  let ups = 0
  let downs = 0
  const seenDown: string[] = []
  for (const { value, region } of votes) {
    if (value === 'up') ups += 1
    if (value === 'down') {
      downs += 1
      if (!seenDown.includes(region)) seenDown.push(region)
    }
  }
  const fresh = ups + downs
  const half = (n > fresh ? n : fresh) / 2
  const distinct: string[] = []
  for (const region of rosterRegions) if (!distinct.includes(region)) distinct.push(region)
  const regionsAsked = distinct.length < r ? distinct.length : r
  if (downs > half && seenDown.length >= regionsAsked) return { verdict: 'down', held: false }
  if (ups > downs && ups >= (n < 2 ? n : 2)) return { verdict: 'up', held: false }
  return { verdict: before, held: true }
}

const up = (at: { region: string }): Ballot => ({ ...at, value: 'up' })
const down = (at: { region: string }): Ballot => ({ ...at, value: 'down' })

describe('quorum', () => {
  test('is the naive model', () => {
    const silent = fc.array(fc.constantFrom(...REGIONS), { maxLength: 3 })
    fc.assert(
      fc.property(ballots, silent, previous, rules, (votes, silentRegions, before, { probers, regions }) => {
        const roster = [...votes.map((vote) => vote.region), ...silentRegions].map((region) => ({ region }))
        fc.pre(roster.length > 0)
        const { verdict: got, held } = verdict(votes, roster, before, { probers, regions })
        const rosterRegions = roster.map((entry) => entry.region)
        const wanted = naive(votes, rosterRegions, before, probers, regions)
        return got === wanted.verdict && held === wanted.held
      }),
      { numRuns: 3000 },
    )
  })

  test('the order of votes decides nothing', () => {
    fc.assert(
      fc.property(ballots, previous, rules, (votes, before, asked) => {
        const roster = votes.map(({ region }) => ({ region }))
        expect(verdict(votes.toReversed(), roster.toReversed(), before, asked)).toEqual(
          verdict(votes, roster, before, asked),
        )
      }),
    )
  })

  const eu = { region: 'eu' }
  const us = { region: 'us' }
  const three = { probers: 3, regions: 1 }

  test.each<[string, Ballot[], { region: string }[], Verdict | undefined, string]>([
    ['a roster of one is enough for DOWN', [down(eu)], [eu], 'up', 'down'],
    ['a roster of one is enough for UP', [up(eu)], [eu], undefined, 'up'],
    ['nobody heard: the verdict stands', [], [eu], 'down', 'held down'],
    ['nobody ever: nothing is decided', [], [], undefined, 'held undefined'],
    ['one of three is too few for DOWN', [down(eu)], [eu, eu, us], 'up', 'held up'],
    ['one of three is too few for UP', [up(eu)], [eu, eu, us], 'down', 'held down'],
    ['two of three decide while the third is silent', [down(eu), down(us)], [eu, eu, us], 'up', 'down'],
    ['two against one', [down(eu), down(us), up(eu)], [eu, eu, us], 'up', 'down'],
    ['an even split holds', [down(eu), up(us)], [eu, us], 'up', 'held up'],
  ])('%s', (_, votes, roster, before, expected) => {
    const { verdict: got, held } = verdict(votes, roster, before, three)
    expect(`${held ? 'held ' : ''}${got}`).toBe(expected)
  })

  test('DOWN seen in too few regions holds, and says so', () => {
    const outcome = verdict([down(eu), down(eu), up(us)], [eu, eu, us], 'up', { probers: 3, regions: 2 })
    expect(outcome).toMatchObject({ verdict: 'up', held: true })
    expect(outcome.why).toContain('1 of 2 regions')
  })
})
