/**
 * `npm run bench -- encrypted`: DNS over TLS and HTTPS beside BIND and Unbound, each server in turn on one core, the load
 * on the other, in one run: CPU of the whole server process for a handshake (connect, one query, close) and for a query
 * (8 connections, 8 queries under way on each), memory of idle connections, and UDP's latency while ClientHellos come in.
 *
 *   --rounds N (3)  --seconds S (4, of each run)  --servers meridian,bind,unbound  --idle N (3000; 0: none)
 *   --hellos N (2000, a second)  --server-core N (1)  --load-core N (0)  --keep (the folder with configurations and logs)
 *
 * Wants two free cores: where handshakes come slower than some hundred a second, Meridian's code is measured before it is
 * compiled, and its threads' other work counts as theirs. Key agreement is X25519 and the certificate ECDSA P-256 for all. A server with its default `tcp.connections` and limit of
 * open files may allow fewer idle connections than are asked for: those that stay open are told.
 */
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type EncryptedDaemon, PACKAGES, SETUPS, startEncrypted } from './encrypted/daemons.ts'
import { installPeers, spawnPinned, stopDaemon } from './peers/daemons.ts'
import { readCpu } from './peers/measure.ts'
import { median } from './median.ts'

type Kind = 'dot' | 'doh'
const KINDS: readonly Kind[] = ['dot', 'doh']
const LOAD = join(import.meta.dirname, 'encrypted/load.ts')
const UDP_RATE = 1000

interface Scene {
  readonly folder: string
  readonly loadCore: number
  readonly seconds: number
}

/** Microseconds of the server's CPU for one, and how many in a second there were. */
interface Cost {
  readonly micros: number
  readonly rate: number
}

export async function run(args: string[]): Promise<void> {
  const { values: options } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
      servers: { type: 'string', default: Object.keys(SETUPS).join(',') },
      idle: { type: 'string', default: '3000' },
      hellos: { type: 'string', default: '2000' },
      'server-core': { type: 'string', default: '1' },
      'load-core': { type: 'string', default: '0' },
      keep: { type: 'boolean', default: false },
    },
  })
  installPeers(PACKAGES)
  const folder = mkdtempSync(join(tmpdir(), 'meridian-encrypted-'))
  const scene: Scene = { folder, loadCore: Number(options['load-core']), seconds: Number(options.seconds) }
  const daemons: EncryptedDaemon[] = []
  try {
    for (const name of options.servers.split(',')) {
      daemons.push(await startEncrypted(name, folder, Number(options['server-core'])))
    }
    // memory first: what is loaded later has caches and freed memory of the loads before
    for (const kind of Number(options.idle) > 0 ? KINDS : []) {
      console.log(`\n${options.idle} idle connections, ${kind}`)
      for (const daemon of daemons) await tellMemory(scene, daemon, kind, Number(options.idle))
    }
    for (const mode of ['handshakes', 'queries']) {
      for (const kind of KINDS) {
        await compare(`${mode}, ${kind}`, daemons, Number(options.rounds), (daemon) =>
          costOfLoad(scene, daemon, mode, kind),
        )
      }
    }
    console.log(`\nUDP, ${UDP_RATE} queries/s: alone, and beside ${options.hellos} ClientHellos/s; ms`)
    for (const daemon of daemons) await tellUdp(scene, daemon, Number(options.hellos), Number(options.rounds))
  } finally {
    await Promise.all(daemons.map(stopDaemon))
    if (options.keep) console.log(`\nconfigurations and logs: ${folder}`)
    else rmSync(folder, { recursive: true })
  }
}

/** Runs a load to its end and returns what it printed. */
async function runLoad({ folder, loadCore }: Scene, name: string, command: readonly string[]): Promise<string> {
  const log = join(folder, `load-${name}.log`)
  const child = spawnPinned(loadCore, command, openSync(log, 'w'))
  const [status] = await once(child, 'exit')
  const text = readFileSync(log, 'utf8')
  if (status !== 0) throw new Error(`the load ${name} failed:\n${text.slice(-2000)}`)
  return text
}

const load = (...args: readonly (string | number)[]): string[] => [process.execPath, LOAD, ...args.map(String)]

async function costOf(daemon: EncryptedDaemon, seconds: number, count: () => Promise<number>): Promise<Cost> {
  const before = readCpu(daemon)
  const done = await count()
  return { micros: (readCpu(daemon).runNs - before.runNs) / 1000 / done, rate: done / seconds }
}

/** `mode`: of load.ts. */
const costOfLoad = (scene: Scene, daemon: EncryptedDaemon, mode: string, kind: Kind): Promise<Cost> =>
  costOf(daemon, scene.seconds, async () => {
    const text = await runLoad(scene, mode, load(mode, kind, daemon[kind], scene.seconds))
    const { done, failed }: { done: number; failed: number } = JSON.parse(text)
    if (failed > done / 100) throw new Error(`${daemon.name}, ${mode}: ${failed} failed, ${done} did not`)
    return done
  })

/** Rounds in each of which every server has its turn; the first is not counted. */
async function compare(
  what: string,
  daemons: readonly EncryptedDaemon[],
  rounds: number,
  measure: (daemon: EncryptedDaemon) => Promise<Cost>,
): Promise<void> {
  const costs: Cost[][] = []
  for (let round = 0; round <= rounds; round++) {
    const row: Cost[] = []
    for (const daemon of daemons) row.push(await measure(daemon))
    if (round > 0) costs.push(row)
  }
  console.log(`\n${what}; medians of ${rounds} rounds`)
  const ours = daemons.findIndex(({ name }) => name === 'meridian')
  for (const [i, { name }] of daemons.entries()) {
    const micros = median(costs.map((row) => row[i]!.micros))
    const rate = median(costs.map((row) => row[i]!.rate))
    const ratio = ours < 0 || ours === i ? '' : median(costs.map((row) => row[ours]!.micros / row[i]!.micros))
    const words = [
      `${micros.toFixed(1).padStart(8)} µs CPU`,
      `${(1e6 / micros).toFixed(0).padStart(7)} a second and core`,
      `${rate.toFixed(0).padStart(7)} a second came`,
      ratio === '' ? '' : `Meridian takes ${ratio.toFixed(2)} of it`,
    ]
    console.log(`  ${name.padEnd(9)} ${words.join('  ')}`)
  }
}

/** Bytes of memory that the process has to itself or shares, in KB. */
const residentKb = ({ process: { pid } }: EncryptedDaemon): number =>
  Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1])

const mb = (kb: number): string => `${(kb / 1024).toFixed(0)} MB`

async function tellMemory(
  { folder, loadCore }: Scene,
  daemon: EncryptedDaemon,
  kind: Kind,
  count: number,
): Promise<void> {
  const before = residentKb(daemon)
  const log = join(folder, 'load-idle.log')
  const child = spawnPinned(loadCore, load('idle', kind, daemon[kind], count), openSync(log, 'w'))
  const exit = once(child, 'exit')
  let text = ''
  while (!text.includes('\n') && child.exitCode === null) {
    await Promise.race([exit, new Promise((resolve) => setTimeout(resolve, 100))])
    text = readFileSync(log, 'utf8')
  }
  const after = residentKb(daemon)
  child.kill('SIGKILL')
  await exit
  if (!text.startsWith('{')) return console.log(`  ${daemon.name.padEnd(9)} the load failed: ${text.slice(-300)}`)
  const { open }: { open: number } = JSON.parse(text)
  const each = ((after - before) / open).toFixed(1)
  console.log(`  ${daemon.name.padEnd(9)} ${open} open: ${each} KB each; in all ${mb(after)}, ${mb(before)} before`)
}

interface Latency {
  readonly sent: number
  readonly lost: number
  readonly p50Ms: number
  readonly p99Ms: number
}

async function tellUdp(scene: Scene, daemon: EncryptedDaemon, rate: number, rounds: number): Promise<void> {
  const ask = async (): Promise<Latency> =>
    JSON.parse(await runLoad(scene, 'udp', load('udp', daemon.port, scene.seconds, UDP_RATE)))
  const alone: Latency[] = []
  const beside: Latency[] = []
  const served: number[] = []
  for (let round = 0; round < rounds; round++) {
    alone.push(await ask())
    const storm = runLoad(scene, 'hellos', load('hellos', daemon.dot, scene.seconds + 1, rate))
    beside.push(await ask())
    const counted: { served: number } = JSON.parse(await storm)
    served.push(counted.served / (scene.seconds + 1))
  }
  const words = (of: readonly Latency[]): string => {
    const lost = of.reduce((sum, one) => sum + one.lost, 0)
    return `p50 ${median(of.map((one) => one.p50Ms)).toFixed(2)} p99 ${median(of.map((one) => one.p99Ms)).toFixed(2)} lost ${lost}`
  }
  console.log(
    `  ${daemon.name.padEnd(9)} alone: ${words(alone)}   beside: ${words(beside)}   (${median(served).toFixed(0)} hellos/s answered)`,
  )
}
