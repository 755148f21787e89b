/** Rows of docs/partitions.md: a site fails over for good, and the automation is frozen, while something is away. */
import { expect } from 'vitest'
import type { Status } from '../../../src/api/status.ts'
import { EVERYONE, servicesYaml } from './fleet.ts'
import { type Fault, HOLD_MS, type Row } from './row.ts'

const stateIs =
  (site: string, wanted: string) =>
  ({ services }: Status): boolean =>
    services[0]?.members.find((member) => member.site === site)?.state === wanted

/** From here on failback is manual. The row ends it with automatically(). */
async function manually(row: Row): Promise<void> {
  await change(row, `${servicesYaml()}\n  failback: manual\n`)
}

async function automatically(row: Row): Promise<void> {
  await change(row, servicesYaml())
}

async function change(row: Row, text: string): Promise<void> {
  const before = (await row.fleet.status('n1'))?.world?.view
  row.fleet.put(EVERYONE, 'services.yaml', text)
  await row.shown('the new zones', ({ world }) => world !== null && world.view !== before)
}

export function rowsOfFailback(fault: Fault): void {
  fault('a site with `failback: manual` dies and is well again while a node is away', async (row) => {
    await manually(row)
    row.fleet.network.cut(['n2'], ['redis'])
    row.dies('fra')
    await row.applied('paris', ['n1'])
    await row.held('paris', ['n2'])
    await row.revives('fra')
    await row.shown('it has recovered', stateIs('fra', 'recovered'), ['n1'])
    await row.only('paris', 'iad', ['n1'], HOLD_MS)
    row.fleet.network.healAll()
    await row.applied('paris', ['n2']) // it holds as n1 does
    await row.measured('meridian_service_recovered_members{service="web"}', 1)
    expect(await row.fleet.command('n2', 'return', 'fra')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/fra\/web has its clients again, on all 2 nodes/),
    })
    await row.home('paris')
    await automatically(row)
  })

  fault('a serving node is restarted without saved state while a site awaits its return', async (row) => {
    await manually(row)
    row.dies('iad')
    await row.applied('newYork')
    await row.revives('iad')
    await row.shown('it has recovered', stateIs('iad', 'recovered'))
    await row.restarts('n1', () => row.fleet.forgetState('n1'))
    await row.shown('it has recovered', stateIs('iad', 'recovered'), ['n1'])
    await row.only('newYork', 'fra', ['n1', 'n2'], 1_000)
    row.fleet.redis.command('flushall')
    await row.only('newYork', 'fra', ['n1', 'n2'], HOLD_MS)
    await row.shown('it has recovered', stateIs('iad', 'recovered'))
    await automatically(row) // new zones, in which it is not manual, return it
    await row.home('newYork')
  })

  fault('all nodes are frozen while one of them is away', async (row) => {
    row.fleet.network.cut(['n2'], ['redis'])
    expect(await row.fleet.command('n1', 'freeze', '--for', '1h', '--why', 'the probers move')).toMatchObject({
      code: 1,
      out: expect.stringContaining('FROZEN by'),
      err: expect.stringContaining('node n2 goes on as before'),
    })
    row.dies('sin')
    await row.held('jakarta')
    row.fleet.network.healAll()
    await row.shown('the freeze', ({ freeze }) => freeze?.why === 'the probers move')
    await row.held('jakarta')
    await row.measured('meridian_service_frozen_members{service="web"}', 1)
    expect(await row.fleet.command('n2', 'unfreeze')).toMatchObject({ code: 0 })
    await row.applied('jakarta')
    await row.revives('sin')
  })

  fault('a serving node is restarted without saved state while all nodes are frozen', async (row) => {
    expect(await row.fleet.command('n2', 'freeze', '--for', '1h', '--why', 'the probers move')).toMatchObject({
      code: 0,
    })
    row.dies('fra')
    await row.shown('DOWN by its verdict', ({ services }) =>
      services[0]!.members.some(({ site, verdict }) => site === 'fra' && verdict === 'down'),
    )
    await row.restarts('n1', () => row.fleet.forgetState('n1'))
    await row.held('paris')
    expect(await row.fleet.command('n1', 'unfreeze')).toMatchObject({ code: 0 })
    await row.applied('paris')
    await row.revives('fra')
  })
}
