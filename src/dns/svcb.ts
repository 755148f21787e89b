/**
 * SvcParams of SVCB and HTTPS (RFC 9460): octoDNS's mapping → wire, wire → presentation text. Used by rdata.ts.
 *
 *   key (2 bytes), length (2), value; one after the other, keys ascending, each once (§2.2)
 */
import { concat, encodeField, escape, formatField, parseText, type RdataValue } from './fields.ts'
import { type Fault, isFault, wireBytes } from './name.ts'

/** The names of the keys, in the order of their numbers (§14.3.2). */
const KEYS = ['mandatory', 'alpn', 'no-default-alpn', 'port', 'ipv4hint', 'ech', 'ipv6hint'] as const
type Key = (typeof KEYS)[number]
const NAMES: readonly string[] = KEYS
/** 65535 is reserved as invalid. */
const LAST_KEY = 65_534

/** Number of a key by its name, or of `key65280` (§2.1); undefined when it is none. */
function keyNumber(name: string): number | undefined {
  const known = NAMES.indexOf(name)
  if (known >= 0) return known
  const number = /^key(0|[1-9]\d{0,4})$/.exec(name)?.[1]
  if (number === undefined) return undefined
  // the numbers that have names are written by them
  return Number(number) >= KEYS.length && Number(number) <= LAST_KEY ? Number(number) : undefined
}

const keyName = (number: number): string => NAMES[number] ?? `key${number}`

/** A mapping of parameters → wire form. A Fault names the parameter. */
export function encodeParams(params: { readonly [key: string]: RdataValue }): Uint8Array | Fault {
  const encoded: { readonly number: number; readonly value: Uint8Array }[] = []
  for (const [name, given] of Object.entries(params)) {
    const number = keyNumber(name)
    if (number === undefined) {
      return {
        fault: `“${name}” is no parameter: ${KEYS.join(', ')}, or key${KEYS.length} … key${LAST_KEY}`,
        field: name,
      }
    }
    const value = encodeParam(KEYS[number], given, params)
    if (isFault(value)) return { fault: value.fault, field: name }
    encoded.push({ number, value })
  }
  if (Object.hasOwn(params, 'no-default-alpn') && !Object.hasOwn(params, 'alpn')) {
    return { fault: 'it needs “alpn” beside it (RFC 9460 §7.1.1)', field: 'no-default-alpn' }
  }
  const sorted = encoded.toSorted((a, b) => a.number - b.number)
  return concat(sorted.flatMap(({ number, value }) => [twoBytes(number), twoBytes(value.length), value]))
}

const twoBytes = (number: number): Uint8Array => Uint8Array.of(number >>> 8, number & 255)

function encodeParam(
  key: Key | undefined,
  given: RdataValue,
  params: { readonly [key: string]: RdataValue },
): Uint8Array | Fault {
  switch (key) {
    case 'mandatory':
      return encodeMandatory(given, params)
    case 'alpn':
      return encodeEach(given, (id) => {
        const bytes = parseText(id)
        if (isFault(bytes)) return bytes
        if (bytes.length === 0 || bytes.length > 255) return { fault: `“${id}” has not 1 to 255 bytes` }
        return concat([Uint8Array.of(bytes.length), bytes])
      })
    case 'no-default-alpn':
      return typeof given === 'string' && /^(~|null)?$/i.test(given) ? new Uint8Array() : { fault: 'it takes no value' }
    case 'ipv4hint':
    case 'ipv6hint':
      return encodeEach(given, (address) => encodeField(key === 'ipv4hint' ? 'ipv4' : 'ipv6', address))
    case 'port':
    case 'ech':
      if (typeof given !== 'string') return { fault: 'a text is wanted' }
      return encodeField(key === 'port' ? 'u16' : 'base64', given)
    case undefined:
      return typeof given === 'string' ? parseText(given) : { fault: 'a text is wanted' }
    default:
      return key satisfies never
  }
}

/** Encodes each item of a list, one after the other. */
function encodeEach(given: RdataValue, encode: (text: string) => Uint8Array | Fault): Uint8Array | Fault {
  if (!Array.isArray(given) || given.length === 0) return { fault: 'a list is wanted, and not an empty one' }
  const parts: Uint8Array[] = []
  for (const one of given) {
    const part = typeof one === 'string' ? encode(one) : { fault: 'a list of texts is wanted' }
    if (isFault(part)) return part
    parts.push(part)
  }
  return concat(parts)
}

/**
 * Encodes `mandatory` (§8), the keys that a client must know: each must be in the record, once, and never `mandatory`
 * itself.
 */
function encodeMandatory(given: RdataValue, params: { readonly [key: string]: RdataValue }): Uint8Array | Fault {
  const numbers = new Set<number>()
  const fault = encodeEach(given, (name) => {
    const number = keyNumber(name)
    if (number === undefined || number === 0) return { fault: `“${name}” is no parameter that can be mandatory` }
    if (!Object.hasOwn(params, name)) return { fault: `“${name}” is mandatory and not there` }
    if (numbers.has(number)) return { fault: `“${name}” is there twice` }
    numbers.add(number)
    return new Uint8Array()
  })
  return isFault(fault) ? fault : concat([...numbers].toSorted((a, b) => a - b).map(twoBytes))
}

/** Whether RDATA of SVCB or HTTPS is an alias: SvcPriority 0 (§2.4.2). */
export const isAliasMode = (rdata: Uint8Array): boolean => rdata[0] === 0 && rdata[1] === 0

/** Whether RDATA of SVCB or HTTPS has ipv4hint or ipv6hint. */
export function hasHints(rdata: Uint8Array): boolean {
  for (let i = 2 + wireBytes(rdata, 2); i < rdata.length; i += 4 + ((rdata[i + 2]! << 8) | rdata[i + 3]!)) {
    if (KEYS[(rdata[i]! << 8) | rdata[i + 1]!]?.startsWith('ipv') === true) return true
  }
  return false
}

/** The parameters at message[at … end), which must fill it exactly → presentation text. */
export function formatParams(
  message: Uint8Array,
  at: number,
  end: number,
): { readonly text: string; readonly next: number } | Fault {
  const texts: string[] = []
  let last = -1
  for (let i = at; i < end;) {
    const number = i + 4 <= end ? (message[i]! << 8) | message[i + 1]! : -1
    const next = i + 4 <= end ? i + 4 + ((message[i + 2]! << 8) | message[i + 3]!) : end + 1
    if (next > end) return { fault: 'a parameter is cut short' }
    if (number <= last) return { fault: 'its parameters are out of order' }
    const value = formatParam(KEYS[number], message, i + 4, next)
    if (typeof value !== 'string') return { fault: `${keyName(number)}: ${value.fault}` }
    texts.push(value === '' ? keyName(number) : `${keyName(number)}=${value}`)
    last = number
    i = next
  }
  return { text: texts.join(' '), next: end }
}

/** A parameter's value as text; empty if the key has no value. */
function formatParam(key: Key | undefined, message: Uint8Array, at: number, end: number): string | Fault {
  switch (key) {
    case 'mandatory':
      return list(at, end, (i) => ({ text: keyName((message[i]! << 8) | (message[i + 1] ?? 0)), next: i + 2 }))
    case 'alpn': {
      // commas and backslashes in an id are escaped for the list, and again for the text (RFC 9460, appendix A.1)
      const ids = list(at, end, (i) => {
        const next = i + 1 + message[i]!
        const id = Buffer.from(message.subarray(i + 1, Math.min(next, end))).toString('latin1')
        return { text: id.replaceAll(/[\\,]/g, '\\$&'), next }
      })
      return typeof ids === 'string' ? `"${escape(Buffer.from(ids, 'latin1'))}"` : ids
    }
    case 'no-default-alpn':
      return at === end ? '' : { fault: 'it has a value' }
    case 'ipv4hint':
      return list(at, end, (i) => formatField('ipv4', message, i, end))
    case 'ipv6hint':
      return list(at, end, (i) => formatField('ipv6', message, i, end))
    case 'port':
    case 'ech':
      return list(at, end, (i) => formatField(key === 'port' ? 'u16' : 'base64', message, i, end), key === 'port')
    case undefined:
      return at === end ? '' : `"${escape(message.subarray(at, end))}"`
    default:
      return key satisfies never
  }
}

/** Reads values until `end` and joins them with commas: at least one, with `isOne` exactly one. */
function list(
  at: number,
  end: number,
  read: (i: number) => { readonly text: string; readonly next: number } | Fault,
  isOne = false,
): string | Fault {
  const texts: string[] = []
  let i = at
  while (i < end) {
    const one = read(i)
    if (isFault(one)) return one
    texts.push(one.text)
    i = one.next
  }
  return i !== end || texts.length === 0 || (isOne && texts.length > 1)
    ? { fault: 'its value is cut short' }
    : texts.join(',')
}
