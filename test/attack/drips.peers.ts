/**
 * Peers of checks that send as fast as they can, in pieces as small as they can: `node drips.peers.ts ADDRESS`. Prints their
 * ports by name as JSON, and ends with its stdin.
 */
import { createSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { good } from '../support/certificates.ts'

const address = process.argv[2]!
const ports: Record<string, number> = {}

const portOf = (bound: string | AddressInfo | null): number => (typeof bound === 'object' ? (bound?.port ?? 0) : 0)

async function serve(name: string, server: Server): Promise<void> {
  await new Promise<void>((done) => server.listen(0, address, done))
  ports[name] = portOf(server.address())
}

/** Writes `head` when something has come, then pieces without end, each in a packet of its own and `spinUs` after the last. */
const peer =
  (head: Uint8Array | string, piece: Uint8Array | string, spinUs = 0) =>
  (socket: Socket) => {
    socket.setNoDelay(true)
    socket.on('error', () => {})
    const more = () => {
      for (let n = 0; n < 50 && !socket.destroyed; n++) {
        if (!socket.write(piece)) {
          socket.once('drain', more)
          return
        }
        const endMs = performance.now() + spinUs / 1000
        while (performance.now() < endMs);
      }
      if (!socket.destroyed) setImmediate(more)
    }
    socket.once('data', () => {
      socket.write(head)
      more()
    })
  }

const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
const SPIN_US = 15 // so that the check reads each byte apart
await serve('http: a body in bytes', createServer(peer('HTTP/1.1 200 OK\r\n\r\n', 'a', SPIN_US)))
await serve('http: a header in bytes', createServer(peer('HTTP/1.1 200 OK\r\nx: ', 'a', SPIN_US)))
await serve('http: chunks of a byte', createServer(peer(CHUNKED, '1\r\na\r\n'.repeat(10_000))))
await serve('http: a packet for each chunk', createServer(peer(CHUNKED, '1\r\na\r\n', SPIN_US)))
await serve('https: a record for each chunk', createTls(good, peer(CHUNKED, '1\r\na\r\n')))
// the head of a handshake message of 64 KiB, and then its bytes
await serve('tls: a handshake in bytes', createServer(peer(Buffer.from('160303400002ffff0303', 'hex'), '\0', SPIN_US)))

const frame = (type: number, flags: number, stream: number, body: Uint8Array): Buffer =>
  Buffer.from([0, 0, body.length, type, flags, 0, 0, 0, stream, ...body])
const SETTINGS = frame(4, 0, 0, new Uint8Array())
const many = (one: Buffer): Buffer => Buffer.concat(Array.from({ length: 500 }, () => one))
const http2 = (name: string, one: Buffer) => serve(`grpc: ${name}`, createServer(peer(SETTINGS, many(one))))
await http2('PING', frame(6, 0, 0, new Uint8Array(8)))
await http2('SETTINGS', SETTINGS)
await http2('WINDOW_UPDATE', frame(8, 0, 0, Uint8Array.of(0, 0, 0, 1)))
await http2('ALTSVC', frame(10, 0, 1, Buffer.from('\0\0h2=":1"')))
await http2('ORIGIN', frame(12, 0, 0, Buffer.from('\0\u0009https://a')))
await http2('interim responses', frame(1, 4, 1, Buffer.from('\u0008\u0003103')))
await serve('agent: blanks', createServer(peer('', ' ')))

const datagrams = createSocket('udp4')
datagrams.on('error', () => {})
datagrams.on('message', (query, { port, address: to }) => {
  const wrong = Buffer.from(query)
  wrong[2]! |= 0x80
  wrong[0]! ^= 1
  const endMs = performance.now() + 2500
  const more = () => {
    for (let n = 0; n < 20; n++) datagrams.send(wrong, port, to)
    if (performance.now() < endMs) setImmediate(more)
  }
  more()
})
await new Promise<void>((done) => datagrams.bind(0, address, done))
ports['dns: answers to other questions'] = portOf(datagrams.address())

console.log(JSON.stringify(ports))
process.stdin.resume()
process.stdin.on('close', () => process.exit())
