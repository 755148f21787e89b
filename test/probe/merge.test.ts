/** Several threads' writers as one: what the Store hears of them. */
import { beforeEach, expect, test } from 'vitest'
import type { Heartbeat } from '../../src/health/store.ts'
import { MergedWriter } from '../../src/probe/merge.ts'
import { vote } from '../support/specs.ts'

const identity = { name: 'eu-1', region: 'eu', bootId: 'one' }
let heard: string[]
let beats: Heartbeat[]
let merged: MergedWriter
beforeEach(() => {
  heard = []
  beats = []
  const writer = {
    replace: async () => void heard.push('replace'),
    change: async ({ target, value }: { target: string; value: string }) => void heard.push(`${target} ${value}`),
    retire: async (targets: readonly string[]) => void heard.push(`retire ${targets.join(' ')}`),
    heartbeat: async (beat: Heartbeat) => void beats.push(beat),
  }
  merged = new MergedWriter({
    identity,
    writer: writer,
    threads: 2,
    onBeat: (beat) => heard.push(`beat ${beat.sequence}`),
  })
})
const beat = (sequence: number, overdue = 0, overdueAgeMs = 0): Heartbeat => ({
  prober: identity,
  sequence,
  configHash: `c${sequence}`,
  overdue,
  overdueAgeMs,
})

test('a thread that starts with nothing takes nothing from the others', async () => {
  const [a, b] = [merged.of(0), merged.of(1)]
  await a.replace([vote('t1', 'up')])
  await a.change(vote('t2', 'down'))
  await b.replace([])
  expect(heard).toEqual(['t1 up', 't2 down'])
  await a.replace([vote('t1', 'down'), vote('t3', 'up')])
  expect(heard.slice(2)).toEqual(['retire t2', 't1 down', 't3 up'])
  expect([merged.vote(0, 't1')?.value, merged.vote(0, 't2'), merged.vote(1, 't1')]).toEqual([
    'down',
    undefined,
    undefined,
  ])
})

test('of a thread that is gone all votes are retired, of the others none', async () => {
  const [a, b] = [merged.of(0), merged.of(1)]
  await a.change(vote('t1', 'up'))
  await b.change(vote('t2', 'up'))
  await a.change(vote('t3', 'up'))
  await a.retire(['t3'])
  await merged.withdraw(0)
  expect(heard).toEqual(['t1 up', 't2 up', 't3 up', 'retire t3', 'retire t1'])
  await merged.withdraw(0)
  expect(heard).toHaveLength(5)
})

test('a target that moves from thread to thread keeps its vote, whichever speaks first', async () => {
  const [a, b] = [merged.of(0), merged.of(1)]
  await a.change(vote('t1', 'up'))
  await b.change(vote('t1', 'up'))
  await a.retire(['t1'])
  expect(heard).toEqual(['t1 up', 't1 up'])
  await b.retire(['t1'])
  expect(heard.at(-1)).toBe('retire t1')
})

test('one heartbeat for all, only while every thread beats: overdue is their sum, age the greatest', async () => {
  const [a, b] = [merged.of(0), merged.of(1)]
  await a.heartbeat(beat(1, 2, 500))
  await a.heartbeat(beat(2, 3, 900))
  expect(beats).toEqual([])
  await b.heartbeat(beat(7, 1, 1500))
  expect(beats).toMatchObject([{ prober: identity, sequence: 1, overdue: 4, overdueAgeMs: 1500 }])
  for (let i = 3; i < 9; i++) await a.heartbeat(beat(i))
  expect(beats).toHaveLength(1)
  await b.heartbeat(beat(8))
  expect(beats.map(({ sequence }) => sequence)).toEqual([1, 2])
  await a.heartbeat(beat(10))
  await merged.withdraw(0) // its beat was the last of a thread that is gone
  await b.heartbeat(beat(9))
  expect(beats).toHaveLength(2)
})
