/**
 * UDP, without anybody else's server: what the batch loop costs apart from respond(), what a busy and an idle address
 * mean for each other, what a killed thread and a hand-over cost. The comparison with other servers is `peers`.
 *
 *   npm run bench -- udp [loop|idle|kill|handover]
 *
 * loop needs dnsperf; it runs the real loop with a responder that only turns the query round.
 */
import { spawn } from 'node:child_process'
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import type { respond } from '../../src/answer/answer.ts'
import { makeResponder } from '../../src/answer/responder.ts'
import type { World } from '../../src/answer/world.ts'
import { makeCounters } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { linux } from '../../src/linux/calls.ts'
import { serveBatches, SIGNAL, STOP, THREAD_CELLS } from '../../src/server/batch.ts'
import { makeNeighbourTables } from '../../src/server/neighbours.ts'
import { bindAll, type UdpSocket } from '../../src/server/sockets.ts'
import { load, query } from '../server/client.ts'
import { makeWorld, start } from '../server/fixture.ts'
import { runInThread } from '../server/inspect.ts'

const world = isMainThread ? await makeWorld(1) : undefined
const LISTEN = ['127.53.0.1', '127.53.0.2'].map((address) => ({ address, port: 0 }))

export async function run(args: readonly string[]): Promise<void> {
  const benches: Readonly<Record<string, () => Promise<void>>> = { loop, idle, kill, handover }
  for (const [name, bench] of Object.entries(benches)) if (args.length === 0 || args.includes(name)) await bench()
}

/** Turns a query into a response of the same bytes: what is left is the loop and the kernel. */
const echo: typeof respond = (responder, { input, at, length, output, outAt }) => {
  responder.counters[0]!++
  for (let i = 0; i < length; i++) output[outAt + i] = input[at + i]!
  output[outAt + 2]! |= 0x80
  return length
}

interface LoopData {
  readonly sockets: readonly UdpSocket[]
  readonly cells: Int32Array
  readonly served: World
  readonly counters: Float64Array
  readonly usage: Float64Array
}

if (!isMainThread) {
  const { sockets, cells, served, counters, usage }: LoopData = workerData
  if ('missing' in linux) throw new Error(linux.missing)
  const before = process.threadCpuUsage()
  serveBatches(
    linux,
    sockets,
    cells,
    makeResponder(served, makeHealthTable(), counters),
    echo,
    () => {},
    makeNeighbourTables(),
  )
  const { user, system } = process.threadCpuUsage(before)
  usage.set([user, system])
}

/** CPU of the answering thread per query, at full load and at fixed rates, with one listen address and with two. */
async function loop(): Promise<void> {
  if ('missing' in linux) throw new Error(linux.missing)
  const calls = linux
  console.log('loop with an empty responder: CPU µs per query (user + system)')
  const folder = mkdtempSync(join(tmpdir(), 'meridian-udp-'))
  writeFileSync(join(folder, 'queries'), 'www.example.com A\n'.repeat(100))
  for (const addresses of [1, 2]) {
    for (const perSecond of [undefined, 50_000, 10_000]) {
      const bound = bindAll(calls, LISTEN.slice(0, addresses), 1, false)
      const cells = new Int32Array(new SharedArrayBuffer(THREAD_CELLS * 4))
      cells[SIGNAL] = 1
      const counters = makeCounters()
      const usage = new Float64Array(new SharedArrayBuffer(16))
      const data: LoopData = { sockets: bound.map(({ udp }) => udp[0]!), cells, served: world!, counters, usage }
      const worker = new Worker(new URL(import.meta.url), { workerData: data })
      const { address, port } = bound[0]!.endpoint
      const rate = perSecond === undefined ? [] : ['-Q', String(perSecond)]
      const said = await dnsperf(['-s', address, '-p', String(port), '-d', join(folder, 'queries'), '-l', '4', ...rate])
      const ended = new Promise((resolve) => void worker.once('exit', resolve))
      Atomics.store(cells, SIGNAL, STOP)
      await ended
      for (const { udp, tcp } of bound) for (const { fd } of [...udp, { fd: tcp }]) calls.close(fd)
      const [user, system] = [usage[0]! / counters[0]!, usage[1]! / counters[0]!]
      const label = `${addresses} address(es), ${perSecond ?? 'full'} q/s`
      console.log(
        `  ${label.padEnd(28)} ${user.toFixed(2)} + ${system.toFixed(2)} = ${(user + system).toFixed(2)}   ${said}`,
      )
    }
  }
  rmSync(folder, { recursive: true })
}

/** Rate and loss, as dnsperf tells them. */
async function dnsperf(args: readonly string[]): Promise<string> {
  const child = spawn('taskset', ['-c', '1', 'dnsperf', '-c', '8', '-q', '200', ...args])
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject))
  const find = (pattern: RegExp): string => pattern.exec(out)?.[1]?.trim() ?? '?'
  return `${find(/Queries per second:\s+(.*)/)} q/s, lost ${find(/Queries lost:\s+(.*)/)}`
}

const percentile = (values: readonly number[], part: number): string =>
  (values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0).toFixed(2)

/** Latencies at 1,000 q/s of one listen address alone, and beside an idle one; in turns, for the machine's noise. */
async function idle(): Promise<void> {
  for (const addresses of [1, 2, 1, 2]) {
    const { server } = await start({ world: world!, listen: LISTEN.slice(0, addresses) })
    const signal = AbortSignal.timeout(10_000)
    const asked = await load(server.listen[0]!, (id) => query(id, 'www.example.com'), { perSecond: 1000, signal })
    const [p50, p99, p999] = [0.5, 0.99, 0.999].map((part) => percentile(asked.latenciesMs, part))
    const label = addresses === 1 ? 'one address' : 'two addresses, one idle'
    console.log(`${label}, 1,000 q/s: p50 ${p50} p99 ${p99} p99.9 ${p999} ms, lost ${asked.lost}/${asked.sent}`)
    await server.stop()
  }
}

/** An answering thread killed under load: what is lost, and how long nobody answers. */
async function kill(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const { server } = await start({ world: world!, listen: LISTEN.slice(0, 1) })
    const done = new AbortController()
    const loading = load(server.listen[0]!, (id) => query(id, 'www.example.com'), {
      perSecond: 10_000,
      signal: done.signal,
    })
    await sleep(2000)
    await runInThread('answering', 'process.exit(1)')
    await sleep(2000)
    done.abort()
    const { sent, lost, gapMs } = await loading
    const { died } = server.stats().udp
    console.log(
      `thread killed at 10,000 q/s: died ${died}, lost ${lost} of ${sent}, longest silence ${gapMs.toFixed(1)} ms`,
    )
    await server.stop()
  }
}

/** A successor takes over under load, again and again. */
async function handover(): Promise<void> {
  const rounds = 20
  let now = await start({ world: world!, threads: 2, listen: LISTEN.slice(0, 1) })
  const listen = now.server.listen
  const done = new AbortController()
  const loading = load(listen[0]!, (id) => query(id, 'www.example.com'), {
    perSecond: 10_000,
    signal: done.signal,
    clients: 64,
  })
  for (let round = 0; round < rounds; round++) {
    const next = await start({ world: world!, threads: 2, listen, takeover: true })
    await now.server.stop()
    now = next
  }
  done.abort()
  const { sent, lost, gapMs } = await loading
  console.log(`${rounds} hand-overs at 10,000 q/s: lost ${lost} of ${sent}, longest silence ${gapMs.toFixed(1)} ms`)
  await now.server.stop()
}
