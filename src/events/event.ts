/**
 * An event: one thing that happened to answers, or to what they rest on. Plain JSON: a line of the events' file, a notice to
 * other nodes, an item of GET /api/events. docs/events.md is held to EVENT_KINDS by a test.
 */
import { hash } from 'node:crypto'
import { isRecord, isTime } from '../state.ts'

interface KindForm {
  readonly meaning: string
  /** Events alike of several nodes that are at most so far apart are one line of the fleet; 0: each is a line of its own. */
  readonly togetherMs: number
}

const MINUTE_MS = 60_000
/** Nodes fetch new zones and databases one after the other. */
const HOUR_MS = 3_600_000

/** Every kind of event. */
export const EVENT_KINDS = {
  verdict: {
    meaning:
      'A member went up or down, or the brake caught or released it; `details`: the votes, and whether it is `braked`.',
    togetherMs: MINUTE_MS,
  },
  brake: {
    meaning: 'The brake keeps sites of a service in the answers although they are down, keeps others, or lets go.',
    togetherMs: MINUTE_MS,
  },
  'last-resort': {
    meaning: 'No member of a service is usable, or none for A or AAAA, so its last resort answers; or that is over.',
    togetherMs: MINUTE_MS,
  },
  override: {
    meaning:
      'A drain, force, failover or freeze began, changed, was undone or ran out, or a drain in steps has arrived; `details`: who, until when, how many members, and which it takes out or gives back (`moved`).',
    togetherMs: MINUTE_MS,
  },
  drill: {
    meaning:
      'A drill began or ended, or a scheduled one was skipped or missed; `details`: its report, or its name and window.',
    togetherMs: MINUTE_MS,
  },
  zones: {
    meaning: 'Zones were loaded, refused, held back or accepted; `details`: what changed, which clients move.',
    togetherMs: HOUR_MS,
  },
  databases: {
    meaning: 'GeoIP databases were taken into use, held back or accepted; `details`: which clients move.',
    togetherMs: HOUR_MS,
  },
  prober: {
    meaning: 'A prober came, fell silent, was heard again or removed, or disagrees with the others.',
    togetherMs: MINUTE_MS,
  },
  node: {
    meaning: 'A node came, ended, fell silent, was heard again or removed, or disagrees with this one.',
    togetherMs: MINUTE_MS,
  },
  announce: {
    meaning:
      'The addresses of the node were announced or withdrawn, or stay announced although it would withdraw them (`kept`).',
    togetherMs: 0,
  },
  store: { meaning: 'Redis can’t be used, or works again.', togetherMs: MINUTE_MS },
  certificate: {
    meaning: 'A certificate ends soon or has ended, or was replaced, or its replacement can’t be used.',
    togetherMs: MINUTE_MS,
  },
  thread: { meaning: 'A thread of the node died or stood still, and was replaced.', togetherMs: 0 },
  process: { meaning: 'The node started, or ends; or the run before did not end in order.', togetherMs: 0 },
} as const satisfies Record<string, KindForm>

/** One of EVENT_KINDS. */
export type EventKind = keyof typeof EVENT_KINDS

/** How much it wants attention, the least first. */
export const SEVERITIES = ['info', 'warning', 'critical'] as const
/** One of SEVERITIES. */
export type Severity = (typeof SEVERITIES)[number]

/** One thing that happened. */
export interface Event {
  /**
   * Unique in the fleet, and rising on one node: `NODE.BOOT.N` (BOOT: start of the process, Unix ms in base 36; N:
   * counts from 1).
   */
  readonly id: string
  /** Unix time in ms by the clock of the node. */
  readonly atMs: number
  readonly node: string
  readonly kind: EventKind
  readonly severity: Severity
  /** What it is about: a member, service, pattern of an override, prober, node, file, thread. */
  readonly subject: string
  readonly site?: string
  readonly service?: string
  /** State before and after, in a word or few (`up`, `down`, `drained`, a revision); null: none, or unknown. */
  readonly before: string | null
  readonly after: string | null
  /** Why, in words; empty: nothing to say. */
  readonly why: string
  /** Since when `before` held, Unix time in ms; null: unknown. */
  readonly sinceMs: number | null
  /** More, by kind. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** The same event as the fleet saw it: one line with many witnesses. */
export interface FleetEvent extends Event {
  /** Nodes that saw it, sorted; includes `node`, the first. */
  readonly witnesses: readonly string[]
}

/** What a producer says; the rest is the node's. `sinceMs`, `before`, `after`: null unless given. `why`: empty. */
export interface NewEvent
  extends
    Pick<Event, 'kind' | 'severity' | 'subject' | 'site' | 'service' | 'details'>,
    Partial<Pick<Event, 'before' | 'after' | 'why' | 'sinceMs'>> {
  /** Unix time in ms; now unless given. */
  readonly atMs?: number
}

const ID = /^([\w.-]{1,63})\.([0-9a-z]{1,12})\.(\d{1,12})$/

/** Whether a text may be the id of an event. */
export const isEventId = (text: string): boolean => ID.test(text)

/** The node of an event's id; empty: it is none. */
export const nodeOfId = (id: string): string => ID.exec(id)?.[1] ?? ''

/** Whether a text is a kind of event. */
export const isEventKind = (text: unknown): text is EventKind =>
  typeof text === 'string' && Object.hasOwn(EVENT_KINDS, text)

const isSeverity = (value: unknown): value is Severity => SEVERITIES.some((severity) => severity === value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)
const isTextOrAbsent = (value: unknown): value is string | undefined => value === undefined || isText(value)

/** Whether a value from a file or from Redis is an event that this version understands. */
export const isEvent = (value: unknown): value is Event =>
  isRecord(value) &&
  isText(value['id']) &&
  isText(value['node']) &&
  nodeOfId(value['id']) === value['node'] &&
  isTime(value['atMs']) &&
  isEventKind(value['kind']) &&
  isSeverity(value['severity']) &&
  isText(value['subject']) &&
  isTextOrAbsent(value['site']) &&
  isTextOrAbsent(value['service']) &&
  isTextOrNull(value['before']) &&
  isTextOrNull(value['after']) &&
  isText(value['why']) &&
  (value['sinceMs'] === null || isTime(value['sinceMs'])) &&
  (value['details'] === undefined || isRecord(value['details']))

/** An event of a line of the events' file, or of a notice; undefined: it is none. */
export function parseEvent(text: string): Event | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isEvent(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Equal for events alike of several nodes: 16 hexadecimal digits. */
export function keyOf({ kind, subject, site = '', service = '', before, after, node }: Event): string {
  const own = EVENT_KINDS[kind].togetherMs === 0 ? node : ''
  return hash('sha256', JSON.stringify([kind, subject, site, service, before, after, own]), 'hex').slice(0, 16)
}
