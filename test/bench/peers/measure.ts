/**
 * One measured run: dnsperf on one core sends a file of queries to a server on another, and the server's CPU is what
 * /proc says of all its threads before and after. Run time is exact (nanoseconds, scheduler); its split into user and
 * system time follows the kernel's clock ticks and needs some seconds to settle.
 */
import { once } from 'node:events'
import { openSync, readdirSync, readFileSync, closeSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Daemon, spawnPinned } from './daemons.ts'

export interface Run {
  readonly sent: number
  readonly completed: number
  readonly rate: number
  readonly cpuMicros: number
  readonly userMicros: number
  readonly systemMicros: number
  /** Of the server's core, 0–1. */
  readonly busy: number
  readonly p50Ms: number
  readonly p999Ms: number
}

interface Cpu {
  readonly totalNs: number
  readonly userTicks: number
  readonly systemTicks: number
}

/** CPU of all threads of a process so far. */
function readCpu(pid: number): Cpu {
  let totalNs = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    totalNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  }
  // Fields 14 and 15 of proc(5)'s stat, counted behind the name in brackets, which may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
  return { totalNs, userTicks: Number(fields[11]), systemTicks: Number(fields[12]) }
}

/** Writes queries in dnsperf's binary form: two bytes of length, then the message. */
export function writeQueries(file: string, queries: readonly Buffer[]): void {
  const parts: Buffer[] = []
  for (const query of queries) {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    parts.push(length, query)
  }
  writeFileSync(file, Buffer.concat(parts))
}

export interface Load {
  readonly queries: string
  /** Queries a second; undefined = as many as the server takes with `window` queries outstanding. */
  readonly rate: number | undefined
  readonly seconds: number
  readonly core: number
  readonly window: number
  readonly folder: string
}

export async function measure(daemon: Daemon, load: Load): Promise<Run> {
  const log = join(load.folder, 'dnsperf.log')
  const out = openSync(log, 'w')
  const args = ['-B', '-d', load.queries, '-s', '127.0.0.1', '-p', String(daemon.port), '-l', String(load.seconds)]
  args.push('-c', '4', '-q', String(load.window), '-t', '1')
  if (process.env['NOV'] === undefined) args.push('-v')
  if (load.rate !== undefined) args.push('-Q', String(load.rate))
  const pid = daemon.process.pid!
  const before = readCpu(pid)
  const beganMs = performance.now()
  const child = spawnPinned(load.core, ['dnsperf', ...args], out)
  await once(child, 'exit')
  const tookMs = performance.now() - beganMs
  const after = readCpu(pid)
  closeSync(out)
  return summarize(readFileSync(log, 'latin1'), before, after, tookMs)
}

function summarize(log: string, before: Cpu, after: Cpu, tookMs: number): Run {
  const figure = (label: string): number => Number(new RegExp(`${label}: +([\\d.]+)`).exec(log)?.[1])
  const sent = figure('Queries sent')
  const completed = figure('Queries completed')
  const totalNs = after.totalNs - before.totalNs
  const userTicks = after.userTicks - before.userTicks
  const systemTicks = after.systemTicks - before.systemTicks
  const cpuMicros = totalNs / 1000 / completed
  const userMicros = (cpuMicros * userTicks) / (userTicks + systemTicks)
  const latencies: number[] = []
  for (let at = log.indexOf('\n> '); at >= 0; at = log.indexOf('\n> ', at + 1)) {
    const end = log.indexOf('\n', at + 1)
    latencies.push(Number(log.slice(log.lastIndexOf(' ', end), end)))
  }
  const sorted = Float64Array.from(latencies).toSorted()
  const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]! * 1000
  return {
    sent,
    completed,
    rate: figure('Queries per second'),
    cpuMicros,
    userMicros,
    systemMicros: cpuMicros - userMicros,
    busy: totalNs / 1e6 / tookMs,
    p50Ms: quantile(0.5),
    p999Ms: quantile(0.999),
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
