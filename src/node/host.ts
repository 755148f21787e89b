/**
 * Whether this host gives a node what its settings want: buffers of sockets, open files. Called by `meridian check`, for
 * settings that are this host's own; a node serves all the same, and gets what there is.
 */
import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import type { Problem } from '../problem.ts'
import { RECEIVE_BUFFER, SEND_BUFFER } from '../server/sockets.ts'
import { limitsFor, openFilesLimit } from '../server/tcp.ts'
import { grouped } from '../units.ts'
import { runningPid } from './last-run.ts'

/** What is known of a host. */
export interface Host {
  /** The value of a sysctl that is a number; undefined: there is none, or it can't be read. */
  readonly sysctl: (name: string) => number | undefined
  /** How many files a node may open; 0: unlimited, or not known. */
  readonly files: number
  /** Whose limit that is, in words. */
  readonly whose: string
}

/** This host. The limit of files is that of the node that runs with this state folder, else of this process. */
export function thisHost(state: string): Host {
  const pid = runningPid(state)
  return {
    sysctl: (name) => {
      try {
        return Number(readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8'))
      } catch {
        return undefined
      }
    },
    files: openFilesLimit(pid),
    whose: pid === undefined ? 'a process started here' : `the running process ${pid}`,
  }
}

const BUFFERS = [
  ['receive', 'net.core.rmem_max', RECEIVE_BUFFER, 'queries are dropped sooner in a burst'],
  ['send', 'net.core.wmem_max', SEND_BUFFER, 'answers are dropped sooner in a burst'],
] as const

/** What the host does not give, each a warning with its remedy. */
export function hostProblems(config: Config, { sysctl, files, whose }: Host): readonly Problem[] {
  const problems: Problem[] = []
  const warn = (code: 'host-buffers' | 'host-files', file: string, message: string, hint: string): void =>
    void problems.push({ code, severity: 'warning', file, line: 0, column: 0, message, hint })
  for (const [what, name, wanted, effect] of BUFFERS) {
    const most = sysctl(name)
    if (most === undefined || most >= wanted) continue
    warn(
      'host-buffers',
      name,
      `${what} buffer ${grouped(most)} bytes, not the ${grouped(wanted)} that each UDP socket asks for: ${effect}`,
      `Raise ${name} to ${grouped(wanted)}: sysctl -w ${name}=${wanted}, and for later starts in a file of /etc/sysctl.d`,
    )
  }
  const { 'tcp.connections': connections, 'tcp.memory': memory, 'tls.listen': tls, 'https.listen': https } = config
  const transports = 1 + Math.sign(tls.length) + Math.sign(https.length)
  const granted = limitsFor(files, { connections, memory }, transports).connections
  if (granted < connections) {
    const wanted = 2 * transports * connections
    const each = transports === 1 ? 'TCP' : `each of ${transports} transports`
    warn(
      'host-files',
      'tcp.connections',
      `${whose} may open ${grouped(files)} files: that is ${grouped(granted)} connections of ${each}, not ${grouped(connections)}`,
      `Let it open ${grouped(wanted)}: LimitNOFILE=${wanted} in its unit, or ulimit -n ${wanted}; or lower tcp.connections`,
    )
  }
  return problems
}
