/**
 * `npm run reference`: writes the tables of docs/api.md anew, from the description of the API that a node serves at
 * /api/openapi.json. A test holds the page to it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { openApi } from '../src/api/openapi.ts'
import { PROBLEMS } from '../src/api/problem-details.ts'
import { ROUTES } from '../src/api/routes.ts'

/** The page. */
export const PAGE = resolve(import.meta.dirname, '../docs/api.md')

interface Form {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Form[]
  readonly items?: Form
  readonly default?: unknown
  readonly description?: string
  readonly properties?: Readonly<Record<string, Form>>
  readonly required?: readonly string[]
}
interface Operation {
  readonly description: string
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly {
    readonly name: string
    readonly description: string
    readonly required: boolean
    readonly schema: Form
  }[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Form } } }
}

/** A row of a table: a key, whether it is required, its form and meaning. */
type Key = readonly [name: string, isRequired: boolean, form: Form, meaning: string]

/** The page with its tables as the code has them. */
export function withReference(page: string): string {
  const { paths }: { paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> } = JSON.parse(
    JSON.stringify(openApi(ROUTES)),
  )
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  )
  const routes = operations.map(({ name, operation }) => [code(name), scopesOf(operation), operation.description])
  const keys = operations.flatMap(({ name, operation }) => {
    const rows = keysOf(operation).map(([key, isRequired, form, meaning]) => [
      code(key),
      isRequired ? 'required' : defaultOf(form),
      typeOf(form),
      meaning,
    ])
    return rows.length === 0 ? [] : [`### ${name}\n`, table(['key', 'default', 'form', 'meaning'], rows), '']
  })
  const errors = Object.entries(PROBLEMS).map(([type, [status, title]]) => [code(type), String(status), title])
  const blocks: Readonly<Record<string, string>> = {
    routes: table(['route', 'scope', 'meaning'], routes),
    keys: keys.join('\n').trimEnd(),
    errors: table(['type', 'status', 'title'], errors),
  }
  return page.replaceAll(
    /(<!-- (\w+): npm run reference -->\n)[^]*?(<!-- end -->)/g,
    (_, begin: string, name: string, end: string) => `${begin}\n${blocks[name]}\n\n${end}`,
  )
}

const code = (text: string): string => `\`${text}\``

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---|').join('')}`,
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n')

const scopesOf = ({ security }: Operation): string =>
  security.length === 0 ? '-' : security.map((one) => Object.values(one).flat().map(code).join()).join(' or ')

function keysOf({ parameters = [], requestBody }: Operation): readonly Key[] {
  const body = requestBody?.content['application/json'].schema
  const { properties = {}, required = [] } = body?.anyOf?.find((one) => one.properties !== undefined) ?? body ?? {}
  return [
    ...parameters.map(({ name, required: isRequired, schema, description }): Key => [
      name,
      isRequired,
      schema,
      description,
    ]),
    ...Object.entries(properties).map(([name, form]): Key => [
      name,
      required.includes(name),
      form,
      form.description ?? '',
    ]),
  ]
}

const defaultOf = (form: Form): string =>
  form.default === undefined || JSON.stringify(form.default) === '[]' || form.default === ''
    ? '-'
    : code(typeof form.default === 'string' ? form.default : JSON.stringify(form.default))

function typeOf(form: Form): string {
  if (form.enum !== undefined) return form.enum.map((value) => code(String(value))).join(', ')
  if (form.anyOf !== undefined) return [...new Set(form.anyOf.map(typeOf))].join(' or ')
  if (form.type === 'array') return form.items === undefined ? 'list' : `${typeOf(form.items)}, repeatable`
  return [form.type ?? 'any']
    .flat()
    .filter((type) => type !== 'null') // as if it were not there
    .map((type) => (type === 'string' ? 'text' : type))
    .join(' or ')
}

if (import.meta.main) writeFileSync(PAGE, withReference(readFileSync(PAGE, 'utf8')))
