/** The prober's thread of probe/worker.ts, with a watch on when each check begins and what it saw. */
import { parentPort, workerData } from 'node:worker_threads'
import { makeReach } from '../../../src/health/reach.ts'
import { runCheck } from '../../../src/probe/checks/check.ts'
import { Prober } from '../../../src/probe/prober.ts'
import { phaseOf } from '../../../src/probe/schedule.ts'
import type { ProberMessage, ProberCommand, WorkerData } from '../../../src/probe/worker.ts'
import { portWriter } from '../../../src/store/port.ts'

/** What one thread saw since the report before; told as a trouble, the one way out that takes any text. */
export interface Watched {
  readonly checks: number
  readonly failed: number
  /** Of a failed check, if there was one. */
  readonly reason: string
  readonly lateMs: readonly number[]
}

const { identity, canaries, rate, checks: known, reach, writer }: WorkerData = workerData
const say = (news: ProberMessage) => parentPort!.postMessage(news)
/** Targets that failed are checked out of turn for a while: that is not late. */
const rechecks = new Map<string, number>()
let lateMs: number[] = []
let [checks, failed, reason] = [0, 0, '']
const prober = new Prober({
  identity,
  writer: portWriter(writer, identity),
  canaries,
  rate,
  checks: { ...known, reach: makeReach(reach) },
  onTrouble: (trouble) => say({ trouble }),
  check: async (target, settings) => {
    const { intervalMs } = target.check
    const left = rechecks.get(target.id) ?? 0
    checks++
    if (left === 0) lateMs.push((performance.now() - phaseOf(identity.name, target.id, intervalMs)) % intervalMs)
    const seen = await runCheck(target, settings)
    if (seen.kind !== 'pass') [failed, reason] = [failed + 1, seen.reason]
    if (seen.kind !== 'pass' || left > 0) rechecks.set(target.id, seen.kind === 'pass' ? left - 1 : 3)
    return seen
  },
})
parentPort!.on('message', (order: ProberCommand) => {
  if (typeof order !== 'string') return prober.setTargets(order.targets)
  say({ trouble: JSON.stringify({ checks, failed, reason, lateMs } satisfies Watched) })
  ;[checks, failed, lateMs] = [0, 0, []]
  say({ activity: prober.activity() })
})
prober.start()
