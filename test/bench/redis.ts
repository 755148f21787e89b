/**
 * `npm run bench -- redis state [PROBERS] [TARGETS] [RUNS]`: how long a node takes to read the whole state through a real
 * Redis until it has judged every member, and what it holds then; the node is a process of its own around a NodeHealth.
 *
 * `npm run bench -- redis quiet [SECONDS] [RUNS]`: what Redis sees of 3 probers and 3 nodes while nothing changes.
 *
 * `npm run bench -- redis latency [CHANGES]`: from a vote that a prober changes to every one of 3 nodes having heard it.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { NodeHealth } from '../../src/health/node-health.ts'
import { type StoreSubscriber, HEARTBEAT_MS, type ProberIdentity } from '../../src/health/store.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import type { Vote } from '../../src/health/vote.ts'
import { openRedisStore, type RedisStore } from '../../src/store/redis/store.ts'
import { RedisServer } from '../support/redis-server.ts'
import { member, specOf } from '../support/specs.ts'
import { median } from './median.ts'

const REASONS = ['200', '204', '503', 'timeout', 'connection refused', 'connection reset', 'no route']

export async function run([what = 'state', ...args]: string[]): Promise<void> {
  const [first, second, third] = args.map(Number)
  if (what === 'reader') return read(args[0]!, Number(args[1]), Number(args[2]))
  const server = await RedisServer.start()
  try {
    if (what === 'state') await state(server, first ?? 50, second ?? 10_000, third ?? 5)
    else if (what === 'quiet') await quiet(server, first ?? 10, second ?? 3)
    else if (what === 'latency') await latency(server, first ?? 1000)
    else console.log('redis state, redis quiet, or redis latency')
  } finally {
    await server.stop()
  }
}

const identity = (i: number): ProberIdentity => ({
  name: `prober-${i}`,
  region: `r${i % 5}`,
  bootId: crypto.randomUUID(),
})

const targetId = (i: number): string => i.toString(16).padStart(16, '0')

const voteOf = (prober: number, i: number): Vote => ({
  target: targetId(i),
  value: (prober + i) % 50 === 0 ? 'down' : 'up',
  moving: false,
  reason: REASONS[(prober * i) % 100 === 0 ? i % REASONS.length : 0]!,
  rttMs: ((prober * 31 + i * 7) % 2000) / 10,
  share: 1000,
})

const beatOf = (prober: ProberIdentity, sequence: number) => ({
  prober,
  sequence,
  configHash: '0123456789abcdef',
  overdue: 0,
  overdueAgeMs: 0,
})

async function state(server: RedisServer, probers: number, targets: number, runs: number): Promise<void> {
  const store = openRedisStore(server.url())
  const writers = Array.from({ length: probers }, (_, i) => ({
    prober: identity(i),
    writer: store.proberWriter(identity(i)),
  }))
  for (const [i, { writer }] of writers.entries())
    await writer.replace(Array.from({ length: targets }, (_, t) => voteOf(i, t)))
  let sequence = 0
  const beats = setInterval(() => {
    sequence++
    for (const { prober, writer } of writers) void writer.heartbeat(beatOf(prober, sequence))
  }, HEARTBEAT_MS)
  const figures: Figures[] = []
  for (let i = 0; i < runs; i++) figures.push(await readApart(server.url(), probers, targets))
  clearInterval(beats)
  await store.close()
  const redisMb = Number(/used_memory:(\d+)/.exec(server.cli('info', 'memory'))![1]) / 1e6
  console.log(`${probers} probers × ${targets} targets, ${runs} runs, medians:`)
  console.log(`  read whole in ${median(figures.map((f) => f.seconds)).toFixed(2)} s wall, ${median(figures.map((f) => f.cpuSeconds)).toFixed(2)} s CPU`) // prettier-ignore
  console.log(`  held: ${median(figures.map((f) => f.heldMb)).toFixed(0)} MB more than before; the process ${median(figures.map((f) => f.residentMb)).toFixed(0)} MB resident, at most ${median(figures.map((f) => f.peakMb)).toFixed(0)}`) // prettier-ignore
  console.log(`  Redis: ${redisMb.toFixed(0)} MB`)
}

interface Figures {
  readonly seconds: number
  readonly cpuSeconds: number
  /** Heap and buffers after a collection, less what there was before. */
  readonly heldMb: number
  readonly residentMb: number
  readonly peakMb: number
}

async function readApart(url: string, probers: number, targets: number): Promise<Figures> {
  const args = ['redis', 'reader', url, String(probers), String(targets)]
  const child = fork(new URL('./bench.ts', import.meta.url).pathname, args, { execArgv: ['--expose-gc'] })
  const figures = new Promise<Figures>((resolve) => child.once('message', (message: Figures) => resolve(message)))
  await once(child, 'exit')
  return figures
}

/** A node with a member for each target. */
async function read(url: string, probers: number, targets: number): Promise<void> {
  const plan = specOf(
    Array.from({ length: targets }, (_, i) => member(`fra/web/10.0.${i >> 8}.${i & 255}`, [targetId(i)])),
  )
  const slots = Int32Array.from({ length: targets }, (_, i) => i)
  globalThis.gc?.()
  const before = process.memoryUsage()
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  let peak = 0
  const peaks = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20)
  const store = openRedisStore(url)
  const health = new NodeHealth({ table: makeHealthTable(), store, node: { name: 'bench', version: '1' } })
  await health.start()
  health.adopt(plan, slots)
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  globalThis.gc?.()
  const after = process.memoryUsage()
  const held = after.heapUsed + after.external - before.heapUsed - before.external
  clearInterval(peaks)
  const heard = health.snapshot().members.reduce((sum, one) => sum + one.targets[0]!.votes.length, 0)
  if (heard < probers * targets) console.log(`only ${heard} of ${probers * targets} votes when start() was done`)
  const figures: Figures = {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    heldMb: held / 1e6,
    residentMb: after.rss / 1e6,
    peakMb: Math.max(peak, after.rss) / 1e6,
  }
  process.send!(figures)
  await health.stop()
  await store.close()
  process.disconnect()
}

async function quiet(server: RedisServer, seconds: number, runs: number): Promise<void> {
  const stores: RedisStore[] = []
  const sayings: (() => void)[] = []
  let sequence = 0
  for (let i = 0; i < 3; i++) {
    const [probing, serving] = [openRedisStore(server.url()), openRedisStore(server.url())]
    stores.push(probing, serving)
    const prober = identity(i)
    const writer = probing.proberWriter(prober)
    await writer.replace(Array.from({ length: 100 }, (_, t) => voteOf(i, t)))
    sayings.push(() => void writer.heartbeat(beatOf(prober, sequence)))
    const node = { name: `node-${i}`, bootId: crypto.randomUUID() }
    const nodeWriter = serving.nodeWriter(node)
    const hash = '0123456789abcdef'
    sayings.push(
      () => void nodeWriter.heartbeat({ node, sequence, version: '0.1.0', view: hash, plan: hash, verdicts: hash }),
    )
  }
  const deaf: StoreSubscriber = { votes: () => {}, retired: () => {}, heartbeat: () => {}, gone: () => {} }
  for (const [i, store] of stores.entries())
    await store.listen(
      i % 2 === 0 ? deaf : { ...deaf, node: () => {}, overrides: () => {} },
      new AbortController().signal,
    )
  const beats = setInterval(() => {
    sequence++
    for (const say of sayings) say()
  }, HEARTBEAT_MS)
  await wait(3000)
  const [ins, outs]: [number[], number[]] = [[], []]
  const commands = new Map<string, number>()
  for (let i = 0; i < runs; i++) {
    server.cli('config', 'resetstat')
    const startMs = performance.now()
    await wait(1000 * seconds)
    const info = server.cli('info', 'all')
    const took = (performance.now() - startMs) / 1000
    ins.push(Number(/total_net_input_bytes:(\d+)/.exec(info)![1]) / took)
    outs.push(Number(/total_net_output_bytes:(\d+)/.exec(info)![1]) / took)
    for (const [, name, calls] of info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g))
      commands.set(name!, (commands.get(name!) ?? 0) + Number(calls) / took / runs)
  }
  clearInterval(beats)
  for (const store of stores) await store.close()
  console.log(`3 probers and 3 nodes, all of them listening, nothing changes; ${runs} × ${seconds} s, medians:`)
  console.log(`  in ${median(ins).toFixed(0)} bytes/s, out ${median(outs).toFixed(0)} bytes/s`)
  console.log(`  commands a second: ${[...commands].map(([name, n]) => `${name} ${n.toFixed(1)}`).join(', ')}`)
}

async function latency(server: RedisServer, changes: number): Promise<void> {
  const probing = openRedisStore(server.url())
  const nodes = [0, 1, 2].map(() => openRedisStore(server.url()))
  const writer = probing.proberWriter(identity(0))
  await writer.replace(Array.from({ length: 100 }, (_, t) => voteOf(0, t)))
  let heard = 0
  let all: (() => void) | undefined
  const subscriber: StoreSubscriber = {
    votes: (_, votes, whole) => {
      if (!whole && votes.length > 0 && ++heard === nodes.length) all?.()
    },
    retired: () => {},
    heartbeat: () => {},
    gone: () => {},
  }
  for (const node of nodes) await node.listen(subscriber, new AbortController().signal)
  const took: number[] = []
  for (let i = 0; i < changes; i++) {
    heard = 0
    const done = new Promise<void>((resolve) => (all = resolve))
    const startMs = performance.now()
    void writer.change({ ...voteOf(0, i % 100), value: i % 2 ? 'up' : 'down' })
    await done
    took.push(performance.now() - startMs)
    await wait(Math.random() * 5)
  }
  for (const store of [probing, ...nodes]) await store.close()
  const sorted = took.toSorted((x, y) => x - y)
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!.toFixed(2)
  console.log(`${changes} changes, each to 3 nodes: median ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`)
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
