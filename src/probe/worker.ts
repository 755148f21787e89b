/** Entry of a prober's thread: see supervise.ts, which starts it and says what goes through its two ports. */
import { lookup } from 'node:dns/promises'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { parsePrefix } from '../dns/address.ts'
import { makeReach, type OwnPort, type ReachSettings } from '../health/reach.ts'
import type { ProberIdentity } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import { within } from '../health/within.ts'
import { portWriter } from '../store/port.ts'
import type { Endpoint } from '../units.ts'
import { type Commands, noteRunning } from './checks/exec.ts'
import { type Activity, Prober } from './prober.ts'

export interface WorkerData {
  readonly identity: ProberIdentity
  readonly canaries: readonly Endpoint[]
  /** Most checks it begins in a second. */
  readonly rate: number
  readonly commands: Commands
  readonly reach: ReachSettings
  /** Where it notes the commands that run: makeRunning(). */
  readonly running: Int32Array
  /** The thread's end of its board. */
  readonly writer: MessagePort
}

/** To the thread: what to probe, a question of what it does, or the end of probing, which it answers likewise. */
export type ProberCommand = { readonly targets: readonly Target[] } | 'report' | 'stop'

/** From the thread, beside its votes. */
export type ProberMessage = { readonly trouble: string } | { readonly activity: Activity }

const { identity, canaries, rate, commands, reach, running, writer }: WorkerData = workerData
/** A resolver that is silent must not keep the prober from starting. */
const LOOKUP_MS = 2000

noteRunning(running)
const send = (message: ProberMessage) => parentPort!.postMessage(message)
const prober = new Prober({
  identity,
  writer: portWriter(writer, identity),
  canaries,
  rate,
  checks: { commands, reach: makeReach({ ...reach, own: await resolved(reach.own) }) },
  onTrouble: (trouble) => send({ trouble }),
})
parentPort!.on('message', (command: ProberCommand) => {
  if (typeof command !== 'string') return prober.setTargets(command.targets)
  if (command === 'stop') prober.stop()
  send({ activity: prober.activity() })
})
prober.start()

/** Names replaced by their addresses; those that do not resolve are left out. */
async function resolved(own: readonly OwnPort[]): Promise<OwnPort[]> {
  return (await Promise.all(own.map(atAddresses))).flat()
}

async function atAddresses(one: OwnPort): Promise<OwnPort[]> {
  if (parsePrefix(one.address) !== undefined) return [one]
  const found = await within(LOOKUP_MS, lookup(one.address, { all: true }), () => []).catch(() => [])
  return found.map(({ address }) => ({ ...one, address }))
}
