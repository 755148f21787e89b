/** The part of sockets.ts for HTTPS: requests by every method in every form, and frames of HTTP/2 that no client sends. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import { type HttpReply, request } from '../support/ask.ts'
import { factsOf, judge } from './oracle.ts'
import type { Random } from './packets.ts'
import { nowSeconds, type Round, type Run, SLACK_SECONDS } from './round.ts'
import { PROTOCOL } from './zones.ts'

const CLIENT = Uint8Array.of(127, 0, 0, 1)
const REQUESTS = 16
/** A session has so many batches. */
const BATCHES = 8
const DNS_MESSAGE = 'application/dns-message'

interface HttpQuery {
  readonly headers: OutgoingHttpHeaders
  readonly body?: Uint8Array
  /** What must come back: a status, or a reply to this query. */
  readonly wanted: number | Uint8Array
}

/** Batches of requests, each on a session that is used a few times. */
export function fuzzHttps(port: number, run: Run): Round {
  let session: ClientHttp2Session | undefined
  let used = 0
  return {
    async batch(): Promise<number> {
      if (run.random(32) === 0) await sendFrames(port, run.random)
      if (used++ % BATCHES === 0) {
        session?.destroy()
        session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
        session.setMaxListeners(100)
        session.on('error', () => {})
      }
      const queries = Array.from({ length: REQUESTS }, () => makeQuery(run))
      const wrong = await Promise.all(queries.map((query) => ask(session!, query)))
      for (const [i, what] of wrong.entries())
        if (what !== undefined) {
          const { headers, body } = queries[i]!
          run.tell(`HTTPS: ${what}, headers ${JSON.stringify(headers)}`, body ?? new Uint8Array(0))
        }
      return REQUESTS
    },
    end: () => session?.destroy(),
  }
}

async function ask(session: ClientHttp2Session, { headers, body, wanted }: HttpQuery): Promise<string | undefined> {
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
  const sent = {
    query: wanted,
    client: CLIENT,
    kind: 'doh',
    nowSeconds: nowSeconds(),
    slackSeconds: SLACK_SECONDS,
  } as const
  return judge(PROTOCOL, sent, reply.body)
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
function makeQuery({ random, next }: Run): HttpQuery {
  const query = next(CLIENT, nowSeconds(), random(65_536))
  const wanted = factsOf(query).verdict === 'drop' ? 400 : query
  const text = Buffer.from(query).toString('base64url')
  const turn = random(24)
  if (turn < 8) return get(`/dns-query?dns=${text}`, text === '' ? 400 : wanted)
  if (turn === 8) return get(`/dns-query?x=1&dns=${text}&dns=AAAA&y`, text === '' ? 400 : wanted)
  if (turn === 9) return get(`/dns-query?dns=${text}=`, 400)
  if (turn === 10) return get(`/dns-query?dns=${text}%3D`, 400)
  if (turn === 11) return get(`/dns-query?DNS=${text}`, 400)
  if (turn === 12) return get(`/dns-query/?dns=${text}`, 404)
  if (turn === 13) return get(`/${Buffer.from(query.subarray(0, 20)).toString('hex')}?dns=${text}`, 404)
  if (turn === 14) return { ...post({ ':method': ['PUT', 'DELETE', 'PATCH'][random(3)]! }, query, 405) }
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
