/** Puts an app on a TCP address or on a unix socket; the control socket changes hands without a gap. */
import { chmodSync, renameSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { openFilesLimit } from '../server/tcp.ts'
import { type ConnectionLimits, ConnectionLimiter, connectionLimits } from './places.ts'

export interface HttpServer {
  stop(): Promise<void>
}

/** Rejects with the error of the system call (EADDRINUSE, EACCES …). */
export async function listenTcp(
  app: Hono,
  address: string,
  port: number,
  limits?: ConnectionLimits,
): Promise<HttpServer> {
  const server = makeServer(app, limits)
  await listening(server, () => server.listen({ host: address, port, ipv6Only: address !== '::' }))
  return { stop: () => closed(server) }
}

/**
 * Only the owner of the process may connect (mode 0600). Bound under a name of its own and then renamed: so a successor
 * takes the path over in one step, and the predecessor, when it closes, removes nothing of the successor's.
 */
export async function listenSocket(app: Hono, path: string): Promise<HttpServer> {
  const server = makeServer(app)
  // no longer than the path itself, which may have 107 bytes (unix(7)); removeLeftovers() knows the name
  const own = join(dirname(path), `${process.pid}.new`)
  rmSync(own, { force: true })
  const before = process.umask(0o177)
  try {
    await listening(server, () => server.listen(own))
  } finally {
    process.umask(before)
  }
  chmodSync(own, 0o600)
  const { ino } = statSync(own)
  renameSync(own, path)
  return {
    async stop() {
      await closed(server)
      try {
        if (statSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true })
      } catch {
        // a disk that has become read-only: the next start replaces it
      }
    },
  }
}

/** How often connections are looked through for those whose time is over; else they'd fill the room for half a minute. */
const OVERDUE_MS = 1000

/** Whether someone listens on a unix socket. */
export const isListening = (path: string): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })

function makeServer(app: Hono, limits = connectionLimits(openFilesLimit())): Server {
  // HTTP/1.0 has no Host: load balancers ask so
  const listener = getRequestListener(app.fetch, { hostname: 'localhost' })
  const server = createServer({ connectionsCheckingInterval: OVERDUE_MS }, (request, response) => {
    if (places.admits(request, response)) void listener(request, response).then(() => places.dropUnread())
    else
      response.writeHead(503, { connection: 'close' }).end('all places are taken: only /live and /ready are answered\n')
  })
  const places = new ConnectionLimiter(server, limits)
  server.requestTimeout = 10_000
  server.headersTimeout = 5_000
  server.timeout = 10_000 // nothing came or went: whoever does not read holds no answer for longer
  return server
}

const listening = (server: Server, start: () => void): Promise<void> =>
  new Promise((done, failed) => {
    server.once('error', failed)
    server.once('listening', () => {
      server.off('error', failed)
      done()
    })
    start()
  })

const closed = (server: Server): Promise<void> =>
  new Promise((done) => {
    server.close(() => done())
    server.closeAllConnections()
  })
