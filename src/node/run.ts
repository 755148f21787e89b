/**
 * `meridian serve` and `meridian probe`: a process that runs until a signal ends it. Called by the command line. SIGHUP
 * loads the files again; SIGTERM and SIGINT end the process in order.
 */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { faults } from '../faults.ts'
import { recordRun } from './last-run.ts'
import { makeLog } from './log.ts'
import { RunningNode } from './node.ts'
import { RunningProber } from './prober.ts'

/** Resolves on SIGTERM or SIGINT. Until it is called, signals kill the process as usual. */
export type UntilSignal = () => Promise<void>

/** What `meridian serve` runs with. */
export interface ServeOptions {
  readonly config: Config
  readonly takeover: boolean
}

interface Restartable {
  reload(why: string): void
  stop(): Promise<void>
}

const AS_ROOT =
  'running as root: run it as a user of its own, with CAP_NET_BIND_SERVICE for ports below 1024 (docs/guide.md, “Its user”)'

/** Serves until a signal; resolves to the exit code. Throws StartError. */
export const serve = ({ config, takeover }: ServeOptions, untilSignal: UntilSignal): Promise<number> =>
  run(config, takeover, (log) => RunningNode.start({ config, takeover, log }), untilSignal)

/** Probes until a signal; resolves to the exit code. Throws StartError. */
export const probe = (config: Config, untilSignal: UntilSignal): Promise<number> =>
  run(config, false, (log) => RunningProber.start({ config, log }), untilSignal)

/** Starts a process and runs it until a signal. During the start, signals other than SIGHUP kill it as usual. */
async function run(
  config: Config,
  takeover: boolean,
  start: (log: Logger) => Promise<Restartable>,
  untilSignal: UntilSignal,
): Promise<number> {
  const log = makeLog(config['log.level'])
  const record = recordRun(config.state, takeover)
  if (record.lastRunCrash !== undefined) log.warn(record.lastRunCrash)
  if (process.getuid?.() === 0) log.warn(AS_ROOT)
  const started: { running?: Restartable } = {}
  process.on('SIGHUP', () => started.running?.reload('SIGHUP')) // set before the start, so that SIGHUP never kills a process that loads
  const running = await start(log)
  faults.contain(log)
  started.running = running
  await untilSignal()
  log.info('stopping: /ready is off, answering what is left')
  await running.stop()
  await record.end()
  log.info('stopped')
  return 0
}
