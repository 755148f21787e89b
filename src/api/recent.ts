/**
 * What changed last, for the summary and the page: the last events, those of members by site. A site that dies changes a
 * thousand members at once; that is one entry. Pure; loads nothing that the page could not.
 */
import type { EventKind, FleetEvent, Severity } from '../events/event.ts'
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
  /** The nodes that saw any of it, sorted. */
  readonly witnesses: readonly string[]
}

/** Something else that happened, in words. */
export interface OtherChange {
  readonly kind: 'event'
  /** Unix time in ms. */
  readonly atMs: number
  readonly what: string
  readonly about: EventKind
  readonly severity: Severity
  /** The nodes that saw it, sorted. */
  readonly witnesses: readonly string[]
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

/** The last changes, the latest first, at most so many. `events`: newest first. */
export function recentChanges(events: readonly FleetEvent[], most = MOST): readonly RecentChange[] {
  const entries: Entry[] = []
  for (const event of events.toReversed()) {
    if (event.kind === 'verdict' && event.service !== undefined) {
      addMember(entries, event)
    } else {
      const { atMs, kind: about, severity, witnesses } = event
      addEntry(entries, { kind: 'event', atMs, what: eventInWords(event), about, severity, witnesses }, [])
    }
    if (entries.length > most) entries.pop() // those further back are never alike with what comes
  }
  return entries.map(({ change }) => change)
}

function addMember(entries: Entry[], { subject, site = '', before, after, atMs, why, witnesses }: FleetEvent): void {
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
    const { members, witnesses: known } = alike.change
    const all = witnesses.every((node) => known.includes(node))
      ? known
      : [...new Set([...known, ...witnesses])].toSorted()
    alike.change = { ...alike.change, members: members + 1, witnesses: all }
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
    witnesses,
  } as const
  addEntry(entries, { ...change, braked: after === 'braked' }, [subject])
}

function addEntry(entries: Entry[], change: RecentChange, members: readonly string[]): void {
  entries.unshift({ change, lastMs: change.atMs, names: new Set(members) })
}
