/** The sites that haproxy can't be: an agent, a DNS server and gRPC servers, on every address of 127/8. Started by the bench. */
import { createSocket } from 'node:dgram'
import { createSecureServer, createServer as createHttp2, type Http2Server } from 'node:http2'
import { createServer } from 'node:net'
import { good } from '../../support/certificates.ts'

export const SITE_PORTS = { agent: 8073, dns: 8074, grpc: 8075, grpcs: 8076 }

const serving = (server: Http2Server) =>
  server
    .on('sessionError', () => {})
    .on('stream', (stream) => {
      stream.on('error', () => {})
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.of(0, 0, 0, 0, 2, 8, 1))
    })

if (process.argv[1] === import.meta.filename) {
  createServer((socket) => {
    socket.on('error', () => {})
    socket.end('up 75%\n')
  }).listen(SITE_PORTS.agent, '0.0.0.0', 4096)
  serving(createHttp2()).listen(SITE_PORTS.grpc, '0.0.0.0', 4096)
  serving(createSecureServer(good)).listen(SITE_PORTS.grpcs, '0.0.0.0', 4096)
  const dns = createSocket('udp4')
  dns.on('message', (query, { port, address }) => {
    query[2] = 0x81
    query.set([0, 0, 0, 0, 0, 0], 6) // no record of any section
    dns.send(query, 0, query.indexOf(0, 12) + 5, port, address)
  })
  dns.bind(SITE_PORTS.dns, '0.0.0.0')
}
