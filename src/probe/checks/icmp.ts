/**
 * The check `icmp`: an echo request and its reply (RFC 792, RFC 4443) over Linux's datagram ICMP socket, which needs no
 * privilege but a group within net.ipv4.ping_group_range (both families). Node cannot open one, so koffi does; then it
 * is a node:dgram socket. Each check has its own: the kernel gives it an identifier, delivers only its replies, and
 * reports a missing route as an error of this check alone.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { familyOf } from '../../dns/address.ts'
import type { Linux } from '../../linux/calls.ts'
import { errorName, loadLibc } from '../../linux/libc.ts'
import { AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_CLOEXEC, SOCK_DGRAM } from '../../linux/numbers.ts'
import { messageOf } from '../../problem.ts'
import { type Attempt, attempt, type TargetOf } from './attempt.ts'
import type { Observation } from './observation.ts'

const ECHO = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const
const HEADER_BYTES = 8
const PAYLOAD_BYTES = 24
const FORBIDDEN =
  "this host forbids ICMP to the prober's group; allow it with: sysctl -w net.ipv4.ping_group_range='0 2147483647'"

type Family = 4 | 6

type Calls = Pick<Linux, 'socket' | 'close' | 'errno'>

let loading: Promise<Calls | { readonly missing: string }> | undefined

/** Runs the check. Never rejects; ends within the check's timeout. */
export async function checkIcmp({ address, check }: TargetOf<'icmp'>): Promise<Observation> {
  const found = await (loading ??= load())
  return attempt(check.timeoutMs, 'no reply', (self) => {
    const family = familyOf(address)
    const socket = 'missing' in found ? self.unable(found.missing) : open(found, family, self)
    if (!socket) return () => {}
    const request = makeEcho(family, randomInt(65_536), randomBytes(PAYLOAD_BYTES))
    const passedOver = self.count()
    socket.on('message', (reply) => {
      if (isReplyTo(request, reply)) self.pass('reply')
      else passedOver()
    })
    socket.on('error', self.error)
    // a port means nothing here, but node:dgram wants one
    socket.send(request, 1, address, (error) => {
      if (error !== null) self.error(error)
    })
    return () => socket.close()
  })
}

/** An echo request: type, code, checksum and identifier (set by the kernel), sequence, payload. */
export function makeEcho(family: Family, sequence: number, payload: Uint8Array): Buffer {
  const echo = Buffer.alloc(HEADER_BYTES + payload.length)
  echo[0] = ECHO[family].request
  echo.writeUInt16BE(sequence, 6)
  echo.set(payload, HEADER_BYTES)
  return echo
}

/** Whether a packet replies to the request. The payload is random, so only receivers of the request know it. */
export function isReplyTo(request: Buffer, reply: Buffer): boolean {
  const type = request[0] === ECHO[4].request ? ECHO[4].reply : ECHO[6].reply
  return (
    reply.length === request.length &&
    reply[0] === type &&
    reply[1] === 0 &&
    request.subarray(6).equals(reply.subarray(6))
  )
}

/** A datagram ICMP socket; undefined, and reported, when this host does not permit it. */
function open(calls: Calls, family: Family, self: Attempt): Socket | undefined {
  const protocol = family === 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP
  const fd = calls.socket(family === 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, protocol)
  if (fd < 0) {
    const code = errorName(calls)
    if (code === 'EACCES' || code === 'EPERM') self.unable(FORBIDDEN)
    else self.error(Object.assign(new Error(code), { code }))
    return undefined
  }
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  try {
    return socket.bind({ fd })
  } catch (error) {
    calls.close(fd)
    socket.close()
    throw error
  }
}

async function load(): Promise<Calls | { readonly missing: string }> {
  if (process.platform !== 'linux') return { missing: `checks of type icmp need Linux, this is ${process.platform}` }
  try {
    const { libc, errno } = await loadLibc()
    return {
      socket: libc.func('int socket(int family, int type, int protocol)'),
      close: libc.func('int close(int fd)'),
      errno,
    }
  } catch (error) {
    return { missing: `checks of type icmp need koffi: ${messageOf(error)}` }
  }
}
