import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { type Guard, makeApp, type Node, type Question, ROUTES } from '../../src/http/app.ts'

const TOKEN = 'a token of this test'.replaceAll(' ', '-')
let reasons: string[] = []
let asked: Question[] = []

const node: Node = {
  readiness: () => ({ ready: reasons.length === 0, reasons }),
  metrics: async () => 'meridian_ready 1\n',
  status: () => ({ node: { name: 'n1' } }),
  explain: (question) => {
    asked.push(question)
    return question.client === 'nobody' ? '“nobody” is no IP address' : { scope: 24 }
  },
}

const get = (guard: Guard, path: string, authorization?: string): Promise<Response> =>
  Promise.resolve(
    makeApp(node, guard).request(path, authorization === undefined ? undefined : { headers: { authorization } }),
  )

beforeEach(() => {
  reasons = []
  asked = []
})

test('ready says why not', async () => {
  expect((await get('closed', '/ready')).status).toBe(200)
  reasons = ['no World is loaded yet']
  const response = await get('closed', '/ready')
  expect(response.status).toBe(503)
  expect(await response.json()).toEqual({ ready: false, reasons })
  expect((await get('closed', '/live')).status).toBe(200)
})

test('metrics are Prometheus text', async () => {
  const response = await get('closed', '/metrics')
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  expect(await response.text()).toBe('meridian_ready 1\n')
})

test.each(ROUTES.filter(({ api }) => api).map(({ path }) => path))('%s is guarded', async (path) => {
  const url = `${path}?name=www.example.com&client=192.0.2.1`
  expect((await get('closed', url)).status).toBe(404)
  expect((await get('open', url)).status).toBe(200)
  expect((await get({ token: TOKEN }, url)).status).toBe(401)
  expect((await get({ token: TOKEN }, url, `Bearer ${TOKEN}x`)).status).toBe(401)
  expect((await get({ token: TOKEN }, url, TOKEN)).status).toBe(401)
  expect((await get({ token: TOKEN }, url, `Bearer ${TOKEN}`)).status).toBe(200)
})

test('explain passes the question on, and what is wrong with it back', async () => {
  expect((await get('open', '/api/explain?name=www.example.com')).status).toBe(400)
  await get('open', '/api/explain?name=www.example.com&client=192.0.2.1&type=AAAA&down=fra&down=iad')
  await get('open', '/api/explain?name=www.example.com&client=192.0.2.1')
  expect(asked).toEqual([
    { name: 'www.example.com', client: '192.0.2.1', type: 'AAAA', down: ['fra', 'iad'] },
    { name: 'www.example.com', client: '192.0.2.1', type: 'A', down: [] },
  ])
  const response = await get('open', '/api/explain?name=www.example.com&client=nobody')
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual({ error: '“nobody” is no IP address' })
})

test('an unknown route names the known ones', async () => {
  const response = await get('closed', '/metric')
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({ hint: expect.stringContaining('/metrics') })
})

test('docs/api.md tells every route, and no other; the app has them all', async () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/api.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (yes|no) \| (.*?) \|$/gm)].map(([, ...cells]) => cells)
  expect(rows).toEqual(ROUTES.map(({ path, api, meaning }) => [path, api ? 'yes' : 'no', meaning]))
  const served = makeApp(node, 'open').routes.filter(({ method }) => method === 'GET')
  expect(served.map(({ path }) => path).toSorted()).toEqual(ROUTES.map(({ path }) => path).toSorted())
})
