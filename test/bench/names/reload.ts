/**
 * Reloads of a running server: whether they lose a query or make one late, beside the same load without a reload, and
 * what memory they leave behind. Server and load have a core each; all threads of the server share its one.
 */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseName } from '../../../src/dns/name.ts'
import { type Daemon, spawnPinned, stopDaemon } from '../peers/daemons.ts'
import { type Load, measure, type Run, writeQueries } from '../peers/measure.ts'
import { median } from '../median.ts'

const SERVER_CORE = 0
const LOAD_CORE = 1
const PAIRS = 5
const SECONDS = 8
const RELOADS = 100
const RATES = [10_000, 50_000]
const START_MS = 180_000

export interface Scene {
  /** Holds the zones in `zones`; the server's settings and logs are put beside them. */
  readonly folder: string
  /** Names that exist, in text. */
  readonly names: readonly string[]
  /** A zone's file, relative to the zones, and what to put into it to make it another. */
  readonly files: readonly string[]
  readonly content: (file: number, round: number) => string
}

interface Server extends Daemon {
  readonly http: string
}

export async function benchReloads(scene: Scene): Promise<void> {
  if (spawnSync('sh', ['-c', 'command -v dnsperf taskset']).status !== 0) {
    console.log('reloads of a running server: left out, for dnsperf (Debian: dnsperf) or taskset is missing')
    return
  }
  const server = await startServer(scene.folder)
  try {
    for (const rate of RATES) await underLoad(server, scene, rate)
    await manyReloads(server, scene)
  } finally {
    await stopDaemon(server)
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

async function startServer(folder: string): Promise<Server> {
  const [port, httpPort] = [await freePort(), await freePort()]
  const http = `127.0.0.1:${httpPort}`
  mkdirSync(join(folder, 'state'), { recursive: true })
  const settings = [
    `listen: ["127.0.0.1:${port}"]`,
    'zones: zones',
    'state: state',
    `http.listen: ${http}`,
    'threads: 1',
  ]
  writeFileSync(join(folder, 'meridian.yaml'), settings.join('\n') + '\n')
  const main = resolve(import.meta.dirname, '../../../src/main.ts')
  const log = join(folder, 'serve.log')
  const command = [process.execPath, main, 'serve', '-c', join(folder, 'meridian.yaml')]
  const beganMs = performance.now()
  const child = spawnPinned(SERVER_CORE, command, openSync(log, 'w'))
  process.once('exit', () => child.kill('SIGKILL'))
  for (;;) {
    const ready = await fetch(`http://${http}/ready`).catch(() => undefined)
    if (ready?.ok) break
    if (child.exitCode !== null || performance.now() - beganMs > START_MS) {
      child.kill('SIGKILL')
      throw new Error(`the server is not ready; its log ends:\n${readFileSync(log, 'utf8').slice(-2000)}`)
    }
    await sleep(50)
  }
  console.log(`\nserve: ready after ${((performance.now() - beganMs) / 1000).toFixed(1)} s on one core`)
  return { name: 'meridian', port, process: child, http }
}

async function generationOf({ http }: Server): Promise<number> {
  const text = await (await fetch(`http://${http}/metrics`)).text()
  return Number(/^meridian_world_generation (\d+)/m.exec(text)?.[1])
}

/** Changes files and waits until a World with them is served. Milliseconds that took. */
async function reload(server: Server, scene: Scene, files: number, round: number): Promise<number> {
  const before = await generationOf(server)
  const beganMs = performance.now()
  for (let file = 0; file < files; file++) {
    writeFileSync(join(scene.folder, 'zones', scene.files[file]!), scene.content(file, round))
  }
  while ((await generationOf(server)) === before) {
    if (performance.now() - beganMs > START_MS) throw new Error('a change of zones was not picked up')
    await sleep(50)
  }
  return performance.now() - beganMs
}

interface Seen {
  readonly run: Run
  readonly reloads: number
}

/** One run of load; `files` > 0: with that many files changed, again and again until it ends. */
async function oneRun(server: Server, scene: Scene, load: Load, files: number, round: number): Promise<Seen> {
  const state = { ended: false, reloads: 0 }
  const running = measure(server, load).finally(() => (state.ended = true))
  if (files > 0) {
    while (!state.ended) {
      await reload(server, scene, files, round * 1000 + state.reloads)
      state.reloads++
    }
  }
  return { run: await running, reloads: state.reloads }
}

async function underLoad(server: Server, scene: Scene, rate: number): Promise<void> {
  const queries = join(scene.folder, 'queries')
  writeQueries(queries, scene.names.map(encode))
  const load: Load = { queries, pace: rate, seconds: SECONDS, core: LOAD_CORE, folder: scene.folder }
  await measure(server, { ...load, seconds: 2 })
  console.log(`\n${rate} queries/s for ${SECONDS} s, ${PAIRS} times in turn: lost / p50 ms / p99.9 ms (reloads)`)
  const kinds = [
    { name: 'no reload', files: 0 },
    { name: 'one file, again and again', files: 1 },
    { name: 'every file', files: scene.files.length },
  ]
  const worst: number[][] = kinds.map(() => [])
  for (let pair = 0; pair < PAIRS; pair++) {
    const cells: string[] = []
    for (const [i, { name, files }] of kinds.entries()) {
      const { run, reloads } = await oneRun(server, scene, load, files, pair + 1)
      worst[i]!.push(run.p999Ms)
      const figures = `${run.sent - run.received} / ${run.p50Ms.toFixed(3)} / ${run.p999Ms.toFixed(2)}`
      cells.push(`${name} ${figures}${files > 0 ? ` (${reloads})` : ''}`)
    }
    console.log(`  ${cells.join('   ')}`)
  }
  const [quiet, ...others] = worst.map(median)
  const added = others.map((value, i) => `${kinds[i + 1]!.name} ${(value - quiet!).toFixed(2)} ms`)
  console.log(`  added to the median p99.9 of ${quiet!.toFixed(2)} ms: ${added.join(', ')}`)
}

function encode(name: string): Buffer {
  const wire = parseName(name)
  if ('fault' in wire) throw new Error(wire.fault)
  return Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), wire, Buffer.from([0, 1, 0, 1])])
}

async function manyReloads(server: Server, scene: Scene): Promise<void> {
  const resident = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))![1]) * 1024
  console.log(`\n${RELOADS} reloads, one file changed each`)
  const times: number[] = []
  for (let round = 1; round <= RELOADS; round++) {
    times.push(await reload(server, scene, 1, 100_000 + round))
    if (round === 1 || round % 20 === 0) {
      console.log(`  after reload ${String(round).padStart(3)}: resident ${Math.round(resident() / 1e6)} MB`)
    }
  }
  console.log(`  from the change to its World being served: ${Math.round(median(times))} ms (median)`)
}
