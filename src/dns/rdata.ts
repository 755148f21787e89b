/**
 * RDATA of the types that zones may hold: operators' values → wire (encodeRdata), wire → presentation text
 * (formatRdata; types without a form of their own by RFC 3597 §5). Values are octoDNS's; every scalar is its source text.
 *
 * A type is one row of a table: the kinds of its fields in wire order. Both directions read that row.
 */
import { formatAddress, parseAddress } from './address.ts'
import { type Fault, formatName, isAbsolute, isFault, parseName, readName } from './name.ts'
import { TYPE, typeName, typeNumber } from './types.ts'

/** A scalar's text, or the texts of a mapping's keys. */
export type RdataValue = string | Readonly<Record<string, string>>

/** How a field is written: `text` is a string of 1–255 bytes' count and its bytes, `texts` several, `rest` bare bytes. */
type Kind = 'ipv4' | 'ipv6' | 'name' | 'u8' | 'u16' | 'u32' | 'text' | 'texts' | 'tag' | 'rest'

interface Field {
  readonly kind: Kind
  /** Key in a mapping, and the older key that octoDNS takes too. */
  readonly key?: string
  readonly alias?: string
  readonly missing?: string
}

const field = (key: string, kind: Kind, more: Omit<Field, 'key' | 'kind'> = {}): Field => ({ key, kind, ...more })

/** A single field without a key stands as a scalar; all others as a mapping. */
const FORMS: ReadonlyMap<number, readonly Field[]> = new Map<number, readonly Field[]>([
  [TYPE.A, [{ kind: 'ipv4' }]],
  [TYPE.AAAA, [{ kind: 'ipv6' }]],
  [TYPE.NS, [{ kind: 'name' }]],
  [TYPE.CNAME, [{ kind: 'name' }]],
  [TYPE.PTR, [{ kind: 'name' }]],
  [TYPE.TXT, [{ kind: 'texts' }]],
  [TYPE.MX, [field('preference', 'u16', { alias: 'priority' }), field('exchange', 'name', { alias: 'value' })]],
  [TYPE.SRV, [field('priority', 'u16'), field('weight', 'u16'), field('port', 'u16'), field('target', 'name')]],
  [TYPE.CAA, [field('flags', 'u8', { missing: '0' }), field('tag', 'tag'), field('value', 'rest')]],
  [
    TYPE.SOA,
    [
      field('mname', 'name'),
      field('rname', 'name'),
      field('serial', 'u32'),
      field('refresh', 'u32'),
      field('retry', 'u32'),
      field('expire', 'u32'),
      field('minimum', 'u32'),
    ],
  ],
  [TYPE.HINFO, [field('cpu', 'text'), field('os', 'text')]], // RFC 8482's answer to ANY: printed only
])

/** Types that zones may hold, by mnemonic. */
export const ZONE_TYPES: readonly string[] = [...FORMS.keys()].filter((type) => type !== TYPE.HINFO).map(typeName)

/** One key of a type's values, for those who describe them. */
export interface ValueKey {
  readonly key: string
  /** An older name that octoDNS takes too. */
  readonly alias?: string
  /** Of numbers: the largest. */
  readonly most?: number
  readonly isOptional: boolean
}

const MOST: Readonly<Partial<Record<Kind, number>>> = { u8: 0xff, u16: 0xffff, u32: 0xffffffff }

/** Keys of a type's values; undefined where a value is a text. */
export function valueKeys(type: string): readonly ValueKey[] | undefined {
  const keys = FORMS.get(typeNumber(type) ?? 0)?.flatMap(({ key, kind, alias, missing }) => {
    const most = MOST[kind]
    if (key === undefined) return []
    return { key, isOptional: missing !== undefined, ...(alias && { alias }), ...(most !== undefined && { most }) }
  })
  return keys?.length === 0 ? undefined : keys
}

/**
 * Wire RDATA of a value, names in it uncompressed, case kept; names must end with a dot. A fault names the field.
 *
 *   A AAAA NS CNAME PTR TXT   text                         MX   {preference | priority, exchange | value}
 *   SRV  {priority, weight, port, target}                  CAA  {flags, tag, value}
 *   SOA  {mname, rname, serial, refresh, retry, expire, minimum}
 *
 * Text of TXT and CAA is UTF-8 with master-file escapes (RFC 1035 §5.1), so octoDNS's `\;` is `;`, as is a bare one; text
 * that begins and ends with `"` is one quoted string or several. TXT beyond 255 bytes becomes several strings.
 */
export function encodeRdata(type: number, value: RdataValue): Uint8Array | Fault {
  const form = FORMS.get(type)
  if (form === undefined) return { fault: `${typeName(type)} is no type that a zone may hold` }
  if (form[0]!.key === undefined) {
    return typeof value === 'string' ? encodeField(form[0]!.kind, value) : { fault: 'a text is wanted, not a mapping' }
  }
  if (typeof value === 'string') {
    return { fault: `a mapping with ${form.map((one) => one.key).join(', ')} is wanted, not a text` }
  }
  const unknown = Object.keys(value).find((key) => !form.some((one) => one.key === key || one.alias === key))
  if (unknown !== undefined) return { fault: `“${unknown}” is no key of ${typeName(type)}`, field: unknown }
  const parts: Uint8Array[] = []
  for (const one of form) {
    const key = one.alias !== undefined && Object.hasOwn(value, one.alias) ? one.alias : one.key!
    if (key === one.alias && Object.hasOwn(value, one.key!)) {
      return { fault: `“${one.key}” and “${key}” say the same`, field: key }
    }
    const text = Object.hasOwn(value, key) ? value[key] : one.missing
    if (text === undefined) return { fault: `“${key}” is missing` }
    const part = encodeField(one.kind, text)
    if (isFault(part)) return { ...part, field: key }
    parts.push(part)
  }
  return concat(parts)
}

function encodeField(kind: Kind, text: string): Uint8Array | Fault {
  switch (kind) {
    case 'ipv4':
    case 'ipv6': {
      const bytes = parseAddress(text)
      if (bytes?.length === (kind === 'ipv4' ? 4 : 16)) return bytes
      return { fault: `“${text}” is no ${kind === 'ipv4' ? 'IPv4' : 'IPv6'} address` }
    }
    case 'name':
      if (parseAddress(text) !== undefined) return { fault: `“${text}” is an address where a name is wanted` }
      return isAbsolute(text) ? parseName(text) : { fault: `“${text}” must end with a dot` }
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
    case 'rest': {
      const bytes = parseText(text)
      return isFault(bytes) || kind === 'rest' ? bytes : chunks(bytes)
    }
    default:
      return kind satisfies never
  }
}

function encodeNumber(text: string, bytes: 1 | 2 | 4): Uint8Array | Fault {
  const most = 2 ** (8 * bytes) - 1
  if (!/^\d{1,10}$/.test(text) || Number(text) > most) return { fault: `“${text}” is no number from 0 to ${most}` }
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(Number(text) / 2 ** (8 * (bytes - 1 - i))) & 255)
}

/** Text with escapes, or quoted strings to be joined → its bytes. */
function parseText(text: string): Uint8Array | Fault {
  const quoted = /^"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*$/s.test(text)
  const source = quoted ? text.slice(1, -1).replace(/(\\.)|"\s+"/gs, '$1') : text
  const parts: Uint8Array[] = []
  for (const [part] of source.matchAll(/\\\d{3}|\\?[^\\]|\\\\|\\$/gsu)) {
    if (part === '\\') return { fault: 'the text ends within an escape' }
    const number = /^\\(\d{3})$/.exec(part)
    if (number === null) parts.push(Buffer.from(part.length > 1 && part[0] === '\\' ? part.slice(1) : part, 'utf8'))
    else if (Number(number[1]) < 256) parts.push(Uint8Array.of(Number(number[1])))
    else return { fault: `“${part}” says no byte` }
  }
  const bytes = concat(parts)
  return bytes.length > 65_000 ? { fault: 'the text is longer than 65,000 bytes' } : bytes
}

/** Strings of at most 255 bytes, each behind its length; one empty string for nothing. */
function chunks(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255)
    parts.push(Uint8Array.of(part.length), part)
  }
  return concat(parts)
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * Presentation text of the RDATA at message[at … end); names in it may be compressed within `message`. A fault when it
 * isn't RDATA of that type.
 */
export function formatRdata(type: number, message: Uint8Array, at = 0, end = message.length): string | Fault {
  const form = FORMS.get(type)
  if (form === undefined) return formatUnknown(message.subarray(at, end))
  const texts: string[] = []
  let i = at
  for (const { kind } of form) {
    const read = formatField(kind, message, i, end)
    if (isFault(read)) return { fault: `${typeName(type)}: ${read.fault}` }
    texts.push(read.text)
    i = read.next
  }
  if (i !== end) return { fault: `${typeName(type)}: its RDATA is ${end - i} bytes too long` }
  return texts.join(' ')
}

/** RFC 3597 §5. */
const formatUnknown = (bytes: Uint8Array): string =>
  bytes.length === 0 ? '\\# 0' : `\\# ${bytes.length} ${Buffer.from(bytes).toString('hex')}`

interface FieldRead {
  readonly text: string
  readonly next: number
}

const SIZES = { ipv4: 4, ipv6: 16, u8: 1, u16: 2, u32: 4 } as const

function formatField(kind: Kind, message: Uint8Array, at: number, end: number): FieldRead | Fault {
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
    case 'rest':
      return { text: `"${escape(message.subarray(at, end))}"`, next: end }
    default:
      return kind satisfies never
  }
}

/** Within quotes: `"`, `\` and what isn't printable ASCII need an escape. */
function escape(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    if (byte < 32 || byte > 126) text += `\\${String(byte).padStart(3, '0')}`
    else text += (byte === 34 || byte === 92 ? '\\' : '') + String.fromCharCode(byte)
  }
  return text
}
