/** Puts an app on a TCP address or a unix socket. */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'

export interface HttpServer {
  stop(): Promise<void>
}

/** Rejects with the error of the system call (EADDRINUSE, EACCES …). */
export async function listenTcp(app: Hono, address: string, port: number): Promise<HttpServer> {
  const server = makeServer(app)
  await listening(server, () => server.listen({ host: address, port, ipv6Only: true }))
  return { stop: () => closed(server) }
}

/** Only the owner of the process may connect (mode 0600). A socket that nobody listens on any more is replaced. */
export async function listenSocket(app: Hono, path: string): Promise<HttpServer> {
  if (!(await answers(path))) rmSync(path, { force: true })
  const server = makeServer(app)
  const before = process.umask(0o177)
  try {
    await listening(server, () => server.listen(path))
  } finally {
    process.umask(before)
  }
  chmodSync(path, 0o600)
  return { stop: () => closed(server) }
}

function makeServer(app: Hono): Server {
  const listener = getRequestListener(app.fetch)
  const server = createServer((request, response) => void listener(request, response))
  server.requestTimeout = 10_000
  server.headersTimeout = 5_000
  server.maxConnections = 256
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

const answers = (path: string): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
