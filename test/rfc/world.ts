/**
 * The verb of the RFC tests: `rule(title, body)` tries the rule over memory, UDP, TCP, TLS and HTTPS. Replies to the same
 * query are the same by all ways, but for what RFCs say of one transport; `rule.over(…)` is for rules of some transports alone.
 */
import { expect, test } from 'vitest'
import type { Protocol } from '../../src/answer/protocol.ts'
import type { World } from '../../src/answer/world.ts'
import { type EdnsOption, type Message, decodeMessage, formatRr } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import type { TestNode } from '../answer/fixture.ts'
import { type Ask, type Expected, makeAsk, type Question, type Transport, type TransportKind } from '../support/ask.ts'
import { type Asked, SECONDARY, type Taken, takenFrom, transferQuery } from '../support/transfers.ts'
import { allUp, CLIENT, nodeOf, type Place, protocolWith, type Way, waysOf } from './ways.ts'
import { ZONES } from './zones.ts'

export { nodeOf } from './ways.ts'
export const node = await nodeOf(ZONES)

/** The transports: all; those that carry responses of any size; those that are encrypted. */
export const ALL = ['udp', 'tcp', 'dot', 'doh'] as const
export const STREAMS = ['tcp', 'dot', 'doh'] as const
export const ENCRYPTED = ['dot', 'doh'] as const
/** Those over which transfers go (RFC 5936 §4.2, RFC 9103). */
export const TRANSFERS = ['tcp', 'dot'] as const

/** Ways to ask a server by one transport. */
export interface Asking {
  readonly kind: TransportKind
  readonly ask: Ask
  /** The reply to any bytes, and the message that it is. Throws if there is none. */
  readonly send: (bytes: Uint8Array, from?: string) => Promise<Uint8Array>
  readonly tell: (bytes: Uint8Array, from?: string) => Promise<Message>
  /** All replies to any bytes: none, or the messages of a transfer. */
  readonly all: (bytes: Uint8Array, from?: string) => Promise<readonly Uint8Array[]>
  /** The same with these settings of the protocol beside, or with another World. */
  readonly having: (settings: Partial<Protocol>) => Asking
  readonly serving: (world: World) => Asking
}

type Declare = (title: string, body: (on: Asking) => Promise<void>) => void
/** Declares a rule, and its test by each way. All members of the node are up when it begins. */
export type Rule = Declare & { readonly over: (kinds: readonly TransportKind[]) => Declare }

/** Rules for this node, or this World, with these settings of the protocol. */
export function rules(
  given: { readonly node?: TestNode; readonly world?: World; readonly protocol?: Partial<Protocol> } = {},
): Rule {
  const { node: own = node, world = own.made.world } = given
  const place: Place = { world, protocol: protocolWith(given.protocol) }
  const over =
    (kinds: readonly TransportKind[]): Declare =>
    (title, body) => {
      const likeness = new Likeness()
      for (const way of waysOf(kinds)) {
        test(`${title} (${way.name})`, async () => {
          likeness.begin()
          allUp(own)
          await body(askingBy(way, place, likeness))
        })
      }
    }
  return Object.assign(over(ALL), { over })
}

/** Rules for the zones of zones.ts, with all settings off. */
export const rule = rules()

function askingBy(way: Way, place: Place, likeness: Likeness): Asking {
  const transport: Transport = { kind: way.kind, send: (query, from = CLIENT) => way.send(place, query, from) }
  const ask = makeAsk(transport)
  const send: Asking['send'] = async (bytes, from) => {
    const reply = await transport.send(bytes, from)
    if (reply === undefined) throw new Error('no reply')
    return reply
  }
  return {
    kind: way.kind,
    async ask(asked) {
      const message = await ask(asked)
      likeness.check(place, asked, message)
      return message
    },
    send,
    tell: async (bytes, from) => decoded(await send(bytes, from)),
    all: (bytes, from = CLIENT) => way.all(place, bytes, from),
    having: (settings) => askingBy(way, { ...place, protocol: { ...place.protocol, ...settings } }, likeness),
    serving: (world) => askingBy(way, { ...place, world }, likeness),
  }
}

/** What a secondary, SECONDARY if `asked` names no other, gets for a query for a transfer. */
export const take = async ({ all }: Asking, asked: Asked = {}): Promise<Taken> =>
  takenFrom(await all(transferQuery(asked), asked.from ?? SECONDARY))

/** The message that these bytes are. Throws if they are none. */
export function decoded(reply: Uint8Array): Message {
  const message = decodeMessage(reply)
  if (isFault(message)) throw new Error(message.fault)
  return message
}

/** Options that depend on the transport or the time: cookies, keepalive, padding. */
const OWN_OPTIONS = [10, 11, 12]

/** Holds each reply to the one that another way had for the same query, in the same place. */
class Likeness {
  readonly #replies = new Map<string, object>()
  #count = new Map<string, number>()

  begin(): void {
    this.#count = new Map()
  }

  check({ protocol }: Place, asked: Question & Expected, message: Message): void {
    const query = JSON.stringify([asked, protocol], (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : typeof value === 'bigint' ? `${value}` : value,
    )
    const count = (this.#count.get(query) ?? 0) + 1
    this.#count.set(query, count)
    if (message.tc) return // it has no room for what others have
    const { answer, authority, additional, edns } = message
    const options = edns?.options.filter(({ code }) => !OWN_OPTIONS.includes(code))
    const sections = [answer, authority, additional].map((rrs) => rrs.map(formatRr).toSorted())
    const reply = {
      ...message,
      id: 0,
      answer: sections[0],
      authority: sections[1],
      additional: sections[2],
      edns: { ...edns, options },
    }
    const other = this.#replies.get(`${query} ${count}`)
    if (other !== undefined) expect(reply, `${asked.q}, as by another way`).toEqual(other)
    this.#replies.set(`${query} ${count}`, reply)
  }
}

/** An empty option of each code, by which a client asks for it. */
export const asksFor = (...codes: readonly number[]): { readonly options: EdnsOption[] } => ({
  options: codes.map((code) => ({ code, data: new Uint8Array(0) })),
})

/** The data of a message's options with this code, in hexadecimal. */
export const optionsIn = ({ edns }: Message, code: number): string[] =>
  (edns?.options ?? []).filter((option) => option.code === code).map(({ data }) => Buffer.from(data).toString('hex'))

/** A zone's SOA in DNS text. */
export const soa = (zone: string, ttlSeconds: number): string =>
  `${zone}. ${ttlSeconds} IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60`

/** The zone's SOA as it stands in negative answers (RFC 2308 §3): its TTL is the minimum. */
export const SOA = soa('example.com', 60)
export const SOA_NET = soa('example.net', 60)
/** At steered names it lives no longer than the service's ttl.min. */
export const SOA_STEERED = soa('example.com', 15)
