/**
 * `meridian serve` and `meridian probe`: a process that runs until a signal ends it. Called by the command line. SIGHUP
 * loads the files again; SIGTERM and SIGINT end the process in order. Why it does not start is told on stderr, in the
 * form of the log.
 */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { faults } from '../faults.ts'
import { formatProblem, type Problem, StartError } from '../problem.ts'
import { recordRun } from './last-run.ts'
import { makeLog } from './log.ts'
import { RunningNode } from './node.ts'
import { RunningProber } from './prober.ts'
import type { Settings } from './settings.ts'

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
  stop(): Promise<void>
}

const FAILED = 1
const AS_ROOT =
  'running as root: run it as a user of its own, with CAP_NET_BIND_SERVICE for ports below 1024 (docs/guide.md, “Its user”)'

/**
 * Serves until a signal; resolves to the exit code. `takeover`: beside a node on the same addresses, which ends then.
 */
export const serve = (settings: Settings, takeover: boolean, surroundings: Surroundings): Promise<number> =>
  run(
    settings,
    takeover,
    (config, log, lastRunCrash) => RunningNode.start({ config, takeover, log, lastRunCrash }),
    surroundings,
  )

/** Probes until a signal; resolves to the exit code. */
export const probe = (settings: Settings, surroundings: Surroundings): Promise<number> =>
  run(settings, false, (config, log) => RunningProber.start({ config, log }), surroundings)

/** Starts a process and runs it until a signal. During the start, signals other than SIGHUP kill it as usual. */
async function run(
  { config, problems }: Settings,
  takeover: boolean,
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
  process.on('SIGHUP', () => started.running?.reload('SIGHUP')) // set before the start, so that SIGHUP never kills a process that loads
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
  await untilSignal()
  log.info('stopping: /ready is off, answering what is left')
  await started.running.stop()
  await record.end()
  log.info('stopped')
  return 0
}

const lineOf = (problem: Problem): readonly [fields: object, line: string] => [problem, formatProblem(problem)]
