/**
 * The check `tcp`: the port accepts a connection. It tests the kernel, not the program behind it: a hung process passes
 * until its backlog is full.
 */
import { attempt, type TargetOf } from './attempt.ts'
import { dial } from './dial.ts'
import type { Observation } from './observation.ts'

/** Runs the check. Never rejects; ends within the check's timeout, and at once on a refusal (RST). */
export function checkTcp({ address, port, check }: TargetOf<'tcp'>): Promise<Observation> {
  return attempt(check.timeoutMs, 'no connection', (self) => {
    const socket = dial(address, port, self)
    socket.on('connect', () => self.pass('connected'))
    return () => socket.destroy()
  })
}
