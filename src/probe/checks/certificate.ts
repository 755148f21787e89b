/**
 * TLS connections of checks, and what their certificates are worth. The handshake itself accepts any certificate, and
 * the judgement follows here: so a refused one can be named (whose it is, who issued it), and its end is known in every
 * case. Nothing is sent before the judgement.
 */
import { constants, type X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import { readAuthorities } from '../../authorities.ts'
import { codeOf } from '../../problem.ts'
import { DAY_MS, type Endpoint, formatDuration } from '../../units.ts'
import type { CertificateCheck } from '../../zone/model.ts'
import { type Attempt, printable } from './attempt.ts'
import { dial } from './dial.ts'
import type { Certificate } from './observation.ts'

/** The node setting `probe.ca`: by name, PEM files of authorities. */
export type Authorities = Readonly<Record<string, readonly string[]>>

/** What a check expects of a TLS connection. */
export interface TlsExpectation extends Endpoint {
  /** SNI, and the name or address that a verified certificate must have; without a final dot. */
  readonly host: string
  /** The only protocol that is offered (ALPN); undefined: none is named. */
  readonly protocol?: 'http/1.1' | 'h2'
  readonly check: CertificateCheck
}

/**
 * Connects over TCP and TLS. `onSecure` is called when the certificate is good; `until`: its end, in words. Errors, and
 * a certificate that is not good, end the check. No session is resumed: every check sees the certificate.
 */
export function dialTls(
  expected: TlsExpectation,
  authorities: Authorities,
  self: Attempt,
  onSecure: (socket: TLSSocket, until: string) => void,
): TLSSocket {
  const { address, port, host, protocol, check } = expected
  const secureContext = contextOf(check.ca, authorities)
  const tcp = dial(address, port, self)
  tcp.on('connect', () => (self.missing = 'no TLS handshake'))
  const socket = connectTls({
    socket: tcp,
    secureContext,
    servername: isIP(host) === 0 ? host : '', // RFC 6066 §3: no literal addresses
    rejectUnauthorized: false,
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    ...(protocol !== undefined && { ALPNProtocols: [protocol] }),
  })
  socket.on('error', (error) => {
    if (protocol === undefined || codeOf(error) !== NO_PROTOCOL) self.error(error)
    else self.fail(protocol === 'h2' ? 'no HTTP/2 spoken' : 'HTTP/2 only: the site takes no HTTP/1.1 (ALPN)')
  })
  socket.on('secureConnect', () => {
    const shown = socket.getPeerX509Certificate() // once: each call takes one from the chain (nodejs 24)
    const certificate = shown && endOf(shown, check)
    self.certificate = certificate
    const fault = check.verify && !socket.authorized ? refusal(socket, shown, host) : endFault(certificate, check)
    if (fault === undefined) onSecure(socket, endInWords(certificate))
    else self.fail(fault)
  })
  return socket
}

const NO_PROTOCOL = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'

/** By the files of the authorities; '': the machine's. Each context costs a fifth of a check, so they are kept. */
const contexts = new Map<string, SecureContext>()

/** Throws, in words, if this prober does not have the authorities. */
function contextOf(ca: string | undefined, authorities: Authorities): SecureContext {
  const files = ca !== undefined && Object.hasOwn(authorities, ca) ? authorities[ca] : undefined
  if (ca !== undefined && files === undefined) throw new Error(`probe.ca of this prober has no authorities “${ca}”`)
  const key = files?.join('\n') ?? ''
  const known = contexts.get(key)
  if (known !== undefined) return known
  const context = createSecureContext({
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    allowPartialTrustChain: true, // as curl does: an intermediate authority may be all that is trusted
    ...(files !== undefined && { ca: files.flatMap(readAuthorities) }),
  })
  contexts.set(key, context)
  return context
}

const WARN_MS = 14 * DAY_MS

/** undefined: its dates are none. */
function endOf({ validFrom, validTo }: X509Certificate, { validFor }: CertificateCheck): Certificate | undefined {
  const endMs = Date.parse(validTo)
  const startMs = Date.parse(validFrom)
  if (Number.isNaN(endMs) || Number.isNaN(startMs)) return undefined
  // some certificates last a week
  return { endMs, warnMs: endMs - (validFor?.warnMs ?? Math.min(WARN_MS, (endMs - startMs) / 5)) }
}

/** Why a verified certificate is refused: the part that is wrong, and what stands there. */
function refusal(socket: TLSSocket, shown: X509Certificate | undefined, host: string): string {
  const code = String(socket.authorizationError) // its type says Error, but Node sets the code
  if (shown === undefined) return `no certificate: ${code}`
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID': {
      const names = (shown.subjectAltName ?? subjectName(shown.subject)).replaceAll(/(?:DNS|IP Address):/g, '')
      return `certificate is for another name: for ${printable(names)}, not ${host}`
    }
    case 'CERT_HAS_EXPIRED': {
      const endMs = Date.parse(shown.validTo)
      if (endMs > Date.now()) return 'certificate of an intermediate authority has expired'
      return `certificate has expired: valid ${untilText(endMs)}`
    }
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return 'certificate is self-signed'
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY': {
      const isAlone = shown.issuerCertificate === undefined
      return `certificate of an unknown issuer: ${subjectName(shown.issuer)}${isAlone ? ', whose certificate the site does not send' : ''}`
    }
    default:
      return VERIFY_WORDS[code] ?? `certificate is refused: ${code}`
  }
}

/** X509_V_ERR_* of OpenSSL. */
const VERIFY_WORDS: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID: 'certificate is not valid yet',
  CERT_SIGNATURE_FAILURE: 'certificate with a wrong signature',
  ERROR_IN_CERT_NOT_BEFORE_FIELD: 'certificate with an invalid date',
  ERROR_IN_CERT_NOT_AFTER_FIELD: 'certificate with an invalid date',
  CERT_REVOKED: 'certificate is revoked',
  INVALID_PURPOSE: 'certificate is not for servers',
  INVALID_CA: 'certificate was issued by one that is no authority',
  PATH_LENGTH_EXCEEDED: 'certificate has more intermediate authorities than they allow',
  CERT_CHAIN_TOO_LONG: 'certificate has too long a chain',
}

/** The common name in the text of a subject or issuer, or its last line. */
function subjectName(text: string): string {
  const lines = text.split('\n')
  const name = lines.find((line) => line.startsWith('CN=')) ?? lines.at(-1) ?? ''
  return printable(name.slice(name.indexOf('=') + 1))
}

function endFault(certificate: Certificate | undefined, { validFor }: CertificateCheck): string | undefined {
  const { failMs = 0 } = validFor ?? {}
  if (failMs === 0 || (certificate !== undefined && certificate.endMs - Date.now() >= failMs)) return undefined
  return `${endInWords(certificate)}, wanted for ${formatDuration(failMs)} yet`
}

/** `certificate until 2030-01-31`, and a word of warning where it ends soon. */
function endInWords(certificate: Certificate | undefined): string {
  if (certificate === undefined) return 'certificate without a date of its end'
  const soon = Date.now() >= certificate.warnMs ? ': ENDS SOON' : ''
  return `certificate ${untilText(certificate.endMs)}${soon}`
}

const untilText = (endMs: number): string => `until ${new Date(endMs).toISOString().slice(0, 10)}`
