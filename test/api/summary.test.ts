/** /api/summary over a node's real health: what it counts, and what it costs the main thread. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { filterFault, statusOf, wantedBy } from '../../src/api/status.ts'
import { summaryOf } from '../../src/api/summary.ts'
import { NodeHealth, type ReasonChange } from '../../src/health/node-health.ts'
import { makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import type { MemberSpec } from '../../src/health/target.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { prober, served } from '../cli/fleet.ts'
import { member, spec, vote } from '../support/specs.ts'

const PROBERS = ['eu-1', 'us-1', 'ap-1']

let health: NodeHealth
let store: MemoryStore
let reasons: ReasonChange[] = []
beforeEach(async () => {
  store = new MemoryStore(3_600_000)
  reasons = []
  health = new NodeHealth({ table: makeHealthTable(), store, onReason: (change) => void reasons.push(change) })
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

/** All probers vote alike: `value` by target. */
async function voteOn(targets: readonly string[], value: (target: string) => 'up' | 'down', reason?: string) {
  for (const name of PROBERS) {
    const writer = store.proberWriter({ name, region: name.slice(0, 2), bootId: 'b' })
    await writer.heartbeat({
      prober: { name, region: name.slice(0, 2), bootId: 'b' },
      sequence: 1,
      configHash: '',
      overdue: 0,
      overdueAgeMs: 0,
    })
    await writer.replace(targets.map((id) => vote(id, value(id), reason === undefined ? {} : { reason })))
  }
}

const many = (services: number, sites: number): MemberSpec[] =>
  Array.from({ length: services }, (_, i) =>
    Array.from({ length: sites }, (__, j) => member(`s${j}/service-${i}/192.0.2.1`, [`t${i}-${j}`])),
  ).flat()

const make = () => summaryOf({ ...served(), health: health.overview(), prober }, [])

test('1,000 services at ten sites, of which one is dead, cost the main thread less than 50 ms', async () => {
  const members = many(1000, 10)
  adopt(members)
  const targets = members.flatMap((one) => one.targets)
  await voteOn(targets, () => 'up')
  await voteOn(targets, (id) => (id.endsWith('-3') ? 'down' : 'up'))
  const costs = Array.from({ length: 5 }, () => {
    const before = process.threadCpuUsage()
    const body = JSON.stringify(make())
    const { user, system } = process.threadCpuUsage(before)
    expect(body.length).toBeLessThan(60_000)
    return (user + system) / 1000
  })
  expect(Math.min(...costs)).toBeLessThan(50)
  const { sites, hurt, services } = make()
  expect([services, hurt.services, sites.length]).toEqual([1000, 1000, 10])
  expect(sites[0]).toMatchObject({
    site: 's3',
    services: 1000,
    wounds: [{ wound: 'down', services: 1000, whole: 1000 }],
  })
  expect(sites.slice(1).flatMap(({ wounds }) => wounds)).toEqual([])
})

test('a filter leaves the members that it names, with their votes, and the services that have some', async () => {
  const members = many(3, 2)
  adopt(members)
  const targets = members.flatMap((one) => one.targets)
  await voteOn(targets, () => 'up')
  await voteOn(targets, (id) => (id === 't1-0' ? 'down' : 'up'))
  const shown = (filter: Partial<Parameters<typeof wantedBy>[0]>) => {
    const wanted = wantedBy({ services: [], sites: [], hurt: false, ...filter })
    const { services } = statusOf({ ...served(), health: health.snapshot(wanted) }, true)
    return services.flatMap((service) => service.members.map((one) => `${one.site}/${service.service}`))
  }
  expect(shown({ hurt: true })).toEqual(['s0/service-1'])
  expect(shown({ services: ['service-2', 'service-0'] })).toEqual([
    's0/service-0',
    's1/service-0',
    's0/service-2',
    's1/service-2',
  ])
  expect(shown({ sites: ['s1'], services: ['service-1'] })).toEqual(['s1/service-1'])
  expect(shown({ sites: ['s1'], hurt: true })).toEqual([])
  const fault = (filter: object) => filterFault({ services: [], sites: [], hurt: false, ...filter }, health.overview())
  expect(fault({ services: ['service-1'], sites: ['s0'] })).toBeUndefined()
  expect(fault({ services: ['servise-1'] })).toMatch(/^there is no service “servise-1” .* Did you mean service-1\?$/)
  expect(fault({ sites: ['fra'] })).toMatch(/^there is no site “fra” with members here\. Known: s0, s1$/)
  const [hurt] = health.snapshot(wantedBy({ services: [], sites: [], hurt: true })).members
  expect(hurt!.targets[0]!.votes).toHaveLength(3)
})

test('a reason that changes while the state stays is told once, with the one before', async () => {
  adopt(many(1, 1))
  await voteOn(['t0-0'], () => 'up')
  await voteOn(['t0-0'], () => 'down', 'connection refused')
  reasons = []
  await voteOn(['t0-0'], () => 'down', 'no answer in 2s')
  const told = reasons.filter(({ why }) => why.startsWith('no answer'))
  expect(told.at(-1)).toMatchObject({ member: 's0/service-0/192.0.2.1', state: 'down', braked: false })
  expect(reasons.every(({ why, whyBefore }) => why !== whyBefore)).toBe(true)
  const before = reasons.length
  await voteOn(['t0-0'], () => 'down', 'no answer in 2s')
  expect(reasons.length).toBe(before)
})
