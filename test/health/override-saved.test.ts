/** An override is answered when it is saved, on this node's disk and in the Store, or with the reason where it is not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { News } from '../../src/health/news.ts'
import {
  type Acknowledgement,
  type SaveResult,
  NodeHealth,
  type OverrideChange,
  type OverrideOutcome,
} from '../../src/health/node-health.ts'
import { type OverrideRequest, recordOf } from '../../src/health/override.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { OVERRIDES_KEY } from '../../src/store/redis/keys.ts'
import { openRedisStore } from '../../src/store/redis/store.ts'
import { drain as entry } from '../store/store.suite.ts'
import { RedisServer } from '../support/redis-server.ts'
import { member, specOf, serviceSpec } from '../support/specs.ts'
import { until } from '../support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-kept-'))
let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

const ending: (() => Promise<void>)[] = []
beforeEach(() => void server.cli('flushall'))
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

const spec = specOf([member('fra/web/192.0.2.1', ['t1']), member('iad/web/192.0.2.2', ['t2'])], [serviceSpec('web')])
let made = 0

async function node(name: string, file = join(folder, `${name}-${made++}`, 'health.json'), onNews: News = () => {}) {
  const told: OverrideChange[] = []
  const store = openRedisStore(server.url(), { leaseMs: 900 })
  const troubles: string[] = []
  const settings = { table: makeHealthTable(), store, node: { name, version: '1' }, file }
  const health = new NodeHealth({
    ...settings,
    onNews,
    onOverride: (change) => told.push(change),
    onTrouble: (trouble) => troubles.push(trouble),
  })
  ending.push(async () => {
    await health.stop()
    await store.close()
  })
  await health.start()
  await until('Redis', () => store.trouble === undefined)
  health.adopt(
    spec,
    Int32Array.from(spec.members, (_, i) => i),
  )
  const stateOf = (site: string) => health.snapshot().members.find((one) => one.site === site)!.state
  /** Begins and ends of overrides, as this node was told of them. */
  const changes = (): string[] =>
    told.map(({ pattern, before, now, undone, members }) => {
      const by = undone === undefined ? '' : ` by ${undone.who}`
      return `${pattern} ${before?.action ?? '-'} → ${now?.action ?? '-'}${by} (${members})`
    })
  return { health, store, file, troubles, stateOf, changes }
}
type Node = Awaited<ReturnType<typeof node>>

const savedOf = (done: OverrideOutcome): Promise<SaveResult & Acknowledgement> => {
  if ('refused' in done) throw new Error(done.refused)
  return done.saved
}
const request = ({ health }: Node, pattern: string, action: OverrideRequest['action']) =>
  savedOf(health.override({ pattern, action, forMs: undefined, who: 'ann', why: 'works', yes: true }))

const stored = (pattern: string): string => server.cli('hget', OVERRIDES_KEY, pattern)
const onDisk = ({ file }: Node): string => readFileSync(join(file, '../overrides.json'), 'utf8')

test('what is answered is in the file and in the Store', async () => {
  const n1 = await node('n1')
  const saved = await request(n1, 'fra', 'drain')
  expect(saved).toEqual({
    current: [expect.objectContaining({ pattern: 'fra', version: 1 })],
    disk: undefined,
    store: undefined,
    reached: ['n1'],
    unreached: [],
  })
  expect(onDisk(n1)).toContain('"pattern":"fra"')
  expect(stored('fra')).toContain('"action":"drain"')
})

test('each node is told once when an override begins, changes and ends; a restart does not tell what it finds', async () => {
  const n1 = await node('n1')
  const n2 = await node('n2')
  await request(n1, 'fra', 'drain')
  await until('at both', () => n2.stateOf('fra') === 'drained')
  await request(n2, 'fra', 'down')
  await until('at both', () => n1.stateOf('fra') === 'forced')
  await n1.health.stop()
  const again = await node('n1', n1.file)
  await until('the file is read', () => again.stateOf('fra') === 'forced')
  await request(n2, 'fra', 'undone')
  await until('at both', () => again.stateOf('fra') === 'unproven')
  const begun = ['fra - → drain (1)', 'fra drain → down (1)']
  expect(n1.changes()).toEqual(begun)
  expect(n2.changes()).toEqual([...begun, 'fra down → - by ann (1)'])
  expect(again.changes()).toEqual(['fra down → - by ann (1)'])
})

test('a disk that takes nothing, and a Store that takes nothing, are each told; what is done is in force', async () => {
  writeFileSync(join(folder, 'no-folder'), '')
  const n1 = await node('n1', join(folder, 'no-folder', 'health.json'))
  const n2 = await node('n2')
  expect(await request(n1, 'fra', 'drain')).toMatchObject({
    disk: expect.stringMatching(/can't be saved.*no-folder/),
    store: undefined,
  })
  await until('it is in the Store', () => n2.stateOf('fra') === 'drained')
  server.cli('replicaof', '127.0.0.1', '1')
  try {
    expect(await request(n2, 'iad', 'drain')).toMatchObject({
      disk: undefined,
      store: expect.stringMatching(/is a read-only replica/),
    })
    expect(n2.stateOf('iad')).toBe('drained')
  } finally {
    server.cli('replicaof', 'no', 'one')
  }
  await until('it is written when the Store takes it', () => stored('iad').includes('drain'))
})

test('a node that finds a newer override raises its own above it, and answers what stands', async () => {
  const n1 = await node('n1')
  const n2 = await node('n2')
  await request(n2, 'fra', 'drain')
  await until('heard', () => n1.stateOf('fra') === 'drained')
  // as if n1 had heard nothing of all that was set since then
  const later = recordOf(entry('fra', 40, { node: 'n2', action: 'down' }))
  server.cli('hset', OVERRIDES_KEY, 'fra', `1 ${JSON.stringify(later)}`)
  expect(await request(n1, 'fra', 'undone')).toMatchObject({
    current: [{ action: 'undone', version: 41 }],
    store: undefined,
  })
  await until('undone everywhere', () => n2.stateOf('fra') === 'unproven')
})

test('one entry that can’t be read stops no other, and is replaced by the next override of its pattern', async () => {
  const n1 = await node('n1')
  const n2 = await node('n2')
  for (const text of ['', 'x', '1 {', `1 ${JSON.stringify({ pattern: 'fra' })}`, '1 7', '1 null']) {
    server.cli('hset', OVERRIDES_KEY, 'sin', text, 'fra', text)
    expect((await request(n1, 'iad', 'drain')).store).toBeUndefined()
    await until(`drained beside ${text}`, () => n2.stateOf('iad') === 'drained')
    expect((await request(n1, 'fra', 'drain')).store).toBeUndefined()
    await until(`drained over ${text}`, () => n2.stateOf('fra') === 'drained')
    for (const site of ['iad', 'fra']) expect((await request(n2, site, 'undone')).store).toBeUndefined()
    await until('undone', () => n1.stateOf('iad') === 'unproven' && n1.stateOf('fra') === 'unproven')
  }
})

test.each([
  ['1e308', { version: 1e308 }],
  ['the last integer', { version: Number.MAX_SAFE_INTEGER }],
  ['far above all that there were', { version: 5e9 }],
  ['in force for ten years', { version: 9, untilMs: 3650 * 24 * 3_600_000 }],
])(
  'an override with a version or a duration that nobody can have made is not believed, and can be undone: %s',
  async (_, odd) => {
    const n1 = await node('n1')
    const n2 = await node('n2')
    const forged = { ...recordOf(entry('fra', 1, { node: 'zz', action: 'down' })), ...odd }
    server.cli('hset', OVERRIDES_KEY, 'fra', `1 ${JSON.stringify(forged)}`, '@rev', '1.1')
    await request(n1, 'iad', 'drain')
    await until('what is said after it', () => n2.stateOf('iad') === 'drained')
    expect([n1.stateOf('fra'), n2.stateOf('fra')]).toEqual(['unproven', 'unproven'])
    expect(await request(n1, 'fra', 'drain')).toMatchObject({ current: [{ action: 'drain' }], store: undefined })
    await until('an override of the same pattern', () => n2.stateOf('fra') === 'drained')
    expect(await request(n2, 'fra', 'undone')).toMatchObject({ current: [{ action: 'undone' }], store: undefined })
    await until('undone', () => n1.stateOf('fra') === 'unproven')
    for (const { current } of [await request(n1, 'fra', 'down')]) expect(current[0]!.version).toBeLessThan(100)
  },
)

test('a file in which one entry can’t be read, or is not believed, keeps the others', async () => {
  const path = join(folder, 'odd', 'health.json')
  const n1 = await node('n1', path)
  await request(n1, 'iad', 'drain')
  await n1.health.stop()
  const state: { entries: object[] } = JSON.parse(onDisk(n1))
  state.entries.push({ ...recordOf(entry('fra', 1)), version: 1e308, action: 'down' }, { pattern: 7 })
  writeFileSync(join(path, '../overrides.json'), JSON.stringify({ ...state, highest: 1e308 }))
  server.cli('flushall')
  const again = await node('n1', path)
  expect([again.stateOf('iad'), again.stateOf('fra')]).toEqual(['drained', 'unproven'])
  expect(again.troubles.join()).toMatch(/2 of 3 overrides in .* can't be read/)
  expect((await request(again, 'fra', 'drain')).current[0]!.version).toBe(2)
})

const leftOf = ({ health }: Node) => health.snapshot().overrides[0]!.override.leftMs!

test('a duration travels: a node that comes later, or with another clock, ends it with the others', async () => {
  const n1 = await node('n1')
  const outcome = n1.health.override({
    pattern: 'fra',
    action: 'drain',
    forMs: 60_000,
    who: 'ann',
    why: 'works',
    yes: true,
  })
  await savedOf(outcome)
  const begunMs = performance.now()
  await until('a second', () => performance.now() - begunMs > 1000)
  server.cli('flushall') // its age is known to who has it, and goes with it
  await until('it is there again', () => stored('fra') !== '')
  const n2 = await node('n2')
  await until('it is there', () => n2.stateOf('fra') === 'drained')
  expect(leftOf(n2)).toBeLessThan(59_100)
  expect(Math.abs(leftOf(n1) - leftOf(n2))).toBeLessThan(500)
  for (const hour of [-1, 1]) {
    const madeMs = Date.now() + hour * 3_600_000
    const late = { ...recordOf(entry('iad', 7 + hour, { node: 'n9' })), madeMs, untilMs: madeMs + 60_000 }
    server.cli('hset', OVERRIDES_KEY, 'iad', `${Date.now() - 20_000} ${JSON.stringify(late)}`, '@rev', `1.${hour}`)
    await until('it is read', () =>
      n1.health.snapshot().overrides.some(({ override }) => override.version === 7 + hour),
    )
    const { leftMs } = n1.health.snapshot().overrides.find(({ override }) => override.pattern === 'iad')!.override
    expect(Math.abs(leftMs! - 40_000)).toBeLessThan(2000)
  }
})

/** By pattern. */
const seen = ({ health }: Node) =>
  health
    .snapshot()
    .overrides.map(({ override }) => override)
    .toSorted((a, b) => (a.pattern < b.pattern ? -1 : 1))

test('a drain in part goes the same way at a node that comes later; several in one order are one write', async () => {
  const n1 = await node('n1')
  const rest = { forMs: undefined, who: 'ann', why: 'works', yes: true }
  const shift = (to: number, overMs: number) => ({ ...rest, action: 'shift' as const, shift: { to, overMs } })
  const saved = await savedOf(
    n1.health.override({ pattern: 'fra', ...shift(300, 7000) }, { pattern: 'iad', ...shift(500, 600_000) }),
  )
  expect(saved).toMatchObject({ current: [{ version: 1 }, { version: 1 }], disk: undefined, store: undefined })
  expect([stored('fra'), stored('iad')]).toEqual([
    expect.stringContaining('"action":"shift"'),
    expect.stringContaining('"shift":{"from":1000,"to":500,"overMs":600000}'),
  ])
  const n2 = await node('n2')
  await until('n2 has both', () => seen(n2).length === 2)
  await until('fra is there on both', () => [n1, n2].every((one) => seen(one)[0]!.shift!.now === 300))
  const [ages, times] = [n1, n2].map((one) => seen(one)[1]!).map(({ madeMs, shift: moving }) => [madeMs, moving!.now])
  expect(Math.abs(ages![0]! - times![0]!)).toBeLessThan(1000)
  expect(ages![1]).toBe(times![1])
  // as an operator beside a node that is about to hear of it: one of two is newer in Redis
  const later = recordOf(entry('iad', 40, { node: 'n9' }))
  server.cli('hset', OVERRIDES_KEY, 'iad', `1 ${JSON.stringify(later)}`)
  const raised = await savedOf(
    n1.health.override({ pattern: 'fra', ...shift(400, 0) }, { pattern: 'iad', ...shift(600, 0) }),
  )
  expect(raised.current.map(({ version, shift: moving }) => [version, moving!.to])).toEqual([
    [41, 400],
    [41, 600],
  ])
  await until('the same at n2', () => seen(n2).every(({ version }) => version === 41))
})

test('a node that falls silent is told, and named by who drains; one that ends in order is not missed', async () => {
  const news: string[] = []
  const n1 = await node('n1', undefined, (level, line) => news.push(`${level} ${line}`))
  const [n2, n3] = [await node('n2'), await node('n3')]
  const nodes = () =>
    n1.health
      .snapshot()
      .nodes.map(({ beat, live }) => `${beat.node.name} ${live}`)
      .toSorted()
  await until('all are heard', () => nodes().join() === 'n1 true,n2 true,n3 true')
  await until('clocks are compared', () => n1.health.snapshot().nodes.every(({ clockSkewMs }) => clockSkewMs !== null))
  for (const { clockSkewMs } of n1.health.snapshot().nodes) expect(Math.abs(clockSkewMs!)).toBeLessThan(500)
  expect(await request(n1, 'fra', 'drain')).toMatchObject({ unreached: [] })
  await n3.health.stop()
  news.length = 0 // a busy machine may have let one seem silent before
  await until('n3 has gone in order', () => nodes().join() === 'n1 true,n2 true')
  await n2.store.close()
  await until('n2 is silent', () => nodes().join() === 'n1 true,n2 false')
  expect(news).toEqual([expect.stringMatching(/^warn node n2 has fallen silent: /)])
  expect(await request(n1, 'fra', 'undone')).toMatchObject({
    reached: ['n1'],
    unreached: [
      { node: 'n2', why: expect.stringMatching(/^silent for \d+ s; if it is gone for good: meridian node forget n2$/) },
    ],
  })
  await node('n2')
  await until('n2 is back', () => news.includes('info node n2 is heard again'))
})
