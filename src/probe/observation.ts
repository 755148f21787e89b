/**
 * What one check of one target saw, and the words for it. A fault of the prober's own host is no observation of the site:
 * it is told apart here, so that it can never become a DOWN vote.
 */

export interface Observation {
  /**
   * pass, fail: what the site did. timeout: what it didn't do in time, which may be this host's fault (its loop stood
   * still) or the site's. unroutable: the network is unreachable, which may be this host's fault (no route at all) or the
   * site's (its prefix is gone). unable: this host could not ask (out of descriptors or ports, forbidden).
   */
  readonly kind: 'pass' | 'fail' | 'timeout' | 'unroutable' | 'unable'
  /** In words, without the duration, so that equal outcomes read equal. */
  readonly reason: string
  readonly rttMs: number
  /** How much of its traffic the target asks for, 0–1000; undefined = it doesn't say. */
  readonly share?: number
}

const SITE_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
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
  EADDRNOTAVAIL: 'this host has no address or port left to ask from',
  EADDRINUSE: 'this host has no address or port left to ask from',
  EAFNOSUPPORT: 'this host does not speak the address family',
  ENETDOWN: "this host's network is down",
  EACCES: 'this host forbids the connection',
  EPERM: 'this host forbids the connection',
}

/** An error of a connection or a request, as an observation. */
export function observeError(error: Error, rttMs: number): Observation {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const own = OWN_WORDS[code]
  if (own !== undefined) return { kind: 'unable', reason: own, rttMs }
  if (code === 'ENETUNREACH') return { kind: 'unroutable', reason: 'network unreachable', rttMs }
  const words = SITE_WORDS[code] ?? PROTOCOLS.find(([prefix]) => code.startsWith(prefix))?.[1]
  return { kind: 'fail', reason: words ?? (code === '' ? error.message : code), rttMs }
}
