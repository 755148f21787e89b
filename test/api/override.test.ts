/** An order at a node: what it becomes for health, what it undoes, what is told and logged of it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { OverrideBody } from '../../src/api/bodies.ts'
import { applyOverride, type OverrideResult } from '../../src/api/override.ts'
import type { Acknowledgement, HealthSnapshot, SaveResult, OverrideOutcome } from '../../src/health/node-health.ts'
import type { Override, OverrideRequest } from '../../src/health/override.ts'
import { drain as shown, snapshot } from '../cli/fleet.ts'

const asked: OverrideRequest[] = []
const logged: string[] = []
let after: HealthSnapshot = snapshot
let result: OverrideOutcome
let drain: Override
beforeEach(() => {
  vi.useFakeTimers({ now: shown.madeMs + 3_600_000 })
  const { untilMs: _, leftMs: __, ...rest } = shown
  drain = { ...rest, forMs: 7_200_000, setMs: performance.now() - 3_600_000 }
  asked.length = 0
  logged.length = 0
  after = { ...snapshot, services: [{ ...snapshot.services[0]!, leftPercent: 30 }, snapshot.services[1]!] }
  result = done(drain)
})

afterEach(() => void vi.useRealTimers())

const ALL: Acknowledgement = { reached: ['n1', 'n2'], unreached: [] }
const done = (override: Override, lack: Partial<SaveResult & Acknowledgement> = {}): OverrideOutcome => ({
  done: [override],
  members: [['iad/web/192.0.2.2']],
  saved: Promise.resolve({ current: [override], disk: undefined, store: undefined, ...ALL, ...lack }),
})

/** Health as the node has it; the snapshot changes with the override. */
const health = {
  snapshot: (): HealthSnapshot => (asked.length === 0 ? snapshot : after),
  override: (...requests: readonly OverrideRequest[]): OverrideOutcome => {
    asked.push(...requests)
    return result
  },
}
const log = (_fields: object, line: string) => void logged.push(line)
const give = (order: Partial<OverrideBody>) =>
  applyOverride(
    health,
    { pattern: 'iad', action: 'drain', forMs: undefined, who: 'kim@ops1', why: 'disks', yes: false, ...order },
    log,
  )

test('what was done is told with its members and what is left of their services', async () => {
  const told = await give({ forMs: 7_200_000, yes: true })
  expect(asked).toEqual([
    { pattern: 'iad', action: 'drain', forMs: 7_200_000, who: 'kim@ops1', why: 'disks', yes: true },
  ])
  expect(told).toEqual({
    done: shown,
    notKept: [],
    ...ALL,
    before: shown,
    members: ['iad/web/192.0.2.2'],
    services: [{ service: 'web', leftBeforePercent: 50.4, leftPercent: 30, keepPercent: 25, lastResort: false }],
  } satisfies OverrideResult)
})

test.each([
  ['drain', 'drain'],
  ['up', 'up'],
  ['down', 'down'],
  ['undrain', 'undone'],
] as const)('%s is %s for health', async (action, expected) => {
  await give({ action })
  expect(asked.map((request) => request.action)).toEqual([expected])
})

test('undrain leaves a force alone, and off a drain: who asks meant something else', async () => {
  expect(await give({ action: 'off' })).toEqual({
    refused: 'iad is drained by kim@ops1: disks, ticket 812',
    hint: 'To undo that: meridian undrain iad',
  })
  expect(await give({ action: 'undrain', pattern: 'lhr' })).toEqual({
    refused: 'lhr is forced down by kim@ops1: disks, ticket 812',
    hint: 'To undo that: meridian force lhr off',
  })
  expect(asked).toEqual([])
  await give({ action: 'off', pattern: 'lhr' })
  expect(asked).toMatchObject([{ action: 'undone', pattern: 'lhr' }])
})

test('a VIP may be written in any way: what stands is found all the same', async () => {
  const force = { ...shown, pattern: 'iad/web/2001:db8::2', action: 'down' as const }
  const stands = { ...snapshot.overrides[0]!, override: force }
  const seen: HealthSnapshot = { ...snapshot, overrides: [stands] }
  after = seen
  const order = { action: 'undrain', forMs: undefined, who: 'kim@ops1', why: '', yes: false } as const
  const pattern = 'iad/web/2001:DB8:0::2'
  expect(await applyOverride({ ...health, snapshot: () => seen }, { ...order, pattern }, log)).toMatchObject({
    refused: expect.stringContaining('forced down'),
    hint: 'To undo that: meridian force iad/web/2001:db8::2 off',
  })
})

test('who, why and until when are in the log line; a refusal is in none', async () => {
  await give({})
  result = done({ ...drain, action: 'undone', who: 'lee@ops2', why: '' })
  await give({ action: 'undrain' })
  expect(logged).toEqual([
    'iad is drained by kim@ops1 until 2026-11-25T15:00:00.000Z: disks, ticket 812 (1 member)',
    'iad: undone by lee@ops2: drained by kim@ops1 (1 member)',
  ])
  result = { refused: 'less than keep would be left', hint: '--yes' }
  expect(await give({})).toEqual(result)
  expect(logged).toHaveLength(2)
})

test('a drain in part or in steps, and the way back in steps, are shifts; their lines tell the course', async () => {
  const shift = { from: 1000, to: 300, overMs: 900_000 }
  result = done({ ...drain, action: 'shift', shift })
  await give({ to: 300, overMs: 900_000 })
  await give({ overMs: 900_000 })
  await give({ to: 300 })
  result = done({ ...drain, action: 'shift', shift: { from: 300, to: 1000, overMs: 600_000 } })
  await give({ action: 'undrain', why: '', overMs: 600_000 })
  expect(asked.map(({ action, shift: to, forMs, why }) => [action, to, forMs, why])).toEqual([
    ['shift', { to: 300, overMs: 900_000 }, undefined, 'disks'],
    ['shift', { to: 0, overMs: 900_000 }, undefined, 'disks'],
    ['shift', { to: 300, overMs: 0 }, undefined, 'disks'],
    ['shift', { to: 1000, overMs: 600_000 }, 600_000, 'undrained'],
  ])
  expect(logged[0]).toMatch(/^iad is drained from 100 % to 30 % over 15m by kim@ops1 until/)
  expect(logged.at(-1)).toMatch(/^iad is on the way back from 30 % over 10m by kim@ops1 until/)
  const part = { ...shown, action: 'shift' as const, shift: { ...shift, now: 620 } }
  const seen: HealthSnapshot = { ...snapshot, overrides: [{ ...snapshot.overrides[0]!, override: part }] }
  const off = { pattern: 'iad', action: 'off', forMs: undefined, who: 'kim', why: '', yes: false } as const
  expect(await applyOverride({ ...health, snapshot: () => seen }, off, log)).toEqual({
    refused: 'iad is drained to 30 %, at 62 % now by kim@ops1: disks, ticket 812',
    hint: 'To undo that: meridian undrain iad',
  })
})

test('where it is not stored, and which nodes have not got it, is in the result and in the log', async () => {
  const unreached = [{ node: 'n2', why: 'silent for 9 s' }]
  result = done(drain, { store: 'Redis is away', reached: ['n1'], unreached })
  const notKept = [{ where: 'store', why: 'Redis is away' }]
  expect(await give({})).toMatchObject({ notKept, reached: ['n1'], unreached })
  expect(logged.join()).toContain('(1 member); not in Redis: Redis is away; not at node n2: silent for 9 s')
})
