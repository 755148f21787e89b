/**
 * The HTTP side of a running node as one pure function Request → Response, in two forms: the whole of it on the control
 * socket (whose file mode is the guard), and on TCP, where the API needs the token and is absent without one.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { type Handler, Hono } from 'hono'

export interface Readiness {
  readonly ready: boolean
  /** Why not; empty when ready. */
  readonly reasons: readonly string[]
}

export interface Question {
  readonly name: string
  readonly client: string
  readonly type: string
  /** Sites to take for down. */
  readonly down: readonly string[]
}

/** What HTTP shows of a running node; cli/serve.ts is it. Plain JSON values. */
export interface Node {
  readiness(): Readiness
  metrics(): Promise<string>
  status(): object
  /** A string says what is wrong with the question. */
  explain(question: Question): object | string
}

/** Every route there is: docs/api.md is held to this table by a test. `api`: control socket, or TCP with the token. */
export const ROUTES = [
  { path: '/live', api: false, meaning: '200 while the process runs its event loop.' },
  { path: '/ready', api: false, meaning: '200 when the node may be sent queries, else 503 with the reasons.' },
  { path: '/metrics', api: false, meaning: 'Prometheus text format.' },
  { path: '/api/status', api: true, meaning: 'Sites, services, members, votes, loads, as this node sees them.' },
  {
    path: '/api/explain',
    api: true,
    meaning: 'Why a client gets its answer. Query: `name`, `client`, `type` (A), `down` (a site; may be repeated).',
  },
] as const

type Path = (typeof ROUTES)[number]['path']

/** `guard`: `open` (control socket), `closed` (no API at all), or the token that a caller must show. */
export type Guard = 'open' | 'closed' | { readonly token: string }

export function makeApp(node: Node, guard: Guard): Hono {
  const app = new Hono()
  const get = (path: Path, handle: Handler) => app.get(path, handle)

  app.use('/api/*', async (context, next) => {
    if (guard === 'closed') return context.notFound()
    if (guard !== 'open' && !sameSecret(context.req.header('authorization') ?? '', `Bearer ${guard.token}`)) {
      context.header('www-authenticate', 'Bearer')
      return context.json({ error: 'this needs the token of http.token', hint: 'Authorization: Bearer …' }, 401)
    }
    return next()
  })

  get('/live', (context) => context.text('live\n'))
  get('/ready', (context) => {
    const readiness = node.readiness()
    return context.json(readiness, readiness.ready ? 200 : 503)
  })
  get('/metrics', async (context) =>
    context.body(await node.metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
  get('/api/status', (context) => context.json(node.status()))
  get('/api/explain', (context) => {
    const { name, client, type = 'A' } = context.req.query()
    if (name === undefined || client === undefined) {
      return context.json(
        { error: 'explain needs name and client', hint: '?name=www.example.com&client=192.0.2.1' },
        400,
      )
    }
    const explained = node.explain({ name, client, type, down: context.req.queries('down') ?? [] })
    return typeof explained === 'string' ? context.json({ error: explained }, 400) : context.json(explained)
  })
  // a bug: told to the caller too, who may be the only one who looks
  app.onError((error, context) => context.json({ error: `a bug in this node: ${String(error)}` }, 500))
  app.notFound((context) =>
    context.json({ error: 'no such route', hint: ROUTES.map(({ path }) => path).join(' ') }, 404),
  )
  return app
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Time tells nothing of either: both are hashed first, so lengths are equal. */
const sameSecret = (given: string, expected: string): boolean => timingSafeEqual(digest(given), digest(expected))
