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
  readonly #entries: { entry: RecentChange; lastMs: number }[] = []

  /** `nowMs`: Unix time. */
  addMember({ member, site, before, after, braked, why }: Change, nowMs = Date.now()): void {
    const alike = this.#entries.find(
      ({ entry, lastMs }) =>
        entry.kind === 'members' &&
        entry.site === site &&
        entry.before === before &&
        entry.after === after &&
        entry.braked === braked &&
        nowMs - lastMs <= TOGETHER_MS,
    )
    if (alike === undefined) {
      this.#add({ kind: 'members', atMs: nowMs, site, before, after, braked, members: 1, member, why }, nowMs)
    } else if (alike.entry.kind === 'members') {
      alike.entry = { ...alike.entry, members: alike.entry.members + 1 }
      alike.lastMs = nowMs
    }
  }

  addEvent(what: string, nowMs = Date.now()): void {
    this.#add({ kind: 'event', atMs: nowMs, what }, nowMs)
  }

  get list(): readonly RecentChange[] {
    return this.#entries.map(({ entry }) => entry)
  }

  #add(entry: RecentChange, lastMs: number): void {
    this.#entries.unshift({ entry, lastMs })
    if (this.#entries.length > MOST) this.#entries.pop()
  }
}
