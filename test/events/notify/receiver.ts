/** A receiver of webhooks that really listens: what it was sent, and how it answers. And events to tell. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { once } from 'node:events'
import type { Server as NetServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { readConfig } from '../../../src/config.ts'
import type { Receiver } from '../../../src/config/receivers.ts'
import type { Event } from '../../../src/events/event.ts'

/** A request that came. */
export interface Got {
  readonly id: string
  readonly headers: IncomingMessage['headers']
  readonly path: string
  readonly text: string
  readonly body: {
    readonly id: string
    readonly node: string
    readonly status: string
    readonly summary: string
    readonly lost: number
    readonly open: number
    readonly events: readonly Event[]
  }
  /** What it was answered with. */
  readonly status: number
}

export class WebhookReceiver {
  readonly got: Got[] = []
  /** Status of answers. */
  status = 200
  headers: Readonly<Record<string, string>> = {}
  reply = 'ok'
  #server: Server | undefined
  #port = 0

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver()
    await receiver.start()
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook/token-in-the-path`
  }

  /** Requests that were taken. */
  get taken(): Got[] {
    return this.got.filter(({ status }) => status === 200)
  }

  /** Events that were taken, in the order in which they came. */
  get events(): Event[] {
    return this.taken.flatMap(({ body }) => body.events)
  }

  /** Begins to listen, at the same address as before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      void text(request).then((body) => {
        const { status } = this
        const id = String(request.headers['webhook-id'])
        const path = request.url ?? ''
        this.got.push({ id, headers: request.headers, path, text: body, body: JSON.parse(body), status })
        response.writeHead(status, this.headers).end(this.reply)
      })
    })
    this.#server = server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#port = portOf(server)
  }

  /** Ends as a process that is killed: connections are refused. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
}

/** Of a server that listens. */
export function portOf(server: NetServer): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The receivers of settings that are written as `notify.NAME.KEY`. */
export function receiversOf(
  settings: Readonly<Record<string, string | readonly string[]>>,
): Readonly<Record<string, Receiver>> {
  const given = Object.entries(settings).map(([key, value]) => ({
    key: `notify.${key}`,
    values: [value].flat().map((one) => ({ text: one, line: 1, column: 1 })),
    source: 'test',
    folder: '/',
    line: 1,
    column: 1,
  }))
  const problems: string[] = []
  const config = readConfig(given, ({ message }) => problems.push(message))
  if (config === undefined) throw new Error(problems.join('; '))
  return config.notify
}

/** Makes events of a node. */
export function eventsOf(node: string): (more: Partial<Event>) => Event {
  let n = 0
  return (more) => ({
    id: `${node}.b.${++n}`,
    atMs: Date.now(),
    node,
    kind: 'verdict',
    severity: more.after === 'up' ? 'info' : 'warning',
    subject: 'fra/web/192.0.2.1',
    site: 'fra',
    service: 'web',
    before: more.after === 'up' ? 'down' : 'up',
    after: 'down',
    why: 'connection refused',
    sinceMs: Date.now() - 3_600_000,
    ...more,
  })
}
