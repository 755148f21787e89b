/** Failovers, returns and freezes through a real Redis, signed, between nodes that act at the same time. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import type { VoteValue } from '../../src/health/vote.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { OVERRIDES_KEY } from '../../src/store/redis/keys.ts'
import { openRedisStore } from '../../src/store/redis/store.ts'
import { nodeBeatText, readNodeBeat } from '../../src/store/redis/text.ts'
import { RedisServer } from '../support/redis-server.ts'
import { member, serviceSpec, specOf, vote } from '../support/specs.ts'
import { until } from '../support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-controls-'))
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

const secrets = ['a secret of all']
const names = ['fra', 'iad', 'sin'].flatMap((site, i) =>
  Array.from({ length: 40 }, (_, n) => `${site}/web-${n}/192.0.${i}.${n}`),
)
const spec = specOf(
  names.map((name) => member(name, [name.replaceAll('/', '.')], { manual: true })),
  Array.from({ length: 40 }, (_, n) => serviceSpec(`web-${n}`)),
)

async function node(name: string) {
  const store = openRedisStore(server.url(), { secrets })
  const file = join(folder, name, 'health.json')
  const health = new NodeHealth({ table: makeHealthTable(), store, node: { name, version: '1' }, file })
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
  const count = (state: string) => health.snapshot().members.filter((one) => one.state === state).length
  return { health, count }
}

/** One prober that votes on all. */
async function prober() {
  const store = openRedisStore(server.url(), { secrets })
  ending.push(() => store.close())
  const identity = { name: 'p1', region: 'eu', bootId: 'b1' }
  const writer = store.proberWriter(identity)
  const all = (down: string): Promise<void> =>
    writer.replace(
      names.map((name) => {
        const value: VoteValue = name.startsWith(`${down}/`) ? 'down' : 'up'
        return vote(name.replaceAll('/', '.'), value)
      }),
    )
  await all('')
  let sequence = 0
  const beat = () =>
    void writer.heartbeat({ prober: identity, sequence: ++sequence, configHash: '', overdue: 0, overdueAgeMs: 0 })
  beat()
  const timer = setInterval(beat, 500)
  ending.push(async () => clearInterval(timer))
  return all
}

test('a site with 40 services fails over, returns and is frozen, on all nodes, and one that comes later', async () => {
  const say = await prober()
  const nodes = await Promise.all(['n1', 'n2', 'n3'].map(node))
  const allShow = (state: string, number: number) =>
    until(`${number} ${state}`, () => nodes.every((one) => one.count(state) === number))
  await allShow('up', 120)
  await say('fra')
  await allShow('down', 40)
  await until('it is written down', () => server.cli('hlen', OVERRIDES_KEY) === '41') // and its revision
  await say('')
  await allShow('recovered', 40)
  const n4 = await node('n4')
  await until('a node that comes later', () => n4.count('recovered') === 40)
  nodes.push(n4)
  await until('all know of each other', () =>
    nodes.every(({ health }) => health.snapshot().nodes.filter(({ live }) => live).length === nodes.length),
  )

  const [n1, n2] = nodes
  const returned = n2!.health.controls.return({ pattern: 'fra', who: 'ann', why: '', yes: false })
  if ('refused' in returned) throw new Error(returned.refused)
  expect(returned.returned).toHaveLength(40)
  const reached = {
    store: undefined,
    disk: undefined,
    reached: expect.arrayContaining(['n1', 'n2', 'n3', 'n4']),
    unreached: [],
  }
  expect(await returned.saved).toMatchObject(reached)
  await allShow('up', 120)

  await say('iad')
  await allShow('down', 40)
  const frozen = n1!.health.controls.freeze({ forMs: 60_000, who: 'ann', why: 'w' })
  if ('refused' in frozen) throw new Error(frozen.refused)
  expect(frozen.entry.down).toEqual(['iad'])
  expect(await frozen.saved).toMatchObject(reached)
  await say('sin')
  await until('the votes', () => n4.health.snapshot().members.filter(({ verdict }) => verdict === 'down').length === 40)
  await until('all are frozen', () => nodes.every(({ health }) => health.snapshot().freeze?.kept === 80))
  await allShow('down', 40)
  const over = n4.health.controls.unfreeze({ who: 'ann', why: '' })
  if ('refused' in over) throw new Error(over.refused)
  expect(await over.saved).toMatchObject(reached)
  await allShow('recovered', 40) // iad
  await allShow('down', 40) // sin
})

test('a heartbeat of a version before has no acknowledgement of these', () => {
  const one = { node: { name: 'n1', bootId: 'b' }, sequence: 1, version: '1', view: 'v', plan: 'p', verdicts: 'v' }
  const beat = { ...one, overrides: 'o', controls: 'c', forgotten: 'f' }
  expect(readNodeBeat(beat.node, nodeBeatText(beat))).toEqual(beat)
  const fields: unknown[] = JSON.parse(nodeBeatText(beat))
  const old = JSON.stringify(fields.slice(0, -1))
  expect(readNodeBeat(beat.node, old)).toEqual({ ...one, overrides: 'o', forgotten: 'f' })
})
