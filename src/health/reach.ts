/**
 * Which addresses a prober may probe. Zone files name what is probed; whoever writes them must not be able to point a
 * prober at its own host, a cloud's metadata service or Meridian's own ports. Asked before each check opens anything,
 * and when zones are loaded.
 *
 * Of all prefixes that contain the address the longest decides; between equal ones probe.deny, then probe.allow, then
 * the built-in list. An address in no prefix may be probed. An IPv6 address that embeds an IPv4 address may be probed
 * if both may.
 */
import { formatAddress, formatPrefix, type Prefix, parseAddress, parsePrefix } from '../dns/address.ts'

/** The settings that limit what may be probed. */
export interface ReachSettings {
  /** Prefixes as text: the settings `probe.allow` and `probe.deny`. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  /** Ports of this installation, denied like the built-in list. */
  readonly own: readonly OwnPort[]
}

/** An address and port of this installation. */
export interface OwnPort {
  /** IP address, prefix or host name. Names are skipped here; the prober resolves them when it starts. */
  readonly address: string
  readonly port: number
  /** For messages: `where Redis of this node is`. */
  readonly what: string
}

/** Decides what may be probed. */
export interface Reach {
  /** Why this prober does not probe the address; undefined: it may. Port 0: the check has no port. */
  readonly refusal: (address: string, port: number) => string | undefined
  /** Whether probe.allow is what permits the address. */
  readonly isNamed: (address: string, port: number) => boolean
}

/**
 * Special-purpose addresses: https://www.iana.org/assignments/iana-ipv4-special-registry and
 * iana-ipv6-special-registry.
 */
const BUILT_IN: readonly (readonly [what: string, ...prefixes: string[]])[] = [
  ['an unspecified address', '0.0.0.0/8', '::/128'], // Linux connects them to the host itself
  ['a loopback address', '127.0.0.0/8', '::1/128'],
  ['a link-local address', '169.254.0.0/16', 'fe80::/10'],
  ['a multicast address', '224.0.0.0/4', 'ff00::/8'],
  ['the broadcast address', '255.255.255.255/32'],
  [
    "the address of a cloud's metadata service",
    '169.254.169.254/32', // most clouds: allowing 169.254.0.0/16 does not allow it
    '169.254.170.2/32', // AWS ECS
    '169.254.170.23/32', // AWS EKS
    '169.254.42.42/32', // Scaleway
    '169.254.0.23/32', // Tencent Cloud
    '100.100.100.200/32', // Alibaba Cloud
    '168.63.129.16/32', // Azure
    '192.0.0.192/32', // Oracle Cloud
    'fe80::a9fe:a9fe/128', // OpenStack
    'fd00:ec2::/32', // AWS
    'fd20:ce::254/128', // Google Cloud
    'fd00:c1::a9fe:a9fe/128', // Oracle Cloud
    'fd00:42::42/128', // Scaleway
    'fd00:a9fe:a9fe::1/128', // Akamai
    'fd00:100::100:200/128', // Alibaba Cloud
  ],
]

const LAST = [12, 13, 14, 15]
/** IPv6 networks whose addresses carry an IPv4 address, and the places of its bytes. */
const CARRIERS: readonly (readonly [prefix: string, ...places: (readonly number[])[]])[] = [
  ['::ffff:0:0/96', LAST], // IPv4-mapped (RFC 4291 §2.5.5.2): the kernel speaks IPv4
  ['::/96', LAST], // IPv4-compatible (RFC 4291 §2.5.5.1)
  ['::ffff:0:0:0/96', LAST], // IPv4-translated (RFC 2765 §2.1)
  ['64:ff9b::/96', LAST], // NAT64 (RFC 6052 §2.1)
  ['64:ff9b:1::/48', LAST, [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12]], // a network's own NAT64 (RFC 8215), of any length
  ['2002::/16', [2, 3, 4, 5]], // 6to4 (RFC 3056)
  ['2001::/32', [4, 5, 6, 7]], // Teredo (RFC 4380): its server; the client is below
]

interface ReachRule {
  readonly prefix: Prefix
  /** How long it counts as: own ports as if each address were named alone. */
  readonly rank: number
  /** 0: every port. */
  readonly port: number
  readonly from: 'deny' | 'allow' | 'built in'
  /** What an address in it is. */
  readonly what: string
}

function rule(from: ReachRule['from'], text: string, what: string, port = 0): ReachRule {
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw new Error(`${text} is no prefix`)
  const rank = port === 0 ? prefix.bits : 8 * prefix.bytes.length
  return { prefix, rank, port, from, what }
}

/** Compiles the settings. Throws on an invalid prefix; settings are validated before. */
export function makeReach({ allow, deny, own }: ReachSettings): Reach {
  // of equally long ones the first decides
  const rules = [
    ...deny.map((text) => rule('deny', text, `in ${text}, which probe.deny has`)),
    ...allow.map((text) => rule('allow', text, `in ${text}, which probe.allow has`)),
    ...own
      .filter(({ address }) => parsePrefix(address) !== undefined)
      .map(({ address, port, what }) => rule('built in', address, `${what} (port ${port})`, port)),
    ...BUILT_IN.flatMap(([what, ...prefixes]) => prefixes.map((text) => rule('built in', text, what))),
  ].toSorted((a, b) => b.rank - a.rank)
  const decide = (bytes: Uint8Array, port: number) =>
    rules.find((one) => (one.port === 0 || one.port === port) && holds(one.prefix, bytes))

  return {
    refusal: (address, port) => {
      const bytes = parseAddress(address)
      if (bytes === undefined) return `${address} is no IP address`
      for (const form of [bytes, ...carriedBy(bytes)]) {
        const found = decide(form, port)
        if (found === undefined || found.from === 'allow') continue
        const what = form === bytes ? found.what : `which carries ${formatAddress(form)}, ${found.what}`
        const named = found.port === 0 ? found.prefix : { ...found.prefix, bytes: form, bits: found.rank }
        const unless = found.from === 'deny' ? '' : `, unless probe.allow has ${formatPrefix(named)}`
        return `this prober does not probe ${address}, ${what}${unless}`
      }
      return undefined
    },
    isNamed: (address, port) => {
      const bytes = parseAddress(address)
      return bytes !== undefined && [bytes, ...carriedBy(bytes)].some((form) => decide(form, port)?.from === 'allow')
    },
  }
}

/** The built-in list alone. */
export const DEFAULT_REACH: Reach = makeReach({ allow: [], deny: [], own: [] })

function holds({ bytes, bits }: Prefix, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (bytes[i] !== address[i]) return false
  return (bits & 7) === 0 || ((bytes[whole]! ^ address[whole]!) & (0xff00 >> (bits & 7)) & 255) === 0
}

const carriers = CARRIERS.map(([text, ...places]) => ({ prefix: parsePrefix(text)!, places }))
const MAPPED = parsePrefix('::ffff:0:0/96')!
const TEREDO = parsePrefix('2001::/32')!

/** IPv4 addresses that packets to an IPv6 address may end at. */
function carriedBy(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length === 4) return []
  const at = (places: readonly number[]) => Uint8Array.from(places, (place) => bytes[place]!)
  const found = carriers.filter(({ prefix }) => holds(prefix, bytes)).flatMap(({ places }) => places.map(at))
  if (holds(TEREDO, bytes)) found.push(at(LAST).map((byte) => byte ^ 255))
  // ISATAP (RFC 5214 §6.1), in any network
  if ((bytes[8]! & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe) found.push(at(LAST))
  // nothing translates 0.0.0.0/8, and ::1 carries no 0.0.0.1; mapped, it is the kernel's 0.0.0.0
  return holds(MAPPED, bytes) ? found : found.filter((form) => form[0] !== 0)
}
