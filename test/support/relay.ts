/**
 * Stands between resolvers and a node and keeps what they say to each other. The node knows the resolvers' addresses by the
 * PROXY protocol, so it answers each of them as if nobody stood between.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { parseAddress } from '../../src/dns/address.ts'
import { decodeMessage, type Message } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import type { Endpoint } from '../../src/units.ts'

/** A query over UDP and what came back, or a connection over TCP. */
export interface Relayed {
  /** The resolver's address. */
  readonly from: string
  readonly over: 'udp' | 'tcp'
  readonly query?: Message
  readonly reply?: Message
  readonly replyBytes?: number
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a21', 'hex')

/** Names the client; `transport`: 1 stream, 2 datagram. */
function header(client: string, transport: 1 | 2): Buffer {
  const address = parseAddress(client)!
  return Buffer.concat([
    SIGNATURE,
    Buffer.from([0x10 | transport, 0, 12]),
    address,
    address,
    Buffer.from([4, 0, 0, 53]),
  ])
}

function decode(bytes: Uint8Array): Message {
  const message = decodeMessage(bytes)
  if (isFault(message)) throw new Error(message.fault)
  return message
}

export class Relay {
  readonly #node: Endpoint
  readonly #address: string
  readonly #open = new Set<Socket | Server>()
  readonly seen: Relayed[] = []

  constructor(address: string, node: Endpoint) {
    this.#address = address
    this.#node = node
  }

  /** Both transports. */
  async listen(port: number): Promise<void> {
    const udp = createSocket('udp4')
    const tcp = createServer((client) => {
      const node = connect({ host: this.#node.address, port: this.#node.port, localAddress: this.#address })
      const from = client.remoteAddress!
      this.seen.push({ from, over: 'tcp' })
      node.write(header(from, 1))
      client.pipe(node).pipe(client)
      for (const socket of [client, node]) socket.on('error', () => [client, node].forEach((one) => one.destroy()))
    })
    udp.on('message', (bytes, from) => this.#pass(bytes, from, udp))
    this.#open.add(udp).add(tcp)
    udp.bind(port, this.#address)
    tcp.listen(port, this.#address)
    await Promise.all([once(udp, 'listening'), once(tcp, 'listening')])
  }

  #pass(bytes: Buffer, { address: from, port }: RemoteInfo, udp: Socket): void {
    const socket = createSocket('udp4')
    const query = decode(bytes)
    socket.bind(0, this.#address)
    socket.send(Buffer.concat([header(from, 2), bytes]), this.#node.port, this.#node.address)
    this.#open.add(socket)
    socket.once('message', (answer) => {
      this.#open.delete(socket)
      socket.close()
      this.seen.push({ from, over: 'udp', query, reply: decode(answer), replyBytes: answer.length })
      udp.send(answer, port, from)
    })
  }

  close(): void {
    for (const one of this.#open) one.close()
  }
}
