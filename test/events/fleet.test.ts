/** The events of a fleet in a real Redis: one line for what several nodes saw, on each of them alike. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Events } from '../../src/events/events.ts'
import { type EventNotice, EVENTS_BEGIN } from '../../src/health/store.ts'
import { EVENT_ORDER_KEY, EVENTS_KEY } from '../../src/store/redis/keys.ts'
import { openRedisStore, type RedisStore } from '../../src/store/redis/store.ts'
import { emptyFolder } from '../support/folder.ts'
import { RedisServer } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const ACL = /```acl\n([^`]*)```/
  .exec(readFileSync(resolve(import.meta.dirname, '../../docs/redis.md'), 'utf8'))![1]!
  .trim()
  .split('\n')
const NODE = 'meridian-node:node-password'
const PROBER = 'meridian-prober-fra:fra-password'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start(['user default on >admin ~* &* +@all', ...ACL])
})
afterAll(() => server.stop())
const admin = (...args: string[]): string => server.cli('--no-auth-warning', '-a', 'admin', ...args)
const ending: (() => Promise<void>)[] = []
beforeEach(() => void admin('flushall'))
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

interface Node {
  readonly events: Events
  readonly store: RedisStore
  readonly folder: string
  readonly stop: () => Promise<void>
}

const open = (login = NODE, secrets: readonly string[] = []): RedisStore => {
  const store = openRedisStore(server.url(login), { secrets })
  ending.push(() => store.close())
  return store
}

async function start(name: string, { folder = emptyFolder(), secrets = [] as readonly string[] } = {}): Promise<Node> {
  const store = open(NODE, secrets)
  const events = new Events({ node: name, folder, board: store.eventBoard, onTrouble: () => {} })
  const stop = async (): Promise<void> => {
    await events.stop()
    await store.close()
  }
  ending.push(stop)
  await events.start()
  await works(store)
  return { events, store, folder, stop }
}

const works = (store: RedisStore): Promise<unknown> =>
  until('Redis is usable', () =>
    store.eventBoard.read(EVENTS_BEGIN).then(
      () => true,
      () => undefined,
    ),
  )

const verdict = (after: 'up' | 'down', subject = 'fra/web/192.0.2.1') =>
  ({
    kind: 'verdict',
    severity: 'warning',
    subject,
    before: after === 'up' ? 'down' : 'up',
    after,
    site: 'fra',
  }) as const

/** What a node shows: the oldest first. */
const shown = ({ events }: Node): string[] =>
  events
    .recent({ limit: 1000 })
    .events.map(({ after, witnesses }) => `${after} ${witnesses.join()}`)
    .toReversed()
const idsOf = ({ events }: Node): string =>
  events
    .recent({ limit: 1000 })
    .events.map(({ id }) => id)
    .toSorted()
    .join(' ')
const all = (nodes: readonly Node[], lines: readonly string[]): Promise<unknown> =>
  until(
    () => `${lines.join('; ')}, not ${nodes.map((node) => shown(node).join('; ')).join(' | ')}`,
    () => nodes.every((node) => shown(node).join() === lines.join()),
  )

test('a verdict that three nodes see is one line with three witnesses and one id, each time anew', async () => {
  const nodes = [await start('fra1'), await start('iad1'), await start('sin1')]
  const told: string[][] = nodes.map(() => [])
  for (const [i, { events }] of nodes.entries()) {
    const feed = events.feed()
    const read = async (): Promise<void> => {
      for (let lines = await feed.next(100, 60_000); lines !== undefined; lines = await feed.next(100, 60_000))
        told[i]!.push(...lines.map(({ id }) => id))
    }
    void read()
  }
  for (const { events } of nodes) events.add(verdict('down'))
  await all(nodes, ['down fra1,iad1,sin1'])
  for (const { events } of nodes.toReversed()) events.add(verdict('up'))
  await all(nodes, ['down fra1,iad1,sin1', 'up fra1,iad1,sin1'])
  for (const { events } of nodes) events.add(verdict('down'))
  await all(nodes, ['down fra1,iad1,sin1', 'up fra1,iad1,sin1', 'down fra1,iad1,sin1'])
  expect(new Set(nodes.map(idsOf)).size).toBe(1)
  // streams never had a line under another id
  for (const ids of told) expect([...new Set(ids)].toSorted().join(' ')).toBe(idsOf(nodes[0]!))
  // what happens to a node itself is a line of its own
  for (const { events } of nodes)
    events.add({ kind: 'thread', severity: 'warning', subject: 'answering threads', after: 'replaced' })
  await until('a line for each', () =>
    nodes.every((node) => shown(node).filter((line) => line.startsWith('replaced')).length === 3),
  )
})

test('a node that was away catches up, and one that restarts knows its own lines again', async () => {
  const [fra, iad] = [await start('fra1'), await start('iad1')]
  fra.events.add(verdict('down'))
  iad.events.add(verdict('down'))
  await all([fra, iad], ['down fra1,iad1'])
  await iad.stop()
  fra.events.add(verdict('up'))
  const again = await start('iad1', { folder: iad.folder })
  const late = await start('sin1')
  await all([fra, again, late], ['down fra1,iad1', 'up fra1'])
  expect(idsOf(again)).toBe(idsOf(fra))
  // it is still the same: to be published again changes nothing
  again.events.add(verdict('up'))
  await all([fra, again, late], ['down fra1,iad1', 'up fra1,iad1'])
})

test('without Redis events are told at once; a Redis that has lost all is given them again', async () => {
  const nodes = [await start('fra1'), await start('iad1')]
  for (const { events } of nodes) events.add(verdict('down'))
  await all(nodes, ['down fra1,iad1'])
  await server.kill()
  await until('they notice', () => nodes.every(({ store }) => store.trouble !== undefined))
  for (const [i, node] of nodes.entries()) {
    node.events.add(verdict('up'))
    await all([node], ['down fra1,iad1', `up ${['fra1', 'iad1'][i]}`])
  }
  await server.start()
  await all(nodes, ['down fra1,iad1', 'up fra1,iad1'])
  const late = await start('sin1')
  await all([late], ['down fra1,iad1', 'up fra1,iad1'])
})

const notice = (node: string, n: number, more: Partial<EventNotice> = {}): EventNotice => {
  const id = `${node}.a.${n}`
  const event = {
    id,
    atMs: 1,
    node,
    kind: 'verdict',
    severity: 'info',
    subject: 'x',
    before: null,
    after: null,
    why: '',
    sinceMs: null,
  }
  return {
    id,
    node,
    key: String(n).padStart(16, '0'),
    togetherMs: 60_000,
    ageMs: 0,
    text: JSON.stringify(event),
    ...more,
  }
}

test('Redis keeps the last 5,000 lines and nothing besides', async () => {
  const { eventBoard } = open()
  await until('Redis is usable', () =>
    eventBoard.publish([notice('n1', 0)]).then(
      () => true,
      () => undefined,
    ),
  )
  for (let n = 1; n <= 5_200; n += 400)
    await eventBoard.publish(Array.from({ length: 400 }, (_, i) => notice('n1', n + i)))
  expect(admin('zcard', EVENT_ORDER_KEY)).toBe('5000')
  expect(admin('hlen', EVENTS_KEY)).toBe('10001') // each line, the last of its key, and the first of all
  expect(Number(admin('memory', 'usage', EVENTS_KEY)) / 5_000).toBeLessThan(1_000)
  const read = await eventBoard.read(EVENTS_BEGIN)
  expect(read).toMatchObject({ isWhole: false, isLost: false })
  // a witness makes a line new: the next one to go is another
  await eventBoard.publish([notice('n2', 1, { key: read.lines[0]!.id.split('.')[2]!.padStart(16, '0') })])
  const [, score] = admin('zrange', EVENT_ORDER_KEY, '-2', '-2', 'withscores').split('\n')
  const more = await eventBoard.read(`${read.mark.split(' ')[0]} ${score}`)
  expect(more).toMatchObject({
    isWhole: true,
    lines: [{ id: read.lines[0]!.id, witnesses: [read.lines[0]!.id, 'n2.a.1'] }],
  })
})

test('events too far apart are two lines, and a line has its event once, however often it is published', async () => {
  const { eventBoard } = open()
  await until('Redis is usable', () =>
    eventBoard.publish([notice('n1', 1, { ageMs: 100_000 })]).then(
      () => true,
      () => undefined,
    ),
  )
  const key = notice('n1', 1).key
  expect(await eventBoard.publish([notice('n2', 2, { key })])).toMatchObject([{ id: 'n2.a.2', witnesses: ['n2.a.2'] }])
  for (let i = 0; i < 3; i++) {
    const lines = await eventBoard.publish([notice('n3', 3, { key, ageMs: 50_000 }), notice('n1', 1, { key })])
    expect(lines).toMatchObject([{ id: 'n2.a.2', witnesses: ['n2.a.2', 'n3.a.3'] }, { id: 'n1.a.1' }])
  }
  // a second one of the same node is another happening
  expect(await eventBoard.publish([notice('n3', 4, { key })])).toMatchObject([{ id: 'n3.a.4' }])
})

test('a prober can neither write nor read events; with the rights of docs/redis.md a node can', async () => {
  const fra = await start('fra1')
  fra.events.add(verdict('down'))
  await until('it is in Redis', () => admin('zcard', EVENT_ORDER_KEY) === '1')
  expect(admin('acl', 'log')).toBe('')
  const prober = openRedisStore(server.url(PROBER), { role: 'prober' })
  ending.push(() => prober.close())
  await until('it is refused', () =>
    prober.eventBoard.publish([notice('fra1', 9)]).then(
      () => {
        throw new Error('a prober has written an event')
      },
      (error: unknown) => /NOPERM|key/i.test(String(error)) || undefined,
    ),
  )
  await expect(prober.eventBoard.read(EVENTS_BEGIN)).rejects.toThrow(/NOPERM|key/i)
  expect(prober.trouble).toBe(undefined)
  expect(admin('zcard', EVENT_ORDER_KEY)).toBe('1')
  admin('acl', 'log', 'reset')
})

test('with a secret, nothing is believed that is not signed', async () => {
  const [fra, iad] = [
    await start('fra1', { secrets: ['a-secret-of-ours'] }),
    await start('iad1', { secrets: ['a-secret-of-ours'] }),
  ]
  fra.events.add(verdict('down'))
  await all([fra, iad], ['down fra1'])
  const [id] = admin('zrange', EVENT_ORDER_KEY, '0', '-1').split('\n')
  const line = admin('hget', EVENTS_KEY, id!)
  const rewrite = (text: string, field = id!): void => {
    admin('hset', EVENTS_KEY, field, text)
    admin('zadd', EVENT_ORDER_KEY, String(2 ** 52 + 100 * forged++), field) // newer than all
  }
  let forged = 0
  rewrite(`${line}\nsin1.a.1 -`)
  iad.events.add(verdict('up')) // read after what is forged
  await all([fra, iad], ['down fra1', 'up iad1'])
  rewrite(line.replace('"down"', '"forged"'), 'sin1.a.2')
  rewrite(line.replace('"up"', '"forged"'))
  rewrite('what is this', 'sin1.a.3')
  await until('all is read', () => iad.store.refusals.of('event') >= 3 && fra.store.refusals.of('event') >= 3)
  expect([shown(fra), shown(iad)]).toEqual([
    ['down fra1', 'up iad1'],
    ['down fra1', 'up iad1'],
  ])
})

test('what else somebody makes of the keys is no trouble of the Store, and events go on', async () => {
  const nodes = [await start('fra1'), await start('iad1')]
  admin('set', EVENTS_KEY, 'no hash')
  admin('set', EVENT_ORDER_KEY, 'no set')
  for (const { events } of nodes) events.add(verdict('down'))
  await Promise.all(nodes.map((node, i) => all([node], [`down ${['fra1', 'iad1'][i]}`])))
  expect(nodes.map(({ store }) => store.trouble)).toEqual([undefined, undefined])
  admin('del', EVENTS_KEY, EVENT_ORDER_KEY)
  await all(nodes, ['down fra1,iad1'])
})
