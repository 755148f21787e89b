/**
 * The check `tcp`: the port accepts a connection. It sees the kernel and not the program behind it: a process that hangs
 * still passes until its backlog is full.
 */
import { attempt, type TargetOf } from './attempt.ts'
import { dial } from './dial.ts'
import type { Observation } from './observation.ts'

/** Never rejects; ends within the check's timeout. A refusal (RST) ends it at once. */
export function checkTcp({ address, port, check }: TargetOf<'tcp'>): Promise<Observation> {
  return attempt(check.timeoutMs, 'no connection', (self) => {
    const socket = dial(address, port, self)
    socket.on('connect', () => self.pass('connected'))
    return () => socket.destroy()
  })
}
