/**
 * One measured run: a load on one core, a server on another, and the server's CPU from what /proc says of all its
 * threads before and after. Run time is exact (the scheduler's nanoseconds); its split into user and system time follows
 * the kernel's clock ticks and settles over some seconds only.
 */
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Daemon, spawnPinned } from './daemons.ts'

/** `saturated`: blast.ts, which can outrun every server; `dnsperf`: as fast as that goes; a number: queries a second. */
export type Pace = 'saturated' | 'dnsperf' | number

export interface Load {
  /** File made by writeQueries(). */
  readonly queries: string
  readonly pace: Pace
  readonly seconds: number
  readonly core: number
  /** For the log of the load's program. */
  readonly folder: string
}

export interface Run {
  readonly sent: number
  readonly received: number
  readonly rate: number
  readonly p50Ms: number
  readonly p999Ms: number
  readonly cpuMicros: number
  readonly userMicros: number
  readonly systemMicros: number
  /** Part of its core that the server used. */
  readonly busy: number
}

/** Outstanding queries: dnsperf's default, and what keeps a server's queue from running empty. */
const DNSPERF_WINDOW = 100
const BLAST_WINDOW = 256

/** Writes queries in dnsperf's binary form: two bytes of length, then the message. */
export function writeQueries(file: string, queries: readonly Buffer[]): void {
  const framed = queries.flatMap((query) => [Buffer.from([query.length >> 8, query.length & 255]), query])
  writeFileSync(file, Buffer.concat(framed))
}

export async function measure(daemon: Daemon, load: Load): Promise<Run> {
  const log = join(load.folder, 'load.log')
  const out = openSync(log, 'w')
  const before = readCpu(daemon)
  const beganMs = performance.now()
  const child = spawnPinned(load.core, loadCommand(daemon, load), out)
  const [status] = await once(child, 'exit')
  const tookMs = performance.now() - beganMs
  const after = readCpu(daemon)
  closeSync(out)
  const text = readFileSync(log, 'latin1')
  if (status !== 0) throw new Error(`the load failed:\n${text.slice(-2000)}`)
  const seen = load.pace === 'saturated' ? readBlast(text) : readDnsperf(text)
  const userTicks = after.userTicks - before.userTicks
  const systemTicks = after.systemTicks - before.systemTicks
  const cpuMicros = (after.runNs - before.runNs) / 1000 / seen.received
  const userMicros = (cpuMicros * userTicks) / (userTicks + systemTicks)
  const busy = (after.runNs - before.runNs) / 1e6 / Math.min(tookMs, load.seconds * 1000)
  return { ...seen, cpuMicros, userMicros, systemMicros: cpuMicros - userMicros, busy }
}

function loadCommand(daemon: Daemon, { queries, pace, seconds }: Load): string[] {
  const port = String(daemon.port)
  if (pace === 'saturated') {
    const program = join(import.meta.dirname, 'blast.ts')
    return [process.execPath, program, port, queries, String(seconds), String(BLAST_WINDOW)]
  }
  const flags = `-B -d ${queries} -s 127.0.0.1 -p ${port} -l ${seconds} -c 4 -q ${DNSPERF_WINDOW} -t 1 -v`.split(' ')
  return ['dnsperf', ...flags, ...(pace === 'dnsperf' ? [] : ['-Q', String(pace)])]
}

type Seen = Pick<Run, 'sent' | 'received' | 'rate' | 'p50Ms' | 'p999Ms'>

function readBlast(text: string): Seen {
  const seen: Seen = JSON.parse(text)
  return seen
}

/** dnsperf's summary, and the latencies of its -v: a line `> NOERROR … 0.000123` for each reply. */
function readDnsperf(text: string): Seen {
  const figure = (label: string): number => Number(new RegExp(`${label}: +([\\d.]+)`).exec(text)?.[1])
  const latencies: number[] = []
  for (let at = text.indexOf('\n> '); at >= 0; at = text.indexOf('\n> ', at + 1)) {
    const end = text.indexOf('\n', at + 1)
    // queries that timed out have `T` instead
    if (text[at + 3] !== 'T') latencies.push(Number(text.slice(text.lastIndexOf(' ', end), end)))
  }
  const sorted = Float64Array.from(latencies).toSorted()
  const quantileMs = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]! * 1000
  return {
    sent: figure('Queries sent'),
    received: figure('Queries completed'),
    rate: figure('Queries per second'),
    p50Ms: quantileMs(0.5),
    p999Ms: quantileMs(0.999),
  }
}

export interface Cpu {
  readonly runNs: number
  readonly userTicks: number
  readonly systemTicks: number
}

/** CPU of all threads of a server so far. */
export function readCpu({ process: { pid } }: Daemon): Cpu {
  let runNs = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    runNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  }
  // fields 14 and 15 of proc(5)'s stat, counted from behind the name in brackets, which may hold spaces
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return { runNs, userTicks: Number(fields[11]), systemTicks: Number(fields[12]) }
}
