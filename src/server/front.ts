/**
 * A front: one way queries come in and answers go out. Three forms behind this contract: batched UDP threads
 * (threads.ts), node:dgram (portable.ts) and the TCP thread (tcp.ts); server.ts puts them together. All call the same respond().
 */
import type { World } from '../answer/world.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'

/** Connections of TCP that wait in the kernel to be accepted. */
export const BACKLOG = 511

export interface Front {
  /** Every query read from now on sees this World; none ever sees half of each. */
  publish(world: World): void
  /** One array of counters.ts cells for each thread that answers. */
  counters(): readonly Float64Array[]
  /**
   * Takes no new queries, answers those that are in, closes. A successor on the same port (SO_REUSEPORT) gets the rest:
   * no query is lost. Resolves within `drainMs` whatever clients do.
   */
  stop(drainMs: number): Promise<void>
}

/** A port that can't be had: fatal at start, told in one line. */
export class ListenError extends Error {
  readonly code: string
  constructor(endpoint: Endpoint, transport: 'UDP' | 'TCP', code: string) {
    super(`${formatEndpoint(endpoint)} (${transport}): ${REASONS[code] ?? code}`)
    this.name = 'ListenError'
    this.code = code
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use: stop the other server, or start with --takeover to take over from it',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EAFNOSUPPORT: 'this kernel has no such addresses (IPv6 is off?): leave it out of listen',
  EACCES: 'no permission: ports below 1024 need CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start',
}
