/** A raw socket (root only): packets that no socket would send, such as a query from port 0. */
import koffi from 'koffi'
import { makeSockaddr } from '../../src/linux/calls.ts'
import type { Endpoint } from '../../src/units.ts'

const AF_INET = 2
const SOCK_RAW = 3
const IPPROTO_UDP = 17

export interface RawSocket {
  send(to: Endpoint, packet: Uint8Array): void
  close(): void
}

/** undefined without the right to have one. */
export function openRaw(): RawSocket | undefined {
  const libc = koffi.load(null)
  const fd: number = libc.func('int socket(int, int, int)')(AF_INET, SOCK_RAW, IPPROTO_UDP)
  if (fd < 0) return undefined
  const sendto = libc.func('int64_t sendto(int, void *, size_t, int, void *, uint32_t)')
  const close = libc.func('int close(int)')
  return {
    send({ address }, packet) {
      if (sendto(fd, packet, packet.length, 0, new Uint8Array(makeSockaddr(address, 0)), 16) < 0)
        throw new Error('sendto')
    },
    close: () => void close(fd),
  }
}

/** UDP header without a checksum (RFC 768 allows that over IPv4), and the payload. */
export function udpDatagram(from: number, to: number, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(8)
  header.writeUInt16BE(from, 0)
  header.writeUInt16BE(to, 2)
  header.writeUInt16BE(8 + payload.length, 4)
  return Buffer.concat([header, payload])
}
