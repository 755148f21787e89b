/**
 * Failback by hand (`failback: manual`): a site that has failed over for a service stays passed over after it is well
 * again, until an operator returns it. The fact is an entry of the set of overrides, so that every node holds alike,
 * also one that restarts, or that first hears of it now; a failover ends by the tombstone that ends any override.
 *
 *   members.ts ── failed() ──┐                ┌─▶ isAway(), at once
 *              ── lapsed() ──┤─▶ seen here ───┤
 *   zones ────── adopted() ──┘                └─ a moment later ─▶ Overrides.record() ─▶ all nodes
 *
 * All nodes see the same at the same time, and any of them may write it down: the entry says the same whoever wrote it.
 * They take turns by their names, so that mostly one does. What is seen is a change, never a state: a node with old votes
 * can't take back what an operator has returned.
 */
import { failoverPattern, isSame, type Override, type OverrideAction } from './override.ts'
import type { Recorded } from './overrides.ts'
import type { MemberSpec } from './target.ts'

/** What Failback needs of its node. */
export interface FailbackSettings {
  /** The entry by which a service has failed over from a site; undefined: there is none in force. */
  readonly failoverOf: (site: string, service: string) => Override | undefined
  readonly failovers: () => readonly Override[]
  /** The entry of a pattern, also of one that is over. */
  readonly entryOf: (pattern: string) => Override | undefined
  readonly record: (seen: readonly Recorded[]) => void
  /** Called with the patterns of what was seen here and does not count: something newer stands. */
  readonly onDropped: (patterns: readonly string[]) => void
  /** How many live nodes have their turn before this one. */
  readonly rank: () => number
}

/** Nodes write in turns of this time, and none waits for more than so many. Also the first waits, to hear the others. */
const TURN_MS = 100
const MOST_TURNS = 20

/** What was seen here, and the entry that stood then. */
interface Seen extends Recorded {
  readonly stood: Override | undefined
}

/** Which services have failed over from which sites. */
export class Failback {
  readonly #settings: FailbackSettings
  /** What was seen here and is not written down so far, by pattern. */
  readonly #seen = new Map<string, Seen>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(settings: FailbackSettings) {
    this.#settings = settings
  }

  /** Whether the service has failed over from the site, and awaits its return. */
  isAway(site: string, service: string): boolean {
    const seen = this.#seen.get(failoverPattern(site, service))
    return seen === undefined ? this.#settings.failoverOf(site, service) !== undefined : seen.action === 'failover'
  }

  /** Why it has; undefined: it has not. */
  whyAway(site: string, service: string): string | undefined {
    const pattern = failoverPattern(site, service)
    const seen = this.#seen.get(pattern)
    if (seen === undefined) return this.#settings.failoverOf(site, service)?.why
    return seen.action === 'failover' ? seen.why : undefined
  }

  /** The site is dead for the service, and other sites have its clients. False: that is known. */
  failed(site: string, service: string, why: string): boolean {
    return this.#note(site, service, 'failover', why)
  }

  /** Nothing else of the service is left, and the site has its clients again: from now on it is one like any other. */
  lapsed(site: string, service: string, why: string): void {
    this.#note(site, service, 'undone', why)
  }

  /** New zones: where they say no longer that failback is manual, it is not. Those that lack a member say nothing. */
  adopted(members: readonly MemberSpec[]): void {
    if (this.#settings.failovers().length === 0) return
    const waiting = new Set(this.#settings.failovers().map(({ pattern }) => pattern))
    for (const { site, service, manual } of members) {
      if (!manual && waiting.has(failoverPattern(site, service)))
        this.#note(site, service, 'undone', 'its failback is not manual any more')
    }
  }

  /** Entries have begun or ended: they are newer than what was seen here. */
  heard(patterns: readonly string[]): void {
    for (const pattern of patterns) this.#seen.delete(pattern)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #note(site: string, service: string, action: OverrideAction, why: string): boolean {
    if (this.isAway(site, service) === (action === 'failover')) return false
    const pattern = failoverPattern(site, service)
    this.#seen.set(pattern, { pattern, action, why: why.slice(0, MOST_WHY), stood: this.#settings.entryOf(pattern) })
    if (this.#timer !== undefined || this.#stopped) return true
    const turns = 1 + Math.min(this.#settings.rank(), MOST_TURNS)
    this.#timer = setTimeout(() => this.#write(), turns * TURN_MS).unref()
    return true
  }

  #write(): void {
    this.#timer = undefined
    const { entryOf, record, onDropped } = this.#settings
    const seen = [...this.#seen.values()]
    this.#seen.clear()
    const isCurrent = ({ pattern, stood }: Seen): boolean => {
      const stands = entryOf(pattern)
      return stands === undefined || (stood !== undefined && isSame(stands, stood))
    }
    const dropped = seen.filter((one) => !isCurrent(one)).map(({ pattern }) => pattern)
    if (dropped.length > 0) onDropped(dropped)
    const current = seen.filter(isCurrent)
    if (current.length > 0) record(current.map(({ pattern, action, why }) => ({ pattern, action, why })))
  }
}

/** Of a reason that is written down, in characters. */
const MOST_WHY = 300
