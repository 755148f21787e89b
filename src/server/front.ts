/**
 * The contract of a front end: one way for queries to come in and responses to go out. There are three: batched UDP
 * threads (threads.ts), UDP by node:dgram (portable.ts) and the TCP thread (tcp.ts). server.ts puts them together; all
 * of them call the same respond().
 */
import type { Protocol } from '../answer/protocol.ts'
import type { World } from '../answer/world.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'

/** How many TCP connections may wait in the kernel to be accepted. */
export const BACKLOG = 511

/** A running front end. */
export interface Front {
  /** Replaces the World: every query read from now on sees this one, and no query sees parts of both. */
  publish(world: World): void
  /** Replaces the Protocol, in the same way. */
  setProtocol(protocol: Protocol): void
  /** The counters (counters.ts) of each answering thread. */
  counters(): readonly Float64Array[]
  /** A number of each answering thread that changes while it works; 0 before its first beat. */
  beats(): readonly number[]
  /**
   * Takes no new queries, answers those that have arrived, then closes. A successor on the same port (SO_REUSEPORT)
   * gets the rest, so no query is lost. Resolves within `drainMs`, whatever clients do.
   */
  stop(drainMs: number): Promise<void>
}

/** The server cannot listen on an address and port: fatal at the start. The message says why, in one line. */
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
