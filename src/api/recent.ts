/**
 * What changed last, for the summary: the last events, those of members by site. A site that dies changes a thousand
 * members at once; that is one entry. Pure.
 */
import type { FleetEvent } from '../events/event.ts'
import { eventInWords } from '../events/words.ts'

/** Members of one site that changed alike and about the same time. */
export interface MemberChanges {
  readonly kind: 'members'
  /** When the first of them changed, Unix time in ms. */
  readonly atMs: number
  readonly site: string
  readonly before: string
  readonly after: string
  /** The brake keeps them in the answers. */
  readonly braked: boolean
  readonly members: number
  /** The first of them, and why it changed. */
  readonly member: string
  readonly why: string
}

/** Something else that happened, in words. */
export interface OtherChange {
  readonly kind: 'event'
  /** Unix time in ms. */
  readonly atMs: number
  readonly what: string
}

/** An entry of `changes` in /api/summary. Plain JSON. */
export type RecentChange = MemberChanges | OtherChange

const MOST = 30
/** Probers see the members of a dead site fail one by one, over an interval of their checks. */
const TOGETHER_MS = 10_000

interface Entry {
  change: RecentChange
  lastMs: number
  /** Its members. */
  readonly names: Set<string>
}

/** The last changes, the latest first. `events`: newest first. */
export function recentChanges(events: readonly FleetEvent[]): readonly RecentChange[] {
  const entries: Entry[] = []
  for (const event of events.toReversed()) {
    if (event.kind === 'verdict' && event.service !== undefined) addMember(entries, event)
    else addEntry(entries, { kind: 'event', atMs: event.atMs, what: eventInWords(event) }, [])
  }
  return entries.slice(0, MOST).map(({ change }) => change)
}

function addMember(entries: Entry[], { subject, site = '', before, after, atMs, why }: FleetEvent): void {
  const own = entries.findIndex(({ names }) => names.has(subject)) // its last change: this one is after it
  const alike = entries
    .slice(0, own < 0 ? undefined : own)
    .find(
      ({ change, lastMs }) =>
        change.kind === 'members' &&
        change.site === site &&
        change.before === (before ?? '') &&
        change.after === (after ?? '') &&
        atMs - lastMs <= TOGETHER_MS,
    )
  if (alike?.change.kind === 'members') {
    alike.change = { ...alike.change, members: alike.change.members + 1 }
    alike.names.add(subject)
    alike.lastMs = atMs
    return
  }
  const change = {
    kind: 'members',
    atMs,
    site,
    before: before ?? '',
    after: after ?? '',
    members: 1,
    member: subject,
    why,
  } as const
  addEntry(entries, { ...change, braked: after === 'braked' }, [subject])
}

/** Entries further back than MOST are never alike with what comes. */
function addEntry(entries: Entry[], change: RecentChange, members: readonly string[]): void {
  entries.unshift({ change, lastMs: change.atMs, names: new Set(members) })
  if (entries.length > MOST) entries.pop()
}
