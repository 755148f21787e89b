/**
 * Numbers of the protocol and their mnemonics: RR types (RFC 3597 for those without a mnemonic), classes, rcodes and
 * EDNS options, from the IANA registries. Only those that are used here.
 */

/** RR types by mnemonic: those of zones, and those that only occur in queries or in output. */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  MB: 7,
  MG: 8,
  MR: 9,
  WKS: 11,
  PTR: 12,
  HINFO: 13,
  MINFO: 14,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  X25: 19,
  ISDN: 20,
  RT: 21,
  NSAP: 22,
  'NSAP-PTR': 23,
  KEY: 25,
  PX: 26,
  GPOS: 27,
  AAAA: 28,
  LOC: 29,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  SINK: 40,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  NINFO: 56,
  RKEY: 57,
  TALINK: 58,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  NID: 104,
  L32: 105,
  L64: 106,
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  URI: 256,
  CAA: 257,
  AVC: 258,
  DOA: 259,
  AMTRELAY: 260,
  RESINFO: 261,
  WALLET: 262,
  TA: 32_768,
  DLV: 32_769,
} as const

/** Classes by mnemonic. */
export const CLASS = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const

/** Rcodes by mnemonic; those above 15 need EDNS. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  YXRRSET: 7,
  NXRRSET: 8,
  NOTAUTH: 9,
  NOTZONE: 10,
  BADVERS: 16,
  BADCOOKIE: 23,
} as const

/** EDNS option codes. */
export const OPTION = {
  NSID: 3,
  ECS: 8,
  COOKIE: 10,
  KEEPALIVE: 11,
  PADDING: 12,
  EDE: 15,
  REPORT_CHANNEL: 18,
  ZONEVERSION: 19,
} as const

type Registry = Readonly<Record<string, number>>

const reversed = (registry: Registry): ReadonlyMap<number, string> =>
  new Map(Object.entries(registry).map(([name, number]) => [number, name]))

const TYPE_NAMES = reversed(TYPE)
const CLASS_NAMES = reversed(CLASS)
const RCODE_NAMES = reversed(RCODE)

/** `TYPE65280` → 65280, `CLASS7` → 7 (RFC 3597 §5); undefined unless a 16-bit number follows the word. */
function generic(text: string, word: string): number | undefined {
  if (!text.startsWith(word)) return undefined
  const digits = text.slice(word.length)
  const number = /^\d{1,5}$/.test(digits) ? Number(digits) : 65_536
  return number < 65_536 ? number : undefined
}

const numberIn = (registry: Registry, text: string): number | undefined =>
  Object.hasOwn(registry, text) ? registry[text] : undefined

/** Mnemonic or `TYPEn`, in any case → number; undefined when unknown. */
export function typeNumber(text: string): number | undefined {
  const upper = text.toUpperCase()
  return numberIn(TYPE, upper) ?? generic(upper, 'TYPE')
}

/**
 * Whether a type is known by its number alone, and a zone may hold it: it has no mnemonic above, and is neither reserved
 * nor of queries (RFC 6895 §3.1). Its RDATA is opaque (RFC 3597 §3).
 */
export const isOpaque = (type: number): boolean =>
  !TYPE_NAMES.has(type) && type > 0 && (type < 128 || type > 255) && type < 65_535

/** A type's mnemonic, or `TYPEn`. */
export const typeName = (type: number): string => TYPE_NAMES.get(type) ?? `TYPE${type}`

/** Mnemonic or `CLASSn`, in any case → number; undefined when unknown. */
export function classNumber(text: string): number | undefined {
  const upper = text.toUpperCase()
  return numberIn(CLASS, upper) ?? generic(upper, 'CLASS')
}

/** A class's mnemonic, or `CLASSn`. */
export const className = (number: number): string => CLASS_NAMES.get(number) ?? `CLASS${number}`

/** An rcode's mnemonic, or `RCODEn`. */
export const rcodeName = (rcode: number): string => RCODE_NAMES.get(rcode) ?? `RCODE${rcode}`
