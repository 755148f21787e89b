/**
 * Two thousand TCP connections that make a node hold what they will not take: answers of 60 kB that nobody reads, or sips
 * at, queries that never end, connections that come and go. The node may have 512 MB (of a memory cgroup, where one can be
 * made; elsewhere its resident memory is watched), and goes on answering.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { query, TcpClient, UdpClient } from '../server/client.ts'
import { DNS_PORT, HTTP_PORT, NodeProcess, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'
import type { Attack, Scale } from './attack.ts'
import { type Kind, type Load, startLoad, writeZone } from './tcp-load.ts'

const LIMIT_MB = 512
/** For a reply: of a machine that does other things too. */
const PATIENCE_MS = 30_000
const START_MS = 120_000

interface Part {
  readonly kind: Kind
  readonly connections: number
  readonly addresses: number
  readonly perSecond?: number
}

const PARTS: Readonly<Record<Scale, readonly Part[]>> = {
  smoke: [
    { kind: 'unread', connections: 1600, addresses: 20 },
    { kind: 'half', connections: 400, addresses: 10 },
  ],
  full: [
    { kind: 'unread', connections: 700, addresses: 20 },
    { kind: 'sip', connections: 300, addresses: 300 },
    { kind: 'half', connections: 300, addresses: 10 },
    { kind: 'drip', connections: 300, addresses: 300 },
    { kind: 'pipeline', connections: 100, addresses: 100 },
    { kind: 'garbage', connections: 100, addresses: 10, perSecond: 500 },
    { kind: 'mute', connections: 200, addresses: 200 },
    { kind: 'churn', connections: 100, addresses: 100, perSecond: 500 },
  ],
}
const LASTS_MS: Readonly<Record<Scale, number>> = { smoke: 2_000, full: 300_000 }

async function run(scale: Scale, print: (line: string) => void): Promise<void> {
  const scene = new Scene()
  writeZone(scene)
  const group = makeGroup()
  print(group === undefined ? `resident memory at most ${LIMIT_MB} MB, watched` : `${group.path}: ${LIMIT_MB} MB`)
  const loads: Load[] = []
  let node: NodeProcess | undefined
  try {
    await scene.startSites()
    node = new NodeProcess(['serve', ...scene.flags()], scene.state, group === undefined ? {} : { via: group.via })
    await node.ready(START_MS)
    const startRss = rssMb(node.pid)
    const to = { address: scene.address(0), port: DNS_PORT }
    await Promise.all(PARTS[scale].map(async (part) => loads.push(await startLoad({ ...part, to }))))
    let peakMb = startRss
    const startedMs = performance.now()
    for (let nextPrintMs = 0; performance.now() - startedMs < LASTS_MS[scale]; await sleep(100)) {
      const elapsedMs = performance.now() - startedMs
      if (!node.runs)
        throw new Error(`the node ended after ${(elapsedMs / 1000).toFixed(1)} s, at ${peakMb} MB or more`)
      peakMb = Math.max(peakMb, rssMb(node.pid))
      if (peakMb > LIMIT_MB) throw new Error(`the node held ${peakMb} MB after ${(elapsedMs / 1000).toFixed(1)} s`)
      if (elapsedMs < nextPrintMs) continue
      nextPrintMs += 15_000
      await answers(scene)
      print(`${(elapsedMs / 1000).toFixed(0).padStart(4)} s: ${await figures(node, scene, group)}`)
    }
    await answers(scene)
    print(`at the end: ${await figures(node, scene, group)}`)
    print(`resident: ${startRss} MB before, ${peakMb} MB at most`)
    const replaced = /^meridian_threads_replaced_total\{why="\w+"\} [1-9]/m.exec(await metrics(scene))
    if (replaced !== null) throw new Error(`a thread was replaced: ${replaced[0]}`)
  } finally {
    for (const load of loads) await load.stop()
    node?.kill('SIGKILL')
    await node?.ended
    await scene.close()
    group?.remove()
  }
}

interface Group {
  readonly path: string
  /** Runs a command in it. */
  readonly via: readonly string[]
  /** What sockets hold apart, where it is counted apart. */
  usageMb(): string
  remove(): void
}

/** Folder, limits and usages of memory cgroups, version 1 and 2. The first counts what sockets hold apart. */
const GROUPS = [
  {
    root: '/sys/fs/cgroup/memory',
    limits: ['memory.limit_in_bytes', 'memory.kmem.tcp.limit_in_bytes'],
    usages: ['memory.usage_in_bytes', 'memory.kmem.tcp.usage_in_bytes'],
  },
  { root: '/sys/fs/cgroup', limits: ['memory.max'], usages: ['memory.current'] },
]

/** A memory cgroup with a limit; undefined where none can be made. */
function makeGroup(): Group | undefined {
  for (const { root, limits, usages } of GROUPS) {
    const path = `${root}/meridian-attack-${process.pid}`
    try {
      mkdirSync(path)
      if (!existsSync(`${path}/${limits[0]!}`)) throw new Error('the memory of this group has no limit')
      for (const limit of limits) writeFileSync(`${path}/${limit}`, String(LIMIT_MB * 1e6))
      return {
        path,
        via: ['sh', '-c', `echo $$ > ${path}/cgroup.procs && exec "$@"`, 'sh'],
        usageMb: () =>
          usages.map((usage) => Math.round(Number(readFileSync(`${path}/${usage}`, 'utf8')) / 1e6)).join(' + '),
        remove: () => rmdirSync(path),
      }
    } catch {
      if (existsSync(path)) rmdirSync(path)
    }
  }
  return undefined
}

function rssMb(pid: number): number {
  try {
    return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1e3)
  } catch {
    return 0 // it has ended: seen elsewhere
  }
}

/** UDP, HTTP and another client of TCP have their answers. */
async function answers(scene: Scene): Promise<void> {
  const to = { address: scene.address(0), port: DNS_PORT }
  const udp = await UdpClient.to(to)
  await udp.ask(query(1, 'www.demo.example')).finally(() => udp.close())
  const { status } = await fetch(`http://${to.address}:${HTTP_PORT}/live`, { signal: AbortSignal.timeout(PATIENCE_MS) })
  if (status !== 200) throw new Error(`/live: ${status}`)
  await until('an answer over TCP', () => askOverTcp(to))
}

/** A client that is refused or loses its place tries again. */
async function askOverTcp(to: { readonly address: string; readonly port: number }): Promise<true | undefined> {
  const client = new TcpClient(to, '127.20.0.1')
  client.send(query(7, 'www.demo.example'))
  await until('an answer or the end', () => client.answers.length > 0 || client.closed)
  client.socket.destroy()
  return client.answers.length > 0 ? true : undefined
}

const metrics = async (scene: Scene): Promise<string> =>
  (await fetch(`http://${scene.address(0)}:${HTTP_PORT}/metrics`, { signal: AbortSignal.timeout(PATIENCE_MS) })).text()

async function figures(node: NodeProcess, scene: Scene, group: Group | undefined): Promise<string> {
  const series = [
    ...(await metrics(scene)).matchAll(/^meridian_tcp_(?:held_bytes|connections(?:_total\{what="(\w+)"\})?) (\d+)/gm),
  ]
  const told = series.map(([line, what, count]) => `${what ?? /tcp_(\w+)/.exec(line)![1]} ${count}`)
  const cgroup = group === undefined ? '' : `, its cgroup ${group.usageMb()} MB`
  return `resident ${rssMb(node.pid)} MB${cgroup}; ${told.join(', ')}`
}

export const attack: Attack = {
  tries: '2,000 connections that take no answers and end no queries, at a node of 512 MB',
  run,
}
