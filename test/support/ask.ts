/**
 * The one verb of all DNS tests: a query and what must come back, in DNS text, alike over memory, UDP and TCP.
 *
 *   const ask = makeAsk(memory(responder))          or udp(host, port), tcp(host, port)
 *   await ask({ q: 'www.example.com A', ecs: '198.51.100.0/24', rcode: 'NOERROR',
 *               answer: ['www.example.com. 30 IN A 203.0.113.1'], scope: 22 })
 *
 * What no reply may get wrong is checked without being asked for: see `broken`.
 */
import { createSocket } from 'node:dgram'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { expect } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { DOH, DOT, makeRequest, type Responder, TCP, UDP } from '../../src/answer/responder.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { type EdnsOption, type Message, type Rr, decodeMessage, encodeQuery, formatRr } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'

/** As metrics name them; all but udp carry messages of any size. */
export type TransportKind = keyof typeof NUMBER_OF
const NUMBER_OF = { udp: UDP, tcp: TCP, dot: DOT, doh: DOH } as const

/** Sends a query and gives the reply's bytes; undefined when there was none. */
export interface Transport {
  readonly kind: TransportKind
  /** `from`: the client's address; the transport's own choice without. */
  send(query: Uint8Array, from?: string): Promise<Uint8Array | undefined>
}

export interface Question {
  /** `www.example.com A`, `version.bind TXT CH`. */
  readonly q: string
  readonly id?: number
  readonly rd?: boolean
  /** Client address. */
  readonly from?: string
  /** EDNS is sent when this is true or when any of the next five is there. */
  readonly edns?: boolean
  readonly ecs?: string
  readonly payload?: number
  readonly do?: boolean
  readonly version?: number
  readonly options?: readonly EdnsOption[]
}

export interface Expected {
  readonly rcode: string
  /** Whole sections, one RR a line; what is left out is not compared. */
  readonly answer?: readonly string[]
  readonly authority?: readonly string[]
  /** Without OPT. */
  readonly additional?: readonly string[]
  /** ECS scope prefix length. */
  readonly scope?: number
  readonly aa?: boolean
  /** False unless written. */
  readonly tc?: boolean
  /** RRs must stand in the written order too. */
  readonly ordered?: boolean
}

export type Ask = (asked: Question & Expected) => Promise<Message>

/** Asks and asserts; gives the reply for whatever else a test wants of it. */
export function makeAsk(transport: Transport): Ask {
  let lastId = 0
  return async (asked) => {
    const id = asked.id ?? ++lastId & 0xffff
    const query = encode({ ...asked, id })
    const reply = await transport.send(query, asked.from)
    if (reply === undefined) throw new Error(`no reply to ${asked.q}`)
    const message = decodeMessage(reply)
    if (isFault(message)) throw new Error(`${asked.q}: ${message.fault}: ${Buffer.from(reply).toString('hex')}`)
    expect(broken(query, reply, message, transport.kind).join('; '), asked.q).toBe('')
    expect(said(message, asked), asked.q).toEqual(meant(asked))
    return message
  }
}

/** The bytes of a question. */
export function encode(asked: Question): Uint8Array {
  const [name, type, clas] = asked.q.split(/\s+/)
  if (name === undefined || type === undefined) throw new Error(`“${asked.q}” wants a name and a type`)
  const { ecs, payload, do: dnssecOk, version, options } = asked
  const edns = {
    ...(ecs === undefined ? {} : { ecs }),
    ...(payload === undefined ? {} : { payload }),
    ...(dnssecOk === undefined ? {} : { do: dnssecOk }),
    ...(version === undefined ? {} : { version }),
    ...(options === undefined ? {} : { options }),
  }
  return encodeQuery({
    name,
    type,
    ...(clas === undefined ? {} : { class: clas }),
    id: asked.id ?? 0,
    rd: asked.rd ?? false,
    ...(asked.edns === true || Object.keys(edns).length > 0 ? { edns } : {}),
  })
}

/** What no reply to a query that reads well may get wrong, whatever was asked. */
export function broken(query: Uint8Array, reply: Uint8Array, message: Message, kind: TransportKind): string[] {
  const asked = decodeMessage(query)
  if (isFault(asked)) throw new Error(`the query is none: ${asked.fault}`)
  const wrong: string[] = []
  const must = (right: boolean, what: string): void => void (right || wrong.push(what))
  must(message.id === asked.id, 'another id')
  must(message.qr && message.opcode === asked.opcode, 'QR or opcode')
  must(message.rd === asked.rd && !message.ra && !message.ad, 'RD is not echoed, or RA or AD is set')
  must(JSON.stringify(message.question) === JSON.stringify(asked.question), 'another question, or in another case')
  must((message.edns === undefined) === (asked.edns === undefined), 'OPT exactly when the query had one')
  must((message.edns?.version ?? 0) === 0, 'an EDNS version other than 0')
  must((message.edns?.payload ?? 512) >= 512, 'a payload below 512')
  must((message.edns?.dnssecOk ?? false) === (asked.edns?.dnssecOk ?? false), 'DO is not copied')
  const limit = kind === 'udp' ? Math.min(1232, Math.max(512, asked.edns?.payload ?? 512)) : 65_535
  must(reply.length <= limit, `${reply.length} bytes where ${limit} are allowed`)
  const { ecs } = message.edns ?? {}
  // a fault's reply has nothing to say about the client
  const judged = message.rcode !== 'BADVERS' && message.rcode !== 'FORMERR'
  const wanted = asked.edns?.ecs
  const same =
    `${ecs?.family} ${ecs?.source} ${ecs?.address}` === `${wanted?.family} ${wanted?.source} ${wanted?.address}`
  must(same || !judged, 'ECS is not echoed exactly')
  must(ecs === undefined || ecs.source > 0 || ecs.scope === 0, 'a scope for a client that opted out')
  const rrs = [...message.answer, ...message.authority, ...message.additional]
  must(new Set(rrs.map(formatRr)).size === rrs.length, 'an RR twice')
  must(oneTtl(rrs), 'TTLs differ within an RRset (RFC 2181 §5.2)')
  return wrong
}

function oneTtl(rrs: readonly Rr[]): boolean {
  const ttls = new Map<string, number>()
  return rrs.every((rr) => {
    const key = `${rr.name.toLowerCase()} ${rr.type}`
    const first = ttls.get(key) ?? rr.ttlSeconds
    ttls.set(key, first)
    return first === rr.ttlSeconds
  })
}

const SECTIONS = ['answer', 'authority', 'additional'] as const

/** Of a reply, what the test names. */
function said(message: Message, asked: Expected): object {
  const lines = (rrs: readonly Rr[]): string[] => sorted(rrs.map(formatRr), asked)
  return {
    rcode: message.rcode,
    tc: message.tc,
    ...(asked.aa === undefined ? {} : { aa: message.aa }),
    ...(asked.scope === undefined ? {} : { scope: message.edns?.ecs?.scope }),
    ...Object.fromEntries(
      SECTIONS.filter((section) => asked[section] !== undefined).map((section) => [section, lines(message[section])]),
    ),
  }
}

function meant(asked: Expected): object {
  const { aa, scope } = asked
  const lines = (texts: readonly string[]): string[] =>
    sorted(
      texts.map((line) => line.trim().replace(/ {2,}/g, ' ')),
      asked,
    )
  return {
    rcode: asked.rcode,
    tc: asked.tc ?? false,
    ...(aa === undefined ? {} : { aa }),
    ...(scope === undefined ? {} : { scope }),
    ...Object.fromEntries(
      SECTIONS.filter((section) => asked[section] !== undefined).map((section) => [section, lines(asked[section]!)]),
    ),
  }
}

const sorted = (lines: string[], asked: Expected): string[] => (asked.ordered === true ? lines : lines.toSorted())

/** How long a reply over a socket may take before a test calls it none. */
const PATIENCE_MS = 60_000

/**
 * respond() itself, its query in a slot between other bytes and its reply between guards that must stay untouched. The
 * client is 192.0.2.53 unless told otherwise; each query gets another `chance`.
 */
export function memory(responder: Responder, kind: TransportKind = 'udp'): Transport {
  const transport = NUMBER_OF[kind]
  const room = kind === 'udp' ? 1500 : 65_535
  const output = new Uint8Array(room + 64)
  return {
    kind,
    send(query, from = '192.0.2.53') {
      const client = parseAddress(from)
      if (client === undefined) throw new Error(`no address: ${from}`)
      const slot = new Uint8Array(query.length + 64).fill(0xc0)
      slot.set(query, 32)
      output.fill(0xa5)
      responder.chance = Math.imul(responder.chance, 1_664_525) + 1_013_904_223
      const family = client.length === 4 ? 4 : 6
      const size = respond(
        responder,
        makeRequest({ input: slot, at: 32, length: query.length, client, family, transport, output, outAt: 32, room }),
      )
      const guards = [...output.subarray(0, 32), ...output.subarray(32 + room)]
      if (size > room || guards.some((byte) => byte !== 0xa5)) throw new Error('respond() wrote outside its room')
      return Promise.resolve(size === 0 ? undefined : output.slice(32, 32 + size))
    },
  }
}

/** One datagram each way; `from` must be an address of this machine (any 127.x.y.z). */
export function udp(host: string, port: number): Transport {
  return {
    kind: 'udp',
    send(query, from) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
      const timer = setTimeout(() => resolve(undefined), PATIENCE_MS)
      socket.on('error', reject)
      socket.on('message', (bytes, { address, port: source }) => {
        if (address === host && source === port) resolve(new Uint8Array(bytes))
        else reject(new Error(`the reply came from ${address}:${source}`))
      })
      const go = (): void => socket.send(query, port, host)
      if (from === undefined) go()
      else socket.bind({ address: from }, go)
      return promise.finally(() => {
        clearTimeout(timer)
        socket.close()
      })
    },
  }
}

/** One connection for each query (RFC 7766); a connection closed without a reply is none. */
export function tcp(host: string, port: number): Transport {
  return framed('tcp', (from) => connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) }))
}

/** The same over TLS (RFC 7858), whatever certificate is shown. */
export function dot(host: string, port: number): Transport {
  const options = { host, port, ALPNProtocols: ['dot'], rejectUnauthorized: false }
  return framed('dot', (from) => connectTls({ ...options, ...(from === undefined ? {} : { localAddress: from }) }))
}

function framed(kind: 'tcp' | 'dot', open: (from: string | undefined) => Socket): Transport {
  return {
    kind,
    send(query, from) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
      const socket = open(from)
      socket.setTimeout(PATIENCE_MS, () => resolve(undefined))
      let got = Buffer.alloc(0)
      socket.on('error', reject)
      socket.on('close', () => resolve(undefined))
      socket.on('data', (part) => {
        got = Buffer.concat([got, part])
        if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
          resolve(new Uint8Array(got.subarray(2, 2 + got.readUInt16BE(0))))
        }
      })
      socket.write(Buffer.concat([Uint8Array.of(query.length >> 8, query.length & 255), query]))
      return promise.finally(() => socket.destroy())
    },
  }
}

/** A POST for each query (RFC 8484), on a connection of its own; a status other than 200 is no reply. */
export function doh(host: string, port: number): Transport {
  return {
    kind: 'doh',
    async send(query, from) {
      const session = connectHttp2(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, {
        rejectUnauthorized: false,
        ...(from === undefined ? {} : { localAddress: from }),
      })
      try {
        const { status, body } = await request(session, { ':method': 'POST', 'content-type': DNS_TYPE }, query)
        return status === 200 ? body : undefined
      } finally {
        session.destroy()
      }
    },
  }
}

const DNS_TYPE = 'application/dns-message'

/** What came back for a request of HTTP/2. */
export interface HttpReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

/** Sends one request, to /dns-query unless `headers` say otherwise. */
export async function request(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array,
): Promise<HttpReply> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpReply>()
  session.once('error', reject)
  const stream = session.request({ ':path': '/dns-query', ...headers }, { endStream: body === undefined })
  const parts: Buffer[] = []
  let got: IncomingHttpHeaders & { ':status'?: number | undefined } = {}
  stream.on('response', (response) => (got = response))
  stream.on('data', (part: Buffer) => parts.push(part))
  stream.on('error', reject)
  stream.on('close', () => {
    if (got[':status'] === undefined) reject(new Error(`closed without a response: code ${stream.rstCode}`))
    else resolve({ status: got[':status'], headers: got, body: new Uint8Array(Buffer.concat(parts)) })
  })
  if (body !== undefined) stream.end(body)
  return promise.finally(() => session.off('error', reject))
}
