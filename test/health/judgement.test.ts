/** A member over any history of votes and edited checks: what may take it down, and what may not. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type LiveVote, judge, type Judgement, NO_HISTORY, type MemberHistory } from '../../src/health/judgement.ts'
import { member } from '../support/specs.ts'

const TARGETS = ['t1', 't2', 't3']
const votes = fc.dictionary(
  fc.constantFrom(...TARGETS),
  fc.array(fc.constantFrom<LiveVote['value'][]>('up', 'down', 'abstain'), { maxLength: 3 }),
)
const step = fc.record({
  targets: fc.option(fc.uniqueArray(fc.constantFrom(...TARGETS), { maxLength: 2 }), { nil: undefined }),
  votes,
})
const roster = [{ region: 'eu' }, { region: 'us' }, { region: 'ap' }]

const quorumOf = (said: readonly LiveVote['value'][]): 'up' | 'down' | undefined => {
  const ups = said.filter((value) => value === 'up').length
  const downs = said.filter((value) => value === 'down').length
  return downs > 1.5 ? 'down' : ups > downs && ups >= 2 ? 'up' : undefined
}

test('against a naive model with the history of every target, whatever is edited when', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let targets: readonly string[] = ['t1']
      let memory: MemberHistory = NO_HISTORY
      for (const next of steps) {
        targets = next.targets ?? targets
        const heard = (id: string): LiveVote[] =>
          (next.votes[id] ?? []).map((value, i) => ({
            region: roster[i]!.region,
            value,
            moving: false,
            reason: value,
            share: 1000,
          }))
        const before = memory
        const now: Judgement = judge(member('fra/web/192.0.2.1', targets), before, heard, roster)
        memory = now
        if (targets.length === 0) {
          expect(now.verdict).toBe('up')
          continue
        }
        const quorum = (id: string) => quorumOf(next.votes[id] ?? [])
        const involved = new Set([...targets, ...before.deciding])
        // down: by a quorum now, or as it was; and by a target that had passed
        if (now.verdict === 'down' && before.verdict !== 'down') {
          const by = [...involved].filter((id) => (quorum(id) ?? before.decided.get(id)) === 'down')
          expect(by.some((id) => before.proven.has(id))).toBe(true)
          expect(before.verdict).toBe('up')
        }
        // never seen up: by votes only
        if (now.verdict !== undefined && before.verdict === undefined)
          expect(targets.every((id) => (quorum(id) ?? before.decided.get(id)) === 'up')).toBe(true)
        // silence moves nothing
        const silent = [...involved].every((id) => quorum(id) === undefined)
        if (silent && next.targets === undefined) expect(now.verdict).toBe(before.verdict)
        // a full quorum of all new checks ends the former ones
        if (targets.every((id) => quorum(id) === 'up'))
          expect(now).toMatchObject({ verdict: 'up', former: false, held: false })
        // as long as they haven't, the former ones decide
        if (now.former) expect(now.deciding).toEqual(before.deciding)
        else expect(now.deciding).toEqual(targets)
      }
    }),
    { numRuns: 2000 },
  )
})
