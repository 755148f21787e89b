/**
 * Schemas, for editors, of the files of a folder of zones and of meridian.yaml: what may be written where, and what it
 * means. `meridian schema` writes them as JSON Schema. Tests check that docs/zones.md has the same words and the loader
 * the same keys. Editors read YAML their own way (`60` is a number, `true` a boolean), so the schemas describe values
 * and not source text. They see one file at a time: only `meridian check` knows whether a site or service exists.
 */
import { z } from 'zod'
import { isNamed, LOG_LEVELS, type Setting, SETTING_KEYS, SETTINGS } from '../config.ts'
import { type ValueKey, valueForms, ZONE_TYPES } from '../dns/rdata.ts'
import { CHECK_RRTYPES } from '../zone/model.ts'
import { CHECK_TYPES, KIND_KEYS, portOf, SENT } from './check-kinds.ts'
import { COMMON_KEYS } from './checks.ts'

/** A key: its schema, its meaning, and its default, in the words of docs/zones.md. */
interface Row {
  readonly schema: z.ZodType
  readonly what: string
  readonly unless: string
}
type Rows = Readonly<Record<string, Row>>

const row = (schema: z.ZodType, what: string, unless: string): Row => ({ schema, what, unless })
const REQUIRED = 'must be there'

/** The schema with the description that editors show beside the key. */
const described = ({ schema, what, unless }: Row): z.ZodType =>
  schema.describe(unless === REQUIRED ? `${what} (${REQUIRED})` : `${what}\n\nUnless written: ${unless}`)

/** A mapping with these keys and no others. */
function object(rows: Rows, required: readonly string[] = []): z.ZodObject {
  const shape = Object.entries(rows).map(([key, one]) => {
    const isRequired = one.unless === REQUIRED || required.includes(key)
    return [key, isRequired ? described(one) : described(one).optional()] as const
  })
  return z.strictObject(Object.fromEntries(shape))
}

/** At least one of the keys, in JSON Schema's words too. */
const anyOf = (schema: z.ZodObject, keys: readonly string[]): z.ZodObject =>
  schema
    .refine((value) => keys.some((key) => key in value), `one of ${keys.join(', ')} must be there`)
    .meta({ anyOf: keys.map((key) => ({ required: [key] })) })

const scalar = z.union([z.string().min(1), z.number(), z.boolean()])
const text = z.string().min(1)
const name = z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/)
const integer = (least: number, most: number): z.ZodType => z.int().min(least).max(most)
const duration = z.string().regex(/^(\d+(\.\d+)?(ms|s|m|h|d))+$/)
const seconds = (least: number): z.ZodType => z.union([integer(least, 0x7fffffff), duration])
const distance = z.string().regex(/^\d+(\.\d+)?\s*km$/)
const percent = z.string().regex(/^(\d{1,2}|100)%$/)
const pick = z.enum(['hash', 'random'])
const GEO = /^(AF|AN|AS|EU|NA|OC|SA)(-[A-Z]{2}(-[A-Z0-9]{1,3})?)?$/

const groups = z.array(z.union([scalar, z.array(scalar).min(1)])).min(1)
const vip = z.union([
  text,
  z.strictObject({
    address: text.describe('the VIP'),
    check: z
      .strictObject({ address: text.optional().describe('probed in place of the VIP') })
      .optional()
      .describe('where this VIP is probed'),
  }),
])
const subnetFile = z.strictObject({ file: text.describe('one prefix or address a line; relative to this file') })
const serviceTtl = z.union([
  seconds(1),
  z.strictObject({
    max: seconds(1).optional().describe('once all has been calm for `settle`\n\nUnless written: 60'),
    min: seconds(1).optional().describe('else\n\nUnless written: 15'),
    settle: duration.optional().describe('how long there was no change\n\nUnless written: 5m'),
  }),
])
const lastResort = z.union([
  z.enum(['all', 'nodata']),
  z.strictObject({ values: z.array(text).min(1).describe('addresses that answer when nothing is up') }),
])

const oneOrMore = (one: z.ZodType): z.ZodType => z.union([one, z.array(one).min(1)])
const httpExpect = z.strictObject({
  status: oneOrMore(integer(100, 599)).optional().describe('statuses that pass\n\nUnless written: 200'),
  body: scalar.optional().describe('text that must occur'),
})
const dnsExpect = z.strictObject({
  rcode: oneOrMore(text).optional().describe('rcodes that pass\n\nUnless written: NOERROR'),
  value: scalar.optional().describe('an answer that must be there, as dig prints it'),
})

const CHECK = {
  type: row(
    z.enum(CHECK_TYPES),
    'http, https, tcp, tls, grpc, dns, icmp, exec or agent',
    'must be there, or come from `use`',
  ),
  port: row(
    integer(1, 65_535),
    'number; icmp has none',
    'http 80; https, tls, grpc with `tls` 443; dns 53; exec none; else it must be there',
  ),
  address: row(
    text,
    'probed in place of the VIP; `probe.allow` should name it, see [settings.md](settings.md#what-checks-reach)',
    'the VIP',
  ),
  interval: row(duration, 'duration, 100ms or more', '5s'),
  timeout: row(duration, 'of the whole check, below the interval', '2s, or 2/5 of an interval shorter than 5s'),
  fast: row(duration, 'interval of rechecks after a change', 'a fifth of the interval, 100ms or more'),
  fall: row(integer(1, 100), 'failures until it is DOWN', '3'),
  rise: row(integer(1, 100), 'passes until it is UP again', '2'),
  method: row(z.enum(['GET', 'HEAD']), 'http, https: GET or HEAD', 'GET'),
  path: row(z.string().regex(/^\/[!-~]*$/), 'http, https', '/'),
  host: row(
    scalar,
    'http, https: Host header; grpc: `:authority`; https, tls, grpc with `tls`: the name in the certificate and in SNI',
    'the VIP',
  ),
  expect: row(
    z.union([httpExpect, dnsExpect]),
    'http, https: `{status: [200, …], body: text that must occur}`; dns: `{rcode: [NOERROR, …], value: an answer that must be there}`',
    '{status: [200]}; {rcode: [NOERROR]}',
  ),
  verify: row(z.boolean(), 'https, tls, grpc with `tls`: whether the certificate must be valid', 'true'),
  validFor: row(duration, 'tls: for how long yet the certificate must hold; `0s`: any that does now', '1d'),
  tls: row(z.boolean(), 'grpc: true with TLS, false in plaintext', 'false'),
  service: row(text, 'grpc: the service whose health is asked', 'the server as a whole'),
  name: row(scalar, 'dns: the name that is asked for, of printable characters', 'must be there'),
  rrtype: row(z.enum(CHECK_RRTYPES), 'dns: A, AAAA, CNAME, MX, NS, PTR, SOA, SRV or TXT', 'A'),
  command: row(
    scalar,
    'exec: a name in the node setting `probe.exec`, see [settings.md](settings.md)',
    'must be there',
  ),
  send: row(
    z.string().min(1).max(255).regex(SENT),
    "agent: a line that is sent before the agent's is read, without control characters; its line end is added",
    'nothing',
  ),
} satisfies Rows

/** Keys that a kind must have, besides its port. */
const NEEDS: Readonly<Partial<Record<(typeof CHECK_TYPES)[number], readonly string[]>>> = {
  dns: ['name'],
  exec: ['command'],
}

/** The schema of one kind of check, with the keys of that kind and no others. */
function checkOf(type: (typeof CHECK_TYPES)[number]): z.ZodObject {
  const keys = [...COMMON_KEYS, ...KIND_KEYS[type]]
  const rows: Rows = Object.fromEntries(Object.entries<Row>(CHECK).filter(([key]) => keys.includes(key)))
  const expect = type === 'dns' ? dnsExpect : httpExpect
  const required = ['type', ...(portOf(type, { tls: true }) === undefined ? ['port'] : []), ...(NEEDS[type] ?? [])]
  return object(
    {
      ...rows,
      type: { ...CHECK.type, schema: z.literal(type) },
      ...('expect' in rows && { expect: { ...CHECK.expect, schema: expect } }),
    },
    required,
  )
}
const check = z.discriminatedUnion('type', [checkOf('http'), ...CHECK_TYPES.slice(1).map(checkOf)])
/** A check with `use`: its kind comes from defaults.yaml, so it may have the keys of any kind. */
const usedCheck = z.strictObject({
  use: scalar.describe('a check of defaults.yaml; the keys beside it replace its own'),
  ...object(CHECK).partial().shape,
})
const oneCheck = z.union([usedCheck, check])
const serviceChecks = z.union([z.literal('none'), oneCheck, z.array(oneCheck).min(1)])

const SERVICE_SITE = {
  vips: row(
    z.array(vip).min(1),
    'addresses, or `{address, check: {address: …}}` where another address is probed',
    'must be there',
  ),
  weight: row(integer(0, 1000), 'share within a group, 0–1000; 0 only when nothing else is left', '100'),
  bias: row(integer(-99, 99), 'percent, −99 to 99: distance × (1 − bias/100)', '0'),
  drained: row(z.boolean(), 'as in sites.yaml, for this service', 'false'),
} satisfies Rows

const RULE = {
  subnets: row(
    z.union([subnetFile, z.array(z.union([text, subnetFile])).min(1)]),
    'prefixes, `{file: PATH}`, or a list of both; of all rules the longest that holds the client wins',
    'one of these three',
  ),
  asns: row(
    z.array(z.union([integer(1, 0xffffffff), z.string().regex(/^AS[1-9]\d{0,9}$/)])).min(1),
    'numbers of autonomous systems, `64500` or `AS64500`; after subnets, the first rule wins. Needs `geo.asn`',
    'one of these three',
  ),
  geos: row(
    z.array(z.string().regex(GEO)).min(1),
    '`AS`, `AS-CN`, `NA-US-CA`; after numbers, the first rule wins',
    'one of these three',
  ),
  order: row(groups, "sites in order; the service's others follow unless `only`", 'must be there'),
  only: row(z.boolean(), 'these sites and no others, even when they are dead', 'false'),
  pick: row(pick, "`hash` or `random`, for this rule's clients", "the service's"),
} satisfies Rows

const rule = anyOf(object(RULE), ['subnets', 'asns', 'geos'])

const SERVICE = {
  sites: row(
    z.record(name, object(SERVICE_SITE)),
    'by site, what answers there; their order is that of clients nobody can place',
    'must be there',
  ),
  check: row(
    serviceChecks,
    '`{use: NAME, …}`, a check written out, a list of which all must pass, or `none`',
    'must be there',
  ),
  order: row(
    z.union([z.literal('nearest'), groups]),
    '`nearest`, or a list of sites in which an inner list is one group',
    'nearest',
  ),
  spread: row(distance, 'sites at most this much farther than the nearest share its clients by weight', '0km'),
  candidates: row(integer(1, 255), 'how many nearest sites are ranked exactly; the others follow as one group', '4'),
  spill: row(
    integer(1, 255),
    'how many of the next usable sites, by capacity, take the clients whose first group of sites is dead',
    '2 where a site declares `capacity`, else 1',
  ),
  rules: row(z.array(rule), 'exceptions for some clients, see below', 'none'),
  pick: row(pick, 'within a group, `hash` (a client keeps its site) or `random`', 'hash'),
  answers: row(integer(1, 8), 'addresses in an answer, 1–8', '8'),
  minVips: row(integer(1, 255), 'a site with fewer working VIPs is passed over', '1'),
  ttl: row(
    serviceTtl,
    'seconds, or `{max, min, settle}`: max once calm for `settle`, min else',
    '{max: 60, min: 15, settle: 5m}',
  ),
  lastResort: row(lastResort, 'when nothing is up: `all`, `nodata`, or `{values: [address, …]}`', 'all'),
  keep: row(
    percent,
    'the brake: while DOWN verdicts would leave less of the capacity up than this, the rest of them wait',
    '25%',
  ),
  rampUp: row(duration, 'a site that comes back takes its full share of clients only after this time', '0s'),
  budget: row(
    duration,
    "most that a failover may take, from a site's death to the last client's new answer; more is an error",
    'none',
  ),
  probers: row(integer(1, 255), 'how many probers decide', '3'),
  regions: row(integer(1, 255), 'in how many regions they must agree on DOWN', '1'),
} satisfies Rows

const SITE = {
  location: row(
    z.array(z.number().min(-180).max(180)).length(2),
    '`[latitude, longitude]` in degrees',
    'must be there',
  ),
  region: row(scalar, 'a word of your own', 'none'),
  capacity: row(integer(0, 1_000_000), 'relative to other sites', '100'),
  drained: row(z.boolean(), '`true` takes it out of all answers while anything else is up', 'false'),
} satisfies Rows

const SOA = {
  mname: row(text, 'primary name server', "the first NS of the zone's apex"),
  rname: row(text, 'mailbox of who is responsible', 'hostmaster.ZONE'),
  serial: row(
    integer(0, 0xffffffff),
    'number',
    'Unix time of the last git commit that touched the folder, else 1 with a warning; a node never serves one below what it served before',
  ),
  refresh: row(seconds(0), 'seconds', '7200'),
  retry: row(seconds(0), 'seconds', '900'),
  expire: row(seconds(0), 'seconds', '1209600'),
  minimum: row(seconds(0), "TTL of negative answers, at most the SOA's own", '60'),
} satisfies Rows

const DEFAULTS = {
  soa: row(object(SOA), 'of all zones, see below', 'see below'),
  ttl: row(seconds(0), 'of records without one, and of the SOA', '3600'),
  checks: row(z.record(name, check), "named checks, for services' `use`", 'none'),
} satisfies Rows

const GSLB = {
  type: row(
    z.literal('GSLB'),
    'GSLB: the name is steered. Beside it may be no CNAME, and no A or AAAA record of a type that it is steered for',
    'must be there',
  ),
  service: row(scalar, 'the service that answers', 'must be there'),
  types: row(
    z.array(z.enum(['A', 'AAAA'])).min(1),
    'which of A and AAAA the name has',
    'all that the service has VIPs of',
  ),
  ttl: row(seconds(1), "caps the service's TTLs", "the service's own"),
} satisfies Rows

const RECORD = {
  type: row(
    z.enum([...ZONE_TYPES, 'GSLB']),
    'A, AAAA, CAA, CNAME, DS, HTTPS, LOC, MX, NAPTR, NS, OPENPGPKEY, PTR, SPF, SRV, SSHFP, SVCB, TLSA, TXT, URI, or GSLB',
    'must be there',
  ),
  ttl: row(seconds(0), 'seconds', '`ttl` of defaults.yaml'),
  value: row(scalar, 'one value; names in it end with a dot', 'this or `values`'),
  values: row(z.array(scalar).min(1), 'a list of values', 'this or `value`'),
  octodns: row(
    z.looseObject({}),
    'what octoDNS keeps beside a record, see [below](#what-is-not-taken-from-octodns)',
    'nothing',
  ),
} satisfies Rows

// octoDNS's dynamic records
const DYNAMIC_RULE = {
  pool: row(scalar, 'first pool of the chain', 'must be there'),
  geos: row(z.array(z.string().regex(GEO)), "as in services' rules", 'none'),
  subnets: row(z.array(text), 'prefixes, or addresses; with `geos` they are alternatives', 'none'),
} satisfies Rows

const POOL_VALUE = {
  value: row(text, 'the address', 'must be there'),
  weight: row(
    integer(0, 1000),
    'share within the pool, 0–1000 (octoDNS: 1–100); 0 only when nothing else of the pool is left',
    '1',
  ),
  status: row(
    z.enum(['obey', 'up', 'down']),
    '`obey`: as its check says; `up`: not probed, always served; `down`: not probed, never served',
    'obey',
  ),
} satisfies Rows

const POOL = {
  values: row(
    z.array(object(POOL_VALUE)).min(1),
    "its VIPs. One of those that work answers, chosen by a hash of the client's network",
    'must be there',
  ),
  fallback: row(
    scalar.nullable(),
    "the pool that takes over when all values are down, and so on along the chain. A client never gets a pool outside of his chain. `default` is no pool but the record's own values, which are behind every chain anyway",
    'none',
  ),
} satisfies Rows

const DYNAMIC = {
  pools: row(
    z.record(z.string(), object(POOL)),
    'by name, what answers. A pool named like a site of sites.yaml is at that site: its region, capacity and drains count. Any other is a site without a place',
    'must be there',
  ),
  rules: row(
    z.array(object(DYNAMIC_RULE)).min(1),
    'which clients get which pool; the first that matches counts, subnets before geos. The last is for everybody',
    'must be there',
  ),
} satisfies Rows

const HEALTHCHECK = {
  protocol: row(
    z.enum(['HTTPS', 'HTTP', 'TCP', 'ICMP']),
    'HTTPS or HTTP: a GET that gets a 200; TCP; ICMP. UDP is not supported',
    'HTTPS',
  ),
  host: row(
    scalar.nullable(),
    'HTTPS, HTTP: Host header, and SNI; nothing behind the key: the address',
    "the record's name, a wildcard's with its star",
  ),
  path: row(text, 'HTTPS, HTTP', '/_dns'),
  port: row(integer(1, 65_535), 'HTTPS, HTTP, TCP', '443, of all three'),
} satisfies Rows

const DYNAMIC_RECORD = {
  type: row(
    z.enum(['A', 'AAAA']),
    'A or AAAA; both may be at one name, and each beside a static record of the other type, or a GSLB with `types`',
    'must be there',
  ),
  ttl: row(seconds(0), 'both TTLs of the service, max and min', '`ttl` of defaults.yaml'),
  value: row(scalar, 'one of `values`', 'this or `values`'),
  values: row(
    z.array(scalar).min(1),
    "the service's last resort: all of them answer once every pool of a client's chain is down; nobody probes them",
    'this or `value`',
  ),
  dynamic: row(object(DYNAMIC), 'pools and rules, see below', 'must be there'),
  octodns: row(
    z.looseObject({ healthcheck: object(HEALTHCHECK).optional() }),
    '`healthcheck`, see below',
    'its defaults',
  ),
} satisfies Rows

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

/** The values of a type: texts, or mappings with keys of their own. */
function valueOf(type: string): z.ZodType {
  const forms = valueForms(type).map(mappingOf)
  const [first = scalar, ...others] = forms
  return others.length === 0 ? first : z.union([first, ...others])
}

function mappingOf(keys: readonly ValueKey[]): z.ZodType {
  const shape = keys.flatMap(({ key, alias, most, isMapping, isOptional }) => {
    const value = isMapping
      ? z.looseObject({}).describe('a mapping with keys of its own')
      : most === undefined
        ? scalar.describe('text; a name ends with a dot')
        : integer(0, most).describe(`a number from 0 to ${most}`)
    // some keys have an older name in octoDNS: then neither of the two is required by itself
    const both = alias === undefined ? [[key, isOptional ? value.optional() : value] as const] : []
    const either = alias === undefined ? [] : [[key, value.optional()] as const, [alias, value.optional()] as const]
    return [...both, ...either]
  })
  return z.strictObject(Object.fromEntries(shape))
}

const recordOf = (type: string): z.ZodObject =>
  object({
    ...RECORD,
    ...(type === 'A' || type === 'AAAA' ? { dynamic: { ...DYNAMIC_RECORD.dynamic, unless: 'none' } } : {}),
    type: { ...RECORD.type, schema: z.literal(type) },
    value: { ...RECORD.value, schema: valueOf(type) },
    values: { ...RECORD.values, schema: z.array(valueOf(type)).min(1) },
  })

const plainRecord = (type: string): z.ZodObject => anyOf(recordOf(type), ['value', 'values'])
const types = ZONE_TYPES.filter((type) => type !== 'SOA')
const record = z.discriminatedUnion('type', [object(GSLB), ...types.map(plainRecord)])
const zone = z.record(z.string(), z.union([record, z.array(record).min(1)]))

/** The schema of meridian.yaml: keys are nested by their dots, or written with dots. */
function settings(): z.ZodType {
  const tree: Record<string, z.ZodType> = {}
  const nested = new Map<string, Record<string, z.ZodType>>()
  for (const key of SETTING_KEYS) {
    const schema = settingOf(key)
    tree[key] = schema
    const [head = key, ...rest] = key.split('.')
    if (rest.length > 0) nested.set(head, { ...nested.get(head), [rest.join('.')]: schema.optional() })
  }
  for (const [head, shape] of nested) {
    const group = z.strictObject(shape)
    const own = tree[head] // `redis: URL`, or `redis: {secret: …}` where a variable has the URL
    const either = own === undefined ? group : z.union([own, group])
    tree[head] = either.describe(own?.description ?? `settings that begin with ${head}.`)
  }
  for (const [key, schema] of Object.entries(tree)) tree[key] = schema.optional()
  return z.strictObject(tree)
}

/** The schema of one setting. The bounds are in its description; the reader of the setting checks them. */
function settingOf(key: (typeof SETTING_KEYS)[number]): z.ZodType {
  const setting: Setting<unknown> = SETTINGS[key]
  const words = `${setting.meaning}\n\nType: ${setting.type}`
  if (isNamed(key)) return z.record(name, z.union([text, z.array(scalar).min(1)])).describe(words)
  const sample = setting.read(setting.default[0] ?? '', '/')
  const kind: z.ZodType =
    key === 'log.level'
      ? z.enum(LOG_LEVELS)
      : typeof sample === 'boolean'
        ? z.boolean()
        : typeof sample === 'number'
          ? z.int()
          : scalar
  const value = kind.refine((given) => setting.read(String(given), '/') !== undefined, setting.type)
  return (setting.list ? z.union([value, z.array(value)]) : value).describe(words)
}

/** The schemas, by the name of the JSON file without `.json`. */
export const SCHEMAS = {
  zone: zone.meta({
    title: 'A zone of Meridian: NAME.DOMAIN.yaml',
    description: 'Names, relative to the zone; "" is the zone itself',
  }),
  defaults: object(DEFAULTS).meta({ title: 'defaults.yaml of Meridian' }),
  sites: z.record(name, object(SITE)).meta({ title: 'sites.yaml of Meridian', description: 'Sites, by name' }),
  services: z
    .record(name, object(SERVICE))
    .meta({ title: 'services.yaml of Meridian', description: 'Services, by name' }),
  meridian: settings().meta({ title: 'meridian.yaml: node settings of Meridian' }),
} as const

/** A schema's file name, without `.json`. */
export type SchemaFile = keyof typeof SCHEMAS
export const SCHEMA_FILES: readonly SchemaFile[] = ['zone', 'defaults', 'sites', 'services', 'meridian']

/** A schema as JSON Schema, draft 2020-12. */
export const jsonSchema = (file: SchemaFile): object => z.toJSONSchema(SCHEMAS[file])
