/** Rates of queries and answers, from counters that only grow. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Origins } from '../../src/api/origins.ts'
import { AnswerRates } from '../../src/api/rates.ts'
import { ANSWER_STAGES, AnswerCells, type AnswerStage, makeCounters } from '../../src/counters.ts'

const cells = new AnswerCells()
let threads: Float64Array[]
let origins: Origins
let nowMs: number
let rates: AnswerRates

beforeEach(() => {
  threads = [makeCounters(), makeCounters()]
  origins = { countries: new Map(), systems: new Map(), unlisted: 0 }
  nowMs = 0
  rates = new AnswerRates({ counters: () => threads, cells, origins: () => origins }, () => nowMs)
})
afterEach(() => rates.stop())

const answer = (thread: number, service: string, site: string, times: number, stage: AnswerStage = 'nearest'): void => {
  threads[thread]![0]! += times
  threads[thread]![cells.cellOf(service, site) + ANSWER_STAGES.indexOf(stage)]! += times
}

function keepAt(ms: number): void {
  nowMs = ms
  rates.keep()
}

test('are over the last seconds, of all threads, by site, stage and service', () => {
  answer(0, 'web', 'fra', 1_000)
  keepAt(5_000)
  keepAt(10_000) // the start is forgotten
  answer(0, 'web', 'fra', 250)
  answer(1, 'web', 'fra', 50, 'spill')
  answer(1, 'mail', 'fra', 200)
  answer(1, 'web', 'iad', 50, 'weight 0')
  nowMs = 12_500
  expect(rates.rates()).toEqual({
    queriesPerSecond: 73.3,
    countries: [],
    systems: [],
    sites: [
      { site: 'fra', answersPerSecond: 66.7 },
      { site: 'iad', answersPerSecond: 6.7 },
    ],
    stages: [
      { stage: 'nearest', answersPerSecond: 60 },
      { stage: 'spill', answersPerSecond: 6.7 },
      { stage: 'weight 0', answersPerSecond: 6.7 },
    ],
    services: [
      {
        service: 'web',
        answersPerSecond: 46.7,
        sites: [
          {
            site: 'fra',
            answersPerSecond: 40,
            stages: [
              { stage: 'nearest', answersPerSecond: 33.3 },
              { stage: 'spill', answersPerSecond: 6.7 },
            ],
          },
          { site: 'iad', answersPerSecond: 6.7, stages: [{ stage: 'weight 0', answersPerSecond: 6.7 }] },
        ],
      },
      {
        service: 'mail',
        answersPerSecond: 26.7,
        sites: [{ site: 'fra', answersPerSecond: 26.7, stages: [{ stage: 'nearest', answersPerSecond: 26.7 }] }],
      },
    ],
  })
})

test('a service that came meanwhile is there from its first answer on', () => {
  keepAt(5_000)
  keepAt(10_000)
  answer(0, 'new', 'sin', 30)
  expect(rates.rates().services).toMatchObject([{ service: 'new', answersPerSecond: 6 }])
})

test('countries and systems by what they asked lately, and not since the start', () => {
  origins = {
    countries: new Map([
      ['FR', 5_000],
      ['US', 10],
    ]),
    systems: new Map([[1, 5_000]]),
    unlisted: 0,
  }
  keepAt(5_000)
  keepAt(10_000)
  origins = {
    countries: new Map([
      ['FR', 5_000],
      ['US', 60],
      ['', 5],
    ]),
    systems: new Map([
      [1, 5_010],
      [2, 100],
      [0, 200],
    ]),
    unlisted: 7,
  }
  nowMs = 10_000
  const { countries, systems } = rates.rates()
  expect(countries).toEqual([
    { country: 'US', queriesPerSecond: 10 },
    { country: '', queriesPerSecond: 1 },
  ])
  expect(systems).toEqual([
    { asn: 0, queriesPerSecond: 40 },
    { asn: 2, queriesPerSecond: 20 },
    { asn: 1, queriesPerSecond: 2 },
  ])
})

test('a system that wins a counter back is not taken for a flood', () => {
  origins = { countries: new Map(), systems: new Map([[1, 900]]), unlisted: 500 }
  keepAt(5_000)
  keepAt(10_000)
  origins = {
    countries: new Map(),
    systems: new Map([
      [1, 900],
      [2, 510],
    ]),
    unlisted: 505,
  }
  expect(rates.rates().systems).toEqual([{ asn: 2, queriesPerSecond: 2 }])
})
