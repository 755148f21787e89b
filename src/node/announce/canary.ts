/**
 * The canary: a query as clients send it, to each address that a node listens on, over UDP and over TCP, through the same
 * sockets and answering threads. Asked by Announcer, outside of the process that is asked where that is possible.
 */
import { randomInt } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { Config } from '../../config.ts'
import { familyOf, formatAddress, parseAddress, parsePrefix, type Prefix } from '../../dns/address.ts'
import { exchangeOnce } from '../../dns/exchange.ts'
import { encodeQuery } from '../../dns/message.ts'
import { isWithin } from '../../server/proxy.ts'
import { type Endpoint, formatEndpoint } from '../../units.ts'

/** One way on which queries come in. */
export interface Canary {
  /** `192.0.2.53:53 over UDP` */
  readonly name: string
  /** Asks for the SOA of a zone. Resolves to undefined: answered; or to why it is not, within `timeoutMs`. */
  ask(zone: string, timeoutMs: number): Promise<string | undefined>
}

/** The canaries of a node. A wildcard address is asked by loopback, and by the announced addresses of its family. */
export function canariesOf(config: Pick<Config, 'listen' | 'announce.addresses' | 'proxy.from'>): Canary[] {
  const proxies = config['proxy.from'].flatMap((text) => parsePrefix(text) ?? [])
  const endpoints = config.listen.flatMap(({ address, port }): readonly Endpoint[] => {
    if (!isWildcard(address)) return [{ address, port }]
    const family = familyOf(address)
    const announced = config['announce.addresses'].map((one) => one.address)
    const asked = [family === 4 ? '127.0.0.1' : '::1', ...announced.filter((one) => familyOf(one) === family)]
    return asked.map((one) => ({ address: one, port }))
  })
  return endpoints.flatMap((endpoint) =>
    (['udp', 'tcp'] as const).map((over) => ({
      name: `${formatEndpoint(endpoint)} over ${over.toUpperCase()}`,
      ask: (zone: string, timeoutMs: number) => askOnce(endpoint, over, zone, timeoutMs, proxies),
    })),
  )
}

/** Whether it stands for all addresses of its family. */
export const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** PROXY protocol, version 2, command LOCAL: the proxy itself asks (proxy-protocol.txt §2.2). */
const LOCAL = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x20, 0, 0, 0)

async function askOnce(
  endpoint: Endpoint,
  over: 'udp' | 'tcp',
  zone: string,
  timeoutMs: number,
  proxies: readonly Prefix[],
): Promise<string | undefined> {
  // elsewhere another node of the same anycast address may answer
  if (!isHere(endpoint.address)) return 'this machine does not have the address'
  const query = encodeQuery({ name: zone, type: 'SOA', id: randomInt(65_536) })
  const bytes = parseAddress(endpoint.address)!
  const head = isWithin(proxies, bytes, 0, bytes.length === 4 ? 4 : 6) ? LOCAL : undefined
  const reply = await exchangeOnce(endpoint, query, over, timeoutMs, head)
  if (typeof reply === 'string') return reply
  // whatever else it answers, the zone may just have gone
  return reply.rcode === 'SERVFAIL' ? 'it answers SERVFAIL' : undefined
}

function isHere(address: string): boolean {
  if (address.startsWith('127.')) return true
  const wanted = formatAddress(parseAddress(address)!)
  return Object.values(networkInterfaces()).some((all) =>
    all?.some((one) => {
      const bytes = parseAddress(one.address)
      return bytes !== undefined && formatAddress(bytes) === wanted
    }),
  )
}
