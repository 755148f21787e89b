/**
 * The clients of a region, as a process that runs where they are. They never stop asking: by turns the region's resolver, and the
 * anycast address itself (bare clients); over IPv4 and IPv6; for A and AAAA. Every query's fate is kept, and told by the second in
 * which it was sent, as a line of JSON, once the second's last query has met its own.
 *
 * Argument: Asked as JSON. A line on stdin is an Order. Ends with its parent. Times are of the machine's monotonic clock, in ms.
 */
import { createSocket, type Socket } from 'node:dgram'
import { createInterface } from 'node:readline'
import { decodeMessage, encodeQuery } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { OPTION } from '../../src/dns/types.ts'
import type { Both } from './plan.ts'

export const WAYS = ['resolver', 'bare'] as const
/** Behind the region's resolver, or straight to the anycast address. */
export type Way = (typeof WAYS)[number]

/** What the process is told at its start. */
export interface Asked {
  readonly to: Readonly<Record<Way, Both>>
  /** A steered name. */
  readonly name: string
  /** Every name below this one is steered alike. */
  readonly below: string
  /** Sites by their VIPs. */
  readonly sites: Readonly<Record<string, string>>
  /** A second begins at each multiple of 1,000 from here. */
  readonly zeroMs: number
}

export interface Order {
  /** Queries a second, of both ways together. */
  readonly perSecond: number
  /** Whether half of what a resolver is asked may be in its cache. */
  readonly mayCache: boolean
}

/** A query without the address of a site. */
export interface Failure {
  /** `lost`: no answer within LOST_MS; else the rcode, or what the answer lacked. */
  readonly why: string
  readonly sentMs: number
}

export interface Fates {
  sent: number
  /** Answers by site. */
  readonly sites: Record<string, number>
  /** When what each site answers was asked for last. */
  readonly lastMs: Record<string, number>
  /** Answers by node; of bare clients alone. */
  readonly nodes: Record<string, number>
  readonly failures: Failure[]
  /** The longest round trip. */
  rttMs: number
}

/** What became of the queries that were sent in a second. */
export interface Second {
  /** 0 = the first one from `zeroMs`. */
  readonly second: number
  readonly ways: Readonly<Record<Way, Fates>>
}

/** As stub resolvers wait. */
export const LOST_MS = 5_000
/** So many queries may wait for their answers, or those of a second. */
const LEAST_OPEN = 500
const TICK_MS = 10
const DNS_PORT = 53

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

const newFates = (): Fates => ({ sent: 0, sites: {}, lastMs: {}, nodes: {}, failures: [], rttMs: 0 })

interface Waiting {
  readonly fates: Fates
  readonly second: number
  readonly sentMs: number
}

/** One socket, and what was sent from it. */
interface Path {
  readonly way: Way
  readonly socket: Socket
  readonly to: string
  readonly waiting: Map<number, Waiting>
  id: number
}

function ask(asked: Asked): void {
  let order: Order = { perSecond: 0, mayCache: true }
  const seconds = new Map<number, { readonly ways: Record<Way, Fates>; open: number }>()
  const paths = WAYS.flatMap((way) =>
    (['v4', 'v6'] as const).map((family): Path => {
      const socket = createSocket(family === 'v4' ? 'udp4' : 'udp6')
      const path = { way, socket, to: asked.to[way][family], waiting: new Map<number, Waiting>(), id: 0 }
      socket.on('error', () => {}) // what gets no answer is lost, whatever the reason
      socket.on('message', (bytes) => receive(path, bytes))
      return path
    }),
  )
  const secondNow = (): number => Math.floor((nowMs() - asked.zeroMs) / 1_000)

  let begun = secondNow()
  /** Those in which nothing is sent, too. */
  function beginSeconds(to: number): void {
    for (; begun <= to; begun++) seconds.set(begun, { ways: { resolver: newFates(), bare: newFates() }, open: 0 })
  }

  let count = 0
  function send(): void {
    const n = count++
    const path = paths[n % 4]!
    const type = (n >> 2) % 2 === 0 ? 'A' : 'AAAA'
    const isOwn = path.way === 'resolver' && (!order.mayCache || (n >> 3) % 2 === 1)
    const name = isOwn ? `q${n}-${process.pid}.${asked.below}` : asked.name
    const edns = path.way === 'bare' ? { options: [{ code: OPTION.NSID, data: new Uint8Array() }] } : {}
    const id = (path.id = (path.id + 1) & 0xffff)
    const second = secondNow()
    beginSeconds(second)
    const entry = seconds.get(second)!
    const fates = entry.ways[path.way]
    fates.sent++
    entry.open++
    path.waiting.set(id, { fates, second, sentMs: nowMs() })
    path.socket.send(encodeQuery({ id, name, type, rd: path.way === 'resolver', edns }), DNS_PORT, path.to, () => {})
  }

  function close({ fates, second, sentMs }: Waiting, answer: string | undefined, why: string): void {
    if (answer === undefined) fates.failures.push({ why, sentMs })
    else {
      fates.sites[answer] = (fates.sites[answer] ?? 0) + 1
      fates.lastMs[answer] = Math.max(fates.lastMs[answer] ?? 0, sentMs)
    }
    seconds.get(second)!.open--
  }

  function receive(path: Path, bytes: Uint8Array): void {
    const id = (bytes[0]! << 8) | bytes[1]!
    const waiting = path.waiting.get(id)
    if (waiting === undefined) return
    path.waiting.delete(id)
    waiting.fates.rttMs = Math.max(waiting.fates.rttMs, nowMs() - waiting.sentMs)
    const message = decodeMessage(bytes)
    if (isFault(message)) return close(waiting, undefined, message.fault)
    const nsid = message.edns?.options.find(({ code }) => code === OPTION.NSID)
    if (nsid !== undefined) {
      const node = Buffer.from(nsid.data).toString()
      waiting.fates.nodes[node] = (waiting.fates.nodes[node] ?? 0) + 1
    }
    const vip = message.answer.find(({ type }) => type === 'A' || type === 'AAAA')?.rdata
    const lacks = message.rcode !== 'NOERROR' ? message.rcode : message.tc ? 'truncated' : 'no address'
    close(waiting, vip === undefined ? undefined : (asked.sites[vip] ?? vip), lacks)
  }

  let dueFromMs = nowMs()
  let due = 0
  setInterval(() => {
    const now = nowMs()
    due = Math.min(due + ((now - dueFromMs) * order.perSecond) / 1_000, order.perSecond) // who stood still a while lets go
    dueFromMs = now
    beginSeconds(secondNow())
    const unanswered = paths.reduce((sum, { waiting }) => sum + waiting.size, 0)
    if (unanswered > Math.max(order.perSecond, LEAST_OPEN)) due = 0 // a machine without CPU would do nothing but lose queries
    for (; due >= 1; due--) send()
    for (const path of paths)
      for (const [id, waiting] of path.waiting) {
        if (now - waiting.sentMs < LOST_MS) break
        path.waiting.delete(id)
        close(waiting, undefined, 'lost')
      }
    for (const [second, { ways, open }] of seconds) {
      if (open > 0 || second >= secondNow()) break
      seconds.delete(second)
      process.stdout.write(`${JSON.stringify({ second, ways } satisfies Second)}\n`)
    }
  }, TICK_MS)
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const next: Order = JSON.parse(line)
      order = next
    })
    .once('close', () => process.exit(0))
}

if (import.meta.main) {
  const asked: Asked = JSON.parse(process.argv[2]!)
  ask(asked)
}
