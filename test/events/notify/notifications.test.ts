/**
 * Nodes of a fleet that tell a receiver which really listens, over one Store. Waits are those of a node in small: its
 * seconds are some 20 ms here. test/e2e/notify.test.ts kills processes, with the true times.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Event } from '../../../src/events/event.ts'
import { Delivery } from '../../../src/events/notify/delivery.ts'
import { Turns } from '../../../src/events/notify/turns.ts'
import type { Message } from '../../../src/events/notify/message.ts'
import { Notifications, type NotifyTiming } from '../../../src/events/notify/notifications.ts'
import { send } from '../../../src/events/notify/send.ts'
import type { NodeIdentity, SendingBoard } from '../../../src/health/store.ts'
import { MemoryStore } from '../../../src/store/memory.ts'
import { until } from '../../support/until.ts'
import { eventsOf, receiversOf, WebhookReceiver } from './receiver.ts'

const TIMING = {
  tickMs: 10,
  quietMs: 80,
  longestMs: 600,
  leaseMs: 200,
  aloneMs: 1_000,
  renewMs: 300,
  timeoutMs: 5_000,
  delivery: { firstWaitMs: 20, mostWaitMs: 100 },
}
const NAMES = ['n1', 'n2', 'n3']

let folder: string
let store: MemoryStore
let receiver: WebhookReceiver
let live: NodeIdentity[]
let trouble: string | undefined
let boots: number
let running: Set<Node>
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-notify-'))
  store = new MemoryStore()
  receiver = await WebhookReceiver.start()
  live = []
  trouble = undefined
  boots = 0
  running = new Set()
})
afterEach(async () => {
  await Promise.all([...running].map((node) => node.stop()))
  await receiver.stop()
  await store.close()
  rmSync(folder, { recursive: true })
})

async function reach<T>(call: () => Promise<T>): Promise<T> {
  if (trouble !== undefined) throw new Error(trouble)
  return call()
}

/** The Store, unless it is in trouble. */
const boardOf = (self: NodeIdentity): SendingBoard => {
  const board = store.sendingBoard(self)
  return {
    claim: (...args) => reach(() => board.claim(...args)),
    sendings: (...args) => reach(() => board.sendings(...args)),
    done: (...args) => reach(() => board.done(...args)),
    take: (...args) => reach(() => board.take(...args)),
  }
}

type Settings = Readonly<Record<string, string | readonly string[]>>

class Node {
  readonly self: NodeIdentity
  readonly lines: string[] = []
  readonly notifications: Notifications
  readonly event: (more: Partial<Event>) => Event

  constructor(name: string, settings: Settings = {}, timing: Partial<NotifyTiming> = {}) {
    this.self = { name, bootId: `${name}-${++boots}` }
    live = [...live.filter((node) => node.name !== name), this.self]
    this.event = eventsOf(name)
    this.notifications = new Notifications({
      receivers: receiversOf({ 'ops.url': receiver.url, ...settings }),
      fleet: { self: this.self, live: () => live, trouble: () => trouble },
      board: boardOf(this.self),
      file: join(folder, `${name}.json`),
      log: (_, line) => void this.lines.push(line),
      timing: { ...TIMING, ...timing },
    })
    this.notifications.start()
    running.add(this)
  }

  sees(more: Partial<Event>): void {
    this.notifications.add(this.event(more))
  }

  async stop(): Promise<void> {
    running.delete(this)
    live = live.filter(({ bootId }) => bootId !== this.self.bootId)
    await this.notifications.stop()
  }
}

/** The nodes in the order in which they send what is about a problem. */
function ranked(nodes: readonly Node[], problem: string): Node[] {
  const rank = ({ self }: Node): number => new Turns({ self, live: () => live, trouble: () => undefined }).rank(problem)
  return nodes.toSorted((a, b) => rank(a) - rank(b))
}

const fleetOf = (timing: Partial<NotifyTiming> = {}): Node[] => NAMES.map((name) => new Node(name, {}, timing))
const changes = (events: readonly Event[]): string[] => events.map(({ subject, after }) => `${subject} ${after}`)
/** All that waits is told, or known to be. */
const settled = (nodes: readonly Node[]): Promise<boolean> =>
  until('nothing waits', async () => {
    await sleep(TIMING.quietMs)
    return nodes.every(({ notifications }) => notifications.stats.every(({ queued }) => queued === 0))
  })

test('a receiver that was away gets every event once it is back, in order, and none under another id', async () => {
  const nodes = fleetOf()
  await receiver.stop()
  const told: string[] = []
  for (let round = 0; round < 8; round++) {
    const [subject, site, after] = [`s${round % 4}/web/192.0.2.1`, `s${round % 4}`, round % 8 < 4 ? 'down' : 'up']
    const sinceMs = Date.now() - 500
    for (const node of nodes) node.sees({ subject, site, after, sinceMs })
    told.push(`${subject} ${after}`)
    await sleep(TIMING.quietMs + 20)
  }
  const failed = (): number =>
    nodes.flatMap((node) => node.notifications.stats).reduce((sum, one) => sum + one.failed, 0)
  await until('it was tried again and again', () => failed() > 20)
  await receiver.start()
  await until('all is told', () => receiver.events.length >= told.length)
  await settled(nodes)
  expect(changes(receiver.events).toSorted()).toEqual(told.toSorted())
  for (const site of ['s0', 's1', 's2', 's3']) {
    const of = changes(receiver.events.filter((event) => event.site === site))
    expect(of).toEqual(told.filter((line) => line.startsWith(`${site}/`)))
  }
  expect(new Set(receiver.got.map(({ id }) => id)).size).toBe(told.length)
})

test('300 members of a site, seen by three nodes, are one message', async () => {
  const nodes = fleetOf({ quietMs: 1_000, longestMs: 5_000 })
  const members = Array.from({ length: 300 }, (_, i) => `fra/s${i}/192.0.2.1`)
  for (const part of [members.slice(0, 100), members.slice(100, 200), members.slice(200)]) {
    for (const node of nodes) for (const subject of part.toSorted(() => Math.random() - 0.5)) node.sees({ subject })
    await sleep(20)
  }
  await until('it is told', () => receiver.got.length > 0)
  await sleep(3 * TIMING.leaseMs)
  expect(receiver.got).toHaveLength(1)
  expect(receiver.got[0]!.body).toMatchObject({ summary: 'WARNING: fra: 300 members down', open: 300 })
  expect(receiver.events.map(({ subject }) => subject).toSorted()).toEqual(members.toSorted())
})

test('what goes back and forth is told in its order', async () => {
  const nodes = fleetOf()
  for (const after of ['down', 'up', 'down']) {
    const sinceMs = Date.now() - 10
    for (const node of nodes) node.sees({ after, sinceMs })
    await sleep(15)
  }
  await until('all is told', () => receiver.events.length === 3)
  await settled(nodes)
  expect(receiver.taken.map(({ body }) => body.status)).toEqual(['problem', 'recovered', 'problem'])
})

test('a restart loses nothing, and what was tried before has the same id', async () => {
  receiver.status = 503
  const node = new Node('n1')
  node.sees({})
  node.sees({ kind: 'thread', subject: 'udp 0', after: 'replaced' })
  await until('both were tried', () => new Set(receiver.got.map(({ id }) => id)).size >= 1 && receiver.got.length > 3)
  await node.stop()
  const tried = new Set(receiver.got.map(({ id }) => id))
  receiver.status = 200
  const next = new Node('n1')
  await until('both are told', () => receiver.events.length === 2)
  await settled([next])
  expect(receiver.events.map(({ kind }) => kind).toSorted()).toEqual(['thread', 'verdict'])
  for (const id of tried) expect(receiver.taken.map((got) => got.id)).toContain(id)
})

test('a node that was killed before its claim was on disk, and whose message another has sent, sends nothing', async () => {
  const file = join(folder, 'n1.json')
  const node = new Node('n1', {}, { quietMs: 1_000, longestMs: 1_000 })
  node.sees({})
  await until('the event is on disk', () => existsSync(file) && readFileSync(file, 'utf8').includes('"held":[{'))
  const held = readFileSync(file, 'utf8')
  await until('it is told', () => receiver.got.length === 1)
  await node.stop()
  writeFileSync(file, held)
  const next = new Node('n1')
  await settled([next])
  await sleep(5 * TIMING.leaseMs)
  expect(receiver.got).toHaveLength(1)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ held: [], outgoing: [], followed: [] })
})

test('an event that the first node has not seen is told by the next, once', async () => {
  const nodes = fleetOf()
  const [, ...others] = ranked(nodes, 'verdict fra')
  const beganMs = performance.now()
  for (const node of others) node.sees({})
  await until('it is told', () => receiver.got.length > 0)
  expect(performance.now() - beganMs).toBeGreaterThan(TIMING.leaseMs)
  await settled(nodes)
  await sleep(3 * TIMING.leaseMs)
  expect(receiver.got.map(({ body }) => body.events[0]!.node)).toEqual([others[0]!.self.name])
})

test('a node that is gone with what it has claimed: another sends it, under the same id', async () => {
  const away = new WebhookReceiver()
  await away.start()
  away.status = 503
  const nodes = NAMES.map((name) => new Node(name))
  const [first, ...others] = ranked(nodes, 'verdict fra')
  await first!.stop()
  const cut = new Node(first!.self.name, { 'ops.url': away.url })
  for (const node of [cut, ...others]) node.sees({})
  await until('it tries', () => away.got.length > 0)
  await sleep(2 * TIMING.leaseMs)
  expect(receiver.got).toEqual([])
  live = live.filter(({ bootId }) => bootId !== cut.self.bootId)
  await until('another sends', () => receiver.got.length > 0)
  expect(receiver.got[0]!.id).toBe(away.got[0]!.id)
  live = [...live, cut.self]
  await until('the first gives up', () => cut.notifications.stats[0]!.queued === 0)
  away.status = 200
  await sleep(3 * TIMING.leaseMs)
  expect(receiver.got).toHaveLength(1)
  expect(away.taken).toEqual([])
  await away.stop()
})

test('while the Store is away the first node tells; the others wait, and find that out when it is back', async () => {
  const nodes = fleetOf()
  const [first] = ranked(nodes, 'verdict fra')
  await sleep(5 * TIMING.tickMs) // they hear each other
  trouble = 'Redis is away'
  for (const node of nodes) node.sees({})
  await until('it is told', () => receiver.got.length > 0)
  trouble = undefined
  await sleep(TIMING.aloneMs + 2 * TIMING.leaseMs)
  expect(receiver.got.map(({ body }) => body.events[0]!.node)).toEqual([first!.self.name])
})

test('while the Store stays away each node tells, under one id', async () => {
  const nodes = fleetOf()
  trouble = 'Redis is away'
  const atMs = Math.floor(Date.now() / TIMING.aloneMs) * TIMING.aloneMs
  for (const node of nodes) node.sees({ atMs })
  await until('all have told it', () => receiver.got.length === nodes.length)
  expect(new Set(receiver.got.map(({ id }) => id)).size).toBe(1)
})

test('a receiver is told what it asks for, and the end of what it was told', async () => {
  const node = new Node('n1', {
    'ops.severity': 'critical',
    'ops.sites': ['fra', 'iad'],
    'ops.kinds': ['verdict', 'brake'],
  })
  const event = { severity: 'critical', subject: 'x' } as const
  node.sees({ ...event, subject: 'told' })
  node.sees({ ...event, subject: 'too mild', severity: 'warning' })
  node.sees({ ...event, subject: 'another site', site: 'sin' })
  node.sees({ ...event, subject: 'another kind', kind: 'zones' })
  await until('one is told', () => receiver.got.length > 0)
  for (const subject of ['told', 'too mild', 'news']) node.sees({ subject, after: 'up', severity: 'info' })
  await until('its end is told', () => receiver.got.length > 1)
  await settled([node])
  expect(changes(receiver.events)).toEqual(['told down', 'told up'])
})

test('when too many wait the oldest are dropped: the log, the trouble and the next message say so', async () => {
  receiver.status = 503
  const lines: string[] = []
  const done: string[] = []
  const delivery = new Delivery({
    name: 'ops',
    receiver: receiversOf({ 'ops.url': receiver.url })['ops']!,
    send: (to, message, lost) => send(to, message, lost),
    onDone: ({ id }) => void done.push(id),
    log: (_, line) => void lines.push(line),
    timing: TIMING.delivery,
    mostWaiting: 3,
  })
  const event = eventsOf('n1')
  for (let i = 0; i < 5; i++) {
    const one = event({ subject: `s${i}` })
    const items = [{ event: one, problem: 'p', direction: 'problem', was: 'warning' }] as const
    const message: Message = { id: one.id, problem: 'p', direction: 'problem', node: 'n1', atMs: 0, items, open: 1 }
    delivery.add(message)
  }
  await until('it has failed', () => delivery.stats.failed > 0)
  expect(done).toEqual(['n1.b.2', 'n1.b.3'])
  expect(delivery.stats).toMatchObject({ queued: 3, dropped: 2 })
  expect(delivery.trouble).toMatch(/^notify\.ops can’t be told: 127\.0\.0\.1: status 503: ok .*; 2 were dropped/)
  expect(lines).toContain('notify.ops: too many messages wait, so the oldest are dropped')
  receiver.status = 200
  await until('the rest is told', () => delivery.stats.queued === 0)
  expect(receiver.taken.map(({ body }) => [body.events[0]!.subject, body.lost])).toEqual([
    ['s0', 2],
    ['s3', 0],
    ['s4', 0],
  ])
  expect(delivery.trouble).toBeUndefined()
})

test('a message that a receiver refuses for good holds no other up', async () => {
  receiver.status = 422
  const node = new Node('n1')
  node.sees({})
  await until('it is refused', () => node.notifications.stats[0]!.refused === 1)
  expect(node.notifications.troubles).toEqual([expect.stringContaining('it refused a message: 127.0.0.1: status 422')])
  receiver.status = 200
  node.sees({ site: 'iad', subject: 'iad/web/192.0.2.2' })
  await until('the next is told', () => receiver.taken.length === 1)
  expect(node.notifications.stats[0]).toMatchObject({ sent: 1, refused: 1, queued: 0, trouble: null })
})
