/** A return and a freeze at a node with real health: what is answered, and logged. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { applyFreeze, applyReturn } from '../../src/api/controls.ts'
import { FROZEN, RETURNED } from '../../src/api/responses.ts'
import { NodeHealth } from '../../src/health/node-health.ts'
import type { ProberWriter } from '../../src/health/store.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { member, serviceSpec, specOf, vote } from '../support/specs.ts'
import { until } from '../support/until.ts'

const SITES = ['fra', 'iad', 'sin'] as const
const nameOf = (site: string): string => `${site}/web/192.0.2.${SITES.findIndex((one) => one === site)}`
const spec = specOf(
  SITES.map((site) => member(nameOf(site), [site], { manual: true })),
  [serviceSpec('web', { keepPercent: 25 })],
)
let health: NodeHealth
let writer: ProberWriter
let logged: string[] = []
const log = (_fields: object, line: string): void => void logged.push(line)

beforeEach(async () => {
  logged = []
  const store = new MemoryStore(1e9)
  health = new NodeHealth({ table: makeHealthTable(), store, node: { name: 'n1', version: '1' } })
  await health.start()
  health.adopt(spec, Int32Array.of(0, 1, 2))
  writer = store.proberWriter({ name: 'p1', region: 'eu', bootId: 'b1' })
  await writer.replace(SITES.map((site) => vote(site, 'up')))
})
afterEach(() => health.stop())

const RETURN = { pattern: 'fra', who: 'kim', why: '', yes: false }

test('a return tells what is left of each service, and which other sites are not usable', async () => {
  await writer.change(vote('fra', 'down'))
  await until('it is written down', () => {
    const told = health.controls.return(RETURN)
    return 'refused' in told && told.refused.startsWith('still not well')
  })
  await writer.change(vote('fra', 'up'))
  await writer.change(vote('sin', 'down'))
  const told = await applyReturn(health, { ...RETURN, why: 'it has caught up' }, log)
  expect(told).toEqual({
    returned: ['fra/web'],
    waiting: [],
    services: [
      {
        service: 'web',
        leftBeforePercent: expect.closeTo(33.3, 1),
        leftPercent: expect.closeTo(66.7, 1),
        keepPercent: 25,
        lastResort: false,
        unusable: [{ site: 'sin', state: 'down' }],
      },
    ],
    freeze: null,
    notKept: [],
    reached: ['n1'],
    unreached: [],
  })
  expect(RETURNED.parse(told)).toEqual(told)
  expect(logged).toEqual(['fra/web: returned by kim: it has caught up'])
  expect(await applyReturn(health, RETURN, log)).toHaveProperty('refused')
})

test('a freeze and its end tell what was in force before, and what is now', async () => {
  const told = await applyFreeze(health, { action: 'freeze', forMs: 60_000, who: 'kim', why: 'probers move' }, log)
  const freeze = { who: 'kim', why: 'probers move', node: 'n1', down: 0, kept: 0, yields: [] }
  expect(told).toMatchObject({ freeze, before: null, notKept: [], reached: ['n1'], unreached: [] })
  expect(FROZEN.parse(told)).toEqual(told)
  const over = await applyFreeze(health, { action: 'unfreeze', who: 'kim', why: '' }, log)
  expect(over).toMatchObject({ freeze: null, before: freeze })
  expect(FROZEN.parse(over)).toEqual(over)
  expect(logged).toEqual([
    expect.stringMatching(/^the automation is frozen by kim until \d{4}-.*: probers move$/),
    'the freeze is over, ended by kim',
  ])
  const again = await applyFreeze(health, { action: 'unfreeze', who: 'kim', why: '' }, log)
  expect(again).toEqual({ refused: 'there is no freeze in force', hint: 'meridian status' })
})
