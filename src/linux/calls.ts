/**
 * The system calls of batched UDP, through koffi: the one file where a wrong number is a segfault. Addresses of memory
 * are numbers; whoever passes one keeps the buffer reachable for as long as the kernel may use it.
 *
 * Numbers and layouts are those of 64-bit little-endian Linux, glibc and musl alike. x86-64 and arm64 differ in one:
 * epoll_event is packed (12 bytes) on x86-64, 16 bytes elsewhere.
 */
import { getSystemErrorName } from 'node:util'
import { parseAddress } from '../dns/address.ts'

export interface Linux {
  socket(family: number, type: number, protocol: number): number
  setsockopt(fd: number, level: number, name: number, value: number, size: number): number
  getsockopt(fd: number, level: number, name: number, value: number, size: number): number
  bind(fd: number, address: number, size: number): number
  connect(fd: number, address: number, size: number): number
  listen(fd: number, backlog: number): number
  getsockname(fd: number, address: number, size: number): number
  close(fd: number): number
  /** Another descriptor of the same file, not below `least`, closed on exec. */
  duplicate(fd: number, least: number): number
  epollCreate(flags: number): number
  epollCtl(epoll: number, operation: number, fd: number, event: number): number
  epollWait(epoll: number, events: number, count: number, timeoutMs: number): number
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number
  sendmmsg(fd: number, messages: number, count: number, flags: number): number
  send(fd: number, bytes: number, size: number, flags: number): number
  recv(fd: number, bytes: number, size: number, flags: number): number
  ioctl(fd: number, request: number, argument: number): number
  /** Of the last call that returned −1. */
  errno(): number
  /** Where the bytes of a buffer are. It stays reachable for the next RECENT calls of this: a one-off needs no more. */
  addressOf(buffer: ArrayBuffer): number
}

export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_REUSEADDR = 2
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_REUSEPORT = 15
export const SO_RCVTIMEO = 20
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_ATTACH_REUSEPORT_CBPF = 51
export const IPPROTO_IP = 0
export const IP_PKTINFO = 8
export const IP_MTU_DISCOVER = 10
export const IPPROTO_TCP = 6
export const TCP_USER_TIMEOUT = 18
export const IPPROTO_IPV6 = 41
export const IPV6_MTU_DISCOVER = 23
export const IPV6_V6ONLY = 26
export const IPV6_RECVPKTINFO = 49
/** Neither trusts ICMP about the path nor sets DF: answers fit any path, and forged ICMP can't shrink them. */
export const PMTUDISC_OMIT = 5
const F_DUPFD_CLOEXEC = 1030
/** ioctl: bytes that a socket's send buffer holds, the kernel's overhead counted in. */
export const SIOCOUTQ = 0x5411
export const NETLINK_ROUTE = 0
export const MSG_DONTWAIT = 0x40
export const MSG_WAITFORONE = 0x10000
export const EPOLL_CLOEXEC = 0o2000000
export const EPOLL_CTL_ADD = 1
export const EPOLLIN = 1
export const EPOLL_EVENT_BYTES = process.arch === 'x64' ? 12 : 16
/** Of epoll_event's data within it. */
export const EPOLL_DATA_AT = process.arch === 'x64' ? 4 : 8
export const EINTR = 4
export const EAGAIN = 11
export const ENOSYS = 38

const RECENT = 8

/** Either the calls, or why there are none: then the portable form serves. */
export const linux: Linux | { readonly missing: string } = await load()

async function load(): Promise<Linux | { readonly missing: string }> {
  if (process.platform !== 'linux') return { missing: `recvmmsg is Linux's, this is ${process.platform}` }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    return { missing: `struct layouts are known for x64 and arm64, this is ${process.arch}` }
  }
  try {
    const { default: koffi } = await import('koffi')
    const libc = koffi.load(null)
    const fcntl = libc.func('int fcntl(int fd, int command, ...)')
    const recent: ArrayBuffer[] = []
    let next = 0
    // pointers are declared as integers: a number costs less to pass than a BigInt
    const calls: Linux = {
      socket: libc.func('int socket(int family, int type, int protocol)'),
      setsockopt: libc.func('int setsockopt(int fd, int level, int name, int64_t value, uint32_t size)'),
      getsockopt: libc.func('int getsockopt(int fd, int level, int name, int64_t value, int64_t size)'),
      bind: libc.func('int bind(int fd, int64_t address, uint32_t size)'),
      connect: libc.func('int connect(int fd, int64_t address, uint32_t size)'),
      getsockname: libc.func('int getsockname(int fd, int64_t address, int64_t size)'),
      listen: libc.func('int listen(int fd, int backlog)'),
      close: libc.func('int close(int fd)'),
      duplicate: (fd, least) => fcntl(fd, F_DUPFD_CLOEXEC, 'int', least),
      epollCreate: libc.func('epoll_create1', 'int', ['int']),
      epollCtl: libc.func('epoll_ctl', 'int', ['int', 'int', 'int', 'int64_t']),
      epollWait: libc.func('epoll_wait', 'int', ['int', 'int64_t', 'int', 'int']),
      recvmmsg: libc.func('int recvmmsg(int fd, int64_t messages, uint32_t count, int flags, int64_t timeout)'),
      sendmmsg: libc.func('int sendmmsg(int fd, int64_t messages, uint32_t count, int flags)'),
      send: libc.func('int64_t send(int fd, int64_t bytes, uint64_t size, int flags)'),
      recv: libc.func('int64_t recv(int fd, int64_t bytes, uint64_t size, int flags)'),
      ioctl: libc.func('int ioctl(int fd, uint64_t request, int64_t argument)'),
      errno: () => koffi.errno(),
      addressOf: (buffer) => {
        recent[next++ % RECENT] = buffer
        return Number(koffi.address(buffer))
      },
    }
    if (calls.recvmmsg(-1, 0, 0, 0, 0) < 0 && calls.errno() === ENOSYS) return { missing: 'no recvmmsg here' }
    return calls
  } catch (error) {
    return { missing: `koffi can't be loaded: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** `EADDRINUSE` and so on, of the last call that returned −1. */
export const errorName = (calls: Linux): string => getSystemErrorName(-calls.errno())

/** sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes). */
export function makeSockaddr(address: string, port: number): ArrayBuffer {
  const ip = parseAddress(address)
  if (ip === undefined) throw new Error(`${address} is not an IP address`)
  const bytes = new Uint8Array(ip.length === 4 ? 16 : 28)
  bytes[0] = ip.length === 4 ? AF_INET : AF_INET6
  bytes[2] = port >>> 8
  bytes[3] = port & 255
  bytes.set(ip, ip.length === 4 ? 4 : 8)
  return bytes.buffer
}
