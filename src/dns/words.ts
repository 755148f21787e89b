/**
 * Types whose values zones write in presentation form, as in master files: `value: "1 afsdb.example.net."`, or as
 * `\# LENGTH HEX` (RFC 3597 §5). Words → wire and wire → words, which are what dig prints. rdata.ts has the types whose
 * values are mappings or one text.
 */
import { formatAddress, parseAddress } from './address.ts'
import { concat, encodeField, type FieldText, formatField, type Kind } from './fields.ts'
import { type Fault, isFault } from './name.ts'
import { TYPE, typeName, typeNumber } from './types.ts'

/** How the words of a type are read and written. Faults are in words that fit into a sentence. */
export interface WordForm {
  readonly example: string
  encode(words: readonly string[]): Uint8Array | Fault
  /** The RDATA at message[at … end) as text. */
  format(message: Uint8Array, at: number, end: number): string | Fault
}

/** The forms, by type. */
export const WORD_FORMS: ReadonlyMap<number, WordForm> = new Map<number, WordForm>([
  [TYPE.MB, fields('mail.example.net.', 'name')], // RFC 1035 §3.3.3
  [TYPE.MG, fields('mail.example.net.', 'name')], // RFC 1035 §3.3.6
  [TYPE.MR, fields('mail.example.net.', 'name')], // RFC 1035 §3.3.8
  [TYPE.WKS, { example: '192.0.2.1 6 25 80', encode: encodeWks, format: formatWks }], // RFC 1035 §3.4.2
  [TYPE.MINFO, fields('admin.example.net. errors.example.net.', 'name', 'name')], // RFC 1035 §3.3.7
  [TYPE.AFSDB, fields('1 afsdb.example.net.', 'u16', 'name')], // RFC 1183 §1
  [TYPE.X25, fields('"311061700956"', 'text')], // RFC 1183 §3.1
  [TYPE.ISDN, fields('"150862028003217" "004"', 'texts')], // RFC 1183 §3.2
  [TYPE.RT, fields('10 relay.example.net.', 'u16', 'name')], // RFC 1183 §3.3
  [TYPE.NSAP, { example: '0x47000580ffff000000321099991111222233334444', encode: encodeNsap, format: formatNsap }], // RFC 1706 §5
  [TYPE['NSAP-PTR'], fields('host.example.net.', 'name')], // RFC 1348
  [TYPE.KEY, fields('512 255 1 AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aR', 'u16', 'u8', 'u8', 'base64')], // RFC 2535 §3
  [TYPE.PX, fields('10 map822.example.net. mapx400.example.net.', 'u16', 'name', 'name')], // RFC 2163 §4
  [TYPE.GPOS, fields('"52.3731" "4.8922" "10.0"', 'text', 'text', 'text')], // RFC 1712 §3
  [TYPE.KX, fields('10 kx.example.net.', 'u16', 'name')], // RFC 2230 §3.1
  [TYPE.CERT, fields('1 0 5 AQIDBA==', 'certificate', 'u16', 'algorithm', 'base64')], // RFC 4398 §2
  [TYPE.SINK, fields('8 0 1 AQIDBA==', 'u8', 'u8', 'u8', 'base64')],
  [TYPE.APL, { example: '1:192.0.2.0/24 !2:2001:db8::/32', encode: encodeApl, format: formatApl }], // RFC 3123 §4
  [TYPE.IPSECKEY, gateway('10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==', true)], // RFC 4025 §2
  [TYPE.DHCID, fields('AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=', 'base64')], // RFC 4701 §3
  [TYPE.SMIMEA, fields(`3 0 1 ${'AB'.repeat(32)}`, 'u8', 'u8', 'u8', 'hex')], // RFC 8162 §2
  [
    TYPE.HIP, // RFC 8005 §5
    {
      example: '2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p rvs.example.net.',
      encode: encodeHip,
      format: formatHip,
    },
  ],
  [TYPE.NINFO, fields('"a note"', 'texts')],
  [TYPE.RKEY, fields('0 255 1 AQIDBA==', 'u16', 'u8', 'u8', 'base64')],
  [TYPE.TALINK, fields('a.example.net. c.example.net.', 'name', 'name')],
  [TYPE.CSYNC, fields('66 3 A NS AAAA', 'u32', 'u16', 'types')], // RFC 7477 §2.1
  [TYPE.ZONEMD, fields(`2018031500 1 1 ${'AB'.repeat(48)}`, 'u32', 'u8', 'u8', 'hex')], // RFC 8976 §2
  [TYPE.NID, fields('10 14:4fff:ff20:ee64', 'u16', 'locator')], // RFC 6742 §2.1
  [TYPE.L32, fields('10 10.1.2.0', 'u16', 'ipv4')], // RFC 6742 §2.2
  [TYPE.L64, fields('10 2001:db8:1140:1000', 'u16', 'locator')], // RFC 6742 §2.3
  [TYPE.LP, fields('10 l64-subnet1.example.net.', 'u16', 'name')], // RFC 6742 §2.4
  [TYPE.EUI48, fields('00-00-5e-00-53-2a', 'eui48')], // RFC 7043 §3
  [TYPE.EUI64, fields('00-00-5e-ef-10-00-00-2a', 'eui64')], // RFC 7043 §4
  [TYPE.AVC, fields('"app-name:WOLFGANG|app-class:OAM"', 'texts')],
  [TYPE.DOA, fields('0 1 2 "image/gif" AQIDBA==', 'u32', 'u32', 'u8', 'text', 'base64')],
  [TYPE.AMTRELAY, gateway('10 0 1 203.0.113.15', false)], // RFC 8777 §4.2
  [TYPE.RESINFO, fields('"qnamemin" "exterr=15-17"', 'texts')], // RFC 9606 §3
  [TYPE.WALLET, fields('"BTC" "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"', 'texts')],
  [TYPE.TA, fields(`60485 13 2 ${'AB'.repeat(32)}`, 'u16', 'u8', 'u8', 'hex')],
  [TYPE.DLV, fields(`60485 13 2 ${'AB'.repeat(32)}`, 'u16', 'u8', 'u8', 'hex')], // RFC 4431
])

/** A value in presentation form → wire RDATA. */
export function encodeWords(form: WordForm, text: string): Uint8Array | Fault {
  if (text.length > MOST_CHARACTERS) return { fault: 'this is longer than any RDATA' }
  return form.encode(wordsOf(text))
}

/** The words between blanks. One that begins with a quote ends with the next; a backslash keeps what is behind it. */
function wordsOf(text: string): readonly string[] {
  const words: string[] = []
  for (let i = 0; i < text.length;) {
    if (BLANKS.has(text[i]!)) {
      i++
      continue
    }
    const start = i
    const isQuoted = text[i] === '"'
    if (isQuoted) i++
    for (; i < text.length; i++) {
      if (text[i] === '\\') i++
      else if (isQuoted ? text[i] === '"' : BLANKS.has(text[i]!) || text[i] === '"') break
    }
    if (isQuoted) i++
    words.push(text.slice(start, i))
  }
  return words
}

const BLANKS: ReadonlySet<string> = new Set([' ', '\t', '\n', '\r'])

const MOST_CHARACTERS = 262_144

/** Kinds of words beside those of fields.ts; the last of the fields may be several words. */
type WordKind = Kind | keyof typeof KINDS

/** A type whose words are its fields, in the order of the wire. */
function fields(example: string, ...kinds: WordKind[]): WordForm {
  return {
    example,
    encode(words) {
      const last = kinds.length - 1
      const isOpen = OPEN.has(kinds[last]!)
      if (words.length < kinds.length || (words.length > kinds.length && !isOpen)) {
        return { fault: `${kinds.length}${isOpen ? ' or more' : ''} words are wanted, and ${words.length} are there` }
      }
      return joined(kinds.map((kind, i) => encodeWord(kind, i === last ? words.slice(i) : [words[i]!])))
    },
    format(message, at, end) {
      const texts: string[] = []
      let i = at
      for (const kind of kinds) {
        const read = isOwn(kind) ? KINDS[kind].format(message, i, end) : formatField(kind, message, i, end)
        if (isFault(read)) return read
        texts.push(read.text)
        i = read.next
      }
      return i === end ? texts.join(' ') : { fault: `its RDATA is ${end - i} bytes too long` }
    },
  }
}

/** The parts one after the other; the first Fault among them. */
function joined(parts: readonly (Uint8Array | Fault)[]): Uint8Array | Fault {
  const whole: Uint8Array[] = []
  for (const part of parts) {
    if (isFault(part)) return part
    whole.push(part)
  }
  return concat(whole)
}

const isOwn = (kind: WordKind): kind is keyof typeof KINDS => Object.hasOwn(KINDS, kind)

/** Kinds to the end of the RDATA, of several words. */
const OPEN: ReadonlySet<WordKind> = new Set<WordKind>(['hex', 'base64', 'texts', 'types'])

function encodeWord(kind: WordKind, words: readonly string[]): Uint8Array | Fault {
  if (isOwn(kind)) return KINDS[kind].encode(words)
  const text = kind === 'texts' ? words.map((word) => (word.startsWith('"') ? word : `"${word}"`)) : words
  return encodeField(kind, text.join(' '))
}

interface KindForm {
  encode(words: readonly string[]): Uint8Array | Fault
  format(message: Uint8Array, at: number, end: number): FieldText | Fault
}

const CUT_SHORT: Fault = { fault: 'its RDATA is cut short' }

/** A number of bytes, each as two hexadecimal digits, with hyphens between (RFC 7043 §3.2). */
function pairs(bytes: number): KindForm {
  return {
    encode([word = '']) {
      const isWhole = word.length === 3 * bytes - 1 && /^[0-9a-f]{2}(?:-[0-9a-f]{2})*$/i.test(word)
      if (isWhole) return new Uint8Array(Buffer.from(word.replaceAll('-', ''), 'hex'))
      return { fault: `“${word}” is not ${bytes} pairs of hexadecimal digits with - between` }
    },
    format(message, at, end) {
      if (at + bytes > end) return CUT_SHORT
      const hex = Buffer.from(message.subarray(at, at + bytes)).toString('hex')
      return { text: hex.match(/../g)!.join('-'), next: at + bytes }
    },
  }
}

/** A number, or its mnemonic. */
const mnemonic = (bytes: 1 | 2, names: Readonly<Record<string, number>>): KindForm => ({
  encode: ([word = '']) => encodeField(bytes === 1 ? 'u8' : 'u16', String(names[word.toUpperCase()] ?? word)),
  format(message, at, end) {
    const read = formatField(bytes === 1 ? 'u8' : 'u16', message, at, end)
    if (isFault(read)) return read
    const name = Object.keys(names).find((one) => names[one] === Number(read.text))
    return { text: name ?? read.text, next: read.next }
  },
})

const KINDS = {
  /** RFC 4398 §2.1. */
  certificate: mnemonic(2, {
    PKIX: 1,
    SPKI: 2,
    PGP: 3,
    IPKIX: 4,
    ISPKI: 5,
    IPGP: 6,
    ACPKIX: 7,
    IACPKIX: 8,
    URI: 253,
    OID: 254,
  }),
  /** DNSSEC's algorithms, by their IANA mnemonics. */
  algorithm: mnemonic(1, {
    RSAMD5: 1,
    DH: 2,
    DSA: 3,
    ECC: 4,
    RSASHA1: 5,
    NSEC3DSA: 6,
    NSEC3RSASHA1: 7,
    RSASHA256: 8,
    RSASHA512: 10,
    ECCGOST: 12,
    ECDSAP256SHA256: 13,
    ECDSAP384SHA384: 14,
    ED25519: 15,
    ED448: 16,
    INDIRECT: 252,
    PRIVATEDNS: 253,
    PRIVATEOID: 254,
  }),
  locator: { encode: encodeLocator, format: formatLocator },
  eui48: pairs(6),
  eui64: pairs(8),
  /** A type bitmap (RFC 4034 §4.1.2). */
  types: { encode: encodeTypes, format: formatTypes },
} satisfies Readonly<Record<string, KindForm>>

/** Four groups of up to four hexadecimal digits (RFC 6742 §2.1.2). */
function encodeLocator([word = '']: readonly string[]): Uint8Array | Fault {
  if (!/^[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){3}$/i.test(word)) {
    return { fault: `“${word}” is not four groups of hexadecimal digits with : between` }
  }
  const digits = word.split(':').map((group) => group.padStart(4, '0'))
  return new Uint8Array(Buffer.from(digits.join(''), 'hex'))
}

function formatLocator(message: Uint8Array, at: number, end: number): FieldText | Fault {
  if (at + 8 > end) return CUT_SHORT
  const groups = [0, 2, 4, 6].map((i) => ((message[at + i]! << 8) | message[at + i + 1]!).toString(16))
  return { text: groups.join(':'), next: at + 8 }
}

function encodeTypes(words: readonly string[]): Uint8Array | Fault {
  const numbers = words.map(typeNumber)
  const unknown = numbers.indexOf(undefined)
  if (unknown >= 0) return { fault: `“${words[unknown]}” is no type` }
  const windows = Map.groupBy(
    numbers.filter((number) => number !== undefined),
    (number) => number >>> 8,
  )
  const parts = [...windows]
    .toSorted(([a], [b]) => a - b)
    .map(([window, types]) => {
      const bits = new Uint8Array(1 + Math.max(...types.map((type) => (type & 255) >>> 3)))
      for (const type of types) bits[(type & 255) >>> 3]! |= 0x80 >>> (type & 7)
      return concat([Uint8Array.of(window, bits.length), bits])
    })
  return concat(parts)
}

function formatTypes(message: Uint8Array, at: number, end: number): FieldText | Fault {
  const names: string[] = []
  for (let i = at; i < end;) {
    const next = i + 2 + (message[i + 1] ?? 256)
    if (next > end) return { fault: 'its bitmap of types is cut short' }
    for (let bit = 0; bit < 8 * (next - i - 2); bit++) {
      if ((message[i + 2 + (bit >>> 3)]! & (0x80 >>> (bit & 7))) !== 0) names.push(typeName((message[i]! << 8) | bit))
    }
    i = next
  }
  return { text: names.join(' '), next: end }
}

function encodeWks([address = '', protocol = '', ...ports]: readonly string[]): Uint8Array | Fault {
  const number = { tcp: '6', udp: '17' }[protocol.toLowerCase()] ?? protocol
  const wrong = ports.find((port) => !/^\d{1,5}$/.test(port) || Number(port) > 65_535)
  if (wrong !== undefined) return { fault: `“${wrong}” is no number of a port` }
  const bits = new Uint8Array(Math.max(-1, ...ports.map((port) => Number(port) >>> 3)) + 1)
  for (const port of ports) bits[Number(port) >>> 3]! |= 0x80 >>> (Number(port) & 7)
  return joined([encodeField('ipv4', address), encodeField('u8', number), bits])
}

function formatWks(message: Uint8Array, at: number, end: number): string | Fault {
  if (at + 5 > end) return CUT_SHORT
  if (end - at > 5 + 8192) return { fault: 'its RDATA is too long' }
  const words = [formatAddress(message, at, 4), String(message[at + 4])]
  for (let i = at + 5; i < end; i++) {
    for (let bit = 0; bit < 8; bit++)
      if ((message[i]! & (0x80 >>> bit)) !== 0) words.push(String(8 * (i - at - 5) + bit))
  }
  return words.join(' ')
}

function encodeNsap(words: readonly string[]): Uint8Array | Fault {
  const digits = words.join('')
  if (!/^0x[0-9a-f.]+$/i.test(digits)) return { fault: `“${digits}” is not 0x and hexadecimal digits` }
  return encodeField('hex', digits.slice(2).replaceAll('.', ''))
}

function formatNsap(message: Uint8Array, at: number, end: number): string | Fault {
  return at === end ? CUT_SHORT : `0x${Buffer.from(message.subarray(at, end)).toString('hex')}`
}

/** The most bytes of an address in an item of APL: 127, of which the families have 4 and 16. */
const APL_FAMILIES: Readonly<Record<number, number>> = { 1: 4, 2: 16 }

function encodeApl(words: readonly string[]): Uint8Array | Fault {
  const parts: Uint8Array[] = []
  for (const word of words) {
    const [, not = '', family = '', address = '', prefix = ''] = /^(!?)(\d{1,5}):([^/]+)\/(\d{1,3})$/.exec(word) ?? []
    const bytes = parseAddress(address)
    const size = APL_FAMILIES[Number(family)]
    if (bytes === undefined || bytes.length !== size || Number(prefix) > 8 * size) {
      return { fault: `“${word}” is no [!]FAMILY:ADDRESS/PREFIX, with family 1 for IPv4 and 2 for IPv6` }
    }
    const used = bytes.findLastIndex((byte) => byte !== 0) + 1 // §4: zeros at the end are left out
    parts.push(
      Uint8Array.of(0, Number(family), Number(prefix), (not === '' ? 0 : 0x80) | used),
      bytes.subarray(0, used),
    )
  }
  return concat(parts)
}

function formatApl(message: Uint8Array, at: number, end: number): string | Fault {
  const words: string[] = []
  for (let i = at; i < end;) {
    if (i + 4 > end) return CUT_SHORT
    const family = (message[i]! << 8) | message[i + 1]!
    const used = message[i + 3]! & 0x7f
    const size = APL_FAMILIES[family]
    if (size === undefined || used > size || i + 4 + used > end || message[i + 2]! > 8 * size) {
      return { fault: 'it has an address that no family has' }
    }
    const bytes = new Uint8Array(size)
    bytes.set(message.subarray(i + 4, i + 4 + used))
    words.push(`${message[i + 3]! >= 0x80 ? '!' : ''}${family}:${formatAddress(bytes)}/${message[i + 2]}`)
    i += 4 + used
  }
  return words.join(' ')
}

/** The kind of a gateway or relay by its type: none, IPv4, IPv6, a name. */
const GATEWAYS = [undefined, 'ipv4', 'ipv6', 'name'] as const

/**
 * IPSECKEY, `PRECEDENCE TYPE ALGORITHM GATEWAY [KEY]`, with `isKey`; else AMTRELAY, `PRECEDENCE D TYPE RELAY`, whose bit D is
 * the first of the type's byte. Without a gateway its word is a dot.
 */
function gateway(example: string, isKey: boolean): WordForm {
  return {
    example,
    encode([precedence = '', second = '', third = '', where = '.', ...key]) {
      const type = isKey ? second : third
      const kind = GATEWAYS[/^[0-3]$/.test(type) ? Number(type) : -1]
      if (kind === undefined && type !== '0') return { fault: `“${type}” is no type from 0 to 3` }
      if (kind === undefined && where !== '.') return { fault: 'with type 0 a dot stands for none' }
      if (!isKey && second !== '0' && second !== '1') return { fault: `“${second}” is neither 0 nor 1` }
      if (!isKey && key.length > 0) return { fault: 'there is a word too many' }
      const parts = [
        encodeField('u8', precedence),
        isKey ? encodeField('u8', type) : Uint8Array.of(Number(second) * 128 + Number(type)),
        isKey ? encodeField('u8', third) : new Uint8Array(),
        kind === undefined ? new Uint8Array() : encodeField(kind, where),
        key.length === 0 ? new Uint8Array() : encodeField('base64', key.join(' ')),
      ]
      return joined(parts)
    },
    format(message, at, end) {
      const head = isKey ? 3 : 2
      if (at + head > end) return CUT_SHORT
      const type = isKey ? message[at + 1]! : message[at + 1]! & 0x7f
      if (type > 3) return { fault: `${type} is no type of a gateway` }
      const kind = GATEWAYS[type]
      const where = kind === undefined ? { text: '.', next: at + head } : formatField(kind, message, at + head, end)
      if (isFault(where)) return where
      if (!isKey && where.next !== end) return { fault: `its RDATA is ${end - where.next} bytes too long` }
      const words = isKey ? [message[at], type, message[at + 2]] : [message[at], message[at + 1]! >>> 7, type]
      const key = where.next === end ? [] : [Buffer.from(message.subarray(where.next, end)).toString('base64')]
      return [...words, where.text, ...key].join(' ')
    },
  }
}

function encodeHip([algorithm = '', tag = '', key = '', ...servers]: readonly string[]): Uint8Array | Fault {
  const [hit, bytes] = [encodeField('hex', tag), encodeField('base64', key)]
  if (isFault(hit)) return hit
  if (isFault(bytes)) return bytes
  if (hit.length > 255) return { fault: 'its tag is longer than 255 bytes' }
  const sizes = Uint8Array.of(bytes.length >>> 8, bytes.length & 255)
  const names = servers.map((server) => encodeField('name', server))
  return joined([Uint8Array.of(hit.length), encodeField('u8', algorithm), sizes, hit, bytes, ...names])
}

function formatHip(message: Uint8Array, at: number, end: number): string | Fault {
  const tagEnd = at + 4 + (message[at] ?? 0)
  const keyEnd = tagEnd + ((message[at + 2]! << 8) | message[at + 3]!)
  if (at + 4 > end || keyEnd > end || tagEnd === at + 4 || keyEnd === tagEnd) return CUT_SHORT
  const tag = Buffer.from(message.subarray(at + 4, tagEnd))
    .toString('hex')
    .toUpperCase()
  const words = [String(message[at + 1]), tag, Buffer.from(message.subarray(tagEnd, keyEnd)).toString('base64')]
  for (let i = keyEnd; i < end;) {
    const read = formatField('name', message, i, end)
    if (isFault(read)) return read
    words.push(read.text)
    i = read.next
  }
  return words.join(' ')
}
