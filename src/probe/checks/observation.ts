/**
 * What one check observed, and its words. Faults of the prober's own host are no observation of the site: they are told
 * apart here for all kinds of checks, so that they never become a DOWN vote. Of errno(3) those in SITE_WORDS come from
 * the site or the path to it; all others are this host's.
 */
import { getSystemErrorMap } from 'node:util'
import { codeOf } from '../../problem.ts'

/** The result of one check. */
export interface Observation {
  /**
   * pass, fail: what the site did. timeout: no result in time, which may be this host's fault (a blocked loop) or the
   * site's. unroutable: network unreachable, which may be this host's fault (no route) or the site's (prefix
   * withdrawn). unable: this host could not run the check (no descriptors or ports left, forbidden).
   */
  readonly kind: 'pass' | 'fail' | 'timeout' | 'unroutable' | 'unable'
  /** In words, without the duration, so that equal results have equal texts. */
  readonly reason: string
  readonly rttMs: number
  /** Share of its traffic that the target asks for, in ‰ (0–1000); undefined: it sets none. */
  readonly share?: number
}

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
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate of an unknown issuer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate of an unknown issuer',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate of an unknown issuer',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another name',
  CERT_SIGNATURE_FAILURE: 'certificate with a wrong signature',
  ERROR_IN_CERT_NOT_BEFORE_FIELD: 'certificate with an invalid date',
  ERROR_IN_CERT_NOT_AFTER_FIELD: 'certificate with an invalid date',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'no HTTP/2 spoken', // the only one that checks offer
  HPE_HEADER_OVERFLOW: 'header too large',
}

/** Families of codes, by their prefix. */
const PROTOCOLS = [
  ['HPE_', 'no HTTP spoken'],
  ['ERR_SSL_', 'TLS handshake failed'],
] as const

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

/** The observation for an error of a connection or request. */
export function observeError(error: Error, rttMs: number): Observation {
  const code = codeOf(error) ?? ''
  if (code === 'ENETUNREACH') return { kind: 'unroutable', reason: 'network unreachable', rttMs }
  const words = SITE_WORDS[code] ?? PROTOCOLS.find(([prefix]) => code.startsWith(prefix))?.[1]
  const own = OWN_WORDS[code] ?? (words === undefined ? ownWords(code) : undefined)
  if (own !== undefined) return { kind: 'unable', reason: own, rttMs }
  return { kind: 'fail', reason: words ?? (code === '' ? error.message : code), rttMs }
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
