/**
 * RDATA of the types that zones may have: operators' values → wire (encodeRdata), and wire → presentation text
 * (formatRdata; for unknown types in the form of RFC 3597 §5). Values have octoDNS's form, in which every scalar is its
 * source text.
 *
 * Each type is a row of a table: the kinds of its fields in wire order, used in both directions. LOC is the only type
 * whose values have other fields than its wire form (loc.ts).
 */
import { concat, encodeField, type FieldText, formatField, type Kind, type RdataValue } from './fields.ts'
import { encodeLoc, formatLoc, LOC_KEYS } from './loc.ts'
import { type Fault, isFault } from './name.ts'
import { encodeParams, formatParams } from './svcb.ts'
import { isOpaque, TYPE, typeName, typeNumber } from './types.ts'
import { encodeWords, WORD_FORMS, type WordForm } from './words.ts'

export interface Field {
  /** `params`: SvcParams, to the RDATA's end. */
  readonly kind: Kind | 'params'
  /** Key in a mapping, and the older key that octoDNS takes too. Without one the field is the whole value. */
  readonly key?: string
  readonly alias?: string
  readonly missing?: RdataValue
  /** The required size, in bytes, for some values of another field, `of`. */
  readonly sizes?: { readonly of: string; readonly bytes: Readonly<Record<string, number>> }
}

const field = (key: string, kind: Field['kind'], more: Omit<Field, 'key' | 'kind'> = {}): Field => ({
  key,
  kind,
  ...more,
})

const SHA1_BYTES = 20
const SHA256_BYTES = 32
const SHA384_BYTES = 48
const SHA512_BYTES = 64

// RFC 4034 §5.1; digests: RFC 3658, 4509, 5933, 6605
const DS_DIGESTS = { 1: SHA1_BYTES, 2: SHA256_BYTES, 3: SHA256_BYTES, 4: SHA384_BYTES }
const SVCB = [
  field('svcpriority', 'u16'),
  field('targetname', 'name'),
  field('svcparams', 'params', { missing: {} }),
] as const

/**
 * The fields of each type. A type with a single field without a key has scalars as values; all others have mappings.
 */
const FORMS: ReadonlyMap<number, readonly Field[]> = new Map<number, readonly Field[]>([
  [TYPE.A, [{ kind: 'ipv4' }]],
  [TYPE.AAAA, [{ kind: 'ipv6' }]],
  [TYPE.NS, [{ kind: 'name' }]],
  [TYPE.CNAME, [{ kind: 'name' }]],
  [TYPE.DNAME, [{ kind: 'name' }]], // RFC 6672 §2.1
  [TYPE.PTR, [{ kind: 'name' }]],
  [TYPE.TXT, [{ kind: 'texts' }]],
  [TYPE.SPF, [{ kind: 'texts' }]], // RFC 4408 §3.1.1
  [TYPE.MX, [field('preference', 'u16', { alias: 'priority' }), field('exchange', 'name', { alias: 'value' })]],
  [TYPE.SRV, [field('priority', 'u16'), field('weight', 'u16'), field('port', 'u16'), field('target', 'name')]],
  [TYPE.CAA, [field('flags', 'u8', { missing: '0' }), field('tag', 'tag'), field('value', 'rest')]],
  [
    TYPE.DS,
    [
      field('key_tag', 'u16'),
      field('algorithm', 'u8'),
      field('digest_type', 'u8'),
      field('digest', 'hex', { sizes: { of: 'digest_type', bytes: DS_DIGESTS } }),
    ],
  ],
  [
    TYPE.SSHFP, // RFC 4255 §3.1, 6594
    [
      field('algorithm', 'u8'),
      field('fingerprint_type', 'u8'),
      field('fingerprint', 'hex', { sizes: { of: 'fingerprint_type', bytes: { 1: SHA1_BYTES, 2: SHA256_BYTES } } }),
    ],
  ],
  [
    TYPE.TLSA, // RFC 6698 §2.1
    [
      field('certificate_usage', 'u8'),
      field('selector', 'u8'),
      field('matching_type', 'u8'),
      field('certificate_association_data', 'hex', {
        sizes: { of: 'matching_type', bytes: { 1: SHA256_BYTES, 2: SHA512_BYTES } },
      }),
    ],
  ],
  [
    TYPE.NAPTR, // RFC 3403 §4.1
    [
      field('order', 'u16'),
      field('preference', 'u16'),
      field('flags', 'text'),
      field('service', 'text'),
      field('regexp', 'text'),
      field('replacement', 'name'),
    ],
  ],
  [TYPE.OPENPGPKEY, [{ kind: 'base64' }]], // RFC 7929 §2.1
  [TYPE.URI, [field('priority', 'u16'), field('weight', 'u16'), field('target', 'uri')]], // RFC 7553 §4
  [TYPE.SVCB, SVCB], // RFC 9460 §2.2
  [TYPE.HTTPS, SVCB],
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
  [TYPE.HINFO, [field('cpu', 'text'), field('os', 'text')]], // RFC 1035 §3.3.2; RFC 8482's answer to ANY too
  [TYPE.RP, [field('mbox', 'name'), field('txt', 'name')]], // RFC 1183 §2.2
])

/** The fields of a type whose values are mappings or one text, in the order of the wire; undefined for all others. */
export const fieldsOf = (type: number): readonly Field[] | undefined => FORMS.get(type)

/** octoDNS's former keys of DS: keys of DNSKEY with the bytes of DS. */
const FORMER_DS = [
  field('flags', 'u16'),
  field('protocol', 'u8'),
  field('algorithm', 'u8'),
  field('public_key', 'hex', { sizes: { of: 'algorithm', bytes: DS_DIGESTS } }),
]

/** Types that zones may hold, by mnemonic. Those that isOpaque() names may be held too. */
export const ZONE_TYPES: readonly string[] = [...FORMS.keys(), TYPE.LOC, ...WORD_FORMS.keys()].map(typeName)

/** For each type, a value as YAML has it. */
const EXAMPLES: Readonly<Record<string, string>> = {
  A: '192.0.2.1',
  AAAA: '"2001:db8::1"',
  NS: 'ns1.example.net.',
  CNAME: 'www.example.net.',
  DNAME: 'example.net.',
  PTR: 'www.example.net.',
  TXT: '"v=spf1 -all"',
  SPF: '"v=spf1 -all"',
  MX: '{preference: 10, exchange: mail.example.net.}',
  SRV: '{priority: 10, weight: 0, port: 443, target: www.example.net.}',
  CAA: '{flags: 0, tag: issue, value: ca.example.net}',
  DS: '{key_tag: 60485, algorithm: 13, digest_type: 2, digest: 64 hexadecimal digits}',
  SSHFP: '{algorithm: 4, fingerprint_type: 2, fingerprint: 64 hexadecimal digits}',
  TLSA: '{certificate_usage: 3, selector: 1, matching_type: 1, certificate_association_data: 64 hexadecimal digits}',
  NAPTR: '{order: 100, preference: 10, flags: s, service: SIP+D2U, regexp: "", replacement: _sip._udp.example.net.}',
  OPENPGPKEY: 'mQINBA==',
  URI: '{priority: 10, weight: 1, target: "https://www.example.net/"}',
  SVCB: '{svcpriority: 1, targetname: ., svcparams: {alpn: [h2]}}',
  HTTPS: '{svcpriority: 1, targetname: ., svcparams: {alpn: [h2]}}',
  HINFO: '{cpu: amd64, os: linux}',
  RP: '{mbox: admin.example.net., txt: .}',
  LOC: '{lat_degrees: 52, lat_minutes: 22, lat_seconds: 23, lat_direction: N, long_degrees: 4, long_minutes: 53, long_seconds: 32, long_direction: E, altitude: -2, size: 10, precision_horz: 100, precision_vert: 10}',
}

/** What a value of a type looks like: `value: 192.0.2.1`. */
export function exampleOf(type: number): string {
  const words = WORD_FORMS.get(type)
  return `value: ${words === undefined ? (EXAMPLES[typeName(type)] ?? "'\\# 4 0A000001'") : `'${words.example}'`}`
}

/** A key of a type's values, for the JSON Schema. */
export interface ValueKey {
  readonly key: string
  /** An older name that octoDNS takes too. */
  readonly alias?: string
  /** For whole numbers: the largest. */
  readonly most?: number
  /** A mapping with keys of its own. */
  readonly isMapping: boolean
  readonly isOptional: boolean
}

const MOST: Readonly<Partial<Record<Field['kind'], number>>> = { u8: 0xff, u16: 0xffff, u32: 0xffffffff }

/** The forms of a type's values, each by its keys; empty if its values are texts. */
export function valueForms(type: string): readonly (readonly ValueKey[])[] {
  const number = typeNumber(type) ?? 0
  if (number === TYPE.LOC) return [LOC_KEYS.map((key) => ({ key, isMapping: false, isOptional: false }))]
  const forms = [FORMS.get(number) ?? [], ...(number === TYPE.DS ? [FORMER_DS] : [])]
  return forms.map((form) => form.flatMap(keyOf)).filter((keys) => keys.length > 0)
}

function keyOf({ key, kind, alias, missing }: Field): readonly ValueKey[] {
  const most = MOST[kind]
  if (key === undefined) return []
  const what = { isMapping: kind === 'params', isOptional: missing !== undefined }
  return [{ key, ...what, ...(alias !== undefined && { alias }), ...(most !== undefined && { most }) }]
}

/**
 * A value → wire RDATA, with names uncompressed and their case kept; names must end with a dot. A Fault names the
 * field.
 *
 *   A AAAA NS CNAME DNAME PTR TXT SPF   text               OPENPGPKEY   text: base64
 *   MX     {preference | priority, exchange | value}       CAA   {flags, tag, value}
 *   SRV    {priority, weight, port, target}                URI   {priority, weight, target}
 *   SSHFP  {algorithm, fingerprint_type, fingerprint}      DS    {key_tag, algorithm, digest_type, digest}
 *   TLSA   {certificate_usage, selector, matching_type, certificate_association_data}
 *   NAPTR  {order, preference, flags, service, regexp, replacement}
 *   SVCB   HTTPS  {svcpriority, targetname, svcparams: {…}} (svcb.ts)      LOC  see loc.ts
 *   HINFO  {cpu, os}     RP  {mbox, txt}       types of words.ts   text: their presentation form
 *   types without a mnemonic   text: `\# 4 0A000001` (RFC 3597 §5)
 *   SOA    {mname, rname, serial, refresh, retry, expire, minimum}
 *
 * Texts are UTF-8 with master-file escapes (RFC 1035 §5.1), so octoDNS's `\;` and a bare `;` mean the same. A text that
 * begins and ends with `"` is one quoted string or several. Of TXT each of them is a string of the record; one longer
 * than 255 bytes becomes several.
 */
export function encodeRdata(type: number, value: RdataValue): Uint8Array | Fault {
  const isFormer =
    type === TYPE.DS && isMapping(value) && (Object.hasOwn(value, 'flags') || Object.hasOwn(value, 'public_key'))
  const form = isFormer ? FORMER_DS : FORMS.get(type)
  const words = WORD_FORMS.get(type)
  if (words !== undefined) return encodeOwnOrOpaque(type, words, value)
  if (type === TYPE.LOC) return isMapping(value) ? encodeLoc(value) : { fault: 'a mapping is wanted' }
  if (form === undefined && isOpaque(type)) return encodeOpaque(value)
  if (form === undefined) return { fault: `${typeName(type)} is no type that a zone may hold` }
  if (form[0]!.key === undefined) {
    if (typeof value === 'string') return encodeValue(form[0]!, value)
    return { fault: 'a text is wanted, not a mapping' }
  }
  if (!isMapping(value)) {
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
    const given = Object.hasOwn(value, key) ? value[key] : one.missing
    if (given === undefined) return { fault: `“${key}” is missing` }
    const part = encodeValue(one, given)
    if (isFault(part)) return { fault: part.fault, field: part.field === undefined ? key : `${key}.${part.field}` }
    const of = one.sizes && value[one.sizes.of]
    const bytes = typeof of === 'string' ? one.sizes!.bytes[of] : undefined
    if (bytes !== undefined && part.length !== bytes) {
      return { fault: `with this ${one.sizes!.of} ${bytes} bytes are wanted, and these are ${part.length}`, field: key }
    }
    parts.push(part)
  }
  if (isAlias(type, parts[0]!) && parts[2]!.length > 0) {
    // RFC 9460 §2.4.2
    return { fault: 'with svcpriority 0 the record is an alias and has no parameters', field: 'svcparams' }
  }
  return concat(parts)
}

const isMapping = (value: RdataValue): value is { readonly [key: string]: RdataValue } =>
  typeof value === 'object' && !Array.isArray(value)

const isAlias = (type: number, priority: Uint8Array): boolean =>
  (type === TYPE.SVCB || type === TYPE.HTTPS) && priority.every((byte) => byte === 0)

function encodeValue({ kind }: Field, value: RdataValue): Uint8Array | Fault {
  if (kind === 'params') return isMapping(value) ? encodeParams(value) : { fault: 'a mapping is wanted' }
  return typeof value === 'string' ? encodeField(kind, value) : { fault: 'a text is wanted' }
}

/**
 * The RDATA at message[at … end) → presentation text; names in it may be compressed within `message`. A Fault when it
 * is no RDATA of that type.
 */
export function formatRdata(type: number, message: Uint8Array, at = 0, end = message.length): string | Fault {
  if (type === TYPE.LOC) return formatLoc(message.subarray(at, end))
  const words = WORD_FORMS.get(type)?.format(message, at, end)
  if (typeof words === 'object') return { fault: `${typeName(type)}: ${words.fault}` }
  if (words !== undefined) return words
  const form = FORMS.get(type)
  if (form === undefined) return formatUnknown(message.subarray(at, end))
  const texts: string[] = []
  let i = at
  for (const { kind } of form) {
    const read: FieldText | Fault =
      kind === 'params' ? formatParams(message, i, end) : formatField(kind, message, i, end)
    if (isFault(read)) return { fault: `${typeName(type)}: ${read.fault}` }
    if (read.text !== '' || kind !== 'params') texts.push(read.text)
    i = read.next
  }
  if (i !== end) return { fault: `${typeName(type)}: its RDATA is ${end - i} bytes too long` }
  return texts.join(' ')
}

/** A value in presentation form, or in that of RFC 3597 §5, whose RDATA must be one of the type. */
function encodeOwnOrOpaque(type: number, words: WordForm, value: RdataValue): Uint8Array | Fault {
  if (typeof value !== 'string') return { fault: 'a text in presentation form is wanted, not a mapping' }
  const bytes = value.trimStart().startsWith('\\#') ? encodeOpaque(value) : encodeWords(words, value)
  if (isFault(bytes)) return bytes
  const text = formatRdata(type, bytes)
  return typeof text === 'string' ? bytes : text
}

/** RDATA in the form of RFC 3597 §5: `\# LENGTH HEX`. */
function encodeOpaque(value: RdataValue): Uint8Array | Fault {
  const [mark, length = '', ...words] = typeof value === 'string' ? value.trim().split(/\s+/) : []
  const hex = words.join('')
  if (mark !== '\\#' || !/^\d{1,5}$/.test(length) || !/^[0-9a-f]*$/i.test(hex)) {
    return { fault: 'the length and hexadecimal digits of the RDATA are wanted' }
  }
  const bytes = new Uint8Array(Buffer.from(hex, 'hex'))
  if (2 * bytes.length === hex.length && bytes.length === Number(length)) return bytes
  return { fault: `${length} bytes are announced, and ${bytes.length} are there` }
}

/** The presentation form of unknown types (RFC 3597 §5). */
const formatUnknown = (bytes: Uint8Array): string =>
  bytes.length === 0 ? '\\# 0' : `\\# ${bytes.length} ${Buffer.from(bytes).toString('hex')}`
