/** Every route of the API's description, called with what is right and what is wrong; who may call it, and who not. */
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Guard, makeApp } from '../../src/api/app.ts'
import type { Refused } from '../../src/api/contract.ts'
import { openApi } from '../../src/api/openapi.ts'
import { PROBLEM_BODY } from '../../src/api/problem-details.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { SCOPES } from '../../src/config.ts'
import { bearer, EACH_SCOPE, guardOf } from '../support/guard.ts'
import { type Case, CASES } from './cases.ts'
import { forgetAll, heard, MEMBERS, node, prober } from './double.ts'

interface Operation {
  readonly operationId: string
  readonly description: string
  readonly security: readonly Readonly<Record<'token', readonly string[]>>[]
  readonly responses: Readonly<Record<string, object>>
}
interface Description {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const description: Description = JSON.parse(JSON.stringify(openApi(ROUTES)))
const OPERATIONS = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    method: method.toUpperCase(),
    path,
    scopes: operation.security.map(({ token: [scope] }) => scope!),
    operation,
  })),
)

const JSON_TYPE = { 'content-type': 'application/json' }
interface More {
  readonly guard?: Guard
  readonly headers?: Readonly<Record<string, string>>
}
async function call(method: string, path: string, { ask = '', body }: Omit<Case, 'status'>, more: More = {}) {
  const { guard = 'open', headers = {} } = more
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const init = { method, headers: { ...(body !== undefined && JSON_TYPE), ...headers }, ...sent }
  return makeApp(node, guard).request(ask === '' ? path : `${path}?${ask}`, init)
}
const problemOf = async (response: Response) => {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const problem = PROBLEM_BODY.parse(await response.json())
  expect(problem.status).toBe(response.status)
  return problem.type
}

beforeEach(forgetAll)

test('the description has every route, and there is a case for each', () => {
  expect(OPERATIONS.map(({ name }) => name).toSorted()).toEqual(Object.keys(CASES).toSorted())
  expect(OPERATIONS).toHaveLength(ROUTES.length)
  expect(new Set(OPERATIONS.map(({ operation }) => operation.operationId)).size).toBe(OPERATIONS.length)
  for (const { path, scopes } of OPERATIONS) expect(scopes.length > 0, path).toBe(path.startsWith('/api/'))
})

/** On the control socket alone: over TCP it is refused to who may call. */
const LOCAL = ['POST /api/announce']

describe.each(OPERATIONS)('$name', ({ name, method, path, scopes, operation }) => {
  const cases = CASES[name]!
  const [right] = cases
  const isLocal = LOCAL.includes(name)

  test.each(cases)('%j', async ({ status, ...asked }) => {
    const response = await call(method, path, asked)
    expect(response.status).toBe(status)
    expect(Object.keys(operation.responses)).toContain(String(status))
    if (status >= 400) await problemOf(response)
  })

  test('a wrong host and a foreign page are refused, whoever calls', async () => {
    const isProbe = ['/live', '/ready', '/announce'].includes(path)
    const refusals: Refused[] = []
    const guard = guardOf(EACH_SCOPE, { refusals })
    const ask = (headers: Readonly<Record<string, string>>) =>
      call(method, path, right, {
        guard,
        headers: { authorization: bearer('all'), host: '192.0.2.1:8053', ...headers },
      })
    const stranger = await ask({ host: 'evil.example:8053' })
    expect(stranger.status).toBe(isProbe ? 200 : 421)
    for (const origin of ['http://evil.example', 'http://192.0.2.1', 'http://192.0.2.1:8054', 'null', 'x'])
      expect(await problemOf(await ask({ origin })), origin).toBe('/problems/origin-foreign')
    expect((await ask({ origin: 'http://192.0.2.1:8053' })).status).toBe(isLocal ? 409 : 200)
    expect(refusals.toSorted()).toEqual([...(isProbe ? [] : ['host']), ...Array.from({ length: 5 }, () => 'origin')])
    expect(heard.bodies.length).toBeLessThanOrEqual(1)
  })

  test('it needs a token with its scope', async () => {
    const refusals: Refused[] = []
    const guard = guardOf(EACH_SCOPE, { refusals })
    const statusOf = async (authorization?: string, by: Guard = guard) => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
      const response = await call(method, path, right, { guard: by, headers })
      return response.ok ? 200 : `${response.status} ${await problemOf(response)}`
    }
    if (scopes.length === 0) {
      expect([await statusOf(), await statusOf('Bearer x'), await statusOf(undefined, guardOf())]).toEqual([
        200, 200, 200,
      ])
      return
    }
    expect(await statusOf(undefined, guardOf())).toBe('404 /problems/no-tokens')
    expect(await statusOf(bearer('all'), guardOf())).toBe('404 /problems/no-tokens')
    expect(await statusOf()).toBe('401 /problems/token-missing')
    expect(await statusOf('Basic a2ltOmtpbQ==')).toBe('401 /problems/token-missing')
    expect(await statusOf(bearer('nobody'))).toBe('401 /problems/token-unknown')
    expect(await statusOf(`${bearer('all')}x`)).toBe('401 /problems/token-unknown')
    expect(await statusOf(bearer('none'))).toBe('403 /problems/scope-missing')
    expect(heard.bodies).toEqual([])
    const allowed = isLocal ? '409 /problems/refused' : 200
    const may: string[] = []
    for (const scope of SCOPES) {
      const status = await statusOf(bearer(scope))
      if (status === allowed) may.push(scope)
      else expect(status).toBe('403 /problems/scope-missing')
    }
    expect(may).toHaveLength(1) // for this very request
    expect(scopes).toContain(may[0])
    expect(await statusOf(bearer('all'))).toBe(allowed)
    if (isLocal) expect(heard.bodies).toEqual([])
    expect(refusals.filter((refused) => refused === 'token')).toHaveLength(2)
    expect(refusals.filter((refused) => refused === 'scope')).toHaveLength(SCOPES.length)
  })

  test('another method is refused with those that there are', async () => {
    const response = await call('PUT', path, {})
    expect(await problemOf(response)).toBe('/problems/wrong-method')
    const all = OPERATIONS.filter((other) => other.path === path).map((other) => other.method)
    expect(response.headers.get('allow')).toBe(all.map((one) => (one === 'GET' ? 'GET, HEAD' : one)).join(', '))
  })

  test('whatever is sent is no bug', async () => {
    const app = makeApp(node, 'open')
    const noBug = async (input: RequestInit, query = ''): Promise<boolean> => {
      const response = await app.request(`${path}${query}`, { method, ...input })
      if (response.status >= 400) await problemOf(response)
      return response.status < 500
    }
    if (method === 'GET') {
      const words = fc.array(
        fc.tuple(
          fc.constantFrom('name', 'client', 'type', 'hurt', 'site', 'limit', '__proto__'),
          fc.string({ unit: 'binary' }),
        ),
      )
      const query = words.map((pairs) => `?${new URLSearchParams(pairs).toString()}`)
      await fc.assert(
        fc.asyncProperty(query, (text) => noBug({}, text)),
        { numRuns: 100 },
      )
      return
    }
    const headers = JSON_TYPE
    const valid = Object.entries(right.body!)
    // a body that is nearly right: some keys gone, some with other values, some that there are not
    const near = fc
      .tuple(
        fc.subarray(valid),
        fc.dictionary(fc.constantFrom(...valid.map(([key]) => key), 'x', '__proto__', 'for'), fc.jsonValue()),
      )
      .map(([kept, other]) => JSON.stringify({ ...Object.fromEntries(kept), ...other }))
    const bytes = fc.uint8Array({ maxLength: 200 })
    const body = fc.oneof(near, fc.json(), fc.string(), bytes)
    await fc.assert(
      fc.asyncProperty(body, (sent) => noBug({ body: sent, headers })),
      { numRuns: 300 },
    )
  })
})

test('a prober has the routes of a process, and says of the others that it is one', async () => {
  for (const { name, method, path } of OPERATIONS) {
    const [{ ask = '', body }] = CASES[name]!
    const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: JSON_TYPE }
    const response = await makeApp(prober, 'open').request(`${path}?${ask}`, { method, ...sent })
    const { of } = ROUTES.find((route) => route.path === path && route.method === method)!
    if (of === 'process') expect(response.status, name).toBe(200)
    else expect(await problemOf(response), name).toBe('/problems/no-queries')
  }
})

test('a caller can’t pretend to have another token', async () => {
  const guard = guardOf({ ops: ['drain'], board: ['read'] })
  const body = CASES['POST /api/overrides']![0].body!
  const drain = (more: object, by: Guard = guard) =>
    call(
      'POST',
      '/api/overrides',
      { body: { ...body, ...more } },
      { guard: by, headers: { authorization: bearer('ops') } },
    )
  expect((await drain({ who: 'alice' })).status).toBe(200)
  expect((await drain({ who: 'x'.repeat(100) })).status).toBe(200)
  expect((await drain({}, 'open')).status).toBe(200)
  expect(heard.bodies.map(({ who }) => who)).toEqual(['alice (token ops)', `${'x'.repeat(100)} (token ops)`, 'kim@ops'])
  heard.bodies = []
  const list = [body, { ...body, pattern: 'lon', who: 'bob' }]
  const by = { guard, headers: { authorization: bearer('ops') } }
  expect((await call('POST', '/api/overrides', { body: list }, by)).status).toBe(200)
  expect(heard.bodies.map(({ who }) => who)).toEqual(['kim@ops (token ops)', 'bob (token ops)'])
  heard.bodies = []
  for (const who of ['alice (token board)', 'alice ( Token board)', 'alice (token'])
    for (const door of [guard, 'open'] as const) expect((await drain({ who }, door)).status, who).toBe(400)
  expect(heard.bodies).toEqual([])
})

test('to drain is not to force: each needs its own scope', async () => {
  const guard = guardOf(EACH_SCOPE)
  const body = CASES['POST /api/overrides']![0].body!
  const statusOf = async (scope: string, action: string) => {
    const more = action === 'undrain' || action === 'off' ? { action, why: '' } : { action }
    const asked = { body: { ...body, ...more } }
    return (await call('POST', '/api/overrides', asked, { guard, headers: { authorization: bearer(scope) } })).status
  }
  for (const action of ['drain', 'undrain'])
    expect([await statusOf('drain', action), await statusOf('force', action)]).toEqual([200, 403])
  const list = { body: [body, { ...body, action: 'up' }] }
  const more = { guard: guardOf({ ...EACH_SCOPE, both: ['drain', 'force'] }) }
  for (const [token, status] of [
    ['drain', 403],
    ['force', 403],
    ['both', 200],
  ] as const)
    expect(
      (await call('POST', '/api/overrides', list, { ...more, headers: { authorization: bearer(token) } })).status,
    ).toBe(status)
  for (const action of ['up', 'down', 'off'])
    expect([await statusOf('drain', action), await statusOf('force', action)]).toEqual([403, 200])
})

test('a list comes in pages, each item once and in order, whatever comes and goes meanwhile', async () => {
  const seen: string[] = []
  const there = [...MEMBERS]
  const app = makeApp({ ...node, members: () => there }, 'open')
  let cursor = ''
  for (let pages = 1; ; pages++) {
    const response = await app.request(`/api/members?limit=60${cursor}`)
    const { members, next }: { members: { member: string }[]; next: string | null } = JSON.parse(await response.text())
    seen.push(...members.map(({ member }) => member))
    if (next === null) {
      expect(pages).toBe(5)
      break
    }
    expect(members).toHaveLength(60)
    cursor = `&cursor=${next}`
    const gone = members[0]!.member
    there.splice(
      there.findIndex(({ member }) => member === gone),
      1,
    )
  }
  expect(seen).toHaveLength(250)
  expect(seen).toEqual([...new Set(seen)].toSorted())
})

test('the description is the same until the program is another, and says so', async () => {
  const ask = (tag?: string) =>
    call('GET', '/api/openapi.json', {}, tag === undefined ? {} : { headers: { 'if-none-match': tag } })
  const first = await ask()
  const etag = first.headers.get('etag')!
  expect(etag).toMatch(/^"[\w-]{27}"$/)
  expect(await first.json()).toEqual(description)
  for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const response = await ask(tag)
    expect([response.status, await response.text(), response.headers.get('etag')]).toEqual([304, '', etag])
  }
  for (const tag of ['"other"', etag.slice(1)]) expect((await ask(tag)).status).toBe(200)
  expect((await call('GET', '/api/status', {})).headers.get('cache-control')).toBe('no-store')
})
