/** Rows of docs/partitions.md: the network is cut, here and there. */
import { expect } from 'vitest'
import { type Host, PROBERS } from './fleet.ts'
import { HOLD_MS, type Row, useFleet } from './row.ts'

const fault = useFleet()

/** What a prober sees of the world beyond its own region: the sites, and its canary. */
const SITES = ['fra', 'iad', 'sin', 'canary'] as const
const hosts = (...names: readonly Host[]) => names

const shownAbstaining = (row: Row, ...probers: readonly string[]): Promise<void> =>
  row.shown(`${probers.join(', ')} abstain`, ({ services }) =>
    (services[0]?.members ?? []).every(({ targets }) =>
      targets.every(({ votes }) =>
        probers.every((prober) => votes.some((vote) => vote.prober === prober && vote.value === 'abstain')),
      ),
    ),
  )

fault('one node is cut off from Redis', async (row) => {
  row.fleet.network.cut(['n2'], ['redis'])
  row.dies('fra')
  await row.applied('paris', ['n1'])
  await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
  await row.held('paris', ['n2'])
  row.fleet.network.healAll()
  await row.applied('paris', ['n2'])
  await row.revives('fra')
})

fault('a node and a prober are cut off together', async (row) => {
  row.fleet.network.cut(['n2', 'p3'], hosts('redis', 'n1', 'p1', 'p2'))
  row.dies('iad')
  await row.applied('newYork', ['n1'])
  await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
  await row.held('newYork', ['n2'])
  row.fleet.network.healAll()
  await row.applied('newYork', ['n2'])
  await row.revives('iad')
})

fault('one prober is cut off from the sites', async (row) => {
  row.fleet.network.cut(['p1'], SITES)
  await shownAbstaining(row, 'p1')
  row.dies('sin')
  await row.applied('jakarta')
  row.fleet.network.healAll()
  await row.revives('sin')
})

fault('one prober is cut off from everything', async (row) => {
  row.fleet.network.cut(['p2'], [...SITES, 'redis'])
  await row.shown('it is silent', ({ probers }) => probers.some(({ prober, live }) => prober === 'p2' && !live))
  row.dies('fra')
  await row.applied('paris')
  row.fleet.network.healAll()
  await row.revives('fra')
})

fault('two of three probers are cut off from the sites', async (row) => {
  row.fleet.network.cut(['p1', 'p2'], SITES)
  await shownAbstaining(row, 'p1', 'p2')
  row.dies('iad')
  await row.held('newYork')
  await row.shown('held', ({ services }) => services[0]?.members.some(({ held }) => held) === true)
  row.fleet.network.healAll()
  await row.applied('newYork')
  await row.revives('iad')
})

fault('all probers are cut off from the sites', async (row) => {
  row.fleet.network.cut(PROBERS, SITES)
  await shownAbstaining(row, ...PROBERS)
  row.dies('sin')
  await row.held('jakarta')
  await row.shown('held', ({ services }) => services[0]?.members.every(({ held }) => held) === true)
  row.fleet.network.healAll()
  await row.applied('jakarta')
  await row.revives('sin')
})

fault('all probers are cut off from Redis', async (row) => {
  row.fleet.network.cut(PROBERS, ['redis'])
  row.dies('fra')
  await row.held('paris', undefined, HOLD_MS)
  await row.shown('no prober', ({ probers }) => probers.every(({ live }) => !live))
  row.fleet.network.healAll()
  await row.applied('paris')
  await row.revives('fra')
})

fault('an override is set and undone while a node is away', async (row) => {
  row.fleet.network.cut(['n2'], ['redis'])
  row.excuse('iad', ['n1'])
  expect(await row.fleet.command('n1', 'drain', 'iad', '--for', '1h', '--why', 'work on its power')).toMatchObject({
    code: 0,
  })
  await row.applied('newYork', ['n1'])
  await row.held('newYork', ['n2'])
  expect(await row.fleet.command('n1', 'undrain', 'iad')).toMatchObject({ code: 0 })
  await row.home('newYork', ['n1'])
  row.fleet.network.healAll()
  await row.shown('Redis again', ({ store }) => store.trouble === null)
  await row.held('newYork') // the tombstone has come too: n2 never drains
})

fault('an override is set, and undone while a node that has it is away', async (row) => {
  row.excuse('sin')
  expect(await row.fleet.command('n1', 'drain', 'sin', '--for', '1h', '--why', 'work on its power')).toMatchObject({
    code: 0,
  })
  await row.applied('jakarta')
  row.fleet.network.cut(['n2'], ['redis'])
  await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
  expect(await row.fleet.command('n1', 'undrain', 'sin')).toMatchObject({ code: 0 })
  await row.home('jakarta', ['n1'])
  await row.only('jakarta', 'fra', ['n2'], HOLD_MS)
  row.fleet.network.healAll()
  await row.home('jakarta', ['n2'])
})

fault('an override is set at a node that is away', async (row) => {
  row.fleet.network.cut(['n2'], ['redis'])
  await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
  row.excuse('fra')
  expect(await row.fleet.command('n2', 'force', 'fra', 'down', '--for', '1h', '--why', 'it lies')).toMatchObject({
    code: 0,
  })
  await row.applied('paris', ['n2'])
  await row.held('paris', ['n1'], 1_000)
  row.fleet.network.healAll()
  await row.applied('paris', ['n1'])
  expect(await row.fleet.command('n1', 'force', 'fra', 'off')).toMatchObject({ code: 0 })
})
