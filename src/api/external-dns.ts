/**
 * The HTTP of external-dns's webhook providers, version 1: the protocol itself, for loopback, as it knows no logins; and
 * /healthz and /metrics, which may be seen from elsewhere. Made by node/external-dns.ts.
 *
 *   GET /  domains   GET /records   POST /records  changes   POST /adjustendpoints
 *
 * external-dns tries again what is answered with 5xx, and ends itself for any other error; so whatever a change of files may
 * mend is a 500.
 */
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { readChanges, readEndpoints } from '../external-dns/endpoint.ts'
import { type Provider, RefusedError } from '../external-dns/provider.ts'
import { messageOf } from '../problem.ts'

const MEDIA = 'application/external.dns.webhook+json'
const MEDIA_TYPE = `${MEDIA};version=1`
const MOST_BYTES = 64 << 20

const json = (value: unknown): Response =>
  new Response(JSON.stringify(value), { headers: { 'content-type': MEDIA_TYPE, vary: 'Content-Type' } })

/** The protocol. `onTrouble`: is told why a request failed. */
export function makeWebhook(
  provider: Pick<Provider, 'domains' | 'records' | 'adjust' | 'apply'>,
  onTrouble: (message: string) => void,
): Hono {
  const app = new Hono()
  const trouble = (status: 400 | 403 | 406 | 415 | 500, message: string): Response => {
    onTrouble(message)
    return new Response(`${message}\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } })
  }
  app.use(async ({ req }, next) => {
    const accept = req.header('accept')
    if (req.method === 'GET' && accept !== undefined && !accepts(accept))
      return trouble(406, `this provider speaks ${MEDIA_TYPE}, not ${accept}`)
    // a browser says so of each POST, and of each page of another origin. A page that was led here by its own name (DNS
    // rebinding) can read, but only what DNS tells everyone
    if (req.header('origin') !== undefined) return trouble(403, 'web pages may not ask')
    if (req.method === 'POST' && !isMedia(req.header('content-type') ?? ''))
      return trouble(415, `this provider takes ${MEDIA_TYPE}`)
    return next()
  })
  app.use(bodyLimit({ maxSize: MOST_BYTES, onError: () => trouble(400, 'the body is larger than 64 MiB') }))
  app.get('/', async () => json({ include: await provider.domains() }))
  app.get('/records', async () => json(await provider.records()))
  app.post('/records', async (context) => {
    const changes = readChanges(await bodyOf(context))
    if (changes === undefined) return trouble(400, 'the body is no list of changes')
    await provider.apply(changes)
    return new Response(null, { status: 204 })
  })
  app.post('/adjustendpoints', async (context) => {
    const endpoints = readEndpoints(await bodyOf(context))
    if (endpoints === undefined) return trouble(400, 'the body is no list of endpoints')
    return json(await provider.adjust(endpoints))
  })
  app.onError((error) =>
    trouble(
      500,
      error instanceof RefusedError ? `nothing is changed:\n${error.problems.join('\n')}` : messageOf(error),
    ),
  )
  return app
}

const isMedia = (type: string): boolean => {
  const [media, ...parameters] = type.split(';').map((part) => part.trim().toLowerCase())
  return media === MEDIA && parameters.every((one) => !one.startsWith('version=') || one === 'version=1')
}

const accepts = (accept: string): boolean =>
  accept.split(',').some((type) => isMedia(type) || /^\s*(?:\*|application)\/\*/.test(type))

async function bodyOf({ req }: Context): Promise<unknown> {
  try {
    return JSON.parse(await req.text())
  } catch {
    return undefined
  }
}

/** Health, and metrics in Prometheus' text form. */
export function makeExposed(provider: Pick<Provider, 'counts'>): Hono {
  const app = new Hono()
  app.get('/healthz', ({ text }) => text('ok\n'))
  app.get('/metrics', () => {
    const { endpoints, changes, refused, leftOut } = provider.counts
    const rows = [
      ['endpoints', 'gauge', 'Endpoints that are served.', endpoints],
      ['changes_total', 'counter', 'Lists of changes that have been made.', changes],
      ['refused_total', 'counter', 'Lists of changes that have been refused: nothing was written.', refused],
      [
        'left_out_total',
        'counter',
        'Endpoints that could not be served, and were left out or kept as before.',
        leftOut,
      ],
    ] as const
    const lines = rows.flatMap(([name, type, help, value]) => [
      `# HELP meridian_external_dns_${name} ${help}`,
      `# TYPE meridian_external_dns_${name} ${type}`,
      `meridian_external_dns_${name} ${value}`,
    ])
    return new Response(`${lines.join('\n')}\n`, { headers: { 'content-type': 'text/plain; version=0.0.4' } })
  })
  return app
}
