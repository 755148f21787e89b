/**
 * The keys of zone files: the form of each with its bounds, its meaning, and its default. The loader reads mappings by
 * these rows, the JSON Schemas (schema.ts) are made from them, and a test compares docs/zones.md with them. A
 * `structure` is read by a function of the file that reads its mapping.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { formatName, isAbsolute, isFault, lowerName, parseName } from '../dns/name.ts'
import { ZONE_TYPES } from '../dns/rdata.ts'
import { RCODE } from '../dns/types.ts'
import { DAY_MS } from '../units.ts'
import { isNull } from '../yaml/source.ts'
import { CHECK_RRTYPES } from '../zone/model.ts'
import {
  choice,
  constant,
  defaulted,
  defaultsInWords,
  distance,
  duration,
  either,
  flag,
  type Form,
  IDENTIFIER,
  integer,
  type Json,
  list,
  LOOSE,
  mapping,
  matching,
  named,
  needed,
  oneOf,
  oneOrList,
  oneOrMore,
  optional,
  orWords,
  parsed,
  pattern,
  percent,
  REQUIRED,
  type Rows,
  SCALAR,
  scalar,
  seconds,
  standIn,
  structure,
  TEXT,
  text,
  withAny,
  type Written,
} from './forms.ts'

const pick = oneOf(['hash', 'random'])
/** octoDNS's codes: a continent, its country, and that one's subdivision. */
export const GEO_CODE = /^(AF|AN|AS|EU|NA|OC|SA)(-[A-Z]{2}(-[A-Z0-9]{1,3})?)?$/
const GEO = pattern(GEO_CODE)
const NULL: Json = { type: 'null' }
const GROUPS = list(oneOrList(SCALAR))

// checks

/** Values of a check's key `type`. */
export const CHECK_TYPES = ['http', 'https', 'tcp', 'tls', 'grpc', 'dns', 'icmp', 'exec', 'agent'] as const
export type CheckType = (typeof CHECK_TYPES)[number]

/** An IP address → its canonical text. */
const address: Form<string> = {
  read(read, entry) {
    const given = read.text(entry)
    const bytes = given === undefined ? undefined : parseAddress(given)
    if (bytes !== undefined) return formatAddress(bytes)
    if (given !== undefined) read.fault('value-invalid', entry.value, `“${given}” is no IP address`)
    return undefined
  },
  json: TEXT,
}

const PATH = /^\/[!-~]*$/
const path = matching('a path that begins with / and has no blanks', (given) => PATH.test(given), pattern(PATH))
/** With or without the slash at its start: octoDNS's documentation has both forms. */
const octodnsPath = parsed(
  'a path without blanks',
  (given) => {
    const whole = given.startsWith('/') ? given : `/${given}`
    return PATH.test(whole) ? whole : undefined
  },
  TEXT,
)

const host = matching(
  'a host name or address, without a port,',
  (given) => /^[\w.-]+$/.test(given) || parseAddress(given) !== undefined,
  SCALAR,
)
/** null: a key without a value. */
const hostOrNull: Form<string | null> = {
  read: (read, entry) => (isNull(entry.value) ? null : host.read(read, entry)),
  json: either(SCALAR, NULL),
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
  const name = parseName(isAbsolute(given) ? given : `${given}.`)
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

export const HTTP_EXPECT = {
  status: defaulted(oneOrMore(integer(100, 599), '200'), 'statuses that pass', '200'),
  body: optional(scalar, 'text that must occur'),
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
  expect: optional(
    structure(either(mapping(HTTP_EXPECT), mapping(DNS_EXPECT))),
    'http, https: `{status: [200, …], body: text that must occur}`; dns: `{rcode: [NOERROR, …], value: an answer that must be there}`',
    '{status: [200]}; {rcode: [NOERROR]}',
  ),
  verify: defaulted(flag, 'https, tls, grpc with `tls`: whether the certificate must be valid', 'true'),
  validFor: defaulted(
    duration(0, 3650 * DAY_MS),
    // a day, for some certificates last a week
    'tls: for how long yet the certificate must hold; `0s`: any that does now',
    '1d',
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
const HTTP_KEYS = ['port', 'method', 'path', 'host', 'expect'] as const
/** The keys of each kind, besides those of all kinds. */
const KIND_KEYS: Readonly<Record<CheckType, readonly (keyof typeof CHECK)[]>> = {
  http: HTTP_KEYS,
  https: [...HTTP_KEYS, 'verify'],
  tcp: ['port'],
  tls: ['port', 'host', 'verify', 'validFor'],
  grpc: ['port', 'service', 'tls', 'host', 'verify'],
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
    type: needed(structure(constant(type)), CHECK.type.meaning, undefined, CHECK.type.unless),
    port: needsPort ? needed(CHECK.port.form, CHECK.port.meaning, undefined, CHECK.port.unless) : CHECK.port,
    expect: { ...CHECK.expect, form: structure(expect) },
  }
  return mapping(Object.fromEntries(checkKeys(type).map((key) => [key, rows[key]!])))
}

const wholeCheck: Json = { oneOf: CHECK_TYPES.map(checkOf) }
const use = needed(scalar, 'a check of defaults.yaml; the keys beside it replace its own', undefined, '')
/** A check with `use`: its kind comes from defaults.yaml, so it may have the keys of any kind. */
const usedCheck: Json = { ...mapping({ use, ...CHECK }), required: ['use'] }

// services.yaml

export const VIP_CHECK = { address: optional(address, 'probed in place of the VIP') }
export const VIP = {
  address: needed(structure(TEXT), 'the VIP', undefined, ''),
  check: optional(structure(mapping(VIP_CHECK)), 'where this VIP is probed'),
}

export const SERVICE_SITE = {
  vips: optional(
    structure(list(either(TEXT, mapping(VIP)))),
    'addresses, or `{address, check: {address: …}}` where another address is probed',
    REQUIRED,
  ),
  weight: defaulted(integer(0, 1000), 'share within a group, 0–1000; 0 only when nothing else is left', '100'),
  bias: defaulted(integer(-99, 99), 'percent, −99 to 99: distance × (1 − bias/100)', '0'),
  drained: defaulted(flag, 'as in sites.yaml, for this service', 'false'),
}

export const SUBNET_FILE = {
  file: needed(text, 'one prefix or address a line; relative to this file', 'subnets: {file: offices.txt}', ''),
}
const subnetFile = mapping(SUBNET_FILE)

export const RULE = {
  subnets: optional(
    structure(either(subnetFile, list(either(TEXT, subnetFile)))),
    'prefixes, `{file: PATH}`, or a list of both; of all rules the longest that holds the client wins',
    'one of these three',
  ),
  asns: optional(
    structure(list(either(integer(1, 0xffffffff).json, pattern(/^AS[1-9]\d{0,9}$/)))),
    'numbers of autonomous systems, `64500` or `AS64500`; after subnets, the first rule wins. Needs `geo.asn`',
    'one of these three',
  ),
  geos: optional(
    structure(list(GEO)),
    '`AS`, `AS-CN`, `NA-US-CA`; after numbers, the first rule wins',
    'one of these three',
  ),
  order: needed(structure(GROUPS), "sites in order; the service's others follow unless `only`"),
  only: defaulted(flag, 'these sites and no others, even when they are dead', 'false'),
  pick: optional(pick, "`hash` or `random`, for this rule's clients", "the service's"),
}

export const TTL = {
  max: defaulted(seconds(1), 'once all has been calm for `settle`', '60'),
  min: defaulted(seconds(1), 'else', '15'),
  settle: defaulted(duration(0, DAY_MS), 'how long there was no change', '5m'),
}

export const lastResort = oneOf(['all', 'nodata'])
export const LAST_RESORT = {
  values: needed(structure(list(TEXT)), 'addresses that answer when nothing is up', 'Or write `all` or `nodata`', ''),
}

const oneCheck = either(usedCheck, wholeCheck)

export const SERVICE = {
  sites: optional(
    structure(named(mapping(SERVICE_SITE))),
    'by site, what answers there; their order is that of clients without a place',
    REQUIRED,
  ),
  check: needed(
    structure(either(constant('none'), oneCheck, list(oneCheck))),
    '`{use: NAME, …}`, a check written out, a list of which all must pass, or `none`',
    'Write `check: none` if its VIPs are never probed',
  ),
  order: optional(
    structure(either(constant('nearest'), GROUPS)),
    '`nearest`, or a list of sites in which an inner list is one group',
    'nearest',
  ),
  spread: defaulted(distance, 'sites at most this much farther than the nearest share its clients by weight', '0km'),
  candidates: defaulted(
    integer(1, 255),
    'how many nearest sites are ranked exactly; the others follow as one group',
    '4',
  ),
  spill: optional(
    integer(1, 255),
    'how many of the next usable sites, by capacity, take the clients whose first group of sites is dead',
    '2 where a site declares `capacity`, else 1',
  ),
  rules: optional(
    structure(list(withAny(mapping(RULE), 'subnets', 'asns', 'geos'), 0)),
    'exceptions for some clients, see below',
    'none',
  ),
  pick: defaulted(pick, 'within a group, `hash` (a client keeps its site) or `random`', 'hash'),
  answers: defaulted(integer(1, 8), 'addresses in an answer, 1–8', '8'),
  minVips: defaulted(integer(1, 255), 'a site with fewer working VIPs is passed over', '1'),
  ttl: optional(
    structure(either(TTL.max.form.json, mapping(TTL))),
    'seconds, or `{max, min, settle}`: max once calm for `settle`, min else',
    defaultsInWords(TTL),
  ),
  lastResort: optional(
    structure(either(lastResort.json, mapping(LAST_RESORT))),
    'when nothing is up: `all`, `nodata`, or `{values: [address, …]}`',
    'all',
  ),
  keep: defaulted(
    percent,
    'the brake: while DOWN verdicts would leave less of the capacity up than this, the rest of them wait',
    '25%',
  ),
  rampUp: defaulted(
    duration(0, DAY_MS),
    'a site that comes back takes its full share of clients only after this time',
    '0s',
  ),
  budget: optional(
    duration(1000, DAY_MS),
    "most that a failover may take, from a site's death to the last client's new answer; more is an error",
    'none',
  ),
  probers: defaulted(integer(1, 255), 'how many probers decide', '3'),
  regions: defaulted(integer(1, 255), 'in how many regions they must agree on DOWN', '1'),
}

// sites.yaml, defaults.yaml

export const SITE = {
  location: needed(
    structure({ type: 'array', minItems: 2, maxItems: 2, items: { type: 'number', minimum: -180, maximum: 180 } }),
    '`[latitude, longitude]` in degrees',
    'Its latitude and longitude in degrees: [50.11, 8.68]',
  ),
  region: optional(scalar, 'a word of your own', 'none', ''),
  capacity: defaulted(integer(0, 1_000_000), 'relative to other sites', '100'),
  drained: defaulted(flag, '`true` takes it out of all answers while anything else is up', 'false'),
}

export const SOA = {
  mname: optional(text, 'primary name server', "the first NS of the zone's apex"),
  rname: optional(text, 'mailbox of the person responsible', 'hostmaster.ZONE'),
  serial: optional(
    integer(0, 0xffffffff),
    'number',
    'Unix time of the last git commit that touched the folder, else 1 with a warning; a node never serves one below what it served before',
  ),
  refresh: defaulted(seconds(0), 'seconds', '7200'),
  retry: defaulted(seconds(0), 'seconds', '900'),
  expire: defaulted(seconds(0), 'seconds', '1209600'),
  minimum: defaulted(seconds(0), "TTL of negative answers, at most the SOA's own", '60'),
}

export const DEFAULTS = {
  soa: optional(structure(mapping(SOA)), 'of all zones, see below', 'see below'),
  ttl: defaulted(seconds(0), 'of records without one, and of the SOA', '3600'),
  checks: optional(structure(named(wholeCheck)), "named checks, for services' `use`", 'none'),
}

// zones

export const steeredType = oneOf(['A', 'AAAA'])

export const GSLB = {
  type: optional(
    structure(constant('GSLB')),
    'GSLB: the name is steered. Beside it may be no CNAME, and no A or AAAA record of a type that it is steered for',
    REQUIRED,
  ),
  service: needed(scalar, 'the service that answers'),
  types: optional(
    structure(list(steeredType.json)),
    'which of A and AAAA the name has',
    'all that the service has VIPs of',
  ),
  ttl: optional(seconds(1), "caps the service's TTLs", "the service's own", 0),
}

export const RECORD = {
  type: optional(
    structure(choice([...ZONE_TYPES, 'GSLB'])),
    'A, AAAA, CAA, CNAME, DS, HTTPS, LOC, MX, NAPTR, NS, OPENPGPKEY, PTR, SPF, SRV, SSHFP, SVCB, TLSA, TXT, URI, or GSLB',
    REQUIRED,
  ),
  ttl: optional(seconds(0), 'seconds', '`ttl` of defaults.yaml'),
  value: optional(structure(SCALAR), 'one value; names in it end with a dot', 'this or `values`'),
  values: optional(structure(list(SCALAR)), 'a list of values', 'this or `value`'),
  octodns: optional(
    structure(LOOSE),
    'what octoDNS keeps beside a record, see [below](#what-is-not-taken-from-octodns)',
    'nothing',
  ),
}

// octoDNS's dynamic records

export const DYNAMIC_RULE = {
  pool: needed(scalar, 'first pool of the chain'),
  geos: optional(structure(list(GEO, 0)), "as in services' rules", 'none'),
  subnets: optional(structure(list(TEXT, 0)), 'prefixes, or addresses; with `geos` they are alternatives', 'none'),
}

export const POOL_VALUE = {
  value: needed(structure(TEXT), 'the address'),
  weight: defaulted(
    integer(0, 1000),
    'share within the pool, 0–1000 (octoDNS: 1–100); 0 only when nothing else of the pool is left',
    '1',
  ),
  status: defaulted(
    oneOf(['up', 'down', 'obey']),
    '`obey`: as its check says; `up`: not probed, always served; `down`: not probed, never served',
    'obey',
  ),
}

export const POOL = {
  values: needed(
    structure(list(mapping(POOL_VALUE))),
    "its VIPs. One of those that work answers, chosen by a hash of the client's network",
    'values: [{value: 192.0.2.1}]',
  ),
  fallback: optional(
    structure(either(SCALAR, NULL)),
    "the pool that takes over when all values are down, and so on along the chain. A client never gets a pool outside of its chain. `default` is no pool but the record's own values, which are behind every chain anyway",
    'none',
  ),
}

export const DYNAMIC = {
  pools: needed(
    structure(named(mapping(POOL), { type: 'string' })),
    'by name, what answers. A pool named like a site of sites.yaml is at that site: its region, capacity and drains count. Any other is a site without a place',
    'pools: {eu: {values: [{value: 192.0.2.1}]}}',
  ),
  rules: needed(
    structure(list(mapping(DYNAMIC_RULE))),
    'which clients get which pool; the first that matches counts, subnets before geos. The last is for everybody',
    'rules: [{geos: [EU], pool: eu}, {pool: na}]',
  ),
}

const PROTOCOLS = ['HTTPS', 'HTTP', 'TCP', 'ICMP', 'UDP'] as const

export const HEALTHCHECK = {
  protocol: defaulted(
    oneOf(PROTOCOLS, choice(PROTOCOLS.filter((protocol) => protocol !== 'UDP'))),
    'HTTPS or HTTP: a GET that gets a 200; TCP; ICMP. UDP is not supported',
    'HTTPS',
  ),
  host: optional(
    hostOrNull,
    'HTTPS, HTTP: Host header, and SNI; nothing behind the key: the address',
    "the record's name, a wildcard's with its star",
  ),
  path: defaulted(octodnsPath, 'HTTPS, HTTP', '/_dns'),
  port: { ...defaulted(integer(1, 65_535), 'HTTPS, HTTP, TCP', '443'), unless: '443, of all three' },
}

export const DYNAMIC_RECORD = {
  type: optional(
    structure(choice(['A', 'AAAA'])),
    'A or AAAA; both may be at one name, and each beside a static record of the other type, or a GSLB with `types`',
    REQUIRED,
  ),
  ttl: optional(seconds(0), 'both TTLs of the service, max and min', '`ttl` of defaults.yaml'),
  value: optional(structure(SCALAR), 'one of `values`', 'this or `values`'),
  values: optional(
    structure(list(SCALAR)),
    "the service's last resort: all of them answer once every pool of a client's chain is down; nobody probes them",
    'this or `value`',
  ),
  dynamic: optional(structure(mapping(DYNAMIC)), 'pools and rules, see below', REQUIRED),
  octodns: optional(
    structure({ ...LOOSE, properties: { healthcheck: mapping(HEALTHCHECK) } }),
    '`healthcheck`, see below',
    'its defaults',
  ),
}

/** The tables, by the words in the headers of the tables of docs/zones.md. */
export const TABLES: Readonly<Record<string, Rows>> = {
  record: RECORD,
  GSLB,
  defaults: DEFAULTS,
  soa: SOA,
  site: SITE,
  service: SERVICE,
  "service's site": SERVICE_SITE,
  rule: RULE,
  check: CHECK,
  'dynamic record': DYNAMIC_RECORD,
  dynamic: DYNAMIC,
  pool: POOL,
  "pool's value": POOL_VALUE,
  'dynamic rule': DYNAMIC_RULE,
  healthcheck: HEALTHCHECK,
}
