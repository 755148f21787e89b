/**
 * The check `tcp`: the port accepts a connection. It sees the kernel and not the program behind it: a process that hangs
 * still passes until its backlog is full.
 */
import { connect } from 'node:net'
import type { Target } from '../health/target.ts'
import { formatDuration } from '../units.ts'
import { type Observation, observeError } from './observation.ts'

/** Never rejects; ends within the check's timeout. A refusal (RST) ends it at once. */
export function checkTcp({ address, port, check }: Pick<Target, 'address' | 'port' | 'check'>): Promise<Observation> {
  return new Promise((resolve) => {
    const startMs = performance.now()
    const socket = connect({ host: address, port })
    const end = (observation: Observation) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(observation)
    }
    const timer = setTimeout(() => {
      const reason = `no connection in ${formatDuration(check.timeoutMs)}`
      end({ kind: 'timeout', reason, rttMs: performance.now() - startMs })
    }, check.timeoutMs)
    socket.on('connect', () => end({ kind: 'pass', reason: 'connected', rttMs: performance.now() - startMs }))
    socket.on('error', (error) => end(observeError(error, performance.now() - startMs)))
  })
}
