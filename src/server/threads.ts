/** The answering threads, seen from the main thread: started, watched, replaced on the same sockets. */

export interface UdpStats {
  readonly form: 'batched' | 'portable'
  /** Why it is portable where that was not asked for: koffi or recvmmsg is missing. */
  readonly reason?: string
  readonly threads: number
  /** Threads that were replaced: they died, or their beat stood still. */
  readonly died: number
  readonly stalled: number
  /** Bytes that the kernel granted, the least of all sockets. */
  readonly receiveBuffer: number
}
