/** The protocol of external-dns's webhook providers, as its documentation has it: media type, routes, bodies, codes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeExposed, makeWebhook } from '../../src/api/external-dns.ts'
import { Provider } from '../../src/external-dns/provider.ts'
import { DEFAULTS, NS, writeZones } from '../support/folder.ts'

const MEDIA_TYPE = 'application/external.dns.webhook+json;version=1'
const troubles: string[] = []

async function webhook() {
  const folder = writeZones({ ...DEFAULTS, 'example.com.yaml': NS, 'sites.yaml': 'fra: {location: [50, 8]}\n' })
  const provider = await Provider.open({ folder, cluster: 'fra', domains: [], onWarn: () => {} })
  const app = makeWebhook(provider, (message) => troubles.push(message))
  const ask = async (
    path: string,
    init?: { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: string },
  ) => app.request(path, init)
  return {
    app,
    provider,
    get: (path: string, accept = MEDIA_TYPE) => ask(path, { headers: { accept } }),
    post: (path: string, body: unknown, type = MEDIA_TYPE) =>
      ask(path, {
        method: 'POST',
        headers: { 'content-type': type, accept: MEDIA_TYPE },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
  }
}

const endpoint = {
  dnsName: 'app.example.com',
  targets: ['192.0.2.1'],
  recordType: 'A',
  recordTTL: 60,
  labels: { owner: 'fra', resource: 'ingress/default/app' },
  providerSpecific: [{ name: 'webhook/site', value: 'fra' }],
}
const { labels: _, ...unlabelled } = endpoint

test('external-dns negotiates, puts, reads back, updates and deletes', async () => {
  const { get, post } = await webhook()
  const hello = await get('/')
  expect([hello.status, hello.headers.get('content-type')]).toEqual([200, MEDIA_TYPE])
  expect(await hello.json()).toEqual({ include: ['example.com'] })
  const none = await get('/records')
  expect([none.status, none.headers.get('content-type')]).toEqual([200, MEDIA_TYPE])
  expect(await none.json()).toEqual([])
  const created = await post('/records', { create: [endpoint], updateOld: null, updateNew: null, delete: null })
  expect([created.status, await created.text()]).toEqual([204, ''])
  expect(await (await get('/records')).json()).toEqual([unlabelled])
  const newer = { ...endpoint, targets: ['192.0.2.2', '192.0.2.3'] }
  // older versions of external-dns write capital letters
  expect((await post('/records', { UpdateOld: [endpoint], UpdateNew: [newer] })).status).toBe(204)
  expect(await (await get('/records')).json()).toEqual([{ ...unlabelled, targets: newer.targets }])
  expect((await post('/records', { delete: [newer] })).status).toBe(204)
  expect((await post('/records', { delete: [newer] })).status).toBe(204) // an answer was lost, and it asks again
  expect(await (await get('/records')).json()).toEqual([])
})

test('endpoints are adjusted: those that cannot be served are left out', async () => {
  const { post } = await webhook()
  const response = await post('/adjustendpoints', [endpoint, { ...endpoint, dnsName: 'app.example.net' }])
  expect([response.status, response.headers.get('content-type')]).toEqual([200, MEDIA_TYPE])
  expect(await response.json()).toEqual([endpoint]) // with its labels, of which external-dns makes TXT records
  expect(await (await post('/adjustendpoints', 'null')).json()).toEqual([])
})

test('what the zones refuse is a 500 with the problems, after which external-dns tries again', async () => {
  const { get, post } = await webhook()
  troubles.length = 0
  const response = await post('/records', {
    create: [endpoint, { ...endpoint, dnsName: 'b.example.com', targets: ['x'] }],
  })
  expect(response.status).toBe(500)
  expect(await response.text()).toMatch(/^nothing is changed:\nb\.example\.com A: .*“x”/)
  expect(troubles).toHaveLength(1)
  expect(await (await get('/records')).json()).toEqual([])
})

test.each([
  ['/records', '{', 400],
  ['/records', [], 400],
  ['/records', { create: [{ dnsName: 'a.example.com' }] }, 400],
  ['/records', { create: [{ ...endpoint, recordTTL: -1 }] }, 400],
  ['/records', { create: [{ ...endpoint, targets: [1] }] }, 400],
  ['/adjustendpoints', { create: [] }, 400],
  ['/nosuch', [], 404],
] as const)('a body that is none is refused: %s %j', async (path, body, status) => {
  const { post, provider } = await webhook()
  expect((await post(path, body)).status).toBe(status)
  expect(await provider.records()).toEqual([])
})

test('what a web page sends is refused, from whatever origin', async () => {
  const { app, provider } = await webhook()
  const headers = { 'content-type': MEDIA_TYPE, origin: 'http://rebound.example:8888' }
  const sent = await app.request('/records', { method: 'POST', headers, body: JSON.stringify({ create: [endpoint] }) })
  expect([sent.status, await provider.records()]).toEqual([403, []])
})

test('another version, and a type that web pages can send, are refused', async () => {
  const { get, post, provider } = await webhook()
  expect((await get('/', 'application/external.dns.webhook+json;version=2')).status).toBe(406)
  expect((await get('/records', 'text/html')).status).toBe(406)
  expect((await get('/records', '*/*')).status).toBe(200)
  for (const type of ['application/json', 'text/plain', 'application/external.dns.webhook+json;version=2'])
    expect((await post('/records', { create: [endpoint] }, type)).status).toBe(415)
  expect(await provider.records()).toEqual([])
})

test('health and metrics', async () => {
  const { post, provider } = await webhook()
  await post('/records', { create: [endpoint] })
  await post('/records', { create: [{ ...endpoint, dnsName: 'app.example.net' }] })
  await post('/adjustendpoints', [{ ...endpoint, dnsName: 'app.example.net' }])
  const app = makeExposed(provider)
  expect((await app.request('/healthz')).status).toBe(200)
  const text = await (await app.request('/metrics')).text()
  for (const line of ['endpoints 1', 'changes_total 1', 'refused_total 1', 'left_out_total 1'])
    expect(text).toContain(`\nmeridian_external_dns_${line}\n`)
  expect((await app.request('/records')).status).toBe(404)
  const told = [...text.matchAll(/^# HELP (\S+) /gm)].map(([, name]) => name)
  const docs = readFileSync(join(import.meta.dirname, '../../docs/kubernetes.md'), 'utf8')
  expect([...docs.matchAll(/^\| `(meridian_external_dns_\w+)` \|/gm)].map(([, name]) => name)).toEqual(told)
})
