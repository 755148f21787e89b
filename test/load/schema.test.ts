/**
 * The schemas for editors against the loader, its documents and real files. JSON Schema is tried by a validator of its own,
 * below: it knows the keywords that the schemas use, and no others, so that a new one can't pass unseen.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { load } from 'js-yaml'
import { expect, test } from 'vitest'
import { schema as writeSchemas } from '../../src/cli/schema.ts'
import { SETTING_KEYS, SETTINGS } from '../../src/config.ts'
import { TABLES } from '../../src/load/keys.ts'
import { SCHEMA_FILES } from '../../src/cli/formats.ts'
import { jsonSchema, type SchemaFile, SETTINGS_SCHEMA } from '../../src/load/schema.ts'

const repository = resolve(import.meta.dirname, '../..')

const docs = readFileSync(join(repository, 'docs/zones.md'), 'utf8')

test.each(Object.entries(TABLES))('the keys of a %s are described by docs/zones.md in the same words', (what, rows) => {
  const table = Object.entries(rows).map(([key, { meaning, unless }]) => `| \`${key}\` | ${meaning} | ${unless} |\n`)
  expect(docs).toContain(`\n| ${what} | what it is | unless written |\n|---|---|---|\n${table.join('')}\n`)
})

test('docs/zones.md has a table of no other keys', () => {
  const heads = [...docs.matchAll(/^\| (.+) \| what it is \| unless written \|$/gm)].map(([, what = '']) => what)
  expect(heads.toSorted()).toEqual(Object.keys(TABLES).toSorted())
})

type Json = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** What each keyword asks of a value. */
const KEYWORDS: Readonly<Record<string, (wanted: unknown, value: unknown, schema: Json) => boolean>> = {
  $schema: () => true,
  title: () => true,
  description: () => true,
  type: (wanted, value) =>
    wanted === 'object'
      ? isObject(value)
      : wanted === 'array'
        ? Array.isArray(value)
        : wanted === 'integer'
          ? Number.isInteger(value)
          : wanted === 'null'
            ? value === null
            : typeof value === wanted,
  const: (wanted, value) => value === wanted,
  enum: (wanted, value) => listOf(wanted).includes(value),
  minimum: (wanted, value) => typeof value !== 'number' || value >= Number(wanted),
  maximum: (wanted, value) => typeof value !== 'number' || value <= Number(wanted),
  minLength: (wanted, value) => typeof value !== 'string' || value.length >= Number(wanted),
  maxLength: (wanted, value) => typeof value !== 'string' || value.length <= Number(wanted),
  pattern: (wanted, value) => typeof value !== 'string' || new RegExp(String(wanted), 'u').test(value),
  minItems: (wanted, value) => !Array.isArray(value) || value.length >= Number(wanted),
  maxItems: (wanted, value) => !Array.isArray(value) || value.length <= Number(wanted),
  items: (wanted, value) => listOf(value).every((item) => isValid(wanted, item)),
  anyOf: (wanted, value) => listOf(wanted).some((one) => isValid(one, value)),
  oneOf: (wanted, value) => listOf(wanted).filter((one) => isValid(one, value)).length === 1,
  required: (wanted, value) => !isObject(value) || listOf(wanted).every((key) => Object.hasOwn(value, String(key))),
  properties: (wanted, value) =>
    !isObject(value) ||
    !isObject(wanted) ||
    Object.entries(wanted).every(([key, one]) => !Object.hasOwn(value, key) || isValid(one, value[key])),
  propertyNames: (wanted, value) => !isObject(value) || Object.keys(value).every((key) => isValid(wanted, key)),
  additionalProperties: (wanted, value, { properties }) =>
    !isObject(value) ||
    Object.entries(value).every(
      ([key, one]) => (isObject(properties) && Object.hasOwn(properties, key)) || isValid(wanted, one),
    ),
}

function isValid(schema: unknown, value: unknown): boolean {
  if (typeof schema === 'boolean') return schema
  if (!isObject(schema)) throw new Error(`no schema: ${JSON.stringify(schema)}`)
  return Object.entries(schema).every(([keyword, wanted]) => {
    const judge = KEYWORDS[keyword]
    if (judge === undefined) throw new Error(`the keyword ${keyword} is not known here`)
    return judge(wanted, value, schema)
  })
}

/** Which schema a file of a folder has; undefined = none. */
function schemaOf(path: string): SchemaFile | undefined {
  const file = basename(path, '.yaml')
  if (!path.endsWith('.yaml')) return undefined
  if (file === 'defaults' || file === 'sites' || file === 'services' || file === 'drills' || file === 'meridian')
    return file
  if (/(^|\/)services\/[^/]+$/.test(path)) return 'services'
  return file.includes('.') ? 'zone' : undefined
}

/** As an editor judges; of settings, as what reads them does: it knows their bounds, JSON Schema has them in words. */
function isAccepted(name: SchemaFile, value: unknown): boolean {
  const byJson = isValid(jsonSchema(name), value)
  if (name !== 'meridian') return byJson
  const isSound = SETTINGS_SCHEMA.safeParse(value).success
  if (isSound) expect(byJson).toBe(true)
  return isSound
}

/** The files of a folder that their schemas refuse. */
function refused(folder: string): readonly string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files.filter((file) => {
    const name = schemaOf(file)
    if (name === undefined) return false
    const text = readFileSync(join(folder, file), 'utf8')
    if (text.includes('!include')) return false // what an include stands for only the loader knows
    const value = load(text) ?? {}
    return !isAccepted(name, value)
  })
}

const folders = join(repository, 'test/zones')
const codes = readdirSync(folders).filter((code) => code !== 'ten')

test.each([...codes.map((code) => `test/zones/${code}/good`), 'zones', 'docker/zones'])(
  '%s is as the schemas say',
  (folder) => {
    expect(refused(join(repository, folder))).toEqual([])
  },
)

test.each([
  ['key-unknown', 'services.yaml'],
  ['key-missing', 'sites.yaml'],
  ['value-kind', 'services.yaml'],
  ['value-invalid', 'services.yaml'],
  ['rule-empty', 'services.yaml'],
  ['site-without-vips', 'services.yaml'],
  ['soa-in-zone', 'example.com.yaml'],
  ['setting-unknown', 'meridian.yaml'],
  ['setting-invalid', 'meridian.yaml'],
])('the fault of %s is seen in an editor', (code, file) => {
  expect(refused(join(folders, code, 'bad'))).toEqual([file])
})

test.each([
  ['zone', { www: { type: 'MX', value: { preference: 10, exchange: 'm.example.net.' } } }, true],
  ['zone', { www: { type: 'MX', value: { priority: 10, value: 'm.example.net.' } } }, true],
  ['zone', { www: { type: 'MX', value: 'm.example.net.' } }, false],
  ['zone', { www: { type: 'MX', value: { preference: 70_000, exchange: 'm.example.net.' } } }, false],
  ['zone', { www: { type: 'A', ttl: '5m', values: ['192.0.2.1'] } }, true],
  ['zone', { www: { type: 'A', ttl: 'soon', values: ['192.0.2.1'] } }, false],
  ['zone', { www: { type: 'A' } }, false],
  ['zone', { www: { type: 'TYPE65280', value: '\\# 4 0A000001' } }, true],
  ['zone', { www: { type: 'HINFO', value: { cpu: 'amd64', os: 'linux' } } }, true],
  ['zone', { www: { type: 'RP', value: { mbox: 'admin.example.net.' } } }, false],
  ['defaults', { ns: ['ns1.example.net.'], zones: { 'example.com': { soa: { minimum: 5 }, ttl: 60 } } }, true],
  ['defaults', { zones: { 'example.com': { soa: { serial: 5 } } } }, false],
  ['zone', { www: { type: 'GSLB', service: 'web', value: '192.0.2.1' } }, false],
  [
    'zone',
    {
      www: [
        { type: 'GSLB', service: 'web', types: ['A'] },
        { type: 'TXT', value: 1 },
      ],
    },
    true,
  ],
  ['defaults', { checks: { a: { type: 'https', verify: false, expect: { status: 200 } } } }, true],
  ['defaults', { checks: { a: { type: 'http', verify: false } } }, false],
  ['defaults', { checks: { a: { type: 'dns', name: 'a.example', expect: { status: 200 } } } }, false],
  ['defaults', { checks: { a: { type: 'exec' } } }, false],
  ['defaults', { checks: { a: { type: 'tcp' } } }, false],
  ['defaults', { checks: { a: { use: 'b' } } }, false],
  ['services', { web: { sites: { fra: { vips: ['192.0.2.1'] } }, check: { use: 'b', interval: '1s' } } }, true],
  ['services', { web: { sites: { fra: { vips: ['192.0.2.1'] } }, check: [{ use: 'b' }, { type: 'icmp' }] } }, true],
  ['services', { web: { sites: { fra: { vips: ['192.0.2.1'] } }, check: 'https' } }, false],
  ['meridian', { http: { listen: '127.0.0.1:80' }, 'http.token': 'sixteen-characters' }, true],
  ['meridian', { geo: { city: ['a.mmdb', 'b.mmdb'] }, probe: { exec: { login: ['/bin/true'] } } }, true],
  ['meridian', { threads: 'two' }, false],
] as const)('%s: %j', (name, value, valid) => {
  expect([isAccepted(name, value), isValid(jsonSchema(name), value)]).toEqual([valid, valid])
})

test('bounds of settings are those of what reads them', () => {
  expect(SETTINGS_SCHEMA.safeParse({ threads: 65 }).success).toBe(false)
  expect(SETTINGS_SCHEMA.safeParse({ threads: 64 }).success).toBe(true)
})

/** Every key of every mapping in a schema, with its schema. */
function* keysOf(schema: unknown): Generator<readonly [string, Json]> {
  if (Array.isArray(schema)) for (const one of schema) yield* keysOf(one)
  if (!isObject(schema)) return
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword !== 'properties' || !isObject(value)) yield* keysOf(value)
    else {
      for (const [key, one] of Object.entries(value)) {
        if (isObject(one)) yield [key, one]
        yield* keysOf(one)
      }
    }
  }
}

test.each(SCHEMA_FILES)('%s.json: of draft 2020-12, and every key tells what it is', (file) => {
  const schema = jsonSchema(file)
  expect(schema).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', title: expect.any(String) })
  const keys = [...keysOf(schema)]
  expect(keys.length).toBeGreaterThan(3)
  expect(keys.filter(([, { description }]) => typeof description !== 'string').map(([key]) => key)).toEqual([])
})

const propertiesOf = (schema: unknown): Json =>
  isObject(schema) && isObject(schema['properties']) ? schema['properties'] : {}

/** Of a mapping, or of what may also be a mapping. */
const groupOf = (schema: unknown): Json => {
  const forms = isObject(schema) && Array.isArray(schema['anyOf']) ? schema['anyOf'] : [schema]
  return propertiesOf(forms.at(-1))
}

test('meridian.json has every setting, by its dotted name and nested, in the words of its table', () => {
  const top = propertiesOf(jsonSchema('meridian'))
  for (const key of SETTING_KEYS) {
    const description = expect.stringContaining(SETTINGS[key].meaning)
    expect(top[key]).toMatchObject({ description })
    const [head = key, ...rest] = key.split('.')
    if (rest.length > 0) expect(groupOf(top[head])[rest.join('.')]).toMatchObject({ description })
  }
})

test('the command writes a file each, or prints them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-schema-'))
  const lines: string[] = []
  const output = { out: (line: string) => void lines.push(line), err: (line: string) => void lines.push(line) }
  try {
    const out = join(folder, 'schemas')
    expect(writeSchemas({ out }, output)).toBe(0)
    expect(readdirSync(out).toSorted()).toEqual(SCHEMA_FILES.map((file) => `${file}.json`).toSorted())
    expect(JSON.parse(readFileSync(join(out, 'sites.json'), 'utf8'))).toEqual(jsonSchema('sites'))
    expect(writeSchemas({ out: join(out, 'sites.json') }, output)).toBe(1)
    expect(writeSchemas({ file: 'sites' }, output)).toBe(0)
    expect(JSON.parse(lines[1]!)).toEqual(jsonSchema('sites'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the example names its schemas, where an editor finds them', () => {
  for (const file of readdirSync(join(repository, 'zones'))) {
    const [line] = readFileSync(join(repository, 'zones', file), 'utf8').split('\n')
    expect(line).toBe(`# yaml-language-server: $schema=../schemas/${schemaOf(file)}.json`)
  }
})
