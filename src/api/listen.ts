/**
 * Serves an app on a TCP address or on a unix socket. Called by Doors. The control socket passes from a process to its
 * successor without a gap; connections are limited by connection-limiter.ts.
 */
import { chmodSync, chownSync, renameSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { openFilesLimit } from '../server/tcp.ts'
import { type ConnectionLimits, ConnectionLimiter, connectionLimits } from './connection-limiter.ts'

/** A server that is listening. */
export interface HttpServer {
  /** Closes the server and its connections. */
  stop(): Promise<void>
}

/** Listens on a TCP address. Rejects with the error of the system call (EADDRINUSE, EACCES …). */
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
 * Listens on a unix socket that only the owner of the process can open (mode 0600, until shareSocket()). It is bound under a
 * temporary name and renamed: a successor takes the path over in one step, and the predecessor's close does not remove
 * it.
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
        // the disk may be read-only by now: the next start replaces the socket
      }
    },
  }
}

/**
 * Lets a group use a unix socket (mode 0660). Throws the error of the system call: a user who is not root can give a
 * file only to groups that it is in.
 */
export function shareSocket(path: string, gid: number): void {
  chownSync(path, -1, gid) // first: the group that it had is not let in for a moment
  chmodSync(path, 0o660)
}

/** How often Node looks for requests that are over their time; its default lets them block others for half a minute. */
const OVERDUE_MS = 1000

/** Whether a process listens on a unix socket. */
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
  // load balancers send HTTP/1.0 requests without a Host header
  const listener = getRequestListener(app.fetch, { hostname: 'localhost' })
  const server = createServer({ connectionsCheckingInterval: OVERDUE_MS }, (request, response) => {
    if (places.admits(request, response)) void listener(request, response).then(() => places.dropUnread())
    else
      response.writeHead(503, { connection: 'close' }).end('too many connections: only /live and /ready are answered\n')
  })
  const places = new ConnectionLimiter(server, limits)
  server.requestTimeout = 10_000
  server.headersTimeout = 5_000
  server.timeout = 10_000 // without traffic: a client that does not read keeps its response no longer
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
