/**
 * The fields of RDATA, by kind: text → wire, and wire → presentation text. rdata.ts and svcb.ts build whole RDATA from
 * them. What cannot be read is a Fault in words; nothing throws.
 */
import { formatAddress, parseAddress } from './address.ts'
import { parseUnicodeName } from './idna.ts'
import { type Fault, formatName, isAbsolute, isFault, isTooLong, readName, TOO_LONG } from './name.ts'

/**
 * The kind of a field on the wire. `text`: a length byte and 0–255 bytes; `texts`: several of those; `tag`: as `text`,
 * of letters and digits; `rest`, `uri`, `hex` and `base64`: bytes without a length, up to the end of the RDATA.
 */
export type Kind =
  | 'ipv4'
  | 'ipv6'
  | 'name'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'text'
  | 'texts'
  | 'tag'
  | 'rest'
  | 'uri'
  | 'hex'
  | 'base64'

/** One field from text → its wire form. */
export function encodeField(kind: Kind, text: string): Uint8Array | Fault {
  switch (kind) {
    case 'ipv4':
    case 'ipv6': {
      const bytes = parseAddress(text)
      if (bytes?.length === (kind === 'ipv4' ? 4 : 16)) return bytes
      return { fault: `“${text}” is no ${kind === 'ipv4' ? 'IPv4' : 'IPv6'} address` }
    }
    case 'name':
      if (isTooLong(text)) return TOO_LONG
      if (parseAddress(text) !== undefined) return { fault: `“${text}” is an address where a name is wanted` }
      return isAbsolute(text) ? parseUnicodeName(text) : { fault: `“${text}” must end with a dot` }
    case 'u8':
      return encodeNumber(text, 1)
    case 'u16':
      return encodeNumber(text, 2)
    case 'u32':
      return encodeNumber(text, 4)
    case 'tag': // RFC 8659 §4.1
      if (!/^[a-z0-9]{1,255}$/i.test(text)) return { fault: `“${text}” is no tag: letters and digits are wanted` }
      return concat([Uint8Array.of(text.length), Buffer.from(text, 'latin1')])
    case 'text':
    case 'texts':
    case 'rest':
    case 'uri':
      return encodeText(kind, text)
    case 'hex':
    case 'base64':
      return encodeBinary(kind, text)
    default:
      return kind satisfies never
  }
}

function encodeNumber(text: string, bytes: 1 | 2 | 4): Uint8Array | Fault {
  const most = 2 ** (8 * bytes) - 1
  if (!/^\d{1,10}$/.test(text) || Number(text) > most) return { fault: `“${text}” is no number from 0 to ${most}` }
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(Number(text) / 2 ** (8 * (bytes - 1 - i))) & 255)
}

function encodeText(kind: 'text' | 'texts' | 'rest' | 'uri', text: string): Uint8Array | Fault {
  if (kind === 'texts') return encodeTexts(text)
  const bytes = parseText(text)
  if (isFault(bytes)) return bytes
  switch (kind) {
    case 'text':
      return bytes.length > 255 ? { fault: 'this text is longer than 255 bytes' } : chunks(bytes)
    case 'rest':
      return bytes
    case 'uri': // RFC 7553 §4.4, RFC 3986 §2
      if (bytes.length > 0 && bytes.every((byte) => byte > 32 && byte < 127)) return bytes
      return { fault: `“${text}” is no URI: other characters than ASCII’s are written with %` }
    default:
      return kind satisfies never
  }
}

/** Reads hexadecimal digits or base64, which may have blanks between them. */
function encodeBinary(kind: 'hex' | 'base64', text: string): Uint8Array | Fault {
  const digits = text.replaceAll(/\s+/g, '')
  if (digits.length > 131_070) return { fault: 'this is longer than any RDATA' }
  const form = kind === 'hex' ? /^(?:[0-9a-f]{2})+$/i : /^[0-9a-z+/]+={0,2}$/i
  if (form.test(digits) && (kind === 'hex' || digits.length % 4 === 0)) return new Uint8Array(Buffer.from(digits, kind))
  const what = kind === 'hex' ? 'pairs of hexadecimal digits are' : 'base64 is'
  return { fault: `“${text.slice(0, 80)}” is something else where ${what} wanted` }
}

/** Several character-strings: each quoted string is one, or several if it is longer than 255 bytes. */
function encodeTexts(text: string): Uint8Array | Fault {
  const strings = stringsOf(text)
  if (isFault(strings)) return strings
  const parts: Uint8Array[] = []
  for (const string of strings) {
    const bytes = unescaped(string)
    if (isFault(bytes)) return bytes
    parts.push(chunks(bytes))
  }
  const whole = parts.length === 1 ? parts[0]! : concat(parts)
  return whole.length > MAX_TEXTS ? TEXT_TOO_LONG : whole
}

const MAX_BYTES = 65_000
/** With the length bytes of its strings. */
const MAX_TEXTS = MAX_BYTES + Math.ceil(MAX_BYTES / 255)
const TEXT_TOO_LONG: Fault = { fault: 'the text is longer than 65,000 bytes' }
/** The most characters of a text: each byte as an escape, and some quotes and spaces. */
const MAX_CHARACTERS = 5 * MAX_BYTES

/** A text with master-file escapes (RFC 1035 §5.1), or several quoted strings, which are joined → its bytes. */
export function parseText(text: string): Uint8Array | Fault {
  const strings = stringsOf(text)
  return isFault(strings) ? strings : unescaped(strings.length === 1 ? strings[0]! : strings.join(''))
}

/** The quoted strings of a text, without their quotes; a text that is not in quotes is one. */
function stringsOf(text: string): readonly string[] | Fault {
  if (text.length > MAX_CHARACTERS) return TEXT_TOO_LONG
  if (!/^"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*$/s.test(text)) return [text]
  const strings = ['']
  for (const [token] of text.slice(1, -1).matchAll(/\\.|"\s+"|[^"\\]/gs)) {
    if (token.startsWith('"')) strings.push('')
    else strings[strings.length - 1] += token
  }
  return strings
}

/** A text with master-file escapes (RFC 1035 §5.1) → its bytes. */
function unescaped(source: string): Uint8Array | Fault {
  const parts: Uint8Array[] = []
  for (const [part] of source.matchAll(/\\\d{3}|\\?[^\\]|\\\\|\\$/gsu)) {
    if (part === '\\') return { fault: 'the text ends within an escape' }
    const number = /^\\(\d{3})$/.exec(part)
    if (number === null && /^\\\d/.test(part))
      return { fault: `“${part}” says no byte: three digits do, and \\\\ is a backslash` }
    if (number === null) parts.push(Buffer.from(part.length > 1 && part[0] === '\\' ? part.slice(1) : part, 'utf8'))
    else if (Number(number[1]) < 256) parts.push(Uint8Array.of(Number(number[1])))
    else return { fault: `“${part}” says no byte` }
  }
  const bytes = concat(parts)
  return bytes.length > MAX_BYTES ? TEXT_TOO_LONG : bytes
}

/** Splits bytes into character-strings (RFC 1035 §3.3): at most 255 bytes, each after its length byte; at least one. */
function chunks(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255)
    parts.push(Uint8Array.of(part.length), part)
  }
  return concat(parts)
}

/** Joins byte arrays. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A field in presentation form, and the index of the byte behind it. */
export interface FieldText {
  readonly text: string
  readonly next: number
}

const SIZES = { ipv4: 4, ipv6: 16, u8: 1, u16: 2, u32: 4 } as const

/** One field at message[at …], which ends before `end` → its presentation text. Names may be compressed. */
export function formatField(kind: Kind, message: Uint8Array, at: number, end: number): FieldText | Fault {
  switch (kind) {
    case 'name': {
      const read = readName(message, at, end)
      return isFault(read) ? read : { text: formatName(read.name), next: read.next }
    }
    case 'ipv4':
    case 'ipv6':
    case 'u8':
    case 'u16':
    case 'u32': {
      const next = at + SIZES[kind]
      if (next > end) return { fault: 'its RDATA is cut short' }
      if (kind === 'ipv4' || kind === 'ipv6') return { text: formatAddress(message, at, SIZES[kind]), next }
      let number = 0
      for (let i = at; i < next; i++) number = number * 256 + message[i]!
      return { text: String(number), next }
    }
    case 'text':
    case 'tag': {
      const next = at + 1 + (message[at] ?? 0)
      if (at >= end || next > end) return { fault: 'a string is cut short' }
      const bytes = message.subarray(at + 1, next)
      return { text: kind === 'tag' ? escape(bytes) : `"${escape(bytes)}"`, next }
    }
    case 'texts': {
      const texts: string[] = []
      let i = at
      do {
        const read = formatField('text', message, i, end)
        if (isFault(read)) return read
        texts.push(read.text)
        i = read.next
      } while (i < end)
      return { text: texts.join(' '), next: end }
    }
    case 'hex':
    case 'base64': {
      if (at >= end) return { fault: 'its RDATA is cut short' }
      const text = Buffer.from(message.subarray(at, end)).toString(kind)
      return { text: kind === 'hex' ? text.toUpperCase() : text, next: end }
    }
    case 'uri':
    case 'rest':
      return { text: `"${escape(message.subarray(at, end))}"`, next: end }
    default:
      return kind satisfies never
  }
}

/** Bytes as text between quotes: `"`, `\` and all bytes but printable ASCII are escaped. */
export function escape(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    if (byte < 32 || byte > 126) text += `\\${String(byte).padStart(3, '0')}`
    else text += (byte === 34 || byte === 92 ? '\\' : '') + String.fromCharCode(byte)
  }
  return text
}

/** A value of RDATA as YAML has it: a scalar's text, a list, or a mapping. A key without a value has an empty text. */
export type RdataValue = string | readonly RdataValue[] | { readonly [key: string]: RdataValue }
