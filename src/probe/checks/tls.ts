/** The check `tls`: a handshake, and a certificate that is valid for the service's name and for long enough. */
import { attempt, type TargetOf } from './attempt.ts'
import { type Authorities, dialTls } from './certificate.ts'
import type { Observation } from './observation.ts'

/** Runs the check. Never rejects; ends within the check's timeout. */
export function checkTls({ address, port, check }: TargetOf<'tls'>, authorities: Authorities): Promise<Observation> {
  return attempt(check.timeoutMs, 'no connection', (self) => {
    const expected = { address, port, host: check.host ?? address, check }
    const socket = dialTls(expected, authorities, self, (_, until) => self.pass(until))
    return () => socket.destroy()
  })
}
