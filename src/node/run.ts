/** `meridian serve` and `meridian probe`: until a signal ends them. SIGHUP loads again; SIGTERM and SIGINT are the way out. */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { faults } from '../faults.ts'
import { recordRun } from './last-run.ts'
import { makeLog } from './log.ts'
import { RunningNode } from './node.ts'
import { RunningProber } from './prober.ts'

/** Resolves when the process is asked to end. Until it is called, signals kill as usual. */
export type UntilSignal = () => Promise<void>

export interface ServeOptions {
  readonly config: Config
  readonly takeover: boolean
}

interface Restartable {
  reload(why: string): void
  stop(): Promise<void>
}

const AS_ROOT =
  'running as root: give it a user of its own, with CAP_NET_BIND_SERVICE for ports below 1024 (docs/guide.md, “Its user”)'

/** Exit code, when it has ended. Throws StartError. */
export const serve = ({ config, takeover }: ServeOptions, untilSignal: UntilSignal): Promise<number> =>
  run(config, takeover, (log) => RunningNode.start({ config, takeover, log }), untilSignal)

/** As serve(). */
export const probe = (config: Config, untilSignal: UntilSignal): Promise<number> =>
  run(config, false, (log) => RunningProber.start({ config, log }), untilSignal)

/** Signals while it starts do what they do without a handler. */
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
  process.on('SIGHUP', () => started.running?.reload('SIGHUP')) // before the start too: it must not kill what loads
  const running = await start(log)
  faults.contain(log)
  started.running = running
  await untilSignal()
  log.info('stopping: not ready any more, draining')
  await running.stop()
  await record.end()
  log.info('stopped')
  return 0
}
