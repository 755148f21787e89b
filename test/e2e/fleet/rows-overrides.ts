/** Rows of docs/partitions.md: an operator says something while a node is away. */
import { expect } from 'vitest'
import { type Fault, HOLD_MS } from './row.ts'

export function rowsOfOverride(fault: Fault): void {
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
    row.dies('fra')
    await row.applied('paris', ['n1'])
    await row.held('paris', ['n2'])
    row.fleet.network.healAll()
    await row.shown('Redis again', ({ store }) => store.trouble === null)
    await row.applied('paris', ['n2'])
    await row.held('newYork') // the tombstone has come too: n2 never drains
    await row.revives('fra')
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
    row.dies('iad')
    await row.applied('newYork', ['n1'])
    await row.held('newYork', ['n2'])
    row.fleet.network.healAll()
    await row.home('jakarta', ['n2'])
    await row.applied('newYork', ['n2'])
    await row.revives('iad')
  })

  fault('an override is set at a node that is away', async (row) => {
    row.fleet.network.cut(['n2'], ['redis'])
    await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
    row.excuse('fra')
    expect(await row.fleet.command('n2', 'force', 'fra', 'down', '--for', '1h', '--why', 'it lies')).toMatchObject({
      code: 3,
    })
    await row.applied('paris', ['n2'])
    await row.held('paris', ['n1'], 1_000)
    row.fleet.network.healAll()
    await row.applied('paris', ['n1'])
    expect(await row.fleet.command('n1', 'force', 'fra', 'off')).toMatchObject({ code: 0 })
  })
}
