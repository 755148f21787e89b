/** When a dead site was last named, from the threads' counters. */
import { expect, test } from 'vitest'
import { WrongAnswers } from '../../src/api/wrong-answers.ts'
import { ANSWER_STAGES, AnswerCells, type AnswerStage, makeCounters } from '../../src/counters.ts'
import type { Outage } from '../../src/health/node-health.ts'

const threads = [makeCounters(), makeCounters()]
const cells = new AnswerCells()
const answer = (thread: number, site: string, stage: AnswerStage = 'nearest'): void => {
  threads[thread]![cells.cellOf('web', site) + ANSWER_STAGES.indexOf(stage)]! += 1
}
const outage = (site: string, firstSignMs: number): Outage => ({ service: 'web', site, firstSignMs, isOver: false })

test('the last answer is that of the last look that saw one, of any thread, until the outage is over', () => {
  const outages: Outage[] = []
  const wrong = new WrongAnswers({ outages: () => outages, counters: () => threads, cells })
  const last = () =>
    wrong.last(100_000, 1_000_000).map(({ site, firstSignAtMs, lastAnswerAtMs }) => {
      return [site, firstSignAtMs, lastAnswerAtMs]
    })
  answer(0, 'fra')
  wrong.look(500)
  expect(last()).toEqual([])
  const fra = outage('fra', 1_000)
  outages.push(fra)
  wrong.look(3_000) // the verdict
  expect(last()).toEqual([['fra', 901_000, 903_000]])
  answer(1, 'iad')
  answer(1, 'fra', 'last resort')
  wrong.look(3_250)
  expect(last()).toEqual([['fra', 901_000, 903_000]])
  answer(1, 'fra', 'drained')
  wrong.look(3_500)
  wrong.look(3_750)
  expect(last()).toEqual([['fra', 901_000, 903_500]])
  fra.isOver = true
  answer(0, 'fra')
  wrong.look(4_000)
  expect(last()).toEqual([['fra', 901_000, 903_500]])

  outages[0] = outage('fra', 5_000)
  wrong.look(6_000)
  expect(last()).toEqual([['fra', 905_000, 906_000]])
})
