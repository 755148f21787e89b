/** The node that the RFC tests ask, over memory: as UDP (`ask`) and as TCP (`askTcp`), and raw bytes for broken queries (`tell`). */
import { PLAIN_PROTOCOL, type Protocol } from '../../src/answer/protocol.ts'
import { makeResponder, type Responder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { type EdnsOption, type Message, decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { makeNode } from '../answer/fixture.ts'
import { type Ask, makeAsk, memory } from '../support/ask.ts'
import { ZONES } from './zones.ts'

export const node = await makeNode(ZONES)

/** Ways to ask a node over memory. */
export interface Asking {
  readonly responder: Responder
  readonly ask: Ask
  readonly askTcp: Ask
  readonly askDot: Ask
  readonly askDoh: Ask
  /** What comes back for any bytes over UDP: the message, or undefined for nothing. */
  readonly tell: (bytes: Uint8Array, from?: string) => Promise<Message | undefined>
}

/** All ways to ask a responder. */
export function asking(responder: Responder): Asking {
  const udp = memory(responder)
  return {
    responder,
    ask: makeAsk(udp),
    askTcp: makeAsk(memory(responder, 'tcp')),
    askDot: makeAsk(memory(responder, 'dot')),
    askDoh: makeAsk(memory(responder, 'doh')),
    async tell(bytes, from) {
      const reply = await udp.send(bytes, from)
      if (reply === undefined) return undefined
      const message = decodeMessage(reply)
      if (isFault(message)) throw new Error(message.fault)
      return message
    },
  }
}

export const { ask, askTcp, tell } = asking(node.responder)

/** An empty option of each code, by which a client asks for it. */
export const asksFor = (...codes: readonly number[]): { readonly options: EdnsOption[] } => ({
  options: codes.map((code) => ({ code, data: new Uint8Array(0) })),
})

/** The data of a message's options with this code, in hexadecimal. */
export const optionsIn = ({ edns }: Message, code: number): string[] =>
  (edns?.options ?? []).filter((option) => option.code === code).map(({ data }) => Buffer.from(data).toString('hex'))

/** The same node with settings of the protocol. */
export function withProtocol(settings: Partial<Protocol>): Asking {
  const protocol = { ...PLAIN_PROTOCOL, ...settings }
  return asking(makeResponder(node.made.world, node.health, makeCounters(), protocol))
}

/** A zone's SOA in DNS text. */
export const soa = (zone: string, ttlSeconds: number): string =>
  `${zone}. ${ttlSeconds} IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60`

/** The zone's SOA as it stands in negative answers (RFC 2308 §3): its TTL is the minimum. */
export const SOA = soa('example.com', 60)
export const SOA_NET = soa('example.net', 60)
/** At steered names it lives no longer than the service's ttl.min. */
export const SOA_STEERED = soa('example.com', 15)
