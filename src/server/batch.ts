/**
 * The loop of an answering thread: receive a batch of packets, respond() to each, send a batch of replies. Nothing else
 * runs in the thread. Called by thread.ts; the system calls are those of linux/calls.ts. Each socket has one memory
 * arena, whose layout is fixed at the start:
 *
 *   received  64 × mmsghdr ─▶ name, iovec ─▶ query slot, control     what recvmmsg fills
 *   replies   64 × mmsghdr ─▶ iovec ─▶ reply slot                    what sendmmsg reads; name and control are those of
 *                                                                    the query, set for every reply: drops leave no gap
 *
 * Only the wait for packets blocks. Replies that the kernel does not take at once are dropped and counted.
 */
import type { respond as answer } from '../answer/answer.ts'
import { makeRequest, type Request, type Responder, UDP } from '../answer/responder.ts'
import { PAYLOAD_BYTES } from '../answer/response.ts'
import {
  C_PROXY_MALFORMED,
  C_SEND_FULL,
  C_SEND_REFUSED,
  C_SEND_UNRESOLVED,
  COUNTED_RCODES,
  COUNTED_TYPES,
  queryCell,
} from '../counters.ts'
import type { Linux } from '../linux/calls.ts'
import { errorName } from '../linux/libc.ts'
import {
  EAGAIN,
  EINTR,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_DATA_AT,
  EPOLL_EVENT_BYTES,
  EPOLLIN,
  MSG_DONTWAIT,
  MSG_WAITFORONE,
  SIOCOUTQ,
} from '../linux/numbers.ts'
import { Neighbours, type NeighbourTables } from './neighbours.ts'
import { isWithin, PROXY_HEADER_BYTES, proxiedFamily, proxiedPortAt, proxyHeaderSize } from './proxy.ts'
import { leaveGroup, type UdpSocket, WAIT_MS } from './sockets.ts'

/** Cell that the main thread writes: how many messages it has posted (≥ 1, the assignment included), or STOP, or LEAVE. */
export const SIGNAL = 0
/** Cell that the answering thread writes: it changes with every round. */
export const BEAT = 1
/** Cells of one thread: a whole cache line, so that threads do not slow each other down. */
export const THREAD_CELLS = 16
/** Signal: stop at once. */
export const STOP = -1
/** Signal: leave the sockets to a successor, answer what is queued, stop. */
export const LEAVE = -2

const BATCH = 64
/** Size of a query's slot. A query that fills it may be cut off and is dropped; no real query is nearly as long. */
const QUERY_BYTES = 1600
const REPLY_BYTES = 1344
/** The least that the kernel charges a socket for a reply on top of its bytes (sk_buff, headers, skb_shared_info). */
const OVERHEAD_BYTES = 640
// slots are an odd number of cache lines apart, so that their first lines do not compete for the same cache sets
const NAME_BYTES = 32
/** From the address of a sockaddr_in or sockaddr_in6 to its port. */
const SIN_PORT = -2
const SIN6_PORT = -6
const CONTROL_BYTES = 64
const IOVEC_BYTES = 16
const HEADER_BYTES = 64
const DROPPED = queryCell(UDP, COUNTED_TYPES.length - 1, COUNTED_RCODES.indexOf('dropped'))

// mmsghdr, in 32-bit words: pointers take two
const HEADER = HEADER_BYTES / 4
const H_NAME = 0
const H_NAME_BYTES = 2
const H_IOVEC = 4
const H_IOVECS = 6
const H_CONTROL = 8
const H_CONTROL_BYTES = 10
const H_FLAGS = 12
const H_RECEIVED = 14

/**
 * Answers on `sockets` until the main thread signals STOP or LEAVE. `adopt`: receives the messages that have come.
 */
export function serveBatches(
  calls: Linux,
  sockets: readonly UdpSocket[],
  cells: Int32Array,
  responder: Responder,
  respond: typeof answer,
  adopt: () => void,
  neighbours: NeighbourTables,
): void {
  const batches = sockets.map((socket) => new Batch(calls, socket, responder, respond, neighbours))
  const only = batches.length === 1 ? batches[0]! : undefined
  const poll = only === undefined ? new Poll(calls, sockets) : undefined
  let adopted = 0
  for (let beat = 1; ; beat++) {
    const signal = Atomics.load(cells, SIGNAL)
    if (signal !== adopted) {
      if (signal < 0) break
      adopt()
      adopted = signal
    }
    cells[BEAT] = beat
    // one socket needs no epoll: wait for its first packet, take what else is there
    if (only !== undefined) only.serve(MSG_WAITFORONE)
    else for (let left = poll!.wait(); left > 0; left--) batches[poll!.ready(left - 1)]!.serve(MSG_DONTWAIT)
  }
  if (Atomics.load(cells, SIGNAL) === LEAVE) for (const [i, batch] of batches.entries()) batch.leave(sockets[i]!)
  poll?.close()
}

/**
 * epoll over several sockets. Each socket with packets gets one batch in turn, so a busy one does not starve the
 * others.
 */
class Poll {
  readonly #calls: Linux
  readonly #epoll: number
  readonly #events = new ArrayBuffer(BATCH * EPOLL_EVENT_BYTES)
  readonly #ints = new Int32Array(this.#events)
  readonly #address: number

  constructor(calls: Linux, sockets: readonly UdpSocket[]) {
    this.#calls = calls
    this.#address = calls.addressOf(this.#events)
    this.#epoll = calls.epollCreate(EPOLL_CLOEXEC)
    for (const [i, { fd }] of sockets.entries()) {
      this.#ints[0] = EPOLLIN
      this.#ints[EPOLL_DATA_AT / 4] = i
      if (calls.epollCtl(this.#epoll, EPOLL_CTL_ADD, fd, this.#address) < 0)
        throw new Error(`epoll: ${errorName(calls)}`)
    }
  }

  /** How many sockets have packets; 0 after WAIT_MS. */
  wait(): number {
    return this.#calls.epollWait(this.#epoll, this.#address, BATCH, WAIT_MS)
  }

  /** Index of the socket of event i. */
  ready(i: number): number {
    return this.#ints[(i * EPOLL_EVENT_BYTES + EPOLL_DATA_AT) / 4]!
  }

  close(): void {
    this.#calls.close(this.#epoll)
  }
}

/** Reading, answering and replying on one socket. */
class Batch {
  readonly #calls: Linux
  readonly #responder: Responder
  readonly #respond: typeof answer
  readonly #request: Request
  readonly #fd: number
  readonly #family: 4 | 6
  /** Where the first query's client address begins in the arena. */
  readonly #clientAt: number
  readonly #neighbours: Neighbours
  /** The result of SIOCOUTQ. */
  readonly #outq = new Int32Array(1)
  readonly #outqAddress: number
  /** Bytes in the send buffer, with this batch's replies to unresolved neighbours; −1 before the first of those. */
  #queued = -1
  /** Size of a control block with the destination address of the query; 0 when the socket is bound to one address. */
  readonly #controlBytes: number
  /** Where the interface index is in a control block, in 32-bit words. */
  readonly #interfaceAt: number
  readonly #ints: Int32Array
  // where the parts of the arena begin, in bytes
  readonly #replies = BATCH * HEADER_BYTES
  readonly #iovecs = this.#replies + BATCH * HEADER_BYTES
  readonly #replyIovecs = this.#iovecs + BATCH * IOVEC_BYTES
  readonly #names = this.#replyIovecs + BATCH * IOVEC_BYTES
  readonly #controls = this.#names + BATCH * NAME_BYTES
  readonly #querySlots = this.#controls + BATCH * CONTROL_BYTES
  readonly #replySlots = this.#querySlots + BATCH * QUERY_BYTES
  /** Address of the arena, for the kernel. The typed arrays above keep the arena reachable. */
  readonly #address: number

  constructor(
    calls: Linux,
    socket: UdpSocket,
    responder: Responder,
    respond: typeof answer,
    neighbours: NeighbourTables,
  ) {
    this.#calls = calls
    this.#responder = responder
    this.#respond = respond
    this.#fd = socket.fd
    this.#family = socket.family
    this.#clientAt = this.#names + (socket.family === 4 ? 4 : 8)
    this.#neighbours = new Neighbours(neighbours, socket.family)
    this.#outqAddress = calls.addressOf(this.#outq.buffer)
    this.#controlBytes = !socket.wildcard ? 0 : socket.family === 4 ? 32 : 40
    this.#interfaceAt = socket.family === 4 ? 4 : 8
    const arena = new ArrayBuffer(this.#replySlots + BATCH * REPLY_BYTES)
    const bytes = new Uint8Array(arena)
    const { family } = socket
    const portAt = family === 4 ? SIN_PORT : SIN6_PORT
    this.#request = makeRequest({ input: bytes, client: bytes, family, portAt, output: bytes, room: PAYLOAD_BYTES })
    this.#ints = new Int32Array(arena)
    this.#address = calls.addressOf(arena)
    this.#layOut(arena)
  }

  /** Writes the parts of the arena that never change. */
  #layOut(arena: ArrayBuffer): void {
    const ints = this.#ints
    const pointers = new BigInt64Array(arena)
    const point = (word: number, at: number): void => void (pointers[word / 2] = BigInt(this.#address + at))
    for (let i = 0; i < BATCH; i++) {
      const header = i * HEADER
      point(header + H_NAME, this.#names + i * NAME_BYTES)
      // the exact size that the kernel writes, so that it need not be set again
      ints[header + H_NAME_BYTES] = this.#family === 4 ? 16 : 28
      point(header + H_IOVEC, this.#iovecs + i * IOVEC_BYTES)
      ints[header + H_IOVECS] = 1
      if (this.#controlBytes > 0) point(header + H_CONTROL, this.#controls + i * CONTROL_BYTES)
      point((this.#iovecs + i * IOVEC_BYTES) / 4, this.#querySlots + i * QUERY_BYTES)
      ints[(this.#iovecs + i * IOVEC_BYTES) / 4 + 2] = QUERY_BYTES
      const reply = this.#replies / 4 + header
      ints[reply + H_NAME_BYTES] = this.#family === 4 ? 16 : 28
      point(reply + H_IOVEC, this.#replyIovecs + i * IOVEC_BYTES)
      ints[reply + H_IOVECS] = 1
      point((this.#replyIovecs + i * IOVEC_BYTES) / 4, this.#replySlots + i * REPLY_BYTES)
    }
    this.#expect(BATCH)
  }

  /** Sets the size of the first `count` control blocks again: the kernel overwrites it with what it used. */
  #expect(count: number): void {
    for (let i = 0; i < count; i++) this.#ints[i * HEADER + H_CONTROL_BYTES] = this.#controlBytes
  }

  /** Serves one batch; returns the number of packets received. */
  serve(flags: number): number {
    const received = this.#calls.recvmmsg(this.#fd, this.#address, BATCH, flags, 0)
    if (received <= 0) return this.#nothing()
    const responder = this.#responder
    const respond = this.#respond
    const request = this.#request
    const ints = this.#ints
    const neighbours = this.#neighbours
    const client = this.#clientAt / 4
    this.#queued = -1
    responder.nowMs = Date.now()
    const hasProxies = responder.protocol.proxies.length > 0
    let replies = 0
    let header = 0
    let reply = this.#replies / 4
    for (let i = 0; i < received; i++, header += HEADER) {
      const length = ints[header + H_RECEIVED]!
      request.at = this.#querySlots + i * QUERY_BYTES
      request.length = length
      request.clientAt = this.#clientAt + i * NAME_BYTES
      request.outAt = this.#replySlots + replies * REPLY_BYTES
      const size =
        length >= QUERY_BYTES ? this.#dropLong() : hasProxies ? this.#answerProxied() : respond(responder, request)
      let chance = responder.chance
      chance ^= chance << 13
      chance ^= chance >>> 17
      responder.chance = chance ^ (chance << 5)
      if (size === 0) continue
      if (neighbours.isUnresolved(ints, client + (i * NAME_BYTES) / 4) && !this.#hasRoom(size)) continue
      ints[(this.#replyIovecs + replies * IOVEC_BYTES) / 4 + 2] = size
      ints[reply + H_NAME] = ints[header + H_NAME]!
      ints[reply + H_NAME + 1] = ints[header + H_NAME + 1]!
      if (this.#controlBytes > 0) this.#replyFromAsked(header, reply, i)
      reply += HEADER
      replies++
    }
    if (this.#controlBytes > 0) this.#expect(received)
    if (replies > 0) this.#send(replies)
    return received
  }

  /**
   * Sends from the address that was asked: reuses the control block, without the interface, so that routing decides.
   */
  #replyFromAsked(header: number, reply: number, i: number): void {
    const ints = this.#ints
    ints[reply + H_CONTROL] = ints[header + H_CONTROL]!
    ints[reply + H_CONTROL + 1] = ints[header + H_CONTROL + 1]!
    ints[reply + H_CONTROL_BYTES] = ints[header + H_CONTROL_BYTES]!
    ints[(this.#controls + i * CONTROL_BYTES) / 4 + this.#interfaceAt] = 0
    ints[header + H_FLAGS] = 0
  }

  /** Answers a packet that may come from a proxy: it begins with a header then, which names the client. */
  #answerProxied(): number {
    const responder = this.#responder
    const request = this.#request
    const { input, at, length, clientAt } = request
    const { portAt } = request
    const family = this.#family
    if (!isWithin(responder.protocol.proxies, input, clientAt, family)) return this.#respond(responder, request)
    const size = length < PROXY_HEADER_BYTES ? 0 : proxyHeaderSize(input, at)
    const named = size === 0 || size > length ? undefined : proxiedFamily(input, at, size, false)
    if (named === undefined) {
      responder.counters[C_PROXY_MALFORMED]!++
      return 0
    }
    request.at = at + size
    request.length = length - size
    if (named !== 0) {
      request.clientAt = at + PROXY_HEADER_BYTES
      request.family = named
      request.portAt = proxiedPortAt(named)
    }
    const answer = this.#respond(responder, request)
    request.family = family
    request.portAt = portAt
    return answer
  }

  #dropLong(): number {
    this.#responder.counters[DROPPED]!++
    return 0
  }

  /** Whether a reply to an unresolved neighbour may be sent; counts it if not. */
  #hasRoom(size: number): boolean {
    if (this.#queued < 0) {
      const known = this.#calls.ioctl(this.#fd, SIOCOUTQ, this.#outqAddress) === 0
      this.#queued = known ? this.#outq[0]! : 0
    }
    const queued = this.#queued + size + OVERHEAD_BYTES
    if (queued > this.#neighbours.room()) {
      this.#responder.counters[C_SEND_UNRESOLVED]!++
      return false
    }
    this.#queued = queued
    return true
  }

  /**
   * Sends replies. One that cannot be sent (client port 0, a firewall) is skipped and counted. When the send buffer is
   * full, the rest of the batch is dropped, because waiting for room would delay all other clients.
   */
  #send(replies: number): void {
    const calls = this.#calls
    for (let sent = 0; sent < replies;) {
      const address = this.#address + this.#replies + sent * HEADER_BYTES
      const count = calls.sendmmsg(this.#fd, address, replies - sent, MSG_DONTWAIT)
      if (count > 0) {
        sent += count
        continue
      }
      const errno = calls.errno()
      if (errno === EAGAIN) {
        this.#responder.counters[C_SEND_FULL]! += replies - sent
        return
      }
      if (errno === EINTR) continue
      this.#responder.counters[C_SEND_REFUSED]!++
      sent++
    }
  }

  /** After a receive without packets. Throws on any error but a timeout: the socket or arena is broken. */
  #nothing(): number {
    const errno = this.#calls.errno()
    if (errno !== EAGAIN && errno !== EINTR) throw new Error(`recvmmsg: ${errorName(this.#calls)}`)
    return 0
  }

  /**
   * Leaves the SO_REUSEPORT group and answers what is queued. It reads twice, for a packet that was on its way
   * meanwhile.
   */
  leave(socket: UdpSocket): void {
    leaveGroup(this.#calls, socket)
    for (let round = 0; round < 2; round++) while (this.serve(MSG_DONTWAIT) > 0);
  }
}
