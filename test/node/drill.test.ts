/** Drills in virtual time: how they begin, end and abort, and what their reports tell. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import { makeHealthTable, stateOf } from '../../src/health/table.ts'
import { Drills } from '../../src/node/drill.ts'
import type { DrillReport, DrillRequest } from '../../src/node/drill-report.ts'
import { type AbortRule, formatAbortRule, readAbortRule } from '../../src/zone/drills.ts'
import { Bus, type Link } from '../health/bus.ts'
import { until } from '../support/until.ts'
import { member, serviceSpec, specOf, vote } from '../support/specs.ts'

const MEMBERS = ['fra/web/192.0.2.1', 'iad/web/192.0.2.2', 'sin/web/192.0.2.3', 'sin/orders/192.0.2.4']
const SPEC = specOf(
  MEMBERS.map((name, i) => member(name, [`t${i}`])),
  [serviceSpec('web', { keepPercent: 50 })],
)
const PROBER = { name: 'eu-1', region: 'eu', bootId: 'b1' }
const MINUTE = 60_000
const folder = mkdtempSync(join(tmpdir(), 'meridian-drill-'))
afterAll(() => rmSync(folder, { recursive: true }))

let bus: Bus
let link: Link
let health: NodeHealth
let drills: Drills
let lines: string[]
let changes: DrillReport['outcome'][]
let rates: Record<string, number>
let files = 0
let file = ''
const table = makeHealthTable()

const make = (): Drills =>
  new Drills({
    file,
    node: 'a',
    health,
    onChange: ({ outcome }) => changes.push(outcome),
    rates: () => ({
      queriesPerSecond: 100,
      sites: Object.entries(rates).map(([site, answersPerSecond]) => ({ site, answersPerSecond })),
    }),
    log: (level, _fields, line) => lines.push(`${level} ${line}`),
    onTrouble: (trouble) => lines.push(`trouble ${trouble}`),
  })

beforeEach(async () => {
  vi.useFakeTimers()
  bus = new Bus()
  say()
  link = bus.link(1e9)
  lines = []
  changes = []
  rates = { fra: 50, iad: 30, sin: 20 }
  file = join(folder, `${files++}`, 'drills.json')
  health = new NodeHealth({ table, store: link, node: { name: 'a', version: '1' }, onChange: () => drills.look() })
  drills = make()
  await health.start()
  health.adopt(
    SPEC,
    Int32Array.from(SPEC.members, (_, i) => i),
  )
})
afterEach(async () => {
  vi.useRealTimers()
  await drills.stop()
  await health.stop()
  await link.close()
})

/** All are up but these. */
const say = (...down: number[]): void =>
  bus.say(
    PROBER,
    MEMBERS.map((_, i) => vote(`t${i}`, down.includes(i) ? 'down' : 'up')),
  )
const isDrained = (): boolean => stateOf(table[0]!) === 3
const rules = (text: string): AbortRule[] => text.split('|').map((one) => readAbortRule(one)!)
const asked = (more: Partial<DrillRequest> & { abort?: string } = {}): DrillRequest => {
  const { abort = 'last-resort', ...rest } = more
  return { pattern: 'fra', forMs: 30 * MINUTE, abortIf: rules(abort), who: 'kim', why: 'quarterly', ...rest }
}
const begun = (more: Parameters<typeof asked>[0] = {}): void => {
  expect(drills.begin(asked(more))).toHaveProperty('report.outcome', 'running')
}
const report = () => drills.reports[0]!

test.each([
  ['left<60%', { kind: 'left', percent: 60 }],
  ['left<57%', { kind: 'left', percent: 57 }], // 100 * 0.57 is 56.99999999999999
  ['last-resort', { kind: 'last-resort' }],
  ['orders', { kind: 'down', service: 'orders' }],
])('%s is a rule', (text, rule) => {
  expect(readAbortRule(text)).toEqual(rule)
  expect(formatAbortRule(readAbortRule(text)!)).toBe(text)
})

test.each(['left<60', 'left<', 'left<160%', '', 'no such thing'])('%s is none', (text) =>
  expect(readAbortRule(text)).toBe(undefined),
)

test('a drill drains for its time, and tells how answers moved and what was left', async () => {
  begun()
  expect(isDrained()).toBe(true)
  expect(health.snapshot().overrides).toMatchObject([{ override: { why: 'drill: quarterly', leftMs: 30 * MINUTE } }])
  await vi.advanceTimersByTimeAsync(4_000)
  rates = { fra: 4, iad: 58, sin: 40 }
  await vi.advanceTimersByTimeAsync(1_000)
  rates = { iad: 55, sin: 45, nrt: 1 }
  await vi.advanceTimersByTimeAsync(29 * MINUTE)
  expect(report()).toMatchObject({ outcome: 'running', reason: '' })
  await vi.advanceTimersByTimeAsync(MINUTE)
  expect(isDrained()).toBe(false)
  const none = { before: 0, least: 0, leftAfterMs: null }
  expect(report()).toEqual({
    pattern: 'fra',
    who: 'kim',
    why: 'quarterly',
    abortIf: ['last-resort'],
    beganMs: expect.any(Number),
    forMs: 30 * MINUTE,
    lastedMs: expect.any(Number),
    outcome: 'complete',
    reason: 'its time is over',
    services: [{ service: 'web', beforePercent: 100, leastPercent: expect.closeTo(66.7, 1) }],
    answers: [
      { site: 'fra', before: 50, least: 0, most: 50, last: 0, leftAfterMs: 4250 },
      { site: 'iad', before: 30, least: 30, most: 58, last: 55, leftAfterMs: null },
      { site: 'sin', before: 20, least: 20, most: 45, last: 45, leftAfterMs: null },
      { ...none, site: 'nrt', most: 1, last: 1 },
    ],
    queries: { before: 100, most: 100 },
    nodes: { counted: ['a'], missing: [] },
  })
  expect(changes).toEqual(['running', 'complete'])
  expect(Math.abs(report().lastedMs - 30 * MINUTE)).toBeLessThan(300)
  expect(lines).toEqual([
    'info fra: a drill of 30m by kim begins: quarterly',
    'info fra: the drill of kim is complete after 30 min: its time is over',
  ])
})

describe('it aborts', () => {
  test.each([
    ['left<60%', [1], '33 % of web is left (left<60%)'],
    ['last-resort', [1, 2], 'nothing of web is left up: what is drained, or its last resort, answers'],
    ['orders', [3], 'sin/orders/192.0.2.4 is down: connection refused'],
  ])('by %s, with the change that brings it', async (abort, down, why) => {
    begun({ abort })
    await vi.advanceTimersByTimeAsync(MINUTE)
    expect(report().outcome).toBe('running')
    say(...down)
    expect(isDrained()).toBe(false)
    expect(report()).toMatchObject({ outcome: 'aborted', reason: expect.stringContaining(why) })
    expect(lines.at(-1)).toMatch(/^warn fra: the drill of kim is ABORTED after 60 s: /)
    expect(health.snapshot().overrides.filter(({ override }) => override.pattern === 'fra')).toEqual([])
  })

  test('not by what was so before, nor by what it drains itself', async () => {
    say(3)
    begun({ abort: 'orders|web' })
    say(0, 3)
    await vi.advanceTimersByTimeAsync(MINUTE)
    expect(report().outcome).toBe('running')
    say(1, 3)
    expect(report().outcome).toBe('aborted')
  })

  test('when its node ends in order', async () => {
    begun()
    await drills.stop()
    expect(report()).toMatchObject({ outcome: 'aborted', reason: 'the node that watches it ends' })
    expect(isDrained()).toBe(false)
  })
})

const UNDONE = { pattern: 'fra', action: 'undone', forMs: undefined, who: 'lee', why: '', yes: false } as const

test('an operator ends it by the override', async () => {
  begun()
  health.override(UNDONE)
  await vi.advanceTimersByTimeAsync(300)
  expect(report()).toMatchObject({ outcome: 'undone', reason: 'its drain was undone' })
  begun()
  health.override({ ...UNDONE, action: 'down', yes: true })
  await vi.advanceTimersByTimeAsync(300)
  expect(report()).toMatchObject({ outcome: 'undone', reason: 'another override took its place, of lee' })
})

test('it is refused where it can’t be safe, or can’t be told from another', () => {
  const refused = (more: Parameters<typeof asked>[0]) => {
    const outcome = drills.begin(asked(more))
    return 'refused' in outcome ? outcome.refused : 'begun'
  }
  expect(refused({ pattern: 'lon' })).toBe('lon matches no member')
  expect(refused({ abort: 'left<70%' })).toBe('the drill itself leaves 67 % of web')
  expect(refused({ abort: 'shop' })).toBe('there is no service shop')
  say(1, 2)
  expect(refused({})).toMatch(/nothing of web would be left up/)
  say()
  health.override({ ...UNDONE, action: 'drain', why: 'disks' })
  expect(refused({})).toBe('fra has an override of lee: disks')
  health.override(UNDONE)
  expect(drills.reports).toEqual([])
  begun()
  expect(refused({ pattern: 'iad' })).toBe('a drill of fra is running here')
})

/** What a process finds that comes after one that was killed. */
async function restarted(): Promise<Drills> {
  vi.useRealTimers()
  await until('the report is on disk', () => existsSync(file))
  vi.useFakeTimers()
  lines = []
  changes = []
  drills = make() // the one before is not heard any more
  drills.read()
  return drills
}

test('a process that was killed goes on with its drill where it was', async () => {
  begun({ abort: 'left<60%' })
  await restarted()
  expect(lines).toEqual(['info fra: the drill of kim goes on, watched by this node'])
  await vi.advanceTimersByTimeAsync(10 * MINUTE)
  expect(report()).toMatchObject({ outcome: 'running' })
  say(1)
  expect(report()).toMatchObject({ outcome: 'aborted', reason: '33 % of web is left (left<60%)' })
  expect(isDrained()).toBe(false)
})

test('and is complete in its time', async () => {
  begun()
  await restarted()
  await vi.advanceTimersByTimeAsync(29 * MINUTE)
  expect(report().outcome).toBe('running')
  await vi.advanceTimersByTimeAsync(MINUTE + 300)
  expect(report()).toMatchObject({ outcome: 'complete', reason: 'its time is over' })
  expect(Math.abs(report().lastedMs - 30 * MINUTE)).toBeLessThan(2000)
  expect(changes).toEqual(['complete'])
})

test('a drill whose drain is over meanwhile is lost', async () => {
  begun()
  await vi.advanceTimersByTimeAsync(0)
  const old = drills
  drills = make()
  health.override(UNDONE)
  await restarted()
  expect(report()).toMatchObject({ outcome: 'lost', reason: 'the node ended meanwhile; the drain ends in its time' })
  expect(changes).toEqual(['lost'])
  await old.stop()
})

test('another node watches it on', () => {
  const request = asked({ abort: 'left<60%' })
  expect(drills.adopt(request)).toBe(false)
  health.override({ ...UNDONE, action: 'drain', forMs: 30 * MINUTE, who: 'kim', why: 'drill: quarterly' })
  expect(drills.adopt(request)).toBe(true)
  expect(report()).toMatchObject({ outcome: 'running', services: [{ service: 'web' }] })
  say(1)
  expect(report().outcome).toBe('aborted')
  expect(isDrained()).toBe(false)
})

function unattended(abort = 'last-resort'): string {
  const outcome = drills.begin(asked({ abort }), true)
  return 'refused' in outcome ? outcome.refused : 'begun'
}

describe('one that nobody asked for does not begin', () => {
  test('while its own rule holds', () => {
    say(3)
    expect(unattended('orders')).toMatch(/^sin\/orders\/192.0.2.4 is down: connection refused/)
    expect(unattended('left<70%')).toBe('the drill itself leaves 67 % of web')
    expect(unattended('web')).toBe('begun')
  })

  test.each(['drain', 'down', 'shift'] as const)('while members elsewhere are taken out, by %s', (action) => {
    const shift = action === 'shift' && { shift: { to: 500, overMs: 0 } }
    health.override({ ...UNDONE, pattern: 'sin/web', action, why: 'disks', yes: true, ...shift })
    expect(unattended()).toBe('sin/web has an override of lee: disks')
    health.override({ ...UNDONE, pattern: 'sin/web' })
    expect(unattended()).toBe('begun')
  })
})

test('the report has the answers of all nodes, and names those that do not tell theirs', async () => {
  const other = bus.link(1e9)
  const silent = bus.link(1e9)
  let theirs = { fra: 10, sin: 5 }
  const ratesOf = () => ({
    queriesPerSecond: 30,
    sites: Object.entries(theirs).map(([site, answersPerSecond]) => ({ site, answersPerSecond })),
  })
  const makeNode = async (name: string, store: Link, tells: boolean): Promise<NodeHealth> => {
    const node = new NodeHealth({
      table: makeHealthTable(),
      store,
      node: { name, version: '1' },
      ...(tells && { rates: ratesOf }),
    })
    await node.start()
    node.adopt(
      SPEC,
      Int32Array.from(SPEC.members, (_, i) => i),
    )
    return node
  }
  const nodes = [await makeNode('b', other, true), await makeNode('c', silent, false)]
  await vi.advanceTimersByTimeAsync(1100)
  expect(health.snapshot().nodes.map(({ beat }) => beat.rates)).toEqual([undefined, undefined, undefined])
  begun()
  await vi.advanceTimersByTimeAsync(1100)
  rates = { iad: 70, sin: 30 }
  theirs = { fra: 0, sin: 15 }
  await vi.advanceTimersByTimeAsync(1500)
  expect(report()).toMatchObject({
    answers: [
      { site: 'fra', before: 60, least: 0, last: 0, leftAfterMs: expect.any(Number) },
      { site: 'iad', before: 30, most: 70, last: 70 },
      { site: 'sin', before: 25, most: 45, last: 45 },
    ],
    queries: { before: 130, most: 130 },
    nodes: { counted: ['a', 'b'], missing: ['c'] },
  })
  await nodes[0]!.stop()
  await other.close()
  await vi.advanceTimersByTimeAsync(5000)
  expect(report().nodes.counted).toEqual(['a', 'b'])
  await nodes[1]!.stop()
  await silent.close()
})
