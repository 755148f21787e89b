/**
 * RDATA in presentation form, as words of a master file → a value as Meridian's YAML has it, with whole names. The value is
 * encoded once, so what is returned is what Meridian can serve. Types that zones may not hold are a Fault.
 */
import { encodeField, escape, parseText, type RdataValue } from '../dns/fields.ts'
import { type Fault, formatName, isFault } from '../dns/name.ts'
import { encodeRdata, type Field, fieldsOf, formatRdata, ZONE_TYPES } from '../dns/rdata.ts'
import { isOpaque, TYPE, typeName } from '../dns/types.ts'
import { WORD_FORMS } from '../dns/words.ts'
import { count } from '../units.ts'
import { escaped, linesOf, unquoted } from './master.ts'

/** Completes a name as it stands in the file. */
export type Complete = (name: string) => Uint8Array | Fault

/** A value, and its wire form, by which equal values are known. */
export interface RdataRead {
  readonly value: RdataValue
  readonly wire: Uint8Array
}

/** The value of a record's words. `complete`: for names that are relative to an origin. */
export function readRdata(type: number, words: readonly string[], complete: Complete): RdataRead | Fault {
  if (!isOpaque(type) && !ZONE_TYPES.includes(typeName(type)) && type !== TYPE.SOA) {
    return { fault: `Meridian's zones have no records of type ${typeName(type)}` }
  }
  const value = words[0] === '\\#' ? fromBytes(type, words.slice(1)) : valueOf(type, words, complete)
  if (isFault(value)) return value
  const wire = encodeRdata(type, value.value)
  return isFault(wire) ? wire : { value: value.value, wire }
}

interface Value {
  readonly value: RdataValue
}

/** RDATA in the form of RFC 3597 §5; of types that are known, as the values that they are. */
function fromBytes(type: number, [length = '', ...hex]: readonly string[]): Value | Fault {
  const digits = hex.join('')
  const bytes = new Uint8Array(Buffer.from(/^[0-9a-f]*$/i.test(digits) ? digits : '', 'hex'))
  if (!/^\d{1,5}$/.test(length) || Number(length) !== bytes.length || 2 * bytes.length !== digits.length) {
    return { fault: '\\# is followed by the number of bytes, and these in hexadecimal' }
  }
  if (isOpaque(type)) return { value: `\\# ${bytes.length}${bytes.length === 0 ? '' : ` ${digits}`}` }
  const text = formatRdata(type, bytes)
  if (typeof text !== 'string') return text
  const [line] = linesOf(text)
  return valueOf(type, line?.words ?? [], (name) => encodeField('name', name))
}

/** Which words of types in presentation form are names. */
const NAMES: Readonly<Record<string, (words: readonly string[], index: number) => boolean>> = {
  MB: () => true,
  MG: () => true,
  MR: () => true,
  MINFO: () => true,
  AFSDB: (_, i) => i === 1,
  RT: (_, i) => i === 1,
  'NSAP-PTR': () => true,
  PX: (_, i) => i > 0,
  KX: (_, i) => i === 1,
  LP: (_, i) => i === 1,
  TALINK: () => true,
  IPSECKEY: (words, i) => i === 3 && words[1] === '3',
  AMTRELAY: (words, i) => i === 3 && words[2] === '3',
  HIP: (_, i) => i > 2,
}

function valueOf(type: number, words: readonly string[], complete: Complete): Value | Fault {
  if (type === TYPE.LOC) return locOf(words)
  const fields = fieldsOf(type)
  if (fields !== undefined) return valueOfFields(fields, words, complete)
  if (!WORD_FORMS.has(type)) return { fault: `data of ${typeName(type)} is written as \\# LENGTH HEX` }
  const isName = NAMES[typeName(type)]
  const whole: string[] = []
  for (const [i, word] of words.entries()) {
    const text = isName?.(words, i) === true ? nameOf(word, complete) : escaped(word)
    if (typeof text !== 'string') return text
    whole.push(text)
  }
  return { value: whole.join(' ') }
}

function nameOf(word: string, complete: Complete): string | Fault {
  const name = complete(word)
  return isFault(name) ? name : formatName(name)
}

function valueOfFields(fields: readonly Field[], words: readonly string[], complete: Complete): Value | Fault {
  const values = new Map<string, RdataValue>()
  const last = fields.length - 1
  const isOpen = OPEN.has(fields[last]!.kind)
  const least = fields[last]!.kind === 'params' ? last : fields.length
  if (words.length < least || (words.length > fields.length && !isOpen)) {
    return { fault: `it takes ${count(least, 'word')}${isOpen ? ' or more' : ''}, and has ${words.length}` }
  }
  for (const [i, field] of fields.entries()) {
    const value = fieldValue(field, i === last && isOpen ? words.slice(i) : [words[i]!], complete)
    if (isFault(value)) return value
    if (field.key === undefined) return value
    values.set(field.key, value.value)
  }
  return { value: Object.fromEntries(values) }
}

const OPEN: ReadonlySet<Field['kind']> = new Set<Field['kind']>(['hex', 'base64', 'texts', 'params'])

function fieldValue({ kind }: Field, words: readonly string[], complete: Complete): Value | Fault {
  const [word = ''] = words
  switch (kind) {
    case 'name': {
      const name = nameOf(word, complete)
      return typeof name === 'string' ? { value: name } : name
    }
    case 'texts':
      return { value: textsOf(words) }
    case 'params':
      return paramsOf(words)
    case 'hex':
    case 'base64':
      return { value: words.join('') }
    case 'text':
    case 'rest':
    case 'uri':
      return { value: escaped(unquoted(word)) }
    case 'ipv4':
    case 'ipv6':
    case 'u8':
    case 'u16':
    case 'u32':
    case 'tag':
      return { value: word }
    default:
      return kind satisfies never
  }
}

/** Strings of a TXT: one alone without its quotes, as people write it, unless it would read as something else. */
function textsOf(words: readonly string[]): string {
  const [word = ''] = words
  const text = escaped(unquoted(word))
  if (words.length === 1 && text !== '' && text.trim() === text) return text
  return words.map((one) => (one.startsWith('"') ? escaped(one) : `"${escaped(one)}"`)).join(' ')
}

/** Parameters of HTTPS and SVCB (RFC 9460 §2.1): `alpn=h2,h3 port=443`. Values with escapes are read once (§A.1). */
function paramsOf(words: readonly string[]): Value | Fault {
  const params = new Map<string, RdataValue>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const key = (equals < 0 ? word : word.slice(0, equals)).toLowerCase()
    const text = equals < 0 ? '' : unquoted(word.slice(equals + 1))
    if (params.has(key)) return { fault: `“${key}” is there twice` }
    if (!LISTS.has(key)) params.set(key, escaped(text))
    else {
      const bytes = parseText(escaped(text))
      if (isFault(bytes)) return bytes
      params.set(key, itemsOf(Buffer.from(bytes).toString('latin1')))
    }
  }
  return { value: Object.fromEntries(params) }
}

const LISTS: ReadonlySet<string> = new Set(['alpn', 'mandatory', 'ipv4hint', 'ipv6hint'])

/** The items of a list between commas; a backslash keeps a comma or a backslash (RFC 9460 §A.1). */
function itemsOf(text: string): readonly string[] {
  const items = ['']
  for (let i = 0; i < text.length; i++) {
    if (text[i] === ',') items.push('')
    else items[items.length - 1] += text[i] === '\\' && i + 1 < text.length ? text[++i]! : text[i]!
  }
  return items.map((item) => escape(Buffer.from(item, 'latin1')))
}

const metres = (text: string): string => text.replace(/m$/i, '')

/** LOC (RFC 1876 §3): minutes, seconds, sizes and precisions may be left out, and metres have an m. */
function locOf(words: readonly string[]): Value | Fault {
  let at = 0
  const angle = (what: 'lat' | 'long', directions: string): Readonly<Record<string, string>> | undefined => {
    const numbers: string[] = []
    while (at < words.length && numbers.length < 3 && /^\d{1,3}(?:\.\d{1,3})?$/.test(words[at]!))
      numbers.push(words[at++]!)
    const direction = (words[at++] ?? '').toUpperCase()
    if (numbers.length === 0 || direction.length !== 1 || !directions.includes(direction)) return undefined
    const [degrees = '0', minutes = '0', seconds = '0'] = numbers
    return {
      [`${what}_degrees`]: degrees,
      [`${what}_minutes`]: minutes,
      [`${what}_seconds`]: seconds,
      [`${what}_direction`]: direction,
    }
  }
  const latitude = angle('lat', 'NS')
  const longitude = angle('long', 'EW')
  const [altitude, size = '1m', horizontal = '10000m', vertical = '10m', ...more] = words.slice(at)
  if (latitude === undefined || longitude === undefined || altitude === undefined || more.length > 0) {
    return { fault: 'LOC is “52 22 23 N 4 53 32 E -2m 1m 10000m 10m”' }
  }
  return {
    value: {
      ...latitude,
      ...longitude,
      altitude: metres(altitude),
      size: metres(size),
      precision_horz: metres(horizontal),
      precision_vert: metres(vertical),
    },
  }
}
