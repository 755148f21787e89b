/**
 * The check `dns`: one query over UDP, and an answer with the expected rcode and value. Each check has a socket of its
 * own, so its port is as random as its id; the socket is connected, so the kernel drops packets of other senders.
 * Packets that do not match the query are ignored, as a resolver does. A server that does not know EDNS is asked again
 * without it, as resolvers do (RFC 6891 §6.2.2, §7). dns2 decodes at most 1232 bytes: compression
 * pointers in a longer message could keep it busy for seconds.
 */
import { randomInt } from 'node:crypto'
import { Packet, type Resource } from 'dns2'
import { formatAddress, parseAddress } from '../../dns/address.ts'
import { isReplyTo, sendUdp } from '../../dns/exchange.ts'
import { encodeQuery } from '../../dns/message.ts'
import { rcodeName, typeNumber } from '../../dns/types.ts'
import { type Attempt, attempt, printable, type TargetOf } from './attempt.ts'
import type { Observation } from './observation.ts'

const REPLY_BYTES = 1232
type DnsCheck = TargetOf<'dns'>['check']

/**
 * Runs the check. Never rejects; ends within the check's timeout, and at once on a closed port (ICMP port unreachable).
 */
export function checkDns({ address, port, check }: TargetOf<'dns'>): Promise<Observation> {
  return attempt(check.timeoutMs, 'no answer', (self) => {
    const passedOver = self.count()
    let close: (() => void) | undefined
    const ask = (withEdns: boolean): void => {
      close?.()
      const question = { name: check.name, type: check.rrtype, id: randomInt(65_536), rd: true }
      const query = encodeQuery({ ...question, ...(withEdns && { edns: {} }) })
      close = sendUdp(
        { address, port },
        query,
        (reply) => {
          if (!isReplyTo(query, reply)) passedOver()
          else if (reply.length > REPLY_BYTES) self.fail(`answer of more than ${REPLY_BYTES} bytes`)
          else if (withEdns && refusesEdns(check, reply)) ask(false)
          else judge(check, reply, withEdns ? '' : ' (asked without EDNS)', self)
        },
        self.error,
      )
    }
    ask(true)
    return () => close?.()
  })
}

/** FORMERR is what a server says that does not know EDNS (RFC 6891 §7); some say NOTIMP. */
const EDNS_REFUSALS: readonly string[] = ['FORMERR', 'NOTIMP']

function refusesEdns({ rcodes }: DnsCheck, reply: Buffer): boolean {
  const rcode = rcodeName(reply[3]! & 15)
  return EDNS_REFUSALS.includes(rcode) && !rcodes.includes(rcode)
}

/** `how`: what is to say of the query. */
function judge(check: DnsCheck, reply: Buffer, how: string, self: Attempt): void {
  const packet = decode(reply)
  if (packet === undefined) return self.fail('no DNS spoken')
  const rcode = `${rcodeName(packet.header.rcode)}${how}`
  if (!check.rcodes.includes(rcodeName(packet.header.rcode))) {
    return self.fail(`${rcode}, expected ${check.rcodes.join(', ')}`)
  }
  if (check.value === undefined) return self.pass(rcode)
  const type = typeNumber(check.rrtype)
  const values = packet.answers.filter((record) => record.type === type).map(valueText)
  if (values.includes(check.value)) return self.pass(`${rcode}, ${check.value}`)
  const cut = packet.header.tc === 1 ? 'truncated, ' : ''
  const got = printable(values.toSorted().join(', '))
  return self.fail(`${rcode}, ${cut}${got === '' ? `no ${check.rrtype}` : got}, expected ${check.value}`)
}

function decode(reply: Buffer): Packet | undefined {
  try {
    const packet = Packet.parse(reply)
    const wrong = packet.errors.some(({ section, recovered }) => !recovered || section === 'answers')
    return wrong ? undefined : packet
  } catch {
    return undefined
  }
}

/** Presentation text as in the model; dns2 omits final dots. */
function valueText(record: Resource): string {
  const { address, data, priority, weight, port } = record
  const bytes = parseAddress(address ?? '')
  if (bytes !== undefined) return formatAddress(bytes)
  if (data !== undefined) return Array.isArray(data) ? data.join('') : data.toString()
  const { primary, admin, serial, refresh, retry, expiration, minimum } = record
  if (primary !== undefined) {
    return [name(primary), name(admin), serial, refresh, retry, expiration, minimum].join(' ')
  }
  if (record.target !== undefined) return [priority, weight, port, name(record.target)].join(' ')
  if (record.exchange !== undefined) return `${priority} ${name(record.exchange)}`
  return name(record.ns ?? record.domain)
}

const name = (text: string | undefined): string => `${(text ?? '').toLowerCase()}.`
