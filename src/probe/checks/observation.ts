/**
 * What one check observed, and its words. Faults of the prober's own host are no observation of the site: they are told
 * apart here for all kinds of checks, so that they never become a DOWN vote. Of errno(3) those in SITE_WORDS come from
 * the site or the path to it; all others are this host's.
 */
import { getSystemErrorMap } from 'node:util'
import { codeOf } from '../../problem.ts'

/** When a site's certificate ends. */
export interface Certificate {
  /** Unix time in ms. */
  readonly endMs: number
  /** Unix time in ms from which on the operator is warned. */
  readonly warnMs: number
}

/** The result of one check. */
export interface Observation {
  /**
   * pass, fail: what the site did. timeout: no result in time, which may be this host's fault (a blocked loop) or the
   * site's. unroutable: network unreachable, which may be this host's fault (no route) or the site's (prefix
   * withdrawn). unable: this host could not run the check (no descriptors or ports left, forbidden). silence: the site
   * answered and said nothing of its health, so that nothing changes.
   */
  readonly kind: 'pass' | 'fail' | 'timeout' | 'unroutable' | 'unable' | 'silence'
  /** In words, without the duration, so that equal results have equal texts. */
  readonly reason: string
  readonly rttMs: number
  /** Share of its traffic that the target asks for, in ‰ (0–1000); undefined: it sets none. */
  readonly share?: number
  /** The certificate that the site showed, whether the check passed or not. */
  readonly certificate?: Certificate
}

const REFUSED_HANDSHAKE =
  'TLS handshake failed: the site refuses it (no cipher in common, or it wants a client certificate)'

const SITE_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  ECONNABORTED: 'connection reset',
  ENETRESET: 'connection reset',
  ENOTCONN: 'connection reset',
  ESHUTDOWN: 'connection reset',
  EOF: 'connection closed',
  EHOSTUNREACH: 'host unreachable',
  EHOSTDOWN: 'host unreachable',
  ETIMEDOUT: 'connection timed out',
  EPROTO: 'TLS handshake failed',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS spoken',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no TLS spoken',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'TLS handshake failed: the site has no version that is in use, 1.2 or 1.3',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'TLS handshake failed: the site has no version that is in use, 1.2 or 1.3',
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': REFUSED_HANDSHAKE,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: REFUSED_HANDSHAKE,
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: 'TLS handshake failed: the site does not know the name (SNI)',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'TLS handshake failed: the site wants a client certificate',
}

const TLS_CODE = /^ERR_SSL_(?:SSLV3_|SSL\/TLS_|TLSV1_|TLSV13_)?(.+)$/
/** What broke the connection within: what was still missing says where. */
const BROKEN: ReadonlySet<string> = new Set(['connection reset', 'connection closed', 'connection timed out'])

const OWN_WORDS: Readonly<Record<string, string>> = {
  EMFILE: 'this host is out of file descriptors',
  ENFILE: 'this host is out of file descriptors',
  ENOBUFS: 'this host is out of memory',
  ENOMEM: 'this host is out of memory',
  ERR_SSL_MALLOC_FAILURE: 'this host is out of memory',
  EAGAIN: 'this host is out of processes, ports or memory',
  ENOSPC: 'this host is out of space or watches',
  EADDRNOTAVAIL: 'this host has no address or port left to ask from',
  EADDRINUSE: 'this host has no address or port left to ask from',
  EAFNOSUPPORT: 'this host does not speak the address family',
  ENETDOWN: "this host's network is down",
  EACCES: 'this host forbids the connection',
  EPERM: 'this host forbids the connection',
}

const SYSTEM_ERRORS: ReadonlyMap<string, string> = new Map(getSystemErrorMap().values())

/**
 * The observation for an error of a connection, without its duration. `missing`: what had not come yet on a connection
 * that was there.
 */
export function observeError(error: Error, missing?: string): Omit<Observation, 'rttMs'> {
  const code = codeOf(error) ?? ''
  if (code === 'ENETUNREACH') return { kind: 'unroutable', reason: 'network unreachable' }
  const words = SITE_WORDS[code] ?? tlsWords(code)
  const own = OWN_WORDS[code] ?? (words === undefined ? ownWords(code) : undefined)
  if (own !== undefined) return { kind: 'unable', reason: own }
  const reason = words ?? (code === '' ? error.message : code)
  return { kind: 'fail', reason: missing !== undefined && BROKEN.has(reason) ? `${reason}: ${missing}` : reason }
}

/** `TLS handshake failed: alert handshake failure`; undefined: it is no error of TLS. */
function tlsWords(code: string): string | undefined {
  const part = TLS_CODE.exec(code)?.[1]
  return part && `TLS handshake failed: ${part.toLowerCase().replaceAll('_', ' ')}`
}

function ownWords(code: string): string | undefined {
  const meaning = SYSTEM_ERRORS.get(code)
  return meaning && `this host can't ask: ${meaning} (${code})`
}

/**
 * What programs write when their host is out of something: strerror(3) of glibc and musl, and shells' own words. A
 * program also says "Resource temporarily unavailable" (EAGAIN) of a site that is silent: there it must speak of a
 * process or thread.
 */
const LACKS = [
  /cannot fork|can't fork|unable to fork|could not fork/i,
  /Cannot allocate memory|Out of memory|memory exhausted/i,
  /Too many open files|No file descriptors available/i,
  /No buffer space available/i,
  /Cannot assign requested address|Address not available/i,
  /error while loading shared libraries/i, // the loader tells the error as a number
] as const
const STARTS = /fork|clone|spawn|thread/i

/** The line of a program's stderr that says that this host is out of a resource; undefined: none does. */
export function hostLacks(output: string): string | undefined {
  const lines = output.split('\n')
  const found = lines.find((line) => LACKS.some((words) => words.test(line)))
  if (found !== undefined || !STARTS.test(output)) return found
  return lines.find((line) => line.includes('Resource temporarily unavailable'))
}
