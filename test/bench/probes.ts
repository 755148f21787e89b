/**
 * `npm run bench -- probes [KIND] [TARGETS] [INTERVAL_MS] [SECONDS] [THREADS]`: what probing costs. KIND: a kind of check, http
 * unless said, or grpcs, which is grpc over TLS. A whole prober runs in a process of its own on core 0 (with more threads than
 * one: on both), each target on an address of its own; on core 1 one haproxy (Debian: haproxy), and for agent, dns and grpc one
 * program of ours, are all the sites. Printed are CPU, how late checks began, what failed, and how long the prober and its
 * sites were ready to run and had no core. Late is taken against each target's phase, so it holds all delays there are.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authority, good } from '../support/certificates.ts'
import type { Figures, Kind, Order } from './probes/measure.ts'
import { SITE_PORTS } from './probes/sites.ts'

const HAPROXY = { http: 8079, https: 8078 }
const PORTS: Readonly<Record<Kind, number>> = {
  ...SITE_PORTS,
  ...HAPROXY,
  tcp: HAPROXY.http,
  tls: HAPROXY.https,
  icmp: 0,
  exec: 0,
}
const isKind = (word: string | undefined): word is Kind => word !== undefined && Object.hasOwn(PORTS, word)

export async function run(args: string[]): Promise<void> {
  if (spawnSync('sh', ['-c', 'command -v haproxy taskset']).status !== 0) {
    console.log('left out, for haproxy (Debian: haproxy) or taskset is missing')
    return
  }
  const kind = isKind(args[0]) ? args[0] : 'http'
  const [targets = 10_000, intervalMs = 5000, seconds = 30, threads = 1] = args
    .filter((arg) => /^\d+$/.test(arg))
    .map(Number)
  const folder = mkdtempSync(join(tmpdir(), 'meridian-bench-'))
  writeFileSync(join(folder, 'authority.pem'), authority)
  const sites = await startSites(folder, kind)
  try {
    const order: Order = { kind, targets, intervalMs, seconds, threads, port: PORTS[kind], sites: sites.pid! }
    print(order, await measure(order, folder))
  } finally {
    sites.kill()
    rmSync(folder, { recursive: true })
  }
}

async function startSites(folder: string, kind: Kind) {
  const ours = Object.hasOwn(SITE_PORTS, kind)
  const program = ours ? [process.execPath, join(import.meta.dirname, 'probes/sites.ts')] : configure(folder)
  const sites = spawn(...pinned('1', program), { stdio: 'inherit', detached: true })
  const port = ours ? SITE_PORTS.agent : HAPROXY.http
  const endMs = performance.now() + 5000
  while (!(await accepts(port))) {
    if (performance.now() > endMs || sites.exitCode !== null) throw new Error(`${program[0]} does not start`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return sites
}

/** On these cores, and, as root, in a scheduling group of its own before the machine's other work. */
const pinned = (cores: string, program: readonly string[]): [string, string[]] => {
  const first = 'echo -20 2>/dev/null >/proc/self/autogroup; exec "$@"'
  return ['sh', ['-c', first, 'sh', 'taskset', '-c', cores, ...program]]
}

function configure(folder: string): string[] {
  writeFileSync(join(folder, 'site.pem'), `${good.cert}\n${good.key}\n`)
  const config = `global
  maxconn 8000
  nbthread 1
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 1s
frontend sites
  bind 0.0.0.0:${HAPROXY.http} backlog 8192
  bind 0.0.0.0:${HAPROXY.https} backlog 8192 ssl crt ${folder}/site.pem
  http-request return status 200 content-type text/plain string well
`
  writeFileSync(join(folder, 'haproxy.cfg'), config)
  return ['haproxy', '-db', '-f', join(folder, 'haproxy.cfg')]
}

const accepts = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

function measure(order: Order, folder: string): Promise<Figures> {
  const program = join(import.meta.dirname, 'probes/measure.ts')
  const command = pinned(order.threads === 1 ? '0' : '0,1', [process.execPath, program, JSON.stringify(order)])
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'authority.pem') }
  const child = spawn(...command, { env, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('exit', (code) =>
      code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`measure ended with ${code}`)),
    )
  })
}

function print({ kind, targets, intervalMs, threads }: Order, figures: Figures): void {
  const { wallMs, checks, failed, reason, cpuMs, mainMs, overdue, troubles } = figures
  const sorted = figures.lateMs.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]?.toFixed(1)
  const rate = ((checks * 1000) / wallMs).toFixed(0)
  console.log(`${targets} ${kind} targets every ${intervalMs} ms, ${threads} threads, ${(wallMs / 1000).toFixed(0)} s`)
  console.log(`${checks} checks, ${rate} a second, ${failed} failed${failed > 0 ? ` (${reason})` : ''}`)
  const share = ((cpuMs / wallMs) * 100).toFixed(1)
  console.log(
    `CPU ${share} % of a core, ${((cpuMs * 1000) / checks).toFixed(0)} µs a check; main thread ${((mainMs / wallMs) * 100).toFixed(1)} %`,
  )
  console.log(
    `begun late: median ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, most ${at(1)} ms; ${overdue} overdue at most`,
  )
  const part = (ms: number) => `${((ms / wallMs) * 100).toFixed(0)} %`
  console.log(
    `of the time threads of the prober waited ${part(figures.heldMs)} for a core; the sites ran ${part(figures.sitesCpuMs)}, and waited ${part(figures.sitesHeldMs)}`,
  )
  for (const trouble of troubles) console.log(trouble)
}
