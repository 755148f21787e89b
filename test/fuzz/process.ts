/**
 * A process that serves what the fuzzers throw packets at, over all transports, with the threads of `serve`. Started by sockets.ts;
 * it says where it listens, and how it is whenever it is asked.
 */
import { readdirSync } from 'node:fs'
import { C_BUGS } from '../../src/counters.ts'
import { makeCredentials, start } from '../server/fixture.ts'
import { makeSubject } from './memory.ts'
import { PROTOCOL } from './zones.ts'

/** Ports by transport; UDP has that of TCP. */
export interface Ports {
  readonly tcp: number
  readonly dot: number
  readonly doh: number
}

/** How the process is, behind a collection of garbage. */
export interface Report {
  readonly rssBytes: number
  readonly heapBytes: number
  readonly files: number
  /** Threads that were replaced; bugs that respond() caught. */
  readonly died: number
  readonly bugs: number
  /** Lines of the log at level error. */
  readonly errors: readonly string[]
  readonly connections: number
}

const on = [{ address: '127.0.0.1', port: 0 }]
const { made, health } = await makeSubject()
const { server, logged, count } = await start({
  world: { ...made.world, generation: 1 },
  health,
  protocol: PROTOCOL,
  listen: on,
  tls: on,
  https: on,
  credentials: makeCredentials(),
})

function report(): Report {
  globalThis.gc?.()
  const { udp, tcp, dot, doh } = server.stats()
  const { rss, heapUsed } = process.memoryUsage()
  return {
    rssBytes: rss,
    heapBytes: heapUsed,
    files: readdirSync('/proc/self/fd').length,
    died: [udp, tcp, dot!, doh!].reduce((sum, { died }) => sum + died, 0),
    bugs: count(C_BUGS),
    errors: logged.filter((line) => line.startsWith('error')),
    connections: [tcp, dot!, doh!].reduce((sum, { open }) => sum + open, 0),
  }
}

process.on('message', () => process.send!(report()))
process.on('disconnect', () => process.exit())
process.send!({ tcp: server.listen[0]!.port, dot: server.tls[0]!.port, doh: server.https[0]!.port } satisfies Ports)
