/** Entry of the prober's thread: see thread.ts, which starts it and says what goes through its two ports. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Endpoint } from '../config.ts'
import { portBoard } from '../health/memory.ts'
import type { Heartbeat, ProberIdentity } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import { Prober } from './prober.ts'

export interface WorkerData {
  readonly identity: ProberIdentity
  readonly canaries: readonly Endpoint[]
  /** The prober's end of its board. */
  readonly board: MessagePort
}

/** To the thread: what to probe. */
export interface ProberOrder {
  readonly targets: readonly Target[]
}

/** From the thread, beside its votes. */
export type ProberNews = { readonly beat: Heartbeat } | { readonly trouble: string }

const { identity, canaries, board }: WorkerData = workerData
const say = (news: ProberNews) => parentPort!.postMessage(news)
const prober = new Prober({
  identity,
  board: portBoard(board, identity),
  canaries,
  onBeat: (beat) => say({ beat }),
  onTrouble: (trouble) => say({ trouble }),
})
parentPort!.on('message', ({ targets }: ProberOrder) => prober.setTargets(targets))
prober.start()
