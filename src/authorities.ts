/**
 * The certificate authorities that a thread trusts: those of the machine's store, as curl and openssl do, those of
 * NODE_EXTRA_CA_CERTS, and those that the setting `tls.ca` adds. Without this, Node's TLS trusts only a list that comes
 * with Node. Called once by each thread that opens TLS connections: those of the prober, and the main one for Redis.
 *
 * Node finds the machine's store as OpenSSL does: SSL_CERT_FILE and SSL_CERT_DIR, else /etc/ssl/cert.pem and
 * /etc/ssl/certs. It is read once in a process.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { codeOf, messageOf } from './problem.ts'

/**
 * Trusts the machine's authorities and those of `files` (PEM) in this thread. A machine without a store, such as a
 * minimal container, leaves Node's own list in its place. Throws, in words, if a file is of no use.
 */
export function trustAuthorities(files: readonly string[]): void {
  const machine = getCACertificates('system')
  const base = machine.length > 0 ? machine : getCACertificates('bundled')
  // a store of files and links has each of them several times
  setDefaultCACertificates([...new Set([...base, ...getCACertificates('extra'), ...files.flatMap(readAuthorities)])])
}

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

/** The certificates of a PEM file, each as PEM. Throws, in words, if it can't be read, or has none that is one. */
export function readAuthorities(file: string): readonly string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`${file} can't be read: ${codeOf(error) ?? messageOf(error)}`, { cause: error })
  }
  const found: string[] = []
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at)) {
    const end = text.indexOf(END, at)
    if (end < 0) break
    const pem = text.slice(at, end + END.length)
    at = end
    try {
      found.push(new X509Certificate(pem).toString())
    } catch (error) {
      throw new Error(`certificate ${found.length + 1} of ${file} is none: ${messageOf(error)}`, { cause: error })
    }
  }
  if (found.length === 0) throw new Error(`${file} has no certificate in PEM form (${BEGIN})`)
  return found
}
