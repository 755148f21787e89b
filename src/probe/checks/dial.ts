/**
 * A TCP connection of a check, with bounds on the work that it makes: the timeout bounds a peer's time, but within it a peer
 * that sends byte by byte, or frames without end, could fill this thread. Reads that reach JavaScript are counted by the
 * kinds (Attempt.count); what TLS and HTTP/2 take in natively is bounded by its bytes.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Attempt } from './attempt.ts'

/** A handshake, 100 KB of certificates and all that is read of a body; checks that need less of it end before. */
const BYTES_MOST = 262_144
const LOOK_MS = 25

/** Its errors end the check. */
export function dial(address: string, port: number, self: Attempt): Socket {
  const socket = connect({ host: address, port })
  const timer = setInterval(() => {
    if (socket.bytesRead > BYTES_MOST) self.fail(`more than ${BYTES_MOST} bytes and no end`)
  }, LOOK_MS)
  socket.on('close', () => clearInterval(timer))
  socket.on('error', self.error)
  return socket
}

/** The same with TLS over it. */
export function dialTls(address: string, port: number, options: ConnectionOptions, self: Attempt): TLSSocket {
  const socket = dial(address, port, self)
  socket.on('connect', () => (self.missing = 'no TLS handshake'))
  return connectTls({ ...options, socket }).on('error', self.error)
}
