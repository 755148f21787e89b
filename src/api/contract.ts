/**
 * The contract between HTTP and the process behind it: routes, what a client asks, what a node or prober shows. All of it is
 * plain JSON values.
 */
import type { ExplainQuestion } from '../explain/question.ts'
import type { AcceptBody, ForgetBody, OverrideBody } from './bodies.ts'

export interface Readiness {
  readonly ready: boolean
  /** Why not; empty when ready. */
  readonly reasons: readonly string[]
  /** What is served in place of what is on disk, and why; empty when all is as it is on disk. */
  readonly warnings: readonly string[]
}

/** What `explain` is asked over HTTP, all of it said. */
export interface Question extends Omit<ExplainQuestion, 'chance' | 'payload'> {
  readonly drain: readonly string[]
  readonly ecs: boolean
}

/** What HTTP shows of a running process, node or prober. Plain JSON values. */
export interface ProcessView {
  readiness(): Readiness
  metrics(): Promise<string>
  status(): Promise<object>
}

/** Why something was not done, and what to do instead. */
export interface Refusal {
  readonly refused: string
  readonly hint?: string
}

/** A node that serves; node/node.ts is it. */
export interface Node extends ProcessView {
  /** A string says what is wrong with the question; undefined: no World is loaded yet. */
  explain(question: Question): object | string | undefined
  /** What draining a pattern would leave; a string says what is wrong with the pattern. */
  outlook(pattern: string): object | string
  /** Resolve when what was done is kept, or it is known where it is not. */
  override(body: OverrideBody): Promise<object | Refusal>
  forget(body: ForgetBody): Promise<object | Refusal>
  acceptGeo(body: AcceptBody): Promise<object | Refusal>
}

/** Every route there is: docs/api.md is held to this table by a test. `api`: control socket, or TCP with the token. */
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
      'Services, members, votes, overrides, probers, nodes, loads, as this node sees them; or what a prober probes.',
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
      'What draining the members of `pattern` (SITE, SITE/SERVICE or SITE/SERVICE/VIP) would leave of each service.',
  },
  {
    method: 'POST',
    path: '/api/overrides',
    api: true,
    meaning:
      'Sets or undoes an override. Body: `pattern`, `action` (drain, undrain, up, down, off), `for` (`2h`; until undone without), `who`, `why`, `yes`.',
  },
  {
    method: 'POST',
    path: '/api/forget',
    api: true,
    meaning: 'Takes a prober that is gone for good from the rosters of all nodes. Body: `prober`, `who`.',
  },
  {
    method: 'POST',
    path: '/api/geo/accept',
    api: true,
    meaning: 'Uses the databases that `geo.maxMove` holds back at this node. Body: `who`, `build` (whichever waits).',
  },
] as const
