/**
 * System calls that Node does not have, through koffi, for batched UDP and netlink. A wrong number in this file is a
 * segfault. Memory addresses are numbers: the caller must keep a buffer reachable for as long as the kernel may use it.
 */
import { parseAddress } from '../dns/address.ts'
import { messageOf } from '../problem.ts'
import { loadLibc } from './libc.ts'
import { AF_INET, AF_INET6, ENOSYS, F_DUPFD_CLOEXEC } from './numbers.ts'

/** The system calls, as in their man pages: −1 means an error, see errno(). */
export interface Linux {
  socket(family: number, type: number, protocol: number): number
  setsockopt(fd: number, level: number, name: number, value: number, size: number): number
  getsockopt(fd: number, level: number, name: number, value: number, size: number): number
  bind(fd: number, address: number, size: number): number
  connect(fd: number, address: number, size: number): number
  listen(fd: number, backlog: number): number
  getsockname(fd: number, address: number, size: number): number
  close(fd: number): number
  /** Another descriptor of the same open file, at least `least`, closed on exec. */
  duplicate(fd: number, least: number): number
  epollCreate(flags: number): number
  epollCtl(epoll: number, operation: number, fd: number, event: number): number
  epollWait(epoll: number, events: number, count: number, timeoutMs: number): number
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number
  sendmmsg(fd: number, messages: number, count: number, flags: number): number
  send(fd: number, bytes: number, size: number, flags: number): number
  recv(fd: number, bytes: number, size: number, flags: number): number
  ioctl(fd: number, request: number, argument: number): number
  /** The error number of the last call that returned −1. */
  errno(): number
  /**
   * The address of a buffer. The buffer stays reachable for the next RECENT calls of addressOf(), enough for a single
   * call.
   */
  addressOf(buffer: ArrayBuffer): number
}

const RECENT = 8

/** The system calls, or why they are not available: then the portable form of UDP serves. */
export const linux: Linux | { readonly missing: string } = await load()

async function load(): Promise<Linux | { readonly missing: string }> {
  if (process.platform !== 'linux') return { missing: `recvmmsg is Linux's, this is ${process.platform}` }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    return { missing: `struct layouts are known for x64 and arm64, this is ${process.arch}` }
  }
  try {
    const { libc, errno, addressOf } = await loadLibc()
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
      errno,
      addressOf: (buffer) => {
        recent[next++ % RECENT] = buffer
        return addressOf(buffer)
      },
    }
    if (calls.recvmmsg(-1, 0, 0, 0, 0) < 0 && calls.errno() === ENOSYS) return { missing: 'no recvmmsg here' }
    return calls
  } catch (error) {
    return { missing: `koffi can't be loaded: ${messageOf(error)}` }
  }
}

/** A sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes). Throws when `address` is no IP address. */
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
