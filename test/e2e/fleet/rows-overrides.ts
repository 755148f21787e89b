/** Rows of docs/partitions.md: an operator says something while a node is away, or has another clock. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { until } from '../../support/until.ts'
import { nowMs } from './asker.ts'
import { type Fault, HOLD_MS } from './row.ts'

const CLOCK = new URL('clock.ts', import.meta.url).href
const AHEAD_MS = 1_800_000
const FOR_MS = 8_000

export function rowsOfOverride(fault: Fault): void {
  fault('an override is set and undone while a node is away', async (row) => {
    row.fleet.network.cut(['n2'], ['redis'])
    row.excuse('iad', ['n1'])
    expect(await row.fleet.command('n1', 'drain', 'iad', '--for', '1h', '--why', 'work on its power')).toMatchObject({
      code: 1,
      out: expect.stringMatching(/on 1 of\s+2\s+nodes/),
      err: expect.stringContaining('node n2 goes on as before'),
    })
    await row.applied('newYork', ['n1'])
    await row.held('newYork', ['n2'])
    expect(await row.fleet.command('n1', 'undrain', 'iad')).toMatchObject({ code: 1 })
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
    expect(await row.fleet.command('n1', 'undrain', 'sin')).toMatchObject({ code: 1 })
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
      code: 1,
      err: expect.stringContaining('other nodes do not get it'),
    })
    await row.applied('paris', ['n2'])
    await row.held('paris', ['n1'], 1_000)
    row.fleet.network.healAll()
    await row.applied('paris', ['n1'])
    await row.shown('both nodes', ({ nodes }) => nodes.every(({ live }) => live), ['n1'])
    await row.shown('no trouble on the way to Redis', ({ store }) => store.trouble === null, ['n2'])
    expect(await row.fleet.command('n1', 'force', 'fra', 'off')).toMatchObject({ code: 0, err: '' })
  })

  fault('an override is set for a time, and the clock of a node is half an hour ahead', async (row) => {
    const file = join(row.fleet.folder, 'clock of n2')
    writeFileSync(file, String(AHEAD_MS))
    await row.restarts('n2', () => {}, { CLOCK_FILE: file, NODE_OPTIONS: `--import=${CLOCK}` })
    await row.shown(
      'the clock of n2',
      ({ nodes }) => nodes.some(({ clockSkewMs }) => Math.abs((clockSkewMs ?? 0) - AHEAD_MS) < 5_000),
      ['n1'],
    )
    for (const at of ['n1', 'n2'] as const) {
      row.excuse('iad')
      const saidMs = nowMs()
      expect(await row.fleet.command(at, 'drain', 'iad', '--for', `${FOR_MS}ms`, '--why', 'its power')).toMatchObject({
        code: 0,
      })
      await row.applied('newYork')
      await until('most of its time', () => nowMs() - saidMs > FOR_MS - 2_000)
      await row.only('newYork', 'fra', ['n1', 'n2'], 500)
      await row.home('newYork')
    }
    await row.restarts('n2')
  })
}
