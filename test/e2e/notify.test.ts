/** A fleet of real nodes over a real Redis tells a receiver of a dead site; the node that tells is killed. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Turns } from '../../src/events/notify/turns.ts'
import { LEASE_MS } from '../../src/health/store.ts'
import { type Got, WebhookReceiver } from '../events/notify/receiver.ts'
import { countWaits } from '../support/cpu.ts'
import { RedisServer } from '../support/redis-server.ts'
import { DNS_PORT, HTTP_PORT, type NodeProcess, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'

const NAMES = ['n1', 'n2']
/** Until a node looks: a poll of the Store, a look at what others send, and an attempt. */
const LOOK_MS = 750 + 1_000 + 250

let scene: Scene
let redis: RedisServer
let receiver: WebhookReceiver
beforeAll(async () => {
  scene = new Scene()
  redis = await RedisServer.start()
  receiver = await WebhookReceiver.start()
  await scene.startSites()
})
afterAll(async () => {
  await scene.close()
  await receiver.stop()
  await redis.stop()
})

async function start(name: string): Promise<NodeProcess> {
  const address = scene.address(name === 'n1' ? 0 : 4)
  const state = join(scene.folder, `state-${name}`)
  mkdirSync(state, { recursive: true })
  return scene.startReady({
    listen: `${address}:${DNS_PORT}`,
    'http-listen': `${address}:${HTTP_PORT}`,
    'node-name': name,
    state,
    redis: redis.url(),
    'notify-ops-url': receiver.url,
    'notify-ops-kinds': 'verdict',
  })
}

/** The node that tells of a problem: the first of the order that all nodes compute. */
function firstFor(problem: string): string {
  const live = NAMES.map((name) => ({ name, bootId: name }))
  return live.find((self) => new Turns({ self, live: () => live, trouble: () => undefined }).rank(problem) === 0)!.name
}

const hearsBoth = async (node: NodeProcess): Promise<boolean> =>
  (await node.status())?.nodes.filter(({ live }) => live).length === 2

const DOWN = 'fra/web/192.0.2.1 down'
const changesOf = (got: readonly Got[]): string[] =>
  got.flatMap(({ body }) => body.events.map(({ subject, after }) => `${subject} ${after}`))

test('a node that is killed with a message that it has not sent: another sends it within its lease, under its id', async () => {
  const nodes = new Map<string, NodeProcess>()
  for (const name of NAMES) nodes.set(name, await start(name))
  await until('they hear each other', async () =>
    (await Promise.all([...nodes.values()].map(hearsBoth))).every(Boolean),
  )
  receiver.status = 503
  scene.signalSite('fra', 'SIGKILL')
  await until('it is tried', () => receiver.got.length > 0)
  const [tried] = receiver.got
  const first = firstFor('verdict fra')
  expect(tried!.body).toMatchObject({ node: first, status: 'problem' })
  expect(changesOf([tried!])).toContain(DOWN)

  receiver.got.length = 0
  nodes.get(first)!.kill('SIGKILL')
  await nodes.get(first)!.ended
  const waits = countWaits(scene.pids)
  receiver.status = 200
  await until('another sends', () => receiver.taken.length > 0, LEASE_MS + LOOK_MS + 1_000, waits)
  expect([receiver.taken[0]!.id, receiver.taken[0]!.body.node]).toEqual([
    tried!.id,
    NAMES.find((name) => name !== first),
  ])

  // back with what it had: it learns that the message was sent
  const back = await start(first)
  await until('nothing waits', async () => (await back.status())?.notifications[0]?.queued === 0)
  await sleep(LOOK_MS)
  expect(receiver.taken.filter(({ id }) => id === tried!.id)).toHaveLength(1)
  // that votes are too few while a prober is gone may be told too, and that this is over
  expect(changesOf(receiver.taken).filter((line) => line === DOWN)).toHaveLength(1)
  expect((await back.status())?.notifications).toMatchObject([{ receiver: 'ops', type: 'webhook', trouble: null }])
})
