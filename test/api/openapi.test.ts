/** The description of the API against the schema of OpenAPI 3.1, and what it says against what is taken. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { openApi } from '../../src/api/openapi.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { CASES } from './cases.ts'

interface Content {
  readonly content: Readonly<Record<string, { readonly schema: object }>>
}
interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly required: boolean; readonly schema: object }[]
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Partial<Content>>>
}
interface Description {
  readonly components: { readonly schemas: { readonly Problem: object } }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const text = JSON.stringify(openApi(ROUTES))
const description: Description = JSON.parse(text)

const validate = async (written: string) => {
  const validator = new Validator()
  const { valid } = await validator.validate(JSON.parse(written))
  return `${valid} ${validator.version}`
}

test('the description is one of OpenAPI 3.1', async () => {
  expect(await validate(text)).toBe('true 3.1')
  for (const [right, wrong] of [
    ['"in":"query"', '"in":"qery"'],
    ['"description":"Done"', '"what":"Done"'],
    ['"type":"http"', '"type":"htp"'],
  ] as const) {
    expect(text).toContain(right)
    expect(await validate(text.replace(right, wrong)), wrong).toBe('false 3.1')
  }
})

test('its schemas are of JSON Schema, and take what the routes take', () => {
  const ajv = new Ajv2020({ strict: false })
  expect(() => ajv.compile({ type: 'strin' })).toThrow('schema is invalid')
  let bodies = 0
  for (const [path, methods] of Object.entries(description.paths))
    for (const [method, { parameters = [], requestBody, responses }] of Object.entries(methods)) {
      const contents = Object.values(responses).flatMap(({ content = {} }) => Object.values(content))
      for (const { schema } of contents) if (!('$ref' in schema)) expect(() => ajv.compile(schema), path).not.toThrow()
      const takes = requestBody && ajv.compile(requestBody.content['application/json']!.schema)
      for (const { ask, body, status } of CASES[`${method.toUpperCase()} ${path}`]!) {
        if (status !== 200) continue
        if (takes !== undefined) expect(takes(body), `${path} ${JSON.stringify(body)}`).toBe(true)
        const given = new URLSearchParams(ask)
        for (const { name, required, schema } of parameters) {
          const values = given.getAll(name)
          const value = 'type' in schema && schema.type === 'array' ? values : values[0]
          if (value === undefined) expect(required, `${path} ${name}`).toBe(false)
          else expect(ajv.validate(schema, value), `${path} ${name}`).toBe(true)
        }
      }
      if (takes === undefined) continue
      bodies++
      for (const wrong of [7, null, 'x', {}, { who: 7 }, { unknown: 1 }]) expect(takes(wrong), path).toBe(false)
    }
  expect(bodies).toBeGreaterThan(3)
  expect(ajv.validate(description.components.schemas.Problem, { type: 'x' })).toBe(false)
})
