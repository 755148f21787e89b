/**
 * The contract between HTTP and the process behind it: what a node or prober must provide for the routes of routes.ts.
 * RunningNode and RunningProber implement it. All values are plain JSON.
 */
import type { EventFeed } from '../events/events.ts'
import type { EventPage, EventQuery } from '../events/list.ts'
import type { ExplainQuestion } from '../explain/question.ts'
import type { MemberStanding, OverrideStatus } from '../health/node-health.ts'
import type { Announcement, AnnounceReport, NodeWord } from './announcing.ts'
import type { AcceptBody, DrillBody, ForgetBody, FreezeBody, OverrideBody, ReturnBody } from './bodies.ts'
import type { MadeBody } from './shared-body.ts'

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

/** Why a request is refused over TCP: the name in the URL, a page's origin, an unknown token, a token without the scope. */
export const REFUSED = ['host', 'origin', 'token', 'scope'] as const
/** One of REFUSED. */
export type Refused = (typeof REFUSED)[number]

/** What is known of `http.listen`. */
export interface HttpState {
  /** How many requests were refused, by the reason. */
  readonly refused: ReadonlyMap<Refused, number>
  /** Its certificate; undefined: it speaks HTTP. */
  readonly certificate: { readonly endsMs: number; readonly trouble: string | undefined } | undefined
}

/** What HTTP shows of the events of a node. */
export interface EventsView {
  /** A page of the last events. */
  events(query: EventQuery): EventPage
  /** The events to come, or those after that id. */
  eventFeed(afterId?: string): EventFeed
}

/** What HTTP shows of a node, and asks it to do. RunningNode implements it. */
export interface Node extends ProcessView, EventsView {
  /**
   * The body of GET /api/explain. A string says what is wrong with the question; undefined: no zones are loaded yet.
   */
  explain(question: Question): object | string | undefined
  /** Where members stand. A string says what is wrong with the filter. */
  members(filter: StatusFilter): readonly MemberStanding[] | string
  /** The overrides in force. */
  overrides(): readonly OverrideStatus[]
  /** The body of GET /api/board, as SharedBody.get() gives it. */
  board(known: string | undefined, waits: boolean): Promise<MadeBody>
  /**
   * The body of GET /api/world: which share of each country's clients gets which site of the service. A string says what
   * is wrong with the question; undefined: no zones are loaded yet, or they are being replaced.
   */
  world(service: string | undefined, clients: 'ipv4' | 'ipv6'): Promise<object | string | undefined>
  /** What draining patterns to a share (‰) would leave; a string says what is wrong with a pattern. */
  outlook(patterns: readonly string[], to: number): object | string
  /**
   * Sets or undoes an override. Like those below it resolves when the change is stored, or when it is known where it is
   * not.
   */
  override(body: OverrideBody): Promise<object | Refusal>
  /** The same of several overrides in one order: all of them are done, or none. */
  overrideAll(bodies: readonly OverrideBody[]): Promise<object | Refusal>
  /** Begins a freeze, or ends it. */
  freeze(body: FreezeBody): Promise<object | Refusal>
  /** Lets sites have their clients again that have failed over. */
  return(body: ReturnBody): Promise<object | Refusal>
  /** Begins a drill. */
  drill(body: DrillBody): Promise<object | Refusal>
  /** The drills of this node, the latest first. */
  drills(): readonly object[]
  /** Removes a prober from the roster. */
  forget(body: ForgetBody): Promise<object | Refusal>
  /** Takes what is announced of this node. */
  announce(report: AnnounceReport): NodeWord
  /** The body of GET /announce. */
  announcement(): Announcement
  /** Accepts the databases that are held back. */
  acceptGeo(body: AcceptBody): Promise<object | Refusal>
  /** Accepts the zones that are held back. */
  acceptZones(body: AcceptBody): Promise<object | Refusal>
}
