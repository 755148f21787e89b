/** DNS over TCP (RFC 7766) in the main thread, with the same respond(). */

export interface TcpStats {
  readonly open: number
  readonly accepted: number
  /** Closed at once: too many connections, in all or of one client. */
  readonly refused: number
  /** Closed by us: idle, slow to ask, or not reading its answers. */
  readonly timedOut: number
}
