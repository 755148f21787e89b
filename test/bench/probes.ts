/**
 * `npm run bench -- probes [http|https] [TARGETS] [INTERVAL_MS] [SECONDS] [THREADS]`: what probing costs. A whole prober runs
 * in a process of its own on core 0 (with more threads than one: on both), each target on an address of its own; one haproxy on core 1
 * is all the sites (Debian: haproxy). Printed are CPU, how late checks began, and what failed. Late is taken against each target's
 * phase, so it holds all delays there are.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authority, good } from '../probe/certificates.ts'
import type { Figures, Order } from './probes/measure.ts'

const PORTS = { http: 8079, https: 8078 }

export async function run(args: string[]): Promise<void> {
  if (spawnSync('sh', ['-c', 'command -v haproxy taskset']).status !== 0) {
    console.log('left out, for haproxy (Debian: haproxy) or taskset is missing')
    return
  }
  const kind = args[0] === 'https' ? 'https' : 'http'
  const [targets = 10_000, intervalMs = 5000, seconds = 30, threads = 1] = args
    .filter((arg) => /^\d+$/.test(arg))
    .map(Number)
  const folder = mkdtempSync(join(tmpdir(), 'meridian-bench-'))
  const sites = await startSites(folder)
  try {
    const order: Order = { kind, targets, intervalMs, seconds, threads, port: PORTS[kind] }
    print(order, await measure(order, folder))
  } finally {
    sites.kill()
    rmSync(folder, { recursive: true })
  }
}

async function startSites(folder: string) {
  writeFileSync(join(folder, 'site.pem'), `${good.cert}\n${good.key}\n`)
  writeFileSync(join(folder, 'authority.pem'), authority)
  const config = `global
  maxconn 8000
  nbthread 1
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 1s
frontend sites
  bind 0.0.0.0:${PORTS.http} backlog 8192
  bind 0.0.0.0:${PORTS.https} backlog 8192 ssl crt ${folder}/site.pem
  http-request return status 200 content-type text/plain string well
`
  writeFileSync(join(folder, 'haproxy.cfg'), config)
  const haproxy = spawn('taskset', ['-c', '1', 'haproxy', '-db', '-f', join(folder, 'haproxy.cfg')], {
    stdio: 'inherit',
  })
  const endMs = performance.now() + 5000
  while (!(await accepts(PORTS.http))) {
    if (performance.now() > endMs || haproxy.exitCode !== null) throw new Error('haproxy does not start')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return haproxy
}

const accepts = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

function measure(order: Order, folder: string): Promise<Figures> {
  const program = join(import.meta.dirname, 'probes/measure.ts')
  const command = ['-c', order.threads === 1 ? '0' : '0,1', process.execPath, program, JSON.stringify(order)]
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'authority.pem') }
  const child = spawn('taskset', command, { env, stdio: ['ignore', 'pipe', 'inherit'] })
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
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!.toFixed(1)
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
  for (const trouble of troubles) console.log(trouble)
}
