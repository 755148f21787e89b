/**
 * UDP by node:dgram, for machines without recvmmsg or koffi: one socket for each address, in the main thread, with the
 * same respond(). It needs several times the CPU of the batched form, and no successor can take over from it. On a
 * wildcard address the kernel chooses the source address of replies, so operators should list the addresses.
 */
import { createSocket, type Socket } from 'node:dgram'
import { setImmediate } from 'node:timers/promises'
import type { respond } from '../answer/answer.ts'
import type { Protocol } from '../answer/protocol.ts'
import { makeRequest, makeResponder, type Request, type Responder } from '../answer/responder.ts'
import { PAYLOAD_BYTES } from '../answer/response.ts'
import type { World } from '../answer/world.ts'
import { C_PROXY_MALFORMED, C_SEND_FULL, C_SEND_REFUSED, makeCounters } from '../counters.ts'
import { familyOf, parsePeer, withPort } from '../dns/address.ts'
import type { HealthTable } from '../health/table.ts'
import { type Recording, respondWith } from '../querylog/ring.ts'
import type { Endpoint } from '../units.ts'
import { type Front, ListenError } from './front.ts'
import { isWithin, PROXY_HEADER_BYTES, proxiedFamily, proxiedPortAt, proxyHeaderSize } from './proxy.ts'
import type { UdpStats } from './threads.ts'

/** Bytes of each receive buffer, and of each send buffer. */
const BUFFER = 4 << 20
/** How many replies node:dgram may queue when the kernel takes no more; further ones are dropped. */
const MAX_QUEUED = 64

/** Binds a UDP socket. Rejects with ListenError. */
export async function bindPortable(endpoint: Endpoint): Promise<Socket> {
  const v6 = familyOf(endpoint.address) === 6
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6 })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close()
      reject(new ListenError(endpoint, 'UDP', error.code ?? error.message))
    })
    socket.bind({ ...endpoint, exclusive: true }, resolve)
  })
  socket.removeAllListeners('error')
  return socket
}

/** Enlarges a socket's buffers. Returns the bytes that the kernel granted; it reports twice as many. */
function widen(socket: Socket): { readonly receive: number; readonly send: number } {
  try {
    socket.setRecvBufferSize(BUFFER)
    socket.setSendBufferSize(BUFFER)
  } catch {
    // more than the kernel allows: its own sizes stay
  }
  return { receive: socket.getRecvBufferSize() / 2, send: socket.getSendBufferSize() / 2 }
}

/** The front end of UDP by node:dgram. */
export class PortableUdp implements Front {
  readonly #sockets: readonly Socket[]
  readonly #responder: Responder
  readonly #respond: typeof respond
  readonly #reply = new Uint8Array(PAYLOAD_BYTES)
  readonly #reason: string | undefined
  readonly #receiveBuffer: number
  readonly #sendBuffer: number
  #answered = 0

  /**
   * `reason`: why the batched form is not available; undefined when this form was asked for. Without `recording` queries
   * are not recorded.
   */
  constructor(
    sockets: readonly Socket[],
    { world, protocol, health }: { readonly world: World; readonly protocol: Protocol; readonly health: HealthTable },
    reason: string | undefined,
    recording?: Recording,
  ) {
    this.#sockets = sockets
    this.#respond = respondWith(recording)
    this.#responder = makeResponder(world, health, makeCounters(), {
      ...protocol,
      limits: protocol.limits && { ...protocol.limits, threads: 1 },
    })
    this.#reason = reason
    const buffers = sockets.map(widen)
    this.#receiveBuffer = Math.min(...buffers.map(({ receive }) => receive))
    this.#sendBuffer = Math.min(...buffers.map(({ send }) => send))
    for (const socket of sockets) {
      socket.on('error', () => this.#responder.counters[C_SEND_REFUSED]!++)
      socket.on('message', (query, { address, port }) => this.#answer(socket, query, address, port))
    }
  }

  #answer(socket: Socket, query: Uint8Array, address: string, port: number): void {
    const peer = parsePeer(address)
    if (peer === undefined) return
    const client = withPort(peer, port)
    const family = peer.length === 4 ? 4 : 6
    this.#answered++
    const responder = this.#responder
    responder.nowMs = Date.now()
    responder.chance = Math.floor(Math.random() * 0x1_0000_0000) | 0
    const reply = this.#reply
    const request = makeRequest({ input: query, client, family, portAt: peer.length, output: reply })
    const size = this.#takeHeader(request) ? this.#respond(responder, request) : 0
    if (size === 0) return
    // node:dgram queues without limit what the kernel does not take at once
    if (socket.getSendQueueCount() >= MAX_QUEUED) {
      responder.counters[C_SEND_FULL]!++
      return
    }
    const refused = (): void => void responder.counters[C_SEND_REFUSED]!++
    try {
      socket.send(reply.slice(0, size), port, address, (error) => {
        if (error !== null) refused()
      })
    } catch {
      refused() // for port 0 send() throws instead of calling back
    }
  }

  /** Of a packet from a proxy, takes the header before the query. Returns false if it is malformed. */
  #takeHeader(request: Request): boolean {
    const { protocol, counters } = this.#responder
    const { input, client, family, length } = request
    if (!isWithin(protocol.proxies, client, 0, family)) return true
    const size = length < PROXY_HEADER_BYTES ? 0 : proxyHeaderSize(input, 0)
    const named = size === 0 || size > length ? undefined : proxiedFamily(input, 0, size, false)
    if (named === undefined) counters[C_PROXY_MALFORMED]!++
    else {
      request.at = size
      request.length = length - size
      if (named !== 0) {
        const portAt = proxiedPortAt(named)
        Object.assign(request, { client: input, clientAt: PROXY_HEADER_BYTES, family: named, portAt })
      }
    }
    return named !== undefined
  }

  publish(world: World): void {
    this.#responder.world = world
  }

  setProtocol(protocol: Protocol): void {
    this.#responder.protocol = protocol
  }

  counters(): readonly Float64Array[] {
    return [this.#responder.counters]
  }

  /** It has no thread of its own. */
  beats(): readonly number[] {
    return []
  }

  stats(): UdpStats {
    return {
      form: 'portable',
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      threads: 0,
      died: 0,
      stalled: 0,
      receiveBuffer: this.#receiveBuffer,
      sendBuffer: this.#sendBuffer,
    }
  }

  /** Closes the sockets after the queries in their buffers are answered. */
  async stop(drainMs: number): Promise<void> {
    const deadline = performance.now() + drainMs
    for (let before = -1; before !== this.#answered && performance.now() < deadline;) {
      before = this.#answered
      await setImmediate()
      await setImmediate()
    }
    await Promise.all(this.#sockets.map((socket) => new Promise<void>((resolve) => socket.close(resolve))))
  }
}
