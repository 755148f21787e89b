/**
 * The page: the files of dashboard/ as vite built them, read once at the start and served as they are. Nothing in them is
 * secret: what they show is asked of the API, with the token. Called by app.ts.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { Context, Env, Hono } from 'hono'
import { codeOf } from '../problem.ts'
import { PACKAGE } from '../version.ts'
import { problemDetails } from './problem-details.ts'

/** Where the files are built. */
const FOLDER = new URL('dashboard/dist/', PACKAGE)

interface PageFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/** The browser runs and loads nothing but these files, sends nothing elsewhere, and shows the page in no other. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const SAFETY = {
  'content-security-policy': POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Adds the page to an app. */
export function servePage<E extends Env>(app: Hono<E>, folder: URL = FOLDER): void {
  const files = filesIn(folder)
  const send = (context: Context<E>, name: string): Response | Promise<Response> => {
    const file = files.get(name)
    if (file === undefined) {
      if (files.size > 0) return context.notFound()
      return problemDetails('no-route', 'the page is not built', 'In a clone: npm run page. Installed packages have it')
    }
    for (const [header, value] of Object.entries(file.headers)) context.header(header, value)
    if (context.req.header('if-none-match') === file.headers['etag']) return context.body(null, 304)
    return context.body(file.bytes)
  }
  app.get('/', (context) => send(context, 'index.html'))
  app.get('/assets/:file', (context) => send(context, `assets/${context.req.param('file')}`))
}

/** Read once for the process: it has a page on each of its doors. */
const read = new Map<string, ReadonlyMap<string, PageFile>>()

function filesIn(folder: URL): ReadonlyMap<string, PageFile> {
  const files = read.get(folder.href) ?? readFiles(folder)
  read.set(folder.href, files)
  return files
}

/** By path below the folder; empty: the page is not built. */
function readFiles(folder: URL): ReadonlyMap<string, PageFile> {
  const names = [...namesIn(folder, ''), ...namesIn(folder, 'assets/')]
  return new Map(
    names.map((name) => {
      const bytes = new Uint8Array(readFileSync(new URL(name, folder)))
      const headers = {
        ...SAFETY,
        'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
        etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
        // names of assets have the hash of their content
        'cache-control': name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      }
      return [name, { bytes, headers }]
    }),
  )
}

function namesIn(folder: URL, below: string): string[] {
  try {
    const entries = readdirSync(new URL(below, folder), { withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map(({ name }) => below + name)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}
