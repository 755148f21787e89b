/**
 * The keys of checks: the form of each with its bounds, its meaning, and its default. keys.ts has those of all other
 * mappings of zone files, and says what they are used for.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { parseUnicodeName } from '../dns/idna.ts'
import { formatName, isAbsolute, isFault, lowerName } from '../dns/name.ts'
import { RCODE } from '../dns/types.ts'
import { compileRegex } from '../regex.ts'
import { DAY_MS } from '../units.ts'
import { type Entry, isNull } from '../yaml/source.ts'
import { CHECK_RRTYPES, type ValidFor } from '../zone/model.ts'
import {
  constant,
  defaulted,
  duration,
  either,
  flag,
  type Form,
  IDENTIFIER,
  integer,
  type Json,
  mapping,
  matching,
  named,
  needed,
  oneOf,
  oneOrMore,
  optional,
  orWords,
  parsed,
  pattern,
  readKeys,
  REQUIRED,
  type Rows,
  SCALAR,
  scalar,
  standIn,
  structure,
  TEXT,
  type Written,
} from './forms.ts'

/** Values of a check's key `type`. */
export const CHECK_TYPES = ['http', 'https', 'tcp', 'tls', 'grpc', 'dns', 'icmp', 'exec', 'agent'] as const
export type CheckType = (typeof CHECK_TYPES)[number]

/** An IP address → its canonical text. */
export const address: Form<string> = {
  read(read, entry) {
    const given = read.text(entry)
    const bytes = given === undefined ? undefined : parseAddress(given)
    if (bytes !== undefined) return formatAddress(bytes)
    if (given !== undefined)
      read.fault('value-invalid', entry.value, `“${given}” is no IP address`, `${entry.key.text}: 192.0.2.10`)
    return undefined
  },
  json: TEXT,
}

const PATH = /^\/[!-~]*$/
const path = matching('a path that begins with / and has no blanks', (given) => PATH.test(given), pattern(PATH))
/** With or without the slash at its start: octoDNS's documentation has both forms. */
export const octodnsPath = parsed(
  'a path without blanks',
  (given) => {
    const whole = given.startsWith('/') ? given : `/${given}`
    return PATH.test(whole) ? whole : undefined
  },
  TEXT,
)

const HOST = /^[\w-]+(?:\.[\w-]+)*$/
/**
 * A name or address as it stands in Host, SNI and certificates: names in their IDNA form, without the final dot (RFC
 * 6066 §3).
 */
const host = parsed(
  'a host name or address, without a port,',
  (given) => {
    if (parseAddress(given) !== undefined) return given
    const name = parseUnicodeName(isAbsolute(given) ? given : `${given}.`)
    const text = isFault(name) ? '' : formatName(name).slice(0, -1)
    return HOST.test(text) ? text : undefined
  },
  SCALAR,
)
/** null: a key without a value. */
export const hostOrNull: Form<string | null> = {
  read: (read, entry) => (isNull(entry.value) ? null : host.read(read, entry)),
  json: either(SCALAR, { type: 'null' }),
}
const grpcService = matching('the name of a gRPC service', (given) => /^[!-~]{1,255}$/.test(given), TEXT)
const command = matching('the name of a command in probe.exec', (given) => IDENTIFIER.test(given), SCALAR)

/** Without line ends, no author of zones can send a second command to what listens there. */
const LINE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+$/u
const line = matching(
  'one line of at most 255 characters, without its line end,',
  (given) => given.length <= 255 && LINE.test(given),
  { ...TEXT, maxLength: 255, ...pattern(LINE) },
)

/** A domain name in lower case, with the final dot. Names in checks are fully qualified, with or without the dot. */
export function canonicalName(given: string): string | undefined {
  const name = parseUnicodeName(isAbsolute(given) ? given : `${given}.`)
  return isFault(name) ? undefined : formatName(lowerName(name))
}

/** A domain name without bytes written \DDD: its labels go onto the wire as they are. */
const domainName: Form<string> = {
  read(read, entry) {
    const given = read.text(entry)
    if (given === undefined) return undefined
    const name = canonicalName(given)
    if (name !== undefined && /^(?:[^\\]|\\\D)+$/.test(name)) return name
    read.notWanted(entry, given, name === undefined ? 'a domain name' : 'a name of printable characters')
    return '.' // a placeholder, so that “name” is not reported as missing too
  },
  json: SCALAR,
}

/** The rcodes that fit into the header: extended ones need EDNS, which a check only uses for its payload size. */
const RCODES = Object.entries(RCODE).flatMap(([name, number]) => (number < 16 ? [name] : []))

/** Each with the range of statuses that it stands for. */
const statuses = parsed<readonly number[]>(
  'a status from 100 to 599, or a range like 200-299,',
  (given) => {
    const [, first, last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(given) ?? []
    const count = Number(last) - Number(first) + 1
    return count > 0 ? Array.from({ length: count }, (_, i) => Number(first) + i) : undefined
  },
  either(integer(100, 599).json, pattern(/^[1-5]\d\d(-[1-5]\d\d)?$/)),
)

/** A regular expression that regex.ts can match. */
const regex: Form<string> = {
  read(read, entry) {
    const given = read.text(entry)
    const compiled = given === undefined ? undefined : compileRegex(given)
    if (typeof compiled !== 'string') return given
    const hint = 'Without lookaround and backreferences, as RE2 has it: status: (ok|degraded)'
    read.fault('value-invalid', entry.value, `“${entry.key.text}” is no regular expression: ${compiled}`, hint)
    return undefined
  },
  json: TEXT,
}

/** Names of header fields (RFC 9110 §5.1). */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/
/** Those that belong to the connection, the framing or the target. */
const OWN_HEADERS: readonly string[] =
  'connection content-length expect host keep-alive te trailer transfer-encoding upgrade'.split(' ')

const HEADERS = 'headers: {X-Health-Token: my-token}'

/** By a header's name, the name of its value in the setting probe.headers. */
const headers: Form<Readonly<Record<string, string>>> = {
  read(read, { key: { text: what }, value }) {
    const names = new Map<string, readonly [string, string]>()
    for (const { key, value: node } of read.entries(value, `“${what}”`, HEADERS)) {
      const lower = key.text.toLowerCase()
      if (!HEADER_NAME.test(key.text)) {
        read.fault('value-invalid', key, `“${key.text}” is no name of a header`, HEADERS)
      } else if (OWN_HEADERS.includes(lower)) {
        const hint = lower === 'host' ? 'Write host: NAME beside “headers”' : 'Leave it out'
        read.fault('value-invalid', key, `the header ${key.text} is the check's own`, hint)
      } else if (names.has(lower)) {
        read.fault('value-invalid', key, `the header ${key.text} stands here twice`, 'Remove one of them')
      } else names.set(lower, [key.text, headerValue.read(read, { key, value: node }) ?? ''])
    }
    return Object.fromEntries(names.values())
  },
  json: named({ type: 'string', ...pattern(IDENTIFIER) }, pattern(HEADER_NAME)),
}
const headerValue: Form<string> = {
  read(read, { key, value }: Entry) {
    const text = read.scalar(value, `“${key.text}”`, HEADERS)?.text
    if (text === undefined || IDENTIFIER.test(text)) return text
    const hint = `The text itself stands in the node setting probe.headers: {my-token: …}; here ${key.text}: my-token`
    read.fault('value-invalid', value, `“${key.text}” is no name of a value in probe.headers`, hint)
    return undefined
  },
  json: TEXT,
}

const certificateAge = duration(0, 3650 * DAY_MS)
export const VALID_FOR = {
  warn: optional(certificateAge, 'less is a warning'),
  fail: defaulted(certificateAge, 'less is a failure', '0s'),
}
/** A duration that warns, or a mapping. */
const validFor: Form<ValidFor> = {
  read(read, entry) {
    if (entry.value.kind !== 'mapping') {
      const warnMs = certificateAge.read(read, entry)
      return warnMs === undefined ? undefined : { warnMs, failMs: 0 }
    }
    const { warn, fail } = readKeys(read, entry.value, '“validFor”', VALID_FOR).values
    return { ...(warn !== undefined && { warnMs: warn }), failMs: fail }
  },
  json: either(certificateAge.json, mapping(VALID_FOR)),
}

export const HTTP_EXPECT = {
  status: defaulted(oneOrMore(statuses, '200'), 'statuses that pass, and ranges of them', '200'),
  body: optional(scalar, 'text that must occur'),
  matches: optional(regex, 'a regular expression that must match'),
}

export const DNS_EXPECT = {
  rcode: defaulted(oneOrMore(oneOf(RCODES, TEXT), 'NOERROR'), 'rcodes that pass', 'NOERROR'),
  value: optional(scalar, 'an answer that must be there, as dig prints it'),
}

export const CHECK = {
  type: optional(oneOf(CHECK_TYPES), orWords(CHECK_TYPES), 'must be there, or come from `use`'),
  port: optional(
    standIn(integer(1, 65_535), 0),
    'number; icmp has none',
    'http 80; https, tls, grpc with `tls` 443; dns 53; exec none; else it must be there',
  ),
  address: optional(
    address,
    'probed in place of the VIP; `probe.allow` should name it, see [settings.md](settings.md#what-checks-reach)',
    'the VIP',
  ),
  interval: defaulted(duration(100, DAY_MS), 'duration, 100ms or more', '5s'),
  timeout: optional(
    duration(10, DAY_MS),
    'of the whole check, below the interval',
    '2s, or 2/5 of an interval shorter than 5s',
  ),
  fast: optional(duration(10, DAY_MS), 'interval of rechecks after a change', 'a fifth of the interval, 100ms or more'),
  fall: defaulted(integer(1, 100), 'failures until it is DOWN', '3'),
  rise: defaulted(integer(1, 100), 'passes until it is UP again', '2'),
  method: defaulted(oneOf(['GET', 'HEAD']), 'http, https: GET or HEAD', 'GET'),
  path: defaulted(path, 'http, https', '/'),
  host: optional(
    host,
    'http, https: Host header; grpc: `:authority`; https, tls, grpc with `tls`: the name in the certificate and in SNI',
    'the VIP',
  ),
  headers: optional(
    headers,
    'http, https: by header, the name of its value in the node setting `probe.headers`, see [settings.md](settings.md)',
    'none',
  ),
  follow: optional(integer(1, 10), 'http, https: how many redirects are followed, to the same host alone', 'none is'),
  expect: optional(
    structure(either(mapping(HTTP_EXPECT), mapping(DNS_EXPECT))),
    'http, https: `{status: [200-299, …], body: text that must occur, matches: a regular expression}`; dns: `{rcode: [NOERROR, …], value: an answer that must be there}`',
    '{status: [200]}; {rcode: [NOERROR]}',
  ),
  verify: defaulted(flag, 'https, tls, grpc with `tls`: whether the certificate must be valid', 'true'),
  ca: optional(
    matching('the name of authorities in probe.ca', (given) => IDENTIFIER.test(given), SCALAR),
    'https, tls, grpc with `tls`: the name, in the node setting `probe.ca`, of the authorities that the certificate must come from, see [settings.md](settings.md)',
    'those of the machine, and `tls.ca`',
  ),
  validFor: optional(
    validFor,
    'https, tls, grpc with `tls`: a certificate that ends sooner is a warning; `{warn: 14d, fail: 1d}`: or takes the VIP down',
    "a fifth of the certificate's lifetime, at most 14d, warns",
  ),
  tls: defaulted(flag, 'grpc: true with TLS, false in plaintext', 'false'),
  service: optional(grpcService, 'grpc: the service whose health is asked', 'the server as a whole', ''),
  name: optional(domainName, 'dns: the name that is asked for, of printable characters', REQUIRED),
  rrtype: defaulted(oneOf(CHECK_RRTYPES), `dns: ${orWords(CHECK_RRTYPES)}`, 'A'),
  command: optional(
    standIn(command, ''),
    'exec: a name in the node setting `probe.exec`, see [settings.md](settings.md)',
    REQUIRED,
  ),
  send: optional(
    line,
    "agent: a line that is sent before the agent's is read, without control characters; its line end is added",
    'nothing',
  ),
}

const COMMON_KEYS: readonly string[] = ['type', 'address', 'interval', 'timeout', 'fast', 'fall', 'rise']
const HTTP_KEYS = ['port', 'method', 'path', 'host', 'headers', 'follow', 'expect'] as const
const TLS_KEYS = ['verify', 'ca', 'validFor'] as const
/** The keys of each kind, besides those of all kinds. */
const KIND_KEYS: Readonly<Record<CheckType, readonly (keyof typeof CHECK)[]>> = {
  http: HTTP_KEYS,
  https: [...HTTP_KEYS, ...TLS_KEYS],
  tcp: ['port'],
  tls: ['port', 'host', ...TLS_KEYS],
  grpc: ['port', 'service', 'tls', 'host', ...TLS_KEYS],
  dns: ['port', 'name', 'rrtype', 'expect'],
  icmp: [],
  exec: ['port', 'command'],
  agent: ['port', 'send'],
}

/** All keys of a kind. */
export function checkKeys(type: CheckType): readonly string[] {
  const own: readonly string[] = KIND_KEYS[type]
  return Object.keys(CHECK).filter((key) => COMMON_KEYS.includes(key) || own.includes(key))
}

/** The port of a check: as written, or the kind's default. undefined = it must be written; 0 = none. */
export function portOf(type: CheckType, { port, tls }: Pick<PartialCheck, 'port' | 'tls'>): number | undefined {
  if (type === 'icmp') return 0
  const common = { http: 80, https: 443, tcp: undefined, tls: 443, dns: 53, exec: 0, agent: undefined }
  return port ?? (type === 'grpc' ? (tls === true ? 443 : undefined) : common[type])
}

/** The keys of all kinds, and those below `expect`. */
export const CHECK_PARTS = { ...CHECK, ...HTTP_EXPECT, ...DNS_EXPECT }
/** A check as far as it is written in one place. */
export type PartialCheck = Written<typeof CHECK_PARTS>

/** The schema of one kind of check, with the keys of that kind and no others. */
function checkOf(type: CheckType): Json {
  const expect = mapping(type === 'dns' ? DNS_EXPECT : HTTP_EXPECT)
  const needsPort = portOf(type, { tls: true }) === undefined
  const rows: Rows = {
    ...CHECK,
    type: needed(structure(constant(type)), CHECK.type.meaning, 'type: http', CHECK.type.unless),
    port: needsPort ? needed(CHECK.port.form, CHECK.port.meaning, 'port: 8443', CHECK.port.unless) : CHECK.port,
    expect: { ...CHECK.expect, form: structure(expect) },
  }
  return mapping(Object.fromEntries(checkKeys(type).map((key) => [key, rows[key]!])))
}

export const WHOLE_CHECK: Json = { oneOf: CHECK_TYPES.map(checkOf) }
const use = needed(scalar, 'a check of defaults.yaml; the keys beside it replace its own', 'use: web', '')
/** A check with `use`: its kind comes from defaults.yaml, so it may have the keys of any kind. */
const usedCheck: Json = { ...mapping({ use, ...CHECK }), required: ['use'] }
export const ANY_CHECK: Json = either(usedCheck, WHOLE_CHECK)
