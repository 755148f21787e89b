/** How long a response stays true: for caches that do not read DNS, such as those of HTTP. */
import { RCODE, TYPE } from './types.ts'

/**
 * The time for which a response may be cached, in seconds: the least TTL of its answer (RFC 8484 §5.1); if it says that
 * a name or type is missing, the SOA's time for that as well (RFC 2308 §5). 0 for errors. `message` is a response of
 * our own: well-formed, `size` bytes.
 */
export function freshSeconds(message: Uint8Array, size: number): number {
  const rcode = message[3]! & 15
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0
  const view = new DataView(message.buffer, message.byteOffset, size)
  const answers = view.getUint16(6)
  const authorities = view.getUint16(8)
  let at = 12
  for (let left = view.getUint16(4); left > 0; left--) at = skipName(message, at) + 4
  let seconds = Infinity
  for (let i = 0; i < answers + authorities; i++) {
    at = skipName(message, at)
    const type = view.getUint16(at)
    const ttl = view.getUint32(at + 4)
    const end = at + 10 + view.getUint16(at + 8)
    if (i < answers) seconds = Math.min(seconds, ttl)
    else if (type === TYPE.SOA) seconds = Math.min(seconds, ttl, view.getUint32(end - 4))
    at = end
  }
  return seconds === Infinity ? 0 : seconds
}

/** Where the name at `at` ends, in a message of our own: behind its root label or its pointer (RFC 1035 §4.1.4). */
export function skipName(message: Uint8Array, at: number): number {
  let end = at
  for (let length = message[end]!; length !== 0; length = message[end]!) {
    if (length >= 0xc0) return end + 2
    end += 1 + length
  }
  return end + 1
}
