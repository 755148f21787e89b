/** Entry of a prober's thread: see supervise.ts, which starts it and says what goes through its two ports. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Endpoint } from '../config.ts'
import { portBoard } from '../health/memory.ts'
import type { ProberIdentity } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import { noteRunning } from './exec.ts'
import { type Activity, type Commands, Prober } from './prober.ts'

export interface WorkerData {
  readonly identity: ProberIdentity
  readonly canaries: readonly Endpoint[]
  /** Checks a second. */
  readonly rate: number
  readonly commands: Commands
  /** Where it notes the commands that run: makeRunning(). */
  readonly running: Int32Array
  /** The thread's end of its board. */
  readonly board: MessagePort
}

/** To the thread: what to probe, a question of what it does, or the end of probing, which it answers likewise. */
export type ProberOrder = { readonly targets: readonly Target[] } | 'report' | 'stop'

/** From the thread, beside its votes. */
export type ProberNews = { readonly trouble: string } | { readonly activity: Activity }

const { identity, canaries, rate, commands, running, board }: WorkerData = workerData
noteRunning(running)
const say = (news: ProberNews) => parentPort!.postMessage(news)
const prober = new Prober({
  identity,
  board: portBoard(board, identity),
  canaries,
  rate,
  commands,
  onTrouble: (trouble) => say({ trouble }),
})
parentPort!.on('message', (order: ProberOrder) => {
  if (typeof order !== 'string') return prober.setTargets(order.targets)
  if (order === 'stop') prober.stop()
  say({ activity: prober.activity() })
})
prober.start()
