/**
 * Serves the routes of routes.ts: a function from request to response, without a socket of its own. It is the guard before
 * all of them. Made by Doors in two forms: open on the control socket, which only its owner and `control.group` can open;
 * and on TCP, where a request must name this process, may come from no page of another origin, and needs a token with a
 * scope of the route.
 *
 *   request ─ host ─ origin ─ route ─ token ─ scope ─ body ─▶ Route.answer() ─▶ response, ETag
 *               421     403     404     401     403   413, 415
 */
import { hash } from 'node:crypto'
import { isIP } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { Node, ProcessView, Refused } from './contract.ts'
import { servePage } from './page.ts'
import { problemDetails } from './problem-details.ts'
import { type Asked, type Caller, CONTROL, type Route, scopeMissing } from './route.ts'
import { ROUTES } from './routes.ts'

/** Who may call: `open` on the control socket, which its file mode guards; else a TcpGuard. */
export type Guard = 'open' | TcpGuard

/** What a caller over TCP needs. */
export interface TcpGuard {
  /** Host names of this process besides IP addresses and `localhost`, in lower case. */
  readonly names: ReadonlySet<string>
  /** Whether there is any token; without one the routes under /api don't exist. */
  readonly hasTokens: () => boolean
  /** Whose bearer token it is; undefined: it is unknown. */
  readonly callerOf: (secret: string) => Caller | undefined
  /** Called when the guard refuses a request. `client`: its address; undefined where it is not known. */
  readonly onRefused?: (refused: Refused, client: string | undefined) => void
}

/** The app, whose environment is Node's request where it came over a socket. */
export type App = Hono<{ Bindings: Partial<HttpBindings> }>
type Call = Context<{ Bindings: Partial<HttpBindings> }>

/** Makes the app of a process. `shown`: a prober has the routes of ProcessView only. */
export function makeApp(shown: ProcessView | Node, guard: Guard): App {
  const app: App = new Hono()
  app.use(async (context, next) => (guard === 'open' ? undefined : strangerFault(context, guard)) ?? next())
  for (const route of ROUTES)
    app.on(route.method, route.path, async (context) => {
      const caller = callerOf(context, guard, route)
      if (caller instanceof Response) return caller
      const body = route.body === undefined ? undefined : await bodyOf(context, route)
      if (body instanceof Response) return body
      const response = await route.answer(shown, { caller, query: queryOf(context), body, request: context.req.raw })
      if (response.status === 403 && guard !== 'open') guard.onRefused?.('scope', clientOf(context))
      return finished(context, route, response)
    })
  if ('explain' in shown) servePage(app)
  // a bug: report it to the caller, because nobody else may see it
  app.onError((error) => problemDetails('bug', `a bug in this process: ${String(error)}`))
  app.notFound(({ req }) => {
    const methods = ROUTES.filter(({ path }) => path === req.path).map(({ method }) => method)
    if (methods.length === 0)
      return problemDetails('no-route', 'no such route', ROUTES.map(({ path }) => path).join(' '))
    const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ')
    return problemDetails('wrong-method', `${req.path} has no ${req.method.slice(0, 20)}`, `It has ${allow}`, { allow })
  })
  return app
}

/** Why a request over TCP is refused whatever it asks: it names another host, or a page of another origin sent it. */
function strangerFault(context: Call, guard: TcpGuard): Response | undefined {
  const host = context.req.header('host') ?? ''
  const origin = context.req.header('origin')
  if (!isOwnName(host, guard.names) && !PROBES.includes(context.req.path)) {
    guard.onRefused?.('host', clientOf(context))
    const hint = 'Use an IP address in the URL, or list the name in http.hosts'
    return problemDetails('host-foreign', `${quoted(host)} is not a name of this process`, hint)
  }
  if (origin !== undefined && !isOwnOrigin(origin, host)) {
    guard.onRefused?.('origin', clientOf(context))
    const hint = `Only pages of this process may call it: their origin is that of the URL, ${quoted(host)}`
    return problemDetails('origin-foreign', `a web page of ${quoted(origin)} sent the request`, hint)
  }
  return undefined
}

/** An orchestrator that asks by another name must not take the process out; a page learns nothing else there. */
const PROBES = ['/live', '/ready', '/announce']

/**
 * Whether a Host header (RFC 9110 §7.2) names this process. By DNS rebinding a web page can make a browser send a
 * request to any address and read the response, but only with the page's own host name: never with an address, another
 * name, or none.
 */
function isOwnName(host: string, names: ReadonlySet<string>): boolean {
  const name = host.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase()
  return name === '' || name === 'localhost' || names.has(name) || isIP(name.replaceAll(/[[\]]/g, '')) !== 0
}

/** Whether an Origin header (RFC 6454 §7) is that of the URL which was asked. */
function isOwnOrigin(origin: string, host: string): boolean {
  const from = URL.parse(origin)
  return from !== null && from.host !== '' && from.host === URL.parse(`${from.protocol}//${host}`)?.host
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 256))

const clientOf = ({ env }: Call): string | undefined => env?.incoming?.socket.remoteAddress

/** Who calls a route; a Response: they may not. */
function callerOf(context: Call, guard: Guard, route: Route): Caller | Response {
  if (guard === 'open') return CONTROL
  if (route.scopes.length === 0) return { scopes: [] }
  if (!guard.hasTokens())
    return problemDetails(
      'no-tokens',
      'the API is on the control socket only',
      'Set http.tokens; meridian token makes one',
    )
  const secret = /^Bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1]
  if (secret === undefined)
    return problemDetails('token-missing', `${route.path} needs a token`, 'Authorization: Bearer …', CHALLENGE)
  const caller = guard.callerOf(secret)
  if (caller === undefined) {
    guard.onRefused?.('token', clientOf(context))
    const hint = 'Is it whole, and in the file of http.tokens of this process?'
    return problemDetails('token-unknown', 'the token is unknown', hint, {
      'www-authenticate': 'Bearer error="invalid_token"',
    })
  }
  if (route.scopes.some((scope) => caller.scopes.includes(scope))) return caller
  guard.onRefused?.('scope', clientOf(context))
  return scopeMissing(caller, route.scopes, 'or')
}

const CHALLENGE = { 'www-authenticate': 'Bearer' }

/** The keys of the query; a key that is repeated has a list. */
const queryOf = ({ req }: Call): Asked['query'] =>
  Object.fromEntries(
    Object.entries(req.queries()).map(([key, values]) => [key, values.length === 1 ? values[0]! : values]),
  )

/**
 * The JSON of a body; a Response: what is wrong with it. The content type is required because web pages of other origins
 * can't send it.
 */
async function bodyOf(context: Call, { path, bodyBytes }: Route): Promise<unknown> {
  if (!/^application\/json\s*(;|$)/i.test(context.req.header('content-type') ?? ''))
    return problemDetails('not-json', 'the body must be JSON', 'content-type: application/json')
  const tooLong = (): Response =>
    problemDetails('too-long', `the body has more than ${bodyBytes} bytes`, `${path} needs no more`)
  let body: unknown
  const over = await bodyLimit({ maxSize: bodyBytes, onError: tooLong })(context, async () => {
    body = await context.req.json().catch(() => undefined)
  })
  return over ?? body ?? problemDetails('malformed', 'the body is not JSON')
}

/** A response with what browsers and caches may do with it. */
async function finished({ req }: Call, { isStable }: Route, response: Response): Promise<Response> {
  const { headers, status } = response
  headers.set('x-content-type-options', 'nosniff')
  headers.set('cross-origin-resource-policy', 'same-origin')
  if (!isStable || status !== 200) {
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
    return response
  }
  const body = new Uint8Array(await response.arrayBuffer())
  const etag = `"${hash('sha256', body, 'base64url').slice(0, 27)}"`
  headers.set('etag', etag)
  headers.set('cache-control', 'private, no-cache')
  // RFC 9110 §13.1.2: a list of tags, compared without regard to W/
  const known = (req.header('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  const isKnown = known.includes(etag) || known.includes('*')
  return isKnown ? new Response(null, { status: 304, headers }) : new Response(body, { headers })
}
