import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { type Guard, makeApp } from '../../src/api/app.ts'
import type { AcceptBody, ForgetBody, OverrideBody } from '../../src/api/bodies.ts'
import { type Node, type Question, ROUTES, type ProcessView } from '../../src/api/contract.ts'

const TOKEN = 'a token of this test'.replaceAll(' ', '-')
const CLOSED: Guard = { names: new Set(['fra1', 'gslb.example']) }
const OPEN_TO_TOKEN: Guard = { ...CLOSED, token: TOKEN }
let reasons: string[] = []
let asked: Question[] = []
let ordered: (OverrideBody | ForgetBody | AcceptBody)[] = []

const shown: ProcessView = {
  readiness: () => ({ ready: reasons.length === 0, reasons, warnings: [] }),
  metrics: async () => 'meridian_ready 1\n',
  status: async () => ({ node: { name: 'n1' } }),
  summary: async () => ({}),
}

const node: Node = {
  ...shown,
  explain: (question) => {
    asked.push(question)
    return question.client === 'nobody' ? '“nobody” is no IP address' : { scope: 24 }
  },
  outlook: (patterns, to) =>
    patterns.includes('far') ? 'nothing is named far' : { safe: true, ...(to > 0 && { patterns, to }) },
  override: async (order) => {
    ordered.push(order)
    return order.pattern === 'fra'
      ? { members: ['fra/web/192.0.2.1'] }
      : { refused: `nothing is named ${order.pattern}`, hint: 'Did you mean fra?' }
  },
  overrideAll: async (orders) => {
    ordered.push(...orders)
    return orders.some(({ pattern }) => pattern === 'far') ? { refused: 'nothing is named far' } : { overrides: [] }
  },
  forget: async (forgetting) => {
    ordered.push(forgetting)
    return forgetting.name === 'p1' ? { forgotten: 'p1' } : { refused: 'p2 is live' }
  },
  acceptGeo: async (acceptance) => {
    ordered.push(acceptance)
    return acceptance.build === 'other' ? { refused: 'another build waits' } : { accepted: {} }
  },
  acceptZones: async (acceptance) => {
    ordered.push(acceptance)
    return { accepted: {} }
  },
}

const get = (guard: Guard, path: string, authorization?: string): Promise<Response> =>
  Promise.resolve(
    makeApp(node, guard).request(path, authorization === undefined ? undefined : { headers: { authorization } }),
  )

const post = (guard: Guard, path: string, body: string, headers: Record<string, string> = {}): Promise<Response> => {
  const sent = { 'content-type': 'application/json', ...headers }
  return Promise.resolve(makeApp(node, guard).request(path, { method: 'POST', body, headers: sent }))
}

const asProber = (path: string, guard: Guard = 'open'): Promise<Response> =>
  Promise.resolve(makeApp(shown, guard).request(path))

const DRAIN = { pattern: 'fra', action: 'drain', who: 'kim@ops', why: 'disk swap' }
const drain = (more: object = {}): Promise<Response> =>
  post('open', '/api/overrides', JSON.stringify({ ...DRAIN, ...more }))

const sendAll = (more: readonly object[]): Promise<Response> =>
  post('open', '/api/overrides', JSON.stringify(more.map((one) => ({ ...DRAIN, ...one }))))

beforeEach(() => {
  reasons = []
  asked = []
  ordered = []
})

test('ready says why not', async () => {
  expect((await get(CLOSED, '/ready')).status).toBe(200)
  reasons = ['no zones are loaded yet']
  const response = await get(CLOSED, '/ready')
  expect(response.status).toBe(503)
  expect(await response.json()).toEqual({ ready: false, reasons, warnings: [] })
  expect((await get(CLOSED, '/live')).status).toBe(200)
})

test('whoever asks while metrics or status are made gets the same: a crowd makes them once', async () => {
  const made = { metrics: 0, status: 0 }
  const app = makeApp(
    { ...shown, metrics: async () => `${++made.metrics}\n`, status: async () => ({ made: ++made.status }) },
    'open',
  )
  const ask = async (i: number): Promise<Response> => app.request(i % 2 === 0 ? '/metrics' : '/api/status')
  const crowd = Array.from({ length: 100 }, (_, i) => ask(i))
  for (const response of await Promise.all(crowd)) expect(response.status).toBe(200)
  expect(made).toEqual({ metrics: 1, status: 1 })
  expect(await (await app.request('/metrics')).text()).toBe('2\n')
})

test('a filter of the status is passed on as it is written, and what is wrong with it is told', async () => {
  const filters: unknown[] = []
  const filtering: ProcessView = {
    ...shown,
    status: async (filter) => {
      filters.push(filter)
      return filter?.sites.includes('nowhere') === true ? 'there is no site “nowhere”' : {}
    },
  }
  const app = makeApp(filtering, 'open')
  const code = async (query: string): Promise<number> => (await app.request(`/api/status${query}`)).status
  expect(await code('?service=web&service=api&site=fra&hurt=yes')).toBe(200)
  expect(await code('?site=nowhere')).toBe(400)
  expect(await code('?hurt=no')).toBe(200)
  expect(await code('?hurt=perhaps')).toBe(400)
  expect(filters).toEqual([
    { services: ['web', 'api'], sites: ['fra'], hurt: true },
    { services: [], sites: ['nowhere'], hurt: false },
    undefined,
  ])
})

test('metrics are Prometheus text', async () => {
  const response = await get(CLOSED, '/metrics')
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  expect(await response.text()).toBe('meridian_ready 1\n')
})

test.each(ROUTES.filter(({ api }) => api))('$method $path is guarded', async ({ method, path }) => {
  const bodies: Readonly<Record<string, object>> = {
    '/api/forget': { prober: 'p1', who: 'kim@ops' },
    '/api/geo/accept': { who: 'kim@ops' },
    '/api/zones/accept': { who: 'kim@ops' },
  }
  const body = JSON.stringify(bodies[path] ?? DRAIN)
  const call = (guard: Guard, authorization?: string): Promise<Response> =>
    method === 'GET'
      ? get(guard, `${path}?name=www.example.com&client=192.0.2.1&pattern=fra`, authorization)
      : post(guard, path, body, authorization === undefined ? {} : { authorization })
  expect((await call(CLOSED)).status).toBe(404)
  expect((await call(OPEN_TO_TOKEN)).status).toBe(401)
  expect((await call(OPEN_TO_TOKEN, `Bearer ${TOKEN}x`)).status).toBe(401)
  expect((await call(OPEN_TO_TOKEN, TOKEN)).status).toBe(401)
  expect(ordered).toEqual([])
  expect((await call('open')).status).toBe(200)
  expect((await call(OPEN_TO_TOKEN, `Bearer ${TOKEN}`)).status).toBe(200)
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
])('/metrics asked by the name %s: %s', async (host, status) => {
  const headers: Record<string, string> = host === undefined ? {} : { host }
  const ask = (guard: Guard, path: string) => Promise.resolve(makeApp(node, guard).request(path, { headers }))
  const response = await ask(CLOSED, '/metrics')
  expect(response.status).toBe(status)
  if (status === 421) expect(await response.text()).toContain('list the name in http.hosts')
  for (const path of ['/live', '/ready']) expect((await ask(CLOSED, path)).status).toBe(200)
  expect((await ask('open', '/metrics')).status).toBe(200)
})

test('explain passes the question on, and what is wrong with it back', async () => {
  const plain = '/api/explain?name=www.example.com&client=192.0.2.1'
  expect((await get('open', '/api/explain?name=www.example.com')).status).toBe(400)
  await get('open', `${plain}&type=AAAA&down=fra&down=iad&drain=sin&drain=lhr/web&resolver=192.0.2.53&ecs=no`)
  await get('open', plain)
  expect((await get('open', `${plain}&ecs=maybe`)).status).toBe(400)
  const question = { name: 'www.example.com', client: '192.0.2.1' }
  const drained = { drain: ['sin', 'lhr/web'], resolver: '192.0.2.53', ecs: false }
  expect(asked).toEqual([
    { ...question, type: 'AAAA', down: ['fra', 'iad'], ...drained },
    { ...question, type: 'A', down: [], drain: [], ecs: true },
  ])
  const early = await Promise.resolve(makeApp({ ...node, explain: () => undefined }, 'open').request(plain))
  expect(early.status).toBe(503)
  expect(await early.json()).toMatchObject({ error: 'no zones are loaded yet' })
  const response = await get('open', '/api/explain?name=www.example.com&client=nobody')
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual({ error: '“nobody” is no IP address' })
})

test('an order reaches the node as it was meant', async () => {
  expect(await (await drain()).json()).toEqual({ members: ['fra/web/192.0.2.1'] })
  await drain({ action: 'up', for: '2h', yes: true })
  await drain({ action: 'off', why: undefined })
  await drain({ for: null })
  const base = { pattern: 'fra', who: 'kim@ops', why: 'disk swap', forMs: undefined, yes: false }
  expect(ordered).toEqual([
    { ...base, action: 'drain' },
    { ...base, action: 'up', forMs: 7_200_000, yes: true },
    { ...base, action: 'off', why: '' },
    { ...base, action: 'drain' },
  ])
})

const accept = (body: object): Promise<Response> => post('open', '/api/geo/accept', JSON.stringify(body))

test('an acceptance names who, and the build where it must be that one', async () => {
  expect((await accept({ who: 'kim@ops' })).status).toBe(200)
  expect((await accept({ who: 'kim@ops', build: 'other' })).status).toBe(409)
  expect((await accept({})).status).toBe(400)
  expect((await accept({ who: 'kim@ops', yes: true })).status).toBe(400)
  expect(ordered).toEqual([
    { who: 'kim@ops', build: undefined },
    { who: 'kim@ops', build: 'other' },
  ])
})

const forget = (body: object) => post('open', '/api/forget', JSON.stringify(body))

test('whom to forget is one prober or one node', async () => {
  for (const body of [{ who: 'kim' }, { prober: 'p1', node: 'n1', who: 'kim' }]) {
    const response = await forget(body)
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({ error: 'must name one of prober and node' })
  }
  await forget({ node: 'n1', who: 'kim' })
  expect(ordered).toEqual([{ kind: 'node', name: 'n1', who: 'kim' }])
})

test('what is refused says why, and what to do instead', async () => {
  const response = await drain({ pattern: 'far' })
  expect(response.status).toBe(409)
  expect(await response.json()).toEqual({ error: 'nothing is named far', hint: 'Did you mean fra?' })
  const forgotten = await post('open', '/api/forget', JSON.stringify({ prober: 'p2', who: 'kim@ops' }))
  expect(forgotten.status).toBe(409)
  expect(await forgotten.json()).toEqual({ error: 'p2 is live' })
})

test.each([
  [{ why: '' }, /^why: must give a reason/],
  [{ why: ' ' }, /^why: must give a reason/],
  [{ why: 'x\u001b[2J' }, /^why: has control characters/],
  [{ why: 'x'.repeat(301) }, /^why: has more than 300/],
  [{ who: '' }, /^who: must not be empty/],
  [{ who: undefined }, /^who: /],
  [{ pattern: '' }, /^pattern: must not be empty/],
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
  expect(await response.json()).toEqual({ error: expect.stringMatching(error) })
  expect(ordered).toEqual([])
})

test('a share and the time to it are read; a list is one order, and wrong when one of it is', async () => {
  await drain({ to: '30%', over: '15m', for: '2h' })
  await drain({ action: 'undrain', why: '', over: '10m' })
  expect(ordered).toMatchObject([
    { action: 'drain', to: 300, overMs: 900_000, forMs: 7_200_000 },
    { action: 'undrain', to: undefined, overMs: 600_000, forMs: undefined },
  ])
  ordered = []
  expect((await sendAll([{}, { pattern: 'lon', action: 'up' }])).status).toBe(200)
  expect(ordered).toMatchObject([
    { pattern: 'fra', action: 'drain' },
    { pattern: 'lon', action: 'up' },
  ])
  expect((await sendAll([{}, { pattern: 'far' }])).status).toBe(409)
  ordered = []
  const wrong: readonly (readonly [readonly object[], RegExp])[] = [
    [[{}, { to: '130%' }], /^1\.to: is not a percentage/],
    [[{ why: '' }, {}], /^0\.why: must give a reason/],
    [[], /has no override/],
    [Array.from({ length: 51 }, () => ({})), /more than 50 overrides/],
  ]
  for (const [orders, error] of wrong) {
    const response = await sendAll(orders)
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({ error: expect.stringMatching(error) })
  }
  expect(ordered).toEqual([])
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
  expect((await post('open', '/api/overrides', body, { 'content-type': 'text/plain' })).status).toBe(415)
  expect(
    (await post('open', '/api/overrides', body, { 'content-type': 'application/json; charset=utf-8' })).status,
  ).toBe(200)
  expect((await post('open', '/api/overrides', '{')).status).toBe(400)
  const long = { ...DRAIN, why: 'x'.repeat(4096) }
  expect((await post('open', '/api/forget', JSON.stringify(long))).status).toBe(413)
  expect((await post('open', '/api/overrides', JSON.stringify(Array.from({ length: 60 }, () => long)))).status).toBe(
    413,
  )
  expect((await get('open', '/api/overrides')).status).toBe(404)
  expect(ordered).toHaveLength(1)
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
  expect(await (await get('open', '/api/outlook?pattern=fra')).json()).toEqual({ safe: true })
  expect(await (await get('open', '/api/outlook?pattern=fra&pattern=lon&to=30%25')).json()).toEqual({
    safe: true,
    patterns: ['fra', 'lon'],
    to: 300,
  })
  expect((await get('open', '/api/outlook')).status).toBe(400)
  expect((await get('open', '/api/outlook?pattern=fra&to=most')).status).toBe(400)
  const response = await get('open', '/api/outlook?pattern=far')
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual({ error: 'nothing is named far' })
})

test('a prober says that it is one where it is taken for a node', async () => {
  expect((await asProber('/api/status')).status).toBe(200)
  const response = await asProber('/api/explain?name=www.example.com&client=192.0.2.1')
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({ error: expect.stringContaining('prober') })
  expect(await (await asProber('/api/explain', CLOSED)).json()).toMatchObject({ error: 'no such route' })
})

test('an unknown route names the known ones', async () => {
  const response = await get(CLOSED, '/metric')
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({ hint: expect.stringContaining('/metrics') })
})

const named = (routes: readonly { method: string; path: string }[]): string[] =>
  [...new Set(routes.map(({ method, path }) => `${method} ${path}`))].toSorted()

test('docs/api.md tells every route, and no other; the app has them all', async () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/api.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `(GET|POST) ([^`]+)` \| (yes|no) \| (.*?) \|$/gm)].map(([, ...cells]) => cells)
  expect(rows).toEqual(ROUTES.map(({ method, path, api, meaning }) => [method, path, api ? 'yes' : 'no', meaning]))
  const served = makeApp(node, 'open').routes.filter(({ method }) => method !== 'ALL')
  expect(named(served)).toEqual(named(ROUTES))
})
