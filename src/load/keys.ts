/**
 * The keys of zone files: the form of each with its bounds, its meaning, and its default. The loader reads mappings by
 * these rows, the JSON Schemas (schema.ts) are made from them, and a test compares docs/zones.md with them. A
 * `structure` is read by a function of the file that reads its mapping.
 */
import { ZONE_TYPES } from '../dns/rdata.ts'
import { DAY_MS } from '../units.ts'
import { DAY_WORDS, isZone, parseMinutes } from '../zone/windows.ts'
import { address, ANY_CHECK, CHECK, hostOrNull, octodnsPath, WHOLE_CHECK } from './check-keys.ts'
import {
  choice,
  constant,
  defaulted,
  defaultsInWords,
  distance,
  duration,
  either,
  flag,
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
  optional,
  parsed,
  pattern,
  percent,
  REQUIRED,
  type Rows,
  SCALAR,
  scalar,
  seconds,
  structure,
  TEXT,
  text,
  withAny,
} from './forms.ts'

const pick = oneOf(['hash', 'random'])
const failback = oneOf(['auto', 'manual'])
/** octoDNS's codes: a continent, its country, and that one's subdivision. */
export const GEO_CODE = /^(AF|AN|AS|EU|NA|OC|SA)(-[A-Z]{2}(-[A-Z0-9]{1,3})?)?$/
const GEO = pattern(GEO_CODE)
const NULL: Json = { type: 'null' }
const GROUPS = list(oneOrList(SCALAR))

// services.yaml

export const VIP_CHECK = { address: optional(address, 'probed in place of the VIP') }
export const VIP = {
  address: optional(structure(TEXT), 'the VIP', 'this or `name`'),
  name: optional(structure(TEXT), 'a name in place of an address, with its last dot', 'this or `address`'),
  check: optional(structure(mapping(VIP_CHECK)), 'where this VIP is probed'),
}

export const SERVICE_SITE = {
  vips: optional(
    structure(list(either(TEXT, mapping(VIP)))),
    'addresses, or `{address, check: {address: …}}` where another address is probed; or names, `{name: fra.cdn.example.}`, see [below](#names-in-place-of-addresses)',
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
  order: needed(
    structure(GROUPS),
    "sites in order; the service's others follow unless `only`",
    'The sites that its clients get, in order: order: [fra, iad]',
  ),
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
  values: optional(structure(list(TEXT)), 'addresses that answer when nothing is up', 'this or `name`'),
  name: optional(structure(TEXT), 'a name that answers, by a CNAME, when nothing is up', 'this or `values`'),
}

export const SERVICE = {
  sites: optional(
    structure(named(mapping(SERVICE_SITE))),
    'by site, what answers there; their order is that of clients without a place',
    REQUIRED,
  ),
  check: needed(
    structure(either(constant('none'), ANY_CHECK, list(ANY_CHECK))),
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
    'when nothing is up: `all`, `nodata`, `{values: [address, …]}`, or `{name: fallback.example.}`',
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
  failback: defaulted(
    failback,
    '`manual`: a site that died is passed over after it is well again, until `meridian return`, see [below](#failback)',
    'auto',
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
  failback: defaulted(
    failback,
    "`manual`, for all services of the site; a service's `manual` is for all its sites",
    'auto',
  ),
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

// drills.yaml

const timeOfDay = parsed('a time of day, 00:00 to 24:00', parseMinutes, pattern(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/))

export const DRILL = {
  site: needed(scalar, 'the site that is drained, of all its services', 'site: fra'),
  days: needed(
    structure(list(either(choice(DAY_WORDS), pattern(/^\d{4}-\d\d-\d\d$/)))),
    'on which days its window begins: `tue`, `first-tue` to `fourth-tue` and `last-tue` of a month, `2026-12-01`',
    'days: [tue]',
  ),
  from: needed(timeOfDay, 'when the window begins, `09:30`; the drill begins then, or later in it', 'from: "10:00"'),
  to: needed(
    timeOfDay,
    'when it ends, `12:00`; on the next day if that is no later than `from`. The drill has to end by then',
    'to: "12:00"',
  ),
  zone: defaulted(
    matching('a time zone like Europe/Berlin', isZone, TEXT),
    'the time zone of days and times, by its IANA name',
    'UTC',
  ),
  for: needed(duration(1000, DAY_MS), 'how long the site stays drained', 'for: 30m'),
  abortIf: optional(
    structure(list(TEXT)),
    'what ends it early, and lets it not begin: `left<60%`, `last-resort`, or a service of which no member may be down',
    'last-resort',
  ),
}

export const DRILLS = {
  drills: optional(structure(named(mapping(DRILL))), 'scheduled drills, by name', 'none'),
  blocked: optional(
    structure(list(pattern(/^\d{4}-\d\d-\d\d(\.\.\d{4}-\d\d-\d\d)?$/), 0)),
    'dates on which there are none, `2026-11-27` or `2026-12-20..2027-01-06`, by the time zone of each drill',
    'none',
  ),
}

const { serial: _serial, ...zoneSoa } = SOA
/** The keys of `soa` of one zone: the serial is one for all. */
export const ZONE_SOA = zoneSoa

const ns = optional(structure(list(TEXT)), 'name servers of zones that have no NS at their apex', 'none')
const ttl = defaulted(seconds(0), 'of records without one, and of the SOA', '3600')

export const steeredCopy = oneOf(['last-resort', 'omit'])
export const STEERED_COPY = { site: needed(structure(SCALAR), 'the site whose VIPs copies have', 'site: fra', '') }

export const TRANSFER = {
  allow: optional(
    structure(list(TEXT)),
    'networks that may take copies, as addresses and prefixes; with `key` both are needed',
    'any, with `key`',
  ),
  key: optional(
    scalar,
    'the name, in the node setting `tsig.keys`, of the key that queries must be signed with',
    'none',
  ),
  notify: optional(
    structure(list(TEXT)),
    'secondaries to tell of a new serial, `address` or `address:port`; signed with `key`',
    'none',
  ),
  steered: optional(
    structure(either(steeredCopy.json, mapping(STEERED_COPY))),
    'what a steered name has in copies: `last-resort`, the VIPs of one site (`{site: fra}`), or nothing (`omit`)',
    'last-resort',
  ),
}

const transfer = optional(
  structure(mapping(TRANSFER)),
  'who may take copies of the zones, see [transfers.md](transfers.md)',
  'nobody',
)

/** The settings of one zone. */
export const ZONE_SETTINGS = {
  soa: optional(
    structure(mapping(ZONE_SOA)),
    'keys that differ from those of all zones; the serial is one for all',
    'that of all',
  ),
  ns: optional(ns.form, 'name servers of a zone that has no NS at its apex', 'those of all'),
  ttl: optional(ttl.form, ttl.meaning, 'that of all'),
  transfer: optional(transfer.form, transfer.meaning, 'that of all'),
}

export const DEFAULTS = {
  soa: optional(structure(mapping(SOA)), 'of all zones, see below', 'see below'),
  ns,
  ttl,
  transfer,
  zones: optional(
    structure(named(mapping(ZONE_SETTINGS), { type: 'string' })),
    "by name, a zone's own `soa`, `ns`, `ttl` and `transfer`, see below",
    'none',
  ),
  checks: optional(structure(named(WHOLE_CHECK)), "named checks, for services' `use`", 'none'),
}

// zones

export const steeredType = oneOf(['A', 'AAAA'])

export const GSLB = {
  type: optional(
    structure(constant('GSLB')),
    'GSLB: the name is steered. Beside it may be no CNAME, and no A or AAAA record of a type that it is steered for',
    REQUIRED,
  ),
  service: needed(scalar, 'the service that answers', 'service: web'),
  types: optional(
    structure(list(steeredType.json)),
    'which of A and AAAA the name has',
    'all that the service has VIPs of',
  ),
  ttl: optional(seconds(1), "caps the service's TTLs", "the service's own", 0),
}

/** A type that has no mnemonic here. */
export const OPAQUE = pattern(/^TYPE[1-9]\d{0,4}$/)

/** The types whose records may have the key `hints`. */
export const HINTED: ReadonlySet<string> = new Set(['HTTPS', 'SVCB'])

export const RECORD = {
  type: optional(
    structure(either(choice([...ZONE_TYPES, 'GSLB']), OPAQUE)),
    'a type of the table below, `TYPE65280` and other types by number, or GSLB',
    REQUIRED,
  ),
  ttl: optional(seconds(0), 'seconds', '`ttl` of defaults.yaml'),
  value: optional(structure(SCALAR), 'one value; names in it end with a dot', 'this or `values`'),
  values: optional(structure(list(SCALAR)), 'a list of values', 'this or `value`'),
  hints: optional(
    scalar,
    'HTTPS, SVCB: the service whose addresses for the client are `ipv4hint` and `ipv6hint`, see [below](#hints)',
    'no hints but those that are written',
  ),
  octodns: optional(
    structure(LOOSE),
    'what octoDNS keeps beside a record, see [below](#what-is-not-taken-from-octodns)',
    'nothing',
  ),
}

// octoDNS's dynamic records

export const DYNAMIC_RULE = {
  pool: needed(scalar, 'first pool of the chain', 'pool: eu'),
  geos: optional(structure(list(GEO, 0)), "as in services' rules", 'none'),
  subnets: optional(structure(list(TEXT, 0)), 'prefixes, or addresses; with `geos` they are alternatives', 'none'),
}

export const POOL_VALUE = {
  value: needed(structure(TEXT), 'the address', 'value: 192.0.2.1'),
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
  "zone's settings": ZONE_SETTINGS,
  transfer: TRANSFER,
  'drills.yaml': DRILLS,
  drill: DRILL,
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
