/** Outages of sites from votes: when the first failed check was told, and when all VIPs of a service were dead. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import { makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import type { HealthSpec } from '../../src/health/target.ts'
import type { VoteValue } from '../../src/health/vote.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { detectionMs } from '../../src/zone/budget.ts'
import { member, spec, target, vote } from '../support/specs.ts'

const A = 'fra/web/192.0.2.1'
const A2 = 'fra/web/192.0.2.2'
const B = 'iad/web/192.0.2.3'
const PROBERS = ['eu-1', 'us-1', 'ap-1']

let store: MemoryStore
let health: NodeHealth
const slots = new SlotRegistry()
let generation = 0

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'setInterval', 'Date'] })
  store = new MemoryStore(3_600_000)
  health = new NodeHealth({ table: makeHealthTable(), store })
  await health.start()
})
afterEach(async () => {
  await health.stop()
  vi.useRealTimers()
})

function adopt(next: HealthSpec): void {
  const names = next.members.map(({ name }) => name)
  health.adopt({ ...next, targets: ['t1', 't2', 't3'].map((id) => target(id)) }, slots.assign(names, ++generation)!)
}

const say = async (prober: string, id: string, value: VoteValue, moving = false): Promise<void> => {
  const [region = ''] = prober.split('-')
  await store.proberWriter({ name: prober, region, bootId: 'b' }).change(vote(id, value, { moving }))
}
const allSay = async (id: string, value: VoteValue): Promise<void> => {
  for (const prober of PROBERS) await say(prober, id, value)
}
const passMs = (ms: number): number => {
  vi.advanceTimersByTime(ms)
  return performance.now()
}
const outages = () =>
  [...health.outages].map(({ service, site, firstSignMs, isOver }) => [service, site, firstSignMs, isOver])

test('an outage begins with the first vote that moves, and ends with the first member that is up', async () => {
  adopt(spec(member(A, ['t1'], { probers: 3 }), member(B, ['t3'], { probers: 3 })))
  for (const id of ['t1', 't3']) await allSay(id, 'up')
  const firstMs = passMs(10_000)
  await say('us-1', 't1', 'up', true)
  passMs(1_000)
  await say('eu-1', 't1', 'up', true)
  passMs(1_000)
  await say('us-1', 't1', 'down')
  expect(outages()).toEqual([])
  await say('eu-1', 't1', 'down')
  expect(outages()).toEqual([['web', 'fra', firstMs, false]])
  passMs(60_000)
  await allSay('t1', 'up')
  expect(outages()).toEqual([['web', 'fra', firstMs, true]])

  const againMs = passMs(60_000)
  await say('ap-1', 't1', 'up', true)
  await allSay('t1', 'down')
  expect(outages()).toEqual([['web', 'fra', againMs, false]])
})

test('a check that failed, and passed again, long before is no sign', async () => {
  adopt(spec(member(A, ['t1']), member(B, ['t3'])))
  for (const id of ['t1', 't3']) await say('eu-1', id, 'up')
  await say('eu-1', 't1', 'up', true)
  await say('eu-1', 't1', 'up')
  const firstMs = passMs(detectionMs(target('t1').check) + 1)
  await say('eu-1', 't1', 'up', true)
  passMs(500)
  await say('eu-1', 't1', 'down')
  expect(outages()).toEqual([['web', 'fra', firstMs, false]])
})

test('a site with a VIP that is up is not out; the last VIP that dies tells since when', async () => {
  adopt(spec(member(A, ['t1']), member(A2, ['t2']), member(B, ['t3'])))
  for (const id of ['t1', 't2', 't3']) await say('eu-1', id, 'up')
  passMs(1_000)
  await say('eu-1', 't1', 'down')
  expect(outages()).toEqual([])
  const lastMs = passMs(600_000)
  await say('eu-1', 't2', 'up', true)
  passMs(700)
  await say('eu-1', 't2', 'down')
  expect(outages()).toEqual([['web', 'fra', lastMs, false]])
})

test('a site whose death too few probers vote for is out; without it in the zones it is forgotten', async () => {
  adopt(spec(member(A, ['t1'], { probers: 3 }), member(B, ['t3'], { probers: 3 })))
  for (const id of ['t1', 't3']) await allSay(id, 'up')
  passMs(3_600_001) // all are silent; one comes back
  const again = store.proberWriter({ name: 'eu-1', region: 'eu', bootId: 'c' })
  await again.replace([vote('t1', 'up'), vote('t3', 'up')])
  const firstMs = passMs(5_000)
  await again.change(vote('t1', 'up', { moving: true }))
  passMs(1_000)
  await again.change(vote('t1', 'down'))
  expect(health.snapshot().members[0]!.dissent?.says).toBe('down')
  expect(outages()).toEqual([['web', 'fra', firstMs, false]])

  adopt(spec(member(B, ['t3'], { probers: 3 })))
  expect(outages()).toEqual([])
})
