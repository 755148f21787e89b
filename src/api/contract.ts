/**
 * The contract between HTTP and the process behind it: the routes, and what a node or prober must provide for them.
 * app.ts calls it; RunningNode and RunningProber implement it. All values are plain JSON. docs/api.md is held to it by
 * a test.
 */
import type { ExplainQuestion } from '../explain/question.ts'
import type { AcceptBody, ForgetBody, OverrideBody } from './bodies.ts'

/** The body of GET /ready. */
export interface Readiness {
  readonly ready: boolean
  /** Why not; empty when ready. */
  readonly reasons: readonly string[]
  /** What is served instead of the files on disk, and why; empty while the files on disk are in use. */
  readonly warnings: readonly string[]
}

/** The question of GET /api/explain, with all optional parts given. */
export interface Question extends Omit<ExplainQuestion, 'chance' | 'payload'> {
  readonly drain: readonly string[]
  readonly ecs: boolean
}

/** What HTTP shows of a running process, node or prober. */
export interface ProcessView {
  readiness(): Readiness
  /** The text of GET /metrics. */
  metrics(): Promise<string>
  /** The body of GET /api/status. A string says what is wrong with the filter. */
  status(filter?: StatusFilter): Promise<object | string>
  /** The body of GET /api/summary. */
  summary(): Promise<object>
}

/** Which members GET /api/status shows; a list that is empty leaves out none. */
export interface StatusFilter {
  readonly services: readonly string[]
  readonly sites: readonly string[]
  /** Only those that are not up, held or braked. */
  readonly hurt: boolean
}

/** Why something was not done, and what to do instead. */
export interface Refusal {
  readonly refused: string
  readonly hint?: string
}

/** What HTTP shows of a node, and asks it to do. RunningNode implements it. */
export interface Node extends ProcessView {
  /**
   * The body of GET /api/explain. A string says what is wrong with the question; undefined: no zones are loaded yet.
   */
  explain(question: Question): object | string | undefined
  /** What draining patterns to a share (‰) would leave; a string says what is wrong with a pattern. */
  outlook(patterns: readonly string[], to: number): object | string
  /**
   * Sets or undoes an override. Like those below it resolves when the change is stored, or when it is known where it is
   * not.
   */
  override(body: OverrideBody): Promise<object | Refusal>
  /** The same of several overrides in one order: all of them are done, or none. */
  overrideAll(bodies: readonly OverrideBody[]): Promise<object | Refusal>
  /** Removes a prober from the roster. */
  forget(body: ForgetBody): Promise<object | Refusal>
  /** Accepts the databases that are held back. */
  acceptGeo(body: AcceptBody): Promise<object | Refusal>
  /** Accepts the zones that are held back. */
  acceptZones(body: AcceptBody): Promise<object | Refusal>
}

/** All routes. `api`: reached through the control socket, or over TCP with the token. */
export const ROUTES = [
  { method: 'GET', path: '/live', api: false, meaning: '200 while the process runs its event loop.' },
  {
    method: 'GET',
    path: '/ready',
    api: false,
    meaning: '200 when the node may be sent queries, else 503 with the reasons.',
  },
  { method: 'GET', path: '/metrics', api: false, meaning: 'Prometheus text format.' },
  {
    method: 'GET',
    path: '/api/status',
    api: true,
    meaning:
      'Services, members, votes, overrides, probers, nodes, loads, as this node sees them; or what a prober probes. Of a node, only some members with `service`, `site` (repeatable) and `hurt` (`yes`).',
  },
  {
    method: 'GET',
    path: '/api/summary',
    api: true,
    meaning:
      'The same at a glance: what is hurt, by site and by service, queries a second, the last changes, and no votes.',
  },
  {
    method: 'GET',
    path: '/api/explain',
    api: true,
    meaning:
      'Why a client gets its answer. Query: `name`, `client`, `type` (A), `down` and `drain` (a pattern, repeatable), `resolver`, `ecs` (`no`).',
  },
  {
    method: 'GET',
    path: '/api/outlook',
    api: true,
    meaning:
      'What draining the members of `pattern` (SITE, SITE/SERVICE or SITE/SERVICE/VIP; repeatable) to the share `to` (`30%`; 0%) would leave of each service.',
  },
  {
    method: 'POST',
    path: '/api/overrides',
    api: true,
    meaning:
      'Sets or undoes an override. Body: `pattern`, `action` (drain, undrain, up, down, off), `to` (`30%`), `over` (`15m`), `for` (`2h`; until undone without), `who`, `why`, `yes`; or a list of these, done all or not at all.',
  },
  {
    method: 'POST',
    path: '/api/forget',
    api: true,
    meaning: 'Removes a prober or a node that is gone for good from all nodes. Body: `prober` or `node`, `who`.',
  },
  {
    method: 'POST',
    path: '/api/geo/accept',
    api: true,
    meaning: 'Uses the databases that this node holds back (`geo-held`). Body: `who`, `build` (whichever waits).',
  },
  {
    method: 'POST',
    path: '/api/zones/accept',
    api: true,
    meaning: 'Uses the zones that `zones.maxMove` holds back at this node. Body: `who`, `build` (whichever waits).',
  },
] as const
