/**
 * `meridian serve` and `meridian probe`: a process that runs until a signal ends it. Called by the command line. SIGHUP
 * loads the files again; SIGTERM and SIGINT end the process in order; SIGUSR2 lets a node start its successor. Why it does
 * not start is told on stderr, in the form of the log. A service manager is told all along.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Readiness } from '../api/contract.ts'
import type { Config } from '../config.ts'
import { faults } from '../faults.ts'
import { formatProblem, type Problem, StartError } from '../problem.ts'
import { recordRun } from './last-run.ts'
import { makeLog } from './log.ts'
import { RunningNode } from './node.ts'
import { RunningProber } from './prober.ts'
import { ServiceManager, type ProcessState } from './service-manager.ts'
import type { Settings } from './settings.ts'
import { heedPredecessor, Succession, tellPredecessor } from './successor.ts'

/** Resolves on SIGTERM or SIGINT. Until it is called, signals kill the process as usual. */
export type UntilSignal = () => Promise<void>

/** What a process needs of the program that starts it. */
export interface Surroundings {
  readonly untilSignal: UntilSignal
  /** Writes a line to stderr. */
  readonly err: (line: string) => void
}

interface Restartable {
  reload(why: string): void
  settled(): Promise<void>
  beats(): readonly number[]
  readiness(): Readiness
  stop(): Promise<void>
}

const FAILED = 1
const READY_POLL_MS = 100
const AS_ROOT =
  'running as root: run it as a user of its own, with CAP_NET_BIND_SERVICE for ports below 1024 (docs/guide.md, “Its user”)'

/**
 * Serves until a signal; resolves to the exit code. `takeover`: beside a node on the same addresses, which ends then.
 */
export const serve = (settings: Settings, takeover: boolean, surroundings: Surroundings): Promise<number> =>
  run(
    settings,
    { takeover, succeeds: true },
    (config, log, lastRunCrash) => RunningNode.start({ config, takeover, log, lastRunCrash }),
    surroundings,
  )

/** Probes until a signal; resolves to the exit code. */
export const probe = (settings: Settings, surroundings: Surroundings): Promise<number> =>
  run(
    settings,
    { takeover: false, succeeds: false },
    (config, log) => RunningProber.start({ config, log }),
    surroundings,
  )

/**
 * Starts a process and runs it until a signal. During the start, signals other than SIGHUP and SIGUSR2 kill it as usual.
 * `takeover`: it is a successor itself; `succeeds`: it may have one.
 */
async function run(
  { config, problems }: Settings,
  { takeover, succeeds }: { readonly takeover: boolean; readonly succeeds: boolean },
  start: (config: Config, log: Logger, lastRunCrash: string | undefined) => Promise<Restartable>,
  { untilSignal, err }: Surroundings,
): Promise<number> {
  const form = { level: config?.['log.level'] ?? 'info', format: config?.['log.format'] } as const
  const named = { ...form, node: config?.['node.name'] ?? 'meridian' }
  const fatal = makeLog({ ...named, fd: 2, write: err })
  if (config === undefined) {
    for (const problem of problems) fatal[problem.severity === 'error' ? 'fatal' : 'warn'](...lineOf(problem))
    return FAILED
  }
  const log = makeLog(named)
  for (const problem of problems) log.warn(...lineOf(problem))
  const record = recordRun(config.state, takeover)
  if (record.lastRunCrash !== undefined) log.warn(record.lastRunCrash)
  if (process.getuid?.() === 0) log.warn(AS_ROOT)
  const started: { running?: Restartable } = {}
  const manager = ServiceManager.of(process.env, (trouble) => log.warn(trouble))
  const succession = new Succession(log)
  if (takeover) heedPredecessor()
  // set before the start, so that they never kill a process that loads
  process.on('SIGHUP', () => void reload(started.running, manager))
  process.on('SIGUSR2', () => {
    if (!succeeds) log.warn('SIGUSR2: a prober has no successor: start it again')
    else succession.begin()
  })
  const reportBug = (error: Error): void => fatal.fatal({ stack: error.stack }, `a bug: ${String(error)}`)
  process.once('uncaughtExceptionMonitor', reportBug)
  try {
    started.running = await start(config, log, record.lastRunCrash)
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    for (const problem of error.problems) fatal.error(...lineOf(problem))
    fatal.fatal(error.message)
    await record.end()
    return FAILED
  }
  process.off('uncaughtExceptionMonitor', reportBug)
  faults.contain(log)
  const { running } = started
  // a successor that is not ready may still die, and must not take its predecessor with it as the main process
  if (takeover) {
    void untilReady(running).then(() => {
      manager?.ready(stateOf(running), true)
      tellPredecessor()
    })
  } else manager?.ready(stateOf(running))
  succession.serves()
  const isSucceeded = await Promise.race([untilSignal().then(() => false), succession.done.then(() => true)])
  if (isSucceeded) manager?.fallSilent()
  else {
    const isAnnounced = config['announce.form'] !== undefined
    manager?.stopping('answering what is left', isAnnounced ? config['announce.wait'] : 0)
  }
  succession.stop()
  log.info('stopping: /ready is off, answering what is left')
  await running.stop()
  await record.end()
  log.info('stopped')
  return 0
}

async function reload(running: Restartable | undefined, manager: ServiceManager | undefined): Promise<void> {
  if (running === undefined) return
  manager?.reloading()
  running.reload('SIGHUP')
  await running.settled()
  manager?.ready(stateOf(running))
}

const stateOf = (running: Restartable): ProcessState => ({
  beats: () => running.beats(),
  inWords: () => {
    const { ready, reasons, warnings } = running.readiness()
    return [ready ? 'ready' : `not ready: ${reasons.join(', ')}`, ...warnings].join('; ')
  },
})

async function untilReady(running: Restartable): Promise<void> {
  while (!running.readiness().ready) await sleep(READY_POLL_MS, undefined, { ref: false })
}

const lineOf = (problem: Problem): readonly [fields: object, line: string] => [problem, formatProblem(problem)]
