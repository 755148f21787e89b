/**
 * All routes: one row each, made as route.ts says. app.ts serves them, openapi.ts describes them, and a test holds
 * docs/api.md to that.
 */
import { z } from 'zod'
import { REPORT } from './announcing.ts'
import { ACCEPT, DRILL, FORGET, FREEZE, ORDER_BYTES, type OverrideBody, OVERRIDES, RETURN } from './bodies.ts'
import type { ProcessView } from './contract.ts'
import { EVENTS, eventsAnswer } from './events.ts'
import { openApi } from './openapi.ts'
import { pageForm, pageOf, PAGING } from './paging.ts'
import { problemDetails } from './problem-details.ts'
import { EXPLAIN, FILTER, NO_QUERY, OUTLOOK, STATUS, WORLD } from './questions.ts'
import {
  ACCEPTED,
  ANNOUNCEMENT,
  BOARD,
  DRILLED,
  DRILLS,
  EVENT_PAGE,
  EXPLAINED,
  FORGOTTEN,
  FROZEN,
  MEMBER,
  NODE_WORD,
  OUTLOOKED,
  OVERRIDDEN,
  OVERRIDE_STATUS,
  READINESS,
  RETURNED,
  STATUS_BODY,
  SUMMARY,
  WORLD_VIEW,
} from './responses.ts'
import { nodeGet, nodePost, processGet, type Route } from './route.ts'

/** Lets callers share a result that is being made: a crowd costs no more than one caller. */
function shareRunning<T>(make: (shown: ProcessView) => Promise<T>): (shown: ProcessView) => Promise<T> {
  const running = new WeakMap<ProcessView, Promise<T>>()
  return (shown) => {
    const made = running.get(shown) ?? make(shown).finally(() => running.delete(shown))
    running.set(shown, made)
    return made
  }
}

/** Array.isArray() for lists that are readonly. */
const isList = <T>(value: T | readonly T[]): value is readonly T[] => Array.isArray(value)
const isDrain = (action: OverrideBody['action']): boolean => action === 'drain' || action === 'undrain'

const TEXT = { 'content-type': 'text/plain; charset=utf-8' }
const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8'

const metrics = shareRunning((shown) => shown.metrics())
const status = shareRunning((shown) => shown.status())
const summary = shareRunning((shown) => shown.summary())

/** The routes of a process that only probes, and of a node. */
const PROCESS_ROUTES: readonly Route[] = [
  processGet({
    path: '/live',
    scope: 'open',
    meaning: '200 while the process runs its event loop.',
    query: NO_QUERY,
    response: 'text/plain',
    answer: () => new Response('live\n', { headers: TEXT }),
  }),
  processGet({
    path: '/ready',
    scope: 'open',
    meaning: '200 when the node may be sent queries, else 503 with the reasons.',
    query: NO_QUERY,
    response: READINESS,
    answer: (shown) => {
      const readiness = shown.readiness()
      const headers = { 'content-type': 'application/json' }
      return new Response(JSON.stringify(readiness), { status: readiness.ready ? 200 : 503, headers })
    },
  }),
  processGet({
    path: '/metrics',
    scope: 'open',
    meaning: 'Prometheus text format.',
    query: NO_QUERY,
    response: 'text/plain',
    answer: async (shown) => new Response(await metrics(shown), { headers: { 'content-type': PROMETHEUS } }),
  }),
  processGet({
    path: '/api/status',
    scope: 'read',
    meaning:
      'Services, members, votes, overrides, probers, nodes, loads, as this node sees them; or what a prober probes.',
    query: STATUS,
    response: STATUS_BODY,
    answer: (shown, filter) => (filter === undefined ? status(shown) : shown.status(filter)),
  }),
  processGet({
    path: '/api/summary',
    scope: 'read',
    meaning:
      'The same at a glance: what is hurt, by site and by service, queries a second, the last changes, and no votes.',
    query: NO_QUERY,
    response: SUMMARY,
    answer: (shown) => summary(shown),
  }),
  processGet({
    path: '/api/openapi.json',
    scope: 'read',
    meaning: 'This description of the API, as OpenAPI 3.1.',
    query: NO_QUERY,
    response: z.looseObject({ openapi: z.string() }),
    isStable: true,
    answer: () => openApi(ROUTES),
  }),
]

/** The routes of a node. */
const NODE_ROUTES: readonly Route[] = [
  nodeGet({
    path: '/announce',
    scope: 'open',
    meaning: '200 while the addresses of this node are, or may be, announced, else 503.',
    query: NO_QUERY,
    response: ANNOUNCEMENT,
    answer: (node) => {
      const announcement = node.announcement()
      const headers = { 'content-type': 'application/json' }
      return new Response(JSON.stringify(announcement), { status: announcement.announced ? 200 : 503, headers })
    },
  }),
  nodeGet({
    path: '/api/explain',
    scope: 'read',
    meaning: 'Why a client gets its answer.',
    query: EXPLAIN,
    response: EXPLAINED,
    problems: ['no-zones'],
    answer: (node, question) =>
      node.explain(question) ?? problemDetails('no-zones', 'no zones are loaded yet', 'GET /ready'),
  }),
  nodeGet({
    path: '/api/events',
    scope: 'read',
    meaning: 'What happened, newest first, in pages; with `Accept: text/event-stream` what happens from now on.',
    query: EVENTS,
    response: EVENT_PAGE,
    problems: ['overloaded'],
    answer: eventsAnswer,
  }),
  nodeGet({
    path: '/api/board',
    scope: 'read',
    meaning:
      'What the page shows: the summary, each service by site, the votes counted by site and prober. Has an ETag; with `If-None-Match` and `Prefer: wait` it waits for the next one.',
    query: NO_QUERY,
    response: BOARD,
    answer: async (node, _query, { headers }) => {
      const known = headers.get('if-none-match') ?? undefined
      // RFC 7240 §4.3
      const { etag, bytes } = await node.board(known, /\bwait\b/i.test(headers.get('prefer') ?? ''))
      if (etag === known) return new Response(null, { status: 304, headers: { etag } })
      return new Response(bytes, { headers: { etag, 'content-type': 'application/json' } })
    },
  }),
  nodeGet({
    path: '/api/world',
    scope: 'read',
    meaning: 'Which share of each country’s clients gets which site of a service now.',
    query: WORLD,
    response: WORLD_VIEW,
    problems: ['no-zones'],
    answer: async (node, { service, clients }) =>
      (await node.world(service, clients)) ??
      problemDetails('no-zones', 'no zones are loaded yet, or they are being replaced', 'GET /ready'),
  }),
  nodeGet({
    path: '/api/members',
    scope: 'read',
    meaning: 'Where each member stands, without votes, in pages.',
    query: z.strictObject({ ...FILTER, ...PAGING }),
    response: pageForm('members', MEMBER),
    answer: (node, { service, site, hurt, ...paging }) => {
      const members = node.members({ services: service, sites: site, hurt })
      if (typeof members === 'string') return members
      const { page, next } = pageOf(members, ({ member }) => member, paging)
      return { members: page, next }
    },
  }),
  nodeGet({
    path: '/api/overrides',
    scope: 'read',
    meaning: 'The overrides in force, in pages.',
    query: z.strictObject(PAGING),
    response: pageForm('overrides', OVERRIDE_STATUS),
    answer: (node, paging) => {
      const { page, next } = pageOf(node.overrides(), ({ override }) => override.pattern, paging)
      return { overrides: page, next }
    },
  }),
  nodeGet({
    path: '/api/outlook',
    scope: 'read',
    meaning: 'What draining the members of patterns, to a share, would leave of each service.',
    query: OUTLOOK,
    response: OUTLOOKED,
    answer: (node, { pattern, to }) => node.outlook(pattern, to),
  }),
  nodePost({
    path: '/api/overrides',
    scopes: ['drain', 'force'],
    scopesOf: (body) => [
      ...new Set((isList(body) ? body : [body]).map(({ action }) => (isDrain(action) ? 'drain' : 'force'))),
    ],
    meaning:
      'Sets or undoes an override, or a list of them, all or none: `drain` and `undrain` need the scope `drain`, the others `force`.',
    body: OVERRIDES,
    bodyBytes: ORDER_BYTES,
    response: OVERRIDDEN,
    isSpread: true,
    answer: (node, body) => (isList(body) ? node.overrideAll(body) : node.override(body)),
  }),
  nodeGet({
    path: '/api/drills',
    scope: 'read',
    meaning: 'The last drills of this node, the latest first; one may be running.',
    query: NO_QUERY,
    response: DRILLS,
    answer: (node) => ({ drills: node.drills() }),
  }),
  nodePost({
    path: '/api/drills',
    scopes: ['drain'],
    meaning: 'Begins a drill: drains members for a time, where that is safe, and ends it early by a rule.',
    body: DRILL,
    response: DRILLED,
    isSpread: true,
    answer: (node, body) => node.drill(body),
  }),
  nodePost({
    path: '/api/freeze',
    scopes: ['force'],
    meaning: 'Freezes all nodes for a time, so that verdicts change no answers, or ends that.',
    body: FREEZE,
    response: FROZEN,
    isSpread: true,
    answer: (node, body) => node.freeze(body),
  }),
  nodePost({
    path: '/api/return',
    scopes: ['drain'],
    meaning: 'Lets sites have their clients again that have failed over (`failback: manual`).',
    body: RETURN,
    response: RETURNED,
    isSpread: true,
    answer: (node, body) => node.return(body),
  }),
  nodePost({
    path: '/api/forget',
    scopes: ['admin'],
    meaning: 'Removes a prober or a node that is gone for good from all nodes.',
    body: FORGET,
    response: FORGOTTEN,
    isSpread: true,
    answer: (node, body) => node.forget(body),
  }),
  nodePost({
    path: '/api/geo/accept',
    scopes: ['admin'],
    meaning: 'Uses the databases that this node holds back (`geo-held`).',
    body: ACCEPT,
    response: ACCEPTED,
    answer: (node, body) => node.acceptGeo(body),
  }),
  nodePost({
    path: '/api/zones/accept',
    scopes: ['admin'],
    meaning: 'Uses the zones that `zones.maxMove` holds back at this node.',
    body: ACCEPT,
    response: ACCEPTED,
    answer: (node, body) => node.acceptZones(body),
  }),
  nodePost({
    path: '/api/announce',
    scopes: ['admin'],
    meaning:
      'Where `meridian announce` says what is announced, and hears how the node is: on the control socket only, and refused elsewhere.',
    isLocal: true,
    body: REPORT,
    response: NODE_WORD,
    answer: async (node, body) => node.announce(body),
  }),
]

/** All routes, in the order of the docs. */
export const ROUTES: readonly Route[] = [...PROCESS_ROUTES, ...NODE_ROUTES]
