/**
 * Whatever is said, lost, cut and flushed in whatever order: once it is quiet, everyone's picture is what the prober says, and
 * sequences never went backwards. Against a naive model, a Map; on a real Redis.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Override, supersedes } from '../../../src/health/override.ts'
import type { ProberWriter } from '../../../src/health/store.ts'
import type { VoteValue } from '../../../src/health/vote.ts'
import { openRedisStore } from '../../../src/store/redis/store.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { vote } from '../../support/specs.ts'
import { until } from '../../support/until.ts'
import { beat, drain, identity, Listener, nodeBeat } from '../store.suite.ts'

const LEASE_MS = 300

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

const target = fc.integer({ min: 0, max: 7 }).map((i) => `t${i}`)
const value = fc.constantFrom<VoteValue>('up', 'down', 'abstain')
const votes = fc.uniqueArray(fc.tuple(target, value), { selector: ([t]) => t, maxLength: 6 })

/** `many`: beyond what goes out with a notice, so that everyone has to read. */
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('change'), target, value }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('retire'), targets: fc.uniqueArray(target, { maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('replace'), votes, many: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('beat') }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('override'), site: fc.nat(2), version: fc.nat(9), by: fc.nat(1) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('deafen', 'cut', 'flush', 'boot') }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** What the prober and the nodes have said, as a child would keep it. */
class Model {
  said = new Map<string, string>()
  readonly overrides = new Map<string, Override>()

  put(entry: Override): void {
    const known = this.overrides.get(entry.pattern)
    if (known === undefined || supersedes(entry, known)) this.overrides.set(entry.pattern, entry)
  }
}

test('after quiescence every picture is what is said', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      server.cli('flushall')
      const stores = [0, 1, 2].map(() => openRedisStore(server.url(), { leaseMs: LEASE_MS }))
      const leaving = new AbortController()
      try {
        const listeners = [new Listener(), new Listener()]
        for (const [i, listener] of listeners.entries()) await stores[i + 1]!.listen(listener, leaving.signal)
        await play(steps, stores, listeners)
      } finally {
        leaving.abort()
        await Promise.all(stores.map((store) => store.close()))
      }
    }),
    { numRuns: 20 },
  )
})

async function play(
  steps: readonly Step[],
  stores: readonly ReturnType<typeof openRedisStore>[],
  listeners: Listener[],
) {
  const model = new Model()
  const nodes = [0, 1].map((i) => stores[i + 1]!.nodeWriter({ name: `n${i}`, bootId: 'one' }))
  let boot = 0
  let sequence = 0
  let prober = identity('a', 'boot0')
  let writer: ProberWriter = stores[0]!.proberWriter(prober)
  const said: Promise<unknown>[] = [writer.replace([])]
  for (const each of steps) {
    if ('target' in each) {
      model.said.set(each.target, each.value)
      said.push(writer.change(vote(each.target, each.value)))
    } else if ('targets' in each) {
      for (const t of each.targets) model.said.delete(t)
      said.push(writer.retire(each.targets))
    } else if ('votes' in each) {
      const more = each.many ? Array.from({ length: 250 }, (_, i) => [`m${i}`, 'up'] as const) : []
      model.said = new Map([...each.votes, ...more])
      said.push(writer.replace([...model.said].map(([t]) => vote(t, valueOf(model.said.get(t)!)))))
    } else if ('site' in each) {
      const entry = drain(`site${each.site}`, each.version, { node: `n${each.by}` })
      model.put(entry)
      said.push(nodes[each.by]!.override([entry]).catch(() => {})) // it is put up later
    } else if ('ms' in each) await new Promise((resolve) => setTimeout(resolve, each.ms))
    else if (each.do === 'beat') said.push(writer.heartbeat(beat(prober, ++sequence)))
    else if (each.do === 'deafen') server.cli('client', 'kill', 'type', 'pubsub')
    else if (each.do === 'cut') server.cli('client', 'kill', 'type', 'normal')
    else if (each.do === 'flush') server.cli('flushall')
    else {
      prober = identity('a', `boot${++boot}`)
      writer = stores[0]!.proberWriter(prober)
      model.said = new Map()
      said.push(writer.replace([]))
    }
  }
  await Promise.all(said)
  let nodeSequence = 0
  const beats = setInterval(() => {
    void writer.heartbeat(beat(prober, ++sequence))
    nodeSequence++
    for (const [i, node] of nodes.entries()) void node.heartbeat(nodeBeat(`n${i}`, nodeSequence))
  }, LEASE_MS / 6)
  try {
    const same = () =>
      listeners.every(
        ({ said: heard, overridden }) =>
          text(heard.get('a') ?? new Map()) === text(model.said) && text(overridden) === text(model.overrides),
      )
    await until('all pictures are the same', same).catch((error: unknown) => {
      const [one, two] = listeners.map(
        (listener) => `${text(listener.said.get('a') ?? [])} ${text(listener.overridden)}`,
      )
      throw new Error(`${String(error)}\n${text(model.said)} ${text(model.overrides)}\n${one}\n${two}`)
    })
    await until('a beat', () => listeners.every(({ lines }) => lines.includes(`${prober.name}/${prober.bootId} beat ${sequence}`))) // prettier-ignore
  } finally {
    clearInterval(beats)
  }
  for (const { lines } of listeners) {
    const heard = lines.flatMap((line) => /^a\/boot(\d+) beat (\d+)$/.exec(line)?.slice(1).map(Number) ?? [])
    const sequences = heard.filter((_, i) => i % 2 === 1)
    expect(sequences).toEqual(sequences.toSorted((x, y) => x - y))
    const boots = heard.filter((_, i) => i % 2 === 0)
    expect(boots).toEqual(boots.toSorted((x, y) => x - y))
  }
}

const valueOf = (said: string): VoteValue => (said === 'down' ? 'down' : said === 'abstain' ? 'abstain' : 'up')

const text = (map: Iterable<readonly [string, unknown]>): string =>
  JSON.stringify([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)))
