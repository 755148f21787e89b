/** `meridian serve` and `meridian probe`: until a signal ends them. SIGHUP loads again; SIGTERM and SIGINT are the way out. */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { faults } from './faults.ts'
import { makeLog } from './log.ts'
import { RunningNode } from './node.ts'
import { RunningProber } from './probe.ts'

/** Resolves when the process is asked to end. Until it is called, signals kill as usual. */
export type UntilSignal = () => Promise<void>

export interface ServeOptions {
  readonly config: Config
  readonly takeover: boolean
}

interface Running {
  reload(why: string): void
  stop(): Promise<void>
}

/** Exit code, when it has ended. Throws StartError. */
export const serve = ({ config, takeover }: ServeOptions, untilSignal: UntilSignal): Promise<number> =>
  run(config, (log) => RunningNode.start({ config, takeover, log }), untilSignal)

/** As serve(). */
export const probe = (config: Config, untilSignal: UntilSignal): Promise<number> =>
  run(config, (log) => RunningProber.start({ config, log }), untilSignal)

/** Signals while it starts do what they do without a handler. */
async function run(
  config: Config,
  start: (log: Logger) => Promise<Running>,
  untilSignal: UntilSignal,
): Promise<number> {
  const log = makeLog(config['log.level'])
  const started: { running?: Running } = {}
  process.on('SIGHUP', () => started.running?.reload('SIGHUP')) // before the start too: it must not kill what loads
  const running = await start(log)
  faults.contain(log)
  started.running = running
  await untilSignal()
  log.info('stopping: not ready any more, draining')
  await running.stop()
  log.info('stopped')
  return 0
}
