/**
 * The process that is measured: a whole prober (threads, own targets, memory store) at its targets. Started by the bench,
 * pinned to its cores; tells its figures as JSON.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { startProber } from '../../../src/probe/thread.ts'
import { MemoryStore } from '../../../src/store/memory.ts'
import type { CheckKind, CheckModel } from '../../../src/zone/model.ts'
import { timing } from '../../support/specs.ts'
import type { Watched } from './worker.ts'

/** grpcs: grpc over TLS. */
export type Kind = CheckModel['type'] | 'grpcs'

export interface Order {
  readonly kind: Kind
  readonly targets: number
  readonly intervalMs: number
  readonly seconds: number
  readonly threads: number
  readonly port: number
  /** The process that is the sites. */
  readonly sites: number
}

export interface Figures {
  readonly wallMs: number
  readonly checks: number
  readonly failed: number
  readonly reason: string
  readonly cpuMs: number
  /** Of the main thread: the store and the own targets. */
  readonly mainMs: number
  /** In which threads of the prober, and the sites, were ready to run and had no core. */
  readonly heldMs: number
  readonly sitesCpuMs: number
  readonly sitesHeldMs: number
  readonly lateMs: readonly number[]
  readonly overdue: number
  readonly troubles: readonly string[]
}

/** Time that a thread ran, and that it waited for a core, in ms. */
const runAndWait = (task: string): readonly [number, number] => {
  const [run, waited] = readFileSync(`/proc/${task}/schedstat`, 'utf8').split(' ')
  return [Number(run) / 1e6, Number(waited) / 1e6]
}
const heldMs = () => readdirSync('/proc/self/task').reduce((sum, task) => sum + runAndWait(`self/task/${task}`)[1], 0)
/** Run time of the main thread, in ms. */
const runMs = () => runAndWait(`self/task/${process.pid}`)[0]
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const { kind, targets: count, intervalMs, seconds, threads, port, sites }: Order = JSON.parse(process.argv[2]!)
const timeoutMs = Math.min(2000, intervalMs / 2)
const host = 'www.example.com'
const verified = { host, verify: true }
const KINDS: Readonly<Record<Kind, CheckKind>> = {
  http: { type: 'http', method: 'GET', path: '/healthz', statuses: [200], ...verified },
  https: { type: 'https', method: 'GET', path: '/healthz', statuses: [200], ...verified },
  tcp: { type: 'tcp' },
  tls: { type: 'tls', ...verified, validFor: { failMs: 86_400_000 } },
  grpc: { type: 'grpc', tls: false, service: '', ...verified },
  grpcs: { type: 'grpc', tls: true, service: '', ...verified },
  dns: { type: 'dns', name: 'www.example.com.', rrtype: 'A', rcodes: ['NOERROR'] },
  icmp: { type: 'icmp' },
  agent: { type: 'agent' },
  exec: { type: 'exec', command: 'true' },
}
const check: CheckModel = { ...timing, intervalMs, timeoutMs, port, ...KINDS[kind] }
const store = new MemoryStore()
const troubles: string[] = []
let watched: Watched[] = []
const prober = startProber({
  name: 'bench',
  region: 'eu',
  store,
  threads,
  rate: 100_000,
  checks: { commands: { true: ['/bin/true'] } },
  reach: { allow: ['127.0.0.0/8'], deny: [], own: [] },
  entry: new URL('./worker.ts', import.meta.url),
  onTrouble: (trouble) => void (trouble.startsWith('{') ? watched.push(JSON.parse(trouble)) : troubles.push(trouble)),
})
/** A UDP socket for all of 127/8 answers from one address only. */
const address = (i: number) => (kind === 'dns' ? '127.0.0.1' : `127.${78 + (i >>> 16)}.${(i >>> 8) & 255}.${i & 255}`)
prober.setTargets(
  Array.from({ length: count }, (_, i) => ({ id: `t${i}`, check, address: address(i), port, probers: 1 })),
)
await wait(2 * intervalMs + 2000) // all known, code warm

await prober.report() // begins anew
watched = []
const cpu = process.cpuUsage()
const mainMs = runMs()
const waitedMs = heldMs()
const sitesBefore = runAndWait(String(sites))
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
  mainMs: runMs() - mainMs,
  heldMs: heldMs() - waitedMs,
  sitesCpuMs: runAndWait(String(sites))[0] - sitesBefore[0],
  sitesHeldMs: runAndWait(String(sites))[1] - sitesBefore[1],
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
