/**
 * A certificate in a running process: that of TLS and HTTPS, or that of `http.listen`. It is read again when its files change; a pair that is of no use
 * leaves the one before in use, with one warning. Used by RunningNode and Doors.
 */
import { randomBytes } from 'node:crypto'
import type { Log } from '../config.ts'
import { messageOf } from '../problem.ts'
import { type Certificate, CertificateError, readCertificate, validityFault } from '../server/certificate.ts'
import type { Credentials } from '../server/handshakes.ts'
import { type Watcher, watchPaths } from '../world/watch.ts'

/** The bytes that node:tls seals tickets with. */
const TICKET_KEY_BYTES = 48

/** A pair of files that is watched. */
export class CertificateFiles {
  readonly #files: readonly [certificate: string, key: string]
  readonly #log: Log
  #inUse: Certificate
  #trouble: string | undefined
  #watcher: Watcher | undefined

  /** Reads the files. Throws CertificateError. */
  constructor(certificateFile: string, keyFile: string, log: Log) {
    this.#files = [certificateFile, keyFile]
    this.#log = log
    this.#inUse = readCertificate(certificateFile, keyFile)
    this.#warnOfValidity()
  }

  /** When the certificate in use ends: Unix time in ms. */
  get endsMs(): number {
    return this.#inUse.endsMs
  }

  /** Why what the files have now is not in use; undefined while it is. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** What the server shows, with new keys for tickets. */
  credentials(): Credentials {
    const { certificate, key } = this.#inUse
    return { certificate, key, ticketKeys: randomBytes(TICKET_KEY_BYTES) }
  }

  /** Watches the files; `onChange` is called with each pair that is taken into use. */
  async watch(onChange: (credentials: Credentials) => void): Promise<void> {
    this.#watcher = await watchPaths(this.#files, {
      onChange: () => this.read(onChange),
      onPolling: (why) => this.#log('warn', `the certificate is looked at every 2 s: ${why}`),
    })
    this.read(onChange) // it may have changed since the start
  }

  /** Reads the files again. */
  read(onChange: (credentials: Credentials) => void): void {
    try {
      const read = readCertificate(...this.#files)
      this.#trouble = undefined
      if (read.certificate === this.#inUse.certificate && read.key === this.#inUse.key) return
      this.#inUse = read
      const ends = new Date(read.endsMs).toISOString()
      this.#log('info', `${this.#files[0]}: the new certificate is in use; it ends ${ends}`, { ends })
      this.#warnOfValidity()
      onChange(this.credentials())
    } catch (error) {
      const hint = error instanceof CertificateError ? `. ${error.hint}` : ''
      const trouble = `the new certificate is not used, the one before stays: ${messageOf(error)}${hint}`
      if (trouble !== this.#trouble) this.#log('warn', trouble)
      this.#trouble = trouble
    }
  }

  #warnOfValidity(): void {
    const fault = validityFault(this.#inUse, Date.now())
    if (fault !== undefined) this.#log('warn', `${this.#files[0]}: ${fault}: clients that check it will not ask`)
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop()
  }
}
