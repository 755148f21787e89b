/**
 * Serves an app on a TCP address or on a unix socket. Called by Doors. The control socket passes from a process to its
 * successor without a gap; connections are limited by connection-limiter.ts.
 */
import { chmodSync, chownSync, renameSync, rmSync, statSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { getRequestListener, RequestError } from '@hono/node-server'
import type { Credentials } from '../server/handshakes.ts'
import { openFilesLimit } from '../server/tcp.ts'
import type { App } from './app.ts'
import { type ConnectionLimits, ConnectionLimiter, connectionLimits } from './connection-limiter.ts'
import { problemDetails, PROBLEM_MEDIA, problemText } from './problem-details.ts'

/** A server that is listening. */
export interface HttpServer {
  /** Closes the server and its connections. */
  stop(): Promise<void>
}

/** A server on a unix socket. */
export interface SocketServer extends HttpServer {
  /** Whether the path still leads to it: a successor may have taken it over. */
  isOwner(): boolean
}

/** A server on a TCP address. */
export interface TcpServer extends HttpServer {
  /** Shows these to new connections, if it speaks HTTPS. */
  setCredentials(credentials: Credentials): void
}

/** How to listen on a TCP address. */
export interface TcpOptions {
  readonly limits?: ConnectionLimits
  /** With these HTTPS is spoken, else HTTP. */
  readonly credentials?: Credentials | undefined
  /** How long a connection may be without traffic, also while its request is worked on; ms. */
  readonly silentMs?: number
}

/** Listens on a TCP address. Rejects with the error of the system call (EADDRINUSE, EACCES …). */
export async function listenTcp(
  app: Pick<App, 'fetch'>,
  address: string,
  port: number,
  { limits, credentials, silentMs }: TcpOptions = {},
): Promise<TcpServer> {
  const { server, places, setCredentials } = makeServer(app, limits, credentials, silentMs)
  await listening(server, () => server.listen({ host: address, port, ipv6Only: address !== '::' }))
  return { stop: () => closed(server, places), setCredentials }
}

/**
 * Listens on a unix socket that only the owner of the process can open (mode 0600, until shareSocket()). It is bound under a
 * temporary name and renamed: a successor takes the path over in one step, and the predecessor's close does not remove
 * it.
 */
export async function listenSocket(app: Pick<App, 'fetch'>, path: string): Promise<SocketServer> {
  const { server, places } = makeServer(app)
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
  const isOwner = (): boolean => statSync(path, { throwIfNoEntry: false })?.ino === ino
  return {
    isOwner,
    async stop() {
      await closed(server, places)
      try {
        if (isOwner()) rmSync(path, { force: true })
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

const OVERLOADED = problemText('overloaded', 'too many connections: only /live and /ready are answered')

/** A client that does not read keeps its response no longer. */
const SILENT_MS = 10_000

/** How long a TLS handshake may take. */
const HANDSHAKE_MS = 5_000

const contextOf = ({ certificate, key, ticketKeys }: Credentials) => ({
  cert: certificate,
  key,
  ticketKeys: Buffer.from(ticketKeys),
  minVersion: 'TLSv1.2' as const,
})

interface MadeServer {
  readonly server: Server
  readonly places: ConnectionLimiter
  readonly setCredentials: (credentials: Credentials) => void
}

function makeServer(
  app: Pick<App, 'fetch'>,
  limits = connectionLimits(openFilesLimit()),
  credentials?: Credentials,
  silentMs = SILENT_MS,
): MadeServer {
  // load balancers send HTTP/1.0 requests without a Host header
  const listener = getRequestListener(app.fetch, {
    hostname: 'localhost',
    errorHandler: (error) =>
      error instanceof RequestError
        ? problemDetails('malformed', 'the request has no valid URL or Host header')
        : problemDetails('bug', `a bug in this process: ${String(error)}`),
  })
  const answer: RequestListener = (request, response) => {
    if (places.admits(request, response)) void listener(request, response).then(() => places.dropUnread())
    else response.writeHead(503, { connection: 'close', 'content-type': PROBLEM_MEDIA }).end(OVERLOADED)
  }
  const timing = { connectionsCheckingInterval: OVERDUE_MS }
  const secure =
    credentials && createHttpsServer({ ...timing, ...contextOf(credentials), handshakeTimeout: HANDSHAKE_MS }, answer)
  const server = secure ?? createServer(timing, answer)
  const places = new ConnectionLimiter(server, limits)
  server.requestTimeout = 10_000
  server.headersTimeout = 5_000
  server.timeout = silentMs
  return { server, places, setCredentials: (next) => secure?.setSecureContext(contextOf(next)) }
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

const closed = (server: Server, places: ConnectionLimiter): Promise<void> =>
  new Promise((done) => {
    server.close(() => done())
    places.closeAll()
  })
