/**
 * The certificate and key that clients of TLS and HTTPS, or of the API, are shown: read from two PEM files, and checked whole, so that
 * a pair that is of no use is told of in words, at the start and at each change. Called by the settings and by
 * node/certificate.ts.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { codeOf, messageOf } from '../problem.ts'

/** A certificate with its chain, and its key. */
export interface Certificate {
  /** The texts of the two files. */
  readonly certificate: string
  readonly key: string
  /** When it begins and ends to be valid: Unix time in ms. */
  readonly beginsMs: number
  readonly endsMs: number
}

/** Why a pair is of no use: which of the two files is at fault, what is wrong, and what would be right. */
export class CertificateError extends Error {
  readonly part: 'certificate' | 'key'
  readonly hint: string
  constructor(part: 'certificate' | 'key', message: string, hint: string) {
    super(message)
    this.name = 'CertificateError'
    this.part = part
    this.hint = hint
  }
}

const CHAIN = 'A PEM file with the certificate of this server first, then the intermediate ones'
const KEY = 'The private key of the certificate, in PEM form and without a passphrase'

/** Reads a pair. Throws CertificateError. A pair that is expired, or not valid yet, is a pair: see validityFault(). */
export function readCertificate(certificateFile: string, keyFile: string): Certificate {
  const certificate = textOf('certificate', certificateFile, CHAIN)
  const key = textOf('key', keyFile, KEY)
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(certificate) // the first of the file
  } catch (error) {
    throw new CertificateError('certificate', `${certificateFile} has no certificate: ${messageOf(error)}`, CHAIN)
  }
  let secret: KeyObject
  try {
    secret = createPrivateKey(key)
  } catch (error) {
    const why = key.includes('ENCRYPTED') ? 'it has a passphrase' : messageOf(error)
    throw new CertificateError('key', `${keyFile} has no key that can be used: ${why}`, KEY)
  }
  if (!leaf.checkPrivateKey(secret)) {
    const message = `the key in ${keyFile} is not that of the first certificate in ${certificateFile}`
    throw new CertificateError('key', message, `${CHAIN}; ${KEY.toLowerCase()}`)
  }
  try {
    createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
  } catch (error) {
    throw new CertificateError('certificate', `${certificateFile} is of no use: ${messageOf(error)}`, CHAIN)
  }
  return { certificate, key, beginsMs: Date.parse(leaf.validFrom), endsMs: Date.parse(leaf.validTo) }
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')

/** What clients that check certificates will object to at `nowMs`, in words; undefined: nothing. */
export function validityFault({ beginsMs, endsMs }: Certificate, nowMs: number): string | undefined {
  if (nowMs >= endsMs) return `the certificate expired at ${day(endsMs)} UTC`
  if (nowMs < beginsMs) return `the certificate is not valid before ${day(beginsMs)} UTC`
  return undefined
}

function textOf(part: 'certificate' | 'key', file: string, hint: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CertificateError(part, `${file} can't be read: ${codeOf(error) ?? messageOf(error)}`, hint)
  }
}
