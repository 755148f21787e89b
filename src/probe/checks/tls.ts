/**
 * The check `tls`: a handshake, and a certificate that is valid for the service's name and long enough. Also what other
 * checks over TLS share: the expected name, and the certificate's expiry.
 */
import { constants } from 'node:crypto'
import { isIP } from 'node:net'
import {
  checkServerIdentity,
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import { formatDuration } from '../../units.ts'
import { attempt, type TargetOf } from './attempt.ts'
import { dialTls } from './dial.ts'
import type { Observation } from './observation.ts'

/**
 * Runs the check. Never rejects; ends within the check's timeout. No session is resumed: every check sees the
 * certificate.
 */
export function checkTls({ address, port, check }: TargetOf<'tls'>): Promise<Observation> {
  return attempt(check.timeoutMs, 'no connection', (self) => {
    const socket = dialTls(address, port, expectedOf(check.host ?? address, check.verify), self)
    socket.on('secureConnect', () => {
      const untilMs = certificateEndMs(socket)
      const until =
        untilMs === undefined ? 'certificate without a date of its end' : `certificate ${untilText(untilMs)}`
      const holds = check.validForMs === 0 || (untilMs !== undefined && untilMs - Date.now() >= check.validForMs)
      if (holds) self.pass(until)
      else self.fail(`${until}, wanted for ${formatDuration(check.validForMs)} yet`)
    })
    return () => socket.destroy()
  })
}

/** One context for all, because each costs a fifth of a check. It keeps no sessions and refuses renegotiation. */
let context: SecureContext | undefined

/** TLS options: SNI, and the name that a verified certificate must have. */
export function expectedOf(host: string, verify: boolean): ConnectionOptions {
  return {
    secureContext: (context ??= createSecureContext({ secureOptions: constants.SSL_OP_NO_RENEGOTIATION })),
    servername: isIP(host) === 0 ? host : '', // RFC 6066 §3: no literal addresses
    rejectUnauthorized: verify,
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
  }
}

/** Expiry of the peer's certificate as Unix time in ms; undefined: it has no valid date. */
export function certificateEndMs(socket: TLSSocket): number | undefined {
  const untilMs = Date.parse(socket.getPeerX509Certificate()?.validTo ?? '')
  return Number.isNaN(untilMs) ? undefined : untilMs
}

/** The date as `until 2030-01-31`. */
export const untilText = (untilMs: number): string => `until ${new Date(untilMs).toISOString().slice(0, 10)}`
