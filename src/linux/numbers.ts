/**
 * Numbers of Linux's sockets, as its C headers have them: those of 64-bit little-endian Linux, glibc and musl alike.
 * x86-64 and arm64 differ in one: epoll_event is packed (12 bytes) on x86-64, 16 bytes elsewhere.
 */

export const AF_UNIX = 1
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
export const IPPROTO_ICMP = 1
export const IPPROTO_TCP = 6
export const TCP_USER_TIMEOUT = 18
export const IPPROTO_IPV6 = 41
export const IPPROTO_ICMPV6 = 58
export const IPV6_MTU_DISCOVER = 23
export const IPV6_V6ONLY = 26
export const IPV6_RECVPKTINFO = 49
/** Ignores path MTU from ICMP and does not set DF: answers fit any path, and forged ICMP cannot shrink them. */
export const PMTUDISC_OMIT = 5
export const F_DUPFD_CLOEXEC = 1030
/** ioctl request: how many bytes a socket's send buffer holds, with the kernel's overhead. */
export const SIOCOUTQ = 0x5411
/** madvise(2): the kernel may use pages of 2 MiB. */
export const MADV_HUGEPAGE = 14
export const NETLINK_ROUTE = 0
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const MSG_WAITFORONE = 0x10000
export const EPOLL_CLOEXEC = 0o2000000
export const EPOLL_CTL_ADD = 1
export const EPOLLIN = 1
export const EPOLL_EVENT_BYTES = process.arch === 'x64' ? 12 : 16
/** Offset of `data` in epoll_event, in bytes. */
export const EPOLL_DATA_AT = process.arch === 'x64' ? 4 : 8
export const EINTR = 4
export const EAGAIN = 11
export const ENOSYS = 38
