/**
 * Sockets of the batched form. The main thread makes and binds them; answering threads get descriptor numbers. So a
 * thread that dies closes no socket: its replacement goes on with the same ones and the packets queued in them.
 *
 * Two servers on one port would silently share its traffic. So the first socket of an address is bound without
 * SO_REUSEPORT, which fails if another process has the port, and gets the option afterwards. In a takeover it gets the
 * option before.
 */
import { familyOf } from '../dns/address.ts'
import { type Linux, makeSockaddr } from '../linux/calls.ts'
import { errorName } from '../linux/libc.ts'
import {
  AF_INET,
  AF_INET6,
  IP_MTU_DISCOVER,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_MTU_DISCOVER,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  PMTUDISC_OMIT,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_USER_TIMEOUT,
} from '../linux/numbers.ts'
import type { Endpoint } from '../units.ts'
import { BACKLOG, ListenError } from './front.ts'

/** A UDP socket, as posted to a thread. */
export interface UdpSocket {
  readonly fd: number
  readonly family: 4 | 6
  /** Bound to all addresses: each packet carries its destination address, and the reply is sent from that one. */
  readonly wildcard: boolean
}

/** The sockets of one listen address. */
export interface BoundEndpoint {
  /** With the real port. */
  readonly endpoint: Endpoint
  /** One for each thread. */
  readonly udp: readonly UdpSocket[]
  /** Descriptor of a listening socket: connections wait in the kernel until a thread accepts them. */
  readonly tcp: number
}

/** Bytes: some 5,000 packets, for the time in which a thread is replaced. The kernel's default holds 256. */
export const RECEIVE_BUFFER = 4 << 20
/**
 * Bytes that the kernel may buffer for a TCP connection in each direction; it doubles both for its own overhead. By
 * default it buffers up to 4 MB of output and 6 MB of input of each.
 */
const TCP_SEND_BUFFER = 16 << 10
const TCP_RECEIVE_BUFFER = 8 << 10
/** After this time the kernel drops a connection whose client takes no data, even one that is closed here already. */
const TCP_UNREAD_MS = 3_000
/**
 * Bytes of replies on their way to a link. The kernel's default holds 270 small ones, and refuses all when it is full.
 */
export const SEND_BUFFER = 4 << 20
/** How long a blocking receive waits before the loop beats and checks for signals. */
export const WAIT_MS = 50
const PORT_TRIES = 20

/** Binds one TCP socket and `threads` UDP sockets on each endpoint. Throws ListenError, with nothing left open. */
export function bindAll(
  calls: Linux,
  listen: readonly Endpoint[],
  threads: number,
  takeover: boolean,
): readonly BoundEndpoint[] {
  const open: number[] = []
  try {
    return listen.map((endpoint) => bindEndpoint(calls, endpoint, threads, takeover, open))
  } catch (error) {
    for (const fd of open) calls.close(fd)
    throw error
  }
}

/** Binds one endpoint. With port 0, UDP uses the port that TCP got; if it is taken, both try again with another. */
function bindEndpoint(
  calls: Linux,
  asked: Endpoint,
  threads: number,
  takeover: boolean,
  open: number[],
): BoundEndpoint {
  for (let tries = 1; ; tries++) {
    const tcp = bindSocket(calls, asked, SOCK_STREAM, takeover, open)
    const endpoint = { ...asked, port: portOf(calls, tcp) }
    try {
      const udp: UdpSocket[] = []
      for (let i = 0; i < threads; i++) {
        const fd = bindSocket(calls, endpoint, SOCK_DGRAM, takeover || i > 0, open)
        udp.push({ fd, family: familyOf(endpoint.address), wildcard: isWildcard(endpoint) })
      }
      return { endpoint, udp, tcp }
    } catch (error) {
      if (asked.port !== 0 || tries === PORT_TRIES) throw error
    }
  }
}

/** Whether an endpoint's address means all addresses: `0.0.0.0`, `::`. */
export const isWildcard = ({ address }: Endpoint): boolean => /^[0.]+$|^[0:]+$/.test(address)

function bindSocket(
  calls: Linux,
  endpoint: Endpoint,
  type: typeof SOCK_STREAM | typeof SOCK_DGRAM,
  shared: boolean,
  open: number[],
): number {
  const fail = (): never => {
    throw new ListenError(endpoint, type === SOCK_STREAM ? 'TCP' : 'UDP', errorName(calls))
  }
  const v6 = familyOf(endpoint.address) === 6
  const fd = calls.socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0)
  if (fd < 0) fail()
  open.push(fd)
  if (v6) setOption(calls, fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)
  if (type === SOCK_STREAM) prepareTcp(calls, fd)
  else prepareUdp(calls, fd, v6, isWildcard(endpoint))
  if (shared) setOption(calls, fd, SOL_SOCKET, SO_REUSEPORT, 1)
  const address = makeSockaddr(endpoint.address, endpoint.port)
  if (calls.bind(fd, calls.addressOf(address), address.byteLength) < 0) fail()
  setOption(calls, fd, SOL_SOCKET, SO_REUSEPORT, 1)
  if (type === SOCK_STREAM && calls.listen(fd, BACKLOG) < 0) fail()
  return fd
}

/** Sets the options of a listening socket; accepted connections inherit them. */
function prepareTcp(calls: Linux, fd: number): void {
  // connections of a server that has just ended must not block the port
  setOption(calls, fd, SOL_SOCKET, SO_REUSEADDR, 1)
  setOption(calls, fd, SOL_SOCKET, SO_SNDBUF, TCP_SEND_BUFFER)
  setOption(calls, fd, SOL_SOCKET, SO_RCVBUF, TCP_RECEIVE_BUFFER)
  setOption(calls, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_UNREAD_MS)
}

function prepareUdp(calls: Linux, fd: number, v6: boolean, wildcard: boolean): void {
  if (!setOption(calls, fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)) {
    setOption(calls, fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)
  }
  if (!setOption(calls, fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER)) {
    setOption(calls, fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
  }
  const timeval = new BigInt64Array([0n, BigInt(WAIT_MS * 1000)])
  calls.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, calls.addressOf(timeval.buffer), timeval.byteLength)
  if (v6) setOption(calls, fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_OMIT)
  else setOption(calls, fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_OMIT)
  if (wildcard && v6) setOption(calls, fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
  else if (wildcard) setOption(calls, fd, IPPROTO_IP, IP_PKTINFO, 1)
}

function setOption(calls: Linux, fd: number, level: number, name: number, value: number): boolean {
  const cell = new Int32Array([value])
  return calls.setsockopt(fd, level, name, calls.addressOf(cell.buffer), 4) === 0
}

/**
 * Another descriptor of the same socket, which lives until both are closed. Throws when the process has no more
 * descriptors.
 */
export function duplicate(calls: Linux, fd: number): number {
  const other = calls.duplicate(fd, 0)
  if (other < 0) throw new Error(`no other descriptor for a socket: ${errorName(calls)}`)
  return other
}

function portOf(calls: Linux, fd: number): number {
  const address = new Uint8Array(28)
  const size = new Int32Array([28])
  calls.getsockname(fd, calls.addressOf(address.buffer), calls.addressOf(size.buffer))
  return (address[2]! << 8) | address[3]!
}

/** Size of the receive buffer that the kernel granted, in bytes, without the overhead for which it doubles the size. */
export const receiveBufferOf = (calls: Linux, fd: number): number => bufferOf(calls, fd, SO_RCVBUF)
/** The same for the send buffer. */
export const sendBufferOf = (calls: Linux, fd: number): number => bufferOf(calls, fd, SO_SNDBUF)

function bufferOf(calls: Linux, fd: number, option: number): number {
  const cell = new Int32Array([0])
  const size = new Int32Array([4])
  calls.getsockopt(fd, SOL_SOCKET, option, calls.addressOf(cell.buffer), calls.addressOf(size.buffer))
  return cell[0]! / 2
}

/**
 * Directs new packets to the other sockets of this one's SO_REUSEPORT group: a connected socket receives packets of its
 * peer only, and this peer never sends any. What is queued already can still be read.
 */
export function leaveGroup(calls: Linux, socket: UdpSocket): void {
  const address = makeSockaddr(socket.family === 4 ? '127.255.255.254' : '::1', 9)
  calls.connect(socket.fd, calls.addressOf(address), address.byteLength)
}

/**
 * Directs new connections to the successor's listener, by a BPF program of one instruction: “socket 1 of the group”.
 * This process has socket 0. If there is no socket 1, the kernel uses its hash. The program stays with the group and
 * does no harm.
 */
export function steerToSuccessor(calls: Linux, fd: number): void {
  const instruction = new Uint8Array([0x06, 0, 0, 0, 1, 0, 0, 0]) // BPF_RET | BPF_K, k = 1
  const program = new BigInt64Array([1n, BigInt(calls.addressOf(instruction.buffer))])
  calls.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, calls.addressOf(program.buffer), program.byteLength)
}
