/**
 * What changed last at a node, for the summary: members by site, and reloads. A site that dies changes a thousand
 * members at once; that is one entry. Kept by RunningNode in memory, so it begins with the process.
 */
import type { Change } from '../health/node-health.ts'

/** Members of one site that changed alike and about the same time. */
export interface MemberChanges extends Pick<Change, 'site' | 'before' | 'after' | 'braked'> {
  readonly kind: 'members'
  /** When the first of them changed, Unix time in ms. */
  readonly atMs: number
  readonly members: number
  /** The first of them, and why it changed. */
  readonly member: string
  readonly why: string
}

/** Something else that happened, in words. */
export interface Event {
  readonly kind: 'event'
  /** Unix time in ms. */
  readonly atMs: number
  readonly what: string
}

/** An entry of `changes` in /api/summary. Plain JSON. */
export type RecentChange = MemberChanges | Event

const MOST = 30
/** Probers see the members of a dead site fail one by one, over an interval of their checks. */
const TOGETHER_MS = 10_000

/** The last changes, the latest first. */
export class RecentChanges {
  /** `names`: the members of the entry. */
  readonly #entries: { entry: RecentChange; lastMs: number; names: Set<string> }[] = []

  /** `nowMs`: Unix time. */
  addMember({ member, site, before, after, braked, why }: Change, nowMs = Date.now()): void {
    const own = this.#entries.findIndex(({ names }) => names.has(member)) // its last change: this one is after it
    const alike = this.#entries
      .slice(0, own < 0 ? undefined : own)
      .find(
        ({ entry, lastMs }) =>
          entry.kind === 'members' &&
          entry.site === site &&
          entry.before === before &&
          entry.after === after &&
          entry.braked === braked &&
          nowMs - lastMs <= TOGETHER_MS,
      )
    if (alike === undefined) {
      this.#add({ kind: 'members', atMs: nowMs, site, before, after, braked, members: 1, member, why }, nowMs, [member])
    } else if (alike.entry.kind === 'members') {
      alike.entry = { ...alike.entry, members: alike.entry.members + 1 }
      alike.names.add(member)
      alike.lastMs = nowMs
    }
  }

  addEvent(what: string, nowMs = Date.now()): void {
    this.#add({ kind: 'event', atMs: nowMs, what }, nowMs)
  }

  get list(): readonly RecentChange[] {
    return this.#entries.map(({ entry }) => entry)
  }

  #add(entry: RecentChange, lastMs: number, members: readonly string[] = []): void {
    this.#entries.unshift({ entry, lastMs, names: new Set(members) })
    if (this.#entries.length > MOST) this.#entries.pop()
  }
}
