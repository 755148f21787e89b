/**
 * The process that is measured: a whole prober (threads, board, duty, memory store) at its targets. Started by the bench,
 * pinned to its cores; tells its figures as JSON.
 */
import { readFileSync } from 'node:fs'
import { MemoryStore } from '../../../src/health/memory.ts'
import { startProber } from '../../../src/probe/thread.ts'
import { httpCheck } from '../../health/plans.ts'
import type { Watched } from './worker.ts'

export interface Order {
  readonly kind: 'http' | 'https'
  readonly targets: number
  readonly intervalMs: number
  readonly seconds: number
  readonly threads: number
  readonly port: number
}

export interface Figures {
  readonly wallMs: number
  readonly checks: number
  readonly failed: number
  readonly reason: string
  readonly cpuMs: number
  /** Of the main thread: the board, the store, the duty. */
  readonly mainMs: number
  readonly lateMs: readonly number[]
  readonly overdue: number
  readonly troubles: readonly string[]
}

/** Run time of a thread of this process, in ms. */
const runMs = (task: string): number =>
  Number(readFileSync(`/proc/self/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e6
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const { kind, targets: count, intervalMs, seconds, threads, port }: Order = JSON.parse(process.argv[2]!)
const timeoutMs = Math.min(2000, intervalMs / 2)
const check = httpCheck({ type: kind, intervalMs, timeoutMs, port, host: 'www.example.com' })
const store = new MemoryStore()
const troubles: string[] = []
let watched: Watched[] = []
const prober = startProber({
  name: 'bench',
  region: 'eu',
  store,
  threads,
  rate: 100_000,
  entry: new URL('./worker.ts', import.meta.url),
  onTrouble: (trouble) => void (trouble.startsWith('{') ? watched.push(JSON.parse(trouble)) : troubles.push(trouble)),
})
const address = (i: number) => `127.${78 + (i >>> 16)}.${(i >>> 8) & 255}.${i & 255}`
prober.setTargets(
  Array.from({ length: count }, (_, i) => ({ id: `t${i}`, check, address: address(i), port, probers: 1 })),
)
await wait(2 * intervalMs + 2000) // all known, code warm

await prober.report() // begins anew
watched = []
const cpu = process.cpuUsage()
const mainMs = runMs(String(process.pid))
const startMs = performance.now()
let overdue = 0
while (performance.now() < startMs + seconds * 1000) {
  await wait(500)
  overdue = Math.max(overdue, prober.lastHeartbeat?.overdue ?? 0)
}
const { user, system } = process.cpuUsage(cpu)
const figures = {
  wallMs: performance.now() - startMs,
  cpuMs: (user + system) / 1000,
  mainMs: runMs(String(process.pid)) - mainMs,
  overdue,
  troubles,
}
await prober.report()
await prober.stop()
await store.close()
const total: Figures = {
  ...figures,
  checks: watched.reduce((sum, one) => sum + one.checks, 0),
  failed: watched.reduce((sum, one) => sum + one.failed, 0),
  reason: watched.map(({ reason }) => reason).join(' '),
  lateMs: watched.flatMap(({ lateMs }) => lateMs),
}
process.stdout.write(JSON.stringify(total))
