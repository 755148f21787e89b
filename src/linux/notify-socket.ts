/**
 * A datagram to the socket of a service manager, as sd_notify(3) sends it: Node has no Unix sockets for datagrams. Used by
 * node/service-manager.ts.
 */
import type { Linux } from './calls.ts'
import { errorName } from './libc.ts'
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from './numbers.ts'

/** unix(7): sun_path has 108 bytes. */
const PATH_BYTES = 108
const PATH_AT = 2

/**
 * Sends a text to a socket, named by its path, or by `@` and its name in the abstract namespace. Waits for nothing. Returns
 * undefined, or the name of the error: `EAGAIN` when the socket's queue is full.
 */
export function sendDatagram(calls: Linux, socket: string, text: string): string | undefined {
  const address = unixAddress(socket)
  if (address === undefined) return 'EINVAL'
  const bytes = new TextEncoder().encode(text)
  const fd = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return errorName(calls)
  const failed =
    calls.connect(fd, calls.addressOf(address.buffer), address.length) < 0 ||
    calls.send(fd, calls.addressOf(bytes.buffer), bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
  const error = failed ? errorName(calls) : undefined
  calls.close(fd)
  return error
}

/** A sockaddr_un; undefined if the name does not fit or is none. */
function unixAddress(socket: string): Uint8Array<ArrayBuffer> | undefined {
  const name = new TextEncoder().encode(socket)
  if (!/^[/@]./.test(socket) || name.length >= PATH_BYTES) return undefined
  const isAbstract = socket.startsWith('@')
  const address = new Uint8Array(PATH_AT + name.length + (isAbstract ? 0 : 1)) // a path ends with a zero
  address[0] = AF_UNIX
  address.set(name, PATH_AT)
  if (isAbstract) address[PATH_AT] = 0
  return address
}
