/**
 * The part of sockets.ts for HTTPS: requests by every method in every form, sessions behind PROXY headers, and frames of HTTP/2
 * that no client sends.
 */
import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type HttpReply, request } from '../support/ask.ts'
import { naming } from '../support/proxy.ts'
import { type Lane, nowSeconds, type Run, SLACK_SECONDS } from './lane.ts'
import { factsOf, judge } from './oracle.ts'
import type { Random } from './packets.ts'
import type { Served } from './served.ts'
import { draw, type Opening, openingWith, PROXY, secure, spoil } from './stream-lane.ts'
import { NAMED } from './udp-lane.ts'
import { PROTOCOL } from './zones.ts'

const REQUESTS = 16
/** Requests of a session: several windows. */
const SESSION_REQUESTS = 128
/** What is longer is sent by POST: with its path the headers would be more than the 8,192 bytes that the server takes. */
const LONGEST_TEXT = 7500
const DNS_MESSAGE = 'application/dns-message'

/** A connection that is used for several windows. */
interface Visit {
  readonly opening: Opening
  session?: ClientHttp2Session
}

interface HttpQuery {
  readonly headers: OutgoingHttpHeaders
  readonly body?: Uint8Array
  /** What must come back: a status, or a reply to this query. */
  readonly wanted: number | Uint8Array
}

interface Item extends HttpQuery {
  readonly visit: Visit
}

/** Requests, each session of them from a client or a proxy. */
export function httpsLane(served: Served, run: Run): Lane<Item> {
  const { random, tell } = run
  const port = served.ports.doh
  let made = 0
  let visit: Visit
  let open: Visit | undefined
  const begin = async (): Promise<Visit> => {
    const begins = draw(random)
    if (begins.isWhole) return { opening: begins }
    const wrong = await spoil(port, 'h2', begins)
    if (wrong !== undefined) tell(`doh: ${wrong}`, begins.header)
    return { opening: openingWith(PROXY, naming(NAMED[random(NAMED.length)]!, 1)) }
  }
  return {
    thread: 'doh',
    items: REQUESTS,
    packets: 1,
    async make() {
      if (made++ % SESSION_REQUESTS === 0) visit = await begin()
      return { visit, ...makeQuery(run, visit.opening.client!) }
    },
    async exchange(items) {
      if (random(32) === 0) await sendFrames(port, random)
      if (open !== items[0]!.visit) open?.session?.destroy()
      open = items[0]!.visit
      if (open.session?.destroyed !== false) open.session = connectTo(port, open.opening)
      const { session, opening } = open
      const wrong = await Promise.all(items.map((item) => ask(session, opening.client!, item)))
      for (const [i, item] of items.entries())
        if (wrong[i] !== undefined) tell(`doh: ${wrong[i]}, headers ${JSON.stringify(item.headers)}`, bytesOf(item))
    },
    bytesOf,
    end: () => open?.session?.destroy(),
  }
}

const bytesOf = ({ body }: Item): Uint8Array => body ?? new Uint8Array(0)

/** A session of HTTP/2, behind the header. */
function connectTo(port: number, { from, header }: Opening): ClientHttp2Session {
  const raw = connect({ host: '127.0.0.1', port, localAddress: from, noDelay: true })
  raw.write(header)
  const session = connectHttp2(`https://127.0.0.1:${port}`, { createConnection: () => secure(raw, 'h2') })
  session.setMaxListeners(100)
  session.on('error', () => {})
  return session
}

async function ask(
  session: ClientHttp2Session,
  client: Uint8Array,
  { headers, body, wanted }: HttpQuery,
): Promise<string | undefined> {
  let reply: HttpReply
  try {
    reply = await request(session, headers, body)
  } catch (error) {
    return String(error)
  }
  const { status } = reply
  if (typeof wanted === 'number') return status === wanted ? undefined : `status ${status} and not ${wanted}`
  if (status !== 200) return `status ${status} for a query`
  const { 'content-type': type, 'content-length': length, 'cache-control': cache } = reply.headers
  if (type !== DNS_MESSAGE || Number(length) !== reply.body.length) return `${type} of ${length} bytes`
  if (!/^private, max-age=\d+$/.test(cache ?? '')) return `cache-control ${cache}`
  const times = { nowSeconds: nowSeconds(), slackSeconds: SLACK_SECONDS }
  return judge(PROTOCOL, { ...times, query: wanted, client, kind: 'doh' }, reply.body)
}

const get = (path: string, status: number | Uint8Array): HttpQuery => ({
  headers: { ':method': 'GET', ':path': path },
  wanted: status,
})
const post = (headers: OutgoingHttpHeaders, body: Uint8Array, status: number | Uint8Array): HttpQuery => ({
  headers: { ':method': 'POST', 'content-type': DNS_MESSAGE, ...headers },
  body,
  wanted: status,
})

/** A request, with what RFC 8484 §4.1 and §4.2.1 say of it. */
function makeQuery({ random, next }: Run, client: Uint8Array): HttpQuery {
  const query = next(client, nowSeconds(), random(65_536))
  const wanted = factsOf(query).verdict === 'drop' ? 400 : query
  const text = Buffer.from(query).toString('base64url')
  const turn = text.length > LONGEST_TEXT ? 23 : random(24)
  if (turn < 8) return get(`/dns-query?dns=${text}`, text === '' ? 400 : wanted)
  if (turn === 8) return get(`/dns-query?x=1&dns=${text}&dns=AAAA&y`, text === '' ? 400 : wanted)
  if (turn === 9) return get(`/dns-query?dns=${text}=`, 400)
  if (turn === 10) return get(`/dns-query?dns=${text}%3D`, 400)
  if (turn === 11) return get(`/dns-query?DNS=${text}`, 400)
  if (turn === 12) return get(`/dns-query/?dns=${text}`, 404)
  if (turn === 13) return get(`/${Buffer.from(query.subarray(0, 20)).toString('hex')}?dns=${text}`, 404)
  if (turn === 14) return post({ ':method': ['PUT', 'DELETE', 'PATCH'][random(3)]! }, query, 405)
  if (turn === 15) return post({ 'content-type': ['text/plain', 'application/dns-json', ''][random(3)]! }, query, 415)
  if (turn === 16) return post({ 'content-type': `${DNS_MESSAGE}; charset=x` }, query, wanted)
  if (turn === 17 && random(8) === 0) return post({}, new Uint8Array(65_536 + random(3)), 413)
  if (turn === 18) return post({}, query.subarray(0, random(12)), 400)
  return post({}, query, wanted)
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** Frames, some of which are of a form and in an order that HTTP/2 forbids; then the connection is left. */
async function sendFrames(port: number, random: Random): Promise<void> {
  const socket = connectTls({ host: '127.0.0.1', port, ALPNProtocols: ['h2'], rejectUnauthorized: false })
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  const frame = (): Uint8Array => {
    const size = [0, 1, 4, 5, 6, 8, 9, random(300)][random(8)]!
    const said = random(10) === 0 ? random(1 << 24) : size
    const stream = [0, 1, 1, 3, 2, random(1 << 30)][random(6)]!
    const head = Buffer.alloc(9)
    head.writeUIntBE(said, 0, 3)
    head[3] = random(12)
    head[4] = random(4) === 0 ? random(256) : [0, 1, 4, 5][random(4)]!
    head.writeUInt32BE(stream, 5)
    return Buffer.concat([head, Uint8Array.from({ length: size }, () => random(256))])
  }
  const settings = Buffer.from('000000040000000000', 'hex')
  const preface = random(8) === 0 ? Buffer.alloc(24, random(256)) : PREFACE
  socket.write(Buffer.concat([preface, settings, ...Array.from({ length: 1 + random(20) }, frame)]))
  if (random(2) === 0) socket.end()
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), 50)
  await closed
  clearTimeout(timer)
}
