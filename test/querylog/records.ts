/** Records of queries as answering threads write them. */
import { type Request, makeRequest, type Transport, UDP } from '../../src/answer/responder.ts'
import { RingReader, RingWriter, makeRing, type QueryRecord } from '../../src/querylog/ring.ts'

/** What is to be in a record. */
export interface Asked {
  readonly query: Uint8Array
  readonly response: Uint8Array
  readonly client?: Uint8Array
  readonly port?: number
  readonly transport?: Transport
  readonly service?: string
  readonly site?: string
  readonly atMs?: number
}

/** Writes a record. */
export function write(to: RingWriter, asked: Asked): void {
  const { query, response, client = Uint8Array.of(192, 0, 2, 7), port = 5353, transport = UDP, service, site } = asked
  const request: Request = makeRequest({
    input: query,
    client: Uint8Array.of(...client, port >> 8, port & 255),
    family: client.length === 4 ? 4 : 6,
    portAt: client.length,
    transport,
    output: response,
  })
  const steered = service === undefined ? undefined : { name: service, siteNames: ['other', site ?? ''] }
  const selection = { site: site === undefined ? -1 : 1 }
  to.write({ steered, selection, nowMs: asked.atMs ?? Date.UTC(2026, 10, 30) }, request, response.length)
}

const ring = makeRing()
const writer = new RingWriter(ring)
const reader = new RingReader(ring)

/** A record; the next one takes its place. */
export function recordOf(asked: Asked): QueryRecord {
  write(writer, asked)
  return reader.take()!
}
