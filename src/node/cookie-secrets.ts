/**
 * The file of the secrets that DNS cookies are made with (setting `cookies.secretFile`). All nodes of an anycast address
 * have the same one. Read at the start by settings.ts, for faults, and by protocol.ts as often as it changes.
 *
 *   e5e973e5a6b2a43f48e7dc849e37bfcf     makes cookies, and verifies them
 *   445536bcd2513298075a5d379663c962     only verifies them: while a secret is replaced (RFC 9018 §5)
 */
import { type SipKey, sipKey } from '../dns/siphash.ts'
import { readSecretFile } from './secret-file.ts'

/** The secrets of the file, one or two. Throws, in words that show nothing of the file, if it is of no use. */
export function readCookieSecrets(file: string): readonly SipKey[] {
  const lines = readSecretFile(file)
    .split('\n')
    .map((line) => line.trim())
  const secrets = lines.flatMap((line, i) => {
    if (line === '') return []
    if (!/^[0-9a-f]{32}$/i.test(line)) throw new Error(`${file}:${i + 1} is not 32 hexadecimal digits`)
    return [sipKey(new Uint8Array(Buffer.from(line, 'hex')))]
  })
  if (secrets.length === 0) throw new Error(`${file} has no secret`)
  if (secrets.length > 2) throw new Error(`${file} has ${secrets.length} secrets, at most 2 can be in force`)
  return secrets
}
