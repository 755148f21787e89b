/**
 * The HTTP routes of a running node or prober: a function from request to response, without a socket of its own. Made
 * by Doors in two forms: all routes on the control socket, which only its owner and `control.group` can open; and on TCP,
 * where the routes under /api need `http.token` and don't exist without it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import { type Context, type Handler, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import {
  BODY_BYTES,
  ORDER_BYTES,
  type OverrideBody,
  readAcceptBody,
  readForgetBody,
  readOverrideBody,
  readShare,
} from './bodies.ts'
import { type Node, type Refusal, ROUTES, type ProcessView, type StatusFilter } from './contract.ts'

type Path<M> = Extract<(typeof ROUTES)[number], { method: M }>['path']

/** Who may call: `open` on the control socket, which its file mode guards; else a TcpGuard. */
export type Guard = 'open' | TcpGuard

/** What a caller over TCP needs. */
export interface TcpGuard {
  /** Host names for /metrics besides IP addresses and `localhost`, in lower case. */
  readonly names: ReadonlySet<string>
  /** The bearer token of the routes under /api; undefined: these routes don't exist. */
  readonly token?: string
}

/** Makes the routes of a process. `shown`: a prober has those of ProcessView only. */
export function makeApp(shown: ProcessView | Node, guard: Guard): Hono {
  const app = new Hono()
  const get = (path: Path<'GET'>, handle: Handler) => app.get(path, handle)

  app.use('/metrics', async (context, next) => {
    const host = context.req.header('host') ?? ''
    if (guard === 'open' || isOwnName(host, guard.names)) return next()
    const hint = 'Use an IP address in the URL, or list the name in http.hosts'
    return context.json({ error: `${JSON.stringify(host.slice(0, 256))} is not a name of this process`, hint }, 421)
  })
  app.use('/api/*', async (context, next) => {
    if (guard === 'open') return next()
    if (guard.token === undefined) return context.notFound()
    if (!sameSecret(context.req.header('authorization') ?? '', `Bearer ${guard.token}`)) {
      context.header('www-authenticate', 'Bearer')
      return context.json({ error: 'this route needs the token of http.token', hint: 'Authorization: Bearer …' }, 401)
    }
    return next()
  })

  get('/live', (context) => context.text('live\n'))
  get('/ready', (context) => {
    const readiness = shown.readiness()
    return context.json(readiness, readiness.ready ? 200 : 503)
  })
  const metrics = shareRunning(() => shown.metrics())
  get('/metrics', async (context) =>
    context.body(await metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
  const status = shareRunning(() => shown.status())
  get('/api/status', async (context) => {
    const filter = filterOf(context)
    if (typeof filter === 'string') return context.json({ error: filter }, 400)
    const seen = await (filter === undefined ? status() : shown.status(filter))
    return typeof seen === 'string' ? context.json({ error: seen }, 400) : context.json(seen)
  })
  const summary = shareRunning(() => shown.summary())
  get('/api/summary', async (context) => context.json(await summary()))
  if ('explain' in shown) serveNode(app, shown)
  // a bug: report it to the caller, because nobody else may see it
  app.onError((error, context) => context.json({ error: `a bug in this node: ${String(error)}` }, 500))
  app.notFound((context) => {
    const known = ROUTES.some(({ path }) => path === context.req.path)
    if (!('explain' in shown) && known && (guard === 'open' || guard.token !== undefined)) {
      return context.json(
        { error: 'this process is a prober, which answers no queries', hint: 'Ask a node: meridian serve' },
        404,
      )
    }
    return context.json({ error: 'no such route', hint: ROUTES.map(({ path }) => path).join(' ') }, 404)
  })
  return app
}

/** Which members are asked for; undefined: all. A string says what is wrong. */
function filterOf({ req }: Context): StatusFilter | string | undefined {
  const { hurt = 'no' } = req.query()
  if (hurt !== 'yes' && hurt !== 'no') return `hurt is yes or no, not “${hurt}”`
  const filter = {
    services: req.queries('service') ?? [],
    sites: req.queries('site') ?? [],
    hurt: hurt === 'yes',
  }
  return filter.hurt || filter.services.length + filter.sites.length > 0 ? filter : undefined
}

/** Lets callers share a result that is being made: a crowd costs no more than one caller. */
function shareRunning<T>(make: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => (running ??= make().finally(() => (running = undefined)))
}

/** Adds the routes that only a node has. */
function serveNode(app: Hono, node: Node): void {
  const get = (path: Path<'GET'>, handle: Handler) => app.get(path, handle)
  get('/api/explain', (context) => {
    const { name, client, type = 'A', resolver, ecs = 'yes' } = context.req.query()
    if (name === undefined || client === undefined) {
      return context.json(
        { error: 'explain needs name and client', hint: '?name=www.example.com&client=192.0.2.1' },
        400,
      )
    }
    if (ecs !== 'yes' && ecs !== 'no') return context.json({ error: `ecs is yes or no, not “${ecs}”` }, 400)
    const explained = node.explain({
      name,
      client,
      type,
      down: context.req.queries('down') ?? [],
      drain: context.req.queries('drain') ?? [],
      ...(resolver !== undefined && { resolver }),
      ecs: ecs === 'yes',
    })
    if (explained === undefined) return context.json({ error: 'no zones are loaded yet', hint: 'GET /ready' }, 503)
    return typeof explained === 'string' ? context.json({ error: explained }, 400) : context.json(explained)
  })
  get('/api/outlook', (context) => {
    const patterns = context.req.queries('pattern') ?? []
    if (patterns.length === 0) return context.json({ error: 'outlook needs pattern', hint: '?pattern=fra/web' }, 400)
    const to = readShare(context.req.query('to') ?? '0%')
    if (to === undefined) return context.json({ error: 'to: is not a percentage like 30%, below 100%' }, 400)
    const outlook = node.outlook(patterns, to)
    return typeof outlook === 'string' ? context.json({ error: outlook }, 400) : context.json(outlook)
  })
  const order = (body: OverrideBody | readonly OverrideBody[]) =>
    isList(body) ? node.overrideAll(body) : node.override(body)
  post(app, '/api/overrides', readOverrideBody, order, ORDER_BYTES)
  post(app, '/api/forget', readForgetBody, (body) => node.forget(body))
  post(app, '/api/geo/accept', readAcceptBody, (body) => node.acceptGeo(body))
  post(app, '/api/zones/accept', readAcceptBody, (body) => node.acceptZones(body))
}

/**
 * Whether a Host header (RFC 9110 §7.2) names this process. By DNS rebinding a web page can make a browser send a
 * request to any address and read the response, but only with the page's own host name: never with an address, another
 * name, or none.
 */
function isOwnName(host: string, names: ReadonlySet<string>): boolean {
  const name = host.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase()
  return name === '' || name === 'localhost' || names.has(name) || isIP(name.replaceAll(/[[\]]/g, '')) !== 0
}

/** Array.isArray() for lists that are readonly. */
const isList = <T>(value: T | readonly T[]): value is readonly T[] => Array.isArray(value)

/**
 * Adds a POST route with a JSON body. 409: understood and refused. 202: done, but not (yet) everywhere. The content
 * type is required because web pages of other origins can't send it.
 */
function post<T extends object>(
  app: Hono,
  path: Path<'POST'>,
  read: (body: unknown) => T | string,
  apply: (body: T) => Promise<object | Refusal>,
  mostBytes = BODY_BYTES,
): void {
  const onError = (context: Context): Response =>
    context.json({ error: `the body has more than ${mostBytes} bytes` }, 413)
  app.post(path, bodyLimit({ maxSize: mostBytes, onError }), async (context) => {
    if (!/^application\/json\s*(;|$)/i.test(context.req.header('content-type') ?? '')) {
      return context.json({ error: 'the body must be JSON', hint: 'content-type: application/json' }, 415)
    }
    const json: unknown = await context.req.json().catch(() => undefined)
    const body = json === undefined ? 'the body is not JSON' : read(json)
    if (typeof body === 'string') return context.json({ error: body }, 400)
    const done = await apply(body)
    if (!('refused' in done)) return context.json(done, isWhole(done) ? 200 : 202)
    return context.json({ error: done.refused, ...(done.hint !== undefined && { hint: done.hint }) }, 409)
  })
}

/** Whether a result is stored and acknowledged everywhere: neither `notKept` nor `unreached` lists anything. */
const isWhole = (done: object): boolean =>
  ['notKept', 'unreached'].every((key) => {
    const lacks: unknown = Reflect.get(done, key)
    return !Array.isArray(lacks) || lacks.length === 0
  })

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Compares two secrets in constant time. Both are hashed first, so that not even their lengths leak. */
const sameSecret = (given: string, expected: string): boolean => timingSafeEqual(digest(given), digest(expected))
