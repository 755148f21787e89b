/** What the routes make of requests, and what they say; routes.test.ts calls each of them. */
import { beforeEach, expect, test } from 'vitest'
import { type Guard, makeApp } from '../../src/api/app.ts'
import type { ProcessView } from '../../src/api/contract.ts'
import { PROBLEMS, type ProblemType } from '../../src/api/problem-details.ts'
import { bearer, EACH_SCOPE, guardOf } from '../support/guard.ts'
import { forgetAll, heard, node, prober } from './double.ts'

const get = async (path: string, guard: Guard = 'open', headers: Record<string, string> = {}): Promise<Response> =>
  makeApp(node, guard).request(path, { headers })

const post = async (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> => {
  const sent = { 'content-type': 'application/json', ...headers }
  return makeApp(node, 'open').request(path, { method: 'POST', body, headers: sent })
}

/** The body of an error. */
const problem = (type: ProblemType, detail: unknown, hint?: unknown): object => {
  const [status, title] = PROBLEMS[type]
  return { type: `/problems/${type}`, title, status, detail, ...(hint !== undefined && { hint }) }
}

const DRAIN = { pattern: 'fra', action: 'drain', who: 'kim@ops', why: 'disk swap' }
const drain = (more: object = {}): Promise<Response> => post('/api/overrides', JSON.stringify({ ...DRAIN, ...more }))

beforeEach(forgetAll)

test('ready says why not', async () => {
  expect((await get('/ready')).status).toBe(200)
  heard.reasons = ['no zones are loaded yet']
  const response = await get('/ready')
  expect(response.status).toBe(503)
  expect(await response.json()).toEqual({ ready: false, reasons: ['no zones are loaded yet'], warnings: [] })
  expect((await get('/live')).status).toBe(200)
})

test('whoever asks while metrics or status are made gets the same: a crowd makes them once', async () => {
  const made = { metrics: 0, status: 0 }
  const app = makeApp(
    { ...prober, metrics: async () => `${++made.metrics}\n`, status: async () => ({ made: ++made.status }) },
    'open',
  )
  const ask = async (i: number): Promise<Response> => app.request(i % 2 === 0 ? '/metrics' : '/api/status')
  const crowd = Array.from({ length: 100 }, (_, i) => ask(i))
  for (const response of await Promise.all(crowd)) expect(response.status).toBe(200)
  expect(made).toEqual({ metrics: 1, status: 1 })
  expect(await (await app.request('/metrics')).text()).toBe('2\n')
})

test('a filter of the status is passed on as it is written, and what is wrong with it is told', async () => {
  for (const query of ['?service=web&service=api&site=fra&hurt=yes', '?site=nowhere', '?hurt=no'])
    await get(`/api/status${query}`)
  const typing = await get('/api/status?sevice=web&hurt=perhaps')
  expect(await typing.json()).toEqual(
    problem('malformed', 'hurt: is yes or no, not "perhaps"; Unrecognized key: "sevice"'),
  )
  expect(heard.filters).toEqual([
    { services: ['web', 'api'], sites: ['fra'], hurt: true },
    { services: [], sites: ['nowhere'], hurt: false },
    undefined,
  ])
})

test('metrics are Prometheus text', async () => {
  const response = await get('/metrics', guardOf())
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect(await response.text()).toBe('meridian_ready 1\n')
})

test.each([
  ['127.0.0.1:8053', 200],
  ['[::1]:8053', 200],
  ['localhost:8053', 200],
  ['FRA1', 200],
  ['gslb.example.:8053', 200],
  [undefined, 200], // no browser asks so
  ['evil.example', 421],
  ['evil.example:8053', 421],
  ['127.0.0.1.evil.example:8053', 421],
  ['', 200],
])('asked by the name %s: %s', async (host, status) => {
  const headers: Record<string, string> = host === undefined ? {} : { host }
  const guard = guardOf(EACH_SCOPE, { names: ['fra1', 'gslb.example'] })
  for (const path of ['/metrics', '/api/summary', '/nothing']) {
    const response = await get(path, guard, { authorization: bearer('all'), ...headers })
    expect(response.status).toBe(status === 200 && path === '/nothing' ? 404 : status)
    if (status !== 421) continue
    const hint = 'Use an IP address in the URL, or list the name in http.hosts'
    expect(await response.json()).toEqual(
      problem('host-foreign', `${JSON.stringify(host)} is not a name of this process`, hint),
    )
  }
  for (const path of ['/live', '/ready']) expect((await get(path, guard, headers)).status).toBe(200)
  expect((await get('/metrics', 'open', headers)).status).toBe(200)
})

test.each([
  ['http://127.0.0.1:8053', '127.0.0.1:8053', 200],
  ['https://gslb.example', 'gslb.example', 200], // behind a proxy that ends TLS
  ['https://gslb.example', 'gslb.example:443', 200],
  ['http://gslb.example', 'GSLB.example:80', 200],
  ['http://gslb.example:3000', 'gslb.example', 403],
  ['http://127.0.0.1', '127.0.0.1:8053', 403],
  ['http://evil.example', '127.0.0.1:8053', 403],
  ['http://127.0.0.1:8053.evil.example', '127.0.0.1:8053', 403],
  ['null', '127.0.0.1:8053', 403],
  ['', '127.0.0.1:8053', 403],
  ['file://', '', 403],
])('a page of origin %s asks %s: %s', async (origin, host, status) => {
  const guard = guardOf({}, { names: ['gslb.example'] })
  expect((await get('/metrics', guard, { origin, host })).status).toBe(status)
  expect((await get('/metrics', 'open', { origin, host })).status).toBe(200)
})

test('explain passes the question on, and what is wrong with it back', async () => {
  const plain = '/api/explain?name=www.example.com&client=192.0.2.1'
  expect(await (await get('/api/explain?type=A')).json()).toEqual(
    problem('malformed', 'name: is missing; client: is missing'),
  )
  await get(`${plain}&type=AAAA&down=fra&down=iad&drain=sin&drain=lhr/web&resolver=192.0.2.53&ecs=no`)
  await get(plain)
  expect((await get(`${plain}&ecs=maybe`)).status).toBe(400)
  const question = { name: 'www.example.com', client: '192.0.2.1' }
  const drained = { drain: ['sin', 'lhr/web'], resolver: '192.0.2.53', ecs: false }
  expect(heard.questions).toEqual([
    { ...question, type: 'AAAA', down: ['fra', 'iad'], ...drained },
    { ...question, type: 'A', down: [], drain: [], ecs: true },
  ])
  const early = await Promise.resolve(makeApp({ ...node, explain: () => undefined }, 'open').request(plain))
  expect(early.status).toBe(503)
  expect(await early.json()).toEqual(problem('no-zones', 'no zones are loaded yet', 'GET /ready'))
  const response = await get('/api/explain?name=www.example.com&client=nobody')
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual(problem('malformed', '“nobody” is no IP address'))
})

test('an override reaches the node as it was meant', async () => {
  expect(await (await drain()).json()).toEqual({ members: ['fra/web/192.0.2.1'] })
  await drain({ action: 'up', for: '2h', yes: true })
  await drain({ action: 'off', why: undefined })
  await drain({ for: null })
  const base = { pattern: 'fra', who: 'kim@ops', why: 'disk swap', forMs: undefined, yes: false }
  expect(heard.bodies).toEqual([
    { ...base, action: 'drain' },
    { ...base, action: 'up', forMs: 7_200_000, yes: true },
    { ...base, action: 'off', why: '' },
    { ...base, action: 'drain' },
  ])
})

test('an acceptance names who, and the build where it must be that one', async () => {
  await post('/api/geo/accept', JSON.stringify({ who: 'kim@ops' }))
  await post('/api/geo/accept', JSON.stringify({ who: 'kim@ops', build: 'other' }))
  expect(heard.bodies).toEqual([
    { who: 'kim@ops', build: undefined },
    { who: 'kim@ops', build: 'other' },
  ])
})

test('whom to forget is one prober or one node', async () => {
  for (const body of [{ who: 'kim' }, { prober: 'p1', node: 'n1', who: 'kim' }]) {
    const response = await post('/api/forget', JSON.stringify(body))
    expect(await response.json()).toEqual(problem('malformed', 'must name one of prober and node'))
  }
  await post('/api/forget', JSON.stringify({ node: 'n1', who: 'kim' }))
  expect(heard.bodies).toEqual([{ kind: 'node', name: 'n1', who: 'kim' }])
})

test('what is refused says why, and what to do instead', async () => {
  const response = await drain({ pattern: 'far' })
  expect(response.status).toBe(409)
  expect(await response.json()).toEqual(problem('refused', 'nothing is named far', 'Did you mean fra?'))
  const forgotten = await post('/api/forget', JSON.stringify({ prober: 'p2', who: 'kim@ops' }))
  expect(forgotten.status).toBe(409)
  expect(await forgotten.json()).toEqual(problem('refused', 'p2 is live'))
})

test.each([
  [{ why: '' }, /^why: must give a reason/],
  [{ why: ' ' }, /^why: must give a reason/],
  [{ why: 'x\u001b[2J' }, /^why: has control characters/],
  [{ why: 'x'.repeat(301) }, /^why: has more than 300/],
  [{ who: '' }, /^who: must not be empty/],
  [{ who: undefined }, /^who: is missing$/],
  [{ who: 'kim (token ops)' }, /^who: must not name a token: the node adds the one that is used$/],
  [{ pattern: '' }, /^pattern: must not be empty/],
  [{ pattern: 7 }, /^pattern: is not a text/],
  [{ action: 'kill' }, /^action: is not one of drain, undrain/],
  [{ for: 'soon' }, /^for: is not a duration/],
  [{ for: '0s' }, /^for: is not a duration/],
  [{ for: '9999d' }, /^for: is not a duration/],
  [{ for: '1h', action: 'undrain' }, /^for: undrain takes no duration/],
  [{ to: '100%' }, /^to: is not a percentage like 30%, below 100%/],
  [{ to: '30' }, /^to: is not a percentage/],
  [{ to: '30%', action: 'down' }, /^to: down takes no share/],
  [{ over: '0s' }, /^over: is not a duration/],
  [{ over: '15m', action: 'up' }, /^over: up takes effect at once/],
  [{ over: '15m', for: '10m' }, /^for: the drain would end before/],
  [{ yes: 'yes' }, /^yes: /],
  [{ fro: '2h' }, /fro/],
])('an override with %j is refused', async (more, error) => {
  const response = await drain(more)
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual(problem('malformed', expect.stringMatching(error)))
  expect(heard.bodies).toEqual([])
})

const sendAll = (more: readonly object[]): Promise<Response> =>
  post('/api/overrides', JSON.stringify(more.map((one) => ({ ...DRAIN, ...one }))))

test('a share and the time to it are read; a list is one order, and wrong when one of it is', async () => {
  await drain({ to: '30%', over: '15m', for: '2h' })
  await drain({ action: 'undrain', why: '', over: '10m' })
  expect(heard.bodies).toMatchObject([
    { action: 'drain', to: 300, overMs: 900_000, forMs: 7_200_000 },
    { action: 'undrain', to: undefined, overMs: 600_000, forMs: undefined },
  ])
  heard.bodies = []
  expect((await sendAll([{}, { pattern: 'lon', action: 'up' }])).status).toBe(200)
  expect(heard.bodies).toMatchObject([
    { pattern: 'fra', action: 'drain' },
    { pattern: 'lon', action: 'up' },
  ])
  expect((await sendAll([{}, { pattern: 'far' }])).status).toBe(409)
  heard.bodies = []
  const wrong: readonly (readonly [readonly object[], RegExp])[] = [
    [[{}, { to: '130%' }], /^1\.to: is not a percentage/],
    [[{ why: '' }, {}], /^0\.why: must give a reason/],
    [[], /^has no override$/],
    [Array.from({ length: 51 }, () => ({})), /^has more than 50 overrides$/],
  ]
  for (const [orders, error] of wrong) {
    const response = await sendAll(orders)
    expect(await response.json()).toEqual(problem('malformed', expect.stringMatching(error)))
  }
  expect(heard.bodies).toEqual([])
})

test('what is done, but not stored or acknowledged everywhere, is 202', async () => {
  const sent = { method: 'POST', body: JSON.stringify(DRAIN), headers: { 'content-type': 'application/json' } }
  const statusOf = async (more: object) => {
    const app = makeApp({ ...node, override: async () => ({ members: [], ...more }) }, 'open')
    return (await app.request('/api/overrides', sent)).status
  }
  const [lack, silent] = [
    { where: 'disk', why: 'ENOSPC' },
    { node: 'n2', why: 'silent for 4 min' },
  ]
  expect(await statusOf({ notKept: [], unreached: [] })).toBe(200)
  expect(await statusOf({ notKept: [lack], unreached: [] })).toBe(202)
  expect(await statusOf({ notKept: [], unreached: [silent] })).toBe(202)
})

test('a body is JSON, says so, and is short', async () => {
  const body = JSON.stringify(DRAIN)
  const plain = await post('/api/overrides', body, { 'content-type': 'text/plain' })
  expect(await plain.json()).toEqual(problem('not-json', 'the body must be JSON', 'content-type: application/json'))
  expect((await post('/api/overrides', body, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(200)
  for (const text of ['{', '', '\u0000']) {
    const response = await post('/api/overrides', text)
    expect(await response.json()).toEqual(problem('malformed', 'the body is not JSON'))
  }
  const large = { ...DRAIN, why: 'x'.repeat(4096) }
  const long = await post('/api/forget', JSON.stringify(large))
  expect(await long.json()).toMatchObject(problem('too-long', 'the body has more than 4096 bytes'))
  expect((await post('/api/overrides', JSON.stringify(Array.from({ length: 60 }, () => large)))).status).toBe(413)
  expect(heard.bodies).toHaveLength(1)
})

test('a body without a stated length is short too', async () => {
  let chunks = 0
  const long = new ReadableStream({
    pull: (controller) => (++chunks > 50 ? controller.close() : controller.enqueue(new Uint8Array(1000))),
  })
  const headers = { 'content-type': 'application/json' }
  const request: RequestInit = { method: 'POST', body: long, duplex: 'half', headers }
  const response = await makeApp(node, 'open').request('/api/forget', request)
  expect(response.status).toBe(413)
  expect(chunks).toBeLessThan(10)
})

test('outlook passes the pattern on, and what is wrong with it back', async () => {
  expect(await (await get('/api/outlook?pattern=fra')).json()).toEqual({ safe: true })
  expect(await (await get('/api/outlook?pattern=fra&pattern=lon&to=30%25')).json()).toEqual({
    safe: true,
    patterns: ['fra', 'lon'],
    to: 300,
  })
  expect(await (await get('/api/outlook?pattern=fra&to=most')).json()).toEqual(
    problem('malformed', 'to: is not a percentage like 30%, below 100%'),
  )
  expect(await (await get('/api/outlook')).json()).toEqual(problem('malformed', 'pattern: is missing'))
  expect(await (await get('/api/outlook?pattern=far')).json()).toEqual(problem('malformed', 'nothing is named far'))
})

test('an unknown route names the known ones', async () => {
  const response = await get('/metric', guardOf())
  expect(response.status).toBe(404)
  expect(await response.json()).toEqual(problem('no-route', 'no such route', expect.stringContaining('/metrics')))
})

test('a bug is an error that says so', async () => {
  const failing: ProcessView = { ...prober, summary: () => Promise.reject(new Error('a test')) }
  const response = await makeApp(failing, 'open').request('/api/summary')
  expect(response.status).toBe(500)
  expect(await response.json()).toEqual(problem('bug', 'a bug in this process: Error: a test'))
})

test('the board has an ETag; who has it may wait for the next one', async () => {
  const first = await get('/api/board')
  expect(first.headers.get('etag')).toBe('"2"')
  expect(await first.json()).toEqual({ atMs: 1, waits: false })
  const known = await get('/api/board', 'open', { 'if-none-match': '"1"' })
  expect([known.status, await known.text()]).toEqual([304, ''])
  const waited = await get('/api/board', 'open', { 'if-none-match': '"1"', prefer: 'respond-async, wait=8' })
  expect(await waited.json()).toEqual({ atMs: 1, waits: true })
})

test('a node has a page for who has no token, a prober has none', async () => {
  const page = await get('/', guardOf(EACH_SCOPE))
  expect(page.headers.get('content-type')).toMatch(/^(text\/html|application\/problem)/)
  const elsewhere = await makeApp(prober, 'open').request('/')
  expect(await elsewhere.json()).toMatchObject({ detail: 'no such route' })
})
