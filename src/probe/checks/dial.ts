/**
 * A check's TCP connection, with a limit on the work it causes: the timeout limits time, but within it a peer that
 * sends byte by byte, or frames without end, could keep this thread busy. Reads that reach JavaScript are counted by
 * each kind (Attempt.count); what TLS and HTTP/2 process natively is limited by its bytes.
 */
import { connect, type Socket } from 'node:net'
import type { Attempt } from './attempt.ts'

/** A handshake, 100 KB of certificates and the largest body that is read; smaller checks end before. */
const BYTES_MOST = 262_144
const LOOK_MS = 25

/** Connects over TCP; errors end the check. */
export function dial(address: string, port: number, self: Attempt): Socket {
  const socket = connect({ host: address, port })
  const timer = setInterval(() => {
    if (socket.bytesRead > BYTES_MOST) self.fail(`more than ${BYTES_MOST} bytes and no end`)
  }, LOOK_MS)
  socket.on('close', () => clearInterval(timer))
  socket.on('error', self.error)
  return socket
}
