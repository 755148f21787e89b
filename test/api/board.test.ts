/** GET /api/board over a node's real health: what it says of services, sites and votes, and what it costs. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { boardOf } from '../../src/api/board.ts'
import { summaryOf } from '../../src/api/summary.ts'
import { NodeHealth } from '../../src/health/node-health.ts'
import { makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import type { MemberSpec } from '../../src/health/target.ts'
import type { VoteValue } from '../../src/health/vote.ts'
import { layOutService } from '../../src/policy/service.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { prober, served } from '../cli/fleet.ts'
import { service, site } from '../policy/fixture.ts'
import { member, spec, vote } from '../support/specs.ts'

let health: NodeHealth
let store: MemoryStore
beforeEach(async () => {
  store = new MemoryStore(3_600_000)
  health = new NodeHealth({ table: makeHealthTable(), store })
  await health.start()
})
afterEach(() => health.stop())

function adopt(members: readonly MemberSpec[]): void {
  const slots = new SlotRegistry().assign(
    members.map(({ name }) => name),
    1,
  )
  health.adopt(spec(...members), slots!)
}

async function voteAs(name: string, votes: Readonly<Record<string, VoteValue>>): Promise<void> {
  const identity = { name, region: name.slice(0, 2), bootId: 'b' }
  const writer = store.proberWriter(identity)
  await writer.heartbeat({ prober: identity, sequence: 1, configHash: '', overdue: 0, overdueAgeMs: 0 })
  await writer.replace(Object.entries(votes).map(([id, value]) => vote(id, value)))
}

const SITES = new Map(
  [site('fra', { capacity: 300, latitude: 50, longitude: 8 }), site('iad', { latitude: NaN, longitude: NaN })].map(
    (one) => [one.name, one],
  ),
)
const WEB = layOutService(
  service(
    [
      { site: 'fra', vips: ['192.0.2.1', '192.0.2.2'], weight: 2 },
      { site: 'iad', vips: ['192.0.2.3'], weight: 1 },
    ],
    { spill: 2 },
  ),
  SITES,
  0,
)

const STAGES = [
  { stage: 'nearest', answersPerSecond: 12 },
  { stage: 'spill', answersPerSecond: 0.5 },
] as const
const FRA = { site: 'fra', answersPerSecond: 12.5, stages: STAGES }
// of the two sites; the last cell is that of answers without a site
WEB.counter.set([800, 808, 816])
const hoursBefore = (cell: number) => ({ day: cell, week: null })
const RATES = { services: [{ service: 'web', answersPerSecond: 12.5, sites: [FRA] }] }

const make = () => {
  const overview = health.overview()
  const summary = summaryOf({ ...served(), health: overview, prober }, [])
  const shown = { summary, health: overview, votes: health.votes(), services: [WEB], sites: SITES }
  return boardOf({ ...shown, rates: RATES, before: hoursBefore, events: 7 })
}

test('of a service whose World is not in use yet nothing is known', async () => {
  adopt([member('fra/new/192.0.2.1', ['t1'])])
  expect(make().services).toMatchObject([{ sites: [{ site: 'fra', stages: [], before: { day: null, week: null } }] }])
})

test('a service has its sites, with the worst that is wrong there', async () => {
  adopt([member('iad/web/192.0.2.3', ['t3']), member('fra/web/192.0.2.1', ['t1']), member('fra/web/192.0.2.2', ['t2'])])
  for (const name of ['eu-1', 'us-1', 'ap-1']) await voteAs(name, { t1: 'up', t2: 'up', t3: 'up' })
  for (const name of ['eu-1', 'us-1', 'ap-1']) await voteAs(name, { t1: 'up', t2: 'down', t3: 'up' })
  const { services, sites, unchangedMs, events } = make()
  expect(events).toBe(7)
  expect(services).toMatchObject([
    {
      service: 'web',
      spill: 2,
      braked: 0,
      sites: [
        {
          site: 'fra',
          capacity: 300,
          weight: 2,
          members: 2,
          well: 1,
          wound: 'down',
          why: expect.stringContaining('connection refused'),
          share: 1000,
          answersPerSecond: 12.5,
          stages: STAGES,
          before: { day: 800, week: null },
        },
        {
          site: 'iad',
          capacity: 100,
          weight: 1,
          members: 1,
          well: 1,
          wound: null,
          woundMs: null,
          answersPerSecond: 0,
          stages: [],
          before: { day: 808, week: null },
        },
      ],
    },
  ])
  expect(sites).toEqual([
    { site: 'fra', region: 'test', latitude: 50, longitude: 8 },
    { site: 'iad', region: 'test', latitude: null, longitude: null },
  ])
  expect(unchangedMs).toBeLessThan(5_000)
})

test('votes are counted by site and prober: a target once, however many members it decides', async () => {
  adopt([
    member('fra/web/192.0.2.1', ['t1', 'shared']),
    member('fra/api/192.0.2.2', ['t2', 'shared']),
    member('iad/web/192.0.2.3', ['t3']),
    member('sin/web/192.0.2.4', []),
  ])
  await voteAs('us-1', { t1: 'up', t2: 'down', shared: 'abstain', t3: 'up' })
  await voteAs('eu-2', { t1: 'up', t2: 'up', shared: 'up' })
  await voteAs('eu-1', { t3: 'down', elsewhere: 'down' })
  const before = health.changes
  const { probers, sites } = make().votes
  expect(probers.map(({ prober: name, region, live }) => `${name} ${region} ${live}`)).toEqual([
    'eu-1 eu true',
    'eu-2 eu true',
    'us-1 us true',
  ])
  // by prober: up/down/abstain
  expect(sites.map(({ site: at, targets, votes }) => [at, targets, ...votes.map((cell) => cell.join('/'))])).toEqual([
    ['fra', 3, '0/0/0', '3/0/0', '1/1/1'],
    ['iad', 1, '0/1/0', '0/0/0', '1/0/0'],
    ['sin', 0, '0/0/0', '0/0/0', '0/0/0'],
  ])
  expect(health.changes).toBe(before)
  await voteAs('eu-1', { t3: 'up', elsewhere: 'down' })
  expect(health.changes).toBeGreaterThan(before)
  const now = health.changes
  await voteAs('eu-1', { t3: 'up', elsewhere: 'down' }) // says the same again
  expect(health.changes).toBe(now)
})

/** CPU time of so many boards of so many members with the votes of four probers, in ms. */
async function costOf(boards: number, count: number): Promise<number> {
  const members = Array.from({ length: count }, (_, i) =>
    member(`s${i % 10}/service-${Math.floor(i / 10)}/192.0.2.1`, [`t${i}`]),
  )
  adopt(members)
  const votes = Object.fromEntries(members.flatMap((one) => one.targets).map((id) => [id, 'up' as const]))
  for (let i = 0; i < 4; i++) await voteAs(`p-${i}`, votes)
  expect(JSON.stringify(make()).length).toBeLessThan(350 * count)
  const { user, system } = process.threadCpuUsage()
  for (let i = 0; i < boards; i++) JSON.stringify(make())
  const after = process.threadCpuUsage()
  return (after.user - user + after.system - system) / 1000
}

test('what a board costs grows no faster than its members', async () => {
  const few = await costOf(80, 400)
  expect(await costOf(8, 4_000)).toBeLessThan(4 * few)
})
