/**
 * Entry of a prober's thread. supervise.ts starts it and talks to it through two ports: commands and messages through
 * parentPort, votes through the writer's port.
 */
import { lookup } from 'node:dns/promises'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { trustAuthorities } from '../authorities.ts'
import { parsePrefix } from '../dns/address.ts'
import { makeReach, type OwnPort, type ReachSettings } from '../health/reach.ts'
import type { ProberIdentity } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import { within } from '../health/within.ts'
import { messageOf } from '../problem.ts'
import { portWriter } from '../store/port.ts'
import type { Endpoint } from '../units.ts'
import type { CheckSettings } from './checks/check.ts'
import { noteRunning } from './checks/exec.ts'
import type { Certificate } from './checks/observation.ts'
import { type Activity, Prober } from './prober.ts'

/** What the main thread gives to a prober's thread. */
export interface WorkerData {
  readonly identity: ProberIdentity
  readonly canaries: readonly Endpoint[]
  /** Most checks that begin per second. */
  readonly rate: number
  readonly checks: Omit<CheckSettings, 'reach'>
  readonly reach: ReachSettings
  /** PEM files of authorities that its checks trust beside the machine's: `tls.ca`. */
  readonly trusted: readonly string[]
  /** Shared memory in which it notes the commands that run: makeRunning(). */
  readonly running: Int32Array
  /** The thread's end of its writer's channel. */
  readonly writer: MessagePort
}

/** To the thread: the targets, a request for a report, or the end of probing, which it also answers with a report. */
export type ProberCommand = { readonly targets: readonly Target[] } | 'report' | 'stop'

/** From the thread, beside its votes. */
export type ProberMessage =
  | { readonly trouble: string }
  | { readonly target: string; readonly certificate: Certificate }
  | { readonly activity: Activity }

const { identity, canaries, rate, checks, reach, trusted, running, writer }: WorkerData = workerData
/** A silent resolver must not keep the prober from starting. */
const LOOKUP_MS = 2000

noteRunning(running)
const send = (message: ProberMessage) => parentPort!.postMessage(message)
try {
  trustAuthorities(trusted)
} catch (error) {
  send({ trouble: `tls.ca: ${messageOf(error)}; checks trust the machine's authorities alone` })
  trustAuthorities([])
}
const prober = new Prober({
  identity,
  writer: portWriter(writer, identity),
  canaries,
  rate,
  checks: { ...checks, reach: makeReach({ ...reach, own: await resolved(reach.own) }) },
  onTrouble: (trouble) => send({ trouble }),
  onCertificate: (target, certificate) => send({ target, certificate }),
})
parentPort!.on('message', (command: ProberCommand) => {
  if (typeof command !== 'string') return prober.setTargets(command.targets)
  if (command === 'stop') prober.stop()
  send({ activity: prober.activity() })
})
prober.start()

/** Host names replaced by their addresses; those that do not resolve are left out. */
async function resolved(own: readonly OwnPort[]): Promise<OwnPort[]> {
  return (await Promise.all(own.map(atAddresses))).flat()
}

async function atAddresses(one: OwnPort): Promise<OwnPort[]> {
  if (parsePrefix(one.address) !== undefined) return [one]
  const found = await within(LOOKUP_MS, lookup(one.address, { all: true }), () => []).catch(() => [])
  return found.map(({ address }) => ({ ...one, address }))
}
