/**
 * The description of the API as OpenAPI 3.1, made from the routes and the schemas that they validate with. Served at
 * /api/openapi.json; `npm run reference` makes the tables of docs/api.md from it.
 */
import { z } from 'zod'
import { VERSION } from '../version.ts'
import { PROBLEM_BODY, PROBLEM_MEDIA, PROBLEMS, type ProblemType } from './problem-details.ts'
import type { Route } from './route.ts'

type Schema = z.core.JSONSchema.BaseSchema

/** What every route may answer, and those that need a token. */
const GUARD: readonly ProblemType[] = ['origin-foreign', 'host-foreign', 'bug', 'overloaded']
const TOKEN_GUARD: readonly ProblemType[] = ['token-missing', 'token-unknown', 'scope-missing', 'no-tokens']

const DESCRIPTION =
  'Control and state of a node or prober of Meridian. On the control socket every route is open to whoever may open it; ' +
  'over TCP (`http.listen`) the routes under /api need a bearer token with a scope of the route. ' +
  'Errors have the form of RFC 9457.'

/** The description of routes, as JSON. */
export function openApi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Meridian',
      version: VERSION,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token of http.tokens, or http.token' },
      },
      schemas: { Problem: schemaOf(PROBLEM_BODY, 'output') },
    },
  }
}

function operationOf(route: Route): object {
  const { method, path, scopes, meaning, query, body, response, statuses } = route
  const words = `${method.toLowerCase()} ${path}`.split(/[^a-z]+/)
  return {
    operationId: words.map((word, i) => (i === 0 ? word : word.slice(0, 1).toUpperCase() + word.slice(1))).join(''),
    description: meaning,
    // a list of alternatives: any one of the scopes
    security: scopes.map((scope) => ({ token: [scope] })),
    ...(query !== undefined && { parameters: parametersOf(schemaOf(query, 'input')) }),
    ...(body !== undefined && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
    }),
    responses: {
      ...Object.fromEntries(
        statuses.map((status) => [
          status,
          {
            description: status === 202 ? 'Done here, but not everywhere so far' : 'Done',
            content:
              typeof response === 'string'
                ? { [response]: { schema: { type: 'string' } } }
                : { 'application/json': { schema: schemaOf(response, 'input') } },
          },
        ]),
      ),
      ...(route.path === '/ready' && typeof response !== 'string'
        ? {
            503: { description: 'Not ready', content: { 'application/json': { schema: schemaOf(response, 'input') } } },
          }
        : {}),
      ...(route.isStable && { 304: { description: 'It is as it was: If-None-Match has its ETag' } }),
      ...problemsOf(route),
    },
  }
}

/** The errors of a route, by status. */
function problemsOf({ scopes, of, problems }: Route): object {
  const types = [
    ...(scopes.length > 0 ? TOKEN_GUARD : []),
    ...(of === 'node' ? ['no-queries' as const] : []),
    ...problems,
    ...GUARD,
  ]
  const byStatus = Map.groupBy(types, (type) => PROBLEMS[type][0])
  return Object.fromEntries(
    [...byStatus].map(([status, these]) => [
      status,
      {
        description: these.map((type) => `${PROBLEMS[type][1]} (\`${type}\`)`).join('; '),
        content: { [PROBLEM_MEDIA]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}

const parametersOf = ({ properties = {}, required = [] }: Schema): readonly object[] =>
  Object.entries(properties).map(([name, property]) => {
    const { description = '', ...schema } = typeof property === 'object' ? property : {}
    return { name, in: 'query', description, required: required.includes(name), schema }
  })

/** The JSON Schema of what is given to a zod schema (`input`), or of what it makes. */
function schemaOf(form: z.ZodType, io: 'input' | 'output'): Schema {
  const schema = z.toJSONSchema(form, { io })
  delete schema.$schema // that of OpenAPI 3.1 holds
  return schema
}
