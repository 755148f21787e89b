/** The node that the RFC tests ask, over memory: as UDP (`ask`) and as TCP (`askTcp`), and raw bytes for broken queries. */
import { type Message, decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { makeNode } from '../answer/fixture.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { ZONES } from './zones.ts'

export const node = await makeNode(ZONES)

const overUdp = memory(node.responder)
export const ask = makeAsk(overUdp)
export const askTcp = makeAsk(memory(node.responder, 'tcp'))

/** What comes back for any bytes: the message, or undefined for nothing. */
export async function tell(bytes: Uint8Array): Promise<Message | undefined> {
  const reply = await overUdp.send(bytes)
  if (reply === undefined) return undefined
  const message = decodeMessage(reply)
  if (isFault(message)) throw new Error(message.fault)
  return message
}

/** A zone's SOA in DNS text. */
export const soa = (zone: string, ttlSeconds: number): string =>
  `${zone}. ${ttlSeconds} IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60`

/** The zone's SOA as it stands in negative answers (RFC 2308 §3): its TTL is the minimum. */
export const SOA = soa('example.com', 60)
export const SOA_NET = soa('example.net', 60)
/** At steered names it lives no longer than the service's ttl.min. */
export const SOA_STEERED = soa('example.com', 15)
