/**
 * Schemas, for editors, of the files of a folder of zones and of meridian.yaml: what may be written where, and what it
 * means. `meridian schema` writes them as JSON Schema. Those of zone files are made from the rows of keys.ts, which the
 * loader reads by; that of meridian.yaml from config.ts. Editors read YAML their own way (`60` is a number, `true` a
 * boolean), so the schemas describe values and not source text. They see one file at a time: only `meridian check`
 * knows whether a site or service exists.
 */
import { z } from 'zod'
import { isNamed, LOG_FORMATS, LOG_LEVELS, SETTING_KEYS, SETTINGS } from '../config.ts'
import { RECEIVER_NAME, RECEIVER_TYPES } from '../config/receivers.ts'
import type { Setting } from '../config/setting.ts'
import { type ValueKey, valueForms, ZONE_TYPES } from '../dns/rdata.ts'
import {
  constant,
  either,
  IDENTIFIER,
  integer,
  type Json,
  list,
  LOOSE,
  mapping,
  named,
  optional,
  type Rows,
  SCALAR,
  structure,
  withAny,
} from './forms.ts'
import { DEFAULTS, DRILLS, DYNAMIC_RECORD, GSLB, HINTED, OPAQUE, RECORD, SERVICE, SITE } from './keys.ts'

const scalar = z.union([z.string().min(1), z.number(), z.boolean()])
const text = z.string().min(1)
const name = z.string().regex(IDENTIFIER)

/** The values of a type: texts, or mappings with keys of their own. */
function valueOf(type: string): Json {
  const forms = valueForms(type).map((keys) => mapping(rowsOf(keys)))
  return forms.length > 1 ? either(...forms) : (forms[0] ?? SCALAR)
}

/** Some keys have an older name in octoDNS: then neither of the two is required by itself. */
function rowsOf(keys: readonly ValueKey[]): Rows {
  const rows = keys.flatMap(({ key, alias, most, isMapping, isOptional }) => {
    const row = isMapping
      ? optional(structure(LOOSE), 'a mapping with keys of its own')
      : most === undefined
        ? optional(structure(SCALAR), 'text; a name ends with a dot')
        : optional(integer(0, most), `a number from 0 to ${most}`)
    if (alias !== undefined) return [[key, row] as const, [alias, row] as const]
    return [[key, isOptional ? row : { ...row, needed: { hint: '' } }] as const]
  })
  return Object.fromEntries(rows)
}

function recordOf(type: string, form = constant(type)): Json {
  const isAddress = type === 'A' || type === 'AAAA'
  const value = valueOf(type)
  const { hints, ...plain } = RECORD
  const rows: Rows = {
    ...plain,
    ...(HINTED.has(type) && { hints }),
    ...(isAddress && { dynamic: { ...DYNAMIC_RECORD.dynamic, unless: 'none' } }),
    type: { ...RECORD.type, form: structure(form) },
    value: { ...RECORD.value, form: structure(value) },
    values: { ...RECORD.values, form: structure(list(value)) },
  }
  return withAny(mapping(rows), 'value', 'values')
}

const types = ZONE_TYPES.filter((type) => type !== 'SOA')
const record: Json = {
  oneOf: [mapping(GSLB), ...types.map((type) => recordOf(type)), recordOf('TYPE65280', OPAQUE)],
}

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
    const schema = own === undefined ? group : z.union([own, group])
    tree[head] = schema.describe(own?.description ?? `settings that begin with ${head}.`)
  }
  for (const [key, schema] of Object.entries(tree)) tree[key] = schema.optional()
  return z.strictObject(tree)
}

/** The schema of one setting. The bounds are in its description; the reader of the setting checks them. */
function settingOf(key: (typeof SETTING_KEYS)[number]): z.ZodType {
  const setting: Setting<unknown> = SETTINGS[key]
  const words = `${setting.meaning}\n\nType: ${setting.type}`
  if (isNamed(key)) return z.record(name, z.union([text, z.array(scalar).min(1)])).describe(words)
  if (setting.keys === undefined) return valueSchema(key, setting)
  const parts = Object.entries(setting.keys).map(([part, row]) => [part, valueSchema(part, row).optional()])
  return z.record(z.string().regex(RECEIVER_NAME), z.strictObject(Object.fromEntries(parts))).describe(words)
}

/** Settings whose values editors can offer. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  'log.level': LOG_LEVELS,
  'log.format': LOG_FORMATS,
  type: RECEIVER_TYPES,
}

function valueSchema(key: string, setting: Setting<unknown>): z.ZodType {
  const words = `${setting.meaning}\n\nType: ${setting.type}`
  const sample = setting.read(setting.default[0] ?? '', '/')
  const choices = CHOICES[key]
  const kind: z.ZodType =
    choices !== undefined
      ? z.enum(choices)
      : typeof sample === 'boolean'
        ? z.boolean()
        : typeof sample === 'number'
          ? z.int()
          : scalar
  const value = kind.refine((given) => setting.read(String(given), '/') !== undefined, setting.type)
  return (setting.list ? z.union([value, z.array(value)]) : value).describe(words)
}

/** Checks bounds too, which JSON Schema has only in words. */
export const SETTINGS_SCHEMA = settings().meta({ title: 'meridian.yaml: node settings of Meridian' })

/** The schemas, by the name of the JSON file without `.json`. */
const SCHEMAS = {
  zone: {
    ...named(either(record, list(record)), { type: 'string' }),
    title: 'A zone of Meridian: NAME.DOMAIN.yaml',
    description: 'Names, relative to the zone; "" is the zone itself',
  },
  defaults: { ...mapping(DEFAULTS), title: 'defaults.yaml of Meridian' },
  sites: { ...named(mapping(SITE)), title: 'sites.yaml of Meridian', description: 'Sites, by name' },
  services: { ...named(mapping(SERVICE)), title: 'services.yaml of Meridian', description: 'Services, by name' },
  drills: { ...mapping(DRILLS), title: 'drills.yaml of Meridian' },
  meridian: z.toJSONSchema(SETTINGS_SCHEMA),
} satisfies Record<string, Json>

/** A schema's file name, without `.json`. */
export type SchemaFile = keyof typeof SCHEMAS

/** A schema as JSON Schema, draft 2020-12. */
export const jsonSchema = (file: SchemaFile): Json => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  ...SCHEMAS[file],
})
