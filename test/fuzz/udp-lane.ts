/**
 * The part of sockets.ts for UDP. Behind the datagrams of a window come two good queries, one of them through a proxy: when both
 * are answered, so is everything before them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../../src/dns/address.ts'
import { encode } from '../support/ask.ts'
import { naming } from '../support/proxy.ts'
import { type Addressed, Datagrams } from './datagrams.ts'
import { type Lane, nowSeconds, type Run, SLACK_SECONDS } from './lane.ts'
import { proxyHeader } from './messages.ts'
import { factsOf, judge, type Sent, unproxied } from './oracle.ts'
import type { Served } from './served.ts'
import { u16 } from './wire.ts'
import { PROTOCOL } from './zones.ts'

/** A datagram to the server. */
export interface Datagram extends Addressed {
  /** The query in it; undefined: it must not be answered. */
  readonly sent: Sent | undefined
}

const WINDOW = 128
/** The server drops what is as long. */
const LARGEST_DATAGRAM = 1600
/** For a reply behind the one to the last query: only another core can be so late. */
const LATE_MS = 1000
/** Addresses of each kind. */
const MANY = 240

/** Loopback addresses in a row. */
const addresses = (first: string): readonly Uint8Array[] =>
  Array.from({ length: MANY }, (_, i) => parseAddress(`${first}.${1 + i}`)!)
const CLIENTS = addresses('127.0.9')
const PROXIES = addresses('127.0.7')
/** Their datagrams begin with PROXY headers, and they are no proxies: all have one id. */
const STRANGERS = addresses('127.0.10')
/** Whom proxies name. */
export const NAMED = ['192.0.2.53', '2001:db8::1', '82.64.1.1'] as const

const LAST_QUERY = encode({ q: 'host.example.com A', id: 0xffff })
/** The last datagrams of a window; nobody else has their addresses. */
const LAST: readonly Addressed[] = [
  { local: parseAddress('127.0.11.1')!, bytes: LAST_QUERY },
  { local: parseAddress('127.0.7.250')!, bytes: Uint8Array.of(...naming(NAMED[0], 2), ...LAST_QUERY) },
]

/** Datagrams of clients, of proxies, and of those who claim to be one. */
export function udpLane(served: Served, { random, next, tell }: Run): Lane<Datagram> {
  const datagrams = new Datagrams(served.ports.tcp)
  let count = 0
  return {
    thread: 'answering',
    items: WINDOW,
    packets: 1,
    make() {
      count++
      const id = count & 0x7fff
      const turn = random(32)
      if (turn > 8) return datagramOf(CLIENTS[random(MANY)]!, next, id)
      const named = parseAddress(NAMED[random(NAMED.length)]!)!
      const header = proxyHeader(random, named, false)
      if (turn > 0) return proxiedDatagram(PROXIES[random(MANY)]!, header, next(named, nowSeconds(), id))
      return datagramOf(STRANGERS[count % MANY]!, (...asked) => Buffer.concat([header, next(...asked)]), id)
    },
    async exchange(items) {
      const replies = await converseUdp(served, datagrams, items)
      if (replies === undefined) {
        for (const { bytes } of items) tell('UDP: in a window behind which good queries were not answered', bytes)
        return
      }
      for (const [i, { local, bytes, sent }] of items.entries()) {
        const reply = replies.own[i]
        const wrong = sent === undefined ? undefined : judge(PROTOCOL, sent, reply)
        const from = `from ${local.join('.')}, reply ${reply === undefined ? 'none' : Buffer.from(reply).toString('hex')}`
        if (wrong !== undefined) tell(`UDP: ${wrong}, ${from}`, bytes)
      }
      for (const reply of replies.others) tell('UDP: a second reply, or a reply to nothing', reply)
    },
    bytesOf: ({ bytes }) => bytes,
    end: () => datagrams.close(),
  }
}

/** A query that comes from whom it says. */
export function datagramOf(local: Uint8Array, next: Run['next'], id: number): Datagram {
  const now = nowSeconds()
  const query = next(local, now, id)
  return { local, bytes: query, sent: sentOf(query, 0, local, query.length, now) }
}

/** A query behind a header, from a proxy. */
export function proxiedDatagram(local: Uint8Array, header: Uint8Array, query: Uint8Array): Datagram {
  const bytes = Buffer.concat([header, query])
  const named = unproxied(bytes, local, false)
  return { local, bytes, sent: named && sentOf(bytes, named.at, named.client, bytes.length, nowSeconds()) }
}

function sentOf(bytes: Uint8Array, at: number, client: Uint8Array, size: number, now: number): Sent | undefined {
  if (size >= LARGEST_DATAGRAM) return undefined
  return { kind: 'udp', query: bytes.subarray(at), client, nowSeconds: now, slackSeconds: SLACK_SECONDS }
}

/** By the client's address and the id. */
const keyOf = (local: Uint8Array, message: Uint8Array): number =>
  message.length < 2 ? -1 : (u16(local, 0) * 65_536 + u16(local, 2)) * 65_536 + u16(message, 0)

/** The replies to datagrams, in their order, and those that are to none; undefined: the server answers no more. */
export async function converseUdp(
  served: Served,
  datagrams: Datagrams,
  items: readonly Datagram[],
): Promise<{ readonly own: readonly (Uint8Array | undefined)[]; readonly others: readonly Uint8Array[] } | undefined> {
  datagrams.send(items)
  datagrams.send(LAST)
  // whatever header or length lies may make any id of any bytes: of two queries with one id the first reply is of the first
  const replies = new Map<number, Uint8Array[]>()
  const isAnswered = items.map(({ sent }) => sent !== undefined && factsOf(sent.query).verdict !== 'drop')
  const last = new Set(LAST.map(({ local }) => keyOf(local, LAST_QUERY)))
  let left = isAnswered.filter(Boolean).length
  let sinceMs = 0
  for (const isOver = served.patience(); ;) {
    for (const { local, bytes } of datagrams.receive()) {
      const key = keyOf(local, bytes)
      if (last.delete(key)) continue
      left--
      const same = replies.get(key)
      if (same === undefined) replies.set(key, [bytes])
      else same.push(bytes)
    }
    if (last.size > 0) sinceMs = performance.now()
    else if (left <= 0 || performance.now() - sinceMs > LATE_MS) break
    // oxlint-disable-next-line no-await-in-loop -- polls
    if (await isOver()) return undefined
    // oxlint-disable-next-line no-await-in-loop
    await sleep(1)
  }
  const own = items.map(({ local, sent }, i) =>
    isAnswered[i] === true ? replies.get(keyOf(local, sent!.query))?.shift() : undefined,
  )
  return { own, others: [...replies.values()].flat() }
}
