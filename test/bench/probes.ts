/**
 * `npm run bench -- probes [TARGETS] [INTERVAL_MS] [SECONDS]`: what probing so many http targets costs. The prober runs in
 * this process and the sites, one server for every address of 127.78.0.0/16, in another; printed are CPU, how late checks
 * began, and what the votes say. Jitter is taken against each target's phase, so it holds all delays there are.
 */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { Board } from '../../src/health/store.ts'
import type { Target } from '../../src/health/target.ts'
import { runCheck } from '../../src/probe/check.ts'
import { Prober } from '../../src/probe/prober.ts'
import { phaseOf } from '../../src/probe/schedule.ts'
import { httpCheck } from '../health/plans.ts'

const PORT = 8079
const NAME = 'bench'

export async function run(args: string[]): Promise<void> {
  const [count = 2000, intervalMs = 5000, seconds = 30] = args.map(Number)
  const sites = fork(join(import.meta.dirname, '../probe/site.ts'), ['0.0.0.0', String(PORT)])
  await new Promise((resolve) => sites.once('message', resolve))
  const check = httpCheck({ intervalMs, timeoutMs: Math.min(2000, intervalMs / 2), port: PORT })
  const targets: Target[] = Array.from({ length: count }, (_, i) => ({
    id: `t${i}`,
    check,
    address: `127.78.${i >>> 8}.${i & 255}`,
    port: PORT,
    probers: 1,
  }))
  const lateMs: number[] = []
  /** Targets that failed are checked out of turn for a while: that is not late. */
  const rechecks = new Map<string, number>()
  let checks = 0
  let failed = 0
  const votes = new Map<string, string>()
  let changes = 0
  let overdue = 0
  const board: Board = {
    replace: async () => {},
    change: async (vote) => {
      changes++
      votes.set(vote.target, vote.value)
    },
    retire: async () => {},
    heartbeat: async (beat) => void (overdue = Math.max(overdue, beat.overdue)),
  }
  const prober = new Prober({
    identity: { name: NAME, region: 'eu', bootId: NAME },
    board,
    canaries: [],
    onTrouble: console.log,
    check: async (target) => {
      checks++
      const left = rechecks.get(target.id) ?? 0
      if (left === 0) lateMs.push((performance.now() - phaseOf(NAME, target.id, intervalMs)) % intervalMs)
      const seen = await runCheck(target)
      if (seen.kind !== 'pass') failed++
      rechecks.set(target.id, seen.kind === 'pass' ? Math.max(0, left - 1) : 3)
      return seen
    },
  })
  prober.start()
  prober.setTargets(targets)
  await new Promise((resolve) => setTimeout(resolve, 2 * intervalMs)) // all known, code warm
  lateMs.length = 0
  changes = 0
  checks = 0
  failed = 0
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const { user, system } = process.cpuUsage(cpu)
  const wallMs = performance.now() - startMs
  prober.stop()
  sites.kill()
  const sorted = lateMs.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!.toFixed(1)
  const up = [...votes.values()].filter((value) => value === 'up').length
  const perCheck = (user + system) / checks
  console.log(
    `${count} http targets every ${intervalMs} ms for ${(wallMs / 1000).toFixed(0)} s: ${checks} checks, ${failed} failed`,
  )
  console.log(
    `CPU ${(((user + system) / 1000 / wallMs) * 100).toFixed(1)} % of a core, ${perCheck.toFixed(0)} µs a check`,
  )
  console.log(`begun late: median ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)} ms, most ${at(1)} ms`)
  console.log(`${up} up; ${changes} votes changed meanwhile; ${overdue} overdue at most`)
}
