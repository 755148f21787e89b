/**
 * `npm run bench -- propagation [FLIPS]`: from the last deciding vote at a prober to the changed answer at every node. Two
 * real nodes and a real Redis on this machine; the probers are three Stores of this process, so that the moment of the vote
 * is known: one says down, one says up, and the third decides, back and forth. Meanwhile each node is asked as fast as
 * it answers, one query at a time; the time of a flip ends with the first answer that came out changed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { encodeQuery } from '../../src/dns/message.ts'
import type { ProberWriter, ProberIdentity } from '../../src/health/store.ts'
import { hashTargets } from '../../src/health/target.ts'
import type { Vote, VoteValue } from '../../src/health/vote.ts'
import { openRedisStore } from '../../src/store/redis/store.ts'
import { DNS_PORT, type NodeProcess, PARIS, Scene, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

const AIM_MS = 10
const NODES = ['n1', 'n2'] as const
const REGIONS = ['eu', 'us', 'ap'] as const
const REDIS_PORT = 16_379
/** Between two flips: 20 to 60 ms. */
const GAP_MS = 20

export async function run(args: string[]): Promise<void> {
  const flips = Number(args[0] ?? 400)
  const scene = new Scene()
  const redis = await startRedis(scene.address(5))
  const url = `redis://${scene.address(5)}:${REDIS_PORT}`
  const addresses = [scene.address(0), scene.address(4)]
  const probers: Prober[] = []
  try {
    const nodes = NODES.map((name, i) => startNode(scene, name, addresses[i]!, url))
    const targets = await until('status', () => targetsOf(nodes[0]!))
    for (const region of REGIONS) probers.push(new Prober(url, region, [...targets.values()]))
    await Promise.all(probers.map((prober) => prober.start()))
    await Promise.all(nodes.map((node) => node.ready()))
    const pollers = addresses.map((address) => new Poller(address))
    await Promise.all(pollers.map((poller) => poller.until(true)))
    const fra = targets.get('fra')!
    await probers[0]!.says(fra, 'down')
    const took = await measure(pollers, (value) => probers[1]!.says(fra, value), flips)
    for (const poller of pollers) poller.close()
    for (const [i, times] of took.entries()) print(`answers of ${NODES[i]}`, times)
    print(
      'of all nodes',
      took[0]!.map((_, flip) => Math.max(...took.map((times) => times[flip]!))),
    )
    console.log(`aim: p99 at most ${AIM_MS} ms`)
  } finally {
    await Promise.all(probers.map((prober) => prober.stop()))
    redis.kill('SIGKILL')
    await scene.close()
  }
}

/** By node: how long each flip took. */
async function measure(pollers: readonly Poller[], vote: (value: VoteValue) => Promise<void>, flips: number) {
  const took: number[][] = pollers.map(() => [])
  for (let flip = 0; flip < flips; flip++) {
    await wait(GAP_MS + Math.random() * 2 * GAP_MS)
    const named = flip % 2 === 1
    const changed = pollers.map((poller) => poller.until(named))
    await wait(2) // they are asking
    const votedMs = performance.now()
    await vote(named ? 'up' : 'down')
    for (const [i, atMs] of (await Promise.all(changed)).entries()) took[i]!.push(atMs - votedMs)
  }
  return took
}

function startNode(scene: Scene, name: string, address: string, url: string): NodeProcess {
  const state = `${scene.folder}/${name}`
  const places = { listen: `${address}:${DNS_PORT}`, 'http-listen': `${address}:8053`, state }
  return scene.start({ ...places, 'node-name': name, redis: url, 'probe-enabled': 'false' })
}

/** Of each site. */
async function targetsOf(node: NodeProcess): Promise<ReadonlyMap<string, string> | undefined> {
  const members = (await node.status())?.services[0]?.members ?? []
  return members.length === 0 ? undefined : new Map(members.map(({ site, targets }) => [site, targets[0]!.target.id]))
}

async function startRedis(address: string): Promise<ChildProcess> {
  const flags = ['--port', String(REDIS_PORT), '--bind', address, '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', [...flags, '--protected-mode', 'no'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (data: Buffer) => (out += data.toString()))
  await until('Redis', () => out.includes('Ready to accept connections'))
  return child
}

/** A prober whose votes are told to it. */
class Prober {
  readonly #store: Awaited<ReturnType<typeof openRedisStore>>
  readonly #identity: ProberIdentity
  readonly #writer: ProberWriter
  readonly #targets: readonly string[]
  #sequence = 0
  #timer: NodeJS.Timeout | undefined

  constructor(url: string, region: string, targets: readonly string[]) {
    this.#identity = { name: `bench-${region}`, region, bootId: `${process.pid}-${region}` }
    this.#store = openRedisStore(url)
    this.#writer = this.#store.proberWriter(this.#identity)
    this.#targets = targets
  }

  async start(): Promise<void> {
    await this.#writer.replace(this.#targets.map((target) => voteOf(target, 'up')))
    await this.#beat()
    this.#timer = setInterval(() => void this.#beat(), 1000)
  }

  async #beat(): Promise<void> {
    const configHash = hashTargets(this.#targets)
    const sequence = ++this.#sequence
    await this.#writer.heartbeat({ prober: this.#identity, sequence, configHash, overdue: 0, overdueAgeMs: 0 })
  }

  says(target: string, value: VoteValue): Promise<void> {
    return this.#writer.change(voteOf(target, value))
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#store.close()
  }
}

const voteOf = (target: string, value: VoteValue): Vote => {
  const reason = value === 'up' ? '200' : 'connection refused'
  return { target, value, moving: false, reason, rttMs: 1, share: 1000 }
}

/** Asks a node for Paris until its answer is what is waited for. */
class Poller {
  readonly #socket: Socket = createSocket('udp4')
  readonly #address: string
  readonly #query = Buffer.from(encodeQuery({ name: 'www.demo.example.', type: 'A', edns: { ecs: PARIS } }))
  #waiting: { readonly named: boolean; readonly done: (atMs: number) => void } | undefined
  #again: NodeJS.Timeout | undefined

  constructor(address: string) {
    this.#address = address
    this.#socket.on('message', (bytes) => this.#take(bytes))
  }

  /** When the first answer came that names fra, or names it no more. */
  until(named: boolean): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#waiting = { named, done: resolve }
    this.#ask()
    return promise
  }

  #ask(): void {
    this.#socket.send(this.#query, DNS_PORT, this.#address)
    clearTimeout(this.#again)
    this.#again = setTimeout(() => this.#ask(), 200) // if that one was lost
  }

  #take(bytes: Buffer): void {
    if (this.#waiting === undefined) return
    const { named, done } = this.#waiting
    if (bytes.includes(FRA) !== named) return this.#ask()
    clearTimeout(this.#again)
    this.#waiting = undefined
    done(performance.now())
  }

  close(): void {
    clearTimeout(this.#again)
    this.#socket.close()
  }
}

const FRA = Buffer.from(VIPS.fra.split('.').map(Number))

function print(what: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)]!.toFixed(2)
  console.log(
    `${what.padEnd(16)} p50 ${at(0.5)} p90 ${at(0.9)} p99 ${at(0.99)} max ${at(1)} ms of ${times.length} flips`,
  )
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
