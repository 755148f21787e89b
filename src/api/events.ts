/**
 * GET /api/events: the last events of the fleet as a page of JSON, or as a stream (Server-Sent Events, WHATWG HTML §9.2)
 * of those to come. A stream is read by its client: what it does not take is not made, and a client that falls behind
 * further than the list goes back misses what the list has dropped. A row of routes.ts.
 */
import { z } from 'zod'
import { isEventId, isEventKind, EVENT_KINDS, type FleetEvent } from '../events/event.ts'
import { type EventPage, type EventQuery, matchesQuery, placeOf } from '../events/list.ts'
import { parseDurationMs } from '../units.ts'
import type { EventsView } from './contract.ts'
import { PAGING } from './paging.ts'
import { problemDetails } from './problem-details.ts'
import { many, one } from './questions.ts'

/** Without other traffic a stream has a comment at least this often; connections that are silent for 10 s are closed. */
const HEARTBEAT_MS = 5_000
/** Events in one write. */
const AT_ONCE = 100
/** Each holds a connection for good, and HTTP has a limit of those (connection-limiter.ts). */
const MOST_STREAMS = 32
const NO_SINCE = 'is no duration like 1h, no time like 2026-11-30T02:00Z, and no id of an event'
const NO_KIND = `is none of ${Object.keys(EVENT_KINDS).join(', ')}`
const NO_CURSOR = 'is not what `next` of a page was'
/** How long a client is asked to wait before it connects again. */
const RETRY_MS = 2_000

/** The query of GET /api/events. */
export const EVENTS: z.ZodType<EventQuery> = z
  .strictObject({
    since: one
      .transform((text, context): Pick<EventQuery, 'sinceMs' | 'afterId'> => {
        const since = readSince(text)
        if (since === undefined) context.addIssue(NO_SINCE)
        return since ?? {}
      })
      .optional()
      .describe('only later ones: a duration (`1h`), a time (ISO 8601), or the id of an event'),
    site: one.optional().describe('only events about this site, or a member there'),
    service: one.optional().describe('only events about this service, or a member of it'),
    kind: many.refine((kinds) => kinds.every(isEventKind), NO_KIND).describe('only events of this kind'),
    ...PAGING,
    cursor: PAGING.cursor.refine((text) => text === undefined || placeOf(text) !== undefined, NO_CURSOR),
  })
  .transform(({ since = {}, site, service, kind, limit, cursor }) => ({
    ...since,
    ...(site !== undefined && { site }),
    ...(service !== undefined && { service }),
    ...(cursor !== undefined && { cursor }),
    kinds: kind.filter(isEventKind),
    limit,
  }))

/** Reads `since`: `1h`, an ISO 8601 time, or the id of an event. */
export function readSince(text: string, nowMs = Date.now()): Pick<EventQuery, 'sinceMs' | 'afterId'> | undefined {
  const agoMs = parseDurationMs(text)
  if (agoMs !== undefined) return { sinceMs: nowMs - agoMs }
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(atMs)) return { sinceMs: atMs }
  return isEventId(text) ? { afterId: text } : undefined
}

/** Answers with a page, or with a stream. */
export function eventsAnswer(node: EventsView, query: EventQuery, request: Request): EventPage | Response {
  const { headers, method } = request
  if (!(headers.get('accept') ?? '').includes('text/event-stream')) return node.events(query)
  if (method === 'HEAD') return new Response(null, { headers: STREAM_HEADERS }) // nobody would read it, or end it
  const tooMany = 'too many streams of events are open'
  return streamOf(node, query, headers) ?? problemDetails('overloaded', tooMany, 'Close one of them')
}

const streams = new WeakMap<EventsView, number>()

/**
 * A stream of what comes after `Last-Event-ID`, or else after the event that the query names, or from now on. undefined:
 * there are too many streams.
 */
function streamOf(node: EventsView, query: EventQuery, headers: Headers): Response | undefined {
  const open = streams.get(node) ?? 0
  if (open >= MOST_STREAMS) return undefined
  streams.set(node, open + 1)
  const feed = node.eventFeed(headers.get('last-event-id') ?? query.afterId)
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`)),
    async pull(controller) {
      for (;;) {
        const lines = await feed.next(AT_ONCE, HEARTBEAT_MS)
        if (lines === undefined) return controller.close()
        const text =
          lines.length === 0
            ? ':\n\n'
            : lines
                .filter((line) => matchesQuery(line, query))
                .map(frameOf)
                .join('')
        if (text !== '') return controller.enqueue(encoder.encode(text))
      }
    },
    cancel: () => void streams.set(node, streams.get(node)! - 1),
  })
  return new Response(body, { headers: STREAM_HEADERS })
}

const STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }

const frameOf = (line: FleetEvent): string => `id: ${line.id}\nevent: event\ndata: ${JSON.stringify(line)}\n\n`
