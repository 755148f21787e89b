/** What becomes of overrides at a node, in virtual time: its events, and its lines in the log. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import type { OverrideRequest } from '../../src/health/override.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { NodeEvents } from '../../src/node/node-events.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { configOf } from '../cli/fleet.ts'
import { member, specOf } from '../support/specs.ts'

const MINUTE = 60_000
const [WEB, API] = ['fra/web/192.0.2.1', 'fra/api/192.0.2.1']
const SPEC = specOf([member(WEB, []), member(API, []), member('iad/web/192.0.2.2', [])])

const folder = mkdtempSync(join(tmpdir(), 'meridian-node-events-'))
afterAll(() => rmSync(folder, { recursive: true }))
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }))
const ending: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const end of ending.splice(0)) await end()
})

let made = 0
async function makeNode(state = join(folder, String(made++))) {
  const lines: string[] = []
  const told: string[] = []
  const store = new MemoryStore(1e9)
  const events = new NodeEvents({
    config: configOf({ state, 'node.name': 'n1' }),
    log: pino({ base: null, messageKey: 'line' }, { write: (text: string) => void lines.push(JSON.parse(text).line) }),
    store,
    state: () => {
      throw new Error('nobody looks')
    },
    lastRunCrash: undefined,
  })
  events.events.subscribe(({ subject, before, after, why }) => told.push(`${subject}: ${before} → ${after}: ${why}`))
  const health = new NodeHealth({
    table: makeHealthTable(),
    store,
    file: join(state, 'health.json'),
    node: { name: 'n1', version: '1' },
    onOverride: (change) => events.override(change),
  })
  await health.start()
  health.adopt(SPEC, Int32Array.of(0, 1, 2))
  const stop = async () => {
    await health.stop()
    await events.stop()
  }
  ending.push(stop)
  const order = (...requests: Partial<OverrideRequest>[]) => {
    const rest = { pattern: 'fra', action: 'drain', forMs: undefined, who: 'kim', why: 'disks', yes: true } as const
    const outcome = health.override(...requests.map((request): OverrideRequest => ({ ...rest, ...request })))
    if ('refused' in outcome) throw new Error(outcome.refused)
  }
  return { state, stop, order, lines: () => lines.splice(0), told: () => told.splice(0) }
}

test('a drain by steps is told when it begins and when it is there, in one event and one line', async () => {
  const { order, lines, told } = await makeNode()
  order({ action: 'shift', shift: { to: 300, overMs: 15 * MINUTE } })
  expect(told()).toEqual([
    `fra: null → drained from 100 % to 30 % over 15m: by kim: disks; takes a share of ${WEB}, ${API}`,
  ])
  await vi.advanceTimersByTimeAsync(15 * MINUTE - 1)
  expect([told(), lines()]).toEqual([[], []])
  await vi.advanceTimersByTimeAsync(60 * MINUTE)
  const there = `fra: drained from 100 % to 30 % over 15m → at 30 %: by kim: disks; it has moved ${WEB}, ${API}`
  expect([told(), lines()]).toEqual([[there], [`override ${there}`]])
  order({ action: 'shift', shift: { to: 1000, overMs: 10 * MINUTE }, forMs: 10 * MINUTE })
  const back = `on the way back from 30 % over 10m`
  expect(told()).toEqual([
    `fra: drained from 100 % to 30 % over 15m → ${back}: by kim: disks; gives back a share to ${WEB}, ${API}`,
  ])
  await vi.advanceTimersByTimeAsync(60 * MINUTE)
  const over = `fra: ${back} → null: its time is over; gives back ${WEB}, ${API}`
  expect(told()).toEqual([over])
  expect(lines()).toEqual([`override fra: no longer ${back}: its time is over; gives back ${WEB}, ${API}`])
})

test('a node that was restarted in the middle tells when it is there, and one restarted later nothing', async () => {
  const first = await makeNode()
  first.order({ action: 'shift', shift: { to: 300, overMs: 15 * MINUTE } })
  await vi.advanceTimersByTimeAsync(5 * MINUTE)
  await first.stop()
  const second = await makeNode(first.state)
  await vi.advanceTimersByTimeAsync(9 * MINUTE)
  expect(second.told()).toEqual([])
  await vi.advanceTimersByTimeAsync(2 * MINUTE)
  expect(second.told()).toEqual([expect.stringContaining('→ at 30 %')])
  await second.stop()
  const third = await makeNode(first.state)
  await vi.advanceTimersByTimeAsync(2 * MINUTE)
  expect([third.told(), third.lines()]).toEqual([[], []])
})

test('drains, forces, their ends and what they leave to others name the members whose answers they change', async () => {
  const { order, lines, told } = await makeNode()
  order({ pattern: 'fra/api', action: 'up' })
  expect(told()).toEqual([`fra/api: null → forced up: by kim: disks; holds up ${API}`])
  order({ forMs: 2 * MINUTE })
  expect(told()).toEqual([`fra: null → drained: by kim: disks; takes out ${WEB}`]) // the other is forced
  order({ pattern: 'fra/web', action: 'down' })
  expect(told()).toEqual(['fra/web: null → forced down: by kim: disks']) // it is out already
  order({ pattern: 'fra/web', action: 'undone', why: '' })
  expect(told()).toEqual(['fra/web: forced down → null: undone by kim'])
  expect(lines()).toEqual([]) // the API logs orders
  await vi.advanceTimersByTimeAsync(3 * MINUTE)
  expect(told()).toEqual([`fra: drained → null: its time is over; gives back ${WEB}`])
  expect(lines()).toEqual([`override fra: no longer drained: its time is over; gives back ${WEB}`])
  order({}, { pattern: 'fra/api', action: 'undone', why: '' })
  expect(told()).toEqual([
    `fra: null → drained: by kim: disks; takes out ${WEB}, ${API}`,
    `fra/api: forced up → null: undone by kim; no longer holds up ${API}`,
  ])
  order({ action: 'undone', why: '' }, { pattern: 'fra/api', action: 'drain' })
  expect(told()).toEqual([
    'fra/api: null → drained: by kim: disks',
    `fra: drained → null: undone by kim; gives back ${WEB}`,
  ])
})
