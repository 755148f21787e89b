/**
 * PROXY protocol, version 2 (haproxy.org, doc/proxy-protocol.txt §2.2): what a proxy such as dnsdist or HAProxy writes
 * before a datagram, or before the first byte of a connection, to name the client. It is read from the networks of
 * `proxy.from` only, and expected there: a proxy whose header is missing or wrong is not answered, and others can name
 * nobody.
 */
import { type Prefix, withPort } from '../dns/address.ts'
import type { Connection, Connections, Stage } from './connections.ts'

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
/** Before the addresses: signature, version and command, family and transport, length. */
export const PROXY_HEADER_BYTES = 16
/** The longest header, TLVs included, that is read. */
const MOST_BYTES = 4096
const LOCAL = 0x20
const PROXY = 0x21
const STREAM = 1

/** What a header says of the client: IPv4 or IPv6 behind the first 16 bytes; 0: it is the proxy itself that asks. */
export type ProxiedFamily = 0 | 4 | 6

/** From the client's address in a header to its port: both addresses, then both ports. */
export const proxiedPortAt = (family: 4 | 6): number => (family === 4 ? 8 : 32)

/** Whether the address of this family at bytes[at …] is in one of the networks. */
export function isWithin(prefixes: readonly Prefix[], bytes: Uint8Array, at: number, family: 4 | 6): boolean {
  for (const prefix of prefixes) if (prefix.family === family && matches(prefix, bytes, at)) return true
  return false
}

function matches({ bytes: wanted, bits }: Prefix, bytes: Uint8Array, at: number): boolean {
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (bytes[at + i] !== wanted[i]) return false
  const rest = bits & 7
  return rest === 0 || ((bytes[at + whole]! ^ wanted[whole]!) & (0xff00 >> rest) & 0xff) === 0
}

/** The size of the header at bytes[at …], of which the first 16 bytes are there; 0 = it is none. */
export function proxyHeaderSize(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < SIGNATURE.length; i++) if (bytes[at + i] !== SIGNATURE[i]) return 0
  const size = PROXY_HEADER_BYTES + ((bytes[at + 14]! << 8) | bytes[at + 15]!)
  return size <= MOST_BYTES ? size : 0
}

/** Who asks, by a whole header of `size` bytes; undefined = the header is malformed. */
export function proxiedFamily(
  bytes: Uint8Array,
  at: number,
  size: number,
  isStream: boolean,
): ProxiedFamily | undefined {
  const command = bytes[at + 12]!
  const family = bytes[at + 13]! >> 4
  const transport = bytes[at + 13]! & 15
  if ((command !== LOCAL && command !== PROXY) || family > 3 || transport > 2) return undefined
  // unspecified, or a unix socket: nothing that could be steered by
  if (command === LOCAL || family === 0 || transport === 0 || family === 3) return 0
  // who sent a datagram has not proven an address, as those who connect have
  if (isStream && transport !== STREAM) return undefined
  if (size < PROXY_HEADER_BYTES + (family === 1 ? 12 : 36)) return undefined
  return family === 1 ? 4 : 6
}

/**
 * The first stage of a connection from a proxy: reads the header, and goes on with `open` for the client that it names.
 * `onMalformed` counts.
 */
export function awaitHeader(
  connections: Connections,
  connection: Connection,
  onMalformed: () => void,
  open: (connection: Connection) => Stage,
): Stage {
  const { socket } = connection
  let head: Buffer | undefined
  const fail = (): void => {
    onMalformed()
    socket.destroy()
  }
  const read = (): void => {
    head ??= socket.read(PROXY_HEADER_BYTES) ?? undefined
    if (head === undefined) return void (socket.readableEnded && socket.destroy())
    const size = head.length < PROXY_HEADER_BYTES ? 0 : proxyHeaderSize(head, 0)
    if (size === 0) return fail()
    const length = size - PROXY_HEADER_BYTES
    const rest: Buffer | null = length === 0 ? Buffer.alloc(0) : socket.read(length)
    if (rest === null) return
    const family = rest.length < length ? undefined : proxiedFamily(Buffer.concat([head, rest]), 0, size, true)
    if (family === undefined) return fail()
    socket.off('readable', read)
    const source =
      family === 0
        ? connection.source
        : withPort(rest.subarray(0, family === 4 ? 4 : 16), rest.readUInt16BE(proxiedPortAt(family)))
    if (!connections.identify(connection, source)) return
    connection.stage = open(connection)
    if (socket.readableLength > 0) socket.emit('readable') // what came with the header
  }
  socket.on('readable', read)
  return { isIdle: true, turn: () => {}, end: () => socket.destroySoon() }
}
