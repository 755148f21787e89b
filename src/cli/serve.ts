/** `meridian serve`: a node until a signal ends it. SIGHUP loads again; SIGTERM and SIGINT are the lame duck's way out. */
import type { Config } from '../config.ts'
import { makeLog } from './log.ts'
import { RunningNode } from './node.ts'

/** Resolves when the process is asked to end. Until it is called, signals kill as usual. */
export type UntilSignal = () => Promise<void>

export interface ServeOptions {
  readonly config: Config
  readonly takeover: boolean
}

/** Exit code, when it has ended. Throws StartError. Signals while it starts do what they do without a handler. */
export async function serve({ config, takeover }: ServeOptions, untilSignal: UntilSignal): Promise<number> {
  const log = makeLog(config['log.level'])
  const started: { node?: RunningNode } = {}
  process.on('SIGHUP', () => started.node?.reload('SIGHUP')) // before the start too: it must not kill a node that loads
  const node = await RunningNode.start({ config, takeover, log })
  started.node = node
  await untilSignal()
  log.info('stopping: not ready any more, draining')
  await node.stop()
  log.info('stopped')
  return 0
}
