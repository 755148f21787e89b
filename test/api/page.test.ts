/** The files of the page as a node serves them: what browsers may do with them, and what is not there. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Hono } from 'hono'
import { afterAll, expect, test } from 'vitest'
import { servePage } from '../../src/api/page.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-page-'))
afterAll(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'assets'))
writeFileSync(join(folder, 'index.html'), '<!doctype html>')
writeFileSync(join(folder, 'assets/main-1a2b.js'), 'void 0')
writeFileSync(join(folder, '../secret.txt'), 'secret')
afterAll(() => rmSync(join(folder, '../secret.txt')))

const app = new Hono()
servePage(app, pathToFileURL(`${folder}/`))
const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  app.request(path, { headers })

test('the document is asked for anew each time, and not sent again', async () => {
  const response = await get('/')
  expect(response.status).toBe(200)
  expect(await response.text()).toBe('<!doctype html>')
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(response.headers.get('cache-control')).toBe('no-cache')
  const again = await get('/', { 'if-none-match': response.headers.get('etag')! })
  expect(again.status).toBe(304)
  expect(await again.text()).toBe('')
})

test('browsers run and load nothing else, send nothing elsewhere, and frame it nowhere', async () => {
  for (const path of ['/', '/assets/main-1a2b.js']) {
    const { headers } = await get(path)
    const policy = headers.get('content-security-policy')!
    for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
      expect(policy.split('; ')).toContain(rule)
    expect(policy).not.toMatch(/unsafe|https?:|data:|\*/)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  }
})

test('assets have a hash in their names, and are kept', async () => {
  const response = await get('/assets/main-1a2b.js')
  expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
  expect(response.headers.get('cache-control')).toContain('immutable')
})

test.each([
  '/assets/none.js',
  '/assets/..%2f..%2fsecret.txt',
  '/assets/%2e%2e/%2e%2e/secret.txt',
  '/assets/../../secret.txt',
])('%s is not there', async (path) => {
  const response = await get(path)
  expect(response.status).toBe(404)
  expect(await response.text()).not.toContain('secret')
})

test('a page that is not built says so, and how it is', async () => {
  const bare = new Hono()
  servePage(bare, pathToFileURL(join(folder, 'nowhere/')))
  const response = await bare.request('/')
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({
    detail: 'the page is not built',
    hint: expect.stringContaining('npm run page'),
  })
})
