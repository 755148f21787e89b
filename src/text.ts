/**
 * The bytes of a file that people write → its text. Text is UTF-8: in place of other bytes a decoder puts U+FFFD, and
 * nobody must be served that instead of what was meant. So a caller refuses a text with a fault, at its place.
 */
import { isUtf8 } from 'node:buffer'

/** A text, and where it is not what was written. */
export interface DecodedText {
  /** With U+FFFD in place of bytes that are no UTF-8. */
  readonly text: string
  /** The first bytes that are no UTF-8; absent: all are. */
  readonly fault?: TextFault
}

/** Bytes that are no UTF-8. */
export interface TextFault {
  /** Where they are in the text, in UTF-16 units. */
  readonly at: number
  /** The first of them. */
  readonly byte: number
}

/** Decodes the bytes of a file. */
export function decodeText(bytes: Buffer): DecodedText {
  const text = bytes.toString('utf8')
  if (isUtf8(bytes)) return { text }
  // up to the fault each character has its own bytes, and U+FFFD may be one of them
  for (let at = 0, byte = 0; at < text.length;) {
    const next = text.indexOf(REPLACEMENT, at)
    byte += Buffer.byteLength(text.slice(at, next))
    const isWritten = bytes.subarray(byte, byte + 3).equals(REPLACEMENT_BYTES)
    if (!isWritten) return { text, fault: { at: next, byte: bytes[byte]! } }
    byte += 3
    at = next + 1
  }
  return { text }
}

const REPLACEMENT = '\u{fffd}'
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT)

/** Message and hint for a text that is no UTF-8. */
export function faultInWords({ at, byte }: TextFault): readonly [message: string, hint: string] {
  if (at === 0 && byte >= 0xfe) return ['this file is UTF-16, and no UTF-8', 'Save it as UTF-8']
  const hex = byte.toString(16).toUpperCase()
  const latin = byte >= 0xa0 ? ` (“${String.fromCharCode(byte)}” in ISO 8859-1)` : ''
  return [`here is the byte ${hex}${latin}, which is no UTF-8`, 'Save the file as UTF-8']
}
